//! The table of open sessions: which runner has which mailbox, and who is coming and going.
//!
//! Invariant: a session has one runner at a time. Whoever opens a session that is being closed or deleted waits until that
//! is over, and mail for it waits with it.

use super::context::{self, Parts};
use super::demand::{CancelDemand, End, Explanation};
use super::editor::SharedEditor;
use super::error::Refusal;
use super::recovery::Recovery;
use super::runner::Mail;
use crate::protocol::ids::SessionId;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture, join_all};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// The sessions of a process, and what they share.
pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) editor: SharedEditor,
    pub(super) recovery: Arc<Recovery>,
    /// Runners, and whatever else must have ended before the process does.
    pub(super) tasks: TaskTracker,
    open: Mutex<Open>,
}

type Mailbox = mpsc::UnboundedSender<Mail>;

/// Resolves when a close or a delete is over.
type Left = future::Shared<BoxFuture<'static, ()>>;

#[derive(Default)]
struct Open {
    runners: HashMap<SessionId, Mailbox>,
    leaving: HashMap<SessionId, Left>,
    /// The process ends: nothing is opened any more.
    ending: bool,
}

/// Whether a session had a runner when one was wanted.
pub(super) enum Registered {
    Before(Mailbox),
    Now(Seat),
}

/// The place of a runner to be. It is free again when this is dropped.
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    pub(super) id: SessionId,
    pub(super) mailbox: Mailbox,
    /// What is sent before the session is open waits here.
    pub(super) mail: mpsc::UnboundedReceiver<Mail>,
    pub(super) forget: Forget,
    /// The close or delete that goes before.
    before: Option<Left>,
}

/// Takes a mailbox off the table when it is dropped.
pub(super) struct Forget {
    shared: Arc<Shared>,
    id: SessionId,
    mailbox: Mailbox,
}

impl Seat {
    /// Resolves when whoever had the session before has left it.
    pub(super) async fn vacated(&mut self) {
        if let Some(before) = self.before.take() {
            before.await;
        }
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut open = self.shared.lock();
        if open.runners.get(&self.id).is_some_and(|current| current.same_channel(&self.mailbox)) {
            open.runners.remove(&self.id);
        }
    }
}

impl Shared {
    pub(super) fn new(parts: Parts, editor: SharedEditor) -> Self {
        Self { parts, editor, recovery: Arc::default(), tasks: TaskTracker::new(), open: Mutex::default() }
    }

    /// Puts a mailbox for `id` on the table, unless there is one.
    pub(super) fn register(self: &Arc<Self>, id: &SessionId) -> Result<Registered, Refusal> {
        let mut open = self.lock();
        if open.ending {
            return Err(Refusal::ShuttingDown);
        }
        let before = open.leaving.remove(id);
        // One that takes no mail has left, and is only not off the table yet.
        let runner = open.runners.get(id).filter(|mailbox| !mailbox.is_closed());
        if let (Some(mailbox), None) = (runner, &before) {
            return Ok(Registered::Before(mailbox.clone()));
        }
        let (mailbox, mail) = mpsc::unbounded_channel();
        open.runners.insert(id.clone(), mailbox.clone());
        let forget = Forget { shared: Arc::clone(self), id: id.clone(), mailbox: mailbox.clone() };
        Ok(Registered::Now(Seat { shared: Arc::clone(self), id: id.clone(), mailbox, mail, forget, before }))
    }

    /// Posts to the session's runner.
    ///
    /// # Errors
    /// It has none; the letter comes back.
    #[expect(clippy::result_large_err, reason = "the letter itself is what the caller needs back")]
    pub(super) fn post(&self, id: &SessionId, letter: Mail) -> Result<(), Mail> {
        let mailbox = self.lock().runners.get(id).cloned();
        match mailbox {
            Some(mailbox) => mailbox.send(letter).map_err(|unsent| unsent.0),
            None => Err(letter),
        }
    }

    /// Posts to every runner.
    pub(super) fn post_all(&self, letter: impl Fn(&SessionId) -> Mail) {
        for (id, mailbox) in &self.lock().runners {
            // A runner that is gone runs nothing.
            let _ = mailbox.send(letter(id));
        }
    }

    /// Ends the session's runner, if it has one, and then does `after`. Both are over before the session is opened again.
    pub(super) fn leave<T: Send + 'static>(
        self: &Arc<Self>,
        demand: CancelDemand,
        after: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let id = demand.session_id.clone();
        let (done, answer) = oneshot::channel();
        let open = self.lock();
        let before = open.leaving.get(&id).cloned();
        let ended = open.runners.get(&id).map(|mailbox| post_end(mailbox, demand, None));
        let left = async move {
            if let Some(before) = before {
                before.await;
            }
            if let Some(ended) = ended {
                ended.await;
            }
            let _ = done.send(after.await);
        };
        self.leaves(open, id, left.boxed().shared());
        answer
    }

    /// The runner with this mailbox has broken: nothing more is posted to it, and whoever opens the session waits until what comes
    /// back is dropped.
    pub(super) fn breaks(self: &Arc<Self>, id: &SessionId, mailbox: &Mailbox) -> oneshot::Sender<()> {
        let (over, is_over) = oneshot::channel();
        let mut open = self.lock();
        // If it was being closed, others wait for that.
        if open.runners.get(id).is_some_and(|current| current.same_channel(mailbox)) {
            open.runners.remove(id);
            let before = open.leaving.get(id).cloned();
            let left = async move {
                if let Some(before) = before {
                    before.await;
                }
                let _ = is_over.await;
            };
            self.leaves(open, id.clone(), left.boxed().shared());
        }
        over
    }

    fn leaves(self: &Arc<Self>, mut open: MutexGuard<'_, Open>, id: SessionId, left: Left) {
        open.leaving.insert(id.clone(), left.clone());
        drop(open);
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            left.clone().await;
            let mut open = shared.lock();
            if open.leaving.get(&id).is_some_and(|current| current.ptr_eq(&left)) {
                open.leaving.remove(&id);
            }
        });
    }

    /// Does `work` for a session that has no runner here.
    pub(super) fn beside(&self, id: &SessionId, work: impl Future<Output = ()> + Send + 'static) {
        context::beside(&self.tasks, &self.parts, id, work);
    }

    /// Ends every runner, and lets no other begin. Resolves when they and all that they left to be done have ended.
    pub(super) fn end_all(&self, end: &End) -> BoxFuture<'static, ()> {
        let mut open = self.lock();
        open.ending = true;
        let ends: Vec<_> = open.runners.iter().map(|(id, mailbox)| post_end(mailbox, end.of(id), end.explanation.clone())).collect();
        drop(open);
        self.tasks.close();
        let tasks = self.tasks.clone();
        async move {
            join_all(ends).await;
            tasks.wait().await;
        }
        .boxed()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn post_end(mailbox: &Mailbox, demand: CancelDemand, explanation: Option<Explanation>) -> impl Future<Output = ()> + Send + 'static {
    let (done, ended) = oneshot::channel();
    // A runner that is gone has ended.
    let _ = mailbox.send(Mail::End { demand, explanation, done });
    ended.map(drop)
}
