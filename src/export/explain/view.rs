//! A lenient look into a document: of any age, with any field absent.

use serde_json::Value;

/// What is said where a field is absent.
pub(super) const ABSENT: &str = "(not recorded)";

/// A part of the document; null where there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a>(&'a Value);

impl<'a> View<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(value)
    }

    pub(super) fn value(self) -> &'a Value {
        self.0
    }

    pub(super) fn at(self, name: &str) -> Self {
        const NULL: &Value = &Value::Null;
        Self(self.0.get(name).unwrap_or(NULL))
    }

    pub(super) fn is_absent(self) -> bool {
        self.0.is_null()
    }

    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    /// The text, or that there is none.
    pub(super) fn said(self, name: &str) -> &'a str {
        self.text(name).unwrap_or(ABSENT)
    }

    pub(super) fn number(self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    pub(super) fn flag(self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(super) fn list(self, name: &str) -> impl Iterator<Item = Self> + use<'a> {
        self.at(name).0.as_array().into_iter().flatten().map(Self)
    }

    pub(super) fn texts(self, name: &str) -> Vec<&'a str> {
        self.list(name).filter_map(|item| item.0.as_str()).collect()
    }

    /// The field as one of the words that this version knows.
    pub(super) fn word<T: serde::Deserialize<'a>>(self, name: &str) -> Option<T> {
        T::deserialize(self.at(name).0).ok()
    }
}
