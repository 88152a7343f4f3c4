//! Turns whose process died: found at a later start and closed, each with its terminal record.

use super::context::Parts;
use super::history;
use crate::protocol::abort::{Partial, Phase, TitleState, ToolInFlight, ToolOutcome};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::diagnostics::{ClosedBy, StreamState, StreamTrace, TitleGeneration, Upstream, Usage};
use crate::protocol::export::{TurnInfo, TurnKind, TurnStop};
use crate::protocol::ids::AbortId;
use crate::protocol::message::{Part, PartKind, ResultStatus};
use crate::protocol::tool_run::ToolRun;
use crate::provenance::{AbortBuilder, Evidence, RunFacts, Stop};
use crate::store::{AbandonedTurn, Diagnostic, EndTurn, PartWrite, StoreError};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;

/// Looks for abandoned turns, one look at a time: whoever comes second finds the work done.
#[derive(Default)]
pub(super) struct Recovery(Mutex<()>);

impl Recovery {
    /// Closes every abandoned turn as `crash_recovered`: those of earlier processes, and of others that died since. What
    /// cannot be closed now is found again the next time; it is in nobody's way.
    pub(super) async fn run(&self, parts: &Parts) {
        let _one_at_a_time = self.0.lock().await;
        let abandoned = match parts.store.abandoned_turns().await {
            Ok(abandoned) => abandoned,
            Err(error) => return tracing::error!(%error, "the turns of dead processes could not be looked for"),
        };
        // Side by side, so that the store can take many ends in one transaction.
        join_all(abandoned.into_iter().map(|turn| async {
            let turn_id = turn.turn.turn_id.clone();
            match close(parts, turn).await {
                Ok(()) => tracing::info!(%turn_id, "a turn whose process had died was closed"),
                // Another process that found it at the same time was faster.
                Err(StoreError::TurnEnded) => {}
                Err(error) => tracing::error!(%turn_id, %error, "a turn whose process had died could not be closed"),
            }
        }))
        .await;
    }
}

async fn close(parts: &Parts, abandoned: AbandonedTurn) -> Result<(), StoreError> {
    let AbandonedTurn { turn, prompt_request, parts: texts, next_part, open_traces, tool_runs, title } = abandoned;
    let clock = &parts.provenance.clock;
    let results = history::missing_results(&texts, |call_id| tool_runs.iter().find(|run| run.call_id == call_id));
    let open_tools: Vec<ToolRun> = tool_runs.into_iter().filter(ToolRun::is_open).collect();
    let (title_generation_state, title_run_id) = match &title {
        None => (untitled_state(parts, &turn).await?, None),
        Some(title) => (title_state(title), Some(title.title_run_id.clone())),
    };
    let stop = Stop {
        abort_id: parts.provenance.ids.abort(),
        cancel_id: None,
        cause: Cause::CrashRecovered,
        initiator: Initiator::Unknown,
        mode: CancelMode::Hard,
        source: None,
        reason: None,
        request: None,
        via_ctx_abort: true,
        requested_at: clock.wall_ms(),
        requested: Instant::now(),
        missing: ["time_of_death", "phase_at_death", "updates_sent", "unsaved_output"].map(str::to_owned).to_vec(),
        error_name: None,
        error_message: None,
    };
    let abort_id = stop.abort_id.clone();
    let facts = RunFacts {
        session_id: turn.session_id.clone(),
        turn_id: turn.turn_id.clone(),
        message_id: turn.message_id.clone(),
        parent_id: turn.parent_id.clone(),
        prompt_request,
        phase: last_phase(&texts, &open_traces, &open_tools),
        attempt_id: open_traces.last().map(|trace| trace.attempt_id.clone()),
        title_generation_state,
        title_run_id,
    };
    let mut abort = AbortBuilder::begin(Arc::new(stop), facts, clock);
    abort.hop("recovery.found", Instant::now());
    abort.tools(tools_in_flight(&open_tools));
    let bytes =
        |kind| texts.iter().filter(|part| part.kind == kind).filter_map(|part| part.text.as_ref()).map(|text| text.len() as u64).sum();
    let (text_bytes, reasoning_bytes) = (bytes(PartKind::Text), bytes(PartKind::Reasoning));
    let partial = Partial { text_bytes, reasoning_bytes, persisted_bytes: text_bytes + reasoning_bytes, ..Partial::default() };
    let abort = abort.finish(&parts.provenance, partial, Evidence::default());
    if let Some(title) = title.filter(|title| title.completed_at.is_none()) {
        let ended = TitleGeneration {
            completed_at: Some(clock.wall_ms()),
            success: Some(false),
            abort_id: Some(abort_id.clone()),
            error_name: Some("process_died".into()),
            ..title
        };
        parts.store.record(Diagnostic::Title(ended)).await?;
    }
    let end = EndTurn {
        session_id: turn.session_id.clone(),
        turn_id: turn.turn_id.clone(),
        message_id: turn.message_id.clone(),
        ended_at: clock.wall_ms(),
        stop: TurnStop::Cancelled,
        traces: open_traces
            .into_iter()
            .map(|trace| StreamTrace { state: StreamState::Aborted, abort_id: Some(abort_id.clone()), upstream: Some(unseen()), ..trace })
            .collect(),
        tool_runs: open_tools.into_iter().map(|run| died(run, &abort_id)).collect(),
        parts: results.into_iter().zip(next_part..).map(|(part, ordinal)| PartWrite::Put { ordinal, part }).collect(),
        abort: Some(abort),
        usage: Some(Usage::absent()),
        model: turn.model.clone(),
        last_update: 0,
    };
    parts.store.end_turn(end).await.map(|_seq| ())
}

/// The end of a connection that nobody was left to see.
fn unseen() -> Upstream {
    Upstream { closed_by: ClosedBy::Unknown, at_us: None }
}

/// What the stored rows say the turn had come to.
fn last_phase(parts: &[Part], open_traces: &[StreamTrace], open_tools: &[ToolRun]) -> Phase {
    if open_tools.iter().any(|run| run.permission.is_none()) {
        return Phase::AwaitingPermission;
    }
    match parts.last().map(|part| part.kind) {
        None if open_traces.is_empty() => Phase::BeforeRequest,
        Some(PartKind::ToolCall) => Phase::ToolRunning,
        Some(PartKind::Text) => Phase::Text,
        Some(PartKind::Reasoning) => Phase::Reasoning,
        _ => Phase::WaitingForModel,
    }
}

/// The state when the turn has no generation of its own: none was started, if it was the turn that should have one.
async fn untitled_state(parts: &Parts, turn: &TurnInfo) -> Result<TitleState, StoreError> {
    let stored = parts.store.session(&turn.session_id).await?;
    let is_prompt = turn.kind != Some(TurnKind::Shell);
    let was_due = stored.is_some_and(|it| is_prompt && it.prompts <= 1 && it.info.title.is_none() && it.info.parent_session_id.is_none());
    Ok(if was_due { TitleState::NotStarted } else { TitleState::NotApplicable })
}

fn title_state(title: &TitleGeneration) -> TitleState {
    match title.success {
        None => TitleState::Cancelled,
        Some(true) => TitleState::CompletedBeforeAbort,
        Some(false) if title.abort_id.is_some() => TitleState::Cancelled,
        Some(false) => TitleState::Failed,
    }
}

/// The calls that were under way when the process died: what ran was ended with it, and how far it came nobody knows.
fn tools_in_flight(open: &[ToolRun]) -> Vec<ToolInFlight> {
    let in_flight = open.iter().map(|run| ToolInFlight {
        call_id: run.call_id.clone(),
        tool: run.tool.clone(),
        effect: run.effect,
        outcome: if run.started_at.is_some() { ToolOutcome::Killed } else { ToolOutcome::Withdrawn },
    });
    in_flight.collect()
}

/// The last state of such a call.
fn died(run: ToolRun, abort_id: &AbortId) -> ToolRun {
    let outcome = if run.started_at.is_some() { ResultStatus::UnknownOutcome } else { ResultStatus::NotStarted };
    ToolRun { outcome: Some(outcome), abort_id: Some(abort_id.clone()), ..run }
}
