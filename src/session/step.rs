//! The runner's pure step: (state, event) -> (state, effects). It decides; the runner acts.
//!
//! Invariants: a turn is started, withdrawn or refused exactly once; a started turn is committed exactly once; nothing
//! starts while another turn runs, stops or settles.

use super::demand::CancelScope;
use crate::protocol::abort::CancelOutcome;
use crate::protocol::cause::CancelMode;
use crate::protocol::ids::TurnId;
use crate::protocol::params::WhenBusy;
use std::collections::VecDeque;

/// What the session's runner is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Idle,
    Running {
        turn: TurnId,
    },
    /// A user's own command runs; prompts wait behind it.
    Shell {
        turn: TurnId,
    },
    /// Told to stop, not ended yet.
    Stopping {
        turn: TurnId,
        mode: CancelMode,
    },
    /// The work has ended; its terminal record is being committed.
    Settling {
        turn: TurnId,
        ended: Ended,
    },
}

/// Whether the work of a settling turn ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    ByItself,
    Stopped,
}

/// The state with what waits behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) state: State,
    pub(super) queue: VecDeque<TurnId>,
    /// No prompt is taken any more.
    pub(super) shut: bool,
}

/// What happens to a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Prompt {
        turn: TurnId,
        when_busy: WhenBusy,
    },
    Shell {
        turn: TurnId,
    },
    /// `asking`: the running turn waits for a person's answer.
    Cancel {
        scope: CancelScope,
        mode: CancelMode,
        asking: Asking,
    },
    GraceOver {
        turn: TurnId,
    },
    WorkEnded {
        turn: TurnId,
    },
    Settled {
        turn: TurnId,
    },
    /// Take no more prompts.
    Shut,
}

/// Whether the running turn waits for a permission answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Yes,
    No,
}

/// What the runner must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// The prompt, or the command, is taken; its turn will have an end.
    Accept(TurnId),
    Start(TurnId),
    /// Pull the running turn's token and arm the grace.
    Stop(TurnId),
    /// A prompt took the running turn's place: stop it for that.
    Supersede {
        running: TurnId,
        by: TurnId,
    },
    /// The stop under way may not take longer than a hard one.
    Harden(TurnId),
    /// A queued turn ends without having started.
    Withdraw(TurnId),
    Refuse(TurnId, Refused),
    /// What the cancel came to, and which turn it is about.
    Verdict {
        outcome: CancelOutcome,
        turn: TurnId,
    },
    /// The cancel's verdict where nothing of what it names runs or waits.
    NothingToStop,
    /// End the work from outside; it did not stop within the grace.
    Force(TurnId),
    Commit(TurnId),
}

/// Why a prompt or a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Busy,
    Shut,
}

impl Machine {
    pub(super) fn step(mut self, event: Event) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        match event {
            Event::Prompt { turn, .. } | Event::Shell { turn } if self.shut => effects.push(Effect::Refuse(turn, Refused::Shut)),
            Event::Prompt { turn, when_busy } => self.prompt(turn, when_busy, &mut effects),
            Event::Shell { turn } => self.shell(turn, &mut effects),
            Event::Cancel { scope: CancelScope::Session, mode, asking } => self.cancel_session(mode, asking, &mut effects),
            Event::Cancel { scope: CancelScope::Turn(turn), mode, asking } => self.cancel_turn(turn, mode, asking, &mut effects),
            Event::GraceOver { turn } => {
                if matches!(&self.state, State::Stopping { turn: stopping, .. } if *stopping == turn) {
                    effects.extend([Effect::Force(turn.clone()), Effect::Commit(turn.clone())]);
                    self.state = State::Settling { turn, ended: Ended::Stopped };
                }
            }
            Event::WorkEnded { turn } => {
                let ended = match &self.state {
                    State::Running { turn: running } | State::Shell { turn: running } if *running == turn => Ended::ByItself,
                    State::Stopping { turn: stopping, .. } if *stopping == turn => Ended::Stopped,
                    _ => return (self, effects),
                };
                effects.push(Effect::Commit(turn.clone()));
                self.state = State::Settling { turn, ended };
            }
            Event::Settled { turn } => {
                if matches!(&self.state, State::Settling { turn: settling, .. } if *settling == turn) {
                    self.next(&mut effects);
                }
            }
            Event::Shut => self.shut = true,
        }
        (self, effects)
    }

    /// Whether nothing runs and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle && self.queue.is_empty()
    }

    /// The turn that occupies the runner.
    pub(super) fn current(&self) -> Option<&TurnId> {
        match &self.state {
            State::Idle => None,
            State::Running { turn } | State::Shell { turn } | State::Stopping { turn, .. } | State::Settling { turn, .. } => Some(turn),
        }
    }

    fn next(&mut self, effects: &mut Vec<Effect>) {
        self.state = match self.queue.pop_front() {
            Some(turn) => {
                effects.push(Effect::Start(turn.clone()));
                State::Running { turn }
            }
            None => State::Idle,
        };
    }

    fn prompt(&mut self, turn: TurnId, when_busy: WhenBusy, effects: &mut Vec<Effect>) {
        if self.state != State::Idle && when_busy == WhenBusy::Reject {
            return effects.push(Effect::Refuse(turn, Refused::Busy));
        }
        effects.push(Effect::Accept(turn.clone()));
        if self.state == State::Idle {
            self.queue.push_back(turn);
            return self.next(effects);
        }
        match when_busy {
            WhenBusy::Queue | WhenBusy::Reject => self.queue.push_back(turn),
            WhenBusy::Supersede => match &self.state {
                State::Running { turn: running } => {
                    let running = running.clone();
                    effects.push(Effect::Supersede { running: running.clone(), by: turn.clone() });
                    self.state = State::Stopping { turn: running, mode: CancelMode::Hard };
                    self.queue.push_front(turn);
                }
                // A prompt takes the place of another one, never that of a command.
                State::Shell { .. } => self.queue.push_back(turn),
                State::Idle | State::Stopping { .. } | State::Settling { .. } => self.queue.push_front(turn),
            },
        }
    }

    /// A command runs at once or not at all.
    fn shell(&mut self, turn: TurnId, effects: &mut Vec<Effect>) {
        if self.state != State::Idle {
            return effects.push(Effect::Refuse(turn, Refused::Busy));
        }
        effects.extend([Effect::Accept(turn.clone()), Effect::Start(turn.clone())]);
        self.state = State::Shell { turn };
    }

    fn cancel_session(&mut self, mode: CancelMode, asking: Asking, effects: &mut Vec<Effect>) {
        let outcome = self.cancel_current(mode, asking, effects);
        if outcome == Some(CancelOutcome::IgnoredAwaitingAnswer) {
            return self.verdict(outcome, effects);
        }
        let withdrawn: Vec<_> = self.queue.drain(..).collect();
        let first_withdrawn = withdrawn.first().cloned();
        effects.extend(withdrawn.into_iter().map(Effect::Withdraw));
        match (outcome, first_withdrawn) {
            // The running turn was past stopping, but prompts that waited behind it were stopped.
            (Some(CancelOutcome::AlreadySettled), Some(turn)) => {
                effects.push(Effect::Verdict { outcome: CancelOutcome::Cancelled, turn });
            }
            _ => self.verdict(outcome, effects),
        }
    }

    fn cancel_turn(&mut self, turn: TurnId, mode: CancelMode, asking: Asking, effects: &mut Vec<Effect>) {
        if let Some(at) = self.queue.iter().position(|queued| *queued == turn) {
            self.queue.remove(at);
            effects.push(Effect::Withdraw(turn.clone()));
            effects.push(Effect::Verdict { outcome: CancelOutcome::Cancelled, turn });
        } else if self.current() == Some(&turn) {
            let outcome = self.cancel_current(mode, asking, effects);
            self.verdict(outcome, effects);
        } else {
            effects.push(Effect::NothingToStop);
        }
    }

    /// What becomes of the turn that occupies the runner; `None` if there is none.
    fn cancel_current(&mut self, mode: CancelMode, asking: Asking, effects: &mut Vec<Effect>) -> Option<CancelOutcome> {
        match &mut self.state {
            State::Idle => None,
            State::Running { .. } if mode == CancelMode::Soft && asking == Asking::Yes => Some(CancelOutcome::IgnoredAwaitingAnswer),
            State::Running { turn } | State::Shell { turn } => {
                let turn = turn.clone();
                effects.push(Effect::Stop(turn.clone()));
                self.state = State::Stopping { turn, mode };
                Some(CancelOutcome::Cancelled)
            }
            State::Stopping { turn, mode: before } => {
                if *before == CancelMode::Soft && mode == CancelMode::Hard {
                    *before = CancelMode::Hard;
                    effects.push(Effect::Harden(turn.clone()));
                }
                Some(CancelOutcome::AlreadyStopping)
            }
            State::Settling { ended: Ended::Stopped, .. } => Some(CancelOutcome::AlreadyStopping),
            State::Settling { ended: Ended::ByItself, .. } => Some(CancelOutcome::AlreadySettled),
        }
    }

    /// The verdict about the turn that occupies the runner.
    fn verdict(&self, outcome: Option<CancelOutcome>, effects: &mut Vec<Effect>) {
        effects.push(match (outcome, self.current()) {
            (Some(outcome), Some(turn)) => Effect::Verdict { outcome, turn: turn.clone() },
            _ => Effect::NothingToStop,
        });
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
