//! Objects, lists and numbers of a vendor's event, as servers send them.
//!
//! Invariant: what has another type than the vendor's is read as what it plainly means, or as nothing; it is never an error.

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// An object, or nothing. Of a list, the first object in it.
#[derive(Debug)]
pub(in crate::provider) struct Lax<T>(pub(in crate::provider) Option<T>);

/// A list of objects; an object in the place of a list is its only one, or holds them by number.
#[derive(Debug)]
pub(in crate::provider) struct Many<T>(pub(in crate::provider) Vec<T>);

/// An object, in no other way than the vendor writes it.
#[derive(Debug)]
pub(in crate::provider) struct Plain<T>(pub(in crate::provider) T);

/// A number that tells things apart, however it is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct Index(pub(in crate::provider) Option<i64>);

impl<T> Default for Lax<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lax<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Loose::<Self>(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Loose::<Self>(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Plain<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PlainVisitor(PhantomData))
    }
}

/// Reads an object; a list in the place of one, which a derived type would take field by field, is an error.
struct PlainVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PlainVisitor<T> {
    type Value = Plain<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Plain)
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Loose::<Self>(PhantomData))
    }
}

/// Reads whatever stands there.
struct Loose<T>(PhantomData<T>);

/// What a value is read from; what a type does not say it reads, it passes over.
trait FromAny<'de>: Default {
    fn map<A: MapAccess<'de>>(mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn list<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn number(_: i64) -> Self {
        Self::default()
    }

    fn text(_: &str) -> Self {
        Self::default()
    }
}

impl<'de, T: Deserialize<'de>> FromAny<'de> for Lax<T> {
    fn map<A: MapAccess<'de>>(fields: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(|value| Self(Some(value)))
    }

    fn list<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        let mut first = None;
        while let Some(Self(item)) = items.next_element()? {
            first = first.or(item);
        }
        Ok(Self(first))
    }
}

impl<'de, T: Deserialize<'de>> FromAny<'de> for Many<T> {
    fn map<A: MapAccess<'de>>(mut fields: A) -> Result<Self, A::Error> {
        let Some(first) = fields.next_key::<Key<'de>>()? else { return Ok(Self::default()) };
        if first.0.is_empty() || first.0.bytes().any(|byte| !byte.is_ascii_digit()) {
            let whole = Rejoined { first: Some(first.0), rest: fields };
            return T::deserialize(MapAccessDeserializer::new(whole)).map(|only| Self(vec![only]));
        }
        let mut all = Vec::new();
        all.extend(fields.next_value::<Lax<T>>()?.0);
        while let Some((_, Lax(item))) = fields.next_entry::<IgnoredAny, Lax<T>>()? {
            all.extend(item);
        }
        Ok(Self(all))
    }

    fn list<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        let mut all = Vec::new();
        while let Some(Lax(item)) = items.next_element()? {
            all.extend(item);
        }
        Ok(Self(all))
    }
}

impl FromAny<'_> for Index {
    fn number(number: i64) -> Self {
        Self(Some(number))
    }

    fn text(text: &str) -> Self {
        let text = text.trim();
        Self(text.parse().ok().or_else(|| text.parse().ok().and_then(whole)))
    }
}

/// A number that is written with a fraction of zero.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers in range come so far")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

impl<'de, T: FromAny<'de>> Visitor<'de> for Loose<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::map(fields)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<T, A::Error> {
        T::list(items)
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(i64::try_from(number).map_or_else(|_| T::default(), T::number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(whole(number).map_or_else(T::default, T::number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object whose first key was looked at.
struct Rejoined<'de, A> {
    first: Option<Cow<'de, str>>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rejoined<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(Cow::Borrowed(key)) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            Some(Cow::Owned(key)) => seed.deserialize(StrDeserializer::new(&key)).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::Words;
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Item<'a> {
        #[serde(default)]
        index: Index,
        #[serde(borrow, default)]
        id: Words<'a>,
    }

    fn items(json: &str) -> Vec<(Option<i64>, String)> {
        let Many(items) = serde_json::from_str::<Many<Item<'_>>>(json).unwrap();
        items.into_iter().map(|item| (item.index.0, item.id.text().into_owned())).collect()
    }

    #[test]
    fn a_list_is_read_however_it_is_written() {
        let a = (Some(0), "a".to_owned());
        for json in [
            r#"[{"index":0,"id":"a"}]"#,
            r#"{"index":0,"id":"a"}"#,
            r#"{"0":{"index":0,"id":"a"}}"#,
            r#"[null,7,"x",{"index":"0","id":"a"}]"#,
            r#"[{"index":0.0,"id":["a"]}]"#,
            r#"{"\u0069d":"a","index":0}"#,
        ] {
            assert_eq!(items(json), std::slice::from_ref(&a), "{json}");
        }
        assert_eq!(items(r#"{"1":{"id":"b"},"0":{"index":-1}}"#), [(None, "b".to_owned()), (Some(-1), String::new())]);
        for json in ["null", "7", "-1", "\"x\"", "true", "[]", "{}", "[[]]", "1e400"] {
            let read = serde_json::from_str::<Many<Item<'_>>>(json).map(|many| many.0.len());
            assert!(matches!(read, Ok(0)) || json == "1e400", "{json}: {read:?}");
        }
    }

    #[test]
    fn an_index_is_read_however_it_is_written() {
        for (json, want) in [("0", Some(0)), ("\"2\"", Some(2)), ("1.0", Some(1)), ("-1", Some(-1)), ("\"1.0\"", Some(1)), ("1.5", None)] {
            assert_eq!(serde_json::from_str::<Index>(json).unwrap(), Index(want), "{json}");
        }
        for json in ["null", "true", "{\"a\":1}", "[0]", "\"x\"", "18446744073709551615"] {
            assert_eq!(serde_json::from_str::<Index>(json).unwrap(), Index(None), "{json}");
        }
    }
}
