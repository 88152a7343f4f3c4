//! JSON that is looked at without being taken apart: an object's own fields, each still raw text.
//!
//! Invariant: one pass over the text; values are slices of it, so that a large value costs nothing more.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The fields of one object, in their order. Of a field that stands there twice, the first counts.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub(crate) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// The value of a field that fits `T`; a field that does not fit is as good as absent.
    pub(crate) fn read<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        self.get(key).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// The fields inside the object that stands at `key`.
    pub(crate) fn object(&self, key: &str) -> Option<Fields<'a>> {
        self.get(key).and_then(|value| Self::parse(value.get()).ok())
    }

    /// The field whose value covers byte `offset` of `text`, the text that these fields were read from.
    pub(crate) fn at(&self, text: &str, offset: usize) -> Option<&str> {
        let start = |value: &RawValue| (value.get().as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        self.0.iter().find(|(_, value)| (start(value)..start(value) + value.get().len()).contains(&offset)).map(|(name, _)| name.as_ref())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A key that is borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Writes an object field by field.
#[derive(Debug)]
pub(crate) struct ObjectWriter(String);

impl ObjectWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes + 2);
        text.push('{');
        Self(text)
    }

    pub(crate) fn field(&mut self, key: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_string(&mut self.0, key);
        self.0.push(':');
        self.0.push_str(json);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Writes `text` as a JSON string.
fn push_string(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_slices_and_know_where_they_stand() {
        let text = r#"{"a":{"big":[1,2]}, "b\n": "x", "a": 3}"#;
        let fields = Fields::parse(text).expect("an object");
        assert_eq!(fields.get("a").map(RawValue::get), Some(r#"{"big":[1,2]}"#));
        assert_eq!(fields.read::<String>("b\n").as_deref(), Some("x"));
        assert_eq!(fields.read::<u32>("b\n"), None);
        assert_eq!(fields.at(text, text.find('x').expect("x")), Some("b\n"));
        assert_eq!(fields.at(text, 1), None);
        assert!(Fields::parse("[1]").is_err());
    }

    #[test]
    fn an_object_is_written_as_it_was_read() {
        let mut out = ObjectWriter::with_capacity(0);
        assert!(out.is_empty());
        out.field("a", "1");
        out.field("b\"", "[2]");
        assert_eq!(out.finish(), r#"{"a":1,"b\"":[2]}"#);
    }
}
