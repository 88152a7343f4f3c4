//! What a `chat.completion.chunk` looks like, as far as it is read.
//!
//! Invariant: one pass over an event's text, borrowing from it; what compatible servers leave out, set to null or send as
//! another type than the vendor does is read as "nothing", never an error.

use crate::provider::wire::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One event of the stream.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    /// `error` where vLLM reports one.
    #[serde(borrow, default)]
    pub(super) object: Words<'a>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Words<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) content: Words<'a>,
    /// DeepSeek, llama.cpp, older vLLM.
    #[serde(borrow, default)]
    pub(super) reasoning_content: Words<'a>,
    /// Ollama, OpenRouter, newer vLLM. A server that sends both spellings means the same words.
    #[serde(borrow, default)]
    pub(super) reasoning: Words<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Words<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<CallDelta<'a>>>,
    /// The form before `tool_calls`.
    #[serde(borrow, default)]
    pub(super) function_call: Option<FunctionDelta<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CallDelta<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) function: Option<FunctionDelta<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub(super) name: Words<'a>,
    /// A string of JSON; some servers send the object itself.
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
}

impl FunctionDelta<'_> {
    /// The piece of arguments as text.
    pub(super) fn arguments(&self) -> Cow<'_, str> {
        let Some(raw) = self.arguments else { return Cow::Borrowed("") };
        match serde_json::from_str::<Words<'_>>(raw.get()) {
            Ok(words) if raw.get().starts_with('"') => words.said().unwrap_or_default(),
            _ => Cow::Borrowed(raw.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_as_a_string_as_an_object_or_not_at_all() {
        for (json, want) in [
            (r#"{"arguments":"{\"a\":1}"}"#, r#"{"a":1}"#),
            (r#"{"arguments":{"a": 1}}"#, r#"{"a": 1}"#),
            (r#"{"arguments":""}"#, ""),
            (r#"{"arguments":null}"#, ""),
            (r#"{"name":"x"}"#, ""),
        ] {
            assert_eq!(serde_json::from_str::<FunctionDelta<'_>>(json).unwrap().arguments(), want, "{json}");
        }
    }
}
