//! The tool calls of a stopped turn: what each did, on whose word, and what it came to.

use super::abort::NO_WORDS;
use super::story::{Story, duration};
use super::turns::Turns;
use super::view::View;
use crate::protocol::message::ResultStatus;
use crate::protocol::tool_run::Permission;
use crate::text::first;

/// The most of a call's input that is told, in characters.
const MAX_ABOUT: usize = 100;

/// One line for each call.
pub(super) fn tell(abort: View<'_>, turns: &Turns<'_>, story: &mut Story) {
    for run in turns.runs(abort) {
        story.fact("call", &format!("{}: {}; {}", named(*run, abort, turns), end(*run), permission(*run)));
    }
}

/// The call: which tool, what it can do, its id, and what it is about.
pub(super) fn named(call: View<'_>, abort: View<'_>, turns: &Turns<'_>) -> String {
    let id = call.said("call_id");
    let about = turns.about(abort, id).map(|about| {
        let start = first(&about, MAX_ABOUT);
        format!(" \"{start}{}\"", if start.len() < about.len() { "..." } else { "" })
    });
    format!("{} ({}, {id}){}", call.said("tool"), call.said("effect"), about.unwrap_or_default())
}

fn end(run: View<'_>) -> String {
    let took = run.number("duration_us").map(|us| format!(" after {}", duration(us))).unwrap_or_default();
    let words = match run.word("outcome") {
        Some(ResultStatus::Completed) => "completed",
        Some(ResultStatus::Failed) => "failed",
        Some(ResultStatus::Denied) => "was not run",
        Some(ResultStatus::NotStarted) if run.word("permission") == Some(Permission::Limit) => "was not started",
        Some(ResultStatus::NotStarted) => "had not started when the turn was stopped",
        Some(ResultStatus::Interrupted) if run.at("ended_at").is_absent() => "was running when the turn was stopped, and did not return",
        Some(ResultStatus::Interrupted) => "was interrupted",
        Some(ResultStatus::UnknownOutcome) if !run.at("duration_us").is_absent() => {
            "ended, but not all of what it had started could be ended, and that may have gone on"
        }
        Some(ResultStatus::UnknownOutcome) => "was running when the process died; how far it came is not known",
        None if run.at("outcome").is_absent() => "was under way when this was exported",
        None => NO_WORDS,
    };
    let code = run.at("exit_code");
    let how = match (run.text("signal"), code.is_absent()) {
        (Some(signal), _) => format!(" ({signal})"),
        (None, false) => format!(" (exit code {})", code.value()),
        (None, true) => String::new(),
    };
    format!("{words}{how}{took}")
}

fn permission(run: View<'_>) -> String {
    let words = match run.word("permission") {
        Some(Permission::Default) => "nobody's word was needed",
        Some(Permission::Rule) => "by a rule of the settings",
        Some(Permission::WorkspaceRule) => "by a rule of the workspace",
        Some(Permission::Mode) => "by the session's mode",
        Some(Permission::Remembered) => "by what the client had answered for the session",
        Some(Permission::Allowed) => "the client allowed it",
        Some(Permission::Rejected) => "the client rejected it",
        Some(Permission::Dismissed) => "the question was put away",
        Some(Permission::Unanswerable) => "the client could not ask",
        Some(Permission::TimedOut) => "nobody answered in time",
        Some(Permission::Limit) => "a limit of the turn's was over before it could start",
        Some(Permission::Withdrawn) => "the question was withdrawn",
        None if run.at("permission").is_absent() => "it was being asked about",
        None => NO_WORDS,
    };
    run.text("rule").map_or_else(|| words.into(), |rule| format!("{words}, rule {rule}"))
}
