//! Whether the store's files still are what this process, or another pillion, left: looked at before each transaction, so that
//! nothing is answered out of, or written into, a file that somebody has deleted, replaced, cut or written over meanwhile.
//!
//! Invariants: a look costs three `lstat`; contents are read only where it was odd, that is where a file has changed and
//! neither a commit nor a move of the log accounts for it. What was found damaged once is not written to any more.

use super::error::{Fault, StoreError};
use super::index::Index;
use super::log::{self, Progress};
use super::mark;
use super::open::connect_to_read;
use super::place::{Look, Place};
use super::wal::{self, Frame};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::cell::{Cell, OnceCell, RefCell};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const CUT: &str = "it was cut or written over while it was open";

const INDEX_CUT: &str = "the index of its log, the -shm file, was cut or written over while it was open";

const LOG_CUT: &str = "its write-ahead log was cut or written over while it was open";

/// The files of an open database.
#[derive(Debug)]
pub(super) struct Watch {
    /// The bytes of a page.
    page: u64,
    log: File,
    /// Opened when its content is in question.
    index: OnceCell<Index>,
    seen: Cell<Seen>,
    /// The last frame that this process, or one before it, has written; nothing, when others were at work since.
    last: Cell<Option<Frame>>,
    /// What was found, for good.
    damage: RefCell<Option<StoreError>>,
}

/// How the files were when they were in order.
#[derive(Debug, Clone, Copy)]
struct Seen {
    files: Files,
    /// Changes with each commit of another connection.
    commits_of_others: i64,
    /// How much of the log had been moved into the database, as SQLite says, and how often this process has begun or ended
    /// to move it.
    moved: u64,
    moves: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    database: Look,
    log: Look,
    index: Look,
}

impl Watch {
    /// For a connection that has read something: all three files are there then.
    pub(super) fn new(conn: &Connection, place: &Place) -> Result<Self, Fault> {
        let (files, progress, page) = (Files::look(place)?, log::progress(conn)?, log::page_bytes(conn)?);
        let log = wal::open_log(&place.log()).map_err(|error| io_failed(place, &error))?;
        let last = Cell::new(Frame::last_of(&log, progress.frames, page));
        let seen = Seen { files, commits_of_others: commits_of_others(conn)?, moved: progress.moved, moves: 0 };
        Ok(Self { page, log, index: OnceCell::new(), last, seen: Cell::new(seen), damage: RefCell::default() })
    }

    /// Before anything is read: memory that lies behind the end of its file cannot be touched without dying.
    ///
    /// # Errors
    /// The index of the log was cut.
    pub(super) fn check_index(&self, place: &Place) -> Result<(), StoreError> {
        Look::at(&place.index()).map_or(Ok(()), |index| self.is_not_cut(place, index))
    }

    /// Before a transaction. `moves` is how often this process has begun or ended to move the log.
    ///
    /// # Errors
    /// The files are not what this process, or another pillion, left.
    pub(super) fn check(&self, conn: &Connection, place: &Place, moves: u64) -> Result<Progress, StoreError> {
        if let Some(damage) = &*self.damage.borrow() {
            return Err(damage.clone());
        }
        let (seen, files) = (self.seen.get(), self.in_their_places(conn, place)?);
        let progress = log::progress(conn).map_err(|error| Fault::from(error).at(&place.file))?;
        if seen.files == files {
            self.seen.set(Seen { moved: progress.moved, moves, ..seen });
            return Ok(progress);
        }
        match self.explain(conn, place, moves) {
            Ok(Ok(progress)) => Ok(progress),
            Ok(Err(damage)) => Err(self.found(place, damage)),
            Err(fault) => Err(fault.at(&place.file)),
        }
    }

    /// This process empties the log.
    pub(super) fn forget_log(&self) {
        self.last.set(None);
    }

    /// In a transaction: what others have done before it is theirs.
    pub(super) fn note_others(&self, conn: &Connection) -> rusqlite::Result<()> {
        self.see(Seen { commits_of_others: commits_of_others(conn)?, ..self.seen.get() });
        Ok(())
    }

    /// Before a commit, while nobody else can write.
    ///
    /// # Errors
    /// The log was cut or written over since [`Self::check`].
    pub(super) fn check_log(&self, place: &Place) -> Result<(), StoreError> {
        if self.last.get().is_none_or(|last| last.stands(&self.log)) { Ok(()) } else { Err(self.found(place, LOG_CUT)) }
    }

    /// After a transaction: what stands in the log now is this process's own doing. The other files it does not change.
    pub(super) fn note(&self, conn: &Connection, place: &Place) {
        if let (Ok(log), Ok(progress)) = (Look::at(&place.log()), log::progress(conn)) {
            let seen = self.seen.get();
            self.seen.set(Seen { files: Files { log, ..seen.files }, ..seen });
            self.last.set(Frame::last_of(&self.log, progress.frames, self.page));
        }
    }

    fn in_their_places(&self, conn: &Connection, place: &Place) -> Result<Files, StoreError> {
        let seen = self.seen.get().files;
        let database = in_its_place(&place.file, seen.database)?;
        if database.bytes == 0 {
            // Beside an empty database SQLite removes the log, with all that only it has.
            return Err(self.found(place, CUT));
        }
        let index = in_its_place(&place.index(), seen.index)?;
        self.is_not_cut(place, index)?;
        let log = in_its_place(&place.log(), seen.log);
        if let Err(StoreError::Vanished { .. }) = log {
            // It is still open: what only it has can be moved into the database, and then nothing of it is missing.
            let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
        Ok(Files { database, log: log?, index })
    }

    fn is_not_cut(&self, place: &Place, index: Look) -> Result<(), StoreError> {
        let is_cut = index.bytes < self.seen.get().files.index.bytes;
        if is_cut { Err(self.found(place, INDEX_CUT)) } else { Ok(()) }
    }

    /// Finds who has changed the files, or what has become of them if it was nobody who works with the store.
    fn explain(&self, conn: &Connection, place: &Place, moves: u64) -> Result<Result<Progress, &'static str>, Fault> {
        let seen = self.seen.get();
        loop {
            let (progress, others) = (log::progress(conn)?, commits_of_others(conn)?);
            let files = Files::look(place)?;
            let known = Seen { files, commits_of_others: others, moved: progress.moved, moves };
            let theirs = others != seen.commits_of_others;
            if theirs && files.index == seen.files.index && !wal::is_cut(files.log.bytes, progress.frames, self.page) {
                self.see(known);
                return Ok(Ok(progress));
            }
            // What somebody is in the middle of explains itself when it is done.
            let _alone = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            if commits_of_others(conn)? != others {
                continue;
            }
            let files = Files::look(place)?;
            let log_is_as_it_was = theirs || files.log == seen.files.log || progress.is_all_moved();
            if wal::is_cut(files.log.bytes, progress.frames, self.page)
                || !(log_is_as_it_was || wal::is_whole(&place.log(), progress.frames).map_err(|error| io_failed(place, &error))?)
            {
                return Ok(Err(LOG_CUT));
            }
            // SQLite writes to it through memory, which the time of the file shows now and then.
            if files.index != seen.files.index && !self.index_is_sound(place, progress).map_err(|error| io_failed(place, &error))? {
                return Ok(Err(INDEX_CUT));
            }
            let was_moved = theirs || progress.moved > seen.moved || moves != seen.moves || moves % 2 == 1;
            if !(was_moved || files.database == seen.files.database || is_sound(conn, place)?) {
                return Ok(Err(CUT));
            }
            self.see(Seen { files, ..known });
            return Ok(Ok(progress));
        }
    }

    fn index_is_sound(&self, place: &Place, progress: Progress) -> io::Result<bool> {
        let index = match self.index.get() {
            Some(index) => index,
            None => {
                let opened = Index::open(&place.index())?;
                self.index.get_or_init(|| opened)
            }
        };
        index.is_sound(wal::pages(&self.log, progress.frames, self.page))
    }

    fn see(&self, seen: Seen) {
        // Others may have begun the log anew.
        if self.seen.replace(seen).commits_of_others != seen.commits_of_others {
            self.last.set(None);
        }
    }

    fn found(&self, place: &Place, what: &str) -> StoreError {
        let damage = StoreError::Corrupt { file: place.file.clone(), detail: what.into() };
        tracing::error!(error = %damage, "the files of the store were changed from outside");
        self.damage.borrow_mut().get_or_insert(damage).clone()
    }
}

impl Files {
    fn look(place: &Place) -> Result<Self, StoreError> {
        let look = |path: PathBuf| Look::at(&path).map_err(|error| missing(path, &error));
        Ok(Self { database: look(place.file.clone())?, log: look(place.log())?, index: look(place.index())? })
    }
}

/// Closing the connection leaves the log as it is: it is neither moved into the database nor removed by its name.
pub(super) fn keep_log_on_close(conn: &Connection) {
    // It can only fail for a setting that SQLite does not know.
    let _ = conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

fn in_its_place(path: &Path, seen: Look) -> Result<Look, StoreError> {
    match Look::at(path) {
        Ok(now) if now.identity == seen.identity => Ok(now),
        Ok(_) => Err(StoreError::Vanished { file: path.to_owned() }),
        Err(error) => Err(missing(path.to_owned(), &error)),
    }
}

fn missing(file: PathBuf, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreError::Vanished { file },
        _ => StoreError::CannotOpen { file, detail: error.to_string() },
    }
}

fn io_failed(place: &Place, error: &io::Error) -> StoreError {
    StoreError::Io { file: place.file.clone(), detail: error.to_string() }
}

fn commits_of_others(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Whether a connection of its own, which remembers nothing, finds the database in order, and it is the one that `conn` has.
fn is_sound(conn: &Connection, place: &Place) -> Result<bool, Fault> {
    let found = connect_to_read(place).and_then(|new| {
        let found = new.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        found.map_err(|error| Fault::from(error).at(&place.file))
    });
    match found {
        Ok(found) => Ok(found == "ok" && mark::stands(conn, place)?),
        Err(StoreError::Corrupt { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
