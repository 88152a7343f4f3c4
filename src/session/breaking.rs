//! A session whose own task panics: in its runner, or while it is opened. The panic is contained and on record, and nobody
//! else's trouble.
//!
//! Invariant: whatever such a session was asked has its one answer, each of its turns has its one terminal record, and it can be
//! opened again, which waits until all that is over.

use super::context;
use super::demand::CancelDemand;
use super::error::Refusal;
use super::run::stop_of_fault;
use super::runner::{Mail, Place, Runner};
use super::table::Seat;
use super::turn::Fault;
use super::{held, settle, verdict};
use crate::config::TitleOnCancel;
use crate::protocol::cause::CancelMode;
use crate::protocol::ids::TurnId;
use crate::protocol::said;
use futures_util::FutureExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::mpsc;

/// The hop at which a panic enters.
const POINT: &str = "panic.contained";
/// What the incident of a runner is called.
const RUNNER: &str = "runner_panic";

/// Lives as the session's runner, until somebody ended the session or it breaks.
pub(super) async fn live(mut runner: Runner, seat: Seat) {
    let Seat { shared, id, mailbox, mut mail, forget, .. } = seat;
    let lived = AssertUnwindSafe(runner.live(&mut mail)).catch_unwind().await;
    let broken = lived.err().map(|_panic| (context::broke(&shared.parts, RUNNER, Some(id.clone()), None), shared.breaks(&id, &mailbox)));
    if let Some((panicked, _over)) = &broken {
        let fault = Fault::new(panicked.cause(), POINT, RUNNER, said::RUNNER_PANICKED);
        runner.break_down(&fault, &mut mail).await;
    }
    runner.leave(mail);
    drop((forget, broken));
}

/// Does `open`, the way of a session to its runner.
///
/// # Errors
/// Those of `open`, or that it broke.
pub(super) async fn guarded<T>(seat: &Seat, open: impl Future<Output = Result<T, Refusal>> + Send) -> Result<T, Refusal> {
    // On the heap for as long as it takes, and not in what the session's task needs for all its life.
    AssertUnwindSafe(open.boxed()).catch_unwind().await.unwrap_or_else(|_panic| {
        context::broke(&seat.shared.parts, "opening_panic", Some(seat.id.clone()), None);
        Err(Refusal::Broke)
    })
}

impl Runner {
    /// Ends every turn, with what is still whole of the runner: what the machine says is not trusted any more. Behind the
    /// turns comes whatever else was sent.
    async fn break_down(&mut self, fault: &Fault, mail: &mut mpsc::UnboundedReceiver<Mail>) {
        let mut turns: Vec<_> = self.runs.keys().cloned().collect();
        // In the order in which they came.
        turns.sort();
        self.whole(|runner| held::release(runner, None));
        for turn in &turns {
            self.whole_or_without(turn, |runner| runner.breaks(turn, fault));
        }
        self.whole(|runner| {
            let demand = CancelDemand::of_all(&runner.context.id, fault.cause.clone(), fault.point, None);
            verdict::end_title(runner, &demand, &runner.context.provenance.ids.cancel());
        });
        let mut aside = Vec::new();
        while !self.runs.is_empty()
            && let Some(letter) = mail.recv().await
        {
            match letter {
                Mail::Ended { turn_id, end } => self.whole_or_without(&turn_id, |runner| {
                    if let Some(run) = runner.runs.get_mut(&turn_id) {
                        run.end.get_or_insert(end);
                        runner.finish(&turn_id);
                    }
                }),
                Mail::GraceOver { turn_id } => self.whole_or_without(&turn_id, |runner| {
                    if let Some(run) = runner.runs.get_mut(&turn_id).filter(|run| !run.is_settling) {
                        run.force();
                        runner.finish(&turn_id);
                    }
                }),
                Mail::Committed { turn_id, done, .. } => {
                    self.whole_or_without(&turn_id, |runner| settle::answer(runner, &turn_id, done));
                }
                letter => aside.push(letter),
            }
        }
        for letter in aside {
            self.whole(|runner| runner.turn_away(letter));
        }
        self.rest().await;
    }

    /// The turn ends with the runner, unless it has ended or was told to before.
    fn breaks(&mut self, turn_id: &TurnId, fault: &Fault) {
        let Some(run) = self.runs.get_mut(turn_id).filter(|run| !run.is_settling) else { return };
        match run.canceller.token().stop() {
            // It broke between that stop and its record.
            Some(stop) if run.abort.is_none() => run.begin_abort(stop, fault.point, &self.title, &self.context),
            Some(_) => {}
            None => {
                let stop = stop_of_fault(fault, &self.context.provenance);
                run.stop(stop.clone(), fault.point, &self.title, &self.context);
                // It would go on in the way of the next runner's.
                self.title.turn_stopped(&stop, TitleOnCancel::Cancel);
            }
        }
        if run.task.is_none() || run.end.is_some() { self.finish(turn_id) } else { self.arm_grace(turn_id, CancelMode::Hard) }
    }

    /// Commits the turn, once.
    fn finish(&mut self, turn_id: &TurnId) {
        if self.runs.get(turn_id).is_some_and(|run| !run.is_settling) {
            settle::commit(self, turn_id, Place::Queued);
        }
    }

    /// Does a part of the breaking down; nothing, if that breaks, too.
    fn whole<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(|| part(self)));
        done.map_err(|_panic| context::broke(&self.context.parts, RUNNER, Some(self.context.id.clone()), None)).ok()
    }

    /// The same for a turn, which is given up if it cannot even be ended: its record is made when this process is gone.
    fn whole_or_without(&mut self, turn_id: &TurnId, part: impl FnOnce(&mut Self)) {
        if self.whole(part).is_none()
            && let Some(run) = self.runs.remove(turn_id)
        {
            run.reply.refuse(Refusal::Broke);
        }
    }
}
