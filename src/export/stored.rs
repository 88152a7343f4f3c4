//! The store's snapshot as the source of an export.

#[cfg(test)]
mod tests;

use super::error::ExportError;
use super::source::{LateCancel, Sink, Source, TitleChange};
use crate::protocol::abort::{Abort, CancelRequest};
use crate::protocol::connection::ConnectionRecord;
use crate::protocol::diagnostics::{StreamTrace, TitleGeneration};
use crate::protocol::export::{Incident, LifecycleEvent, SessionInfo, TurnInfo};
use crate::protocol::ids::{ConnectionId, SessionId};
use crate::protocol::message::Message;
use crate::protocol::tool_run::ToolRun;
use crate::protocol::turn::{TurnBasis, TurnTime};
use crate::store::{Diagnostic, RecordKind, Recorded, Snapshot, StoreError, Unreadable};

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::read(error)
    }
}

/// The records of one kind.
fn each_of<T>(snapshot: &mut Snapshot, kind: RecordKind, of_kind: fn(Recorded) -> Option<T>, each: Sink<'_, T>) -> Result<(), ExportError> {
    snapshot.for_each_diagnostic(&[kind], |row| of_kind(row.record).map_or(Ok(()), &mut *each))
}

macro_rules! kind {
    ($pattern:pat => $record:expr) => {
        |recorded| match recorded {
            $pattern => Some($record),
            _ => None,
        }
    };
}

impl Source for Snapshot {
    fn at_seq(&self) -> u64 {
        self.at_seq()
    }

    fn unreadable(&self) -> &Unreadable {
        self.unreadable()
    }

    fn is_ahead(&self) -> bool {
        self.is_ahead()
    }

    fn sessions(&mut self) -> Result<Vec<SessionInfo>, ExportError> {
        Ok(Snapshot::sessions(self).to_vec())
    }

    fn turns(&mut self, session: &SessionId, each: Sink<'_, TurnInfo>) -> Result<(), ExportError> {
        self.for_each_turn(session, each)
    }

    fn messages(&mut self, session: &SessionId, each: Sink<'_, Message>) -> Result<(), ExportError> {
        self.for_each_message(session, each)
    }

    fn aborts(&mut self, each: Sink<'_, Abort>) -> Result<(), ExportError> {
        each_of(self, RecordKind::Abort, kind!(Recorded::Abort(abort) => *abort), each)
    }

    fn cancel_requests(&mut self, each: Sink<'_, CancelRequest>) -> Result<(), ExportError> {
        each_of(self, RecordKind::CancelRequest, kind!(Recorded::Diagnostic(Diagnostic::Cancel(cancel)) => cancel), each)
    }

    fn title_generations(&mut self, each: Sink<'_, TitleGeneration>) -> Result<(), ExportError> {
        each_of(self, RecordKind::TitleGeneration, kind!(Recorded::Diagnostic(Diagnostic::Title(title)) => title), each)
    }

    fn stream_traces(&mut self, each: Sink<'_, StreamTrace>) -> Result<(), ExportError> {
        each_of(self, RecordKind::StreamTrace, kind!(Recorded::Diagnostic(Diagnostic::Trace(trace)) => trace), each)
    }

    fn tool_runs(&mut self, each: Sink<'_, ToolRun>) -> Result<(), ExportError> {
        each_of(self, RecordKind::ToolRun, kind!(Recorded::Diagnostic(Diagnostic::ToolRun(run)) => run), each)
    }

    fn turn_times(&mut self, each: Sink<'_, TurnTime>) -> Result<(), ExportError> {
        each_of(self, RecordKind::TurnTime, kind!(Recorded::Diagnostic(Diagnostic::TurnTime(time)) => time), each)
    }

    fn turn_bases(&mut self, each: Sink<'_, TurnBasis>) -> Result<(), ExportError> {
        each_of(self, RecordKind::TurnBasis, kind!(Recorded::Diagnostic(Diagnostic::TurnBasis(basis)) => basis), each)
    }

    fn lifecycle(&mut self, each: Sink<'_, LifecycleEvent>) -> Result<(), ExportError> {
        each_of(self, RecordKind::Lifecycle, kind!(Recorded::Diagnostic(Diagnostic::Lifecycle(event)) => event), each)
    }

    fn incidents(&mut self, each: Sink<'_, Incident>) -> Result<(), ExportError> {
        each_of(self, RecordKind::Incident, kind!(Recorded::Diagnostic(Diagnostic::Incident(incident)) => incident), each)
    }

    fn connection(&mut self, id: &ConnectionId) -> Result<Option<ConnectionRecord>, ExportError> {
        Ok(Snapshot::connection(self, id)?)
    }

    fn late_cancels(&mut self, each: Sink<'_, LateCancel>) -> Result<(), ExportError> {
        let late = kind!(Recorded::Diagnostic(Diagnostic::LateCancel { abort_id, cancel_id, .. }) => LateCancel { abort_id, cancel_id });
        each_of(self, RecordKind::LateCancel, late, each)
    }

    fn title_changes(&mut self, each: Sink<'_, TitleChange>) -> Result<(), ExportError> {
        let change = kind!(Recorded::Diagnostic(Diagnostic::TitleState { abort_id, state, .. }) => TitleChange { abort_id, state });
        each_of(self, RecordKind::TitleState, change, each)
    }
}
