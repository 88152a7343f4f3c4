//! A model request as the vendor wants it.
//!
//! Invariant: in what is sent, each assistant message with tool calls is followed at once by the result of each of its
//! calls; two users never stand side by side. A result here has words alone, so a picture is the user's, behind the results.

use crate::protocol::model::{ModelRequest, ToolSpec};
use crate::provider::wire::history::{self, Entry, Outcome, Step};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// The request's body.
pub(super) fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        messages.push(Wire::System { content: &request.system });
    }
    for entry in history::entries(&request.messages) {
        match entry {
            Entry::User(text) => user(text, &mut messages),
            Entry::Step(said) => step(said, &mut messages),
        }
    }
    let tools = request.tools.iter().map(Tool::from).collect();
    serde_json::to_vec(&Body { model, messages, tools, stream: true, stream_options: StreamOptions { include_usage: true } })
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Wire<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    stream: bool,
    stream_options: StreamOptions,
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
        content: Said<'a>,
    },
    Assistant {
        /// Null beside tool calls without words.
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Said<'a> {
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
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
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
        Some(Wire::User { content: Said::Pieces(pieces) }) => pieces.push(Piece::Text { text }),
        _ => out.push(Wire::User { content: Said::Text(text) }),
    }
}

/// Each result is sent right behind the message with its call.
fn step<'a>(step: Step<'a>, out: &mut Vec<Wire<'a>>) {
    let outcomes: Vec<_> = step.calls.iter().filter_map(|call| Some((call.id, call.outcome?))).collect();
    let tool_calls = step.calls.into_iter().map(Call::from).collect();
    out.push(Wire::Assistant { content: step.words, tool_calls });
    let mut pictures = Vec::new();
    for (id, Outcome { text, image, .. }) in outcomes {
        out.push(Wire::Tool { tool_call_id: id, content: text });
        if let Some(image) = image {
            pictures.push(Piece::Text { text: format!("The image of the tool call {id}:").into() });
            pictures.push(Piece::ImageUrl { image_url: ImageUrl { url: image.data_url() } });
        }
    }
    if !pictures.is_empty() {
        out.push(Wire::User { content: Said::Pieces(pictures) });
    }
}

impl<'a> From<history::Call<'a>> for Call<'a> {
    fn from(call: history::Call<'a>) -> Self {
        Self { id: call.id, r#type: "function", function: Function { name: call.name, arguments: call.input.to_string() } }
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
