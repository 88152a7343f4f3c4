//! The script's format: what a file may say, and the errors of a file that says something else.
//!
//! Invariant: an unknown field or entry is never passed over; the error names the file, the place and what is allowed there.

use crate::protocol::model::FinishReason;
use crate::provider::failure::{ProtocolKind, TransportKind};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("the script {path} could not be read; check the path behind `scripted:`")]
    Read { path: PathBuf, source: std::io::Error },
    /// The problem names line, column and what is allowed there.
    #[error("the script {path} is not valid: {problem}")]
    Invalid { path: PathBuf, problem: serde_json::Error },
    #[error("the script {path} is not valid: {place}: {problem}")]
    Impossible { path: PathBuf, place: String, problem: String },
}

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// What a title generation is answered with.
    #[serde(default)]
    pub(super) title: Option<Short<Vec<Entry>>>,
    /// The answers to the model calls of the turns, in order.
    pub(super) steps: Vec<Vec<Entry>>,
}

/// One thing that happens in an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    Text(Short<Words>),
    Reasoning(Short<Words>),
    ToolCall(ToolCall),
    Usage(Tokens),
    Finish(Finish),
    DelayMs(u64),
    /// The head of the answer, when something is to happen between it and the first word.
    Headers,
    Stall,
    HangUp,
    /// The code that plays the script fails, as any code of pillion's could.
    Panic,
    HttpError(HttpError),
    TransportError(TransportError),
    ProtocolError(ProtocolError),
}

/// A value in full, or only the string that matters.
#[derive(Debug)]
pub(super) enum Short<T> {
    Text(String),
    Full(T),
}

/// Words, in one piece or in many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    pub(super) text: String,
    /// Into how many pieces, cut at characters.
    #[serde(default = "one")]
    pub(super) chunks: usize,
    /// How many times the pieces are sent.
    #[serde(default = "one")]
    pub(super) repeat: usize,
    /// A pause before each piece but the first.
    #[serde(default)]
    pub(super) every_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolCall {
    pub(super) name: String,
    /// An object; or a string, for a model that writes no valid JSON.
    pub(super) input: Value,
    #[serde(default)]
    pub(super) id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) reasoning_tokens: Option<u64>,
    pub(super) cached_input_tokens: Option<u64>,
    pub(super) cache_write_input_tokens: Option<u64>,
}

/// How an answer ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    EndTurn,
    ToolCalls,
    MaxTokens,
    Refusal,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpError {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) retry_after_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransportError {
    pub(super) kind: TransportKind,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProtocolError {
    pub(super) kind: ProtocolKind,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) code: Option<String>,
}

impl Script {
    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Self, ScriptError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScriptError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, ScriptError> {
        let script: Self = serde_json::from_str(text).map_err(|problem| ScriptError::Invalid { path: path.to_owned(), problem })?;
        script.check().map_err(|(place, problem)| ScriptError::Impossible { path: path.to_owned(), place, problem })?;
        Ok(script)
    }

    /// What types alone cannot rule out. An error is a place and a problem.
    fn check(&self) -> Result<(), (String, String)> {
        if self.steps.is_empty() {
            return Err(("steps".into(), "there must be at least one step; an empty step `[]` is an empty answer".into()));
        }
        let mut ids = HashSet::new();
        for (n, step) in self.steps.iter().enumerate() {
            check_answer(step, &mut ids).map_err(|(at, problem)| (format!("steps[{n}][{at}]"), problem))?;
        }
        if let Some(Short::Full(title)) = &self.title {
            check_answer(title, &mut ids).map_err(|(at, problem)| (format!("title[{at}]"), problem))?;
        }
        Ok(())
    }
}

/// Checks one answer; an error names the entry by its number.
fn check_answer<'a>(entries: &'a [Entry], ids: &mut HashSet<&'a str>) -> Result<(), (usize, String)> {
    let mut head = false;
    let mut calls = false;
    for (at, entry) in entries.iter().enumerate() {
        let wrong = |problem: String| Err((at, problem));
        match entry {
            Entry::HttpError(error) if !(300..600).contains(&error.status) => {
                return wrong(format!("{} is not an error status; use one from 300 to 599", error.status));
            }
            Entry::HttpError(_) if head => {
                return wrong("the head of the answer was sent already; use protocol_error `provider_error`".into());
            }
            Entry::TransportError(error) if head && error.kind.is_connecting() => {
                return wrong(format!("`{}` cannot happen once the connection stands; use `connection_reset`", error.kind.name()));
            }
            Entry::ToolCall(call) if !matches!(call.input, Value::Object(_) | Value::String(_)) => {
                return wrong("`input` must be an object, or a string for arguments that are no valid JSON".into());
            }
            Entry::ToolCall(ToolCall { id: Some(id), .. }) if !ids.insert(id) => {
                return wrong(format!("the call id {id:?} is used twice in this script; leave ids out, or make each unique"));
            }
            Entry::Finish(Finish::ToolCalls) if !calls => return wrong("`tool_calls` needs a tool_call in front of it".into()),
            Entry::Text(Short::Full(words)) | Entry::Reasoning(Short::Full(words)) if words.chunks == 0 || words.repeat == 0 => {
                return wrong("`chunks` and `repeat` must be at least 1".into());
            }
            _ => {}
        }
        if entry.ends() && at + 1 < entries.len() {
            return Err((at + 1, "nothing can follow the entry before it, which ends the answer".into()));
        }
        head |= !matches!(entry, Entry::DelayMs(_));
        calls |= matches!(entry, Entry::ToolCall(_));
    }
    Ok(())
}

impl Entry {
    /// Whether it is the last thing that can happen.
    pub(super) fn ends(&self) -> bool {
        match self {
            Self::Finish(_)
            | Self::Stall
            | Self::HangUp
            | Self::Panic
            | Self::HttpError(_)
            | Self::TransportError(_)
            | Self::ProtocolError(_) => true,
            Self::Text(_) | Self::Reasoning(_) | Self::ToolCall(_) | Self::Usage(_) | Self::DelayMs(_) | Self::Headers => false,
        }
    }
}

impl Finish {
    pub(super) fn reason(self) -> (FinishReason, &'static str) {
        match self {
            Self::EndTurn => (FinishReason::EndTurn, "end_turn"),
            Self::ToolCalls => (FinishReason::ToolCalls, "tool_calls"),
            Self::MaxTokens => (FinishReason::MaxTokens, "max_tokens"),
            Self::Refusal => (FinishReason::Refusal, "refusal"),
        }
    }
}

fn one() -> usize {
    1
}

/// By hand and not as an untagged enum, which would forget the place of an error and what is allowed there.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortVisitor(PhantomData))
    }
}

struct ShortVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ShortVisitor<T> {
    type Value = Short<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or the full form that docs/scripted.md describes")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Short::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Short::Full)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(items)).map(Short::Full)
    }
}
