//! Whether the prompt of a stopped turn can be sent again: safe if nothing had been shown and nothing had been changed.

use super::story::counted;
use super::view::View;
use crate::protocol::abort::{Effect, ToolOutcome};
use crate::protocol::message::ResultStatus;
use std::collections::{BTreeMap, HashMap};

/// The tools that only read. Any other name is taken for one that may have changed something.
const READ_ONLY: [&str; 3] = ["read_file", "list_directory", "search"];

/// The parts of every turn's messages.
pub(super) struct Turns<'a>(HashMap<&'a str, Vec<View<'a>>>);

impl<'a> Turns<'a> {
    /// Walks the tree once.
    pub(super) fn index(export: View<'a>) -> Self {
        let mut parts: HashMap<&str, Vec<View<'a>>> = HashMap::new();
        let mut sessions = vec![export.at("session")];
        while let Some(session) = sessions.pop() {
            for message in session.list("messages") {
                if let Some(turn) = message.text("turn_id") {
                    parts.entry(turn).or_default().extend(message.list("parts"));
                }
            }
            sessions.extend(session.list("children"));
        }
        Self(parts)
    }

    /// The verdict, with its reasons.
    pub(super) fn retry(&self, abort: View<'_>) -> String {
        let mut against = Vec::new();
        let changed = self.changes(abort);
        if !changed.is_empty() {
            against.push(format!("it may repeat a change: {}, so look at the result first", changed.join(", ")));
        }
        match abort.at("partial").number("updates_sent") {
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
    fn changes(&self, abort: View<'_>) -> Vec<String> {
        // By call id, so that a call which stands in the abort and in the message counts once.
        let mut changes = BTreeMap::new();
        let in_flight: HashMap<&str, View<'_>> =
            abort.list("tools_in_flight").filter_map(|tool| Some((tool.text("call_id")?, tool))).collect();
        for (call, tool) in &in_flight {
            let never_ran = tool.word("outcome") == Some(ToolOutcome::Withdrawn);
            if !never_ran && tool.word("effect") != Some(Effect::Read) {
                changes.insert(*call, format!("{} ({})", tool.said("tool"), tool.said("outcome")));
            }
        }
        let parts = abort.text("turn_id").and_then(|turn| self.0.get(turn)).map_or(&[][..], Vec::as_slice);
        let status: HashMap<&str, View<'_>> = parts
            .iter()
            .filter(|part| part.text("kind") == Some("tool_result"))
            .filter_map(|result| Some((result.text("call_id")?, *result)))
            .collect();
        for part in parts.iter().filter(|part| part.text("kind") == Some("tool_call")) {
            let (Some(call), tool) = (part.text("call_id"), part.said("tool")) else { continue };
            let result = status.get(call);
            let ran = !matches!(result.and_then(|result| result.word("status")), Some(ResultStatus::Denied | ResultStatus::NotStarted));
            if ran && !in_flight.contains_key(call) && !READ_ONLY.contains(&tool) {
                let fate = result.map_or("no result", |result| result.said("status"));
                changes.insert(call, format!("{tool} ({fate})"));
            }
        }
        changes.into_values().collect()
    }
}
