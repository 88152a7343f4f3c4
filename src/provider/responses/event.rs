//! What the events of a response's stream look like, as far as they are read.
//!
//! Invariant: an event that is not known is passed over, whatever is in it; a field of another type than the vendor's is read
//! as what it plainly means, or as nothing.

use crate::protocol::diagnostics::Usage;
use crate::provider::wire::loose::{Index, Lax, Many};
use crate::provider::wire::usage::{Counts, counted};
use crate::provider::wire::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Any event, or a whole response.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    /// Which item of the output it is about, by its id and by its place.
    #[serde(borrow, default)]
    pub(super) item_id: Words<'a>,
    #[serde(default)]
    pub(super) output_index: Index,
    /// Which part of a reasoning item's summary.
    #[serde(default)]
    pub(super) summary_index: Index,
    /// `response.*.delta`: more words, or more arguments.
    #[serde(borrow, default)]
    pub(super) delta: Option<&'a RawValue>,
    /// `response.*_text.done`: all of them.
    #[serde(borrow, default)]
    pub(super) text: Words<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Words<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    /// `response.content_part.done`
    #[serde(borrow, default)]
    pub(super) part: Lax<Part<'a>>,
    /// `response.output_item.*`
    #[serde(borrow, default)]
    pub(super) item: Lax<Item<'a>>,
    /// `response.created` and the events that end the stream.
    #[serde(borrow, default)]
    pub(super) response: Lax<Response<'a>>,
}

/// A part of a message or of a thought.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    #[serde(borrow, default)]
    pub(super) text: Words<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Words<'a>,
}

/// An item of the output: a message, a thought, a call.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Words<'a>,
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) call_id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) name: Words<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) content: Many<Part<'a>>,
    #[serde(borrow, default)]
    pub(super) summary: Many<Part<'a>>,
}

/// The response as a whole: its id at the beginning, the rest at the end.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    /// `response`, where it is no event but the answer itself.
    #[serde(borrow, default)]
    pub(super) object: Words<'a>,
    #[serde(borrow, default)]
    pub(super) status: Words<'a>,
    #[serde(borrow, default)]
    pub(super) output: Many<Item<'a>>,
    #[serde(borrow, default)]
    pub(super) incomplete_details: Lax<IncompleteDetails<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IncompleteDetails<'a> {
    #[serde(borrow, default)]
    pub(super) reason: Words<'a>,
}

/// Usage, if anything was counted.
pub(super) fn usage(json: &RawValue) -> Option<Usage> {
    let counts = Counts::read(json);
    counted(Usage {
        input_tokens: counts.some_at(&["/input_tokens", "/prompt_tokens"]),
        output_tokens: counts.at(&["/output_tokens", "/completion_tokens"]),
        reasoning_tokens: counts.at(&["/output_tokens_details/reasoning_tokens"]),
        cached_input_tokens: counts.at(&["/input_tokens_details/cached_tokens"]),
        cache_write_input_tokens: counts.at(&["/input_tokens_details/cache_write_tokens"]),
        ..Usage::absent()
    })
}
