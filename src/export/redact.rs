//! The projection of a record along its shape: what may be shown stays, the rest becomes a placeholder, and what no shape
//! names is left out and counted.
//!
//! Invariant (sanitized): of a string only what its class admits gets through. A value that does not look like its class
//! is replaced as a whole, so a wrong record hides too much and never too little.

#[cfg(test)]
mod tests;

use super::path::{self, Segments};
use super::placeholder::{self, Kind, Numbers};
use super::project::Projected;
use super::rules;
use crate::protocol::export::{RedactionReport, RuleCount, SessionExport};
use crate::protocol::ids::is_plain_name;
use crate::protocol::record::{Class, Field, Shape, Shaped};
use crate::protocol::said::{self, Piece};
use crate::protocol::tool_run::OWN_COMMAND;
use crate::provenance::KnownKeys;
use crate::text::is_name;
use crate::tool::TOOL_NAMES;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest string of class structure, in bytes.
const MAX_STRUCTURE: usize = 200;
/// The longest value of class enum, in bytes.
const MAX_ENUM: usize = 64;

/// How records are projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything, but for the known keys.
    Full,
    /// Allow-list. A text that merely looks like a placeholder is a text.
    Sanitized,
    /// Allow-list, for a document that was sanitized before: its placeholders stay.
    Again,
}

/// Projects the records of one export and keeps count.
#[derive(Debug)]
pub struct Redactor {
    mode: Mode,
    keys: Arc<KnownKeys>,
    numbers: Numbers,
    counts: BTreeMap<&'static str, u64>,
    unknown_fields: u64,
}

impl Redactor {
    pub fn new(mode: Mode, keys: Arc<KnownKeys>) -> Self {
        Self { mode, keys, numbers: Numbers::default(), counts: BTreeMap::new(), unknown_fields: 0 }
    }

    /// `record`, projected along its own shape.
    ///
    /// # Errors
    /// The record cannot be turned into JSON.
    pub fn record<T: Shaped + Serialize>(&mut self, record: &T) -> serde_json::Result<Projected> {
        Ok(self.project(serde_json::to_value(record)?, T::SHAPE))
    }

    /// `value`, a record or a list of records of this shape, with its fields in the shape's order.
    pub fn project(&mut self, value: Value, shape: Shape) -> Projected {
        match value {
            Value::Object(mut fields) => {
                let mut kept = Vec::with_capacity(fields.len());
                self.take_fields(&mut fields, shape, &mut kept);
                self.unknown_fields += fields.len() as u64;
                Projected::Record(kept)
            }
            Value::Array(records) => Projected::List(records.into_iter().map(|record| self.project(record, shape)).collect()),
            Value::Null => Projected::Leaf(Value::Null),
            other => Projected::Leaf(self.leaf(other, Class::Secret)),
        }
    }

    /// What was replaced so far.
    pub fn report(&self) -> RedactionReport {
        RedactionReport {
            rules: self.counts.iter().map(|(rule, count)| RuleCount { rule: (*rule).into(), count: *count }).collect(),
            unknown_fields: self.unknown_fields,
        }
    }

    fn take_fields(&mut self, fields: &mut Map<String, Value>, shape: Shape, kept: &mut Vec<(&'static str, Projected)>) {
        for field in shape {
            match field {
                Field::Flattened(inner) => self.take_fields(fields, inner, kept),
                Field::Named(name, class) => {
                    if let Some(value) = fields.remove(*name) {
                        kept.push((*name, self.field(value, *class)));
                    }
                }
            }
        }
    }

    fn field(&mut self, value: Value, class: Class) -> Projected {
        match (class, value) {
            (Class::Record(shape), value) => self.project(value, shape()),
            (Class::Secret, value) => Projected::Leaf(self.leaf(value, Class::Secret)),
            (class, Value::Array(items)) => Projected::List(items.into_iter().map(|item| self.field(item, class)).collect()),
            (_, Value::Null) => Projected::Leaf(Value::Null),
            (class, value) => Projected::Leaf(self.leaf(value, class)),
        }
    }

    fn leaf(&mut self, value: Value, class: Class) -> Value {
        match self.mode {
            Mode::Full => self.without_keys(value, class),
            Mode::Again if value.as_str().is_some_and(placeholder::is_whole) => value,
            Mode::Sanitized | Mode::Again => self.sanitized(value, class),
        }
    }

    /// Closed lists, counts and times are ours: they are not searched, so that a key which is spelled like one of our words
    /// cannot make a document unreadable.
    fn without_keys(&mut self, mut value: Value, class: Class) -> Value {
        if self.keys.is_empty() || matches!(class, Class::Enum | Class::Number | Class::Time) {
            return value;
        }
        let found = self.keys_in(&value);
        if found > 0 {
            *self.counts.entry("known_key").or_default() += found;
            value = self.keys.scrub_record(value);
        }
        value
    }

    fn keys_in(&self, value: &Value) -> u64 {
        match value {
            Value::String(text) => self.keys.count(text),
            Value::Number(number) => self.keys.count(&number.to_string()),
            Value::Array(items) => items.iter().map(|item| self.keys_in(item)).sum(),
            Value::Object(fields) => fields.iter().map(|(name, inner)| self.keys.count(name) + self.keys_in(inner)).sum(),
            Value::Null | Value::Bool(_) => 0,
        }
    }

    fn sanitized(&mut self, value: Value, class: Class) -> Value {
        match (class, value) {
            (Class::Said, Value::String(text)) => match said::pieces(&text, |word| TOOL_NAMES.contains(&word)) {
                Some(pieces) => Value::String(pieces.into_iter().map(|piece| self.piece(piece)).collect()),
                None => self.replaced("text", Kind::Text, &text),
            },
            (Class::Text, Value::String(text)) => self.replaced("text", Kind::Text, &text),
            (Class::Path, Value::String(text)) => Value::String(self.path(&text)),
            (Class::Model, Value::String(text)) => match text.split_once(':') {
                Some((kind @ ("scripted" | "local"), file)) if file.contains(['/', '\\']) => {
                    Value::String(format!("{kind}:{}", self.path(file)))
                }
                _ => self.named(text, "name", is_name),
            },
            (Class::Id, Value::String(text)) => self.named(text, "id", is_plain_name),
            (Class::Name, Value::String(text)) => self.named(text, "name", is_name),
            (Class::Tool, Value::String(text)) if text == OWN_COMMAND || TOOL_NAMES.contains(&text.as_str()) => Value::String(text),
            (Class::Tool, Value::String(text)) => self.replaced("tool", Kind::Id, &text),
            (Class::Structure, Value::String(text)) => self.named(text, "structure", is_structure),
            (Class::Enum, Value::String(text)) => match rules::secret_in(&text) {
                None if is_enum(&text) => Value::String(text),
                rule => self.replaced(rule.unwrap_or("enum"), Kind::Id, &text),
            },
            (Class::Id | Class::Name, Value::Number(number)) => match self.keys.count(&number.to_string()) {
                0 => Value::Number(number),
                _ => self.replaced("known_key", Kind::Id, &number.to_string()),
            },
            (Class::Number | Class::Time, Value::Number(number)) => Value::Number(number),
            (Class::Structure, Value::Bool(flag)) => Value::Bool(flag),
            (_, other) => self.replaced("json", Kind::Json, &other.to_string()),
        }
    }

    /// A name of ours or of others: kept if it is of the right form, holds no known key and does not look like a secret.
    fn named(&mut self, text: String, class: &'static str, is_well_formed: fn(&str) -> bool) -> Value {
        // The form goes first: it bounds the length of what the rules have to read.
        let broken = if !is_well_formed(&text) {
            Some(class)
        } else if self.keys.count(&text) > 0 {
            Some("known_key")
        } else {
            rules::secret_in_name(&text)
        };
        match broken {
            None => Value::String(text),
            Some(rule) => self.replaced(rule, Kind::Id, &text),
        }
    }

    fn path(&mut self, path: &str) -> String {
        self.count("path");
        let segments = if self.mode == Mode::Again { Segments::MayBePlaceholders } else { Segments::Raw };
        path::project(path, segments, &mut self.numbers)
    }

    /// A piece of a sentence of ours.
    fn piece(&mut self, piece: Piece<'_>) -> String {
        match piece {
            Piece::Ours(ours) => ours.to_owned(),
            Piece::Others(hidden) if self.mode == Mode::Again && placeholder::is_whole(hidden) => hidden.to_owned(),
            Piece::Others(place) if is_place(place) => self.path(place),
            Piece::Others(others) => {
                self.count("text");
                self.numbers.whole(Kind::Text, others)
            }
        }
    }

    fn replaced(&mut self, rule: &'static str, kind: Kind, content: &str) -> Value {
        self.count(rule);
        Value::String(self.numbers.whole(kind, content))
    }

    fn count(&mut self, rule: &'static str) {
        *self.counts.entry(rule).or_default() += 1;
    }
}

/// Sanitizes an export that was already written, full or sanitized. A sanitized one comes back as it was.
///
/// # Errors
/// The count of what was replaced cannot be turned into JSON.
pub fn sanitize_document(mut document: Value, keys: Arc<KnownKeys>) -> serde_json::Result<Projected> {
    let before = document["sanitized"] == true;
    let mut redactor = Redactor::new(if before { Mode::Again } else { Mode::Sanitized }, keys);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("sanitized".into(), true.into());
        // The report of a full export tells of its known keys only; it is written anew.
        if !before {
            fields.remove("redaction");
        }
    }
    let mut projected = redactor.project(document, SessionExport::SHAPE);
    if let (false, Projected::Record(fields)) = (before, &mut projected) {
        let report = redactor.report();
        fields.push(("redaction", redactor.record(&report)?));
    }
    Ok(projected)
}

/// Whether it is an address or an absolute path.
fn is_place(text: &str) -> bool {
    ["http://", "https://", "/"].iter().any(|start| text.starts_with(start)) && !text.contains(char::is_whitespace)
}

/// What pillion writes itself: printable ASCII of bounded length.
fn is_structure(text: &str) -> bool {
    text.len() <= MAX_STRUCTURE && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// `snake_case`.
fn is_enum(text: &str) -> bool {
    (1..=MAX_ENUM).contains(&text.len())
        && text.as_bytes()[0].is_ascii_lowercase()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
