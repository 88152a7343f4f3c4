//! The stream trace of one attempt, kept while its events pass by.

use crate::protocol::diagnostics::{RetryDecision, StreamCounters, StreamFailure, StreamState, StreamTrace, Timeline, Usage, Watchdog};
use crate::protocol::ids::{AbortId, AttemptId, SessionId, TurnId};
use crate::protocol::model::ModelEvent;
use crate::provenance::Provenance;
use std::time::Instant;

/// A trace in the making.
#[derive(Debug, Clone)]
pub(super) struct AttemptTrace {
    trace: StreamTrace,
    created: Instant,
    provenance: Provenance,
}

impl AttemptTrace {
    pub(super) fn begin(
        attempt_id: AttemptId,
        (session_id, turn_id): (SessionId, TurnId),
        (step, attempt): (u64, u64),
        provider: &str,
        model: &str,
        provenance: Provenance,
    ) -> Self {
        let trace = provenance.recorded(StreamTrace {
            attempt_id,
            session_id,
            turn_id,
            step,
            attempt,
            provider: provider.to_owned(),
            model: model.to_owned(),
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
            failure: None,
            watchdogs: None,
            retry: None,
        });
        Self { trace, created: Instant::now(), provenance }
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
            ModelEvent::KeptAlive => return,
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

    fn end(&mut self, state: StreamState) {
        self.trace.state = state;
        self.trace.timeline.ended_us = Some(self.provenance.clock.us_since(self.created));
        // What the provider said of itself has come with its events.
        self.trace = self.provenance.recorded(self.trace.clone());
    }
}
