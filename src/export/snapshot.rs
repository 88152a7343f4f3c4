//! The store's snapshot as an export reads it.

use super::error::ExportError;
use super::source::{LateCancel, Sink, Source, TitleChange};
use crate::protocol::abort::{Abort, CancelRequest};
use crate::protocol::diagnostics::{StreamTrace, TitleGeneration};
use crate::protocol::export::{Incident, LifecycleEvent, SessionInfo, TurnInfo};
use crate::protocol::ids::SessionId;
use crate::protocol::message::Message;
use crate::store::{Diagnostic, Recorded, Snapshot, StoreError};

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::read(error)
    }
}

/// One list of an export: the diagnostics of one kind.
macro_rules! each {
    ($($name:ident: $type:ty = $pattern:pat => $value:expr;)*) => {$(
        fn $name(&mut self, each: Sink<'_, $type>) -> Result<(), ExportError> {
            self.for_each_diagnostic(|row| match row.record {
                $pattern => each($value),
                _ => Ok(()),
            })
        }
    )*};
}

impl Source for Snapshot {
    fn at_seq(&self) -> u64 {
        Self::at_seq(self)
    }

    fn unreadable(&self) -> u64 {
        Self::unreadable(self)
    }

    fn sessions(&mut self) -> Result<Vec<SessionInfo>, ExportError> {
        Ok(Self::sessions(self).to_vec())
    }

    fn turns(&mut self, session: &SessionId, each: Sink<'_, TurnInfo>) -> Result<(), ExportError> {
        self.for_each_turn(session, each)
    }

    fn messages(&mut self, session: &SessionId, each: Sink<'_, Message>) -> Result<(), ExportError> {
        self.for_each_message(session, each)
    }

    each! {
        aborts: Abort = Recorded::Abort(abort) => *abort;
        cancel_requests: CancelRequest = Recorded::Diagnostic(Diagnostic::Cancel(request)) => request;
        title_generations: TitleGeneration = Recorded::Diagnostic(Diagnostic::Title(title)) => title;
        stream_traces: StreamTrace = Recorded::Diagnostic(Diagnostic::Trace(trace)) => trace;
        lifecycle: LifecycleEvent = Recorded::Diagnostic(Diagnostic::Lifecycle(event)) => event;
        incidents: Incident = Recorded::Diagnostic(Diagnostic::Incident(incident)) => incident;
        late_cancels: LateCancel =
            Recorded::Diagnostic(Diagnostic::LateCancel { abort_id, cancel_id, .. }) => LateCancel { abort_id, cancel_id };
        title_changes: TitleChange =
            Recorded::Diagnostic(Diagnostic::TitleState { abort_id, state, .. }) => TitleChange { abort_id, state };
    }
}
