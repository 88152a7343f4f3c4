//! What the events of a message stream look like, as far as they are read.
//!
//! Invariant: an event that is not known is passed over, whatever is in it.

use crate::protocol::diagnostics::{Usage, UsageSource};
use crate::provider::wire::words::{Words, index};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Any event. What is in its fields is read only where the type is known.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    #[serde(default, deserialize_with = "index")]
    pub(super) index: u64,
    /// `message_start`
    #[serde(borrow, default)]
    pub(super) message: Option<&'a RawValue>,
    /// `content_block_start`
    #[serde(borrow, default)]
    pub(super) content_block: Option<&'a RawValue>,
    /// `content_block_delta`, `message_delta`
    #[serde(borrow, default)]
    pub(super) delta: Option<&'a RawValue>,
    /// `message_delta`
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
}

/// A block as it begins. Some servers put its first words here, or the whole input of a call.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    #[serde(borrow, default)]
    pub(super) text: Words<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Words<'a>,
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) name: Words<'a>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
}

/// More of a block. The type says which of the fields there is; the others are empty.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) text: Words<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Words<'a>,
    #[serde(borrow, default)]
    pub(super) partial_json: Words<'a>,
}

/// The end of the message.
#[derive(Debug, Default, Deserialize)]
pub(super) struct MessageDelta<'a> {
    #[serde(borrow, default)]
    pub(super) stop_reason: Words<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Option<StopDetails<'a>>,
}

/// Why the model refused.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StopDetails<'a> {
    #[serde(borrow, default)]
    pub(super) explanation: Words<'a>,
}

/// Counts as the vendor gives them: all are totals so far, and none of the three input counts holds another.
#[derive(Debug, Default)]
pub(super) struct Counts {
    uncached: Option<u64>,
    cache_read: Option<u64>,
    cache_written: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    /// Takes what is counted in `usage`; what is not keeps its last count.
    pub(super) fn take(&mut self, usage: &RawValue) {
        let Ok(usage) = serde_json::from_str::<Value>(usage.get()) else { return };
        let newer = |old: &mut Option<u64>, pointer: &str| *old = usage.pointer(pointer).and_then(Value::as_u64).or(*old);
        newer(&mut self.uncached, "/input_tokens");
        newer(&mut self.cache_read, "/cache_read_input_tokens");
        newer(&mut self.cache_written, "/cache_creation_input_tokens");
        newer(&mut self.output, "/output_tokens");
        newer(&mut self.thinking, "/output_tokens_details/thinking_tokens");
    }

    /// The count of an answer that has only begun: what it will write is not known, though the vendor puts a number there.
    pub(super) fn forget_output(&mut self) {
        self.output = None;
    }

    /// All of it, if anything was counted. The input is the whole prompt, as other vendors count it.
    pub(super) fn usage(&self) -> Option<Usage> {
        let input = self.uncached.map(|uncached| uncached + self.cache_read.unwrap_or(0) + self.cache_written.unwrap_or(0));
        (input.is_some() || self.output.is_some()).then_some(Usage {
            source: UsageSource::Provider,
            input_tokens: input,
            output_tokens: self.output,
            reasoning_tokens: self.thinking,
            cached_input_tokens: self.cache_read,
            cache_write_input_tokens: self.cache_written,
        })
    }
}
