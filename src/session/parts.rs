//! The parts of an answer while it grows, and which of them the store has.
//!
//! Invariant: nothing counts as kept before the store has said so; what a save that failed or was given up may have left
//! out is written again as a whole.

use crate::protocol::message::{Part, PartKind, ResultStatus};
use crate::store::PartWrite;
use std::collections::HashSet;

/// The parts so far.
#[derive(Default)]
pub(super) struct LiveParts {
    parts: Vec<LivePart>,
    /// Parts before this one were handed to the store as they are.
    first_dirty: usize,
    /// Bytes of text that were not handed to the store.
    dirty_bytes: usize,
    save: Option<Save>,
    text_bytes: u64,
    reasoning_bytes: u64,
    kept_bytes: u64,
}

struct LivePart {
    part: Part,
    /// How many bytes of its text were handed to the store; absent while the part has no row.
    handed: Option<usize>,
}

/// A save that the store has not answered yet.
struct Save {
    first: usize,
    /// What is kept when it has succeeded.
    covers: u64,
}

impl LiveParts {
    /// Adds to the last part, or begins one of this kind.
    pub(super) fn append(&mut self, kind: PartKind, text: &str) {
        let bytes = text.len() as u64;
        match kind {
            PartKind::Reasoning => self.reasoning_bytes += bytes,
            _ => self.text_bytes += bytes,
        }
        self.dirty_bytes += text.len();
        match self.parts.last_mut() {
            Some(LivePart { part: Part { kind: last, text: Some(so_far), .. }, .. }) if *last == kind => so_far.push_str(text),
            _ => self.add(if kind == PartKind::Reasoning { Part::reasoning(text) } else { Part::text(text) }),
        }
    }

    /// A whole part that is not streamed.
    pub(super) fn add(&mut self, part: Part) {
        self.parts.push(LivePart { part, handed: None });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(|live| &live.part)
    }

    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    pub(super) fn reasoning_bytes(&self) -> u64 {
        self.reasoning_bytes
    }

    /// Bytes of streamed text that the store has, for certain.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// What must be written to save everything up to here: one save, which [`LiveParts::saved`] or
    /// [`LiveParts::not_saved`] must answer before the next. Nothing, if there is nothing new.
    pub(super) fn begin_save(&mut self) -> Vec<PartWrite> {
        let save = Save { first: self.first_dirty, covers: self.text_bytes + self.reasoning_bytes };
        let writes = self.hand_over();
        self.save = (!writes.is_empty()).then_some(save);
        writes
    }

    pub(super) fn saved(&mut self) {
        if let Some(save) = self.save.take() {
            self.kept_bytes = save.covers;
        }
    }

    /// The save failed, or nobody knows: what it held is handed over again, whole.
    pub(super) fn not_saved(&mut self) {
        let Some(save) = self.save.take() else { return };
        self.first_dirty = save.first;
        for live in &mut self.parts[save.first..] {
            live.handed = None;
        }
    }

    /// Gives every tool call without a result one, and hands over all that the store may not have.
    pub(super) fn end(&mut self, status_of: impl Fn(&str) -> (ResultStatus, &'static str)) -> (Vec<PartWrite>, Vec<Part>) {
        self.not_saved();
        for call_id in self.open_calls() {
            let (status, text) = status_of(&call_id);
            self.add(Part::tool_result(call_id, status, text));
        }
        let writes = self.hand_over();
        (writes, self.parts.drain(..).map(|live| live.part).collect())
    }

    fn hand_over(&mut self) -> Vec<PartWrite> {
        let mut writes = Vec::new();
        for (ordinal, live) in self.parts.iter_mut().enumerate().skip(self.first_dirty) {
            let ordinal = ordinal as u64;
            let len = live.part.text.as_ref().map_or(0, String::len);
            match (live.handed, &live.part.text) {
                (None, _) => writes.push(PartWrite::Put { ordinal, part: live.part.clone() }),
                (Some(handed), Some(text)) if handed < len => writes.push(PartWrite::Extend { ordinal, text: text[handed..].to_owned() }),
                (Some(_), _) => {}
            }
            live.handed = Some(len);
        }
        // Only the last part can still grow.
        self.first_dirty = self.parts.len().saturating_sub(1);
        self.dirty_bytes = 0;
        writes
    }

    /// The ids of the tool calls that have no result, in order.
    fn open_calls(&self) -> Vec<String> {
        let ids = |kind| self.iter().filter(move |part| part.kind == kind).filter_map(|part| part.call_id.as_deref());
        let answered: HashSet<_> = ids(PartKind::ToolResult).collect();
        ids(PartKind::ToolCall).filter(|call_id| !answered.contains(call_id)).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn put(ordinal: u64, part: Part) -> PartWrite {
        PartWrite::Put { ordinal, part }
    }

    fn extend(ordinal: u64, text: &str) -> PartWrite {
        PartWrite::Extend { ordinal, text: text.into() }
    }

    fn interrupted(_: &str) -> (ResultStatus, &'static str) {
        (ResultStatus::Interrupted, "stopped")
    }

    #[test]
    fn a_save_holds_what_is_new_and_counts_when_it_is_answered() {
        let mut parts = LiveParts::default();
        parts.append(PartKind::Reasoning, "hm");
        parts.append(PartKind::Text, "On");
        parts.append(PartKind::Text, "ce");
        assert_eq!(parts.begin_save(), [put(0, Part::reasoning("hm")), put(1, Part::text("Once"))]);
        assert_eq!((parts.kept_bytes(), parts.dirty_bytes()), (0, 0));
        parts.append(PartKind::Text, " more");
        parts.saved();
        assert_eq!((parts.kept_bytes(), parts.dirty_bytes()), (6, 5));
        assert_eq!(parts.begin_save(), [extend(1, " more")]);
        parts.saved();
        assert_eq!(parts.begin_save(), []);
    }

    #[test]
    fn what_a_failed_save_held_is_written_again_whole() {
        let mut parts = LiveParts::default();
        parts.append(PartKind::Text, "kept");
        parts.begin_save();
        parts.saved();
        parts.append(PartKind::Text, " lost");
        parts.add(Part::tool_call("c", "open", Value::Null));
        parts.begin_save();
        parts.not_saved();
        parts.append(PartKind::Text, "new");
        let again = [put(0, Part::text("kept lost")), put(1, Part::tool_call("c", "open", Value::Null)), put(2, Part::text("new"))];
        assert_eq!(parts.begin_save(), again);
        assert_eq!(parts.kept_bytes(), 4);
    }

    #[test]
    fn the_end_does_not_trust_a_save_that_nobody_answered() {
        let mut parts = LiveParts::default();
        parts.append(PartKind::Text, "a");
        parts.begin_save();
        parts.saved();
        parts.append(PartKind::Text, "b");
        parts.begin_save();
        parts.append(PartKind::Text, "c");
        let (writes, whole) = parts.end(interrupted);
        assert_eq!((writes, whole), (vec![put(0, Part::text("abc"))], vec![Part::text("abc")]));
        assert_eq!(parts.kept_bytes(), 1);
    }

    #[test]
    fn every_call_has_a_result_at_the_end() {
        let mut parts = LiveParts::default();
        for id in ["a", "b"] {
            parts.add(Part::tool_call(id, "open", Value::Null));
        }
        parts.add(Part::tool_result("a", ResultStatus::Completed, "done"));
        parts.begin_save();
        parts.saved();
        let (writes, whole) = parts.end(interrupted);
        assert_eq!(writes, [put(3, Part::tool_result("b", ResultStatus::Interrupted, "stopped"))]);
        assert_eq!(whole.len(), 4);
    }
}
