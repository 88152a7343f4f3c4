//! Strings and indices of a vendor's event, as servers send them.
//!
//! Invariant: they are borrowed from the event wherever its text has no escapes; null, and any other type than the
//! vendor's, is read as "nothing", never an error.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A string, or nothing. A list of parts is read as their text.
#[derive(Debug, Default)]
pub(in crate::provider) struct Words<'a>(Cow<'a, str>);

impl<'a> Words<'a> {
    /// The words, if there are any.
    pub(in crate::provider) fn said(self) -> Option<Cow<'a, str>> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

impl PartialEq<&str> for Words<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Words<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

/// An index; 0 where there is none.
pub(in crate::provider) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(raw.get().parse().unwrap_or(0))
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

    fn words(json: &str) -> Words<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn plain_text_is_borrowed_and_escaped_text_is_owned() {
        assert!(matches!(words(r#""hello""#).said(), Some(Cow::Borrowed("hello"))));
        assert!(matches!(words(r#""a\nb""#).said(), Some(Cow::Owned(text)) if text == "a\nb"));
    }

    #[test]
    fn what_servers_do_instead_of_a_string_is_nothing_or_its_text() {
        for json in ["null", "7", "-1", "1.5", "true", "{\"a\":[1]}", "\"\"", "[]"] {
            assert!(words(json).said().is_none(), "{json}");
        }
        let parts = r#"[{"type":"thinking","thinking":[]},{"type":"text","text":"a"},{"type":"text","text":"b"}]"#;
        assert_eq!(words(parts).said().as_deref(), Some("ab"));
    }
}
