//! What an export reads from: a snapshot that does not move while it is read.

use super::error::ExportError;
use crate::protocol::abort::{Abort, CancelRequest, TitleState};
use crate::protocol::connection::ConnectionRecord;
use crate::protocol::diagnostics::{StreamTrace, TitleGeneration};
use crate::protocol::export::{Incident, LifecycleEvent, SessionInfo, TurnInfo};
use crate::protocol::ids::{AbortId, CancelId, ConnectionId, SessionId};
use crate::protocol::message::Message;
use crate::protocol::tool_run::ToolRun;
use crate::protocol::turn::{TurnBasis, TurnTime};
use crate::store::Unreadable;

/// Takes one record after the other.
pub type Sink<'a, T> = &'a mut dyn FnMut(T) -> Result<(), ExportError>;

/// A snapshot of one session tree. Every list comes in the store's order, and each record comes once, in its latest
/// state (a trace that was stored open and again when it ended is one record).
pub trait Source {
    /// The newest diagnostics row of this tree.
    fn at_seq(&self) -> u64;

    /// Rows that were there but could not be read, so far.
    fn unreadable(&self) -> &Unreadable;

    /// Whether it tells of ends that could not be stored.
    fn is_ahead(&self) -> bool {
        false
    }

    /// The tree depth first, each session before its children; the first is the root.
    fn sessions(&mut self) -> Result<Vec<SessionInfo>, ExportError>;

    fn turns(&mut self, session: &SessionId, each: Sink<'_, TurnInfo>) -> Result<(), ExportError>;

    fn messages(&mut self, session: &SessionId, each: Sink<'_, Message>) -> Result<(), ExportError>;

    /// The aborts as they were committed.
    fn aborts(&mut self, each: Sink<'_, Abort>) -> Result<(), ExportError>;

    fn cancel_requests(&mut self, each: Sink<'_, CancelRequest>) -> Result<(), ExportError>;

    fn title_generations(&mut self, each: Sink<'_, TitleGeneration>) -> Result<(), ExportError>;

    fn stream_traces(&mut self, each: Sink<'_, StreamTrace>) -> Result<(), ExportError>;

    fn tool_runs(&mut self, each: Sink<'_, ToolRun>) -> Result<(), ExportError>;

    fn turn_times(&mut self, each: Sink<'_, TurnTime>) -> Result<(), ExportError>;

    fn turn_bases(&mut self, each: Sink<'_, TurnBasis>) -> Result<(), ExportError>;

    fn lifecycle(&mut self, each: Sink<'_, LifecycleEvent>) -> Result<(), ExportError>;

    fn incidents(&mut self, each: Sink<'_, Incident>) -> Result<(), ExportError>;

    /// A connection that records name, if it is known.
    fn connection(&mut self, id: &ConnectionId) -> Result<Option<ConnectionRecord>, ExportError>;

    fn late_cancels(&mut self, each: Sink<'_, LateCancel>) -> Result<(), ExportError>;

    fn title_changes(&mut self, each: Sink<'_, TitleChange>) -> Result<(), ExportError>;
}

/// A cancel that came after `abort_id` had won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateCancel {
    pub abort_id: AbortId,
    pub cancel_id: CancelId,
}

/// What became of the title generation that was in flight when `abort_id` was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TitleChange {
    pub abort_id: AbortId,
    pub state: TitleState,
}
