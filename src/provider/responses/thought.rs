//! Reasoning items as the vendor wants them back.
//!
//! Invariant: an item goes back as it came, once, in front of what followed from it. One whose thought is not in it would be
//! looked up at the vendor, where nothing is kept: it does not go back.

use crate::protocol::diagnostics::StreamFailure;
use crate::provider::wire::answer::Answer;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The items that were kept, by their ids.
#[derive(Debug, Default)]
pub(super) struct Thoughts(HashSet<String>);

/// The items of an event or of a response, as they came.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AsCame<'a> {
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

impl<'a> AsCame<'a> {
    pub(super) fn read(data: &'a str) -> Self {
        serde_json::from_str(data).unwrap_or_default()
    }

    /// The one item of an event.
    pub(super) fn item(&self) -> Option<&'a RawValue> {
        self.item
    }

    /// The items of a whole response.
    pub(super) fn output(&self) -> Vec<&'a RawValue> {
        let of_response = self.response.and_then(|json| serde_json::from_str::<AsCame<'a>>(json.get()).ok()?.output);
        let items = self.output.or(of_response).and_then(|json| serde_json::from_str::<Vec<&RawValue>>(json.get()).ok());
        items.unwrap_or_default().into_iter().filter(|item| item.get().starts_with('{')).collect()
    }
}

impl Thoughts {
    /// Keeps the item, if it is one that goes back: in front of what comes next, or of a call that has come.
    pub(super) fn keep(&mut self, item: &RawValue, call: Option<usize>, answer: &mut Answer) -> Result<(), Box<StreamFailure>> {
        let json = item.get();
        let read: Value = serde_json::from_str(json).unwrap_or_default();
        let has = |field: &str| {
            read.get(field).is_some_and(|value| !matches!(value, Value::Null) && value != "" && value != &Value::Array(vec![]))
        };
        if read.get("type").and_then(Value::as_str) != Some("reasoning") || !(has("encrypted_content") || has("content")) {
            return Ok(());
        }
        let id = read.get("id").and_then(Value::as_str).unwrap_or(json);
        if !self.0.insert(id.to_owned()) {
            return Ok(());
        }
        match call {
            Some(nth) => answer.state_before(json.to_owned(), nth),
            None => answer.state(json.to_owned()),
        }
    }
}
