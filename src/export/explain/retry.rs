//! Whether the prompt of a stopped turn can be sent again: whether that can succeed at all, and whether it is safe, which it is
//! if nothing had been shown and nothing had been changed.

use super::abort::cause;
use super::story::counted;
use super::turns::Turns;
use super::view::View;
use crate::protocol::abort::{Effect, ToolOutcome};
use crate::protocol::cause::{Cause, LOOP_GUARD_SETTING};
use crate::protocol::message::ResultStatus;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// The tools that change nothing, for calls without a record of their own. Any other name is taken for one that may have.
const HARMLESS: [&str; 5] = ["read_file", "list_directory", "glob", "search", "update_plan"];

/// The verdict, with its reasons.
pub(super) fn verdict(turns: &Turns<'_>, abort: View<'_>) -> String {
    let mut against = Vec::new();
    let changed = changes(turns, abort);
    if !changed.is_empty() {
        against.push(format!("it may repeat a change: {}, so look at the result first", changed.join(", ")));
    }
    match abort.at("partial").number("updates_sent") {
        Some(_) if abort.texts("missing").contains(&"updates_sent") => against.push("how much had been shown is not recorded".into()),
        Some(0) => {}
        Some(sent) => against.push(format!("it shows output again: {} had been sent", counted(sent, "update"))),
        None => against.push("how much had been shown is not recorded".into()),
    }
    if abort.at("tools_in_flight").is_absent() {
        against.push("what was running is not recorded".into());
    }
    let safety = if against.is_empty() {
        "safe: nothing had been shown, and no tool had changed anything".to_owned()
    } else {
        format!("not without a look: {}", against.join("; "))
    };
    prospect(turns, abort).map_or(safety.clone(), |prospect| format!("{prospect}; {safety}"))
}

/// What speaks against another try.
pub(super) enum Prospect {
    /// As it was, it cannot succeed.
    Unchanged(&'static str),
    /// The same limit will be met again.
    Again(String),
    Later(&'static str),
    NotBefore(&'static str),
}

impl fmt::Display for Prospect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged(why) => write!(f, "cannot succeed unchanged: {why}"),
            Self::Again(what) => write!(f, "the same will be met again: {what}"),
            Self::Later(why) => write!(f, "may succeed later: {why}"),
            Self::NotBefore(what) => write!(f, "not before {what}"),
        }
    }
}

/// What the cause says of another try; nothing, where it says nothing against one.
pub(super) fn prospect(turns: &Turns<'_>, abort: View<'_>) -> Option<Prospect> {
    let unchanged = |why| Some(Prospect::Unchanged(why));
    let again = |what: &str| Some(Prospect::Again(what.to_owned()));
    let failure = turns.traces(abort).last().map(|trace| trace.at("failure"));
    let said = |name| failure.and_then(|failure| failure.text(name)).unwrap_or_default();
    let (kind, code) = (abort.text("error_name").unwrap_or_else(|| said("kind")), said("code"));
    let is = |codes: &[&str]| codes.contains(&code);
    match cause(abort) {
        cause @ (Cause::ProviderHttp { .. } | Cause::ProviderProtocol | Cause::ProviderTransport) => {
            let status = match cause {
                Cause::ProviderHttp { http_status } => Some(http_status),
                // Inside a stream a status is a code.
                _ => code.parse().ok(),
            };
            if kind == "context_window" || is(&TOO_LONG) || status == Some(413) {
                return unchanged(TOO_LONG_WORDS);
            }
            if is(&NO_MONEY) || status == Some(402) {
                return unchanged("the account has nothing left to spend");
            }
            if is(&NO_MODEL) {
                return unchanged("the provider has no such model; choose another one");
            }
            match (status, kind) {
                (Some(401 | 403), _) => unchanged("the provider does not accept the key for this; set one that it accepts"),
                (Some(404), _) => unchanged("the provider has no such model, or nothing at this address; choose another model or base URL"),
                (Some(408 | 425 | 429), _) => Some(Prospect::Later("the provider had no time for it")),
                (Some(400..=499), _) => unchanged("the provider refuses the request as it is"),
                (Some(300..=399), _) => unchanged("the provider is elsewhere; set its base URL"),
                (Some(500..), _) => Some(Prospect::Later("the provider had failed")),
                (_, "tls" | "client_setup") => unchanged("no connection can be made with these settings"),
                (_, "not_a_stream" | "bad_http") => unchanged("what answers at the base URL does not speak this protocol"),
                (_, "invalid_history" | "script_ended" | "model_load" | "chat_template") => unchanged("see the error"),
                _ => None,
            }
        }
        Cause::ContextOverflow => unchanged(TOO_LONG_WORDS),
        Cause::Budget { setting, .. } => {
            again(&format!("{setting}, where the same prompt needs as much; the next prompt begins with a whole budget"))
        }
        Cause::LoopGuard(_) => again(&format!("{LOOP_GUARD_SETTING}, where the model repeats itself; say it in other words")),
        Cause::TurnTimeout { .. } => again("watchdog.turn_seconds, where it takes as long"),
        Cause::ToolTimeout { .. } => again("watchdog.tool_seconds, where the call takes as long"),
        Cause::StoreFailure => Some(Prospect::NotBefore("the store can be written again")),
        _ => None,
    }
}

const TOO_LONG_WORDS: &str = "the conversation is longer than the model's window; begin a new session, or choose a model with a larger one";
/// Codes with which vendors say that a conversation is too long.
const TOO_LONG: [&str; 3] = ["context_length_exceeded", "string_above_max_length", "request_too_large"];
/// That an account is exhausted.
const NO_MONEY: [&str; 4] = ["insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low", "billing_error"];
/// That there is no such model.
const NO_MODEL: [&str; 2] = ["model_not_found", "not_found_error"];

/// The calls of the turn that may have changed something, each as `tool (fate)`.
pub(super) fn changes(turns: &Turns<'_>, abort: View<'_>) -> Vec<String> {
    // By call id, so that a call which stands in the abort and in the message counts once.
    let mut changes = BTreeMap::new();
    let in_flight: HashMap<&str, View<'_>> = abort.list("tools_in_flight").filter_map(|tool| Some((tool.text("call_id")?, tool))).collect();
    for (call, tool) in &in_flight {
        let never_ran = tool.word("outcome") == Some(ToolOutcome::Withdrawn);
        if !never_ran && !is_harmless(*tool) {
            changes.insert(*call, format!("{} ({})", tool.said("tool"), tool.said("outcome")));
        }
    }
    let parts = turns.parts(abort);
    let status: HashMap<&str, View<'_>> = parts
        .iter()
        .filter(|part| part.text("kind") == Some("tool_result"))
        .filter_map(|result| Some((result.text("call_id")?, *result)))
        .collect();
    let runs: HashMap<&str, View<'_>> = turns.runs(abort).iter().filter_map(|run| Some((run.text("call_id")?, *run))).collect();
    for part in parts.iter().filter(|part| part.text("kind") == Some("tool_call")) {
        let (Some(call), tool) = (part.text("call_id"), part.said("tool")) else { continue };
        let result = status.get(call);
        let ran = !matches!(result.and_then(|result| result.word("status")), Some(ResultStatus::Denied | ResultStatus::NotStarted));
        let harmless = runs.get(call).map_or_else(|| HARMLESS.contains(&tool), |run| is_harmless(*run));
        if ran && !in_flight.contains_key(call) && !harmless {
            let fate = result.map_or("no result", |result| result.said("status"));
            changes.insert(call, format!("{tool} ({fate})"));
        }
    }
    changes.into_values().collect()
}

/// By the effect that is recorded of a call.
fn is_harmless(call: View<'_>) -> bool {
    matches!(call.word("effect"), Some(Effect::None | Effect::Read))
}
