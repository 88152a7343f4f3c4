//! Exit codes, and how a failure is told: one line on stderr that says what to do next.

use super::output;
use crate::protocol::cause::Cause;
use crate::protocol::ids::TurnId;
use crate::protocol::results::StopReason;
use crate::rpc::client::{ClientError, ErrorObjectOwned, INTERNAL_ERROR_CODE};
use crate::text::plain;
use serde::Deserialize;
use std::io::Write as _;

/// How a subcommand ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    MaxTokens,
    MaxTurnRequests,
    Refused,
    Provider,
    NoModel,
    Cancelled,
    /// The reader of stdout went away: what a shell shows for a program that SIGPIPE ended.
    ReaderGone,
    /// The server's own code.
    Server(i32),
}

impl Exit {
    pub(super) fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::MaxTokens => 3,
            Self::MaxTurnRequests => 4,
            Self::Refused => 5,
            Self::Provider => 6,
            Self::NoModel => 7,
            Self::Cancelled => 130,
            Self::ReaderGone => 141,
            Self::Server(code) => code,
        }
    }

    /// How a turn that was answered ended.
    pub(super) fn of_stop(reason: StopReason) -> Self {
        match reason {
            StopReason::EndTurn => Self::Done,
            StopReason::MaxTokens => Self::MaxTokens,
            StopReason::MaxTurnRequests => Self::MaxTurnRequests,
            StopReason::Refusal => Self::Refused,
            StopReason::Cancelled => Self::Cancelled,
        }
    }

    /// What an error of the server means for a script.
    fn of_refusal(error: &ErrorObjectOwned) -> Self {
        let data = Data::of(error);
        match (data.cause, data.setting.as_deref()) {
            (
                Some(
                    Cause::ConnectTimeout { .. }
                    | Cause::FirstByteTimeout { .. }
                    | Cause::IdleStreamTimeout { .. }
                    | Cause::ProviderHttp { .. }
                    | Cause::ProviderTransport
                    | Cause::ContextOverflow
                    | Cause::ProviderProtocol,
                ),
                _,
            ) => Self::Provider,
            (None, Some("model")) => Self::NoModel,
            _ => Self::Failed,
        }
    }
}

/// Whether a prompt was refused before its turn began. What broke inside may have left a record of one.
pub(super) fn is_before_the_turn(error: &ErrorObjectOwned) -> bool {
    let Data { cause, turn_id, .. } = Data::of(error);
    error.code() != INTERNAL_ERROR_CODE && cause.is_none() && turn_id.is_none()
}

/// The part of an error's `data` that is acted upon.
#[derive(Default, Deserialize)]
struct Data {
    #[serde(flatten)]
    cause: Option<Cause>,
    /// The setting that is missing.
    setting: Option<String>,
    /// The turn that failed.
    #[serde(rename = "turnId")]
    turn_id: Option<TurnId>,
}

impl Data {
    fn of(error: &ErrorObjectOwned) -> Self {
        error.data().and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default()
    }
}

/// The outcome of a subcommand as an exit code; a failure is told first.
pub(super) fn conclude(outcome: anyhow::Result<Exit>) -> i32 {
    let exit = outcome.unwrap_or_else(|error| {
        if output::reader_is_gone(&error) {
            return Exit::ReaderGone;
        }
        if let Some(ClientError::Call(refusal)) = error.downcast_ref() {
            tell(refusal.message());
            return Exit::of_refusal(refusal);
        }
        tell(&chain(&error));
        Exit::Failed
    });
    exit.code()
}

/// Says something to the person. A stderr that nobody reads is no failure.
pub(super) fn tell(text: &str) {
    let mut stderr = std::io::stderr().lock();
    for (line, prefix) in text.lines().zip(std::iter::once("pillion: ").chain(std::iter::repeat("  "))) {
        let _ = writeln!(stderr, "{prefix}{}", plain(line));
    }
}

/// An error with its causes, none said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use serde_json::json;

    #[test]
    fn the_codes_are_those_of_the_protocol() {
        let stops = [StopReason::EndTurn, StopReason::MaxTokens, StopReason::MaxTurnRequests, StopReason::Refusal, StopReason::Cancelled];
        assert_eq!(stops.map(|stop| Exit::of_stop(stop).code()), [0, 3, 4, 5, 130]);
        let refusal = |data| Exit::of_refusal(&ErrorObjectOwned::owned(-32803, "it failed", Some(data))).code();
        assert_eq!(refusal(json!({ "cause": "provider_http", "http_status": 503, "turnId": "t" })), 6);
        assert_eq!(refusal(json!({ "cause": "provider_transport" })), 6);
        assert_eq!(refusal(json!({ "cause": "context_overflow" })), 6);
        assert_eq!(refusal(json!({ "cause": "idle_stream_timeout", "limit_ms": 1000 })), 6);
        assert_eq!(refusal(json!({ "cause": "turn_timeout", "limit_ms": 1000 })), 1);
        assert_eq!(refusal(json!({ "cause": "store_failure" })), 1);
        assert_eq!(refusal(json!({ "setting": "model" })), 7);
        assert_eq!(refusal(json!({ "sessionId": "s" })), 1);
        assert_eq!(Exit::Server(143).code(), 143);
    }

    #[test]
    fn a_turn_is_known_not_to_have_begun_only_where_nothing_speaks_of_one() {
        let before = |code, data| is_before_the_turn(&ErrorObjectOwned::owned(code, "it failed", Some(data)));
        assert!(before(-32803, json!({ "setting": "model" })) && before(-32803, json!({})));
        assert!(!before(-32803, json!({ "cause": "provider_http", "http_status": 503, "turnId": "t" })));
        assert!(!before(-32803, json!({ "turnId": "t" })));
        assert!(!before(-32603, json!({})), "pillion broke, and its record may come later");
    }

    #[test]
    fn a_chain_says_nothing_twice() {
        let inner = std::io::Error::other("no space left");
        let error = Err::<(), _>(inner).context("the export could not be written: no space left").context("nothing was kept");
        assert_eq!(chain(&error.expect_err("an error")), "nothing was kept: the export could not be written: no space left");
    }
}
