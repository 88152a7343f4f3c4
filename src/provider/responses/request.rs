//! A model request as the Responses API wants it.
//!
//! Invariant: the outputs of a step's calls stand right behind the calls. Nothing is kept at the vendor's and nothing is looked up
//! there: a reasoning item goes back as it came, with all that is in it, in front of what followed from it.

use crate::protocol::model::{Purpose, ToolSpec};
use crate::provider::wire::history::{self, Entry, Outcome, Piece, Step};
use crate::provider::wire::{Asking, Refusal};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The request's body.
pub(super) fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let Asking { model, request, .. } = *asking;
    let mut input = Vec::new();
    for entry in history::entries(asking) {
        match entry {
            Entry::User(content) => input.push(Input::Ours(Item::Message { role: "user", content })),
            Entry::Step(said) => step(said, &mut input),
        }
    }
    // The conversation's first message is the same in all its requests, and no other conversation has it.
    let is_turn = request.purpose == Purpose::Turn;
    let conversation = request.messages.first().filter(|_| is_turn).map(|message| message.message_id.as_str());
    serde_json::to_vec(&Body {
        model,
        instructions: Some(request.system.as_str()).filter(|system| !system.is_empty()),
        input,
        tools: asking.tools().iter().map(Tool::from).collect(),
        prompt_cache_key: conversation.filter(|_| !asking.has_refused(Refusal::CacheKey)),
        include: if is_turn && !asking.has_refused(Refusal::Encrypted) { &[ENCRYPTED] } else { &[] },
        store: false,
        stream: true,
    })
}

/// What a model thought, in a form that only the vendor reads.
const ENCRYPTED: &str = "reasoning.encrypted_content";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    input: Vec<Input<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    /// Prompts are cached without being asked to; requests with the same key are brought to the same cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    store: bool,
    stream: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Ours(Item<'a>),
    /// An item of the vendor's, as it came.
    Theirs(&'a RawValue),
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
    Pieces([OutputPiece<'a>; 2]),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum OutputPiece<'a> {
    InputText { text: &'a str },
    InputImage { image_url: String },
}

impl<'a> From<Outcome<'a>> for Output<'a> {
    fn from(outcome: Outcome<'a>) -> Self {
        let Outcome { text, image, .. } = outcome;
        match image {
            None => Self::Text(text),
            Some(image) => Self::Pieces([OutputPiece::InputText { text }, OutputPiece::InputImage { image_url: image.data_url() }]),
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

fn step<'a>(step: Step<'a>, out: &mut Vec<Input<'a>>) {
    let mut outputs = Vec::new();
    for piece in step.without_a_tail().pieces {
        match piece {
            Piece::Words(content) => out.push(Input::Ours(Item::Message { role: "assistant", content })),
            Piece::State(json) => out.extend(serde_json::from_str(json).map(Input::Theirs)),
            Piece::Call(call) => {
                let call_id = history::plain_id(call.id, 64);
                let output = call.outcome.map(Output::from);
                outputs.extend(output.map(|output| Input::Ours(Item::FunctionCallOutput { call_id: call_id.clone(), output })));
                out.push(Input::Ours(Item::FunctionCall { call_id, name: call.name, arguments: call.input.to_string() }));
            }
        }
    }
    out.extend(outputs);
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
