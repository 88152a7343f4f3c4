//! The store's one thread: it drains the queue, writes what is there in one transaction, and answers after the commit.
//!
//! Invariants: jobs happen in the order in which they were queued; nothing is answered "done" before it is committed; a
//! job that fails leaves nothing of itself behind and does not touch its neighbours; only a job that asks for it waits
//! for the disk, and what did not wait is flushed behind the answers. With an empty queue nothing wakes.

use super::error::{Fault, StoreError};
use super::flush::Flusher;
use super::log::{self, Progress};
use super::mark;
use super::open::{self, Opened};
use crate::config::Durability;
use rusqlite::Connection;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// How many jobs share a transaction at most: enough to make a burst cheap, few enough to let other processes in.
const BATCH: usize = 512;

/// The answer to a job that is queued already. Dropping it loses the answer, not the job.
#[derive(Debug)]
pub struct Pending<T>(oneshot::Receiver<Result<T, StoreError>>);

/// The other end of a [`Pending`].
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

impl<T> Pending<T> {
    pub(super) fn new() -> (Reply<T>, Self) {
        let (reply, pending) = oneshot::channel();
        (reply, Self(pending))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A job that was dropped unanswered stood behind a close.
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
    }
}

/// Tells of an answer exactly once: also when there never is one, because the store is closed.
pub(super) struct Told<T, F: FnOnce(Result<T, StoreError>)> {
    tell: Option<F>,
    answer: PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Result<T, StoreError>)> Told<T, F> {
    pub(super) fn new(tell: F) -> Self {
        Self { tell: Some(tell), answer: PhantomData }
    }

    pub(super) fn of(mut self, answer: Result<T, StoreError>) {
        if let Some(tell) = self.tell.take() {
            tell(answer);
        }
    }
}

impl<T, F: FnOnce(Result<T, StoreError>)> Drop for Told<T, F> {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(Err(StoreError::Closed));
        }
    }
}

/// What a job does with the store, or with the reason why there is none to work with.
type Work<R> = Box<dyn FnOnce(Result<&Opened, StoreError>) -> R + Send>;

/// Something for the thread to do.
pub(super) enum Job {
    Write(WriteJob),
    /// Runs outside of a transaction of the writer's.
    Read(Work<()>),
    Close(Reply<()>),
}

/// A write, and what it must survive when it is answered.
pub(super) struct WriteJob {
    run: Work<Ran>,
    durability: Durability,
}

/// A write that ran and waits for the commit.
struct Ran {
    failed: Option<StoreError>,
    answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

impl WriteJob {
    /// `tell` is dropped uncalled when the job never ran, because it stood behind a close.
    pub(super) fn new<T: Send + 'static>(
        durability: Durability,
        tell: impl FnOnce(Result<T, StoreError>) + Send + 'static,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Self {
        let run = move |opened: Result<&Opened, StoreError>| {
            let done = opened.and_then(|opened| atomically(&opened.conn, work).map_err(|fault| fault.at(&opened.place.file)));
            let failed = done.as_ref().err().cloned();
            Ran { failed, answer: Box::new(move |committed| tell(committed.and(done))) }
        };
        Self { run: Box::new(run), durability }
    }
}

/// Runs `work` as a whole or not at all, inside the transaction that is open.
fn atomically<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
    conn.prepare_cached("SAVEPOINT job")?.execute([])?;
    match work(conn) {
        Ok(value) => {
            conn.prepare_cached("RELEASE job")?.execute([])?;
            Ok(value)
        }
        Err(fault) => {
            // After a failure of the disk SQLite may have rolled everything back; then there is no savepoint any more.
            if !conn.is_autocommit() {
                conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
                conn.prepare_cached("RELEASE job")?.execute([])?;
            }
            Err(fault)
        }
    }
}

/// Runs the jobs until the store is closed or its last handle is gone.
pub(super) fn run(open: impl FnOnce() -> Result<Opened, StoreError>, queue: Receiver<Job>) {
    let mut writer = match open() {
        Ok(opened) => Writer::new(opened),
        Err(error) => return refuse(&error, queue),
    };
    let mut next = queue.recv().ok();
    while let Some(job) = next {
        next = match job {
            Job::Write(first) => writer.batch(first, &queue),
            Job::Read(read) => {
                read(writer.opened.check_index().map(|()| &writer.opened));
                queue.recv().ok()
            }
            Job::Close(reply) => {
                let closed = writer.close();
                // First the queue, so that whoever hears of the close finds it closed.
                drop(queue);
                drop(reply.send(closed));
                return;
            }
        };
    }
}

/// Answers every job with the reason why the store could not be opened.
fn refuse(error: &StoreError, queue: Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Write(job) => ((job.run)(Err(error.clone())).answer)(Err(error.clone())),
            Job::Read(read) => read(Err(error.clone())),
            Job::Close(reply) => {
                drop(queue);
                drop(reply.send(Ok(())));
                return;
            }
        }
    }
}

struct Writer {
    opened: Opened,
    flusher: Flusher,
    waits: Waits,
    /// Nothing that was committed lately is known to be lost to the disk. After a failure every commit waits for it, until
    /// one has succeeded.
    trusts_disk: bool,
    /// From this length of the log on, it is moved before more is written.
    longest_log: u64,
}

/// When a commit waits for the disk: what `PRAGMA synchronous` stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Not even for the head of the log. That protects old content of a log that is used again from being taken for new;
    /// in a new log there is none, and what the machine's end can take from it is what was not promised. For one
    /// transaction only: when the log is moved into the database, the disk must be waited for, whoever does it.
    Never,
    /// For the head of the log, and when the log is moved into the database.
    Rarely,
    /// With each commit.
    Always,
}

impl Writer {
    fn new(opened: Opened) -> Self {
        let flusher = Flusher::new(Arc::clone(&opened.disk));
        Self { opened, flusher, waits: Waits::Rarely, trusts_disk: true, longest_log: log::LONGEST }
    }

    /// Writes `first` and what is queued behind it, in one transaction; gives back the job that follows.
    fn batch(&mut self, first: WriteJob, queue: &Receiver<Job>) -> Option<Job> {
        let mut jobs = vec![first];
        // `None`: the queue was empty and the next job must be waited for.
        let mut next = None;
        while jobs.len() < BATCH {
            match queue.try_recv() {
                Ok(Job::Write(job)) => jobs.push(job),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        self.write(jobs);
        self.hold_back();
        next.or_else(|| queue.recv().ok())
    }

    fn write(&mut self, jobs: Vec<WriteJob>) {
        let wanted = jobs.iter().map(|job| job.durability).max().unwrap_or(Durability::Process);
        let durability = if self.trusts_disk { wanted } else { Durability::Power };
        if let Err(error) = self.begin(durability) {
            for job in jobs {
                ((job.run)(Err(error.clone())).answer)(Err(error.clone()));
            }
            return;
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let mut lost: Option<StoreError> = None;
        for job in jobs {
            let ran = (job.run)(lost.clone().map_or(Ok(&self.opened), Err));
            // A full or failing disk can end the whole transaction, and what ran in it before is gone as well.
            if lost.is_none() && self.opened.conn.is_autocommit() {
                lost = ran.failed;
            }
            answers.push(ran.answer);
        }
        let committed = lost.map_or_else(|| self.commit(), Err);
        let committed = committed.and(self.wait_again());
        let is_committed = committed.is_ok();
        self.opened.note();
        for answer in answers {
            answer(committed.clone());
        }
        match durability {
            Durability::Power => self.trusts_disk |= is_committed,
            Durability::Process if is_committed => self.flusher.committed(),
            Durability::Process => {}
        }
    }

    fn begin(&mut self, durability: Durability) -> Result<(), StoreError> {
        let progress = self.opened.check()?;
        if let Some(detail) = self.flusher.failure() {
            self.trusts_disk = false;
            return Err(StoreError::NotFlushed { file: self.opened.place.file.clone(), detail });
        }
        self.begin_waiting(durability, progress).map_err(|error| {
            self.roll_back();
            Fault::from(error).at(&self.opened.place.file)
        })
    }

    fn begin_waiting(&mut self, durability: Durability, progress: Progress) -> rusqlite::Result<()> {
        let waits = match durability {
            Durability::Power => Waits::Always,
            Durability::Process if self.has_new_log(progress)? => Waits::Never,
            Durability::Process => Waits::Rarely,
        };
        // It cannot be changed inside of a transaction.
        self.wait(waits)?;
        self.opened.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        // Another process may have begun the log meanwhile; from here on none can.
        let begins_log = waits != Waits::Rarely && self.opened.place.log_length() == 0;
        if waits == Waits::Never && !begins_log {
            self.roll_back();
            self.wait(Waits::Rarely)?;
            self.opened.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        }
        self.opened.note_others()?;
        if begins_log { mark::renew(&self.opened.conn) } else { Ok(()) }
    }

    fn wait(&mut self, waits: Waits) -> rusqlite::Result<()> {
        if waits != self.waits {
            self.opened.conn.execute_batch(match waits {
                Waits::Never => "PRAGMA synchronous = OFF",
                Waits::Rarely => "PRAGMA synchronous = NORMAL",
                Waits::Always => "PRAGMA synchronous = FULL",
            })?;
            self.waits = waits;
        }
        Ok(())
    }

    /// The end of a transaction that did not wait.
    fn wait_again(&mut self) -> Result<(), StoreError> {
        let waits = if self.waits == Waits::Never { Waits::Rarely } else { self.waits };
        self.wait(waits).map_err(|error| Fault::from(error).at(&self.opened.place.file))
    }

    /// Whether the next transaction begins the log, which it does anew when all of the old one has been moved.
    fn has_new_log(&mut self, progress: Progress) -> rusqlite::Result<bool> {
        if progress.is_all_moved() && self.opened.place.log_length() > 0 {
            self.opened.forget_log();
            log::empty(&self.opened.conn)?;
        }
        let is_new = self.opened.place.log_length() == 0;
        if is_new {
            self.longest_log = log::LONGEST;
        }
        Ok(is_new)
    }

    fn commit(&self) -> Result<(), StoreError> {
        let conn = &self.opened.conn;
        let commit = || conn.prepare_cached("COMMIT")?.execute([]);
        let committed =
            self.opened.check_log().and_then(|()| commit().map(drop).map_err(|error| Fault::from(error).at(&self.opened.place.file)));
        committed.inspect_err(|_| self.roll_back())
    }

    fn roll_back(&self) {
        if !self.opened.conn.is_autocommit() {
            // It can only fail where there is nothing left to take back.
            let _ = self.opened.conn.execute_batch("ROLLBACK");
        }
    }

    /// Has the log moved when it has grown too long without a pause, behind the answers and before more comes to it.
    fn hold_back(&mut self) {
        let length = self.opened.place.log_length();
        if length >= self.longest_log {
            self.flusher.tidied();
            // If a reader elsewhere keeps it from being emptied, it is waited for no more often than it grows.
            self.longest_log = length + log::LONGEST;
        }
    }

    fn close(mut self) -> Result<(), StoreError> {
        let file = self.opened.place.file.clone();
        let flushed = self.flusher.finish();
        if open::is_read_only(&self.opened.conn) {
            return Ok(());
        }
        // Nobody is waited for.
        let checked = self.opened.conn.busy_timeout(Duration::ZERO).map_err(|error| Fault::from(error).at(&file));
        match checked.and_then(|()| self.opened.check()) {
            Ok(_) => {}
            // Whoever works with it moves the log.
            Err(StoreError::Busy { .. }) => self.opened.keep_log(),
            Err(error) => {
                // What stands there is somebody else's now.
                self.opened.keep_log();
                return Err(error);
            }
        }
        let conn = self.opened.conn;
        // Passive: a reader elsewhere does not hold up the end. The last connection of all moves the rest.
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(|error| Fault::from(error).at(&file))?;
        conn.close().map_err(|(_, error)| Fault::from(error).at(&file))?;
        flushed.map_err(|detail| StoreError::NotFlushed { file, detail })
    }
}
