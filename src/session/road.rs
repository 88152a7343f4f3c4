//! How the runner carries out what the step decided about one turn: it starts, it is told to stop, it ends.

use super::context::SessionContext;
use super::demand::{CancelDemand, CancelScope};
use super::joining::Begun;
use super::run::{Run, stop_by_itself, stop_of_demand, stop_of_fault};
use super::runner::{Mail, Place, Runner};
use super::settle;
use super::shell::{self, ShellJob};
use super::turn::{self, Fault, TurnEnd, TurnJob};
use super::verdict::{self, Settled, Verdict};
use crate::protocol::abort::CancelOutcome;
use crate::protocol::cause::{CancelMode, Cause};
use crate::protocol::export::TurnKind;
use crate::protocol::ids::TurnId;
use crate::protocol::said;
use crate::protocol::turn::Lane;
use crate::provenance::Stop;
use crate::tool::command::KILLED_WITHIN;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::Instrument;

impl Runner {
    pub(super) fn start(&mut self, turn_id: &TurnId) {
        let Some(run) = self.runs.get_mut(turn_id) else { return };
        run.is_started = true;
        run.stopwatch.enter(Lane::Opening);
        let (context, title) = (&self.context, &self.title);
        let begin = |run: &mut Run, before: &mut Option<TurnId>| {
            run.stands_at = Some(self.history.len());
            Begun { row: run.begin(context, title), after: before.replace(run.turn_id.clone()) }
        };
        let work: BoxFuture<'static, TurnEnd> = match run.reply.kind() {
            TurnKind::Shell => {
                let begun = begin(run, &mut self.newest);
                let job = ShellJob {
                    context: Arc::clone(context),
                    turn_id: run.turn_id.clone(),
                    message_id: run.message_id.clone(),
                    title: Arc::clone(&self.title),
                    prompt: Arc::clone(&run.prompt),
                    ledger: Arc::clone(&run.ledger),
                    stopwatch: Arc::clone(&run.stopwatch),
                    token: run.canceller.token(),
                    runner: self.mailbox.clone(),
                };
                shell::run(job, begun).boxed()
            }
            TurnKind::Prompt => match self.model.providers(&context.parts) {
                Ok((provider, title_provider)) => {
                    run.model = Some(provider.full_name());
                    title.is_written_by(title_provider.as_ref());
                    let begun = begin(run, &mut self.newest);
                    let job = TurnJob {
                        context: Arc::clone(context),
                        turn_id: run.turn_id.clone(),
                        message_id: run.message_id.clone(),
                        provider,
                        model_asked: self.model.asked(),
                        title: Arc::clone(&self.title),
                        title_provider,
                        history: self.history.clone(),
                        prompt: Arc::clone(&run.prompt),
                        ledger: Arc::clone(&run.ledger),
                        stopwatch: Arc::clone(&run.stopwatch),
                        token: run.canceller.token(),
                        runner: self.mailbox.clone(),
                    };
                    turn::run(job, begun).boxed()
                }
                // It takes a while to find out what is within reach, and the refusal goes the way of every end: a stop can
                // come first, and the next turn starts behind it.
                Err(missing) => {
                    let (parts, token) = (context.parts.clone(), run.canceller.token());
                    async move { token.race(missing.refusal(&parts)).await.map_or(TurnEnd::Stopped, TurnEnd::NotBegun) }.boxed()
                }
            },
        };
        let (mailbox, context, turn_id) = (self.mailbox.clone(), Arc::clone(context), turn_id.clone());
        let span = tracing::info_span!("turn", session_id = %context.id, turn_id = %turn_id);
        let channel = Arc::clone(&context.channel);
        let work = async move {
            let end = AssertUnwindSafe(work).catch_unwind().await;
            let end = end.unwrap_or_else(|_panic| TurnEnd::Fault(panicked(&context, &turn_id, "turn_panic", said::TURN_PANICKED.into())));
            // What can be written is written before it is counted.
            channel.editor().caught_up().await;
            // The runner outlives its turns; a closed mailbox means that the process is ending.
            let _ = mailbox.send(Mail::Ended { turn_id, end });
        };
        run.task = Some(tokio::spawn(work.instrument(span)).abort_handle());
    }

    pub(super) fn stop(&mut self, turn_id: &TurnId, stop: Stop, point: &str) {
        if let Some(run) = self.runs.get_mut(turn_id) {
            run.stop(stop.clone(), point, &self.title, &self.context);
        }
        self.title.turn_stopped(&stop, self.context.settings.title_on_cancel);
        self.arm_grace(turn_id, stop.mode);
    }

    pub(super) fn arm_grace(&self, turn_id: &TurnId, mode: CancelMode) {
        let grace = match mode {
            CancelMode::Soft => self.context.settings.grace.soft,
            CancelMode::Hard => self.context.settings.grace.hard,
        };
        let ends_processes = self.runs.get(turn_id).is_some_and(|run| run.reply.kind() == TurnKind::Shell || run.ledger.runs_a_process());
        let grace = if ends_processes { grace + KILLED_WITHIN } else { grace };
        let (mailbox, turn_id) = (self.mailbox.clone(), turn_id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            let _ = mailbox.send(Mail::GraceOver { turn_id });
        });
    }

    /// A stop that began softly may not take longer than a hard one from now on.
    pub(super) fn harden(&self, turn_id: &TurnId) {
        if let Some(run) = self.runs.get(turn_id) {
            run.canceller.harden();
        }
        self.arm_grace(turn_id, CancelMode::Hard);
    }

    /// A prompt took the place of the running turn: the demand to stop it is that prompt's.
    pub(super) fn supersede(&mut self, running: &TurnId, by: &TurnId) {
        let Some(request) = self.runs.get(by).map(|run| run.origin.clone()) else { return };
        let cause = Cause::SupersededByPrompt { superseding_turn_id: by.clone() };
        let scope = CancelScope::Turn(running.clone());
        let demand = CancelDemand::of(self.context.id.clone(), scope, cause, "rpc.session/prompt", Some(request));
        let cancel_id = self.context.provenance.ids.cancel();
        self.stop(running, stop_of_demand(&demand, &cancel_id, &self.context.provenance), demand.point);
        let abort_id = self.runs.get(running).and_then(|run| run.abort_id.clone());
        let about = Settled { turn_id: Some(running.clone()), abort_id };
        let verdict = Verdict { outcome: CancelOutcome::Cancelled, about, ended: vec![running.clone()] };
        verdict::deliver(self, demand, cancel_id, verdict, None);
    }

    /// A fault or a limit that nobody's demand came before is what stopped the turn.
    pub(super) fn commit(&mut self, turn_id: &TurnId) {
        if let Some(run) = self.runs.get_mut(turn_id)
            && run.abort.is_none()
        {
            let provenance = &self.context.provenance;
            let stop = match &run.end {
                Some(TurnEnd::Fault(fault)) => Some((stop_of_fault(fault, provenance), fault.point)),
                Some(TurnEnd::OverLimit(over)) => Some((stop_by_itself(&over.cause, provenance), over.point)),
                Some(TurnEnd::Completed(_) | TurnEnd::Ran(_) | TurnEnd::Stopped | TurnEnd::NotBegun(_)) | None => None,
            };
            if let Some((stop, point)) = stop {
                run.stop(stop, point, &self.title, &self.context);
            }
        }
        settle::commit(self, turn_id, Place::Running);
    }

    pub(super) fn withdraw(&mut self, turn_id: &TurnId, stop: Stop, point: &str) {
        if let Some(run) = self.runs.get_mut(turn_id) {
            run.stop(stop, point, &self.title, &self.context);
            settle::commit(self, turn_id, Place::Queued);
        }
    }
}

/// The fault that a panic is which was contained a moment ago, on record with its own words.
pub(super) fn panicked(context: &SessionContext, turn_id: &TurnId, name: &str, said: String) -> Fault {
    let panicked = context.panicked(turn_id, name);
    Fault::new(panicked.cause(), "panic.contained", name, said)
}
