//! What the events of a response's stream look like, as far as they are read.
//!
//! Invariant: an event that is not known is passed over, whatever is in it.

use crate::protocol::diagnostics::{Usage, UsageSource};
use crate::provider::wire::words::{Words, index};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Any event. What is in its objects is read only where the type is known.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    /// Which item of the output it is about.
    #[serde(default, deserialize_with = "index")]
    pub(super) output_index: u64,
    /// Which part of a reasoning item's summary.
    #[serde(default, deserialize_with = "index")]
    pub(super) summary_index: u64,
    /// `response.*.delta`: more text.
    #[serde(borrow, default)]
    pub(super) delta: Words<'a>,
    /// `response.function_call_arguments.done`: all of them.
    #[serde(borrow, default)]
    pub(super) arguments: Words<'a>,
    /// `response.output_item.*`
    #[serde(borrow, default)]
    pub(super) item: Option<&'a RawValue>,
    /// `response.created` and the events that end the stream.
    #[serde(borrow, default)]
    pub(super) response: Option<&'a RawValue>,
}

/// An item of the output: a message, a thought, a call.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    #[serde(borrow, default)]
    pub(super) call_id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) name: Words<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Words<'a>,
}

/// The response as a whole: its id at the beginning, the rest at the end.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) incomplete_details: Option<IncompleteDetails<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct IncompleteDetails<'a> {
    #[serde(borrow, default)]
    pub(super) reason: Words<'a>,
}

/// Usage, if there is any in it; numbers that are no counts are left out.
pub(super) fn usage(json: &RawValue) -> Option<Usage> {
    let value: Value = serde_json::from_str(json.get()).ok()?;
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    let usage = Usage {
        source: UsageSource::Provider,
        input_tokens: count("/input_tokens"),
        output_tokens: count("/output_tokens"),
        reasoning_tokens: count("/output_tokens_details/reasoning_tokens"),
        cached_input_tokens: count("/input_tokens_details/cached_tokens"),
        cache_write_input_tokens: count("/input_tokens_details/cache_write_tokens"),
    };
    (usage.input_tokens.is_some() || usage.output_tokens.is_some()).then_some(usage)
}
