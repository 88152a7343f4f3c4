//! A model request as the Messages API wants it.
//!
//! Invariant: the roles alternate; each message with tool calls is followed at once by a user's message that begins with
//! the result of each of them; no text is blank; at most four places are marked for the cache. What the vendor gave of a thought
//! goes back as it was, in front of what followed from it.

use super::model::Traits;
use crate::protocol::model::{Purpose, ToolSpec};
use crate::provider::wire::Asking;
use crate::provider::wire::history::{self, Entry, Image, Outcome, Piece, Step};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The request's body.
pub(super) fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let Asking { model, request, .. } = *asking;
    let traits = Traits::of(model);
    let mut messages: Vec<Message<'_>> = Vec::new();
    for entry in history::entries(asking) {
        match entry {
            Entry::User(text) => says(Role::User, Content::Text { text }, &mut messages),
            Entry::Step(said) => step(said, &mut messages),
        }
    }
    let system = Some(request.system.as_str()).filter(|system| !system.trim().is_empty());
    let mut body = Body {
        model,
        max_tokens: traits.max_tokens,
        thinking: (traits.thinks && request.purpose == Purpose::Turn).then_some(Thinking { r#type: "adaptive", display: "summarized" }),
        tools: asking.tools().iter().map(Tool::from).collect(),
        system: system.map(|system| Block::from(Content::Text { text: system.into() })).into_iter().collect(),
        messages,
        stream: true,
    };
    // A title is asked for once: nobody would read what it left in the cache.
    if request.purpose == Purpose::Turn {
        body.mark_for_the_cache();
    }
    serde_json::to_vec(&body)
}

/// In the order in which the vendor reads it: what changes least comes first.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    stream: bool,
}

#[derive(Serialize)]
struct Thinking {
    r#type: &'static str,
    display: &'static str,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Role {
    User,
    Assistant,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Block<'a> {
    Ours {
        #[serde(flatten)]
        content: Content<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// A block of the vendor's, as it came.
    Theirs(&'a RawValue),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Text {
        text: Cow<'a, str>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, Value>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Answer<'a>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

/// What a tool gave.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Text(&'a str),
    Blocks([AnswerBlock<'a>; 2]),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBlock<'a> {
    Text { text: &'a str },
    Image { source: ImageSource<'a> },
}

#[derive(Serialize)]
struct ImageSource<'a> {
    r#type: &'static str,
    media_type: &'a str,
    data: &'a str,
}

/// The vendor keeps everything up to here for five minutes after its last use.
#[derive(Serialize, Clone, Copy)]
struct CacheControl {
    r#type: &'static str,
}

const CACHED: Option<CacheControl> = Some(CacheControl { r#type: "ephemeral" });

impl Body<'_> {
    /// The end of what all sessions share, of what this one shares, and of the newest message: the next request finds it
    /// there. The user's message before it is marked, too, since it is where the last request ended and the vendor looks
    /// back from a mark over 20 blocks only.
    fn mark_for_the_cache(&mut self) {
        if let Some(tool) = self.tools.last_mut() {
            tool.cache_control = CACHED;
        }
        let users = self.messages.iter_mut().rev().filter(|message| message.role == Role::User);
        let newest = users.filter_map(|message| message.content.last_mut()).take(2);
        for block in self.system.last_mut().into_iter().chain(newest) {
            if let Block::Ours { cache_control, .. } = block {
                *cache_control = CACHED;
            }
        }
    }
}

impl<'a> From<&'a ToolSpec> for Tool<'a> {
    fn from(spec: &'a ToolSpec) -> Self {
        Self { name: spec.name, description: spec.description, input_schema: &spec.input_schema, cache_control: None }
    }
}

impl<'a> From<Content<'a>> for Block<'a> {
    fn from(content: Content<'a>) -> Self {
        Self::Ours { content, cache_control: None }
    }
}

impl<'a> From<Outcome<'a>> for Answer<'a> {
    fn from(outcome: Outcome<'a>) -> Self {
        let Outcome { text, image, .. } = outcome;
        match image {
            None => Self::Text(text),
            Some(Image { mime_type, data }) => {
                let source = ImageSource { r#type: "base64", media_type: mime_type, data };
                Self::Blocks([AnswerBlock::Text { text }, AnswerBlock::Image { source }])
            }
        }
    }
}

/// Adds to the last message, or begins one if that is another's.
fn says<'a>(role: Role, block: impl Into<Block<'a>>, out: &mut Vec<Message<'a>>) {
    match out.last_mut().filter(|last| last.role == role) {
        Some(last) => last.content.push(block.into()),
        None => out.push(Message { role, content: vec![block.into()] }),
    }
}

/// What was thought, words, calls, and then their results as the user's, before whatever the user says next.
fn step<'a>(step: Step<'a>, out: &mut Vec<Message<'a>>) {
    let mut results = Vec::new();
    for piece in step.without_a_tail().pieces {
        match piece {
            Piece::Words(text) => says(Role::Assistant, Content::Text { text }, out),
            Piece::State(json) => {
                if let Ok(block) = serde_json::from_str(json) {
                    says(Role::Assistant, Block::Theirs(block), out);
                }
            }
            Piece::Call(call) => {
                let id = history::plain_id(call.id, 64);
                if let Some(outcome) = call.outcome {
                    let content = Answer::from(outcome);
                    results.push(Content::ToolResult { tool_use_id: id.clone(), content, is_error: outcome.is_error });
                }
                says(Role::Assistant, Content::ToolUse { id, name: call.name, input: call.input }, out);
            }
        }
    }
    for result in results {
        says(Role::User, result, out);
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
