//! What a demand to stop came to: recorded with its outcome, and answered when its turn has come.

use super::context::{self, Parts};
use super::demand::{CancelDemand, CancelScope};
use super::error::Refusal;
use super::run::stop_of_demand;
use super::runner::Runner;
use super::settle::Answered;
use super::step::State;
use crate::config::TitleOnCancel;
use crate::protocol::abort::{CancelOutcome, CancelRequest};
use crate::protocol::ids::{AbortId, CancelId, TurnId};
use crate::protocol::results::CancelResult;
use crate::provenance::Provenance;
use crate::store::Diagnostic;
use crate::text::first;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The most that is kept of a `turnId` that names nothing, in characters. No turn's id is as long.
const MAX_ASKED: usize = 200;

/// Where the answer of a cancel goes; a demand that no client made has none.
pub(super) type CancelReply = Option<oneshot::Sender<Result<CancelResult, Refusal>>>;

/// What the step decided about a demand.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: CancelOutcome,
    /// The turn that it is about, and that turn's abort.
    pub(super) about: Settled,
    /// Every turn that this demand ended.
    pub(super) ended: Vec<TurnId>,
}

/// A turn, and the abort that ended it, if one did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) turn_id: Option<TurnId>,
    pub(super) abort_id: Option<AbortId>,
}

/// A cancel whose answer waits until every turn that it ended is answered.
pub(super) struct WaitingCancel {
    pub(super) turns: HashSet<TurnId>,
    /// The answers that must be on their way first.
    pub(super) answered: Vec<Answered>,
    pub(super) result: CancelResult,
    pub(super) reply: oneshot::Sender<Result<CancelResult, Refusal>>,
}

impl Verdict {
    pub(super) fn idle() -> Self {
        Self { outcome: CancelOutcome::Idle, about: Settled::default(), ended: Vec::new() }
    }

    /// About a demand that found nothing to stop, where `last` settled last. It is not about `last` if it named another
    /// turn: that one has ended too, or was none of this session.
    pub(super) fn nothing_to_stop(scope: &CancelScope, last: &Settled) -> Self {
        let is_meant = match scope {
            CancelScope::Session => true,
            CancelScope::Turn(turn) => last.turn_id.as_ref() == Some(turn),
        };
        let about = if is_meant { last.clone() } else { Settled::default() };
        Self { outcome: CancelOutcome::AlreadySettled, about, ended: Vec::new() }
    }
}

/// Records the demand with its outcome and sees to its answer.
pub(super) fn deliver(runner: &mut Runner, demand: CancelDemand, cancel_id: CancelId, verdict: Verdict, reply: CancelReply) {
    if runner.machine.state == State::Idle && verdict.ended.is_empty() {
        if runner.context.settings.title_on_cancel == TitleOnCancel::Cancel
            && let Some(result) = end_title(runner, &demand, &cancel_id)
        {
            let title = Arc::clone(&runner.title);
            runner.context.beside(async move {
                title.ended().await;
                drop(reply.map(|reply| reply.send(Ok(result))));
            });
            return;
        }
        // Nothing runs here; it may run in another process.
        let (parts, last) = (runner.context.parts.clone(), runner.last.clone());
        runner.context.beside(nothing_runs(parts, demand, cancel_id, last, reply));
        return;
    }
    let row = cancel_request(&runner.context.provenance, &demand, cancel_id, &verdict);
    let about = verdict.about.turn_id.iter().filter(|turn| !verdict.ended.contains(turn));
    let turns = verdict.ended.iter().chain(about).cloned().collect();
    record(runner, row, turns);
    let Some(reply) = reply else { return };
    let Settled { turn_id, abort_id } = verdict.about;
    let result = CancelResult { outcome: verdict.outcome, turn_id, abort_id, abort: None };
    if verdict.ended.is_empty() {
        let _ = reply.send(Ok(result));
    } else {
        runner.waiting.push(WaitingCancel { turns: verdict.ended.into_iter().collect(), answered: Vec::new(), result, reply });
    }
}

/// Records a demand; the turns that it is about tell of it. It waits if its cause is not certain yet.
pub(super) fn record(runner: &mut Runner, row: CancelRequest, turns: Vec<TurnId>) {
    if let Some(held) = &mut runner.held {
        return held.row(row, turns);
    }
    for turn in &turns {
        if let Some(run) = runner.runs.get_mut(turn) {
            run.cancel_requests.push(row.clone());
        }
    }
    record_with_lateness(&runner.context.parts, row);
}

/// A demand that came while the last turn was ending, and was heard of when that had settled.
pub(super) fn too_late(runner: &mut Runner, demand: &CancelDemand) {
    let about = runner.last.clone();
    let outcome = if about.abort_id.is_some() { CancelOutcome::AlreadyStopping } else { CancelOutcome::AlreadySettled };
    note(runner, demand, Verdict { outcome, about, ended: Vec::new() });
}

/// A signal that is not meant for us came while `turn` ran.
pub(super) fn ignored(runner: &mut Runner, demand: &CancelDemand, turn: TurnId) {
    let about = Settled { turn_id: Some(turn), abort_id: None };
    note(runner, demand, Verdict { outcome: CancelOutcome::IgnoredSignal, about, ended: Vec::new() });
}

fn note(runner: &mut Runner, demand: &CancelDemand, verdict: Verdict) {
    let provenance = &runner.context.provenance;
    let row = cancel_request(provenance, demand, provenance.ids.cancel(), &verdict);
    record(runner, row, verdict.about.turn_id.into_iter().collect());
}

/// Ends a title generation that outlived its turn. There is no abort to name: the generation names the demand. Nothing, if the demand is about another turn, or no title is being made.
pub(super) fn end_title(runner: &mut Runner, demand: &CancelDemand, cancel_id: &CancelId) -> Option<CancelResult> {
    if let CancelScope::Turn(turn) = &demand.scope {
        runner.title.record_of(turn)?;
    }
    let provenance = &runner.context.provenance;
    let stop = stop_of_demand(demand, cancel_id, provenance);
    let turn_id = Some(runner.title.cancel_alone(&stop)?);
    let about = Settled { turn_id: turn_id.clone(), abort_id: None };
    let verdict = Verdict { outcome: CancelOutcome::Cancelled, about, ended: Vec::new() };
    let row = cancel_request(provenance, demand, cancel_id.clone(), &verdict);
    record(runner, row, Vec::new());
    Some(CancelResult { outcome: verdict.outcome, turn_id, abort_id: None, abort: None })
}

/// A demand on a session that runs nothing in this process: another process may own it, or its last turn has settled.
pub(super) async fn nothing_runs(parts: Parts, demand: CancelDemand, cancel_id: CancelId, last: Settled, reply: CancelReply) {
    let owner = parts.store.owner(&demand.session_id).await.ok().flatten();
    let verdict = match &owner {
        Some(_) => Verdict { outcome: CancelOutcome::NotOwner, ..Verdict::idle() },
        None if last.turn_id.is_none() => Verdict::idle(),
        None => Verdict::nothing_to_stop(&demand.scope, &last),
    };
    record_with_lateness(&parts, cancel_request(&parts.provenance, &demand, cancel_id, &verdict));
    let Some(reply) = reply else { return };
    let Settled { turn_id, abort_id } = verdict.about;
    let _ = reply.send(match owner {
        Some(owner) => Err(Refusal::NotOwner { session_id: demand.session_id, pid: owner.pid }),
        None => Ok(CancelResult { outcome: verdict.outcome, turn_id, abort_id, abort: None }),
    });
}

/// A demand on a session that nobody knows: refused, and recorded all the same.
pub(super) fn unknown_session(parts: &Parts, demand: &CancelDemand, reply: CancelReply) {
    let verdict = Verdict { outcome: CancelOutcome::UnknownSession, ..Verdict::idle() };
    let row = cancel_request(&parts.provenance, demand, parts.provenance.ids.cancel(), &verdict);
    context::record(&parts.store, Diagnostic::Cancel(row));
    if let Some(reply) = reply {
        let _ = reply.send(Err(Refusal::UnknownSession(demand.session_id.clone())));
    }
}

/// Records a demand; one that came after an abort had won is noted with that abort, too.
fn record_with_lateness(parts: &Parts, row: CancelRequest) {
    let is_late = matches!(row.outcome, CancelOutcome::AlreadyStopping | CancelOutcome::AlreadySettled);
    if let (true, Some(turn_id), Some(abort_id)) = (is_late, &row.turn_id, &row.abort_id) {
        let (session_id, turn_id, abort_id) = (row.session_id.clone(), turn_id.clone(), abort_id.clone());
        context::record(&parts.store, Diagnostic::LateCancel { session_id, turn_id, abort_id, cancel_id: row.cancel_id.clone() });
    }
    context::record(&parts.store, Diagnostic::Cancel(row));
}

fn cancel_request(provenance: &Provenance, demand: &CancelDemand, cancel_id: CancelId, verdict: &Verdict) -> CancelRequest {
    let unnamed = demand.request.as_ref().filter(|request| request.client.is_none()).map(|_| "client".to_owned());
    provenance.recorded(CancelRequest {
        cause: demand.cause.clone(),
        cancel_id,
        session_id: demand.session_id.clone(),
        outcome: verdict.outcome,
        at: demand.requested.wall_ms(&provenance.clock),
        missing: demand.missing.iter().cloned().chain(unnamed).collect(),
        turn_id: verdict.about.turn_id.clone(),
        asked_turn_id: match &demand.scope {
            CancelScope::Turn(asked) if verdict.about.turn_id.as_ref() != Some(asked) => Some(first(asked.as_str(), MAX_ASKED).to_owned()),
            CancelScope::Turn(_) | CancelScope::Session => None,
        },
        request: demand.request.clone(),
        initiator: demand.cause.is_asked_for().then_some(demand.initiator),
        mode: demand.cause.is_asked_for().then_some(demand.mode),
        source: demand.source.clone(),
        reason: demand.reason.clone(),
        abort_id: verdict.about.abort_id.clone(),
        seq: None,
    })
}
