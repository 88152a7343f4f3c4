//! Which log belongs to the database. SQLite takes whatever log stands beside a database for that one's, and a log that
//! was left by another store, or by this one before somebody put an older copy in its place, makes a mess of it.
//!
//! Invariant: the first transaction of a log renews the mark of the store, so the database by itself has the mark that the
//! log found, or, once that was moved into it, the one that the log made.

use super::error::{Fault, StoreError};
use super::open::{connect, connect_to_itself};
use super::place::Place;
use super::watch::keep_log_on_close;
use rusqlite::{Connection, ErrorCode};

#[derive(Debug, PartialEq, Eq)]
struct Mark {
    now: Vec<u8>,
    before: Option<Vec<u8>>,
}

impl Mark {
    fn goes_on_from(&self, alone: &Self) -> bool {
        self.now == alone.now || self.before.as_ref() == Some(&alone.now)
    }
}

/// In the first transaction of a log.
pub(super) fn renew(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE mark SET before = now, now = randomblob(16)")?.execute([]).map(drop)
}

/// Whether the log that stands beside the database was begun beside another one. What cannot be read is told when the store
/// is opened and makes no log strange, nor does a database without a mark, which is one of an older version.
pub(super) fn has_strange_log(place: &Place) -> bool {
    if place.log_length() == 0 {
        return false;
    }
    // In this order: whoever has the store open may move the log in between.
    let with_log = connect(place).map(|conn| {
        keep_log_on_close(&conn);
        read(&conn)
    });
    let (Ok(with_log), Ok(Some(alone))) = (with_log, of_the_database_alone(place)) else { return false };
    match with_log {
        Ok(mark) => !mark.goes_on_from(&alone),
        Err(rusqlite::Error::QueryReturnedNoRows) => true,
        // There is no such table, or no database at all.
        Err(error) => {
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown))
        }
    }
}

/// Whether the database by itself still is one from which what `conn` sees goes on.
pub(super) fn stands(conn: &Connection, place: &Place) -> Result<bool, StoreError> {
    match of_the_database_alone(place) {
        Ok(alone) => Ok(alone.is_none_or(|alone| read(conn).is_ok_and(|mark| mark.goes_on_from(&alone)))),
        Err(StoreError::Corrupt { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Nothing, while the migration that made it is in the log only.
fn of_the_database_alone(place: &Place) -> Result<Option<Mark>, StoreError> {
    match read(&connect_to_itself(place)?) {
        Ok(mark) => Ok(Some(mark)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => Ok(None),
        Err(error) => Err(Fault::from(error).at(&place.file)),
    }
}

fn read(conn: &Connection) -> rusqlite::Result<Mark> {
    conn.query_row("SELECT now, before FROM mark", [], |row| Ok(Mark { now: row.get(0)?, before: row.get(1)? }))
}
