//! A history in the pieces that every vendor's request is made of: what the user said, and the steps of each turn.
//!
//! Invariant: two users never stand side by side, nothing is blank, and each call stands with its result, wherever in the
//! turn that was recorded. Reasoning is never sent back: the history keeps its words, not the vendor's proof of them.

use crate::protocol::message::{Message, Part, PartKind, ResultStatus, Role};
use crate::text::first;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// One piece of a history.
#[derive(Debug)]
pub(in crate::provider) enum Entry<'a> {
    User(Cow<'a, str>),
    Step(Step<'a>),
}

/// One model call's share of an answer: its words, then its tool calls. It has at least one of them.
#[derive(Debug, Default)]
pub(in crate::provider) struct Step<'a> {
    pub(in crate::provider) words: Option<Cow<'a, str>>,
    pub(in crate::provider) calls: Vec<Call<'a>>,
}

/// A tool call with its result.
#[derive(Debug)]
pub(in crate::provider) struct Call<'a> {
    pub(in crate::provider) id: &'a str,
    /// A name that vendors accept: models make up others.
    pub(in crate::provider) name: Cow<'a, str>,
    /// Always an object.
    pub(in crate::provider) input: Cow<'a, Value>,
    /// Absent only in a history that is not valid.
    pub(in crate::provider) outcome: Option<Outcome<'a>>,
}

/// What the model is told of a call.
#[derive(Debug, Clone, Copy)]
pub(in crate::provider) struct Outcome<'a> {
    /// Never blank.
    pub(in crate::provider) text: &'a str,
    /// It is not what the model wanted: the call failed, was not allowed, was stopped, or nobody knows.
    pub(in crate::provider) is_error: bool,
    pub(in crate::provider) image: Option<Image<'a>>,
}

/// A picture that a tool gave.
#[derive(Debug, Clone, Copy)]
pub(in crate::provider) struct Image<'a> {
    pub(in crate::provider) mime_type: &'a str,
    /// Its bytes in base64.
    pub(in crate::provider) data: &'a str,
}

impl Image<'_> {
    pub(in crate::provider) fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.mime_type, self.data)
    }
}

/// What stands for a message without words: several vendors refuse a blank one, and an answer needs a question.
const BLANK: &str = "(empty message)";

/// The history's pieces, in order.
pub(in crate::provider) fn entries(messages: &[Arc<Message>]) -> Vec<Entry<'_>> {
    let mut entries = Vec::with_capacity(messages.len());
    for message in messages {
        match message.role {
            Role::User => user(message, &mut entries),
            Role::Assistant => assistant(message, &mut entries),
        }
    }
    entries
}

/// A call's id as vendors with a rule for ids take it: `[A-Za-z0-9_-]{1,64}`. Another vendor's id that does not fit gets one
/// made of its digest, the same in every request.
pub(in crate::provider) fn plain_id(id: &str) -> Cow<'_, str> {
    if (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Cow::Borrowed(id);
    }
    let digest = Sha256::digest(id);
    digest.iter().take(16).fold("call_".to_owned(), |text, byte| format!("{text}{byte:02x}")).into()
}

/// Chat templates of local models want the roles to alternate, so a second user message in a row joins the first (the
/// turn between them left nothing behind).
fn user<'a>(message: &'a Message, out: &mut Vec<Entry<'a>>) {
    let said = message.parts.iter().filter_map(words).reduce(|before, next| before + "\n" + next);
    let said = said.filter(|said| !said.trim().is_empty()).unwrap_or(Cow::Borrowed(BLANK));
    match out.last_mut() {
        Some(Entry::User(before)) => {
            let before = before.to_mut();
            before.push('\n');
            before.push_str(&said);
        }
        _ => out.push(Entry::User(said)),
    }
}

/// What a part of a message says in words.
fn words(part: &Part) -> Option<Cow<'_, str>> {
    let text = part.text.as_deref().unwrap_or_default();
    let uri = part.uri.as_deref().unwrap_or_default();
    match part.kind {
        PartKind::Text => (!text.is_empty()).then_some(Cow::Borrowed(text)),
        PartKind::Resource => Some(format!("<resource uri=\"{uri}\">\n{text}\n</resource>").into()),
        PartKind::ResourceLink => Some(format!("[{}]({uri})", part.name.as_deref().unwrap_or_default()).into()),
        // A command has become words before a model is asked.
        PartKind::Command | PartKind::Reasoning | PartKind::ToolCall | PartKind::ToolResult => None,
    }
}

/// Splits a whole turn into its steps.
fn assistant<'a>(message: &'a Message, out: &mut Vec<Entry<'a>>) {
    let results: HashMap<&str, &Part> =
        message.parts.iter().filter(|part| part.kind == PartKind::ToolResult).map(|part| (call_id(part), part)).collect();
    let mut step = Step::default();
    // A result was passed: the next words or calls are those of the next step.
    let mut answered = false;
    for part in &message.parts {
        if part.kind == PartKind::ToolResult {
            answered = true;
            continue;
        }
        let said = if part.kind == PartKind::Text { words(part) } else { None };
        if said.is_none() && part.kind != PartKind::ToolCall {
            continue;
        }
        if std::mem::take(&mut answered) {
            end(std::mem::take(&mut step), out);
        }
        match said {
            Some(said) => step.words = Some(step.words.take().map_or(said.clone(), |before| before + said)),
            None => step.calls.push(call(part, results.get(call_id(part)).copied())),
        }
    }
    end(step, out);
}

fn end<'a>(step: Step<'a>, out: &mut Vec<Entry<'a>>) {
    let words = step.words.filter(|words| !words.trim().is_empty());
    if words.is_some() || !step.calls.is_empty() {
        out.push(Entry::Step(Step { words, calls: step.calls }));
    }
}

fn call<'a>(part: &'a Part, result: Option<&'a Part>) -> Call<'a> {
    // The model wrote no JSON object. Several vendors refuse a history with such a call for ever, so it is wrapped.
    let wrapped = |raw: &str| Cow::Owned(json!({ "unreadable_arguments": raw }));
    let input = match part.input.as_ref() {
        Some(input @ Value::Object(_)) => Cow::Borrowed(input),
        Some(Value::String(raw)) => wrapped(raw),
        Some(other) => wrapped(&other.to_string()),
        None => Cow::Owned(Value::Object(Map::new())),
    };
    Call { id: call_id(part), name: tool_name(part.tool.as_deref()), input, outcome: result.map(outcome) }
}

fn call_id(part: &Part) -> &str {
    part.call_id.as_deref().unwrap_or_default()
}

fn tool_name(name: Option<&str>) -> Cow<'_, str> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("unknown");
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.len() <= 64 && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    first(name, 64).chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

fn outcome(part: &Part) -> Outcome<'_> {
    let text = match (part.text.as_deref(), part.status) {
        (Some(text), _) if !text.trim().is_empty() => text,
        (_, Some(ResultStatus::Failed)) => "The call failed.",
        (_, Some(ResultStatus::Denied)) => "The call was not allowed.",
        (_, Some(ResultStatus::NotStarted)) => "The call was not started: the turn was stopped.",
        (_, Some(ResultStatus::Interrupted)) => "The call was interrupted: the turn was stopped.",
        (_, Some(ResultStatus::UnknownOutcome)) => "It is not known how the call ended.",
        (_, Some(ResultStatus::Completed) | None) => "(no output)",
    };
    let image = part.image().map(|(mime_type, data)| Image { mime_type, data });
    Outcome { text, is_error: !matches!(part.status, Some(ResultStatus::Completed) | None), image }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
