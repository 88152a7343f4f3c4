//! The three lines that come first, for whoever reads no further: what happened, who did it, what to do now.
//!
//! Invariant: they say nothing that the records below them do not say.

use super::abort::{cause, client, phase_words, sentence};
use super::others;
use super::retry::{self, Prospect};
use super::story::{Story, counted, sentence_of, wall};
use super::turns::Turns;
use super::view::View;
use crate::protocol::abort::{CancelOutcome, Phase, Transport};
use crate::protocol::cause::{Cause, Initiator};
use crate::protocol::export::{TurnKind, TurnStop};

/// The answers to the three questions.
struct Brief {
    what: String,
    who: String,
    now: String,
}

impl Brief {
    fn new(what: impl Into<String>, who: impl Into<String>, now: impl Into<String>) -> Self {
        Self { what: what.into(), who: who.into(), now: now.into() }
    }

    /// The same, with what ended the last turn's title, if that had outlived it.
    fn with_title(self, turns: &Turns<'_>) -> Self {
        let Some(last) = turns.all().last() else { return self };
        if let Some(demand) = accepted(last, turns).filter(|demand| demand.at("abort_id").is_absent()) {
            let what = format!("{} Its title was still being made, and that was stopped.", self.what);
            return Self { what, who: who(demand, turns), ..self };
        }
        if turns.records("title_generations").any(|title| title.text("turn_id") == last.text("turn_id") && others::has_died(title)) {
            let what = format!("{} Its title was still being made when the process died.", self.what);
            let who = "Nobody is known to have asked for it: a process that dies can say nothing of it.".into();
            return Self { what, who, ..self };
        }
        self
    }
}

/// Of the newest stop; without one, of how the turns ended.
pub(super) fn tell(turns: &Turns<'_>, story: &mut Story) {
    let aborts: Vec<_> = turns.records("aborts").collect();
    let brief = match aborts.iter().rfind(|abort| !waited_behind_another(**abort, &aborts)).or(aborts.last()) {
        Some(newest) => of_a_stop(*newest, aborts.len(), turns),
        None => without_stops(turns).with_title(turns),
    };
    story.lead("What happened:", &brief.what);
    story.lead("Who did it:", &brief.who);
    story.lead("What to do now:", &brief.now);
}

/// Whether its prompt waited behind a turn that ended by the same stop, which tells more.
fn waited_behind_another(abort: View<'_>, aborts: &[View<'_>]) -> bool {
    let is_queued = |abort: View<'_>| abort.word("phase") == Some(Phase::Queued);
    let same = |name| move |other: &View<'_>| other.at(name).value() == abort.at(name).value();
    let mut running = aborts.iter().filter(|other| !is_queued(**other) && same("session_id")(other) && same("cause")(other));
    let of_one_demand = |other: &View<'_>| abort.number("requested_at").is_some() && same("requested_at")(other) && same("request")(other);
    let of_one_death = |other: &View<'_>| {
        let pid = |abort: View<'_>| abort.at("crash").number("pid");
        pid(abort).is_some() && pid(abort) == pid(*other)
    };
    let of_one_panic = |other: &View<'_>| !abort.at("panicked_at").is_absent() && same("noticed_at")(other);
    is_queued(abort) && running.any(|other| of_one_demand(other) || of_one_death(other) || of_one_panic(other))
}

fn of_a_stop(abort: View<'_>, stops: usize, turns: &Turns<'_>) -> Brief {
    let mut what = sentence(abort);
    if let Some(words) = phase_words(abort, turns) {
        what += &format!(" {}", sentence_of(words));
    }
    if cause(abort) != Cause::CrashRecovered && !abort.at("crash").is_absent() {
        what += " Before the turn had ended, its process died.";
    }
    // What waited behind it when it was stopped is no turn since then.
    let is_queued = |turn: &View<'_>| {
        let aborts = turns.of_turn("aborts", turn.said("turn_id")).iter();
        aborts.copied().any(|stop| stop.word("phase") == Some(Phase::Queued))
    };
    let (queued, after): (Vec<_>, Vec<_>) = turns.after(abort).into_iter().partition(is_queued);
    match queued.len() {
        0 => {}
        1 => what += " A prompt that waited behind it was stopped, too.",
        more => what += &format!(" {more} prompts that waited behind it were stopped, too."),
    }
    if let Some(last) = after.last() {
        let which = if after.len() == 1 { "which" } else { "the last of which" };
        what += &format!(" Since then the session has begun {}{}.", counted(after.len() as u64, "turn"), how_it_goes(*last, which));
    }
    if stops > 1 {
        what += &format!(" {stops} stops are told below.");
    }
    Brief { what, who: who(abort, turns), now: now(abort, turns) }
}

/// How the last of some turns ended, for the end of a sentence.
fn how_it_goes(last: View<'_>, which: &str) -> String {
    match last.word("stop") {
        Some(TurnStop::EndTurn | TurnStop::MaxTokens | TurnStop::Refusal) => format!(", {which} ended by itself"),
        Some(TurnStop::MaxTurnRequests | TurnStop::Cancelled | TurnStop::Failed) => format!(", {which} was stopped"),
        None if last.at("stop").is_absent() => format!(", {which} was still running when this was written"),
        None => String::new(),
    }
}

fn without_stops(turns: &Turns<'_>) -> Brief {
    const NOBODY: &str = "Nobody: no stop is recorded.";
    let infos: Vec<_> = turns.all().collect();
    let Some(last) = infos.last() else {
        return Brief::new("Nothing yet: no turn of this session is recorded.", NOBODY, "Nothing.");
    };
    let it = if infos.len() == 1 { "The turn".to_owned() } else { format!("The last of {} turns", infos.len()) };
    match last.word("stop") {
        None if last.at("stop").is_absent()
            && let Some(demand) = accepted(*last, turns) =>
        {
            Brief::new(
                format!("{} It had not ended when this was written.", sentence(demand)),
                who(demand, turns),
                "Wait for its end; then explain it again.",
            )
        }
        None if last.at("stop").is_absent() => Brief::new(
            format!("{it} was still running when this was written; it was begun {}.", wall(last.number("started_at"))),
            "Nobody: no stop is recorded so far.",
            "Wait for its end, or stop it with `session/cancel`; then explain it again.",
        ),
        Some(TurnStop::EndTurn) => Brief::new(format!("{it} ended by itself: the model had finished."), NOBODY, "Nothing."),
        Some(TurnStop::MaxTokens) => Brief::new(
            format!("{it} ended in the middle of an answer: the model had reached its limit of tokens."),
            "Nobody: it is a limit of the model's.",
            "Tell the model to go on.",
        ),
        Some(TurnStop::Refusal) => {
            Brief::new(format!("{it} ended by itself: the model refused to answer."), "The model.", "Ask in other words.")
        }
        Some(TurnStop::MaxTurnRequests | TurnStop::Cancelled | TurnStop::Failed) => Brief::new(
            format!("{it} was stopped, and the record of the stop is not in this export."),
            "That is not recorded here.",
            "Explain the session where it was run, or export it again.",
        ),
        None => Brief::new(
            format!("{it} ended as {}, which this version does not know.", last.said("stop")),
            "That is not known to this version.",
            "Explain it with a newer pillion.",
        ),
    }
}

/// The demand that is to stop a turn which has no end yet.
fn accepted<'a>(turn: View<'_>, turns: &Turns<'a>) -> Option<View<'a>> {
    let mut demands = turns.records("cancel_requests");
    demands.find(|demand| demand.text("turn_id") == turn.text("turn_id") && demand.word("outcome") == Some(CancelOutcome::Cancelled))
}

fn who(abort: View<'_>, turns: &Turns<'_>) -> String {
    let prompt = match abort.at("prompt_request") {
        prompt if prompt.is_absent() => turns.of(abort).map_or(prompt, |turn| turn.at("prompt_request")),
        prompt => prompt,
    };
    let whose = whose(prompt);
    let nobody = |why: &str| format!("Nobody asked for it: {why}. {whose}");
    let left = |how: &str| format!("{}, without a request to stop: {how}.", first_of_all(prompt));
    match cause(abort) {
        Cause::ClientCancel
        | Cause::RpcCancel
        | Cause::SupersededByPrompt { .. }
        | Cause::SessionClosed
        | Cause::SessionDeleted
        | Cause::ShutdownRequest
        | Cause::ExitWithoutShutdown => asked(abort),
        Cause::ClientEof => left("it closed its end of the connection"),
        Cause::ClientFramingBroken => left("what it sent was no message, so that nobody can tell where the next one begins"),
        Cause::ClientWriteFailed => left("it took no more output"),
        Cause::ClientProcessDied { pid } => left(&format!("its process {pid} ended")),
        Cause::Signal { signal_name } => match abort.word("initiator") {
            Some(Initiator::User) => format!("The user, with {signal_name} from the terminal."),
            _ => format!("Whoever sent {signal_name} to pillion: a signal does not say who sent it. {whose}"),
        },
        Cause::ConnectTimeout { .. }
        | Cause::FirstByteTimeout { .. }
        | Cause::IdleStreamTimeout { .. }
        | Cause::TurnTimeout { .. }
        | Cause::ToolTimeout { .. } => nobody("it is a time limit of pillion's settings"),
        Cause::Budget { setting, .. } => nobody(&format!("it is the limit that {setting} sets")),
        Cause::LoopGuard(repetition) => nobody(&format!("it is the limit that {} sets", repetition.setting)),
        Cause::ProviderHttp { .. } | Cause::ProviderTransport | Cause::ProviderProtocol | Cause::ContextOverflow => {
            nobody("the call of the model failed")
        }
        Cause::StoreFailure | Cause::InternalPanic { .. } => nobody("pillion itself failed"),
        Cause::CrashRecovered => {
            format!("Nobody is known to have asked for it: a process that dies can say nothing of it. {whose}")
        }
        Cause::Unknown => "That is not known to this version; the line `who` below has what is recorded.".into(),
    }
}

/// Who asked by a request: for whom the client spoke, which client, by what.
fn asked(abort: View<'_>) -> String {
    let request = abort.at("request");
    let source = abort.text("source").map(|source| format!(" ({source})")).unwrap_or_default();
    let by = match (request.text("method"), request.at("id").value()) {
        (None, _) => return "The client, by a request that is not recorded.".into(),
        (Some(method), serde_json::Value::Null) => format!("with the notification {method}"),
        (Some(method), id) => format!("with {method}, its request {id}"),
    };
    match abort.word("initiator") {
        Some(Initiator::User) => format!("The user{source}, through {}, {by}.", through(request)),
        Some(Initiator::Program) => format!("A program{source}, through {}, {by}.", through(request)),
        Some(Initiator::Unknown) | None => format!("{}{source}, {by}; for whom, it did not say.", first_of_all(request)),
    }
}

/// Whose turn it was.
fn whose(prompt: View<'_>) -> String {
    if prompt.is_absent() {
        "Who had asked for the turn is not recorded.".into()
    } else {
        format!("The turn had been asked for by {}.", through(prompt))
    }
}

/// The same, where a sentence begins.
fn first_of_all(request: View<'_>) -> String {
    let client = through(request);
    if request.at("client").is_absent() { client.replacen('a', "A", 1) } else { client }
}

/// The client, as it named itself, and how it speaks.
fn through(request: View<'_>) -> String {
    let transport = match request.word("transport") {
        Some(Transport::StdioLsp) => " over LSP on stdio",
        Some(Transport::StdioJsonl) => " over JSON lines on stdio",
        Some(Transport::InProcess) => " inside pillion's own process",
        None => "",
    };
    format!("{}{transport}", client(request))
}

fn now(abort: View<'_>, turns: &Turns<'_>) -> String {
    let prospect = retry::prospect(turns, abort);
    let what = match (turns.of(abort).and_then(|turn| turn.word("kind")), &prospect) {
        (Some(TurnKind::Shell), _) => "Run the command again",
        (Some(TurnKind::Prompt) | None, Some(Prospect::Unchanged(_))) => "Then send the prompt again",
        (Some(TurnKind::Prompt) | None, _) => "Send the prompt again",
    };
    let time = |setting: &str| format!("Raise {setting} if it needs more time. ");
    let first = match cause(abort) {
        Cause::ConnectTimeout { .. } => time("watchdog.connect_seconds"),
        Cause::FirstByteTimeout { .. } => time("watchdog.first_byte_seconds"),
        Cause::IdleStreamTimeout { .. } => time("watchdog.idle_seconds"),
        Cause::TurnTimeout { .. } => time("watchdog.turn_seconds"),
        Cause::ToolTimeout { .. } => time("watchdog.tool_seconds"),
        Cause::Budget { setting, .. } => return format!("Tell the model to go on, or raise {setting} before you ask again."),
        Cause::LoopGuard(_) => return "Tell the model what it does not see, and let it go on.".into(),
        Cause::StoreFailure => "See what `pillion doctor` says of the store first. ".into(),
        Cause::InternalPanic { .. } => "Please report it, with what `pillion export` writes. ".into(),
        Cause::Unknown => "Explain it with a newer pillion first. ".into(),
        _ => match prospect {
            Some(Prospect::Unchanged(why)) => format!("It cannot succeed as it was: {why}. "),
            Some(Prospect::Later(why)) => format!("Wait a little first: {why}. "),
            Some(Prospect::Again(_) | Prospect::NotBefore(_)) | None => String::new(),
        },
    };
    let changes = retry::changes(turns, abort);
    let is_known = !abort.at("tools_in_flight").is_absent();
    let shown = abort.at("partial").number("updates_sent").filter(|_| !abort.texts("missing").contains(&"updates_sent"));
    let then = match (is_known, shown) {
        _ if !changes.is_empty() => format!("Look first at what came of {}. {what} if it is still to be done.", changes.join(", ")),
        (false, _) => format!("Look first at what it did: what was running is not recorded. {what} if it is still to be done."),
        (true, Some(0)) => format!("{what}: nothing had been shown, and nothing was changed."),
        (true, _) => format!("{what} if you like: nothing was changed, and what had been shown is shown again."),
    };
    first + &then
}
