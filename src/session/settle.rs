//! The end of a turn: one transaction with the terminal record, then the prompt's answer, then the cancels' answers.

use super::context::SessionContext;
use super::editor::Receipt;
use super::error::Refusal;
use super::run::{Answer, Remains, Run, stop_of_fault};
use super::runner::{Mail, Place, Runner};
use super::stopwatch::Stopwatch;
use super::turn::{Fault, TurnEnd};
use super::verdict::{Settled, WaitingCancel};
use crate::protocol::abort::Abort;
use crate::protocol::cause::{Cause, EndsAs};
use crate::protocol::diagnostics::Diagnostics;
use crate::protocol::export::{LifecyclePoint, TurnStop};
use crate::protocol::ids::TurnId;
use crate::protocol::results::{PromptResult, ShellRan, ShellResult, StopReason};
use crate::protocol::turn::Lane;
use crate::provenance::{Evidence, ruled_out};
use crate::store::{Diagnostic, EndTurn, StoreError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::sync::Arc;
use std::time::Instant;

/// What there is to answer once the store has spoken.
pub(super) enum Done {
    /// The turn has no row and no record.
    Refused(Refusal),
    Ended {
        remains: Box<Remains>,
        /// What came of a command.
        ran: Option<ShellRan>,
        stop: TurnStop,
        stored: Result<u64, StoreError>,
    },
}

/// The most of a turn's time that its record may leave out, in microseconds.
const UNTOLD_US: u64 = 5_000;

/// Records that the answer of a turn was written to the client.
struct AnswerReceipt {
    context: Arc<SessionContext>,
    turn_id: TurnId,
    /// When the stop was asked for that ended the turn, if one did.
    requested: Option<Instant>,
}

impl Receipt for AnswerReceipt {
    fn written(&self, _bytes: usize, at: Instant) {
        let at_us = self.requested.map(|requested| self.context.provenance.clock.us_between(requested, at));
        self.context.lifecycle(LifecyclePoint::Answered, &self.turn_id, at_us);
    }
}

/// Resolves when a prompt's answer is on its way to the client.
pub(super) type Answered = Shared<BoxFuture<'static, ()>>;

/// Closes the run and hands its terminal record to the store; the runner hears of it by mail.
pub(super) fn commit(runner: &mut Runner, turn_id: &TurnId, place: Place) {
    if let Some(held) = &mut runner.held {
        return held.commit(turn_id.clone(), place);
    }
    let context = Arc::clone(&runner.context);
    let clock = &context.provenance.clock;
    let Some(run) = runner.runs.get_mut(turn_id) else { return };
    let end = match run.end.take() {
        // A stop outranks a refusal: somebody was told that it took effect.
        Some(TurnEnd::NotBegun(refusal)) if run.abort.is_none() => {
            if run.waits {
                drop(context.store.forget_waiting(turn_id));
            }
            let done = Done::Refused(refusal);
            run.is_settling = true;
            let _ = runner.mailbox.send(Mail::Committed { turn_id: turn_id.clone(), place, done });
            return;
        }
        end => end,
    };
    run.stopwatch.settle(Lane::Commit);
    let mut remains = run.close(&context.provenance);
    let stop = match (&remains.abort, &end) {
        (Some(abort), _) => match abort.cause.ends_as() {
            EndsAs::Cancelled => TurnStop::Cancelled,
            EndsAs::MaxTurnRequests => TurnStop::MaxTurnRequests,
            EndsAs::Fault => TurnStop::Failed,
        },
        (None, Some(TurnEnd::Completed(stop))) => *stop,
        (None, Some(TurnEnd::Ran(_))) => TurnStop::EndTurn,
        // Without an abort only a completed turn gets here; anything else would be a stop without a cause.
        (None, _) => TurnStop::Failed,
    };
    // A stop does not hide how the command itself ended.
    let ran = if let Some(TurnEnd::Ran(ran)) = end { Some(ran) } else { None };
    if !run.begun {
        runner.newest = Some(turn_id.clone());
        // If this fails, so does the end behind it, and that is what is told.
        drop(run.begin(&context, &runner.title));
    }
    let end = EndTurn {
        session_id: context.id.clone(),
        turn_id: turn_id.clone(),
        message_id: run.message_id.clone(),
        ended_at: clock.wall_ms(),
        stop,
        abort: remains.abort.clone(),
        traces: remains.closed.traces.clone(),
        tool_runs: std::mem::take(&mut remains.closed.tool_runs),
        parts: std::mem::take(&mut remains.closed.writes),
        usage: Some(remains.closed.usage.clone()),
        model: run.model.clone(),
        last_update: remains.closed.last_update,
    };
    let (mailbox, turn_id) = (runner.mailbox.clone(), turn_id.clone());
    run.is_settling = true;
    context.store.end_turn_then(end, move |stored| {
        let done = Done::Ended { remains: Box::new(remains), ran, stop, stored };
        let _ = mailbox.send(Mail::Committed { turn_id, place, done });
    });
}

/// Answers the prompt, and behind it the cancels that waited for it.
pub(super) fn answer(runner: &mut Runner, turn_id: &TurnId, done: Done) {
    let Some(mut run) = runner.runs.remove(turn_id) else { return };
    let context = Arc::clone(&runner.context);
    let (mut remains, ran, stop, stored) = match done {
        Done::Refused(refusal) => {
            run.reply.refuse(refusal);
            release(runner, turn_id, None, async {}.boxed().shared());
            return;
        }
        Done::Ended { remains, ran, stop, stored } => (remains, ran, stop, stored),
    };
    if let Err(error) = stored {
        if run.waits {
            // It was told that it is not kept.
            drop(context.store.forget_waiting(turn_id));
        }
        not_durable(runner, &mut run, &mut remains, &error);
    }
    let abort = remains.abort.clone();
    let aborted_by = abort.as_ref().map(|abort| tracing::field::display(&abort.abort_id));
    tracing::info!(session_id = %context.id, %turn_id, abort_id = aborted_by, stop = ?stop, "the turn has ended");
    let now = context.provenance.clock.wall_ms();
    let answer = Arc::new(run.answer_message(std::mem::take(&mut remains.closed.parts), now));
    let at = run.stands_at.unwrap_or(runner.history.len());
    runner.history.splice(at..at, [Arc::clone(&run.prompt), answer]);
    runner.settled = Some(Instant::now());
    runner.last = Settled { turn_id: Some(turn_id.clone()), abort_id: abort.as_ref().map(|abort| abort.abort_id.clone()) };
    run.stopwatch.settle(Lane::Answer);
    context.record(Diagnostic::TurnTime(run.stopwatch.record(&context.id, turn_id)));
    let requested = run.canceller.token().stop().map(|stop| stop.requested);
    let (reply, way) = (run.reply, run.way);
    let diagnostics = Diagnostics {
        abort: abort.clone(),
        title_generation: runner.title.record_of(turn_id),
        stream_traces: Some(remains.closed.traces).filter(|traces| !traces.is_empty()),
        tool_runs: Some(remains.closed.aborted_runs).filter(|runs| !runs.is_empty()),
        cancel_requests: Some(run.cancel_requests).filter(|requests| !requests.is_empty()),
    };
    let receipt = AnswerReceipt { context: Arc::clone(&context), turn_id: turn_id.clone(), requested };
    if context.provenance.clock.stands_still() {
        // When the client's pipe takes it is not the same in two runs.
        receipt.written(0, Instant::now());
    } else {
        let _ = way.receipt.set(Arc::new(receipt));
    }
    let (message_id, last_update) = (run.message_id, remains.closed.last_update);
    let sentence = abort.as_ref().map(Abort::sentence);
    match (abort.as_ref().filter(|abort| abort.cause.ends_as() == EndsAs::Fault), reply) {
        (Some(abort), reply) => reply.refuse(failure(abort, diagnostics)),
        (None, Answer::Prompt(reply)) => drop(reply.send(Ok(PromptResult {
            stop_reason: stop_reason(stop),
            turn_id: turn_id.clone(),
            message_id,
            last_update,
            usage: remains.closed.usage.into(),
            model: run.model,
            sentence,
            diagnostics,
        }))),
        (None, Answer::Shell(reply)) => drop(reply.send(Ok(ShellResult {
            stop_reason: stop_reason(stop),
            turn_id: turn_id.clone(),
            message_id,
            last_update,
            ran: ran.unwrap_or_default(),
            sentence,
            diagnostics,
        }))),
    }
    // A dropped sender means that the connection is gone: the answer went as far as it could.
    let answered: Answered = way.queued.map(drop).boxed().shared();
    runner.answering.spawn(handed_over(context, run.stopwatch, turn_id.clone(), answered.clone()));
    release(runner, turn_id, abort, answered);
}

/// Waits until the answer is with the connection. If that took its time, the turn's time is told anew with it.
async fn handed_over(context: Arc<SessionContext>, stopwatch: Arc<Stopwatch>, turn_id: TurnId, answered: Answered) {
    answered.await;
    if stopwatch.lap_us() > UNTOLD_US {
        context.record(Diagnostic::TurnTime(stopwatch.record(&context.id, &turn_id)));
    }
}

/// Sends the answer of every cancel whose turns have all been answered, behind those answers.
fn release(runner: &mut Runner, turn_id: &TurnId, abort: Option<Abort>, answered: Answered) {
    let mut still_waiting = Vec::new();
    for mut cancel in std::mem::take(&mut runner.waiting) {
        if cancel.turns.remove(turn_id) {
            cancel.answered.push(answered.clone());
            if cancel.result.turn_id.as_ref() == Some(turn_id) {
                cancel.result.abort = abort.clone().map(Box::new);
            }
        }
        if cancel.turns.is_empty() {
            let WaitingCancel { answered, result, reply, .. } = cancel;
            runner.context.beside(async move {
                futures_util::future::join_all(answered).await;
                let _ = reply.send(Ok(result));
            });
        } else {
            still_waiting.push(cancel);
        }
    }
    runner.waiting = still_waiting;
}

/// The terminal record could not be stored: the answer says so, and a turn that had ended well has failed.
fn not_durable(runner: &Runner, run: &mut Run, remains: &mut Remains, error: &StoreError) {
    let context = &runner.context;
    tracing::error!(turn_id = %run.turn_id, %error, "the terminal record could not be stored");
    let cancel_requests = run.cancel_requests.clone();
    let evidence = Evidence { traces: &remains.closed.traces, cancel_requests: &cancel_requests };
    if remains.abort.is_none() {
        let fault = Fault::new(Cause::StoreFailure, "store.failed", "store_failure", error.to_string());
        run.stop(stop_of_fault(&fault, &context.provenance), fault.point, &runner.title, context);
        remains.abort = run.abort.take().map(|abort| abort.finish(&context.provenance, remains.closed.partial.clone(), evidence));
    }
    if let Some(abort) = &mut remains.abort {
        abort.missing.push("not_durable".into());
        abort.ruled_out = ruled_out(abort, evidence);
        abort.partial.persisted_bytes = remains.closed.kept_bytes;
    }
}

fn failure(abort: &Abort, diagnostics: Diagnostics) -> Refusal {
    let mut message = abort.sentence();
    if let Some(detail) = abort.error_message.as_deref().filter(|detail| !detail.is_empty()) {
        message.push(' ');
        message.push_str(detail);
    }
    Refusal::TurnFailed { cause: abort.cause.clone(), turn_id: abort.turn_id.clone(), message, diagnostics: Box::new(diagnostics) }
}

fn stop_reason(stop: TurnStop) -> StopReason {
    match stop {
        TurnStop::EndTurn => StopReason::EndTurn,
        TurnStop::MaxTokens => StopReason::MaxTokens,
        TurnStop::MaxTurnRequests => StopReason::MaxTurnRequests,
        TurnStop::Refusal => StopReason::Refusal,
        TurnStop::Cancelled | TurnStop::Failed => StopReason::Cancelled,
    }
}
