//! The store: SQLite, one thread that writes, rows <-> domain. There is no SQL anywhere else.
//!
//! Every call queues its job at once, in call order, and gives a [`Pending`] to wait on; dropping that loses the answer,
//! not the job. An answer means "committed": it survives the end of the process, however that comes. It survives a power
//! cut once the log is flushed, which begins within [`flush::FLUSH_AFTER`] and is done when [`Store::close`] is answered;
//! with [`Durability::Power`] the end of a turn is answered only then. No power cut damages the store.

mod abandoned;
mod connections;
mod diagnostics;
mod error;
mod flush;
mod health;
mod holds;
mod index;
mod log;
mod lookup;
mod mark;
mod messages;
mod open;
mod owner;
mod place;
mod rows;
mod sessions;
mod snapshot;
mod trust;
mod turns;
mod unreadable;
mod wal;
mod watch;
mod writer;

pub use abandoned::{Abandoned, AbandonedTitle, AbandonedTurn, Closing, OpenTurn};
pub use diagnostics::{Diagnostic, RecordKind, Recorded};
pub use error::StoreError;
pub use health::Health;
pub use lookup::{Named, NamedKind};
pub use messages::PartWrite;
pub use owner::Owner;
pub use sessions::{LastTurn, ListQuery, SessionChange, SessionPage, StoredSession};
pub use snapshot::{DiagnosticRow, Snapshot};
pub use trust::TrustedPath;
pub use turns::{BeginTurn, EndTurn};
pub use unreadable::{Unreadable, UnreadableRow};
pub use writer::Pending;

use crate::config::Durability;
use crate::protocol::abort::Abort;
use crate::protocol::connection::ConnectionRecord;
use crate::protocol::export::{Incident, SessionInfo};
use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::message::Message;
use crate::protocol::said;
use crate::provenance::Provenance;
use crate::provenance::panics::{self, Panicked};
use error::Fault;
use holds::Holds;
use open::Opened;
use place::Place;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use unreadable::{Damage, Reading};
use writer::{Job, Told, WriteJob};

/// What is there of a session's messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub messages: Vec<Message>,
    /// What is missing from them.
    pub unreadable: Unreadable,
}

/// A handle on the store. Clones share one thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Store {
    queue: mpsc::Sender<Job>,
    holds: Arc<Holds>,
    /// What the end of a turn waits for.
    durability: Durability,
}

impl Store {
    /// Starts the store's thread and returns at once: opening and migrating happen there. If that fails, the reason is
    /// the answer to every later call.
    pub fn open(data_dir: PathBuf) -> Self {
        let holds = Holds::of(&data_dir);
        Self::start(holds, move || Opened::open(&data_dir))
    }

    /// Whether there is a store, or anything of one: who only reads makes none.
    pub fn is_made(data_dir: &Path) -> bool {
        place::is_made(data_dir)
    }

    /// The same store, whose ends of turns wait for this much.
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Whether the store could be opened.
    pub fn ready(&self) -> Pending<()> {
        self.read(|_| Ok(()))
    }

    /// Adds a session; [`StoreError::SessionTaken`] if there is one with its id.
    pub fn create_session(&self, info: SessionInfo) -> Pending<()> {
        self.write(move |conn| sessions::create(conn, &info))
    }

    /// Changes one thing about a session. `false`: there is no such session, or its user's title stands.
    pub fn change_session(&self, id: &SessionId, change: SessionChange) -> Pending<bool> {
        let id = id.clone();
        self.write(move |conn| sessions::change(conn, &id, &change))
    }

    /// Removes a session with its children, messages, turns and diagnostics. `false`: there is no such session.
    pub fn delete_session(&self, id: &SessionId) -> Pending<bool> {
        let id = id.clone();
        self.write(move |conn| sessions::delete(conn, &id))
    }

    pub fn session(&self, id: &SessionId) -> Pending<Option<StoredSession>> {
        let id = id.clone();
        self.read(move |conn| sessions::find(conn, &id))
    }

    /// The trust in the workspace at this path, which must be without links.
    pub fn trusted(&self, path: &str) -> Pending<Option<TrustedPath>> {
        let path = path.to_owned();
        self.read(move |conn| trust::find(conn, &path))
    }

    /// Every trusted workspace, by path.
    pub fn all_trusted(&self) -> Pending<Vec<TrustedPath>> {
        self.read(trust::all)
    }

    /// Trusts a workspace, instead of how it was trusted before.
    pub fn trust(&self, trusted: TrustedPath) -> Pending<()> {
        self.write(move |conn| trust::put(conn, &trusted))
    }

    /// Takes the trust back. `false`: there was none.
    pub fn distrust(&self, path: &str) -> Pending<bool> {
        let path = path.to_owned();
        self.write(move |conn| trust::remove(conn, &path))
    }

    /// A page of sessions, the one that was updated last first; [`StoreError::BadCursor`] for a cursor that is none.
    pub fn list_sessions(&self, query: ListQuery) -> Pending<SessionPage> {
        self.read(move |conn| sessions::list(conn, &query))
    }

    /// What has this id; if nothing does, everything whose id begins so.
    pub fn named(&self, beginning: &str) -> Pending<Vec<Named>> {
        let beginning = beginning.to_owned();
        self.read(move |conn| lookup::find(conn, &beginning))
    }

    /// The messages of a session with their parts, in order, of ended and of running turns; none for an unknown session.
    pub fn history(&self, id: &SessionId) -> Pending<History> {
        let id = id.clone();
        self.read(move |conn| {
            let mut reading = Reading::new(Damage::EndsTheReading);
            let mut messages = Vec::new();
            messages::for_each(conn, &id, &mut reading, |message| {
                messages.push(message);
                Ok::<_, Fault>(())
            })?;
            Ok(History { messages, unreadable: reading.end() })
        })
    }

    /// Begins a turn and takes hold of its session; [`StoreError::OwnedElsewhere`] if another live process has that. The
    /// answer is the turn that was begun before it: somebody else's, if another process had the session meanwhile.
    pub fn begin_turn(&self, begin: BeginTurn) -> Pending<Option<TurnId>> {
        let holds = Arc::clone(&self.holds);
        self.write(move |conn| turns::begin(conn, &holds, holds.own(|| abandoned::named_locks(conn)), &begin))
    }

    /// Keeps a prompt that waits for its turn; [`Store::begin_turn`] makes it a turn.
    pub fn keep_waiting(&self, begin: BeginTurn) -> Pending<()> {
        let holds = Arc::clone(&self.holds);
        self.write(move |conn| turns::wait(conn, holds.own(|| abandoned::named_locks(conn)), &begin))
    }

    /// A prompt that waited never becomes a turn.
    pub fn forget_waiting(&self, turn: &TurnId) -> Pending<()> {
        let turn = turn.clone();
        self.write(move |conn| turns::waits_no_more(conn, &turn).map(drop))
    }

    /// Writes to the parts of a message, all or nothing; [`StoreError::TurnEnded`] after the end of its turn. Appending
    /// costs what is appended.
    pub fn write_parts(&self, message: &MessageId, writes: Vec<PartWrite>) -> Pending<()> {
        let message = message.clone();
        self.write(move |conn| {
            let message = messages::open(conn, &message)?;
            writes.iter().try_for_each(|write| messages::write(conn, message, write))
        })
    }

    /// Ends a turn, once: [`StoreError::TurnEnded`] for a second time. The answer is the number of the newest diagnostic
    /// record.
    pub fn end_turn(&self, end: EndTurn) -> Pending<u64> {
        self.write_with(self.durability, move |conn| turns::end(conn, &end))
    }

    /// [`Store::end_turn`], whose answer is told on the store's own thread: `tell` must not wait for anything.
    pub fn end_turn_then(&self, end: EndTurn, tell: impl FnOnce(Result<u64, StoreError>) + Send + 'static) {
        self.write_then(self.durability, move |conn| turns::end(conn, &end), tell);
    }

    /// Adds a diagnostic record and gives its number in the store's order.
    pub fn record(&self, diagnostic: Diagnostic) -> Pending<u64> {
        self.write(move |conn| diagnostics::insert(conn, &diagnostic))
    }

    /// [`Store::record`], for whom only a failure is news; it is told on the store's own thread.
    pub fn record_or(&self, diagnostic: Diagnostic, failed: impl FnOnce(StoreError) + Send + 'static) {
        let tell = |stored: Result<u64, StoreError>| stored.err().map_or((), failed);
        self.write_then(Durability::Process, move |conn| diagnostics::insert(conn, &diagnostic), tell);
    }

    /// A connection begins; a second time changes nothing.
    pub fn open_connection(&self, record: ConnectionRecord) -> Pending<()> {
        self.write(move |conn| connections::open(conn, &record))
    }

    /// A connection has ended, as `record` says; one that was not opened leaves nothing.
    pub fn close_connection(&self, record: ConnectionRecord) -> Pending<()> {
        self.write(move |conn| connections::close(conn, &record))
    }

    /// What dead processes have left open.
    pub fn abandoned(&self) -> Pending<Abandoned> {
        let holds = Arc::clone(&self.holds);
        self.read(move |conn| abandoned::find(conn, &holds))
    }

    /// Closes something that was abandoned; [`StoreError::TurnEnded`] if somebody else has done it.
    pub fn close_abandoned(&self, closing: Closing) -> Pending<()> {
        self.write_with(self.durability, move |conn| abandoned::close(conn, &closing))
    }

    /// Removes the locks of dead processes that have nothing open any more.
    pub fn clear_locks(&self) -> Pending<()> {
        let holds = Arc::clone(&self.holds);
        self.read(move |conn| {
            holds.clear(&abandoned::named_locks(conn)?);
            Ok(())
        })
    }

    /// The turns that have begun and have no end, the oldest first.
    pub fn open_turns(&self) -> Pending<Vec<OpenTurn>> {
        let holds = Arc::clone(&self.holds);
        self.read(move |conn| abandoned::open_turns(conn, &holds))
    }

    /// The live process, other than this one, that runs turns of the session.
    pub fn owner(&self, id: &SessionId) -> Pending<Option<Owner>> {
        let (id, holds) = (id.clone(), Arc::clone(&self.holds));
        self.read(move |conn| Ok(sessions::owner(conn, &id)?.filter(|owner| Some(owner) != holds.known() && holds.is_alive(owner))))
    }

    /// Lets `visit` read the tree that the session belongs to, as it is after all calls made before this one. It runs on
    /// a thread and a connection of its own, so nothing waits for it. `None`: there is no such session.
    pub fn snapshot<R: Send + 'static>(
        &self,
        id: &SessionId,
        visit: impl FnOnce(&mut Snapshot) -> R + Send + 'static,
    ) -> Pending<Option<R>> {
        self.snapshot_as_if(id, Vec::new(), visit)
    }

    /// [`Store::snapshot`], in which these closings have been made although the store does not have them.
    pub fn snapshot_as_if<R: Send + 'static>(
        &self,
        id: &SessionId,
        closings: Vec<Closing>,
        visit: impl FnOnce(&mut Snapshot) -> R + Send + 'static,
    ) -> Pending<Option<R>> {
        let (id, holds) = (id.clone(), Arc::clone(&self.holds));
        self.aside(
            Some(id.clone()),
            move |place| Ok(Snapshot::take(place, holds, &id, &closings)?.map(|mut snapshot| visit(&mut snapshot))),
        )
    }

    /// The newest aborts of all sessions, the newest first.
    pub fn recent_aborts(&self, limit: usize) -> Pending<Vec<Abort>> {
        self.read(move |conn| diagnostics::recent_aborts(conn, limit))
    }

    /// The newest incidents, of sessions and of none, the newest first.
    pub fn recent_incidents(&self, limit: usize) -> Pending<Vec<Incident>> {
        self.read(move |conn| diagnostics::recent_incidents(conn, limit))
    }

    /// The aborts of a session's turns, in the order of the turns.
    pub fn aborts_of(&self, id: &SessionId) -> Pending<Vec<Abort>> {
        let id = id.clone();
        self.read(move |conn| diagnostics::aborts_of_session(conn, &id))
    }

    pub fn health(&self) -> Pending<Health> {
        self.aside(None, health::check)
    }

    /// Finishes what was queued before, flushes it to the disk and closes the file; every later call is [`StoreError::Closed`].
    pub fn close(&self) -> Pending<()> {
        let holds = Arc::clone(&self.holds);
        drop(self.read(move |conn| {
            // What was not settled in time is still found by the lock.
            if let Some(own) = holds.known().and_then(|own| own.lock.as_ref())
                && !abandoned::named_locks(conn)?.contains(own)
            {
                holds.leave();
            }
            Ok(())
        }));
        let (reply, pending) = Pending::new();
        self.send(Job::Close(reply));
        pending
    }

    fn start(holds: Holds, open: impl FnOnce() -> Result<Opened, StoreError> + Send + 'static) -> Self {
        let (queue, jobs) = mpsc::channel();
        if let Err(error) = thread::Builder::new().name("pillion-store".into()).spawn(move || writer::run(open, jobs)) {
            // The queue went with the thread: every call says that the store is closed.
            tracing::error!(%error, "the store's thread could not be started");
        }
        Self { queue, holds: Arc::new(holds), durability: Durability::Process }
    }

    fn write<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static) -> Pending<T> {
        self.write_with(Durability::Process, work)
    }

    fn write_with<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Pending<T> {
        let (reply, pending) = Pending::new();
        // Nobody may wait for the answer; that is the caller's choice.
        self.send(Job::Write(WriteJob::new(durability, move |answer| drop(reply.send(answer)), work)));
        pending
    }

    fn write_then<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        tell: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let told = Told::new(tell);
        self.send(Job::Write(WriteJob::new(durability, move |answer| told.of(answer), work)));
    }

    /// A read that sees every write queued before it, in one transaction.
    fn read<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static) -> Pending<T> {
        let (reply, pending) = Pending::new();
        self.send(Job::Read(Box::new(move |opened| {
            let answer = opened.and_then(|Opened { conn, place, .. }| {
                let read = || -> Result<T, Fault> {
                    let _transaction = conn.unchecked_transaction()?;
                    work(conn)
                };
                read().map_err(|fault| fault.at(&place.file))
            });
            drop(reply.send(answer));
        })));
        pending
    }

    /// A long read, on a thread of its own that starts when every write queued before it is committed. A panic in it is an
    /// incident, of the session that is read.
    fn aside<T: Send + 'static>(
        &self,
        of: Option<SessionId>,
        work: impl FnOnce(&Place) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<T> {
        let (reply, pending) = Pending::new();
        let store = self.clone();
        self.send(Job::Read(Box::new(move |opened| {
            let place = match opened {
                Ok(opened) => opened.place.clone(),
                Err(error) => return drop(reply.send(Err(error))),
            };
            let run = move || {
                let answer = catch_unwind(AssertUnwindSafe(|| work(&place)));
                drop(reply.send(answer.unwrap_or_else(|_panic| Err(store.panicked(of, place.file)))));
            };
            if let Err(error) = thread::Builder::new().name("pillion-reader".into()).spawn(run) {
                tracing::error!(%error, "a thread that reads the store could not be started");
            }
        })));
        pending
    }

    /// The panic that was contained a moment ago, on this thread: on record, and as an error.
    fn panicked(&self, session: Option<SessionId>, file: PathBuf) -> StoreError {
        // What it said may be anything.
        let panicked = Panicked { message: Some(said::READER_PANICKED.into()), ..panics::contained() };
        let at = panicked.at.as_ref().map(|at| format!(" at {}:{}", at.file, at.line)).unwrap_or_default();
        let incident = panicked.incident("reader_panic", session, Provenance::real().clock.wall_ms());
        self.record_or(Diagnostic::Incident(incident), |error| tracing::error!(%error, "an incident could not be stored"));
        StoreError::Internal { file, detail: format!("{}{at}", said::READER_PANICKED) }
    }

    fn send(&self, job: Job) {
        // A closed store drops the job, and with it the reply, which answers `Closed`.
        let _ = self.queue.send(job);
    }
}

#[cfg(test)]
mod tests;
