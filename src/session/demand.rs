//! Who asks: the origin of a request, and a demand to stop with all that its sender said.

use crate::protocol::abort::RequestRef;
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::ids::{SessionId, TurnId};
use crate::provenance::Moment;
use futures_util::future::{BoxFuture, Shared};
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
    pub requested: Moment,
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
            requested: Moment::now(),
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

/// An end that takes every session with it.
#[derive(Clone)]
pub struct End {
    pub cause: Cause,
    /// The hop at which it entered.
    pub point: &'static str,
    pub request: Option<RequestRef>,
    /// When its evidence came.
    pub requested: Moment,
    /// What it may still turn out to be. The work stops at once; the records wait for this.
    pub explanation: Option<Explanation>,
}

/// Resolves soon; with nothing if the cause is what it seemed.
pub type Explanation = Shared<BoxFuture<'static, Option<Explained>>>;

/// The better cause of an end.
#[derive(Debug, Clone)]
pub struct Explained {
    pub cause: Cause,
    /// The hop at which it became known.
    pub point: &'static str,
    pub at: Instant,
}

impl End {
    pub(super) fn of(&self, session_id: &SessionId) -> CancelDemand {
        let demand = CancelDemand::of_all(session_id, self.cause.clone(), self.point, self.request.clone());
        CancelDemand { requested: self.requested.clone(), ..demand }
    }
}

/// Something that came in beside an end, or that ends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heed {
    /// It stops what still runs, and comes behind what has stopped it already.
    Stop,
    /// It is not meant for us: it is noted where something runs.
    Ignore,
}

/// What of a session is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelScope {
    /// The running turn and every prompt accepted before the demand.
    Session,
    /// Only this turn, running or queued.
    Turn(TurnId),
}
