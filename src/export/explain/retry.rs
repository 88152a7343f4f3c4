//! Whether the prompt of a stopped turn can be sent again: safe if nothing had been shown and nothing had been changed.

use super::story::counted;
use super::turns::Turns;
use super::view::View;
use crate::protocol::abort::{Effect, ToolOutcome};
use crate::protocol::message::ResultStatus;
use std::collections::{BTreeMap, HashMap};

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
    if against.is_empty() {
        "safe: nothing had been shown, and no tool had changed anything".into()
    } else {
        format!("not without a look: {}", against.join("; "))
    }
}

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
