//! The classes of stream failures, and the makers of their records.
//!
//! Invariant: the lists are closed, so that `scripted` can replay whatever a real provider can report. Evidence is made of
//! fixed phrases of ours; only `message` may hold a provider's words, cut to [`MESSAGE_LIMIT`].

use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Boundary, ClosedBy, Confidence, Meaning, StreamFailure};
use crate::text::{self, is_name};
use serde::Deserialize;

/// The longest message that a failure keeps, in bytes.
pub const MESSAGE_LIMIT: usize = 2048;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The class as it is written in records and scripts.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

kinds! {
    /// How a connection failed: cause `provider_transport`.
    TransportKind {
        /// Nobody listens at the address.
        ConnectionRefused = "connection_refused",
        Dns = "dns",
        Tls = "tls",
        Unreachable = "unreachable",
        /// The operating system gave up waiting.
        TimedOut = "timed_out",
        /// No connection came about, for a reason that has no class of its own.
        ConnectFailed = "connect_failed",
        ConnectionReset = "connection_reset",
        /// Closed before the answer's head.
        ConnectionClosed = "connection_closed",
        /// The body is shorter than its own framing says.
        BodyTruncated = "body_truncated",
        /// The body ended in good order, but the model never said that it had finished.
        UnexpectedEof = "unexpected_eof",
        /// It broke, for a reason that has no class of its own.
        ConnectionBroken = "connection_broken",
        /// No HTTP client could be set up.
        ClientSetup = "client_setup",
    }
}

impl TransportKind {
    /// Whether the connection never came about, so that nothing was sent.
    pub fn is_connecting(self) -> bool {
        matches!(self, Self::ConnectionRefused | Self::Dns | Self::Tls | Self::Unreachable | Self::ConnectFailed | Self::ClientSetup)
    }
}

/// Who had closed the connection when such a failure was there, if its end had not been read.
pub fn closed_by(failure: &StreamFailure) -> ClosedBy {
    match failure.boundary {
        Boundary::Transport => match TransportKind::ALL.iter().find(|kind| kind.name() == failure.kind) {
            Some(
                TransportKind::ConnectionReset
                | TransportKind::ConnectionClosed
                | TransportKind::BodyTruncated
                | TransportKind::UnexpectedEof,
            ) => ClosedBy::Provider,
            Some(kind) if kind.is_connecting() => ClosedBy::NotOpen,
            _ => ClosedBy::Unknown,
        },
        Boundary::Watchdog | Boundary::ProviderError | Boundary::Protocol => ClosedBy::Us,
    }
}

kinds! {
    /// What about the answer (or the request) was wrong: cause `provider_protocol`.
    ProtocolKind {
        /// The answer is not HTTP.
        BadHttp = "bad_http",
        /// A success without an event stream.
        NotAStream = "not_a_stream",
        /// A stream in another vendor's protocol.
        OtherProtocol = "other_protocol",
        /// An answer that ended well and held neither words nor a tool call.
        EmptyAnswer = "empty_answer",
        /// An answer that grew beyond a limit of pillion's own.
        AnswerTooLarge = "answer_too_large",
        BadSse = "bad_sse",
        EventTooLarge = "event_too_large",
        BadJson = "bad_json",
        BadToolCall = "bad_tool_call",
        /// The provider reported an error inside the stream.
        ProviderError = "provider_error",
        /// The request's history has a tool call without its one result, or a result without a call.
        InvalidHistory = "invalid_history",
        /// The script has no step left for this model call.
        ScriptEnded = "script_ended",
        /// The conversation has more tokens than the model's window holds.
        ContextWindow = "context_window",
        /// A model file in this process could not be loaded.
        ModelLoad = "model_load",
        /// A model file has no chat template, or one that does not work.
        ChatTemplate = "chat_template",
        /// A model in this process failed at its work.
        ModelFailed = "model_failed",
    }
}

impl ProtocolKind {
    /// Whether the provider said it or its bytes show it.
    fn boundary(self) -> Boundary {
        match self {
            Self::ProviderError | Self::ContextWindow | Self::ModelLoad | Self::ChatTemplate | Self::ModelFailed => Boundary::ProviderError,
            Self::BadHttp
            | Self::NotAStream
            | Self::OtherProtocol
            | Self::EmptyAnswer
            | Self::AnswerTooLarge
            | Self::BadSse
            | Self::EventTooLarge
            | Self::BadJson
            | Self::BadToolCall
            | Self::InvalidHistory
            | Self::ScriptEnded => Boundary::Protocol,
        }
    }
}

/// An error status. `code` is kept if it is a name.
pub fn http(status: u16, message: impl AsRef<str>, code: Option<&str>, evidence: &[&'static str]) -> Box<StreamFailure> {
    Box::new(StreamFailure {
        cause: Cause::ProviderHttp { http_status: status },
        boundary: Boundary::ProviderError,
        confidence: Confidence::Certain,
        evidence: phrases(evidence),
        kind: format!("http_{status}"),
        message: cut(message.as_ref()),
        os_error: None,
        code: named(code),
        retry_after_ms: None,
        meaning: code.and_then(Meaning::named),
    })
}

/// A connection that failed or broke.
pub fn transport(kind: TransportKind, message: impl AsRef<str>, evidence: &[&'static str]) -> Box<StreamFailure> {
    let confidence = match kind {
        TransportKind::UnexpectedEof | TransportKind::ConnectionBroken | TransportKind::ConnectFailed => Confidence::Likely,
        _ => Confidence::Certain,
    };
    Box::new(StreamFailure {
        cause: Cause::ProviderTransport,
        boundary: Boundary::Transport,
        confidence,
        evidence: phrases(evidence),
        kind: kind.name().into(),
        message: cut(message.as_ref()),
        os_error: None,
        code: None,
        retry_after_ms: None,
        meaning: None,
    })
}

/// Bytes that make no sense, or an error that the provider reported inside the stream.
pub fn protocol(kind: ProtocolKind, message: impl AsRef<str>, code: Option<&str>, evidence: &[&'static str]) -> Box<StreamFailure> {
    Box::new(StreamFailure {
        cause: if kind == ProtocolKind::ContextWindow { Cause::ContextOverflow } else { Cause::ProviderProtocol },
        boundary: kind.boundary(),
        confidence: Confidence::Certain,
        evidence: phrases(evidence),
        kind: kind.name().into(),
        message: cut(message.as_ref()),
        os_error: None,
        code: named(code),
        retry_after_ms: None,
        meaning: code.and_then(Meaning::named),
    })
}

/// The names that vendors give to errors which pillion acts upon, each in lower case.
const QUOTA_NAMES: &[&str] = &[
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "credit_balance_too_low",
    "insufficient_credits",
    "insufficient_balance",
    "insufficient_funds",
    "payment_required",
    "quota_exhausted",
    "exceeded_current_quota_error",
    "budget_exceeded",
    "access_terminated_error",
];
const RATE_NAMES: &[&str] = &[
    "rate_limit_error",
    "rate_limit_exceeded",
    "rate_limit_reached_error",
    "rate_limit",
    "rate_limited",
    "ratelimiterror",
    "too_many_requests",
    "toomanyrequests",
    "throttlingexception",
    "throttling_error",
    "throttling_exception",
    "resource_exhausted",
    "tokens_per_minute",
    "requests_per_minute",
    "1302",
];
const BUSY_NAMES: &[&str] = &[
    "overloaded_error",
    "overloaded",
    "engine_overloaded",
    "engine_overloaded_error",
    "server_is_overloaded",
    "slow_down",
    "server_overloaded",
    "unavailable",
    "unavailable_error",
    "service_unavailable",
    "serviceunavailableexception",
    "model_overloaded",
];

impl Meaning {
    /// What an error of this name means.
    pub(super) fn named(name: &str) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        let table = [(QUOTA_NAMES, Self::QuotaExhausted), (RATE_NAMES, Self::RateLimited), (BUSY_NAMES, Self::Overloaded)];
        table.into_iter().find(|(names, _)| is(names)).map(|(_, meaning)| meaning)
    }
}

fn phrases(evidence: &[&'static str]) -> Vec<String> {
    evidence.iter().map(|phrase| (*phrase).to_owned()).collect()
}

fn named(code: Option<&str>) -> Option<String> {
    code.filter(|code| !code.is_empty() && is_name(code)).map(str::to_owned)
}

fn cut(message: &str) -> String {
    text::cut(message, MESSAGE_LIMIT).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let failure = http(500, format!("a{}", "é".repeat(2000)), Some("two\nlines"), &[]);
        assert_eq!(failure.message.len(), MESSAGE_LIMIT - 1);
        assert_eq!(failure.code, None);
    }

    #[test]
    fn a_kind_is_read_by_the_name_it_is_written_with() {
        for kind in TransportKind::ALL {
            assert_eq!(serde_json::from_value::<TransportKind>(kind.name().into()).unwrap(), *kind);
        }
        for kind in ProtocolKind::ALL {
            assert_eq!(serde_json::from_value::<ProtocolKind>(kind.name().into()).unwrap(), *kind);
        }
    }
}
