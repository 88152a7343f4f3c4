//! The story of one stop.

use super::crash;
use super::story::{Story, counted, duration, wall};
use super::turns::Turns;
use super::view::{ABSENT, View};
use super::{account, retry, streams, tools};
use crate::protocol::abort::{Phase, Scope, TitleState, ToolOutcome};
use crate::protocol::cause::{Cause, Initiator};
use crate::protocol::diagnostics::{ClosedBy, StreamState};
use crate::protocol::export::TurnKind;
use crate::text::first;

/// What is said of a word that an older version wrote and this one does not know.
pub(super) const NO_WORDS: &str = "this version has no words for it";

/// The most of a tool's input that is told, in characters.
const MAX_INPUT: usize = 300;

pub(super) fn tell_all(turns: &Turns<'_>, story: &mut Story) {
    let aborts: Vec<_> = turns.records("aborts").collect();
    if aborts.is_empty() {
        story.head("No stop of a turn is recorded in this export.");
        return;
    }
    for (i, abort) in aborts.iter().enumerate() {
        story.head(&format!("Stop {} of {}: {}", i + 1, aborts.len(), abort.said("abort_id")));
        tell(*abort, turns, story);
    }
}

fn tell(abort: View<'_>, turns: &Turns<'_>, story: &mut Story) {
    story.fact("what", &format!("{} [{}]", sentence(abort), cause_name(abort)));
    if !abort.at("input").is_absent() {
        story.fact("input", &input(abort));
    }
    let who = match cause(abort) {
        Cause::CrashRecovered => "nobody is known to have asked for it".into(),
        cause if cause.is_asked_for() || cause == Cause::Unknown => who(abort),
        _ => "nobody asked for it".into(),
    };
    story.fact("who", &who);
    if let Some(reason) = abort.text("reason") {
        story.fact("reason", &format!("\"{reason}\""));
    }
    if abort.text("error_name").is_some() || abort.text("error_message").is_some() {
        story.fact("error", &format!("{}: {}", abort.said("error_name"), abort.said("error_message")));
    }
    story.fact("turn", &format!("{}, {}", abort.said("turn_id"), asked(abort)));
    story.fact("when", &if abort.at("crash").is_absent() { when(abort) } else { crash::when(abort) });
    crash::tell_unstored(abort, story);
    account::tell(abort.said("turn_id"), turns, story);
    story.fact("phase", &phase(abort, turns));
    story.fact("hops", &hops(abort));
    story.fact("running", &running(abort, turns));
    tools::tell(abort, turns, story);
    streams::tell(abort, turns, story);
    story.fact("title", &title(abort));
    story.fact("output", &output(abort));
    story.fact("ruled out", &list(abort, "ruled_out"));
    story.fact("missing", &list(abort, "missing"));
    let late = abort.texts("late_cancels");
    if !late.is_empty() {
        story.fact("later", &format!("{} came after this one had won: {}", counted(late.len() as u64, "other stop"), late.join(", ")));
    }
    story.fact("retry", &retry::verdict(turns, abort));
}

/// The cause of a record, or `unknown` where it is not one that this version knows.
pub(super) fn cause(record: View<'_>) -> Cause {
    serde::Deserialize::deserialize(record.value()).unwrap_or(Cause::Unknown)
}

/// The cause in a sentence.
pub(super) fn sentence(record: View<'_>) -> String {
    cause(record).sentence(record.word("initiator").unwrap_or_default(), record.text("source"))
}

/// The cause's name; of an unknown one also the word that stands in the document.
fn cause_name(record: View<'_>) -> String {
    match (cause(record), record.text("cause")) {
        (Cause::Unknown, Some(word)) if word != Cause::Unknown.name() => format!("{}: {word}", Cause::Unknown.name()),
        (cause, _) => cause.name().into(),
    }
}

/// The arguments that the model repeated, as far as a line can show them.
fn input(abort: View<'_>) -> String {
    let input = abort.at("input").value().to_string();
    let start = first(&input, MAX_INPUT);
    if start.len() < input.len() { format!("{start}... ({} bytes in all)", input.len()) } else { input }
}

/// The client and the request that a stop or a cancel request came by.
pub(super) fn who(record: View<'_>) -> String {
    let declared = match record.word("initiator") {
        Some(Initiator::User) => "the client declared a user",
        Some(Initiator::Program) => "the client declared a program",
        Some(Initiator::Unknown) | None => "initiator not declared",
    };
    let source = record.text("source").map(|source| format!(", source {source}")).unwrap_or_default();
    let request = record.at("request");
    if request.is_absent() {
        let request = match cause(record) {
            Cause::ClientEof
            | Cause::ClientFramingBroken
            | Cause::ClientWriteFailed
            | Cause::ClientProcessDied { .. }
            | Cause::Signal { .. } => "no request asked for it",
            _ => "no request is recorded",
        };
        return format!("{request}; {declared}{source}");
    }
    let id = match request.at("id").value() {
        serde_json::Value::Null => "a notification".into(),
        id => format!("request {id}"),
    };
    let trace = request.text("traceparent").map(|trace| format!(", traceparent {trace}")).unwrap_or_default();
    format!(
        "{} by {id} ({}) on {}, {}; {declared}{source}{trace}",
        client(request),
        request.said("method"),
        request.said("connection_id"),
        request.said("transport"),
    )
}

/// The request that asked for a turn, of its record or its stop's.
pub(super) fn asked(of_turn: View<'_>) -> String {
    let prompt = of_turn.at("prompt_request");
    if prompt.is_absent() {
        return "its request is not recorded".into();
    }
    let method = prompt.text("method").map(|method| format!(" ({method})")).unwrap_or_default();
    let asked = format!("asked by request {}{method}", prompt.at("id").value());
    match prompt.text("transport") {
        Some(transport) => format!("{asked} of {} on {}, {transport}", client(prompt), prompt.said("connection_id")),
        // Earlier versions did not record the client here.
        None => format!("{asked} on {}", prompt.said("connection_id")),
    }
}

/// The client of a request or a connection, as it named itself.
pub(super) fn client(record: View<'_>) -> String {
    let client = record.at("client");
    let version = client.text("version").map(|version| format!(" {version}")).unwrap_or_default();
    client.text("name").map_or_else(|| "a client that gave no name".into(), |name| format!("{name}{version}"))
}

fn when(abort: View<'_>) -> String {
    let settled = abort.number("settle_us").map_or_else(|| "an unrecorded time".into(), duration);
    let forced = if abort.flag("forced") == Some(true) { ", by force after the grace" } else { "" };
    let (word, mode) = match cause(abort) {
        // Nobody was asked when a client just left.
        Cause::ClientEof | Cause::ClientFramingBroken | Cause::ClientWriteFailed | Cause::ClientProcessDied { .. } => ("seen", None),
        cause if cause.is_asked_for() || cause == Cause::Unknown => ("asked", Some(format!("; mode {}", abort.said("mode")))),
        _ => ("noticed", None),
    };
    format!(
        "{word} {}, recorded {}, ended {} ({settled} after it was {word}{forced}){}{}",
        // An older record calls it a request in any case.
        wall(abort.number("noticed_at").or(abort.number("requested_at"))),
        wall(abort.number("recorded_at")),
        wall(abort.number("settled_at")),
        mode.unwrap_or_default(),
        scope(abort),
    )
}

/// What it came down from, if it was no request to this run; an older record leaves it to the cause.
fn scope(abort: View<'_>) -> String {
    if abort.flag("via_ctx_abort") != Some(true) {
        return String::new();
    }
    let scope = abort.word("came_down_from").unwrap_or_else(|| cause(abort).scope());
    let what = match scope {
        Scope::Session => "the session",
        Scope::Connection => "the connection",
        Scope::Process => "the process",
    };
    format!("; it came down from {what}")
}

fn phase(abort: View<'_>, turns: &Turns<'_>) -> String {
    let stored = if abort.at("crash").is_absent() { "" } else { ", as far as it was stored" };
    explained(abort, "phase", phase_words(abort, turns).unwrap_or(NO_WORDS)) + stored
}

/// What the run was doing, as a clause; `None` where it is not one of the phases that this version knows.
pub(super) fn phase_words(abort: View<'_>, turns: &Turns<'_>) -> Option<&'static str> {
    let last = turns.traces(abort).last();
    let is_of_a_command = turns.of(abort).and_then(|turn| turn.word("kind")) == Some(TurnKind::Shell);
    Some(match abort.word("phase")? {
        Phase::Queued => "the prompt was waiting for its turn",
        Phase::BeforeTool => "a tool call was wanted and had not started",
        Phase::BeforeRequest => match last.map(|trace| (trace.word("state"), trace.at("upstream").word("closed_by"))) {
            None => "no request to the model had been made",
            Some((Some(StreamState::Completed), _)) => "the next request to the model had not been made",
            Some((Some(StreamState::Failed), Some(ClosedBy::NotOpen))) => "the request to the model had not left",
            Some(_) => "the next request to the model was not known to have left",
        },
        Phase::WaitingForModel => "the model had not answered yet",
        Phase::Reasoning => "the model was reasoning",
        Phase::Text => "the model was writing text",
        Phase::ToolInput => "the model was writing a tool call",
        Phase::AwaitingPermission => "a permission question was open",
        Phase::ToolRunning if is_of_a_command => "the user's command was running",
        Phase::ToolRunning => "a tool was running",
        Phase::RetryBackoff => "a model call had failed and was to be made again",
        Phase::Persisting => "the finished turn was being stored",
    })
}

fn hops(abort: View<'_>) -> String {
    // What died was ended by no hop.
    let end = abort.text("propagation_point").filter(|_| abort.at("crash").is_absent());
    let hops = abort.list("propagation").map(|hop| {
        let time = hop.number("at_us").map_or_else(|| "?".into(), duration);
        let ended = if end.is_some() && hop.text("point") == end { " (ended the work)" } else { "" };
        format!("{} +{time}{ended}", hop.said("point"))
    });
    let hops: Vec<_> = hops.collect();
    let from = if abort.at("crash").is_absent() { "" } else { ", counted from when it was found" };
    if hops.is_empty() { "none recorded".into() } else { hops.join(" -> ") + from }
}

fn running(abort: View<'_>, turns: &Turns<'_>) -> String {
    let tools = abort.list("tools_in_flight").map(|tool| {
        let fate = match tool.word("outcome") {
            Some(ToolOutcome::Withdrawn) => "had not started, was withdrawn",
            Some(ToolOutcome::Stopped) => "ended when it was told to",
            Some(ToolOutcome::Killed) => "was ended from outside",
            Some(ToolOutcome::Escaped) => "had not returned when the grace was over and may have gone on",
            Some(ToolOutcome::Unknown) => "was running when the process died; what became of it is not known",
            None => tool.said("outcome"),
        };
        format!("{} {fate}", tools::named(tool, abort, turns))
    });
    if abort.at("tools_in_flight").is_absent() { ABSENT.into() } else { listed(&tools.collect::<Vec<_>>(), "no tool") }
}

fn title(abort: View<'_>) -> String {
    let words = match abort.word("title_generation_state") {
        Some(TitleState::NotStarted) => "had not started",
        Some(TitleState::InFlight) => "was being written; its end is not recorded",
        Some(TitleState::CompletedBeforeAbort) => "was finished before the stop",
        Some(TitleState::CompletedAfterAbort) => "was finished after the stop",
        Some(TitleState::Failed) => "failed",
        Some(TitleState::Cancelled) => "was cancelled",
        Some(TitleState::Disabled) => "no model is asked for titles",
        Some(TitleState::NotApplicable) => "no title was due in this turn",
        None => NO_WORDS,
    };
    let run = abort.text("title_run_id").map(|run| format!(" ({run})")).unwrap_or_default();
    explained(abort, "title_generation_state", words) + &run
}

fn output(abort: View<'_>) -> String {
    let partial = abort.at("partial");
    let names = ["text_bytes", "reasoning_bytes", "updates_sent", "persisted_bytes"];
    let [Some(text), Some(reasoning), Some(sent), Some(kept)] = names.map(|name| partial.number(name)) else { return ABSENT.into() };
    let missing = abort.texts("missing");
    let sent = if missing.contains(&"updates_sent") { "an unrecorded number of updates".into() } else { counted(sent, "update") };
    let sent = format!("{sent} sent{}", unsent(partial));
    let mut lost = Vec::new();
    match text.saturating_add(reasoning).saturating_sub(kept) {
        _ if missing.contains(&"unsaved_output") => lost.push("what had not been saved yet, and nobody knows how much that was".into()),
        0 => {}
        bytes => lost.push(counted(bytes, "byte")),
    }
    if missing.contains(&"command_output") {
        lost.push("what the command had written, and nobody knows how much that was".into());
    }
    lost.extend(partial.list("command_outputs").filter_map(lost_of_a_command));
    lost.extend(partial.list("tool_inputs").map(begun));
    lost.extend(partial.number("tool_inputs_not_listed").map(|more| format!("{} more", counted(more, "call"))));
    let written: String = partial.list("command_outputs").map(written).collect();
    let lost = if lost.is_empty() { "nothing was lost".into() } else { format!("lost: {}", lost.join(", ")) };
    format!(
        "{} of text and {} of reasoning, {sent}; {} kept{written}; {lost}",
        counted(text, "byte"),
        counted(reasoning, "byte"),
        counted(kept, "byte")
    )
}

/// How much of a command's output there is, and where.
fn written(output: View<'_>) -> String {
    let call = output.said("call_id");
    match output.number("kept_bytes") {
        Some(0) | None => String::new(),
        Some(kept) => format!(", and {} that {call} had written", counted(kept, "byte")),
    }
}

fn lost_of_a_command(output: View<'_>) -> Option<String> {
    let lost = output.number("bytes")?.saturating_sub(output.number("kept_bytes")?);
    (lost > 0).then(|| format!("{} that {} had written", counted(lost, "byte"), output.said("call_id")))
}

/// A tool call that the model had begun to write.
fn begun(call: View<'_>) -> String {
    let tool = call.text("tool").unwrap_or("a tool whose name is not on record");
    let id = call.text("call_id").map(|id| format!("{id}, ")).unwrap_or_default();
    format!("a call of {tool} that was never made ({id}{} of its input)", counted(call.number("bytes").unwrap_or_default(), "byte"))
}

/// What was still waiting to be written to the client.
fn unsent(partial: View<'_>) -> String {
    let Some(updates) = partial.number("updates_unsent") else { return String::new() };
    let bytes = partial.number("bytes_unsent").map(|bytes| format!(" ({})", counted(bytes, "byte"))).unwrap_or_default();
    let since = partial.number("not_read_since").map(|since| format!("; the client had not been reading since {}", wall(Some(since))));
    format!(" and {updates} more{bytes} waiting to be written{}", since.unwrap_or_default())
}

/// A list of our own words; an empty one says that there was nothing, an absent one says nothing.
fn list(abort: View<'_>, name: &str) -> String {
    if abort.at(name).is_absent() { ABSENT.into() } else { listed(&abort.texts(name), "nothing") }
}

/// A word of the document with what it means.
pub(super) fn explained(record: View<'_>, name: &str, words: &str) -> String {
    record.text(name).map_or_else(|| ABSENT.into(), |word| format!("{word}: {words}"))
}

/// The items in one line, or what is said when there is none.
pub(super) fn listed<T: AsRef<str>>(items: &[T], none: &str) -> String {
    if items.is_empty() { none.into() } else { items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}
