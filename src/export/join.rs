//! What came after an abort was committed, joined to the copy that is exported. The committed row itself never changes.

use super::error::ExportError;
use super::source::Source;
use crate::protocol::abort::{Abort, Hop, TitleState};
use crate::protocol::export::LifecyclePoint;
use crate::protocol::ids::{AbortId, CancelId, TurnId};
use crate::provenance::shown_by;
use std::collections::{HashMap, HashSet};

/// The hop at which the stopped prompt was answered.
pub(super) const ANSWERED: &str = "turn.answered";

/// The later rows of every abort in a tree: ids and numbers only, so it stays small.
#[derive(Debug, Default)]
pub(super) struct Joins {
    late_cancels: HashMap<AbortId, Vec<CancelId>>,
    titles: HashMap<AbortId, TitleState>,
    answered_us: HashMap<TurnId, u64>,
    /// What the demands show that came beside it.
    shown: HashMap<AbortId, HashSet<&'static str>>,
}

impl Joins {
    pub(super) fn collect(source: &mut impl Source) -> Result<Self, ExportError> {
        let mut joins = Self::default();
        source.late_cancels(&mut |late| {
            joins.late_cancels.entry(late.abort_id).or_default().push(late.cancel_id);
            Ok(())
        })?;
        source.title_changes(&mut |change| {
            joins.titles.insert(change.abort_id, change.state);
            Ok(())
        })?;
        source.cancel_requests(&mut |demand| {
            if let Some(abort_id) = &demand.abort_id {
                joins.shown.entry(abort_id.clone()).or_default().extend(shown_by(&demand));
            }
            Ok(())
        })?;
        source.lifecycle(&mut |event| {
            if let (LifecyclePoint::Answered, Some(at_us)) = (event.event, event.at_us) {
                joins.answered_us.insert(event.turn_id, at_us);
            }
            Ok(())
        })?;
        Ok(joins)
    }

    /// The abort with everything that came later.
    pub(super) fn apply(&mut self, mut abort: Abort) -> Abort {
        if let Some(late) = self.late_cancels.remove(&abort.abort_id) {
            abort.late_cancels.extend(late);
        }
        if let Some(shown) = self.shown.remove(&abort.abort_id) {
            abort.ruled_out.retain(|family| !shown.contains(family.as_str()));
        }
        // A state that was final when the stop was recorded stays what it was.
        if abort.title_generation_state == TitleState::InFlight
            && let Some(state) = self.titles.remove(&abort.abort_id)
        {
            abort.title_generation_state = state;
        }
        if let Some(at_us) = self.answered_us.remove(&abort.turn_id) {
            abort.propagation.push(Hop { point: ANSWERED.into(), at_us });
        }
        abort
    }
}
