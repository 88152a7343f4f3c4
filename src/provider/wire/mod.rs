//! What the vendor protocols over HTTP have in common. A vendor's own room says how a request is written and what the
//! events of its answer mean; everything else (connection, event stream, failures, history) is here.
//!
//! Invariant: a key leaves this room only in the one header of its vendor, in a request to the configured endpoint.

pub(super) mod answer;
mod asking;
mod attempt;
mod body;
pub(super) mod calls;
mod documents;
mod endpoint;
mod fault;
pub(super) mod history;
mod limits;
pub(super) mod loose;
#[cfg(test)]
mod mutation_tests;
mod progress;
mod reasons;
mod refused;
mod remote;
pub(super) mod said;
mod sse;
mod tags;
#[cfg(test)]
pub(super) mod testing;
mod told;
pub(super) mod usage;
mod waits;
pub(super) mod words;

pub use answer::Answer;
pub use asking::Asking;
#[cfg(test)]
pub(super) use body::EVENT_LIMIT;
pub use endpoint::{Endpoint, KeyHeader, OptionsError};
pub use limits::AnswerLimits;
pub use refused::Refusal;
pub use remote::{Remote, RemoteOptions};

use crate::protocol::diagnostics::StreamFailure;
use said::Said;

/// A vendor's protocol. A value of it reads one answer, and keeps what only its vendor tells.
pub trait Protocol: Default + Send + 'static {
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
    /// The last event, which is the finish reason where no other was given.
    const LAST: &'static str;
    /// What servers refuse of a request that they would take without it, or in another form.
    const REFUSABLE: &'static [Refusal];

    /// The path of requests below the base URL's, which does not end with a slash; it may be the whole already.
    fn path(base: &str) -> String {
        if base.ends_with(Self::PATH) { base.to_owned() } else { format!("{base}{}", Self::PATH) }
    }

    /// The request's body.
    ///
    /// # Errors
    /// None that JSON of strings can have; serde's signature is handed on.
    fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error>;

    /// Reads one event: its name, if it has one, and its data, an object. What it says goes to `answer`, also before a failure.
    ///
    /// # Errors
    /// The data is no JSON (and nothing of it was read), or reports a failure of the provider.
    fn read(&mut self, name: &str, data: &str, answer: &mut Answer) -> Result<Reading, Unread>;

    /// The answer is over: what is only known now goes to `answer`.
    ///
    /// # Errors
    /// It is more than the limits allow.
    fn end(&mut self, _answer: &mut Answer) -> Result<(), Box<StreamFailure>> {
        Ok(())
    }
}

/// What an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    GoesOn,
    /// It was the last.
    IsOver,
    /// There was nothing in it that the protocol knows.
    Unknown,
}

/// Why an event was not read.
#[derive(Debug)]
pub enum Unread {
    Json(serde_json::Error),
    /// The provider reports an error.
    Error(Said),
    Failure(Box<StreamFailure>),
}

impl From<serde_json::Error> for Unread {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<Said> for Unread {
    fn from(said: Said) -> Self {
        Self::Error(said)
    }
}

impl From<Box<StreamFailure>> for Unread {
    fn from(failure: Box<StreamFailure>) -> Self {
        Self::Failure(failure)
    }
}
