//! Who asks: the origin of a request, and a demand to stop with all that its sender said.

use crate::protocol::abort::RequestRef;
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::ids::{SessionId, TurnId};
use std::time::Instant;

/// A demand to stop, from wherever it came: the one thing that travels the road to a runner.
#[derive(Debug, Clone)]
pub struct CancelDemand {
    pub session_id: SessionId,
    pub scope: CancelScope,
    pub cause: Cause,
    pub initiator: Initiator,
    pub mode: CancelMode,
    pub source: Option<String>,
    pub reason: Option<String>,
    /// Absent when no request asked (EOF, a signal).
    pub request: Option<RequestRef>,
    /// When the bytes were read: the zero of the abort's hops.
    pub requested: Instant,
    /// The hop at which it entered, such as `rpc.session/cancel`.
    pub point: &'static str,
    pub via_ctx_abort: bool,
    /// Fields that were dropped as invalid.
    pub missing: Vec<String>,
}

impl CancelDemand {
    /// A hard stop, asked for now, of which nothing more is said.
    pub fn of(session_id: SessionId, scope: CancelScope, cause: Cause, point: &'static str, request: Option<RequestRef>) -> Self {
        Self {
            session_id,
            scope,
            cause,
            initiator: Initiator::Unknown,
            mode: CancelMode::Hard,
            source: None,
            reason: None,
            request,
            requested: Instant::now(),
            point,
            via_ctx_abort: false,
            missing: Vec::new(),
        }
    }

    /// The demand of an end that takes the whole session with it.
    pub(super) fn of_all(session_id: &SessionId, cause: Cause, point: &'static str, request: Option<RequestRef>) -> Self {
        Self { via_ctx_abort: true, ..Self::of(session_id.clone(), CancelScope::Session, cause, point, request) }
    }
}

/// What of a session is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelScope {
    /// The running turn and every prompt accepted before the demand.
    Session,
    /// Only this turn, running or queued.
    Turn(TurnId),
}
