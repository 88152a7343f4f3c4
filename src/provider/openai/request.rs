//! A model request as the vendor wants it.
//!
//! Invariant: in what is sent, each assistant message with tool calls is followed at once by the result of each of its
//! calls. Reasoning is never sent back.

use crate::protocol::message::{Message, Part, PartKind, ResultStatus, Role};
use crate::protocol::model::{ModelRequest, ToolSpec};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;

/// The request's body.
///
/// # Errors
/// None that JSON of strings can have; serde's signature is handed on.
pub(super) fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        messages.push(Wire::System { content: &request.system });
    }
    for message in &request.messages {
        match message.role {
            Role::User => user(message, &mut messages),
            Role::Assistant => assistant(message, &mut messages),
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
        content: Cow<'a, str>,
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

/// Chat templates of local models want the roles to alternate, so a second user message in a row joins the first (the
/// turn between them left nothing behind).
fn user<'a>(message: &'a Message, out: &mut Vec<Wire<'a>>) {
    for part in &message.parts {
        let Some(words) = words(part) else { continue };
        match out.last_mut() {
            Some(Wire::User { content }) => {
                let content = content.to_mut();
                content.push('\n');
                content.push_str(&words);
            }
            _ => out.push(Wire::User { content: words }),
        }
    }
}

/// What a part of a user's message says to the model.
fn words(part: &Part) -> Option<Cow<'_, str>> {
    let text = part.text.as_deref().unwrap_or_default();
    let uri = part.uri.as_deref().unwrap_or_default();
    match part.kind {
        PartKind::Text => (!text.is_empty()).then_some(Cow::Borrowed(text)),
        PartKind::Resource => Some(format!("<resource uri=\"{uri}\">\n{text}\n</resource>").into()),
        PartKind::ResourceLink => Some(format!("[{}]({uri})", part.name.as_deref().unwrap_or_default()).into()),
        PartKind::Reasoning | PartKind::ToolCall | PartKind::ToolResult => None,
    }
}

/// One model call's share of an assistant message: its words and its tool calls.
#[derive(Default)]
struct Step<'a> {
    content: Option<Cow<'a, str>>,
    calls: Vec<Call<'a>>,
    /// A result was passed: the next words or calls are those of the next step.
    answered: bool,
}

/// Splits a whole turn into the messages of its steps.
fn assistant<'a>(message: &'a Message, out: &mut Vec<Wire<'a>>) {
    let results: HashMap<&str, &Part> =
        message.parts.iter().filter(|part| part.kind == PartKind::ToolResult).map(|part| (call_id(part), part)).collect();
    let mut step = Step::default();
    for part in &message.parts {
        match part.kind {
            PartKind::Text => {
                let Some(words) = words(part) else { continue };
                step.begin_next_if_answered(&results, out);
                step.content = Some(match step.content.take() {
                    Some(before) => before + words,
                    None => words,
                });
            }
            PartKind::ToolCall => {
                step.begin_next_if_answered(&results, out);
                step.calls.push(call(part));
            }
            PartKind::ToolResult => step.answered = true,
            PartKind::Reasoning | PartKind::Resource | PartKind::ResourceLink => {}
        }
    }
    step.end(&results, out);
}

impl<'a> Step<'a> {
    fn begin_next_if_answered(&mut self, results: &HashMap<&str, &'a Part>, out: &mut Vec<Wire<'a>>) {
        if self.answered {
            std::mem::take(self).end(results, out);
        }
    }

    fn end(self, results: &HashMap<&str, &'a Part>, out: &mut Vec<Wire<'a>>) {
        let Self { content, calls, .. } = self;
        if content.is_none() && calls.is_empty() {
            return;
        }
        let ids: Vec<&'a str> = calls.iter().map(|call| call.id).collect();
        out.push(Wire::Assistant { content, tool_calls: calls });
        // Wherever a result stands in the turn, it is sent behind its call.
        out.extend(ids.into_iter().filter_map(|id| results.get(id).map(|part| Wire::Tool { tool_call_id: id, content: outcome(part) })));
    }
}

fn call(part: &Part) -> Call<'_> {
    let arguments = match part.input.as_ref() {
        Some(Value::Object(fields)) if fields.is_empty() => "{}".to_owned(),
        Some(input @ Value::Object(_)) => input.to_string(),
        // The model wrote no JSON object. Several vendors refuse a history with such a call for ever, so it is wrapped.
        Some(Value::String(raw)) => serde_json::json!({ "unreadable_arguments": raw }).to_string(),
        Some(other) => serde_json::json!({ "unreadable_arguments": other.to_string() }).to_string(),
        None => "{}".to_owned(),
    };
    Call { id: call_id(part), r#type: "function", function: Function { name: tool_name(part.tool.as_deref()), arguments } }
}

fn call_id(part: &Part) -> &str {
    part.call_id.as_deref().unwrap_or_default()
}

/// A name that vendors accept in a history: models make up others.
fn tool_name(name: Option<&str>) -> Cow<'_, str> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("unknown");
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.len() <= 64 && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    name.chars().take(64).map(|c| if fits(c) { c } else { '_' }).collect()
}

/// What the model is told of a call; never nothing.
fn outcome(part: &Part) -> &str {
    match (part.text.as_deref(), part.status) {
        (Some(text), _) if !text.is_empty() => text,
        (_, Some(ResultStatus::Failed)) => "The call failed.",
        (_, Some(ResultStatus::Denied)) => "The call was not allowed.",
        (_, Some(ResultStatus::NotStarted)) => "The call was not started: the turn was stopped.",
        (_, Some(ResultStatus::Interrupted)) => "The call was interrupted: the turn was stopped.",
        (_, Some(ResultStatus::UnknownOutcome)) => "It is not known how the call ended.",
        (_, Some(ResultStatus::Completed) | None) => "(no output)",
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
