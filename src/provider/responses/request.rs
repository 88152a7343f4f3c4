//! A model request as the Responses API wants it.
//!
//! Invariant: the outputs of a step's calls stand right behind the calls; no item has an id of the vendor's, so nothing is
//! looked up there.

use crate::protocol::model::{ModelRequest, Purpose, ToolSpec};
use crate::provider::wire::history::{self, Entry, Outcome, Step};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// The request's body.
pub(super) fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
    let mut input = Vec::new();
    for entry in history::entries(&request.messages) {
        match entry {
            Entry::User(content) => input.push(Item::Message { role: "user", content }),
            Entry::Step(said) => step(said, &mut input),
        }
    }
    // The conversation's first message is the same in all its requests, and no other conversation has it.
    let conversation = request.messages.first().filter(|_| request.purpose == Purpose::Turn).map(|message| message.message_id.as_str());
    serde_json::to_vec(&Body {
        model,
        instructions: Some(request.system.as_str()).filter(|system| !system.is_empty()),
        input,
        tools: request.tools.iter().map(Tool::from).collect(),
        prompt_cache_key: conversation,
        store: false,
        stream: true,
    })
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    /// Prompts are cached without being asked to; requests with the same key are brought to the same cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    store: bool,
    stream: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message { role: &'static str, content: Cow<'a, str> },
    FunctionCall { call_id: Cow<'a, str>, name: Cow<'a, str>, arguments: String },
    FunctionCallOutput { call_id: Cow<'a, str>, output: Output<'a> },
}

/// What a tool gave.
#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    Text(&'a str),
    Pieces([Piece<'a>; 2]),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece<'a> {
    InputText { text: &'a str },
    InputImage { image_url: String },
}

impl<'a> From<Outcome<'a>> for Output<'a> {
    fn from(outcome: Outcome<'a>) -> Self {
        let Outcome { text, image, .. } = outcome;
        match image {
            None => Self::Text(text),
            Some(image) => Self::Pieces([Piece::InputText { text }, Piece::InputImage { image_url: image.data_url() }]),
        }
    }
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    /// The vendor's default here is to refuse schemas with optional properties.
    strict: bool,
}

impl<'a> From<&'a ToolSpec> for Tool<'a> {
    fn from(spec: &'a ToolSpec) -> Self {
        Self { r#type: "function", name: spec.name, description: spec.description, parameters: &spec.input_schema, strict: false }
    }
}

fn step<'a>(step: Step<'a>, out: &mut Vec<Item<'a>>) {
    out.extend(step.words.map(|content| Item::Message { role: "assistant", content }));
    let mut outputs = Vec::with_capacity(step.calls.len());
    for call in step.calls {
        let call_id = history::plain_id(call.id);
        outputs.extend(call.outcome.map(|outcome| Item::FunctionCallOutput { call_id: call_id.clone(), output: outcome.into() }));
        out.push(Item::FunctionCall { call_id, name: call.name, arguments: call.input.to_string() });
    }
    out.extend(outputs);
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
