//! Has the disk keep what was committed, a moment behind the answers, on a thread of its own.
//!
//! Invariants: no answer and no commit waits for a flush; the flush of a commit begins at most [`FLUSH_AFTER`] after it, or
//! when the one before has ended, and is for all commits until then; after [`Flusher::finish`] everything is flushed; a
//! flush that failed is in the log and told to one write. The thread starts with the first commit and sleeps without any.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a commit waits for others to share its flush: so much less than the 50 ms that a power cut may cost that a
/// disk which is not busy has it by then.
pub(super) const FLUSH_AFTER: Duration = Duration::from_millis(30);

/// The disk under the store.
pub(super) trait Disk: Send + Sync {
    /// Returns when the disk has the whole log.
    fn flush(&self) -> io::Result<()>;

    /// Moves the log into the database, if it has grown so long that this pays.
    fn tidy(&self);

    /// Grows when it begins and when it ends to move the log: odd while it does.
    fn moves(&self) -> u64;
}

/// The writer's hold on the thread. Dropping it flushes what is left.
pub(super) struct Flusher {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When the first commit was made that the disk may not have.
    since: Option<Instant>,
    /// The writer waits for the log to be moved.
    hurried: bool,
    ending: bool,
    /// What nobody was told of yet.
    failed: Option<String>,
}

impl Flusher {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, shared: Arc::default(), thread: None }
    }

    /// Something was committed without waiting for the disk.
    pub(super) fn committed(&mut self) {
        let mut state = self.shared.state();
        if state.since.is_none() {
            state.since = Some(Instant::now());
            drop(state);
            self.wake();
        }
    }

    /// Waits until the log has been moved, or could not be.
    pub(super) fn tidied(&mut self) {
        self.shared.state().hurried = true;
        self.wake();
        let state = self.shared.changed.wait_while(self.shared.state(), |state| state.hurried);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    /// Why something that was answered may not be on the disk; told once.
    pub(super) fn failure(&self) -> Option<String> {
        self.shared.state().failed.take()
    }

    /// Flushes what is left and ends the thread.
    ///
    /// # Errors
    /// The last flush failed, or one that nobody was told of.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        if let Some(thread) = self.thread.take() {
            self.shared.state().ending = true;
            self.shared.changed.notify_all();
            if thread.join().is_err() {
                self.shared.fail("the thread that flushes it panicked".into());
            }
        }
        self.failure().map_or(Ok(()), Err)
    }

    fn wake(&mut self) {
        if self.thread.is_none() {
            let (disk, shared) = (Arc::clone(&self.disk), Arc::clone(&self.shared));
            match thread::Builder::new().name("pillion-flush".into()).spawn(move || shared.run(&*disk)) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => return self.shared.fail(format!("no thread to flush it: {error}")),
            }
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        // It is in the log.
        let _ = self.finish();
    }
}

impl Shared {
    fn run(&self, disk: &dyn Disk) {
        let mut state = self.state();
        loop {
            let due = state.since.map(|since| since + FLUSH_AFTER);
            let rest = due.map(|due| due.saturating_duration_since(Instant::now()));
            if !state.ending && !state.hurried && rest.is_none_or(|rest| !rest.is_zero()) {
                state = match rest {
                    Some(rest) => self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
                    None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
                continue;
            }
            let (unflushed, ending) = (state.since.take().is_some(), state.ending);
            drop(state);
            if unflushed && let Err(error) = disk.flush() {
                self.fail(error.to_string());
            }
            if ending {
                return;
            }
            state = self.state();
            // In a pause: then nothing comes to the log while it is moved, and it can be begun anew.
            if state.hurried || state.since.is_none() {
                drop(state);
                disk.tidy();
                state = self.state();
                state.hurried = false;
                self.changed.notify_all();
            }
        }
    }

    fn fail(&self, why: String) {
        tracing::error!(error = why, "the disk did not keep what was written to the store");
        let mut state = self.state();
        state.hurried = false;
        state.failed = Some(why);
        drop(state);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
