//! Opens and migrates the database, and hands out connections that are all set up the same way.
//!
//! Invariant: what cannot be used (newer, damaged, foreign, linked) is refused with a reason and left exactly as it is.

use super::error::{Fault, StoreError};
use super::flush::Disk;
use super::log::{Log, Progress};
use super::mark;
use super::place::Place;
use super::watch::{Watch, keep_log_on_close};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a statement waits for another process before it gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// `PRAGMA application_id` of our databases; the first migration sets it.
pub(super) const APPLICATION_ID: i64 = 0x7069_6C6E;

/// Append-only: a released file never changes, and each new one asks what an old reader, a new reader and an old writer see.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_first.sql")),
    M::up(include_str!("migrations/0002_turn_kind.sql")),
    M::up(include_str!("migrations/0003_trust.sql")),
    M::up(include_str!("migrations/0004_owner_lock.sql")),
    M::up(include_str!("migrations/0005_connection.sql")),
    M::up(include_str!("migrations/0006_waiting.sql")),
    M::up(include_str!("migrations/0007_mark.sql")),
    M::up(include_str!("migrations/0008_titles_off.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);
/// The schema that this version writes.
#[expect(clippy::cast_possible_wrap, reason = "a handful of files")]
pub(super) const SCHEMA: i64 = STEPS.len() as i64;

/// The store, open for writing, or for reading where it cannot be written: then every write is refused.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) place: Place,
    pub(super) disk: Arc<dyn Disk>,
    /// Nothing, where it cannot be written.
    watch: Option<Watch>,
}

impl Opened {
    /// Opens the store in `data_dir`; what is missing is made, what is old is migrated.
    pub(super) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let place = Place::prepare(data_dir)?;
        if place.has_database() && !place.has_journal() && !mark::has_strange_log(&place) {
            let conn = connect(&place)?;
            if is_current(&conn, &place).map_err(|fault| fault.at(&place.file))? {
                return Self::with(conn, place);
            }
        }
        if place.has_database() && !place.has_journal() {
            let conn = connect(&place)?;
            keep_log_on_close(&conn);
            if is_read_only(&conn) {
                return Err(StoreError::ReadOnly { file: place.file.clone() });
            }
        }
        // Two processes that find nothing, or an old schema, set it up one after the other.
        let lock = place.lock()?;
        place.put_journal_aside()?;
        let is_new = !place.has_database();
        if is_new || mark::has_strange_log(&place) {
            place.put_log_aside()?;
        }
        if is_new {
            create(&place)?;
        }
        let mut conn = connect(&place)?;
        if !is_current(&conn, &place).map_err(|fault| fault.at(&place.file))? {
            set_up(&mut conn, &place.file)?;
        }
        drop(lock);
        Self::with(conn, place)
    }

    /// Before anything is read.
    pub(super) fn check_index(&self) -> Result<(), StoreError> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.check_index(&self.place))
    }

    /// Before a transaction: whether the files that are open still stand where they stood, as this process or another pillion
    /// left them.
    pub(super) fn check(&self) -> Result<Progress, StoreError> {
        let refused = || StoreError::ReadOnly { file: self.place.file.clone() };
        self.watch.as_ref().ok_or_else(refused)?.check(&self.conn, &self.place, self.disk.moves())
    }

    /// In a transaction, before anything is written.
    pub(super) fn note_others(&self) -> rusqlite::Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.note_others(&self.conn))
    }

    /// Before this process empties the log.
    pub(super) fn forget_log(&self) {
        self.watch.iter().for_each(Watch::forget_log);
    }

    /// Before a commit.
    pub(super) fn check_log(&self) -> Result<(), StoreError> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.check_log(&self.place))
    }

    /// After a transaction.
    pub(super) fn note(&self) {
        self.watch.iter().for_each(|watch| watch.note(&self.conn, &self.place));
    }

    /// Leaves the log as it is when the connection is closed.
    pub(super) fn keep_log(&self) {
        keep_log_on_close(&self.conn);
    }

    fn with(conn: Connection, place: Place) -> Result<Self, StoreError> {
        let watch = (!is_read_only(&conn)).then(|| Watch::new(&conn, &place)).transpose().map_err(|fault| fault.at(&place.file))?;
        Ok(Self { disk: Arc::new(Log::of(place.clone())), conn, place, watch })
    }
}

/// A further connection, which cannot write.
pub(super) fn connect_to_read(place: &Place) -> Result<Connection, StoreError> {
    let conn = connect(place)?;
    conn.pragma_update(None, "query_only", true).map_err(|error| Fault::from(error).at(&place.file))?;
    Ok(conn)
}

/// Whether what is opened can only be read.
pub(super) fn is_read_only(conn: &Connection) -> bool {
    conn.is_readonly("main").unwrap_or(false)
}

pub(super) fn connect(place: &Place) -> Result<Connection, StoreError> {
    connect_by_name(place).map(|(conn, _)| conn)
}

/// Gives the name, too, by which SQLite is told of the store elsewhere.
fn connect_by_name(place: &Place) -> Result<(Connection, String), StoreError> {
    // Beside an empty file SQLite removes the log, with all that only it has.
    if !place.has_database() {
        return Err(StoreError::Vanished { file: place.file.clone() });
    }
    // The first look makes the log, which takes a directory that can be written to. Without a log there is nobody who writes.
    let looked = connect_to(&place.file).and_then(|conn| match conn.pragma_query_value(None, "schema_version", |_| Ok(())) {
        Err(error) if is_shut(error.sqlite_error_code()) => Err(Fault::from(error).at(&place.file)),
        _ => Ok(conn),
    });
    match looked {
        Err(StoreError::CannotOpen { .. } | StoreError::ReadOnly { .. }) if !place.has_log() => {
            let still = still(place);
            Ok((connect_to_still(place, &still)?, still))
        }
        looked => Ok((looked?, uri(&place.file))),
    }
}

/// Whether that is what SQLite says of a place where it can make no log.
fn is_shut(code: Option<ErrorCode>) -> bool {
    matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Reads the database as it stands there by itself, without its log and without a lock: what is read may be half of something.
pub(super) fn connect_to_itself(place: &Place) -> Result<Connection, StoreError> {
    connect_to_still(place, &still(place))
}

fn connect_to_still(place: &Place, name: &str) -> Result<Connection, StoreError> {
    connect_to_named(&place.file, Path::new(name), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

/// The name by which SQLite takes the file for one that nobody changes.
fn still(place: &Place) -> String {
    format!("{}?immutable=1", uri(&place.file))
}

fn uri(file: &Path) -> String {
    let escaped = file.as_os_str().as_encoded_bytes().iter().map(|byte| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    format!("file:{}", escaped.collect::<String>())
}

/// A database of this schema that nobody else sees and that goes with its connection. The store is attached to it as `disk`.
pub(super) fn connect_aside(place: &Place) -> Result<Connection, StoreError> {
    let (_store, name) = connect_by_name(place)?;
    let failed = |error: rusqlite::Error| Fault::from(error).at(&place.file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI;
    let mut conn = Connection::open_with_flags("", flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    MIGRATIONS.to_latest(&mut conn).map_err(|error| StoreError::Internal { file: place.file.clone(), detail: error.to_string() })?;
    conn.busy_timeout(PATIENCE).map_err(failed)?;
    conn.execute("ATTACH DATABASE ?1 AS disk", [name]).map_err(failed)?;
    Ok(conn)
}

fn connect_to(file: &Path) -> Result<Connection, StoreError> {
    connect_to_named(file, file, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// `name` is how SQLite is told of the file.
fn connect_to_named(file: &Path, name: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    // No mutex: a connection belongs to one thread at a time, and the type says so. The directory is canonical already,
    // so NOFOLLOW refuses just a link that took the file's place since it was looked at.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let set_up = || {
        let conn = Connection::open_with_flags(name, flags)?;
        conn.busy_timeout(PATIENCE)?;
        conn.set_prepared_statement_cache_capacity(64);
        conn.execute_batch(
            "PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA temp_store = MEMORY;
             PRAGMA secure_delete = ON;
             PRAGMA synchronous = NORMAL;
             PRAGMA wal_autocheckpoint = 0;",
        )?;
        Ok(conn)
    };
    set_up().map_err(|error: rusqlite::Error| Fault::from(error).at(file))
}

/// Makes the database under another name: it is there whole or not at all, and the disk is waited for once instead of at
/// every step. Only under [`Place::lock`].
fn create(place: &Place) -> Result<(), StoreError> {
    let new = place.new_file()?;
    let mut conn = connect_to(&new)?;
    let failed = |error: rusqlite::Error| Fault::from(error).at(&new);
    conn.pragma_update(None, "synchronous", "off").map_err(failed)?;
    set_up(&mut conn, &new)?;
    conn.close().map_err(|(_, error)| failed(error))?;
    place.publish(&new)
}

/// Whether nothing has to be set up. A database that is not ours, or newer than we know, is refused here.
fn is_current(conn: &Connection, place: &Place) -> Result<bool, Fault> {
    // One look: what another process sets up meanwhile would seem to be somebody else's.
    let _look = conn.unchecked_transaction()?;
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let found = number("user_version")?;
    let application = number("application_id")?;
    if application != APPLICATION_ID {
        let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let is_empty = application == 0 && found == 0 && tables == 0;
        return if is_empty { Ok(false) } else { Err(StoreError::NotOurs { file: place.file.clone() }.into()) };
    }
    if found > SCHEMA {
        return Err(StoreError::NewerSchema { file: place.file.clone(), found, known: SCHEMA }.into());
    }
    let journal: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    // A file that does not change needs no log, and SQLite says so.
    Ok(found == SCHEMA && (journal == "wal" || is_read_only(conn)))
}

fn set_up(conn: &mut Connection, file: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| Fault::from(error).at(file);
    let journal: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(failed)?;
    if journal != "wal" {
        let detail = format!("its file system does not allow a write-ahead log; the journal mode stays {journal}");
        return Err(StoreError::CannotOpen { file: file.to_owned(), detail });
    }
    conn.set_transaction_behavior(TransactionBehavior::Immediate);
    MIGRATIONS.to_latest(conn).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => failed(err),
        other => StoreError::Internal { file: file.to_owned(), detail: other.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn whoever_looks_while_the_store_is_set_up_sees_it_before_or_after() {
        for _ in 0..15 {
            let dir = tempfile::tempdir().expect("a directory");
            let place = Place::prepare(dir.path()).expect("a place");
            // As an early version left it that was killed while it made the store.
            fs::write(&place.file, "").expect("an empty file");
            let looking = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let conn = connect_to(&place.file).expect("a connection");
                    while !is_current(&conn, &place).expect("ours, or nobody's yet") {
                        looking.store(true, Ordering::SeqCst);
                    }
                });
                while !looking.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                set_up(&mut connect_to(&place.file).expect("a connection"), &place.file).expect("set up");
            });
        }
    }
}
