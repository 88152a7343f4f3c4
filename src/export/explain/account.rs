//! Where a turn's time went, and what the turn stood on; and the turns that ended by themselves, one after the other.

use super::abort::{NO_WORDS, asked, listed};
use super::story::{Story, counted, duration, wall};
use super::turns::Turns;
use super::view::{ABSENT, View};
use crate::protocol::export::{TurnKind, TurnStop};
use crate::protocol::turn::{InstructionKind, Lane, QuestionForm};
use std::cmp::Reverse;

/// How much of a digest tells two apart.
const DIGEST: usize = 12;

/// The facts about a turn that are told whether it was stopped or not.
pub(super) fn tell(turn_id: &str, turns: &Turns<'_>, story: &mut Story) {
    story.fact("time", &time(turn_id, turns));
    if let Some(stood_on) = stood_on(turn_id, turns) {
        story.fact("stood on", &stood_on);
    }
}

/// The turns that no stop is told of.
pub(super) fn tell_unstopped(turns: &Turns<'_>, story: &mut Story) {
    let mut before = None;
    for turn in turns.all() {
        let id = turn.said("turn_id");
        if !turns.of_turn("aborts", id).is_empty() {
            continue;
        }
        story.head(&format!("Turn {id} {}", end(turn)));
        story.fact("turn", &asked(turn));
        story.fact("when", &when(turn));
        story.fact("time", &time(id, turns));
        if let Some(now) = stood_on(id, turns) {
            // Turns of one session mostly stand on the same.
            story.fact("stood on", if before.as_ref() == Some(&now) { "the same as the turn above" } else { &now });
            before = Some(now);
        }
    }
}

fn end(turn: View<'_>) -> String {
    match (turn.word("stop"), turn.word("kind")) {
        (Some(TurnStop::EndTurn), Some(TurnKind::Shell)) => "ended by itself: the command had ended".into(),
        (Some(TurnStop::EndTurn), _) => "ended by itself: the model had finished".into(),
        (Some(TurnStop::MaxTokens), _) => "ended by itself: the model had reached its limit of tokens".into(),
        (Some(TurnStop::Refusal), _) => "ended by itself: the model refused".into(),
        (Some(TurnStop::MaxTurnRequests | TurnStop::Cancelled | TurnStop::Failed), _) => {
            format!("ended as {}, and its record is not in this export", turn.said("stop"))
        }
        (None, _) if turn.at("stop").is_absent() => "had not ended when this was written".into(),
        (None, _) => format!("ended as {}: {NO_WORDS}", turn.said("stop")),
    }
}

fn when(turn: View<'_>) -> String {
    let ended = turn.number("ended_at").map(|at| format!(", ended {}", wall(Some(at)))).unwrap_or_default();
    format!("begun {}{ended}", wall(turn.number("started_at")))
}

/// Where the time went, the most of it first.
fn time(turn_id: &str, turns: &Turns<'_>) -> String {
    let Some(time) = turns.of_turn("turn_times", turn_id).last().copied() else { return without_a_record(turn_id, turns) };
    let mut spent: Vec<_> = time.list("spent").collect();
    spent.sort_by_key(|spent| Reverse(spent.number("us")));
    let told: Vec<_> = spent.into_iter().map(lane).collect();
    let total = time.number("total_us").map_or_else(|| ABSENT.into(), duration);
    if told.is_empty() { total } else { format!("{total}: {}", told.join("; ")) }
}

fn lane(spent: View<'_>) -> String {
    let words = match spent.word("on") {
        Some(Lane::Opening) => "opening the session",
        Some(Lane::Queue) => "in the queue behind other turns",
        Some(Lane::CatchingUp) => "reading what another process had added",
        Some(Lane::Store) => "waiting for the store",
        Some(Lane::ModelConnect) => "connecting to the model",
        Some(Lane::ModelWait) => "waiting for the model to begin",
        Some(Lane::ModelStream) => "while the model wrote",
        Some(Lane::Client) => "waiting for the client to read",
        Some(Lane::Tools) => "in tools",
        Some(Lane::Question) => "waiting for the answer to a question",
        Some(Lane::Editor) => "waiting for the editor to read or change a document",
        Some(Lane::Backoff) => "waiting until a model call was made again",
        Some(Lane::Commit) => "storing the end",
        Some(Lane::Answer) => "handing over the answer",
        None => spent.said("on"),
    };
    let us = spent.number("us").map_or_else(|| "?".into(), duration);
    let stretches = match (spent.number("times"), spent.number("longest_us"), spent.number("longest_at_us")) {
        (Some(times), Some(longest), Some(at)) if times > 1 => {
            format!(" ({times} times, the longest {} from +{} on)", duration(longest), duration(at))
        }
        (_, _, Some(at)) => format!(" (from +{} on)", duration(at)),
        _ => String::new(),
    };
    format!("{us} {words}{stretches}")
}

/// The last thing that is on record of a turn whose time is not.
fn without_a_record(turn_id: &str, turns: &Turns<'_>) -> String {
    let mut last: Option<(u64, String)> = None;
    let mut note = |at: Option<u64>, what: String| {
        if let Some(at) = at.filter(|at| last.as_ref().is_none_or(|(latest, _)| at >= latest)) {
            last = Some((at, what));
        }
    };
    for event in turns.of_turn("lifecycle", turn_id) {
        note(event.number("at"), format!("the turn was {}", event.said("event")));
    }
    for trace in turns.of_turn("stream_traces", turn_id) {
        note(trace.number("created_at"), format!("a model call was begun ({}, now {})", trace.said("attempt_id"), trace.said("state")));
    }
    for run in turns.of_turn("tool_runs", turn_id) {
        let call = format!("{} ({})", run.said("tool"), run.said("call_id"));
        note(run.number("asked_at"), format!("the client was asked about {call}"));
        note(run.number("answered_at"), format!("the question about {call} was over"));
        note(run.number("started_at"), format!("{call} was started"));
        note(run.number("ended_at"), format!("{call} had ended"));
    }
    let Some((at, what)) = last else { return ABSENT.into() };
    let before = turns.exported_at().and_then(|exported| exported.checked_sub(at)).map(|ms| {
        let ago = duration(ms.saturating_mul(1000));
        format!(", {ago} before this was written")
    });
    format!("not recorded; the last thing that is: {what} at {}{}", wall(Some(at)), before.unwrap_or_default())
}

fn stood_on(turn_id: &str, turns: &Turns<'_>) -> Option<String> {
    let basis = *turns.of_turn("turn_bases", turn_id).last()?;
    let (asked, model) = (basis.said("model_asked"), basis.said("model"));
    let mut told = vec![if asked == model { format!("model {model}") } else { format!("model {model}, asked for as {asked}") }];
    told.push(format!("mode {}", basis.said("mode")));
    told.push(
        match basis.flag("trusted") {
            Some(true) => "a trusted workspace",
            Some(false) => "a workspace that is not trusted",
            None => "a workspace of which trust is not recorded",
        }
        .into(),
    );
    told.extend(basis.list("instructions").map(instruction));
    told.push(format!("rules {}", digest(basis, "rules_digest")));
    let tools = basis.texts("tools");
    told.push(if tools.is_empty() { "no tools".into() } else { format!("{}: {}", counted(tools.len() as u64, "tool"), tools.join(", ")) });
    told.push(skills(basis.at("editor")));
    Some(told.join("; "))
}

fn instruction(instruction: View<'_>) -> String {
    let what = match instruction.word("kind") {
        Some(InstructionKind::BuiltIn) => "pillion's own instructions".into(),
        Some(InstructionKind::Workspace) => format!("instructions of {}", instruction.said("path")),
        None => format!("instructions ({})", instruction.said("kind")),
    };
    let bytes = instruction.number("bytes").map_or_else(|| ABSENT.into(), |bytes| counted(bytes, "byte"));
    format!("{what} ({bytes}, sha256 {})", digest(instruction, "sha256"))
}

fn digest<'a>(record: View<'a>, name: &str) -> &'a str {
    record.text(name).map_or(ABSENT, |digest| crate::text::cut(digest, DIGEST))
}

fn skills(editor: View<'_>) -> String {
    let asks = match editor.word("questions") {
        Some(QuestionForm::Card) => "that can show a card for a question",
        Some(QuestionForm::Message) => "that can show a message for a question",
        Some(QuestionForm::Nobody) => "that cannot ask anybody",
        None => "of which it is not known how it asks",
    };
    let can = [("edits", "changes open documents"), ("reads", "reads files"), ("writes", "writes files")];
    let can: Vec<_> = can.into_iter().filter(|(name, _)| editor.flag(name) == Some(true)).map(|(_, words)| words).collect();
    format!("an editor {asks}, and {}", listed(&can, "leaves files to pillion"))
}
