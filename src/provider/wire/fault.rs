//! What went wrong, told as exactly as it is known.
//!
//! Invariant: the key stands in no message and no code; a connection's failure is named by the operating system's or the
//! library's own error type wherever there is one.

use super::Endpoint;
use crate::net::NetError;
use crate::protocol::diagnostics::{Confidence, StreamFailure};
use crate::provider::failure::{ProtocolKind, TransportKind, http, protocol, transport};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
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
    let said = Said::in_body(&body.bytes);
    let mut text = format!("{} answered {status}", endpoint.origin());
    if let Some(location) = location.filter(|_| status.is_redirection()) {
        let target = location.split(['?', '#']).next().unwrap_or_default();
        text = format!("{text} and points to {target}; redirects are not followed, set the base URL to the right place");
    }
    let (message, code) = said.told();
    if !message.is_empty() {
        text = format!("{text}: {message}");
    }
    let extent = match body.extent {
        Extent::Whole => "the error body was read to its end",
        Extent::Cut => "the error body was longer than the limit and was cut",
        Extent::Incomplete => "the error body did not arrive whole",
    };
    http(status.as_u16(), endpoint.clean(text), code.map(|c| endpoint.clean(c)).as_deref(), &["the answer's status is an error", extent])
}

/// An error that the provider reported inside a stream.
pub(in crate::provider) fn reported(endpoint: &Endpoint, data: &str) -> Box<StreamFailure> {
    let (message, code) = Said::in_body(data.as_bytes()).told();
    let message = if message.is_empty() { "the provider reported an error inside the stream".to_owned() } else { message };
    let code = code.map(|code| endpoint.clean(code));
    protocol(ProtocolKind::ProviderError, endpoint.clean(message), code.as_deref(), &["an error object arrived inside the stream"])
}

/// Data that is no JSON, or not of the vendor's shape.
fn bad_json(endpoint: &Endpoint, error: &serde_json::Error) -> Box<StreamFailure> {
    let evidence = match error.classify() {
        serde_json::error::Category::Data => "an event's data is JSON of another shape than the protocol has",
        _ => "an event's data is no JSON",
    };
    let message = format!("an event from {} could not be read: {error}", endpoint.origin());
    protocol(ProtocolKind::BadJson, endpoint.clean(message), None, &[evidence])
}

/// An event's data, or a part of it, in the shape that is known of it.
pub(in crate::provider) fn parsed<'a, T: Deserialize<'a>>(json: &'a str, endpoint: &Endpoint) -> Result<T, Box<StreamFailure>> {
    serde_json::from_str(json).map_err(|error| bad_json(endpoint, &error))
}

/// A field of a known event; one that is missing says nothing.
pub(in crate::provider) fn field<'a, T>(json: Option<&'a RawValue>, endpoint: &Endpoint) -> Result<T, Box<StreamFailure>>
where
    T: Deserialize<'a> + Default,
{
    json.map_or_else(|| Ok(T::default()), |json| parsed(json.get(), endpoint))
}

/// No client could be set up.
pub(super) fn setup(endpoint: &Endpoint, error: &NetError) -> Box<StreamFailure> {
    let message = format!("{}: {}", endpoint.origin(), story(error));
    transport(TransportKind::ClientSetup, endpoint.clean(message), &["no connection was tried"])
}

/// A request or a body that failed below HTTP.
pub(super) fn network(endpoint: &Endpoint, error: reqwest::Error, stage: Stage) -> Box<StreamFailure> {
    let error = error.without_url();
    let found = Found::in_chain(&error, stage);
    let message = endpoint.clean(format!("{}: {}", endpoint.origin(), story(&error)));
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

/// What an error body says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    code: Option<String>,
    /// The kind of error, where the vendor gives one beside the code.
    kind: Option<String>,
}

impl Said {
    /// Reads the shapes that are in use: `{error: {message, code, type}}`, `{error: text}`, `{message}`, `{detail}`, a list
    /// of one of them, or plain text.
    fn in_body(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            let message = if text.starts_with('<') { "the body is a web page, not an API's answer" } else { text };
            return Self { message: message.to_owned(), ..Self::default() };
        };
        if let Some(first) = value.get_mut(0) {
            value = first.take();
        }
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(&value);
        let message = match error {
            Value::String(text) => text.clone(),
            _ => match ["message", "detail"].into_iter().find_map(|field| error.get(field)) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => error.to_string(),
            },
        };
        let name = |field: &str| match error.get(field)? {
            // `error` only says that it is one.
            Value::String(name) if !name.is_empty() && name != "error" => Some(name.clone()),
            Value::Number(name) => Some(name.to_string()),
            _ => None,
        };
        let (code, kind) = (name("code"), name("type"));
        Self { message, code: code.clone().or_else(|| kind.clone()), kind: kind.filter(|_| code.is_some()) }
    }

    /// Message and code. A kind that is not the code stands in front of the message.
    fn told(self) -> (String, Option<String>) {
        let message = match &self.kind {
            Some(kind) if self.code.as_ref() != Some(kind) => format!("{kind}: {}", self.message),
            _ => self.message,
        };
        (message, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_an_error_body_is_read() {
        let said = |message: &str, code: Option<&str>| (message.to_owned(), code.map(str::to_owned));
        for (body, want) in [
            (r#"{"error":{"message":"no","type":"auth","code":"bad_key"}}"#, said("auth: no", Some("bad_key"))),
            (r#"{"error":{"message":"no","type":"auth","code":null}}"#, said("no", Some("auth"))),
            (r#"{"error":"model not found"}"#, said("model not found", None)),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
                said("Overloaded", Some("overloaded_error")),
            ),
            (r#"{"type":"error","code":null,"message":"gone","param":null,"sequence_number":3}"#, said("gone", None)),
            (r#"{"id":"resp_1","error":{"code":"server_error","message":"broke"},"usage":null}"#, said("broke", Some("server_error"))),
            (r#"{"object":"error","message":"too long","code":400}"#, said("too long", Some("400"))),
            (r#"[{"error":{"message":"quota","code":429}}]"#, said("quota", Some("429"))),
            (r#"{"detail":[{"msg":"missing"}]}"#, said(r#"[{"msg":"missing"}]"#, None)),
            ("upstream timed out\n", said("upstream timed out", None)),
            ("<html><title>502</title>", said("the body is a web page, not an API's answer", None)),
            ("", said("", None)),
        ] {
            assert_eq!(Said::in_body(body.as_bytes()).told(), want, "{body}");
        }
    }

    #[test]
    fn a_wrapped_error_is_found_and_told_once() {
        let inner = io::Error::new(io::ErrorKind::UnexpectedEof, "cut");
        let outer = io::Error::other(inner);
        assert_eq!(causes(&outer).count(), 3);
        assert_eq!(story(&outer), "cut");
    }
}
