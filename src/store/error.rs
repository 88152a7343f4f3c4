//! The whole error space of the store. Every text names the file where there is one and says what to do next.
//!
//! Invariant: SQLite's own words never stand alone, and "database is locked" is never among them.

use super::owner::Owner;
use crate::protocol::said;
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_TRIGGER, SQLITE_IOERR_SHORT_READ};
use std::path::{Path, PathBuf};

/// Why the store did not do it. Cloneable: a store that cannot be opened says so to every caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the session id is taken; choose another, or open the session with session/load")]
    SessionTaken,
    #[error("another pillion process (pid {}) is running a turn of this session; stop it there, or wait until its turn ends", .0.pid)]
    OwnedElsewhere(Owner),
    #[error("the store has no such session; session/list shows the ones it has")]
    UnknownSession,
    #[error("the store has no such turn; its session may have been deleted")]
    UnknownTurn,
    #[error("the store has no such message; its session may have been deleted")]
    UnknownMessage,
    #[error("the message has no part {0} that could be extended; add the part first")]
    UnknownPart(u64),
    #[error("the turn has ended and its record never changes; start a new turn")]
    TurnEnded,
    #[error("a new record has an id that the store already holds ({0}); ids must be unique for ever")]
    IdTaken(String),
    #[error("unknown cursor; start again without one")]
    BadCursor,
    #[error("{}", said::STORE_CLOSED)]
    Closed,
    #[error(
        "the data directory {dir} cannot be used ({detail}); make it a directory that you may write to, or choose another with --data-dir"
    )]
    Directory { dir: PathBuf, detail: String },
    #[error("{path} is a symbolic link, which pillion does not follow for its store; name the real directory with --data-dir")]
    Symlink { path: PathBuf },
    #[error("{path} cannot be opened: it is not a regular file; move it away, or choose another directory with --data-dir")]
    NotAFile { path: PathBuf },
    #[error("{}", said::with(said::STORE_CANNOT_OPEN, &[&.file.display(), &.detail]))]
    CannotOpen { file: PathBuf, detail: String },
    #[error("{}", said::with(said::STORE_READ_ONLY, &[&.file.display()]))]
    ReadOnly { file: PathBuf },
    #[error(
        "the session store {file} has schema {found} and this pillion knows schemas up to {known}; use the newer pillion that \
         wrote it, or another --data-dir"
    )]
    NewerSchema { file: PathBuf, found: i64, known: i64 },
    #[error("{file} is a database of another program, so nothing was written to it; choose another --data-dir")]
    NotOurs { file: PathBuf },
    #[error("{}", said::with(said::STORE_DAMAGED, &[&.file.display(), &.detail, &.file.display()]))]
    Corrupt { file: PathBuf, detail: String },
    #[error("{}", said::with(said::STORE_FULL, &[&.file.display()]))]
    DiskFull { file: PathBuf },
    #[error("{}", said::with(said::STORE_IO, &[&.file.display(), &.detail]))]
    Io { file: PathBuf, detail: String },
    #[error("{}", said::with(said::STORE_NOT_FLUSHED, &[&.file.display(), &.detail]))]
    NotFlushed { file: PathBuf, detail: String },
    #[error("{}", said::with(said::STORE_BUSY, &[&.file.display()]))]
    Busy { file: PathBuf },
    #[error("{}", said::with(said::STORE_VANISHED, &[&.file.display()]))]
    Vanished { file: PathBuf },
    #[error("{}", said::with(said::STORE_UNREADABLE, &[&.file.display(), &.detail]))]
    Unreadable { file: PathBuf, detail: String },
    #[error("{}", said::with(said::STORE_FAILED, &[&.file.display(), &.detail]))]
    Internal { file: PathBuf, detail: String },
}

/// What goes wrong inside the room, where the file's name is not at hand: something of SQLite's, or an answer of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    #[error(transparent)]
    Answer(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl Fault {
    /// The error as the callers of the room see it.
    pub(super) fn at(self, file: &Path) -> StoreError {
        match self {
            Self::Answer(error) => error,
            Self::Sqlite(error) => told(&error, file.to_owned()),
        }
    }

    /// Whether a stored value was not what its column promises; the rest of the store may well be readable.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Sqlite(
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::Utf8Error(..)
            )
        )
    }

    /// Whether a page of the database is not what it was; others may well be.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt))
    }
}

fn told(error: &rusqlite::Error, file: PathBuf) -> StoreError {
    let detail = error.to_string();
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => StoreError::Unreadable { file, detail },
            _ => StoreError::Internal { file, detail },
        };
    };
    match failure.code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt { file, detail },
        ErrorCode::DiskFull => StoreError::DiskFull { file },
        ErrorCode::ReadOnly => StoreError::ReadOnly { file },
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => StoreError::Busy { file },
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => StoreError::CannotOpen { file, detail },
        // Shorter than SQLite has made it.
        ErrorCode::SystemIoFailure if failure.extended_code == SQLITE_IOERR_SHORT_READ => {
            StoreError::Corrupt { file, detail: "a file of it was cut".into() }
        }
        ErrorCode::SystemIoFailure if is_at_size_limit(&file) => StoreError::DiskFull { file },
        ErrorCode::SystemIoFailure => StoreError::Io { file, detail },
        ErrorCode::ConstraintViolation => match failure.extended_code {
            // The triggers guard ended turns and written records, nothing else.
            SQLITE_CONSTRAINT_TRIGGER => StoreError::TurnEnded,
            SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::UnknownSession,
            _ => StoreError::IdTaken(detail),
        },
        _ => StoreError::Internal { file, detail },
    }
}

/// Whether one of the store's files is as large as the system lets this process make a file: SQLite does not tell that from
/// other failures of the disk.
fn is_at_size_limit(file: &Path) -> bool {
    let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Fsize).current else { return false };
    let bytes = |suffix: &str| std::fs::metadata(format!("{}{suffix}", file.display())).map_or(0, |metadata| metadata.len());
    ["", "-wal", "-shm"].into_iter().any(|suffix| bytes(suffix) + LARGEST_WRITE > limit)
}

/// The most that SQLite writes at once: a page and what stands before it in the log.
const LARGEST_WRITE: u64 = 64 * 1024 + 24;
