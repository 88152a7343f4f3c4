//! A history in the pieces that every vendor's request is made of: what the user said, and the steps of each turn.
//!
//! Invariant: two users never stand side by side, nothing is blank, and each call stands with its result, wherever in the
//! turn that was recorded. Of what a model thought, its words are never sent back, only what the provider gave for that; and
//! that goes to the same model alone.

use super::asking::Asking;
use super::refused::Refusal;
use crate::protocol::message::{Message, Part, PartKind, ResultStatus, Role};
use crate::text::first;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;

/// One piece of a history.
#[derive(Debug)]
pub(in crate::provider) enum Entry<'a> {
    User(Cow<'a, str>),
    Step(Step<'a>),
}

/// One model call's share of an answer, in order. It has words or calls.
#[derive(Debug, Default)]
pub(in crate::provider) struct Step<'a> {
    pub(in crate::provider) pieces: Vec<Piece<'a>>,
}

/// A piece of a step.
#[derive(Debug)]
pub(in crate::provider) enum Piece<'a> {
    /// Never blank.
    Words(Cow<'a, str>),
    Call(Call<'a>),
    /// JSON that the provider gave, and wants back.
    State(&'a str),
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
    /// JSON that the provider gave with the call, and wants back.
    pub(in crate::provider) state: Option<&'a str>,
}

impl<'a> Step<'a> {
    /// Words stand before calls, wherever they were said.
    fn say(&mut self, words: Cow<'a, str>) {
        let end = self.pieces.iter().position(|piece| matches!(piece, Piece::Call(_))).unwrap_or(self.pieces.len());
        match self.pieces[..end].last_mut() {
            Some(Piece::Words(before)) => before.to_mut().push_str(&words),
            _ => self.pieces.insert(end, Piece::Words(words)),
        }
    }

    /// Whether a tool was called.
    pub(in crate::provider) fn has_calls(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Call(_)))
    }

    /// What stands behind the last words and calls is the state of nothing: vendors that want states in their order refuse it.
    pub(in crate::provider) fn without_a_tail(mut self) -> Self {
        let end = self.pieces.iter().rposition(|piece| !matches!(piece, Piece::State(_))).map_or(0, |last| last + 1);
        self.pieces.truncate(end);
        self
    }
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

/// The history's pieces, in order, for whoever is asked.
pub(in crate::provider) fn entries<'a>(asking: &Asking<'a>) -> Vec<Entry<'a>> {
    let messages = &asking.request.messages;
    let model = Some(asking.name).filter(|_| !asking.has_refused(Refusal::States));
    let mut entries = Vec::with_capacity(messages.len());
    for message in messages {
        match message.role {
            Role::User => user(message, &mut entries),
            Role::Assistant => assistant(message, model, &mut entries),
        }
    }
    entries
}

/// A call's id as vendors with a rule for ids take it: letters, digits, `_` and `-`, at most `longest`. Another vendor's id that does not fit gets one
/// made of its digest, the same in every request.
pub(in crate::provider) fn plain_id(id: &str, longest: usize) -> Cow<'_, str> {
    if (1..=longest).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
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
        PartKind::Command | PartKind::Reasoning | PartKind::ToolCall | PartKind::ToolResult | PartKind::State => None,
    }
}

/// Splits a whole turn into its steps.
fn assistant<'a>(message: &'a Message, model: Option<&str>, out: &mut Vec<Entry<'a>>) {
    let results: HashMap<&str, &Part> =
        message.parts.iter().filter(|part| part.kind == PartKind::ToolResult).map(|part| (call_id(part), part)).collect();
    let mut step = Step::default();
    // A result was passed: what comes next is of the next step.
    let mut answered = false;
    for part in &message.parts {
        let state = part.state.as_deref().filter(|_| model.is_some() && part.state_of.as_deref() == model);
        let piece = match part.kind {
            PartKind::ToolResult => {
                answered = true;
                None
            }
            PartKind::Text => words(part).map(Piece::Words),
            PartKind::ToolCall => Some(Piece::Call(call(part, results.get(call_id(part)).copied(), state))),
            PartKind::State => state.map(Piece::State),
            PartKind::Reasoning | PartKind::Command | PartKind::Resource | PartKind::ResourceLink => None,
        };
        let Some(piece) = piece else { continue };
        if std::mem::take(&mut answered) {
            end(std::mem::take(&mut step), out);
        }
        match piece {
            Piece::Words(words) => step.say(words),
            piece => step.pieces.push(piece),
        }
    }
    end(step, out);
}

fn end<'a>(mut step: Step<'a>, out: &mut Vec<Entry<'a>>) {
    step.pieces.retain(|piece| !matches!(piece, Piece::Words(words) if words.trim().is_empty()));
    if step.pieces.iter().any(|piece| !matches!(piece, Piece::State(_))) {
        out.push(Entry::Step(step));
    }
}

fn call<'a>(part: &'a Part, result: Option<&'a Part>, state: Option<&'a str>) -> Call<'a> {
    // The model wrote no JSON object. Several vendors refuse a history with such a call for ever, so it is wrapped.
    let wrapped = |raw: &str| Cow::Owned(json!({ "unreadable_arguments": raw }));
    let input = match part.input.as_ref() {
        Some(input @ Value::Object(_)) => Cow::Borrowed(input),
        Some(Value::String(raw)) => wrapped(raw),
        Some(other) => wrapped(&other.to_string()),
        None => Cow::Owned(Value::Object(Map::new())),
    };
    Call { id: call_id(part), name: tool_name(part.tool.as_deref()), input, outcome: result.map(outcome), state }
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
