//! The runner: one actor for each open session. It takes mail, asks the pure step what to do, and does it.
//!
//! Invariants: the mailbox is never blocked by the store, a model or the client; a turn's terminal record is committed
//! before its prompt is answered, and its prompt is answered before the cancels that ended it.

use super::context::{self, SessionContext};
use super::demand::{CancelDemand, Explained, Explanation, Heed};
use super::error::Refusal;
use super::held::{self, Held};
use super::model_choice::ModelChoice;
use super::run::{Answer, Run, stop_of_demand};
use super::service::Way;
use super::settle::{self, Done};
use super::step::{Asking, Effect, Event, Machine, Refused, State};
use super::title::Title;
use super::turn::TurnEnd;
use super::verdict::{self, Settled, Verdict, WaitingCancel};
use crate::protocol::abort::RequestRef;
use crate::protocol::cause::Cause;
use crate::protocol::ids::{CancelId, SessionId, TurnId};
use crate::protocol::message::{Message, Part};
use crate::protocol::params::WhenBusy;
use crate::protocol::results::CancelResult;
use crate::protocol::turn::Lane;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// What reaches a runner.
pub(super) enum Mail {
    Prompt(Posted, WhenBusy),
    Shell(Posted),
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
    /// What came before this turn, which runs: another process had added to it.
    CaughtUp {
        turn_id: TurnId,
        history: Vec<Arc<Message>>,
    },
    Committed {
        turn_id: TurnId,
        place: Place,
        done: Done,
    },
    /// Something for an open session that is no run: replaying, choosing a model.
    Desk(DeskWork),
    /// Stop everything, take no more prompts, and tell when all has settled and is answered.
    End {
        demand: CancelDemand,
        explanation: Option<Explanation>,
        done: oneshot::Sender<()>,
    },
    /// What the end that is under way turned out to be, if it was not what it seemed.
    Explained(Option<Explained>),
    /// Something came in beside the end, or ends nothing.
    Noted {
        demand: CancelDemand,
        heed: Heed,
    },
}

/// What is done on an open session; with a refusal, if there is none.
pub(super) type DeskWork = Box<dyn FnOnce(Result<&mut Runner, Refusal>) + Send>;

/// A prompt, or a command, as it was posted.
pub(super) struct Posted {
    pub(super) turn_id: TurnId,
    /// When the request had arrived.
    pub(super) posted_at: Instant,
    pub(super) origin: RequestRef,
    /// The user's message.
    pub(super) parts: Vec<Part>,
    pub(super) reply: Answer,
    /// Fires when the answer is on its way to the client.
    pub(super) way: Way,
}

/// Where a turn was when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It had the runner, which is free now.
    Running,
    Queued,
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
    pub(super) history: Vec<Arc<Message>>,
    /// The turn that was begun last, as far as this process has seen it.
    pub(super) newest: Option<TurnId>,
    /// The turn that settled last.
    pub(super) last: Settled,
    pub(super) mailbox: mpsc::UnboundedSender<Mail>,
    /// Answers of ended turns that are on their way to the client, each with the hop that records it.
    pub(super) answering: TaskTracker,
    /// When the turn that settled last did.
    pub(super) settled: Option<Instant>,
    /// What waits for the exact cause of the end that is under way.
    pub(super) held: Option<Held>,
    ends: Vec<oneshot::Sender<()>>,
    /// The client has said `shutdown`: the `exit` behind it is the rest of that.
    is_shut_down: bool,
}

impl Runner {
    pub(super) fn new(
        context: Arc<SessionContext>,
        mailbox: mpsc::UnboundedSender<Mail>,
        title: Arc<Title>,
        model: ModelChoice,
        history: Vec<Arc<Message>>,
        last: Settled,
    ) -> Self {
        let (machine, runs, waiting) = (Machine::default(), HashMap::new(), Vec::new());
        let (answering, ends) = (TaskTracker::new(), Vec::new());
        let (newest, settled, held) = (last.turn_id.clone(), None, None);
        Self {
            context,
            machine,
            runs,
            waiting,
            title,
            model,
            history,
            newest,
            last,
            mailbox,
            answering,
            settled,
            held,
            ends,
            is_shut_down: false,
        }
    }

    /// Lives until somebody ended the session.
    pub(super) async fn live(&mut self, mail: &mut mpsc::UnboundedReceiver<Mail>) {
        while let Some(letter) = mail.recv().await {
            self.open(letter);
            if !self.ends.is_empty() && self.machine.is_idle() && self.runs.is_empty() && self.held.as_ref().is_none_or(Held::is_empty) {
                return self.rest().await;
            }
        }
    }

    /// Resolves when nothing goes on any more that a turn has left.
    pub(super) async fn rest(&self) {
        self.title.ended().await;
        self.answering.close();
        self.answering.wait().await;
    }

    /// What came behind the end is turned away, and whoever asked for the end is told.
    pub(super) fn leave(mut self, mut mail: mpsc::UnboundedReceiver<Mail>) {
        mail.close();
        while let Ok(letter) = mail.try_recv() {
            self.turn_away(letter);
        }
        for done in self.ends.drain(..) {
            // Whoever asked for the end may be gone; the session has ended all the same.
            let _ = done.send(());
        }
    }

    /// One demand to stop: decided by the step, carried out, recorded with its outcome, answered in its turn.
    pub(super) fn cancel(&mut self, demand: CancelDemand, reply: verdict::CancelReply) {
        let cancel_id = self.context.provenance.ids.cancel();
        let asking = match &self.machine.state {
            State::Running { turn } if self.runs.get(turn).is_some_and(|run| run.ledger.is_asking()) => Asking::Yes,
            _ => Asking::No,
        };
        let event = Event::Cancel { scope: demand.scope.clone(), mode: demand.mode, asking };
        let verdict = self.act(event, Some((&demand, &cancel_id)));
        verdict::deliver(self, demand, cancel_id, verdict, reply);
    }

    fn open(&mut self, letter: Mail) {
        match letter {
            Mail::Prompt(posted, when_busy) => {
                let turn = self.take(posted);
                self.follow(Event::Prompt { turn: turn.clone(), when_busy });
                if let Some(run) = self.runs.get(&turn)
                    && run.task.is_none()
                {
                    run.stopwatch.enter(Lane::Queue);
                }
            }
            Mail::Shell(posted) => {
                let turn = self.take(posted);
                self.follow(Event::Shell { turn });
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
            Mail::CaughtUp { turn_id, history } => self.catch_up(&turn_id, history),
            Mail::Committed { turn_id, place, done } => {
                settle::answer(self, &turn_id, done);
                if place == Place::Running {
                    self.follow(Event::Settled { turn: turn_id });
                }
            }
            Mail::Desk(work) => work(Ok(self)),
            Mail::End { demand, explanation, done } => self.end(demand, explanation, done),
            Mail::Explained(explained) => held::release(self, explained),
            Mail::Noted { demand, heed } => self.note(demand, heed),
        }
    }

    fn take(&mut self, posted: Posted) -> TurnId {
        let turn_id = posted.turn_id.clone();
        self.runs.insert(turn_id.clone(), Run::new(posted, &self.context));
        turn_id
    }

    /// The turn stands behind `history`; what was withdrawn since it began stands behind the turn.
    fn catch_up(&mut self, turn_id: &TurnId, history: Vec<Arc<Message>>) {
        let Some(stands_at) = self.runs.get_mut(turn_id).and_then(|run| run.stands_at.as_mut()) else { return };
        let withdrawn = self.history.split_off((*stands_at).min(self.history.len()));
        *stands_at = history.len();
        self.history = history;
        self.history.extend(withdrawn);
    }

    fn end(&mut self, demand: CancelDemand, explanation: Option<Explanation>, done: oneshot::Sender<()>) {
        self.ends.push(done);
        if demand.cause == Cause::ShutdownRequest && std::mem::replace(&mut self.is_shut_down, true) {
            return;
        }
        self.follow(Event::Shut);
        if let Some(explanation) = explanation {
            self.held.get_or_insert_with(|| Held::of(demand.cause.clone()));
            let mailbox = self.mailbox.clone();
            let parts = self.context.parts.clone();
            tokio::spawn(async move {
                // Whatever waits for it goes on, also if nobody can tell any more.
                let explained = AssertUnwindSafe(explanation).catch_unwind().await;
                let explained = explained.unwrap_or_else(|_panic| {
                    context::broke(&parts, "explanation_panic", None, None);
                    None
                });
                // A runner that is gone has nothing that waits.
                let _ = mailbox.send(Mail::Explained(explained));
            });
        }
        if !self.machine.is_idle() || !self.runs.is_empty() {
            self.cancel(demand.clone(), None);
        } else if self.settled.is_some_and(|settled| demand.requested.instant() < settled) {
            // It came while the last turn was still ending, and is heard of only now.
            verdict::too_late(self, &demand);
        }
        // The title of a turn that was just stopped went with it.
        verdict::end_title(self, &demand, &self.context.provenance.ids.cancel());
    }

    /// What came in beside the end counts where something runs.
    fn note(&mut self, demand: CancelDemand, heed: Heed) {
        match (heed, self.machine.current().cloned()) {
            (_, None) => {}
            (Heed::Stop, Some(_)) => self.cancel(demand, None),
            (Heed::Ignore, Some(turn)) => verdict::ignored(self, &demand, turn),
        }
    }

    /// A step that nobody asked for with a demand.
    fn follow(&mut self, event: Event) {
        self.act(event, None);
    }

    /// Takes one step and does what it says. A cancel's step yields its verdict.
    fn act(&mut self, event: Event, demand: Option<(&CancelDemand, &CancelId)>) -> Verdict {
        let (machine, effects) = std::mem::take(&mut self.machine).step(event);
        self.machine = machine;
        let mut verdict = Verdict::idle();
        let starts: Vec<_> =
            effects.iter().filter_map(|effect| if let Effect::Start(turn) = effect { Some(turn.clone()) } else { None }).collect();
        for effect in effects {
            match effect {
                Effect::Accept(turn) => {
                    if let Some(run) = self.runs.get_mut(&turn).filter(|_| !starts.contains(&turn)) {
                        run.wait(&self.context, &self.title);
                    }
                }
                Effect::Start(turn) => self.start(&turn),
                Effect::Stop(turn) => {
                    if let Some((demand, cancel_id)) = demand {
                        self.stop(&turn, stop_of_demand(demand, cancel_id, &self.context.provenance), demand.point);
                        verdict.ended.push(turn);
                    }
                }
                Effect::Withdraw(turn) => {
                    if let Some((demand, cancel_id)) = demand {
                        self.withdraw(&turn, stop_of_demand(demand, cancel_id, &self.context.provenance), demand.point);
                        verdict.ended.push(turn);
                    }
                }
                Effect::Supersede { running, by } => self.supersede(&running, &by),
                Effect::Harden(turn) => self.harden(&turn),
                Effect::Refuse(turn, why) => self.refuse(&turn, why),
                Effect::Verdict { outcome, turn } => {
                    let abort_id = self.runs.get(&turn).and_then(|run| run.abort_id.clone());
                    verdict.outcome = outcome;
                    verdict.about = Settled { turn_id: Some(turn), abort_id };
                }
                Effect::NothingToStop => {
                    if let Some((demand, _)) = demand {
                        verdict = Verdict::nothing_to_stop(&demand.scope, &self.last);
                    }
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

    fn refuse(&mut self, turn_id: &TurnId, why: Refused) {
        if let Some(run) = self.runs.remove(turn_id) {
            let id = self.context.id.clone();
            let refusal = match (why, &run.reply) {
                (Refused::Busy, Answer::Prompt(_)) => Refusal::Busy(id),
                (Refused::Busy, Answer::Shell(_)) => Refusal::BusyForShell(id),
                (Refused::Shut, _) => Refusal::NotOpen(id),
            };
            run.reply.refuse(refusal);
        }
    }

    /// Mail that came after the end.
    pub(super) fn turn_away(&mut self, letter: Mail) {
        let id = || SessionId::clone(&self.context.id);
        match letter {
            Mail::Prompt(posted, _) | Mail::Shell(posted) => posted.reply.refuse(Refusal::NotOpen(id())),
            Mail::Cancel { demand, reply } => {
                let (parts, last) = (self.context.parts.clone(), self.last.clone());
                let cancel_id = parts.provenance.ids.cancel();
                self.context.beside(verdict::nothing_runs(parts, demand, cancel_id, last, Some(reply)));
            }
            Mail::Desk(work) => work(Err(Refusal::NotOpen(id()))),
            Mail::End { done, .. } => self.ends.push(done),
            Mail::Ended { .. }
            | Mail::GraceOver { .. }
            | Mail::CaughtUp { .. }
            | Mail::Committed { .. }
            | Mail::Noted { .. }
            | Mail::Explained(_) => {}
        }
    }
}
