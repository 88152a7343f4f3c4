//! [`AbortBuilder`]: the sole maker of abort records. It collects hops and facts while a run stops and is finished once.

use super::clock::{Clock, Provenance};
use super::ruled_out::{Evidence, ruled_out};
use super::token::Stop;
use crate::protocol::abort::{Abort, Crash, Hop, Partial, Phase, PromptRequest, TitleState, ToolInFlight, ToolOutcome};
use crate::protocol::cause::Cause;
use crate::protocol::ids::{AttemptId, MessageId, SessionId, TitleRunId, TurnId};
use std::sync::Arc;
use std::time::Instant;

/// What is known of a run when it is stopped.
#[derive(Debug, Clone)]
pub struct RunFacts {
    pub session_id: SessionId,
    pub turn_id: TurnId,
    pub message_id: MessageId,
    pub parent_id: MessageId,
    /// Absent if it could not be read.
    pub prompt_request: Option<PromptRequest>,
    pub phase: Phase,
    pub attempt_id: Option<AttemptId>,
    pub title_generation_state: TitleState,
    pub title_run_id: Option<TitleRunId>,
}

/// An abort record in the making: begun when the stop is recorded, finished when the run has ended.
#[derive(Debug)]
pub struct AbortBuilder {
    stop: Arc<Stop>,
    facts: RunFacts,
    recorded_at: u64,
    hops: Vec<(String, Instant)>,
    forced: bool,
    tools_in_flight: Vec<ToolInFlight>,
    /// How the stop came to be known as what it is.
    explained: Option<(String, Instant)>,
    crash: Option<Crash>,
}

impl AbortBuilder {
    /// Begins the record at the instant in which the run is told to stop.
    pub fn begin(stop: Arc<Stop>, facts: RunFacts, clock: &Clock) -> Self {
        Self {
            recorded_at: clock.wall_ms(),
            hops: Vec::new(),
            forced: false,
            tools_in_flight: Vec::new(),
            explained: None,
            crash: None,
            stop,
            facts,
        }
    }

    pub fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// A hop on the way from the request to the end of the work.
    pub fn hop(&mut self, point: impl Into<String>, at: Instant) {
        self.hops.push((point.into(), at));
    }

    /// The stop turned out to have another cause than it seemed.
    pub fn explained(&mut self, cause: Cause, point: impl Into<String>, at: Instant) {
        self.stop = Arc::new(Stop { cause, ..Stop::clone(&self.stop) });
        self.explained = Some((point.into(), at));
    }

    /// The run did not stop within the grace and was ended from outside.
    pub fn forced(&mut self) {
        self.forced = true;
    }

    pub fn tools(&mut self, tools: Vec<ToolInFlight>) {
        self.tools_in_flight = tools;
    }

    /// The process that ran the run died. Nobody was there to see what else came: nothing is ruled out.
    pub fn crashed(&mut self, crash: Crash) {
        self.crash = Some(crash);
    }

    /// What became of a tool that was in flight, as far as it is known now.
    pub fn tool_became(&mut self, call_id: &str, outcome: ToolOutcome) {
        for tool in self.tools_in_flight.iter_mut().filter(|tool| tool.call_id == call_id) {
            tool.outcome = outcome;
        }
    }

    /// The record. `partial` is what the run leaves behind, `evidence` what else is on record of it.
    pub fn finish(mut self, provenance: &Provenance, partial: Partial, evidence: Evidence<'_>) -> Abort {
        let (clock, settled) = (&provenance.clock, Instant::now());
        self.hops.sort_by_key(|(_, at)| *at);
        // A fault ended the work by itself, before anybody was told; a demand ends it at the last hop before the turn settles.
        let ended_at = if self.stop.cancel_id.is_none() { self.hops.first() } else { self.hops.last() };
        let propagation_point = ended_at.map_or_else(|| "turn.settled".to_owned(), |(point, _)| point.clone());
        self.hops.extend(self.explained);
        self.hops.push(("turn.settled".into(), settled));
        self.hops.sort_by_key(|(_, at)| *at);
        let requested = self.stop.requested;
        let propagation = self.hops.into_iter().map(|(point, at)| Hop { point, at_us: clock.us_between(requested, at) }).collect();
        let stop = &self.stop;
        let unknown = match &self.facts.prompt_request {
            None => Some("prompt_request".to_owned()),
            Some(request) => request.client.is_none().then(|| "client".to_owned()),
        };
        let is_asked_for = stop.cause.is_asked_for();
        let mut abort = Abort {
            cause: stop.cause.clone(),
            abort_id: stop.abort_id.clone(),
            session_id: self.facts.session_id,
            turn_id: self.facts.turn_id,
            message_id: self.facts.message_id,
            parent_id: self.facts.parent_id,
            initiator: is_asked_for.then_some(stop.initiator),
            mode: is_asked_for.then_some(stop.mode),
            requested_at: is_asked_for.then_some(stop.requested_at),
            noticed_at: (!is_asked_for).then_some(stop.requested_at),
            came_down_from: stop.via_ctx_abort.then(|| stop.cause.scope()),
            forced: self.forced,
            prompt_request: self.facts.prompt_request,
            phase: self.facts.phase,
            title_generation_state: self.facts.title_generation_state,
            tools_in_flight: self.tools_in_flight,
            propagation,
            propagation_point,
            via_ctx_abort: stop.via_ctx_abort,
            recorded_at: self.recorded_at,
            settled_at: clock.wall_ms(),
            settle_us: clock.us_between(requested, settled),
            boot_id: clock.boot_id().to_owned(),
            ruled_out: Vec::new(),
            missing: stop.missing.iter().cloned().chain(unknown).collect(),
            late_cancels: Vec::new(),
            partial,
            attempt_id: self.facts.attempt_id,
            source: stop.source.clone(),
            reason: stop.reason.clone(),
            request: stop.request.clone(),
            title_run_id: self.facts.title_run_id,
            crash: self.crash,
            error_name: stop.error_name.clone(),
            error_message: stop.error_message.clone(),
        };
        if abort.crash.is_none() {
            abort.ruled_out = ruled_out(&abort, evidence);
        }
        provenance.recorded(abort)
    }
}
