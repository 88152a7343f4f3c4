//! What went wrong, told as exactly as it is known.
//!
//! Invariant: the key stands in no message and no code; a connection's failure is named by the operating system's or the
//! library's own error type wherever there is one.

use super::Endpoint;
use super::reasons::Reason;
use super::said::Said;
use crate::net::NetError;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Confidence, Meaning, StreamFailure};
use crate::protocol::said::{self, with};
use crate::provider::failure::{ProtocolKind, TransportKind, http, protocol, transport};
use reqwest::StatusCode;
use std::error::Error;
use std::io;

/// How far a request had come when its connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    BeforeHead,
    InBody,
}

/// An error answer's body, as much as was read of it.
#[derive(Debug)]
pub(super) struct ErrorBody {
    pub(super) bytes: Vec<u8>,
    pub(super) extent: Extent,
}

/// How much of a body was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// The rest was longer than anybody wants to read.
    Cut,
    /// The rest did not come.
    Incomplete,
}

/// An answer whose status is no success.
pub(super) fn status(endpoint: &Endpoint, status: StatusCode, location: Option<&str>, body: &ErrorBody) -> Box<StreamFailure> {
    let said = Said::read(&String::from_utf8_lossy(&body.bytes));
    let (origin, words, message) = (endpoint.origin(), reason(status), said.told());
    let target = location.filter(|_| status.is_redirection()).map(|location| location.split(['?', '#']).next().unwrap_or_default());
    let text = match (target, message.is_empty()) {
        (None, true) => with(said::REFUSED, &[&origin, &status.as_u16(), &words]),
        (None, false) => with(said::REFUSED_SAYING, &[&origin, &status.as_u16(), &words, &message]),
        (Some(target), true) => with(said::REDIRECTED, &[&origin, &status.as_u16(), &words, &target]),
        (Some(target), false) => with(said::REDIRECTED_SAYING, &[&origin, &status.as_u16(), &words, &target, &message]),
    };
    let extent = match body.extent {
        Extent::Whole => "the error body was read to its end",
        Extent::Cut => "the error body was longer than the limit and was cut",
        Extent::Incomplete => "the error body did not arrive whole",
    };
    let status = status.as_u16();
    // A code that repeats the status says nothing.
    let code = said.code().filter(|code| *code != status.to_string()).map(|code| endpoint.clean(code));
    let failure = http(status, endpoint.clean(text), code.as_deref(), &["the answer's status is an error", extent]);
    meant(failure, &said, Some(status))
}

/// An error that the provider reported inside a stream.
pub(super) fn reported(endpoint: &Endpoint, said: &Said) -> Box<StreamFailure> {
    let message = said.told();
    let message = if message.is_empty() { said::REPORTED.to_owned() } else { message };
    let code = said.code().map(|code| endpoint.clean(code));
    let evidence = ["an error object arrived inside the stream"];
    meant(protocol(ProtocolKind::ProviderError, endpoint.clean(message), code.as_deref(), &evidence), said, None)
}

/// The failure with what the provider means by it.
fn meant(mut failure: Box<StreamFailure>, said: &Said, status: Option<u16>) -> Box<StreamFailure> {
    if said.is_context_overflow(status) {
        failure.cause = Cause::ContextOverflow;
        return failure;
    }
    failure.meaning = said.means(status);
    failure.retry_after_ms = failure.meaning.and_then(|_| said.wait_ms());
    failure
}

/// A finish reason that names a failure.
pub(super) fn ended(reason: Reason, raw: &str) -> Box<StreamFailure> {
    let message = with(said::ENDED_AS, &[&format!("{raw:?}")]);
    let mut failure = protocol(ProtocolKind::ProviderError, message, Some(raw), &["the finish reason names a failure"]);
    failure.meaning = failure.meaning.or((reason == Reason::Busy).then_some(Meaning::Overloaded));
    failure
}

/// An answer that ended well and said nothing.
pub(super) fn empty(raw: &str, has_thought: bool) -> Box<StreamFailure> {
    let (message, evidence) = if has_thought {
        (said::ONLY_THOUGHT, "the answer held thoughts, but neither words nor a tool call")
    } else {
        (said::SAID_NOTHING, "the answer held neither words nor a tool call")
    };
    protocol(ProtocolKind::EmptyAnswer, with(message, &[&format!("{raw:?}")]), None, &[evidence])
}

/// A success whose body is something else than events.
pub(super) fn not_a_stream(endpoint: &Endpoint, status: StatusCode, path: &str, said: &Said) -> Box<StreamFailure> {
    let message = with(said::NOT_A_STREAM, &[&endpoint.origin(), &status.as_u16(), &reason(status), &said.told(), &path]);
    let evidence = ["the body holds words, but no event"];
    meant(protocol(ProtocolKind::NotAStream, endpoint.clean(message), None, &evidence), said, None)
}

/// An answer in another protocol than was asked in.
pub(super) fn other_protocol(endpoint: &Endpoint, speaks: &str, mend: &str) -> Box<StreamFailure> {
    let message = with(said::OTHER_PROTOCOL, &[&endpoint.origin(), &speaks, &mend]);
    protocol(ProtocolKind::OtherProtocol, message, None, &["the answer has the shape of another protocol"])
}

/// Data that is no JSON.
pub(super) fn bad_json(endpoint: &Endpoint, error: &serde_json::Error) -> Box<StreamFailure> {
    let message = with(said::EVENT_UNREADABLE, &[&endpoint.origin(), error]);
    protocol(ProtocolKind::BadJson, endpoint.clean(message), None, &["an event's data is no JSON"])
}

/// No client could be set up.
pub(super) fn setup(endpoint: &Endpoint, error: &NetError) -> Box<StreamFailure> {
    let message = with(said::NO_CLIENT, &[&endpoint.origin(), &story(error)]);
    transport(TransportKind::ClientSetup, endpoint.clean(message), &["no connection was tried"])
}

/// A request or a body that failed below HTTP.
pub(super) fn network(endpoint: &Endpoint, error: reqwest::Error, stage: Stage) -> Box<StreamFailure> {
    let error = error.without_url();
    let found = Found::in_chain(&error, stage);
    let message = endpoint.clean(with(said::CONNECTION_FAILED, &[&endpoint.origin(), &story(&error)]));
    let stage = match stage {
        Stage::BeforeHead => "it failed before the head of the answer",
        Stage::InBody => "it failed after the head of the answer",
    };
    let mut failure = match found.class {
        Class::Transport(kind) => transport(kind, message, &[found.basis.phrase(), stage]),
        Class::NotHttp => protocol(ProtocolKind::BadHttp, message, None, &[found.basis.phrase(), stage]),
    };
    if found.basis == Basis::Text {
        failure.confidence = Confidence::Likely;
    }
    failure.os_error = found.os_error;
    failure
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Transport(TransportKind),
    NotHttp,
}

/// What a class rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    Os,
    Typed,
    Text,
    Nothing,
}

impl Basis {
    fn phrase(self) -> &'static str {
        match self {
            Self::Os => "the operating system named the error",
            Self::Typed => "the HTTP or TLS library named the error by its type",
            Self::Text => "the HTTP library named the error in words only",
            Self::Nothing => "no error of a known class was found",
        }
    }
}

/// What a chain of errors says about the connection.
#[derive(Debug)]
struct Found {
    class: Class,
    basis: Basis,
    os_error: Option<i32>,
}

impl Found {
    fn in_chain(error: &reqwest::Error, stage: Stage) -> Self {
        let os_error = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
        let at = |kind, basis| Self { class: Class::Transport(kind), basis, os_error };
        if error.is_dns() {
            return at(TransportKind::Dns, Basis::Typed);
        }
        if causes(error).any(|cause| cause.is::<rustls::Error>()) {
            return at(TransportKind::Tls, Basis::Typed);
        }
        if let Some(kind) = causes(error).find_map(|cause| io_kind(cause.downcast_ref::<io::Error>()?, stage)) {
            return at(kind, if os_error.is_some() { Basis::Os } else { Basis::Typed });
        }
        for cause in causes(error) {
            // hyper says these only in words; the tests of this room hold the words in place.
            let words = cause.to_string();
            if words == "connection closed before message completed" {
                return at(TransportKind::ConnectionClosed, Basis::Text);
            }
            if words.starts_with("invalid HTTP ") {
                return Self { class: Class::NotHttp, basis: Basis::Text, os_error };
            }
        }
        at(if error.is_connect() { TransportKind::ConnectFailed } else { TransportKind::ConnectionBroken }, Basis::Nothing)
    }
}

fn io_kind(error: &io::Error, stage: Stage) -> Option<TransportKind> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(TransportKind::ConnectionRefused),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            Some(TransportKind::ConnectionReset)
        }
        io::ErrorKind::TimedOut => Some(TransportKind::TimedOut),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some(TransportKind::Unreachable),
        io::ErrorKind::UnexpectedEof if stage == Stage::InBody => Some(TransportKind::BodyTruncated),
        io::ErrorKind::UnexpectedEof => Some(TransportKind::ConnectionClosed),
        _ => None,
    }
}

/// An error and its causes. An `io::Error` hides the error that it wraps from `source`, so it is unwrapped here.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// What a status is called.
fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("<unknown status code>")
}

/// The chain's words in a row, each only once.
fn story(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for words in causes(error).map(ToString::to_string) {
        if !text.ends_with(&words) {
            text = if text.is_empty() { words } else { format!("{text}: {words}") };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_error_is_found_and_told_once() {
        let inner = io::Error::new(io::ErrorKind::UnexpectedEof, "cut");
        let outer = io::Error::other(inner);
        assert_eq!(causes(&outer).count(), 3);
        assert_eq!(story(&outer), "cut");
    }
}
