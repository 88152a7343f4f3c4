//! The turns of an export that are told of, by id: what is known of each, the parts of its messages, and their records.

use super::view::View;
use std::collections::HashMap;

/// Every turn of the tree, or the one that is asked about.
pub(super) struct Turns<'a> {
    diagnostics: View<'a>,
    only: Option<&'a str>,
    /// In the order of their sessions, and in each as they were begun.
    infos: Vec<View<'a>>,
    parts: HashMap<&'a str, Vec<View<'a>>>,
    /// By the list that they stand in, and their turn.
    records: HashMap<&'static str, HashMap<&'a str, Vec<View<'a>>>>,
    exported_at: Option<u64>,
}

/// The lists whose records are looked for by their turn.
const LISTS: [&str; 6] = ["aborts", "tool_runs", "turn_times", "turn_bases", "stream_traces", "lifecycle"];

impl<'a> Turns<'a> {
    /// Walks the tree once.
    pub(super) fn index(export: View<'a>, only: Option<&'a str>) -> Self {
        let (mut infos, mut parts) = (Vec::new(), HashMap::<&str, Vec<View<'a>>>::new());
        let mut sessions = vec![export.at("session")];
        while let Some(session) = sessions.pop() {
            infos.extend(session.list("turns"));
            for message in session.list("messages") {
                if let Some(turn) = message.text("turn_id") {
                    parts.entry(turn).or_default().extend(message.list("parts"));
                }
            }
            sessions.extend(session.list("children"));
        }
        let diagnostics = export.at("diagnostics");
        let mut records: HashMap<_, HashMap<_, Vec<_>>> = HashMap::new();
        for list in LISTS {
            for record in diagnostics.list(list) {
                if let Some(turn) = record.text("turn_id") {
                    records.entry(list).or_default().entry(turn).or_default().push(record);
                }
            }
        }
        Self { diagnostics, only, infos, parts, records, exported_at: export.number("exported_at") }
    }

    /// The turns to tell of.
    pub(super) fn all(&self) -> impl Iterator<Item = View<'a>> {
        self.infos.iter().copied().filter(|info| self.is_asked_about(*info))
    }

    /// The diagnostic records of these turns; if all are told of, also those that belong to none.
    pub(super) fn records(&self, name: &str) -> impl Iterator<Item = View<'a>> {
        self.diagnostics.list(name).filter(|record| self.is_asked_about(*record))
    }

    /// The records of one turn that stand in one of [`LISTS`].
    pub(super) fn of_turn(&self, list: &'static str, turn_id: &str) -> &[View<'a>] {
        self.records.get(list).and_then(|of_turns| of_turns.get(turn_id)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn exported_at(&self) -> Option<u64> {
        self.exported_at
    }

    fn is_asked_about(&self, of_a_turn: View<'_>) -> bool {
        self.only.is_none_or(|only| of_a_turn.text("turn_id") == Some(only))
    }

    /// The turn that the abort ended.
    pub(super) fn of(&self, abort: View<'_>) -> Option<View<'a>> {
        let turn = abort.text("turn_id")?;
        self.infos.iter().copied().find(|info| info.text("turn_id") == Some(turn))
    }

    /// The turns that its session began after it.
    pub(super) fn after(&self, abort: View<'_>) -> Vec<View<'a>> {
        let same_session = self.infos.iter().filter(|info| info.text("session_id") == abort.text("session_id"));
        same_session.skip_while(|info| info.text("turn_id") != abort.text("turn_id")).skip(1).copied().collect()
    }

    /// Whether the document is one that tells of model calls.
    pub(super) fn has_traces(&self) -> bool {
        !self.diagnostics.at("stream_traces").is_absent()
    }

    /// The records of its model calls, an attempt each.
    pub(super) fn traces(&self, abort: View<'_>) -> &[View<'a>] {
        abort.text("turn_id").map_or(&[], |turn| self.of_turn("stream_traces", turn))
    }

    /// The records of the tool calls of the turn that the abort ended.
    pub(super) fn runs(&self, abort: View<'_>) -> &[View<'a>] {
        abort.text("turn_id").map_or(&[], |turn| self.of_turn("tool_runs", turn))
    }

    /// The parts of its messages.
    pub(super) fn parts(&self, abort: View<'_>) -> &[View<'a>] {
        abort.text("turn_id").and_then(|turn| self.parts.get(turn)).map_or(&[], Vec::as_slice)
    }

    /// What a call of it is about, if the export has its texts: the command, the pattern, the path.
    pub(super) fn about(&self, abort: View<'_>, call_id: &str) -> Option<String> {
        let is_it = |part: &&View<'_>| part.text("kind") == Some("tool_call") && part.text("call_id") == Some(call_id);
        let input = self.parts(abort).iter().find(is_it)?.at("input");
        let argv = || Some(input.texts("argv").join(" ")).filter(|argv| !argv.is_empty());
        ["command", "pattern", "path"].into_iter().find_map(|name| input.text(name)).map(str::to_owned).or_else(argv)
    }
}
