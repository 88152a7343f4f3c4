//! The texts of a vendor's event, as servers send them.
//!
//! Invariant: they are borrowed from the event wherever its text has no escapes; null, and what holds no text, is read as
//! "nothing", never an error.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A string, or nothing. Content parts, alone or in a list, are read as their text; what they hold of thoughts stands apart.
#[derive(Debug, Default)]
pub(in crate::provider) struct Words<'a> {
    text: Cow<'a, str>,
    thought: Cow<'a, str>,
}

impl<'a> Words<'a> {
    /// The words, empty if there are none.
    pub(in crate::provider) fn text(self) -> Cow<'a, str> {
        self.text
    }

    pub(in crate::provider) fn as_str(&self) -> &str {
        &self.text
    }

    /// Words and thoughts.
    pub(in crate::provider) fn parts(self) -> (Cow<'a, str>, Cow<'a, str>) {
        (self.text, self.thought)
    }

    fn of(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), thought: Cow::Borrowed("") }
    }
}

impl PartialEq<&str> for Words<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Words<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

/// One content part; a picture has neither of these.
#[derive(Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow, default)]
    r#type: Words<'a>,
    #[serde(borrow, default)]
    text: Words<'a>,
    #[serde(borrow, default)]
    content: Words<'a>,
    #[serde(borrow, default)]
    refusal: Words<'a>,
    #[serde(borrow, default)]
    thinking: Words<'a>,
    #[serde(borrow, default)]
    summary: Words<'a>,
}

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or nothing")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Words::of(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Words::of(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut all = Words::default();
        while let Some(part) = parts.next_element::<Words<'de>>()? {
            for (all, part) in [(&mut all.text, part.text), (&mut all.thought, part.thought)] {
                if all.is_empty() {
                    *all = part;
                } else if !part.is_empty() {
                    all.to_mut().push_str(&part);
                }
            }
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        let part = ContentPart::deserialize(MapAccessDeserializer::new(fields))?;
        let text = [part.text.text, part.content.text, part.refusal.text].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let thought = [part.thinking.text, part.summary.text].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let kind = part.r#type.text;
        if kind.starts_with("thinking") || kind.starts_with("reasoning") {
            let thought = if thought.is_empty() { text } else { thought };
            return Ok(Words { text: Cow::Borrowed(""), thought });
        }
        Ok(Words { text, thought })
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Words::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Words::default())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Words::of(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Words::of(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Words::of(number.to_string()))
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
        assert!(matches!(words(r#""hello""#).text(), Cow::Borrowed("hello")));
        assert!(matches!(words(r#""a\nb""#).text(), Cow::Owned(text) if text == "a\nb"));
    }

    #[test]
    fn what_servers_send_instead_of_a_string_is_its_text_or_nothing() {
        for json in ["null", "true", "{\"a\":[1]}", "\"\"", "[]", "[null,{}]"] {
            assert_eq!(words(json).text(), "", "{json}");
        }
        for (json, text, thought) in [
            ("7", "7", ""),
            (r#"{"type":"text","text":"a"}"#, "a", ""),
            (r#"["a",{"text":"b"},null,{"type":"output_text","text":"c"}]"#, "abc", ""),
            (r#"[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]"#, "a", "hm"),
            (r#"[{"type":"reasoning.text","text":"x"},{"type":"reasoning.summary","summary":"y"}]"#, "", "xy"),
            (r#"{"type":"reasoning.encrypted","data":"abc"}"#, "", ""),
        ] {
            assert_eq!(words(json).parts(), (text.into(), thought.into()), "{json}");
        }
    }
}
