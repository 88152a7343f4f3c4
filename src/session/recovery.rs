//! What dead processes have left open: turns, prompts that waited, titles. Found and closed, each with its terminal record.
//!
//! Invariants: a demand to stop that had been accepted is what stopped the turn, and the death is told beside it; nobody saw the
//! death, so the record has bounds and no moment.

use super::context::Parts;
use super::history;
use crate::protocol::abort::{Crash, Effect, Partial, Phase, TitleState, ToolInFlight, ToolOutcome};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::diagnostics::{ClosedBy, StreamState, StreamTrace, TitleGeneration, Upstream, Usage};
use crate::protocol::export::{TurnKind, TurnStop};
use crate::protocol::ids::AbortId;
use crate::protocol::message::{Part, PartKind, ResultStatus};
use crate::protocol::said;
use crate::protocol::tool_run::ToolRun;
use crate::provenance::{AbortBuilder, Evidence, RunFacts, Stop};
use crate::store::{Abandoned, AbandonedTitle, AbandonedTurn, Closing, EndTurn, PartWrite, StoreError};
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;

/// What nobody can know of a turn whose process died.
const UNKNOWN: [&str; 4] = ["time_of_death", "phase_at_death", "updates_sent", "unsaved_output"];

/// Looks for what was abandoned, one look at a time: whoever comes second finds the work done.
#[derive(Default)]
pub(super) struct Recovery(Mutex<()>);

impl Recovery {
    pub(super) async fn run(&self, parts: &Parts) {
        let _one_at_a_time = self.0.lock().await;
        // It is much, and seldom: no turn carries it along.
        recover(parts).boxed().await;
    }
}

/// Closes whatever dead processes have left open: earlier ones, and others that died since. Gives what could not be stored, as
/// it would have been closed; it is found again the next time, and is in nobody's way.
pub async fn recover(parts: &Parts) -> Vec<Closing> {
    let Abandoned { turns, titles } = match parts.store.abandoned().await {
        Ok(abandoned) => abandoned,
        Err(error) => {
            tracing::error!(%error, "what dead processes have left could not be looked for");
            return Vec::new();
        }
    };
    if turns.is_empty() && titles.is_empty() {
        return Vec::new();
    }
    let mut closings = Vec::with_capacity(turns.len() + titles.len());
    for turn in turns {
        let turn_id = turn.turn.turn_id.clone();
        match of_turn(parts, turn).await {
            Ok(closing) => closings.push(closing),
            Err(error) => tracing::error!(%turn_id, %error, "a turn whose process had died could not be read"),
        }
    }
    closings.extend(titles.into_iter().map(of_title));
    // Side by side, so that the store can take many of them in one transaction.
    let closed = closings.into_iter().map(|closing| async {
        let (session_id, turn_id) = (&closing.session_id, closing.end.as_ref().map(|end| tracing::field::display(&end.turn_id)));
        match parts.store.close_abandoned(closing.clone()).await {
            Ok(()) => tracing::info!(%session_id, turn_id, "what a dead process had left open was closed"),
            // Another process that found it at the same time was faster.
            Err(StoreError::TurnEnded) => {}
            Err(error) => {
                tracing::error!(%session_id, turn_id, %error, "what a dead process had left open could not be closed");
                return Some(not_durable(closing));
            }
        }
        None
    });
    let unrecorded: Vec<_> = join_all(closed).await.into_iter().flatten().collect();
    drop(parts.store.clear_locks());
    unrecorded
}

fn not_durable(mut closing: Closing) -> Closing {
    if let Some(abort) = closing.end.as_mut().and_then(|end| end.abort.as_mut()) {
        abort.missing.push("not_durable".into());
    }
    closing
}

async fn of_turn(parts: &Parts, abandoned: AbandonedTurn) -> Result<Closing, StoreError> {
    let (mut stop, crash) = (stop(parts, &abandoned), crash(parts, &abandoned));
    let (title_generation_state, title_run_id) = match &abandoned.title {
        None => (untitled_state(parts, &abandoned).await?, None),
        Some(title) => (title_state(title), Some(title.title_run_id.clone())),
    };
    let AbandonedTurn { turn, owner, waiting, parts: texts, next_part, open_traces, backs_off, tool_runs, title, .. } = abandoned;
    let clock = &parts.provenance.clock;
    let results = history::missing_results(&texts, |call_id| tool_runs.iter().find(|run| run.call_id == call_id));
    let open_tools: Vec<ToolRun> = tool_runs.into_iter().filter(ToolRun::is_open).collect();
    let abort_id = stop.abort_id.clone();
    let facts = RunFacts {
        session_id: turn.session_id.clone(),
        turn_id: turn.turn_id.clone(),
        message_id: turn.message_id.clone(),
        parent_id: turn.parent_id.clone(),
        prompt_request: turn.prompt_request.clone(),
        phase: if waiting.is_some() { Phase::Queued } else { last_phase(&texts, &open_traces, &open_tools, backs_off) },
        attempt_id: open_traces.last().map(|trace| trace.attempt_id.clone()),
        title_generation_state,
        title_run_id,
    };
    if open_tools.iter().any(|run| run.started_at.is_some() && matches!(run.effect, Effect::Process | Effect::Network)) {
        stop.missing.push("command_output".into());
    }
    let found = stop.requested;
    let mut abort = AbortBuilder::begin(Arc::new(stop), facts, clock);
    abort.hop("recovery.found", found);
    abort.tools(tools_in_flight(&open_tools));
    abort.crashed(crash);
    let bytes =
        |kind| texts.iter().filter(|part| part.kind == kind).filter_map(|part| part.text.as_ref()).map(|text| text.len() as u64).sum();
    let (text_bytes, reasoning_bytes) = (bytes(PartKind::Text), bytes(PartKind::Reasoning));
    let partial = Partial { text_bytes, reasoning_bytes, persisted_bytes: text_bytes + reasoning_bytes, ..Partial::default() };
    let abort = abort.finish(&parts.provenance, partial, Evidence::default());
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
    Ok(Closing {
        session_id: turn.session_id,
        begin: waiting.map(|begin| (owner, begin)),
        end: Some(end),
        title: title
            .filter(|title| title.success.is_none())
            .map(|title| TitleGeneration { abort_id: Some(abort_id), ..untold(title, said::TITLE_DIED_WITH_ITS_TURN) }),
        title_states: Vec::new(),
    })
}

/// Of a title that outlived its turn. If it had been told to stop, that demand is named.
fn of_title(abandoned: AbandonedTitle) -> Closing {
    let AbandonedTitle { title, accepted, seen_by } = abandoned;
    let state = if accepted.is_some() { TitleState::Cancelled } else { TitleState::Failed };
    let title = TitleGeneration { cancel_id: accepted.map(|demand| demand.cancel_id), ..untold(title, said::TITLE_DIED) };
    Closing {
        session_id: title.session_id.clone(),
        begin: None,
        end: None,
        title: Some(title),
        title_states: seen_by.into_iter().map(|(turn, abort)| (turn, abort, state)).collect(),
    }
}

/// The generation has ended, and nobody knows when.
fn untold(title: TitleGeneration, why: &str) -> TitleGeneration {
    TitleGeneration { success: Some(false), error_name: Some("process_died".into()), error_message: Some(why.into()), ..title }
}

/// What stopped it: the demand that had been accepted before the process died, or else that death.
fn stop(parts: &Parts, abandoned: &AbandonedTurn) -> Stop {
    let clock = &parts.provenance.clock;
    let nobody = Stop {
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
        missing: UNKNOWN.map(str::to_owned).to_vec(),
        error_name: None,
        error_message: None,
    };
    let Some((demand, abort_id)) = abandoned.accepted.clone().and_then(|demand| Some((demand.clone(), demand.abort_id?))) else {
        return nobody;
    };
    Stop {
        abort_id,
        cancel_id: Some(demand.cancel_id),
        via_ctx_abort: !matches!(demand.cause, Cause::ClientCancel | Cause::RpcCancel | Cause::SupersededByPrompt { .. }),
        cause: demand.cause,
        initiator: demand.initiator.unwrap_or_default(),
        mode: demand.mode.unwrap_or_default(),
        source: demand.source,
        reason: demand.reason,
        request: demand.request,
        requested_at: demand.at,
        missing: demand.missing.into_iter().chain(nobody.missing).collect(),
        ..nobody
    }
}

/// What is known of the death itself.
fn crash(parts: &Parts, abandoned: &AbandonedTurn) -> Crash {
    let (last_sign, last_sign_at) = abandoned.last_sign;
    Crash {
        pid: abandoned.owner.pid,
        boot_id: abandoned.owner.boot_id.clone(),
        last_sign,
        last_sign_at,
        found_at: parts.provenance.clock.wall_ms(),
        found_by: std::process::id(),
    }
}

/// The end of a connection that nobody was left to see.
fn unseen() -> Upstream {
    Upstream { closed_by: ClosedBy::Unknown, at_us: None }
}

/// What the stored rows say the turn had come to.
fn last_phase(parts: &[Part], open_traces: &[StreamTrace], open_tools: &[ToolRun], backs_off: bool) -> Phase {
    if open_tools.iter().any(|run| run.permission.is_none()) {
        return Phase::AwaitingPermission;
    }
    if !open_tools.is_empty() {
        return if open_tools.iter().any(|run| run.started_at.is_some()) { Phase::ToolRunning } else { Phase::BeforeTool };
    }
    match parts.last().map(|part| part.kind) {
        Some(PartKind::ToolCall) => Phase::BeforeTool,
        Some(PartKind::Text) => Phase::Text,
        Some(PartKind::Reasoning) => Phase::Reasoning,
        _ if !open_traces.is_empty() => Phase::WaitingForModel,
        _ if backs_off => Phase::RetryBackoff,
        _ => Phase::BeforeRequest,
    }
}

/// The state when the turn has no generation of its own: nothing made titles, or none was started, if it was the turn that should
/// have one.
async fn untitled_state(parts: &Parts, abandoned: &AbandonedTurn) -> Result<TitleState, StoreError> {
    if abandoned.titles_off {
        return Ok(TitleState::Disabled);
    }
    let turn = &abandoned.turn;
    let stored = parts.store.session(&turn.session_id).await?;
    let is_prompt = turn.kind != Some(TurnKind::Shell);
    let is_due = |it: crate::store::StoredSession| it.info.title.is_none() && it.info.parent_session_id.is_none();
    Ok(if is_prompt && abandoned.is_first && stored.is_some_and(is_due) { TitleState::NotStarted } else { TitleState::NotApplicable })
}

fn title_state(title: &TitleGeneration) -> TitleState {
    match title.success {
        None => TitleState::Cancelled,
        Some(true) => TitleState::CompletedBeforeAbort,
        Some(false) if title.abort_id.is_some() => TitleState::Cancelled,
        Some(false) => TitleState::Failed,
    }
}

/// The calls that were under way when the process died. What had started may have ended with it, or gone on, or been done.
fn tools_in_flight(open: &[ToolRun]) -> Vec<ToolInFlight> {
    let in_flight = open.iter().map(|run| ToolInFlight {
        call_id: run.call_id.clone(),
        tool: run.tool.clone(),
        effect: run.effect,
        outcome: if run.started_at.is_some() { ToolOutcome::Unknown } else { ToolOutcome::Withdrawn },
    });
    in_flight.collect()
}

/// The last state of such a call.
fn died(run: ToolRun, abort_id: &AbortId) -> ToolRun {
    let outcome = if run.started_at.is_some() { ResultStatus::UnknownOutcome } else { ResultStatus::NotStarted };
    ToolRun { outcome: Some(outcome), abort_id: Some(abort_id.clone()), ..run }
}
