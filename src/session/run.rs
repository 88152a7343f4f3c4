//! One accepted prompt from the runner's side: who asked, what it has produced, and the record of its stop.

use super::context::SessionContext;
use super::demand::CancelDemand;
use super::error::Refusal;
use super::ledger::{Closed, Glance, Ledger};
use super::runner::Posted;
use super::service::Way;
use super::stopwatch::Stopwatch;
use super::title::Title;
use super::toolbook::Toolbook;
use super::turn::{Fault, TurnEnd};
use crate::protocol::abort::{Abort, CancelRequest, Phase, PromptRequest, RequestRef, TitleState, ToolOutcome};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::diagnostics::StreamState;
use crate::protocol::export::{TurnInfo, TurnKind};
use crate::protocol::ids::{AbortId, CancelId, MessageId, TurnId};
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::results::{PromptResult, ShellResult};
use crate::provenance::{AbortBuilder, Canceller, Evidence, Provenance, RunFacts, Stop};
use crate::store::{BeginTurn, Pending};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// A turn from its acceptance to its answer.
pub(super) struct Run {
    pub(super) turn_id: TurnId,
    pub(super) message_id: MessageId,
    pub(super) prompt: Arc<Message>,
    pub(super) origin: RequestRef,
    pub(super) reply: Answer,
    /// How the answer goes to the client.
    pub(super) way: Way,
    pub(super) canceller: Canceller,
    pub(super) ledger: Arc<Ledger>,
    pub(super) stopwatch: Arc<Stopwatch>,
    /// It waits no more: its work is started.
    pub(super) is_started: bool,
    /// Its work, once it was started.
    pub(super) task: Option<AbortHandle>,
    /// Where it stands in the conversation, once it was started: prompts that are withdrawn meanwhile come behind it.
    pub(super) stands_at: Option<usize>,
    /// Its first row is queued.
    pub(super) begun: bool,
    /// It is stored as a prompt that waits.
    pub(super) waits: bool,
    /// Its end is with the store, or it is refused: the runner hears of it by mail.
    pub(super) is_settling: bool,
    pub(super) abort: Option<AbortBuilder>,
    /// The abort that stopped it; stays when the builder has been finished.
    pub(super) abort_id: Option<AbortId>,
    pub(super) end: Option<TurnEnd>,
    /// Every demand to stop it that was recorded so far.
    pub(super) cancel_requests: Vec<CancelRequest>,
    /// `provider:model`, once the turn was given one.
    pub(super) model: Option<String>,
}

/// Where the answer to what was asked goes.
pub(super) enum Answer {
    Prompt(oneshot::Sender<Result<PromptResult, Refusal>>),
    Shell(oneshot::Sender<Result<ShellResult, Refusal>>),
}

impl Answer {
    /// Whoever asked may be gone; then the answer went as far as it could.
    pub(super) fn refuse(self, refusal: Refusal) {
        match self {
            Self::Prompt(reply) => drop(reply.send(Err(refusal))),
            Self::Shell(reply) => drop(reply.send(Err(refusal))),
        }
    }

    pub(super) fn kind(&self) -> TurnKind {
        match self {
            Self::Prompt(_) => TurnKind::Prompt,
            Self::Shell(_) => TurnKind::Shell,
        }
    }
}

/// What a run leaves when it has ended.
pub(super) struct Remains {
    pub(super) closed: Closed,
    pub(super) abort: Option<Abort>,
}

impl Run {
    pub(super) fn new(posted: Posted, context: &SessionContext) -> Self {
        let Posted { turn_id, posted_at, origin, parts, reply, way } = posted;
        let ids = &context.provenance.ids;
        let message_id = ids.message();
        let prompt = Message {
            message_id: ids.message(),
            role: Role::User,
            created_at: context.provenance.clock.wall_ms(),
            parts,
            turn_id: Some(turn_id.clone()),
            model: None,
        };
        Self {
            ledger: Arc::new(Ledger::new(
                Toolbook::new(context.id.clone(), turn_id.clone(), context.provenance.clone()),
                turn_id.clone(),
                message_id.clone(),
                Arc::clone(&context.channel),
            )),
            stopwatch: Arc::new(Stopwatch::running_since(posted_at, context.provenance.clock.clone())),
            turn_id,
            message_id,
            prompt: Arc::new(prompt),
            origin,
            reply,
            way,
            canceller: Canceller::new(),
            is_started: false,
            task: None,
            stands_at: None,
            begun: false,
            waits: false,
            is_settling: false,
            abort: None,
            abort_id: None,
            end: None,
            cancel_requests: Vec::new(),
            model: None,
        }
    }

    /// Queues the turn's first row.
    pub(super) fn begin(&mut self, context: &SessionContext, title: &Title) -> Pending<Option<TurnId>> {
        self.begun = true;
        context.store.begin_turn(self.first_row(context, title))
    }

    /// Keeps the prompt while it waits: a death of the process does not take it along.
    pub(super) fn wait(&mut self, context: &SessionContext, title: &Title) {
        self.waits = true;
        let (turn_id, kept) = (self.turn_id.clone(), context.store.keep_waiting(self.first_row(context, title)));
        context.beside(async move {
            if let Err(error) = kept.await {
                tracing::error!(%error, %turn_id, "a prompt that waits could not be stored");
            }
        });
    }

    fn first_row(&self, context: &SessionContext, title: &Title) -> BeginTurn {
        let clock = &context.provenance.clock;
        let turn = TurnInfo {
            turn_id: self.turn_id.clone(),
            session_id: context.id.clone(),
            message_id: self.message_id.clone(),
            parent_id: self.prompt.message_id.clone(),
            started_at: clock.wall_ms(),
            prompt_request: None,
            kind: Some(self.reply.kind()),
            ended_at: None,
            stop: None,
            abort_id: None,
            model: self.model.clone(),
            usage: None,
            last_update: None,
            running_in: None,
        };
        let accepted_at = self.prompt.created_at;
        let (prompt, prompt_request) = ((*self.prompt).clone(), self.prompt_request());
        BeginTurn { turn, prompt, prompt_request, accepted_at, titles_off: title.is_off() }
    }

    /// Without a known key, as the origin is.
    fn prompt_request(&self) -> PromptRequest {
        let RequestRef { method, id, connection_id, transport, client, traceparent: _ } = self.origin.clone();
        PromptRequest { id, connection_id, method: Some(method), client, transport: Some(transport) }
    }

    /// Pulls the token and begins the abort record: the instant of the stop.
    pub(super) fn stop(&mut self, stop: Stop, point: &str, title: &Title, context: &SessionContext) {
        // Looked at before the token is pulled: what the turn does from then on is the stop's doing.
        let (glance, stopping) = (self.ledger.glance(), Instant::now());
        if let Ok(stop) = self.canceller.stop(stop) {
            self.record_stop(stop, (point, stopping), glance, title, context);
        }
    }

    /// Begins the record of a stop again that was lost on the way.
    pub(super) fn begin_abort(&mut self, stop: Arc<Stop>, point: &str, title: &Title, context: &SessionContext) {
        self.record_stop(stop, (point, Instant::now()), self.ledger.glance(), title, context);
    }

    fn record_stop(
        &mut self,
        stop: Arc<Stop>,
        (point, stopping): (&str, Instant),
        glance: Glance,
        title: &Title,
        context: &SessionContext,
    ) {
        let phase = if self.is_started { glance.phase } else { Phase::Queued };
        let (title_generation_state, title_run_id) = match (self.reply.kind(), title.seen_by_abort(&self.turn_id, &stop.abort_id)) {
            // A command is nothing that a title could be made of.
            (TurnKind::Shell, (TitleState::NotStarted, run_id)) => (TitleState::NotApplicable, run_id),
            (TurnKind::Prompt | TurnKind::Shell, seen) => seen,
        };
        let facts = RunFacts {
            session_id: context.id.clone(),
            turn_id: self.turn_id.clone(),
            message_id: self.message_id.clone(),
            parent_id: self.prompt.message_id.clone(),
            prompt_request: Some(self.prompt_request()),
            phase,
            attempt_id: glance.attempt_id,
            title_generation_state,
            title_run_id,
        };
        let mut abort = AbortBuilder::begin(Arc::clone(&stop), facts, &context.provenance.clock);
        abort.hop(point, stop.requested);
        abort.hop("runner.stopping", stopping);
        abort.tools(glance.tools);
        self.abort = Some(abort);
        self.abort_id = Some(stop.abort_id.clone());
        tracing::info!(turn_id = %self.turn_id, abort_id = %stop.abort_id, cause = stop.cause.name(), "the turn is told to stop");
    }

    /// Ends the work from outside: it did not stop within the grace.
    pub(super) fn force(&mut self) {
        let escaped = self.ledger.running_tools();
        if let Some(abort) = &mut self.abort {
            abort.forced();
            abort.hop("turn.forced", Instant::now());
            escaped.iter().for_each(|call_id| abort.tool_became(call_id, ToolOutcome::Escaped));
        }
        if let Some(task) = &self.task {
            task.abort();
        }
        self.end = Some(TurnEnd::Stopped);
    }

    /// Closes the ledger and finishes the abort record, if there is one.
    pub(super) fn close(&mut self, provenance: &Provenance) -> Remains {
        let mut closed = self.ledger.close(self.abort_id.as_ref());
        let abort = self.abort.take().map(|mut abort| {
            for (point, at) in closed.hops.drain(..) {
                abort.hop(point, at);
            }
            for (call_id, outcome) in closed.outcomes.drain(..) {
                abort.tool_became(&call_id, outcome);
            }
            // What is still unwritten when the client reads is on its way.
            let unread = closed.unread_since.filter(|_| closed.partial.updates_unsent.is_some());
            closed.partial.not_read_since = unread.map(|since| provenance.clock.wall_at(since));
            let evidence = Evidence { traces: &closed.traces, cancel_requests: &self.cancel_requests };
            abort.finish(provenance, closed.partial.clone(), evidence)
        });
        debug_assert!(closed.traces.iter().all(|trace| trace.state != StreamState::Open), "an ended turn left a trace open");
        Remains { closed, abort }
    }

    /// The assistant's message as it will stand in the history.
    pub(super) fn answer_message(&self, parts: Vec<Part>, now: u64) -> Message {
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
        requested_at: demand.requested.wall_ms(&provenance.clock),
        requested: demand.requested.instant(),
        missing: demand.missing.clone(),
        error_name: None,
        error_message: None,
    }
}

/// The stop that a fault is.
pub(super) fn stop_of_fault(fault: &Fault, provenance: &Provenance) -> Stop {
    Stop {
        error_name: Some(fault.name.clone()),
        error_message: Some(fault.message.clone()),
        requested: fault.at.instant(),
        requested_at: fault.at.wall_ms(&provenance.clock),
        ..stop_by_itself(&fault.cause, provenance)
    }
}

/// The stop of a turn that nobody asked to end.
pub(super) fn stop_by_itself(cause: &Cause, provenance: &Provenance) -> Stop {
    Stop {
        abort_id: provenance.ids.abort(),
        cancel_id: None,
        cause: cause.clone(),
        initiator: Initiator::Unknown,
        mode: CancelMode::Hard,
        source: None,
        reason: None,
        request: None,
        via_ctx_abort: false,
        requested_at: provenance.clock.wall_ms(),
        requested: Instant::now(),
        missing: Vec::new(),
        error_name: None,
        error_message: None,
    }
}
