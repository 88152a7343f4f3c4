//! What the answers said, held against what the export says.

use crate::support::Editor;
use crate::support::journey::full_export;
use serde_json::{Value, json};

/// The export of a session at rest.
pub struct Told {
    export: Value,
}

impl Told {
    /// Exports, and checks what must be true whatever has happened.
    pub async fn by(editor: &mut Editor, session: &str) -> Self {
        let told = Self { export: full_export(editor, session).await };
        told.every_turn_has_one_end();
        told.every_call_has_one_result();
        told
    }

    pub fn turns(&self) -> &[Value] {
        list(&self.export["session"]["turns"])
    }

    pub fn aborts(&self) -> &[Value] {
        list(&self.export["diagnostics"]["aborts"])
    }

    pub fn cancels(&self) -> &[Value] {
        list(&self.export["diagnostics"]["cancel_requests"])
    }

    /// The outcomes of all demands, in their order.
    pub fn outcomes(&self) -> Vec<&str> {
        self.cancels().iter().map(|cancel| cancel["outcome"].as_str().expect("an outcome")).collect()
    }

    /// The parts of all messages.
    pub fn parts(&self) -> impl Iterator<Item = &Value> {
        list(&self.export["session"]["messages"]).iter().flat_map(|message| list(&message["parts"]))
    }

    /// The export says of this prompt's turn what its answer said. Gives the turn's id.
    pub fn agrees_with(&self, answer: &Value) -> String {
        let failed = json!("failed");
        let (stop, diagnostics, turn_id) = match answer.get("error") {
            None => {
                let result = &answer["result"];
                (&result["stopReason"], &result["diagnostics"], &result["turnId"])
            }
            Some(error) => (&failed, &error["data"]["diagnostics"], &error["data"]["turnId"]),
        };
        let found: Vec<_> = self.turns().iter().filter(|turn| turn["turn_id"] == *turn_id).collect();
        assert_eq!(found.len(), 1, "turns of {answer}");
        assert_eq!((&found[0]["stop"], found[0].get("abort_id")), (stop, diagnostics["abort"].get("abort_id")), "{answer}");
        let exported = self.aborts().iter().find(|abort| abort["turn_id"] == *turn_id);
        assert_eq!(exported.map(committed), diagnostics.get("abort").map(committed));
        let traces = list(&self.export["diagnostics"]["stream_traces"]).iter().filter(|trace| trace["turn_id"] == *turn_id);
        assert!(traces.eq(list(&diagnostics["stream_traces"])), "the attempts of {turn_id}");
        for inline in list(&diagnostics["cancel_requests"]) {
            let exported = self.cancels().iter().find(|cancel| cancel["cancel_id"] == inline["cancel_id"]).expect("it is recorded");
            assert_eq!(unnumbered(exported), unnumbered(inline));
        }
        turn_id.as_str().expect("an id").to_owned()
    }

    /// The demand of the `session/cancel` with this request id is recorded once, as it was answered.
    pub fn agrees_with_cancel(&self, id: &Value, result: &Value) {
        let is_it = |cancel: &&Value| cancel["request"]["method"] == "session/cancel" && cancel["request"]["id"] == *id;
        let found: Vec<_> = self.cancels().iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "records of cancel {id}");
        let recorded = (&found[0]["outcome"], found[0].get("turn_id"), found[0].get("abort_id"));
        assert_eq!(recorded, (&result["outcome"], result.get("turnId"), result.get("abortId")), "cancel {id}");
        if let Some(abort) = result.get("abort") {
            let exported = self.aborts().iter().find(|exported| exported["abort_id"] == abort["abort_id"]);
            assert_eq!(exported.map(committed), Some(committed(abort)));
        }
    }

    fn every_turn_has_one_end(&self) {
        assert!(self.turns().iter().all(|turn| turn["stop"].is_string() && turn["ended_at"].is_u64()), "{:#?}", self.turns());
        let ids = |values: Vec<&Value>| {
            let mut ids: Vec<_> = values.into_iter().map(ToString::to_string).collect();
            ids.sort();
            ids
        };
        let stopped = ids(self.turns().iter().filter_map(|turn| turn.get("abort_id")).collect());
        let aborts = ids(self.aborts().iter().map(|abort| &abort["abort_id"]).collect());
        assert_eq!(stopped, aborts, "each abort is of one turn, and each turn has at most one");
    }

    fn every_call_has_one_result(&self) {
        for call in self.parts().filter(|part| part["kind"] == "tool_call") {
            let results = self.parts().filter(|part| part["kind"] == "tool_result" && part["call_id"] == call["call_id"]).count();
            assert_eq!(results, 1, "{call}");
        }
    }
}

/// An abort without what an export joins to the committed row.
fn committed(abort: &Value) -> Value {
    let mut abort = abort.clone();
    let fields = abort.as_object_mut().expect("a record");
    fields.remove("late_cancels");
    fields.remove("title_generation_state");
    // What a later demand shows is not ruled out any more.
    fields.remove("ruled_out");
    let hops = fields["propagation"].as_array_mut().expect("hops");
    hops.retain(|hop| hop["point"] != "turn.answered");
    abort
}

/// A record without its number, which only the store gives.
fn unnumbered(record: &Value) -> Value {
    let mut record = record.clone();
    record.as_object_mut().expect("a record").remove("seq");
    record
}

/// Nothing where there is none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
