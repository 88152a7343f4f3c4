//! The write-ahead log as a file: flushed to the disk, moved into the database, begun anew.
//!
//! Invariant: the log is on the disk before any page of it is moved, and all of it is in the database, on the disk, before
//! it is begun anew.

use super::error::{Fault, StoreError};
use super::flush::Disk;
use super::open::{self, PATIENCE};
use super::place::Place;
use super::rows::Int;
use rusqlite::Connection;
use rusqlite::ffi::{SQLITE_BUSY, SQLITE_CORRUPT};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From this length on the log is moved into the database in the next pause (a thousand pages) ...
const LONG: u64 = 4 << 20;
/// ... and from this length on, pause or not.
pub(super) const LONGEST: u64 = 3 * LONG;

/// How often that is asked which cannot be said while somebody writes.
const TRIES: usize = 1_000;

/// The log of one store. It is its own file, on which SQLite holds no locks: a handle of ours may be closed.
pub(super) struct Log {
    place: Place,
    /// Kept open, so that no failure of the disk is reported to somebody else.
    file: OnceLock<File>,
    moves: AtomicU64,
}

/// How many frames SQLite has in the log, and how many of them are in the database already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) frames: u64,
    pub(super) moved: u64,
}

impl Progress {
    pub(super) fn is_all_moved(self) -> bool {
        self.frames == self.moved
    }
}

impl Log {
    pub(super) fn of(place: Place) -> Self {
        Self { place, file: OnceLock::new(), moves: AtomicU64::new(0) }
    }

    fn moved(&self) -> Result<(), StoreError> {
        let conn = open::connect(&self.place)?;
        // Passive: it holds nobody up, and readers elsewhere do not hold it up. What they still need is moved later.
        let moved = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        moved.map_err(|error| Fault::from(error).at(&self.place.file))
    }
}

impl Disk for Log {
    fn flush(&self) -> io::Result<()> {
        if let Some(file) = self.file.get() {
            return file.sync_data();
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::open(self.place.log(), flags, Mode::empty())?);
        file.sync_data()?;
        // The names too: that of the log, and that of the database if it is new.
        File::open(&self.place.dir)?.sync_all()?;
        self.file.get_or_init(|| file);
        Ok(())
    }

    fn tidy(&self) {
        if self.place.log_length() < LONG {
            return;
        }
        self.moves.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = self.moved() {
            tracing::warn!(%error, "the write-ahead log of the store could not be moved");
        }
        self.moves.fetch_add(1, Ordering::SeqCst);
    }

    fn moves(&self) -> u64 {
        self.moves.load(Ordering::SeqCst)
    }
}

/// How far the log has got.
pub(super) fn progress(conn: &Connection) -> rusqlite::Result<Progress> {
    let progress = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let mut code = SQLITE_BUSY;
    for _ in 0..TRIES {
        let (frames, moved) = conn.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], progress)?;
        // What no log can have is damage of its index, if it stays.
        code = if frames >= 0 { SQLITE_CORRUPT } else { SQLITE_BUSY };
        if let (Ok(frames), Ok(moved)) = (u64::try_from(frames), u64::try_from(moved)) {
            // Between the two others may have been at work.
            if moved <= frames {
                return Ok(Progress { frames, moved });
            }
        }
        // Somebody is writing it down just now; whoever reads something waits for that.
        conn.query_row("SELECT count(*) FROM mark", [], |_| Ok(()))?;
    }
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
}

/// The bytes of a page of the database.
pub(super) fn page_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    conn.pragma_query_value(None, "page_size", |row| Ok(row.get::<_, Int>(0)?.0))
}

/// Empties a log that has been moved as a whole, so that the next transaction begins it anew. SQLite would begin it
/// anew by itself, and wait for the disk: the head of a log that is used again must not come behind its content. In an
/// empty one there is no old content.
pub(super) fn empty(conn: &Connection) -> rusqlite::Result<()> {
    // Whoever reads it elsewhere is not waited for.
    conn.busy_timeout(Duration::ZERO)?;
    let emptied = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    conn.busy_timeout(PATIENCE)?;
    emptied
}
