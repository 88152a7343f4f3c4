//! The runner: one actor for each open session. It takes mail, asks the pure step what to do, and does it.
//!
//! Invariants: the mailbox is never blocked by the store, a model or the client; a turn's terminal record is committed
//! before its prompt is answered, and its prompt is answered before the cancels that ended it.

use super::context::SessionContext;
use super::demand::{CancelDemand, CancelScope};
use super::error::Refusal;
use super::ledger::Ledger;
use super::model_choice::ModelChoice;
use super::run::{Run, stop_of_demand, stop_of_fault};
use super::step::{Asking, Effect, Event, Machine, Refused, State};
use super::title::Title;
use super::turn::{self, TurnEnd, TurnJob};
use super::verdict::{self, Settled, Verdict};
use crate::protocol::abort::{CancelOutcome, RequestRef};
use crate::protocol::cause::{CancelMode, Cause};
use crate::protocol::export::LifecyclePoint;
use crate::protocol::ids::{CancelId, SessionId, TurnId};
use crate::protocol::message::{Message, Role};
use crate::protocol::params::PromptParams;
use crate::protocol::results::{CancelResult, PromptResult};
use crate::provenance::{Canceller, Stop};
use crate::store::{BeginTurn, Owner};
use futures_util::FutureExt;
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// What reaches a runner.
pub(super) enum Mail {
    Prompt {
        turn_id: TurnId,
        origin: RequestRef,
        params: PromptParams,
        reply: oneshot::Sender<Result<PromptResult, Refusal>>,
        answered: oneshot::Receiver<()>,
    },
    Cancel {
        demand: CancelDemand,
        reply: oneshot::Sender<Result<CancelResult, Refusal>>,
    },
    Ended {
        turn_id: TurnId,
        end: TurnEnd,
    },
    GraceOver {
        turn_id: TurnId,
    },
    Committed {
        turn_id: TurnId,
        withdrawn: Withdrawn,
        done: super::settle::Done,
    },
    /// Something for an open session that is no run: replaying, choosing a model.
    Desk(Box<dyn FnOnce(&mut Runner) + Send>),
    /// Stop everything, take no more prompts, and tell when all has settled and is answered.
    End {
        demand: CancelDemand,
        done: oneshot::Sender<()>,
    },
}

/// Whether a turn that ended had occupied the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withdrawn {
    Yes,
    No,
}

/// The actor's own state. `machine` decides; the rest is what the decisions are carried out with.
pub(super) struct Runner {
    pub(super) context: Arc<SessionContext>,
    pub(super) machine: Machine,
    pub(super) runs: HashMap<TurnId, Run>,
    pub(super) waiting: Vec<WaitingCancel>,
    pub(super) title: Arc<Title>,
    pub(super) model: ModelChoice,
    /// The conversation up to the last settled turn, as far as this process has seen it.
    pub(super) history: Vec<Message>,
    /// The last settled turn's abort.
    pub(super) last: Settled,
    pub(super) mailbox: mpsc::UnboundedSender<Mail>,
    /// Answers of ended turns that are on their way to the client, each with the hop that records it.
    pub(super) answering: TaskTracker,
    ends: Vec<oneshot::Sender<()>>,
}

/// A cancel whose answer waits until every turn that it ended is answered.
pub(super) struct WaitingCancel {
    pub(super) turns: HashSet<TurnId>,
    /// The answers that must be on their way first.
    pub(super) answered: Vec<super::settle::Answered>,
    pub(super) result: CancelResult,
    pub(super) reply: oneshot::Sender<Result<CancelResult, Refusal>>,
}

impl Runner {
    pub(super) fn new(
        context: Arc<SessionContext>,
        mailbox: mpsc::UnboundedSender<Mail>,
        title: Arc<Title>,
        model: ModelChoice,
        history: Vec<Message>,
        last: Settled,
    ) -> Self {
        let machine = Machine::new(last.turn_id.clone());
        let (runs, waiting, answering, ends) = (HashMap::new(), Vec::new(), TaskTracker::new(), Vec::new());
        Self { context, machine, runs, waiting, title, model, history, last, mailbox, answering, ends }
    }

    /// Lives until somebody ended the session, or nobody can send mail any more.
    pub(super) async fn live(mut self, mut mail: mpsc::UnboundedReceiver<Mail>) {
        while let Some(letter) = mail.recv().await {
            self.open(letter);
            if !self.ends.is_empty() && self.machine.is_idle() && self.runs.is_empty() {
                self.title.ended().await;
                self.answering.close();
                self.answering.wait().await;
                for done in self.ends.drain(..) {
                    // Whoever asked for the end may be gone; the session has ended all the same.
                    let _ = done.send(());
                }
                break;
            }
        }
        mail.close();
        while let Ok(letter) = mail.try_recv() {
            self.turn_away(letter);
        }
    }

    fn open(&mut self, letter: Mail) {
        match letter {
            Mail::Prompt { turn_id, origin, params, reply, answered } => {
                let when_busy = params.when_busy;
                let run = self.accept(turn_id.clone(), origin, params, reply, answered);
                self.runs.insert(turn_id.clone(), run);
                self.follow(Event::Prompt { turn: turn_id, when_busy });
            }
            Mail::Cancel { demand, reply } => self.cancel(demand, Some(reply)),
            Mail::Ended { turn_id, end } => {
                if let Some(run) = self.runs.get_mut(&turn_id)
                    && run.end.is_none()
                {
                    run.end = Some(end);
                    self.follow(Event::WorkEnded { turn: turn_id });
                }
            }
            Mail::GraceOver { turn_id } => self.follow(Event::GraceOver { turn: turn_id }),
            Mail::Committed { turn_id, withdrawn, done } => self.committed(turn_id, withdrawn, done),
            Mail::Desk(work) => work(self),
            Mail::End { demand, done } => {
                self.follow(Event::Shut);
                self.ends.push(done);
                // A turn that this stops takes its title with it.
                if !self.machine.is_idle() || !self.runs.is_empty() {
                    self.cancel(demand.clone(), None);
                }
                verdict::end_title(self, &demand);
            }
        }
    }

    fn accept(
        &self,
        turn_id: TurnId,
        origin: RequestRef,
        params: PromptParams,
        reply: oneshot::Sender<Result<PromptResult, Refusal>>,
        answered: oneshot::Receiver<()>,
    ) -> Run {
        let ids = &self.context.provenance.ids;
        let now = self.context.provenance.clock.wall_ms();
        let message_id = ids.message();
        let prompt = Message {
            message_id: ids.message(),
            role: Role::User,
            created_at: now,
            parts: params.prompt.into_iter().map(Into::into).collect(),
            turn_id: Some(turn_id.clone()),
            model: None,
        };
        self.context.lifecycle(LifecyclePoint::Accepted, &turn_id, None);
        let ledger = Arc::new(Ledger::new(turn_id.clone(), message_id.clone(), Arc::clone(&self.context.channel)));
        Run {
            turn_id,
            message_id,
            prompt,
            origin,
            reply,
            answered,
            canceller: Canceller::new(),
            ledger,
            task: None,
            abort: None,
            abort_id: None,
            end: None,
            cancel_requests: Vec::new(),
            model: None,
        }
    }

    /// One demand to stop: decided by the step, carried out, recorded with its outcome, answered in its turn.
    fn cancel(&mut self, demand: CancelDemand, reply: Option<oneshot::Sender<Result<CancelResult, Refusal>>>) {
        let cancel_id = self.context.provenance.ids.cancel();
        let asking = match &self.machine.state {
            State::Running { turn } if self.runs.get(turn).is_some_and(|run| run.ledger.is_asking()) => Asking::Yes,
            _ => Asking::No,
        };
        let event = Event::Cancel { scope: demand.scope.clone(), mode: demand.mode, asking };
        let verdict = self.act(event, Some((&demand, &cancel_id)));
        verdict::deliver(self, demand, cancel_id, verdict, reply);
    }

    /// A step that nobody asked for with a demand.
    fn follow(&mut self, event: Event) {
        self.act(event, None);
    }

    /// Takes one step and does what it says. A cancel's step yields its verdict.
    fn act(&mut self, event: Event, demand: Option<(&CancelDemand, &CancelId)>) -> Verdict {
        let machine = std::mem::replace(&mut self.machine, Machine::new(None));
        let (machine, effects) = machine.step(event);
        self.machine = machine;
        let mut verdict = Verdict::nothing();
        for effect in effects {
            match effect {
                Effect::Start(turn) => self.start(&turn),
                Effect::Stop(turn) => {
                    if let Some((demand, cancel_id)) = demand {
                        let stop = stop_of_demand(demand, cancel_id, &self.context.provenance);
                        self.stop(&turn, stop, demand.point);
                        verdict.ended.push(turn);
                    }
                }
                Effect::Supersede { running, by } => self.supersede(&running, &by),
                Effect::Harden(turn) => self.arm_grace(&turn, CancelMode::Hard),
                Effect::Withdraw(turn) => {
                    if let Some((demand, cancel_id)) = demand {
                        let stop = stop_of_demand(demand, cancel_id, &self.context.provenance);
                        self.withdraw(&turn, stop, demand.point);
                        verdict.ended.push(turn);
                    }
                }
                Effect::Refuse(turn, why) => self.refuse(&turn, why),
                Effect::Verdict { outcome, turn } => {
                    verdict.outcome = outcome;
                    verdict.turn = turn;
                }
                Effect::Force(turn) => {
                    if let Some(run) = self.runs.get_mut(&turn) {
                        run.force();
                    }
                }
                Effect::Commit(turn) => self.commit(&turn),
            }
        }
        verdict
    }

    fn start(&mut self, turn_id: &TurnId) {
        let Some(run) = self.runs.get_mut(turn_id) else { return };
        let (provider, title_provider) = match self.model.providers(&self.context.parts) {
            Ok(providers) => providers,
            Err(missing) => {
                // The refusal goes the way of every end, so that the next turn starts behind it.
                let (mailbox, parts, turn_id) = (self.mailbox.clone(), self.context.parts.clone(), turn_id.clone());
                tokio::spawn(async move {
                    let end = TurnEnd::NotBegun(missing.refusal(&parts).await);
                    let _ = mailbox.send(Mail::Ended { turn_id, end });
                });
                return;
            }
        };
        let now = self.context.provenance.clock.wall_ms();
        run.model = Some(format!("{}:{}", provider.name(), provider.model()));
        let begin = BeginTurn {
            turn: run.turn_info(&self.context.id, now),
            prompt: run.prompt.clone(),
            prompt_request: run.prompt_request(),
            owner: Owner::this_process(self.context.provenance.clock.boot_id()),
        };
        let job = TurnJob {
            context: Arc::clone(&self.context),
            turn_id: run.turn_id.clone(),
            message_id: run.message_id.clone(),
            provider,
            title: Arc::clone(&self.title),
            title_provider,
            history: self.history.clone(),
            after: self.last.turn_id.clone(),
            runner: self.mailbox.clone(),
            prompt: run.prompt.clone(),
            begin,
            ledger: Arc::clone(&run.ledger),
            token: run.canceller.token(),
        };
        let (mailbox, turn_id) = (self.mailbox.clone(), turn_id.clone());
        let span = tracing::info_span!("turn", session_id = %self.context.id, turn_id = %turn_id);
        let work = async move {
            let end = AssertUnwindSafe(turn::run(job)).catch_unwind().await.unwrap_or_else(|_panic| {
                TurnEnd::Fault(turn::Fault {
                    cause: Cause::InternalPanic,
                    point: "panic.contained",
                    name: "turn_panic".into(),
                    message: "the turn's own task panicked".into(),
                })
            });
            // The runner outlives its turns; a closed mailbox means that the process is ending.
            let _ = mailbox.send(Mail::Ended { turn_id, end });
        };
        self.context.lifecycle(LifecyclePoint::Started, &run.turn_id, None);
        run.task = Some(tokio::spawn(tracing::Instrument::instrument(work, span)).abort_handle());
    }

    fn stop(&mut self, turn_id: &TurnId, stop: Stop, point: &str) {
        let mode = stop.mode;
        self.title.turn_stopped(&stop, self.context.settings.title_on_cancel);
        if let Some(run) = self.runs.get_mut(turn_id) {
            run.stop(stop, point, &self.title, &self.context.id, &self.context.provenance.clock);
        }
        self.arm_grace(turn_id, mode);
    }

    fn arm_grace(&self, turn_id: &TurnId, mode: CancelMode) {
        let grace = match mode {
            CancelMode::Soft => self.context.settings.grace.soft,
            CancelMode::Hard => self.context.settings.grace.hard,
        };
        let (mailbox, turn_id) = (self.mailbox.clone(), turn_id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            let _ = mailbox.send(Mail::GraceOver { turn_id });
        });
    }

    fn supersede(&mut self, running: &TurnId, by: &TurnId) {
        let Some(request) = self.runs.get(by).map(|run| run.origin.clone()) else { return };
        let cause = Cause::SupersededByPrompt { superseding_turn_id: by.clone() };
        let scope = CancelScope::Turn(running.clone());
        let demand = CancelDemand::of(self.context.id.clone(), scope, cause, "rpc.session/prompt", Some(request));
        let cancel_id = self.context.provenance.ids.cancel();
        let stop = stop_of_demand(&demand, &cancel_id, &self.context.provenance);
        self.stop(running, stop, demand.point);
        let verdict = Verdict { outcome: CancelOutcome::Cancelled, turn: Some(running.clone()), ended: vec![running.clone()] };
        verdict::deliver(self, demand, cancel_id, verdict, None);
    }

    fn refuse(&mut self, turn_id: &TurnId, why: Refused) {
        if let Some(run) = self.runs.remove(turn_id) {
            let refusal = match why {
                Refused::Busy => Refusal::Busy(self.context.id.clone()),
                Refused::Shut => Refusal::NotOpen(self.context.id.clone()),
            };
            let _ = run.reply.send(Err(refusal));
        }
    }

    fn commit(&mut self, turn_id: &TurnId) {
        let fault = match self.runs.get_mut(turn_id).map(|run| (run.abort.is_none(), &run.end)) {
            Some((true, Some(TurnEnd::Fault(fault)))) => Some((stop_of_fault(fault, &self.context.provenance), fault.point)),
            _ => None,
        };
        if let Some((stop, point)) = fault
            && let Some(run) = self.runs.get_mut(turn_id)
        {
            run.stop(stop, point, &self.title, &self.context.id, &self.context.provenance.clock);
        }
        super::settle::commit(self, turn_id, Withdrawn::No);
    }

    fn withdraw(&mut self, turn_id: &TurnId, stop: Stop, point: &str) {
        if let Some(run) = self.runs.get_mut(turn_id) {
            run.stop(stop, point, &self.title, &self.context.id, &self.context.provenance.clock);
            super::settle::commit(self, turn_id, Withdrawn::Yes);
        }
    }

    fn committed(&mut self, turn_id: TurnId, withdrawn: Withdrawn, done: super::settle::Done) {
        super::settle::answer(self, &turn_id, done);
        if withdrawn == Withdrawn::No {
            self.follow(Event::Settled { turn: turn_id });
        }
    }

    /// Mail that came after the end.
    fn turn_away(&self, letter: Mail) {
        let id = || SessionId::clone(&self.context.id);
        match letter {
            Mail::Prompt { reply, .. } => {
                let _ = reply.send(Err(Refusal::NotOpen(id())));
            }
            Mail::Cancel { demand, reply } => {
                let (parts, last) = (self.context.parts.clone(), self.last.clone());
                let cancel_id = parts.provenance.ids.cancel();
                tokio::spawn(verdict::nothing_runs(parts, demand, cancel_id, last, Some(reply)));
            }
            Mail::End { done, .. } => {
                let _ = done.send(());
            }
            Mail::Ended { .. } | Mail::GraceOver { .. } | Mail::Committed { .. } | Mail::Desk(_) => {}
        }
    }
}
