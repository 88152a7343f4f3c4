//! The model calls of a stopped turn, an attempt each: how it ended, and who closed the connection.

use super::abort::NO_WORDS;
use super::story::{Story, duration};
use super::turns::Turns;
use super::view::{ABSENT, View};
use crate::protocol::diagnostics::{ClosedBy, StreamState};

/// One line for each attempt, or that there was none.
pub(super) fn tell(abort: View<'_>, turns: &Turns<'_>, story: &mut Story) {
    if turns.has_traces() && turns.traces(abort).is_empty() {
        story.fact("model", "no call of it is recorded, so nothing was open to it");
    }
    for trace in turns.traces(abort) {
        let number = |name| trace.number(name).map_or_else(|| "?".into(), |number| number.to_string());
        let status = trace.number("http_status").map(|status| format!(", status {status}")).unwrap_or_default();
        story.fact(
            "model",
            &format!(
                "{}:{}, step {}, attempt {} ({}): {}{status}; upstream {}",
                trace.said("provider"),
                trace.said("model"),
                number("step"),
                number("attempt"),
                trace.said("attempt_id"),
                end(*trace),
                upstream(*trace),
            ),
        );
    }
}

fn end(trace: View<'_>) -> String {
    let words = match trace.word("state") {
        Some(StreamState::Open) => "its end is not recorded",
        Some(StreamState::Completed) => "was answered",
        Some(StreamState::Failed) => "failed",
        Some(StreamState::Aborted) => "was stopped",
        None if trace.at("state").is_absent() => return ABSENT.into(),
        None => NO_WORDS,
    };
    let after = trace.at("timeline").number("ended_us").map(|us| format!(" after {}", duration(us))).unwrap_or_default();
    format!("{words}{after}")
}

/// Who closed the connection, and when.
pub(super) fn upstream(trace: View<'_>) -> String {
    let upstream = trace.at("upstream");
    let words = match upstream.word("closed_by") {
        Some(ClosedBy::Us) => "closed by pillion",
        Some(ClosedBy::Provider) => "ended by the provider",
        Some(ClosedBy::Unknown) => "closed, it is not known by whom",
        Some(ClosedBy::NotOpen) => "not open",
        None if upstream.is_absent() => return ABSENT.into(),
        None => NO_WORDS,
    };
    let at = upstream.number("at_us").map(|us| format!(" at +{}", duration(us))).unwrap_or_default();
    format!("{words}{at}")
}
