//! A model request as the vendor wants it.
//!
//! Invariant: in what is sent, each assistant message with tool calls is followed at once by the result of each of its
//! calls; two users never stand side by side. A result here has words alone, so a picture is the user's, behind the results.
//! What a vendor gave with an answer stands in the message that it came with. What it thought for a turn that called no tool is
//! not sent: vendors that want the one refuse the other.

use super::state::{self, Fields};
use crate::protocol::model::ToolSpec;
use crate::provider::wire::history::{Call as Called, Entry, Outcome, Piece as Said, Step, entries};
use crate::provider::wire::{Asking, Refusal};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The request's body.
pub(super) fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let Asking { model, request, .. } = *asking;
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        messages.push(Wire::System { content: &request.system });
    }
    let entries = entries(asking);
    let mut writer = Writer::new(asking, &entries);
    let mut entries = entries.into_iter().peekable();
    while let Some(entry) = entries.next() {
        match entry {
            Entry::User(text) => user(text, &mut messages),
            Entry::Step(first) => {
                let mut turn = vec![first];
                while let Some(Entry::Step(next)) = entries.next_if(|entry| matches!(entry, Entry::Step(_))) {
                    turn.push(next);
                }
                writer.calls_tools = turn.iter().any(Step::has_calls);
                turn.into_iter().for_each(|step| writer.step(step, &mut messages));
            }
        }
    }
    let tools = asking.tools().iter().map(Tool::from).collect();
    let stream_options = (!asking.has_refused(Refusal::StreamOptions)).then_some(StreamOptions { include_usage: true });
    serde_json::to_vec(&Body { model, messages, tools, stream: true, stream_options })
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Wire<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Wire<'a> {
    System {
        content: &'a str,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        /// Null beside tool calls without words.
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
        /// What the vendor gave with it.
        #[serde(flatten)]
        fields: Fields,
    },
    Tool {
        tool_call_id: Cow<'a, str>,
        content: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Pieces(Vec<Piece<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct Call<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    arguments: String,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> From<&'a ToolSpec> for Tool<'a> {
    fn from(spec: &'a ToolSpec) -> Self {
        let function = ToolFunction { name: spec.name, description: spec.description, parameters: &spec.input_schema };
        Self { r#type: "function", function }
    }
}

/// What a person says goes on in the message that has pictures of the turn before it.
fn user<'a>(text: Cow<'a, str>, out: &mut Vec<Wire<'a>>) {
    match out.last_mut() {
        Some(Wire::User { content: Content::Pieces(pieces) }) => pieces.push(Piece::Text { text }),
        _ => out.push(Wire::User { content: Content::Text(text) }),
    }
}

/// Writes the steps of a turn.
struct Writer<'a> {
    asking: &'a Asking<'a>,
    /// The turn called tools.
    calls_tools: bool,
    /// The model tells what it thinks, so each of its messages says at least that it thought nothing.
    thinks: bool,
}

impl<'a> Writer<'a> {
    fn new(asking: &'a Asking<'a>, entries: &[Entry<'_>]) -> Self {
        let steps = entries.iter().filter_map(|entry| if let Entry::Step(step) = entry { Some(step) } else { None });
        let mut states =
            steps.flat_map(|step| &step.pieces).filter_map(|piece| if let Said::State(json) = piece { Some(json) } else { None });
        let thinks = asking.has_refused(Refusal::NoThoughts) || states.any(|json| state::has_thoughts(json));
        Self { asking, calls_tools: false, thinks }
    }

    /// Each result is sent right behind the message with its call.
    fn step(&self, step: Step<'a>, out: &mut Vec<Wire<'a>>) {
        let (mut content, mut tool_calls, mut results, mut fields) = (None::<Cow<'a, str>>, Vec::new(), Vec::new(), Fields::default());
        for piece in step.pieces {
            match piece {
                Said::Words(words) => content = Some(content.map_or(words.clone(), |before| before + words)),
                Said::State(json) => fields = state::read(json),
                Said::Call(call) => {
                    let id = self.asking.call_id(call.id);
                    results.extend(call.outcome.map(|outcome| (id.clone(), outcome)));
                    tool_calls.push(self.call(id, call));
                }
            }
        }
        state::choose(&mut fields, self.calls_tools, self.thinks);
        out.push(Wire::Assistant { content, tool_calls, fields });
        let mut pictures = Vec::new();
        for (id, Outcome { text, image, .. }) in results {
            if let Some(image) = image {
                pictures.push(Piece::Text { text: format!("The image of the tool call {id}:").into() });
                pictures.push(Piece::ImageUrl { image_url: ImageUrl { url: image.data_url() } });
            }
            out.push(Wire::Tool { tool_call_id: id, content: text });
        }
        if !pictures.is_empty() {
            out.push(Wire::User { content: Content::Pieces(pictures) });
        }
    }

    fn call(&self, id: Cow<'a, str>, call: Called<'a>) -> Call<'a> {
        let extra_content = call.state.and_then(|json| serde_json::from_str(json).ok());
        Call { id, r#type: "function", function: Function { name: call.name, arguments: call.input.to_string() }, extra_content }
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
