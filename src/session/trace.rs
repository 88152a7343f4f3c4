//! The stream trace of one attempt, kept while its events pass by.

use crate::protocol::diagnostics::{
    AnswerNote, ClosedBy, RetryDecision, StreamCounters, StreamFailure, StreamState, StreamTrace, Timeline, Upstream, Usage, Watchdog,
};
use crate::protocol::ids::{AbortId, AttemptId, CancelId, SessionId, TurnId};
use crate::protocol::model::ModelEvent;
use crate::provenance::Provenance;
use crate::provider::Provider;
use std::time::Instant;

/// A trace in the making.
#[derive(Debug, Clone)]
pub(super) struct AttemptTrace {
    trace: StreamTrace,
    created: Instant,
    is_remote: bool,
    provenance: Provenance,
}

/// The model that an attempt asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'m> {
    pub(super) provider: &'m str,
    pub(super) model: &'m str,
    /// There is a connection to it.
    pub(super) is_remote: bool,
}

impl<'m> Asked<'m> {
    pub(super) fn of(model: &'m dyn Provider) -> Self {
        Self { provider: model.name(), model: model.model(), is_remote: model.is_remote() }
    }
}

impl AttemptTrace {
    pub(super) fn begin(
        attempt_id: AttemptId,
        (session_id, turn_id): (SessionId, TurnId),
        (step, attempt): (u64, u64),
        asked: Asked<'_>,
        provenance: Provenance,
    ) -> Self {
        let trace = provenance.recorded(StreamTrace {
            attempt_id,
            session_id,
            turn_id,
            step,
            attempt,
            provider: asked.provider.to_owned(),
            model: asked.model.to_owned(),
            state: StreamState::Open,
            created_at: provenance.clock.wall_ms(),
            timeline: Timeline::new(),
            counters: StreamCounters::default(),
            usage: Usage::absent(),
            request_id: None,
            response_id: None,
            http_status: None,
            finish_reason: None,
            abort_id: None,
            upstream: None,
            cancel_id: None,
            failure: None,
            notes: None,
            watchdogs: None,
            retry: None,
        });
        Self { trace, created: Instant::now(), is_remote: asked.is_remote, provenance }
    }

    /// The trace as it stands.
    pub(super) fn trace(&self) -> &StreamTrace {
        &self.trace
    }

    pub(super) fn is_open(&self) -> bool {
        self.trace.state == StreamState::Open
    }

    pub(super) fn observe(&mut self, event: &ModelEvent) {
        let now = self.provenance.clock.us_since(self.created);
        let counters = &mut self.trace.counters;
        let timeline = &mut self.trace.timeline;
        let progress = match event {
            ModelEvent::RequestSent => {
                timeline.request_sent_us = Some(now);
                return;
            }
            ModelEvent::Headers { http_status, request_id } => {
                timeline.headers_us = Some(now);
                self.trace.http_status = Some(*http_status);
                self.trace.request_id.clone_from(request_id);
                return;
            }
            ModelEvent::KeptAlive | ModelEvent::State(_) => return,
            ModelEvent::UpstreamClosed(by) => return self.closed(*by, now),
            ModelEvent::Note { kind, message } => {
                self.trace.notes.get_or_insert_default().push(AnswerNote { kind: *kind, message: message.clone() });
                return;
            }
            ModelEvent::ResponseId(id) => {
                self.trace.response_id = Some(id.clone());
                false
            }
            ModelEvent::Text(text) => {
                counters.text += 1;
                counters.text_bytes += text.len() as u64;
                true
            }
            ModelEvent::Reasoning(text) => {
                counters.reasoning += 1;
                counters.reasoning_bytes += text.len() as u64;
                true
            }
            ModelEvent::ToolBegins { .. } => true,
            ModelEvent::ToolInput { .. } | ModelEvent::ToolCall { .. } => {
                counters.tool_input += 1;
                true
            }
            ModelEvent::Usage(usage) => {
                counters.usage += 1;
                self.trace.usage = usage.clone();
                false
            }
            ModelEvent::Finish { raw, .. } => {
                self.trace.finish_reason = Some(raw.clone());
                false
            }
        };
        timeline.first_event_us.get_or_insert(now);
        timeline.last_event_us = Some(now);
        if progress {
            timeline.first_progress_us.get_or_insert(now);
            timeline.last_progress_us = Some(now);
        }
    }

    /// The time limits that hold, and whether one of them was over.
    pub(super) fn watched(&mut self, watchdogs: Vec<Watchdog>) {
        self.trace.watchdogs = Some(watchdogs).filter(|watchdogs| !watchdogs.is_empty());
    }

    pub(super) fn completed(&mut self) {
        self.end(StreamState::Completed);
    }

    pub(super) fn failed(&mut self, failure: StreamFailure) {
        self.trace.failure = Some(failure);
        self.end(StreamState::Failed);
    }

    /// What becomes of the call, now that this attempt has failed.
    pub(super) fn decided(&mut self, decision: Option<RetryDecision>) {
        self.trace.retry = decision;
    }

    /// The stream was dropped by a local abort; without an abort id no stream is ever called aborted.
    pub(super) fn aborted(&mut self, abort_id: AbortId) {
        self.trace.abort_id = Some(abort_id);
        self.end(StreamState::Aborted);
    }

    /// The stream of a title was dropped for a demand that found no turn to stop.
    pub(super) fn withdrawn(&mut self, cancel_id: CancelId) {
        self.trace.cancel_id = Some(cancel_id);
        self.end(StreamState::Aborted);
    }

    /// The connection is over; the first word on it counts.
    fn closed(&mut self, closed_by: ClosedBy, now: u64) {
        let is_open = self.is_remote && self.trace.timeline.request_sent_us.is_some();
        let upstream =
            if is_open { Upstream { closed_by, at_us: Some(now) } } else { Upstream { closed_by: ClosedBy::NotOpen, at_us: None } };
        self.trace.upstream.get_or_insert(upstream);
    }

    fn end(&mut self, state: StreamState) {
        let now = self.provenance.clock.us_since(self.created);
        // A stream that had ended without a word on it, or whose task was ended from outside.
        self.closed(if state == StreamState::Aborted { ClosedBy::Us } else { ClosedBy::Unknown }, now);
        self.trace.state = state;
        self.trace.timeline.ended_us = Some(now);
        // What the provider said of itself has come with its events.
        self.trace = self.provenance.recorded(self.trace.clone());
    }
}
