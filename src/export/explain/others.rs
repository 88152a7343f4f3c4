//! What else went wrong: titles, streams, cancel requests without effect, incidents.

use super::abort::{NO_WORDS, cause, explained, listed, sentence, who};
use super::story::{Story, counted, duration, wall};
use super::streams;
use super::turns::Turns;
use super::view::View;
use crate::protocol::abort::CancelOutcome;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{RetryVerdict, StreamState, TitleSource};

pub(super) fn tell_all(turns: &Turns<'_>, story: &mut Story) {
    for title in turns.records("title_generations") {
        tell_title(title, story);
    }
    for trace in turns.records("stream_traces") {
        tell_stream(trace, story);
    }
    for request in turns.records("cancel_requests") {
        tell_cancel(request, turns, story);
    }
    for incident in turns.records("incidents") {
        story.head(&format!("Incident: {}", incident.said("name")));
        story.fact("when", &wall(incident.number("at")));
        for (label, name) in [("row", "row"), ("method", "method"), ("turn", "turn_id")] {
            if let Some(of) = incident.text(name) {
                story.fact(label, of);
            }
        }
        story.fact("what", incident.said("message"));
        if let Some(line) = incident.at("panicked_at").number("line") {
            story.fact("where", &format!("{}:{line} of pillion's code", incident.at("panicked_at").said("file")));
        }
    }
}

/// Whether it was being made when its process died.
pub(super) fn has_died(title: View<'_>) -> bool {
    title.text("error_name") == Some("process_died")
}

/// A title that could not be made, or was made and not used.
fn tell_title(title: View<'_>, story: &mut Story) {
    let what = match (title.flag("success"), title.flag("applied")) {
        (Some(false), _) => "failed",
        (Some(true), Some(false)) => "was not used",
        _ => return,
    };
    story.head(&format!("Title {} {what}", title.said("title_run_id")));
    let ended = title.number("completed_at").map_or_else(|| "; when it ended is not known".into(), |at| format!(" to {}", wall(Some(at))));
    story.fact("when", &format!("{}{ended}", wall(title.number("started_at"))));
    story.fact("why", &format!("{}: {}", title.said("error_name"), title.said("error_message")));
    for (name, what) in [("abort_id", "the stop"), ("cancel_id", "the cancel request")] {
        if let Some(id) = title.text(name) {
            story.fact("ended by", &format!("{what} {id}"));
        }
    }
    let last = title.at("attempt");
    if let Some(number) = last.number("attempt") {
        let then = if last.at("retry").is_absent() { String::new() } else { format!("; the last one {}", what_then(last.at("retry"))) };
        story.fact("asked", &format!("{}{then}", counted(number, "time")));
    }
    if title.word("source") == Some(TitleSource::Model) || !last.is_absent() {
        story.fact("upstream", &streams::upstream(last));
    }
    let applied = if title.flag("applied") == Some(true) { "stored" } else { "not stored" };
    story.fact("outcome", &format!("a title from {} was {applied}", title.said("source")));
}

fn tell_stream(trace: View<'_>, story: &mut Story) {
    if trace.word("state") != Some(StreamState::Failed) {
        return;
    }
    let failure = trace.at("failure");
    story.head(&format!("Stream {} failed", trace.said("attempt_id")));
    story.fact("when", &format!("{}, in {}", wall(trace.number("created_at")), trace.said("turn_id")));
    story.fact("model", &format!("{} ({})", trace.said("model"), trace.said("provider")));
    story.fact("what", &format!("{} [{}]", sentence(failure), cause(failure).name()));
    story.fact("why", &format!("{}: {}", failure.said("kind"), failure.said("message")));
    let evidence = listed(&failure.texts("evidence"), "no evidence recorded");
    story.fact("upstream", &streams::upstream(trace));
    story.fact("how sure", &format!("{} that it was {}: {evidence}", failure.said("confidence"), failure.said("boundary")));
    if !trace.at("retry").is_absent() {
        story.fact("then", &what_then(trace.at("retry")));
    }
}

/// What became of the call whose attempt failed.
fn what_then(retry: View<'_>) -> String {
    let reasons = listed(&retry.texts("reasons"), "no reasons recorded");
    match (retry.word("verdict"), retry.number("delay_ms")) {
        (Some(RetryVerdict::Again), Some(ms)) => format!("to be made again after {}: {reasons}", duration(ms.saturating_mul(1000))),
        (Some(RetryVerdict::Again), None) => format!("to be made again: {reasons}"),
        (Some(RetryVerdict::GivenUp), _) => format!("not made again: {reasons}"),
        (None, _) => explained(retry, "verdict", NO_WORDS),
    }
}

/// The cause that it would have been.
fn demanded(request: View<'_>) -> String {
    let cause = cause(request);
    match &cause {
        Cause::Signal { signal_name } => format!("{signal_name} [{}]", cause.name()),
        Cause::ClientProcessDied { pid } => format!("process {pid} ended [{}]", cause.name()),
        _ => format!("[{}]", cause.name()),
    }
}

fn tell_cancel(request: View<'_>, turns: &Turns<'_>, story: &mut Story) {
    let outcome = request.word("outcome");
    let turn = request.said("turn_id");
    let stopped = turns.of_turn("aborts", turn);
    let why = match outcome {
        // The stop itself tells of it.
        Some(CancelOutcome::Cancelled) if stopped.iter().any(|abort| abort.text("abort_id") == request.text("abort_id")) => return,
        Some(CancelOutcome::Cancelled) if request.text("abort_id").is_some() => "it was accepted, and the turn has no end yet",
        Some(CancelOutcome::Cancelled) => "no turn was left to stop, but its title was still being made, and that was stopped",
        Some(CancelOutcome::AlreadyStopping) => "another stop had won",
        Some(CancelOutcome::AlreadySettled) => "the turn had ended before",
        Some(CancelOutcome::Idle) => "nothing was running",
        Some(CancelOutcome::IgnoredAwaitingAnswer) => "a question was open, and a soft stop waits for it",
        Some(CancelOutcome::NotOwner) => "another process was running the session",
        Some(CancelOutcome::UnknownSession) => "there is no such session",
        Some(CancelOutcome::IgnoredSignal) => "a program is the client, and the signal is meant for that",
        None => NO_WORDS,
    };
    let effect = match outcome {
        Some(CancelOutcome::Cancelled) | None => "",
        Some(_) => " had no effect",
    };
    story.head(&format!("Cancel request {}{effect}", request.said("cancel_id")));
    story.fact("why", &explained(request, "outcome", why));
    if let Some(asked) = request.text("asked_turn_id") {
        story.fact("asked for", &format!("turn {asked}, which it found neither running nor waiting here"));
    }
    story.fact("what", &demanded(request));
    if request.text("turn_id").is_some() {
        story.fact("turn", turn);
    }
    story.fact("who", &who(request));
    if let Some(reason) = request.text("reason") {
        story.fact("reason", &format!("\"{reason}\""));
    }
    story.fact("when", &wall(request.number("at")));
    if let Some(abort) = request.text("abort_id") {
        story.fact("stop", abort);
    }
}
