//! What waits while the cause of an end can still turn out to be another: a closed pipe may be a process that died.
//!
//! Invariant: the work stops at once and only its records wait, for as long as an explanation may take.

use super::demand::Explained;
use super::runner::{Place, Runner};
use super::{settle, verdict};
use crate::protocol::abort::CancelRequest;
use crate::protocol::cause::Cause;
use crate::protocol::ids::TurnId;

/// The records that wait.
pub(super) struct Held {
    /// What the end seems to be.
    cause: Cause,
    /// Demands, each with the turns that tell of it.
    rows: Vec<(CancelRequest, Vec<TurnId>)>,
    /// Turns whose work has ended.
    commits: Vec<(TurnId, Place)>,
}

impl Held {
    pub(super) fn of(cause: Cause) -> Self {
        Self { cause, rows: Vec::new(), commits: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.commits.is_empty()
    }

    pub(super) fn row(&mut self, row: CancelRequest, turns: Vec<TurnId>) {
        self.rows.push((row, turns));
    }

    pub(super) fn commit(&mut self, turn: TurnId, place: Place) {
        self.commits.push((turn, place));
    }
}

/// The cause is certain: whatever waited goes on, with that cause.
pub(super) fn release(runner: &mut Runner, explained: Option<Explained>) {
    let Some(Held { cause, mut rows, commits }) = runner.held.take() else { return };
    if let Some(Explained { cause: better, point, at }) = explained {
        for (row, _) in rows.iter_mut().filter(|(row, _)| row.cause == cause) {
            row.cause = better.clone();
        }
        let stopped = runner.runs.values_mut().filter_map(|run| run.abort.as_mut());
        for abort in stopped.filter(|abort| abort.stop().cause == cause) {
            abort.explained(better.clone(), point, at);
        }
    }
    for (row, turns) in rows {
        verdict::record(runner, row, turns);
    }
    for (turn, place) in commits {
        settle::commit(runner, &turn, place);
    }
}
