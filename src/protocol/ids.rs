//! Identifiers: one newtype for each thing that can be named. They are opaque and never an order.

use super::record::Texts;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::sync::Arc;

/// The longest identifier that a client may choose, in bytes.
pub const MAX_ID_BYTES: usize = 80;

/// Whether `text` is 1-80 characters of `[A-Za-z0-9._:-]`: the alphabet of ids and of `source`.
pub fn is_plain_name(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(with = "String")] Arc<str>);

        impl $name {
            /// What every id of this kind that pillion makes begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Takes an id as it was stored or received.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Texts for $name {
            fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
                if let Some(other) = change(&self.0) {
                    *self = Self::new(other);
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", &self.0)
            }
        }
    )*};
}

ids! {
    /// One conversation in one workspace directory.
    SessionId = "ses";
    /// One accepted `session/prompt`.
    TurnId = "turn";
    /// One message of a conversation.
    MessageId = "msg";
    /// One try of a step's model call.
    AttemptId = "att";
    /// The record of what ended a run.
    AbortId = "abort";
    /// One demand to stop, effective or not.
    CancelId = "cancel";
    /// One run of the title generation.
    TitleRunId = "title";
    /// One editor connection; request ids are unique only within it.
    ConnectionId = "conn";
}

/// A JSON-RPC request id, kept as the JSON it arrived as: `1`, `"1"`, `1.0`, `null` and `""` are all different.
#[derive(Clone, PartialEq, Eq, Hash, JsonSchema)]
pub struct RequestId(#[schemars(with = "serde_json::Value")] Arc<str>);

impl RequestId {
    /// Reads an id from its JSON text.
    ///
    /// # Errors
    /// Only strings, numbers and null can be ids; anything else is named in the error.
    pub fn parse(json: &str) -> Result<Self, BadRequestId> {
        let json = json.trim();
        match json.as_bytes().first() {
            Some(b'"') => {
                let text: String = serde_json::from_str(json).map_err(|_| BadRequestId("a broken string"))?;
                Ok(Self::from_text(&text))
            }
            Some(b'-' | b'0'..=b'9') => Ok(Self(json.into())),
            Some(b'n') => Ok(Self::null()),
            Some(b'{') => Err(BadRequestId("an object")),
            Some(b'[') => Err(BadRequestId("an array")),
            _ => Err(BadRequestId("a boolean")),
        }
    }

    /// The id `null`: what a notification is recorded with.
    pub fn null() -> Self {
        Self("null".into())
    }

    pub fn from_number(number: i64) -> Self {
        Self(number.to_string().into())
    }

    /// A string id; its JSON text is normalised, so that escapes do not make two ids of one.
    pub fn from_text(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string().into())
    }

    /// The id as JSON text, ready to be written.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }
}

/// What stood where a request id must stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a request id must be a string, a number or null, not {0}")]
pub struct BadRequestId(&'static str);

/// A string is shown as what it says, anything else as it is written.
impl Texts for RequestId {
    fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        let text: Option<String> = serde_json::from_str(&self.0).ok();
        if let Some(other) = change(text.as_deref().unwrap_or(&self.0)) {
            *self = Self::from_text(&other);
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Numbers beyond 64 bits survive only as raw text, which plain JSON writers take verbatim;
        // a tree of values (`to_value`) gets such a number as a string.
        match serde_json::from_str::<serde_json::Value>(&self.0) {
            Ok(value) if value.to_string().as_str() == &*self.0 => value.serialize(serializer),
            _ => serializer.serialize_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Self::parse(&value.to_string()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_different_type_or_value_are_different_ids() {
        let ids = ["0", "\"0\"", "1", "1.0", "\"1\"", "9007199254740992", "18446744073709551616", "null", "\"\"", "-4"];
        let parsed: Vec<_> = ids.iter().map(|id| RequestId::parse(id).expect("an id")).collect();
        for (i, a) in parsed.iter().enumerate() {
            assert_eq!(a.as_json(), ids[i]);
            for (j, b) in parsed.iter().enumerate() {
                assert_eq!(a == b, i == j, "{a} and {b}");
            }
        }
        assert_eq!(RequestId::parse(r#""a""#), RequestId::parse("\"\\u0061\""));
    }

    #[test]
    fn what_is_no_id_is_named() {
        assert_eq!(RequestId::parse("{}").unwrap_err().to_string(), "a request id must be a string, a number or null, not an object");
        assert!(RequestId::parse("[1]").is_err());
        assert!(RequestId::parse("true").is_err());
    }

    #[test]
    fn plain_names_have_one_alphabet_and_eighty_characters() {
        assert!(is_plain_name("vscode.stopButton:1_a-b"));
        assert!(is_plain_name(&"a".repeat(80)));
        assert!(!is_plain_name(&"a".repeat(81)));
        assert!(!is_plain_name(""));
        assert!(!is_plain_name("two words"));
    }
}
