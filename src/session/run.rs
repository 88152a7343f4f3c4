//! One accepted prompt from the runner's side: who asked, what it has produced, and the record of its stop.

use super::demand::CancelDemand;
use super::error::Refusal;
use super::ledger::{Closed, Ledger};
use super::title::Title;
use super::turn::{Fault, TurnEnd};
use crate::protocol::abort::{Abort, CancelRequest, Phase, PromptRequest, RequestRef};
use crate::protocol::cause::{CancelMode, Initiator};
use crate::protocol::diagnostics::{StreamState, StreamTrace};
use crate::protocol::export::TurnInfo;
use crate::protocol::ids::{AbortId, CancelId, MessageId, SessionId, TurnId};
use crate::protocol::message::{Message, Role};
use crate::protocol::results::PromptResult;
use crate::provenance::{AbortBuilder, Canceller, Clock, Provenance, RunFacts, Stop};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// A turn from its acceptance to its answer.
pub(super) struct Run {
    pub(super) turn_id: TurnId,
    pub(super) message_id: MessageId,
    pub(super) prompt: Message,
    pub(super) origin: RequestRef,
    pub(super) reply: oneshot::Sender<Result<PromptResult, Refusal>>,
    /// Fires when the answer is on its way to the client.
    pub(super) answered: oneshot::Receiver<()>,
    pub(super) canceller: Canceller,
    pub(super) ledger: Arc<Ledger>,
    pub(super) task: Option<AbortHandle>,
    pub(super) abort: Option<AbortBuilder>,
    /// The abort that stopped it; stays when the builder has been finished.
    pub(super) abort_id: Option<AbortId>,
    pub(super) end: Option<TurnEnd>,
    /// Every demand to stop it that was recorded so far.
    pub(super) cancel_requests: Vec<CancelRequest>,
    /// `provider:model`, once the turn was given one.
    pub(super) model: Option<String>,
}

/// What a run leaves when it has ended.
pub(super) struct Remains {
    pub(super) closed: Closed,
    pub(super) abort: Option<Abort>,
    pub(super) traces: Vec<StreamTrace>,
}

impl Run {
    /// Without a known key, as the origin is.
    pub(super) fn prompt_request(&self) -> PromptRequest {
        PromptRequest { id: self.origin.id.clone(), connection_id: self.origin.connection_id.clone() }
    }

    /// The turn's row as it stands before it ends.
    pub(super) fn turn_info(&self, session_id: &SessionId, now: u64) -> TurnInfo {
        TurnInfo {
            turn_id: self.turn_id.clone(),
            session_id: session_id.clone(),
            message_id: self.message_id.clone(),
            parent_id: self.prompt.message_id.clone(),
            started_at: now,
            ended_at: None,
            stop: None,
            abort_id: None,
            model: self.model.clone(),
            usage: None,
            last_update: None,
        }
    }

    /// Pulls the token and begins the abort record: the instant of the stop.
    pub(super) fn stop(&mut self, stop: Stop, point: &str, title: &Title, session: &SessionId, clock: &Clock) {
        let Ok(stop) = self.canceller.stop(stop) else { return };
        let glance = self.ledger.glance();
        let phase = if self.task.is_some() { glance.phase } else { Phase::Queued };
        let (title_generation_state, title_run_id) = title.seen_by_abort(&self.turn_id, &stop.abort_id);
        let facts = RunFacts {
            session_id: session.clone(),
            turn_id: self.turn_id.clone(),
            message_id: self.message_id.clone(),
            parent_id: self.prompt.message_id.clone(),
            prompt_request: self.prompt_request(),
            phase,
            attempt_id: glance.attempt_id,
            title_generation_state,
            title_run_id,
        };
        let mut abort = AbortBuilder::begin(Arc::clone(&stop), facts, clock);
        abort.hop(point, stop.requested);
        abort.hop("runner.stopping", Instant::now());
        abort.tools(glance.tools);
        self.abort = Some(abort);
        self.abort_id = Some(stop.abort_id.clone());
        tracing::info!(turn_id = %self.turn_id, abort_id = %stop.abort_id, cause = stop.cause.name(), "the turn is told to stop");
    }

    /// Ends the work from outside: it did not stop within the grace.
    pub(super) fn force(&mut self) {
        let killed = self.ledger.still_running();
        if let Some(abort) = &mut self.abort {
            abort.forced();
            abort.hop("turn.forced", Instant::now());
            abort.tools_killed(&killed);
        }
        if let Some(task) = &self.task {
            task.abort();
        }
        self.end = Some(TurnEnd::Stopped);
    }

    /// Closes the ledger and finishes the abort record, if there is one.
    pub(super) fn close(&mut self, provenance: &Provenance) -> Remains {
        let mut closed = self.ledger.close();
        let abort = self.abort.take().map(|mut abort| {
            for (point, at) in closed.hops.drain(..) {
                abort.hop(point, at);
            }
            abort.finish(provenance, closed.partial.clone())
        });
        // An attempt that is still open was dropped by this abort.
        if let (Some(abort), Some(last)) = (&abort, closed.traces.last_mut())
            && last.is_open()
        {
            last.aborted(abort.abort_id.clone());
        }
        let traces: Vec<_> = closed.traces.iter().map(|trace| trace.trace().clone()).collect();
        debug_assert!(traces.iter().all(|trace| trace.state != StreamState::Open), "an ended turn left a trace open");
        Remains { closed, abort, traces }
    }

    /// The assistant's message as it will stand in the history.
    pub(super) fn answer_message(&self, parts: Vec<crate::protocol::message::Part>, now: u64) -> Message {
        Message {
            message_id: self.message_id.clone(),
            role: Role::Assistant,
            created_at: now,
            parts,
            turn_id: Some(self.turn_id.clone()),
            model: self.model.clone(),
        }
    }
}

/// The stop that a demand becomes when it wins.
pub(super) fn stop_of_demand(demand: &CancelDemand, cancel_id: &CancelId, provenance: &Provenance) -> Stop {
    Stop {
        abort_id: provenance.ids.abort(),
        cancel_id: Some(cancel_id.clone()),
        cause: demand.cause.clone(),
        initiator: demand.initiator,
        mode: demand.mode,
        source: demand.source.clone(),
        reason: demand.reason.clone(),
        request: demand.request.clone(),
        via_ctx_abort: demand.via_ctx_abort,
        requested_at: provenance.clock.wall_at(demand.requested),
        requested: demand.requested,
        missing: demand.missing.clone(),
        error_name: None,
        error_message: None,
    }
}

/// The stop that a fault is: nobody asked.
pub(super) fn stop_of_fault(fault: &Fault, provenance: &Provenance) -> Stop {
    Stop {
        abort_id: provenance.ids.abort(),
        cancel_id: None,
        cause: fault.cause.clone(),
        initiator: Initiator::Unknown,
        mode: CancelMode::Hard,
        source: None,
        reason: None,
        request: None,
        via_ctx_abort: false,
        requested_at: provenance.clock.wall_ms(),
        requested: Instant::now(),
        missing: Vec::new(),
        error_name: Some(fault.name.clone()),
        error_message: Some(fault.message.clone()),
    }
}
