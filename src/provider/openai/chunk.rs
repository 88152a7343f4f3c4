//! What a `chat.completion.chunk` looks like, as far as it is read.
//!
//! Invariant: one pass over an event's text, borrowing from it; what compatible servers leave out, set to null or send as
//! another type than the vendor does is read as "nothing", never an error.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

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

/// A string, or nothing. A list of parts is read as their text.
#[derive(Debug, Default)]
pub(super) struct Words<'a>(Cow<'a, str>);

impl<'a> Words<'a> {
    /// The words, if there are any.
    pub(super) fn said(self) -> Option<Cow<'a, str>> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

impl PartialEq<&str> for Words<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl FunctionDelta<'_> {
    /// The piece of arguments as text.
    pub(super) fn arguments(&self) -> Cow<'_, str> {
        let Some(raw) = self.arguments else { return Cow::Borrowed("") };
        match serde_json::from_str::<Words<'_>>(raw.get()) {
            Ok(words) if raw.get().starts_with('"') => words.0,
            _ => Cow::Borrowed(raw.get()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Words<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

/// One part of a list of content parts; what has no text (a picture, a thought) adds nothing.
#[derive(Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow, default)]
    text: Words<'a>,
}

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or nothing")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Words(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Words(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut text = String::new();
        while let Some(part) = parts.next_element::<ContentPart<'de>>()? {
            text.push_str(&part.text.0);
        }
        Ok(Words(Cow::Owned(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Words::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Words::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Words::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Words::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Words::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Words::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(json: &str) -> Delta<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn plain_text_is_borrowed_and_escaped_text_is_owned() {
        assert!(matches!(delta(r#"{"content":"hello"}"#).content.said(), Some(Cow::Borrowed("hello"))));
        assert!(matches!(delta(r#"{"content":"a\nb"}"#).content.said(), Some(Cow::Owned(text)) if text == "a\nb"));
    }

    #[test]
    fn what_servers_do_instead_of_a_string_is_nothing_or_its_text() {
        for content in ["null", "7", "-1", "1.5", "true", "{\"a\":[1]}", "\"\"", "[]"] {
            assert!(delta(&format!(r#"{{"content":{content},"role":"assistant"}}"#)).content.said().is_none(), "{content}");
        }
        let parts = r#"{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#;
        assert_eq!(delta(parts).content.said().as_deref(), Some("ab"));
    }

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
