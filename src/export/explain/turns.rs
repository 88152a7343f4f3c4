//! The turns of an export, by id: the parts of their messages, and the records of their tool calls.

use super::view::View;
use std::collections::HashMap;

/// The parts of every turn's messages, and the records of its tool calls.
pub(super) struct Turns<'a> {
    parts: HashMap<&'a str, Vec<View<'a>>>,
    runs: HashMap<&'a str, Vec<View<'a>>>,
}

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
        let mut runs: HashMap<&str, Vec<View<'a>>> = HashMap::new();
        for run in export.at("diagnostics").list("tool_runs") {
            if let Some(turn) = run.text("turn_id") {
                runs.entry(turn).or_default().push(run);
            }
        }
        Self { parts, runs }
    }

    /// The records of the tool calls of the turn that the abort ended.
    pub(super) fn runs(&self, abort: View<'_>) -> &[View<'a>] {
        abort.text("turn_id").and_then(|turn| self.runs.get(turn)).map_or(&[], Vec::as_slice)
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
