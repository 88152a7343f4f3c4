//! What a demand to stop came to: recorded with its outcome, and answered when its turn has come.

use super::context::{Parts, record};
use super::demand::CancelDemand;
use super::error::Refusal;
use super::run::stop_of_demand;
use super::runner::{Runner, WaitingCancel};
use super::step::State;
use crate::protocol::abort::{CancelOutcome, CancelRequest};
use crate::protocol::ids::{AbortId, CancelId, TurnId};
use crate::protocol::results::CancelResult;
use crate::provenance::Provenance;
use crate::store::Diagnostic;
use tokio::sync::oneshot;

/// Where the answer of a cancel goes; a notification has none.
pub(super) type CancelReply = Option<oneshot::Sender<Result<CancelResult, Refusal>>>;

/// What the step decided about a demand.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: CancelOutcome,
    pub(super) turn: Option<TurnId>,
    /// Every turn that this demand ended.
    pub(super) ended: Vec<TurnId>,
}

/// The turn that settled last, and the abort that ended it, if one did.
#[derive(Debug, Clone, Default)]
pub(super) struct Settled {
    pub(super) turn_id: Option<TurnId>,
    pub(super) abort_id: Option<AbortId>,
}

impl Verdict {
    pub(super) fn nothing() -> Self {
        Self { outcome: CancelOutcome::Idle, turn: None, ended: Vec::new() }
    }
}

/// Records the demand with its outcome and sees to its answer.
pub(super) fn deliver(runner: &mut Runner, demand: CancelDemand, cancel_id: CancelId, verdict: Verdict, reply: CancelReply) {
    if runner.machine.state == State::Idle && verdict.ended.is_empty() {
        // Nothing runs here; it may run in another process.
        let parts = runner.context.parts.clone();
        tokio::spawn(nothing_runs(parts, demand, cancel_id, runner.last.clone(), reply));
        return;
    }
    let abort_id = verdict.turn.as_ref().and_then(|turn| runner.runs.get(turn)).and_then(|run| run.abort_id.clone());
    let row = cancel_request(&runner.context.provenance, &demand, cancel_id, &verdict, abort_id.clone());
    runner.context.record(Diagnostic::Cancel(row.clone()));
    if let (Some(turn_id), Some(abort_id), CancelOutcome::AlreadyStopping | CancelOutcome::AlreadySettled) =
        (&verdict.turn, &abort_id, verdict.outcome)
    {
        runner.context.record(Diagnostic::LateCancel {
            session_id: demand.session_id.clone(),
            turn_id: turn_id.clone(),
            abort_id: abort_id.clone(),
            cancel_id: row.cancel_id.clone(),
        });
    }
    let about = verdict.turn.iter().filter(|turn| !verdict.ended.contains(turn));
    for turn in verdict.ended.iter().chain(about) {
        if let Some(run) = runner.runs.get_mut(turn) {
            run.cancel_requests.push(row.clone());
        }
    }
    let Some(reply) = reply else { return };
    let result = CancelResult { outcome: verdict.outcome, turn_id: verdict.turn, abort_id, abort: None };
    if verdict.ended.is_empty() {
        let _ = reply.send(Ok(result));
    } else {
        runner.waiting.push(WaitingCancel { turns: verdict.ended.into_iter().collect(), answered: Vec::new(), result, reply });
    }
}

/// Ends a title generation that outlived its turn. There is no abort to name, so the demand itself is recorded under the
/// abort id that the generation ends with.
pub(super) fn end_title(runner: &Runner, demand: &CancelDemand) {
    let provenance = &runner.context.provenance;
    let cancel_id = provenance.ids.cancel();
    let stop = stop_of_demand(demand, &cancel_id, provenance);
    if let Some(turn) = runner.title.cancel(&stop) {
        let verdict = Verdict { outcome: CancelOutcome::Cancelled, turn: Some(turn), ended: Vec::new() };
        runner.context.record(Diagnostic::Cancel(cancel_request(provenance, demand, cancel_id, &verdict, Some(stop.abort_id))));
    }
}

/// A demand on a session that runs nothing in this process: another process may own it, or its last turn has settled.
pub(super) async fn nothing_runs(parts: Parts, demand: CancelDemand, cancel_id: CancelId, last: Settled, reply: CancelReply) {
    let owner = parts.store.owner(&demand.session_id).await.ok().flatten();
    let outcome = match (&owner, &last.turn_id) {
        (Some(_), _) => CancelOutcome::NotOwner,
        (None, Some(_)) => CancelOutcome::AlreadySettled,
        (None, None) => CancelOutcome::Idle,
    };
    let named = if owner.is_some() { Settled::default() } else { last };
    let verdict = Verdict { outcome, turn: named.turn_id.clone(), ended: Vec::new() };
    let row = cancel_request(&parts.provenance, &demand, cancel_id, &verdict, named.abort_id.clone());
    if let (Some(turn_id), Some(abort_id)) = (&named.turn_id, &named.abort_id) {
        let (session_id, turn_id, abort_id, cancel_id) =
            (demand.session_id.clone(), turn_id.clone(), abort_id.clone(), row.cancel_id.clone());
        record(&parts.store, Diagnostic::LateCancel { session_id, turn_id, abort_id, cancel_id });
    }
    record(&parts.store, Diagnostic::Cancel(row));
    let Some(reply) = reply else { return };
    let _ = reply.send(match owner {
        Some(owner) => Err(Refusal::NotOwner { session_id: demand.session_id, pid: owner.pid }),
        None => Ok(CancelResult { outcome, turn_id: named.turn_id, abort_id: named.abort_id, abort: None }),
    });
}

/// A demand on a session that nobody knows: refused, and recorded all the same.
pub(super) fn unknown_session(parts: &Parts, demand: &CancelDemand, reply: CancelReply) {
    let verdict = Verdict { outcome: CancelOutcome::UnknownSession, turn: None, ended: Vec::new() };
    let row = cancel_request(&parts.provenance, demand, parts.provenance.ids.cancel(), &verdict, None);
    record(&parts.store, Diagnostic::Cancel(row));
    if let Some(reply) = reply {
        let _ = reply.send(Err(Refusal::UnknownSession(demand.session_id.clone())));
    }
}

fn cancel_request(
    provenance: &Provenance,
    demand: &CancelDemand,
    cancel_id: CancelId,
    verdict: &Verdict,
    abort_id: Option<AbortId>,
) -> CancelRequest {
    provenance.recorded(CancelRequest {
        cause: demand.cause.clone(),
        cancel_id,
        session_id: demand.session_id.clone(),
        initiator: demand.initiator,
        mode: demand.mode,
        outcome: verdict.outcome,
        at: provenance.clock.wall_at(demand.requested),
        missing: demand.missing.clone(),
        turn_id: verdict.turn.clone(),
        request: demand.request.clone(),
        source: demand.source.clone(),
        reason: demand.reason.clone(),
        abort_id,
        seq: None,
    })
}
