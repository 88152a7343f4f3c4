//! What the events of a message stream look like, as far as they are read.
//!
//! Invariant: an event that is not known is passed over, whatever is in it; a field of another type than the vendor's is read
//! as what it plainly means, or as nothing.

use crate::protocol::diagnostics::Usage;
use crate::provider::wire::loose::{Index, Lax, Many};
use crate::provider::wire::usage::{self, counted};
use crate::provider::wire::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Any event, or a whole message.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    #[serde(default)]
    pub(super) index: Index,
    /// `message_start`
    #[serde(borrow, default)]
    pub(super) message: Lax<Message<'a>>,
    /// `content_block_start`
    #[serde(borrow, default)]
    pub(super) content_block: Lax<Block<'a>>,
    /// `content_block_delta`, `message_delta`
    #[serde(borrow, default)]
    pub(super) delta: Lax<Delta<'a>>,
    /// `message_delta`
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

/// A message: its beginning, or all of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) content: Many<Block<'a>>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Words<'a>,
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
    /// The vendor's proof of a thought.
    #[serde(borrow, default)]
    pub(super) signature: Option<Words<'a>>,
    /// A thought that only the vendor reads.
    #[serde(borrow, default)]
    pub(super) data: Words<'a>,
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) name: Words<'a>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
}

/// More of a block, or the end of the message.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) text: Words<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Words<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Option<Words<'a>>,
    /// A string of JSON; some servers send the object itself.
    #[serde(borrow, default)]
    pub(super) partial_json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Words<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Lax<StopDetails<'a>>,
}

/// Why the model refused.
#[derive(Debug, Deserialize)]
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
    /// Takes what is counted in `usage`; what is not keeps its last count, and a zero takes nothing back.
    pub(super) fn take(&mut self, usage: &RawValue) {
        let counts = usage::Counts::read(usage);
        let newer = |old: &mut Option<u64>, pointer: &str| *old = counts.some_at(&[pointer]).or(*old).or_else(|| counts.at(&[pointer]));
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
        let input = [self.uncached, self.cache_read, self.cache_written].into_iter().flatten().reduce(u64::saturating_add);
        counted(Usage {
            input_tokens: input,
            output_tokens: self.output,
            reasoning_tokens: self.thinking,
            cached_input_tokens: self.cache_read,
            cache_write_input_tokens: self.cache_written,
            ..Usage::absent()
        })
    }
}
