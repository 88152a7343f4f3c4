//! What the vendor protocols over HTTP have in common. A vendor's own room says how a request is written and what the
//! events of its answer mean; everything else (connection, event stream, failures, history) is here.
//!
//! Invariant: a key leaves this room only in the one header of its vendor, in a request to the configured endpoint.

mod attempt;
pub(super) mod calls;
mod endpoint;
mod events;
pub(super) mod fault;
pub(super) mod history;
mod remote;
#[cfg(test)]
pub(super) mod testing;
pub(super) mod words;

pub use endpoint::{Endpoint, KeyHeader, OptionsError};
#[cfg(test)]
pub(super) use events::EVENT_LIMIT;
pub use remote::{Remote, RemoteOptions};

use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use std::collections::VecDeque;

/// A vendor's protocol. A value of it reads one answer.
pub trait Protocol: Sized + Send + 'static {
    /// Where requests go, below the base URL.
    const PATH: &'static str;
    /// The header that carries the key.
    const KEY: KeyHeader;
    /// Headers that every request has, beside those of HTTP and of event streams.
    const HEADERS: &'static [(&'static str, &'static str)];
    /// The header in which the vendor puts its own id of a request.
    const REQUEST_ID: &'static str;
    /// What is missing when a stream ends before the model has finished, as evidence.
    const UNFINISHED: &'static [&'static str];

    /// The path of requests below the base URL's, which does not end with a slash; it may be the whole already.
    fn path(base: &str) -> String {
        if base.ends_with(Self::PATH) { base.to_owned() } else { format!("{base}{}", Self::PATH) }
    }

    /// The request's body.
    ///
    /// # Errors
    /// None that JSON of strings can have; serde's signature is handed on.
    fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error>;

    /// Begins the answer to `request`.
    fn begin(request: &ModelRequest) -> Self;

    /// Reads one event's data, which is not empty; what it says goes to `out`, also before a failure.
    ///
    /// # Errors
    /// The data makes no sense, or reports a failure of the provider.
    fn read(&mut self, data: &str, endpoint: &Endpoint, out: &mut VecDeque<ModelEvent>) -> Result<Reading, Box<StreamFailure>>;

    /// Whether the model has said that it finished: what happens to the connection after that is no failure.
    fn is_finished(&self) -> bool;

    /// The end of an answer that finished, or whose last event has come: tool calls, usage, and the finish.
    ///
    /// # Errors
    /// A tool call cannot be handed on.
    fn finish(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Box<StreamFailure>>;
}

/// Whether an event was the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    GoesOn,
    IsOver,
}
