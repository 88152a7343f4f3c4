//! Every id that an export names is of something that the export holds.

use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What ids are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Of {
    Session,
    Turn,
    Message,
    Abort,
    Cancel,
    Title,
    Attempt,
    Call,
    Connection,
}

/// Fails on an id that leads nowhere. Of an export with unreadable rows nothing is known.
pub(crate) fn assert_resolved(export: &Value) {
    let mut held = Held::default();
    held.tree(&export["session"]);
    held.diagnostics(&export["diagnostics"]);
    if export["completeness"] == "partial" && held.open.is_empty() && !held.is_ahead {
        return;
    }
    let mut dangling = BTreeSet::new();
    held.walk(&export["session"], &mut dangling);
    held.walk(&export["diagnostics"], &mut dangling);
    assert!(dangling.is_empty(), "these lead nowhere: {dangling:#?}\nin {export:#}");
}

#[derive(Default)]
struct Held {
    ids: HashMap<Of, HashSet<String>>,
    /// The turns without an end.
    open: HashSet<String>,
    /// An end could not be stored.
    is_ahead: bool,
}

impl Held {
    fn tree(&mut self, session: &Value) {
        self.hold(Of::Session, &session["info"]["session_id"]);
        for turn in list(&session["turns"]) {
            self.hold(Of::Turn, &turn["turn_id"]);
            if turn.get("stop").is_none() {
                self.open.extend(turn["turn_id"].as_str().map(str::to_owned));
            }
        }
        for message in list(&session["messages"]) {
            self.hold(Of::Message, &message["message_id"]);
            let calls = list(&message["parts"]).iter().filter(|part| part["kind"] == "tool_call");
            calls.for_each(|call| self.hold(Of::Call, &call["call_id"]));
        }
        list(&session["children"]).iter().for_each(|child| self.tree(child));
    }

    fn diagnostics(&mut self, diagnostics: &Value) {
        for abort in list(&diagnostics["aborts"]) {
            self.hold(Of::Abort, &abort["abort_id"]);
            // Calls that were never made.
            list(&abort["partial"]["tool_inputs"]).iter().for_each(|call| self.hold(Of::Call, &call["call_id"]));
            self.is_ahead |= list(&abort["missing"]).contains(&"not_durable".into());
        }
        for cancel in list(&diagnostics["cancel_requests"]) {
            self.hold(Of::Cancel, &cancel["cancel_id"]);
            // A stop that was accepted has its record when its turn has ended.
            if cancel["outcome"] == "cancelled" && cancel["turn_id"].as_str().is_some_and(|turn| self.open.contains(turn)) {
                self.hold(Of::Abort, &cancel["abort_id"]);
            }
        }
        list(&diagnostics["stream_traces"]).iter().for_each(|trace| self.hold(Of::Attempt, &trace["attempt_id"]));
        // A call can be on record before the message that asks for it.
        list(&diagnostics["tool_runs"]).iter().for_each(|run| self.hold(Of::Call, &run["call_id"]));
        list(&diagnostics["connections"]).iter().for_each(|connection| self.hold(Of::Connection, &connection["connection_id"]));
        for title in list(&diagnostics["title_generations"]) {
            self.hold(Of::Title, &title["title_run_id"]);
            self.hold(Of::Attempt, &title["attempt"]["attempt_id"]);
            list(&title["earlier_attempts"]).iter().for_each(|attempt| self.hold(Of::Attempt, &attempt["attempt_id"]));
        }
    }

    fn hold(&mut self, of: Of, id: &Value) {
        self.ids.entry(of).or_default().extend(id.as_str().map(str::to_owned));
    }

    fn walk(&self, value: &Value, dangling: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, dangling)),
            Value::Object(fields) => {
                // What a model wrote may look like anything.
                for (name, value) in fields.iter().filter(|(name, _)| *name != "input") {
                    match named_by(name) {
                        Some(of) => self.look(of, name, value, dangling),
                        None => self.walk(value, dangling),
                    }
                }
            }
            _ => {}
        }
    }

    fn look(&self, of: Of, name: &str, value: &Value, dangling: &mut BTreeSet<String>) {
        let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for id in ids {
            // Connections are told of by those exports that tell of any.
            let is_told = of != Of::Connection || self.ids.contains_key(&of);
            let is_held = |id: &str| self.ids.get(&of).is_some_and(|held| held.contains(id));
            if is_told && !id.as_str().is_some_and(is_held) {
                dangling.insert(format!("{name}: {id}"));
            }
        }
    }
}

fn named_by(field: &str) -> Option<Of> {
    Some(match field {
        "session_id" | "parent_session_id" => Of::Session,
        "turn_id" | "superseding_turn_id" => Of::Turn,
        "message_id" | "parent_id" => Of::Message,
        "abort_id" => Of::Abort,
        "cancel_id" | "late_cancels" => Of::Cancel,
        "title_run_id" => Of::Title,
        "attempt_id" => Of::Attempt,
        "call_id" => Of::Call,
        "connection_id" => Of::Connection,
        _ => return None,
    })
}

/// Nothing where there is none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
