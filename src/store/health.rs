//! What `doctor` says of the store.

use super::error::{Fault, StoreError};
use super::open;
use super::place::Place;
use super::rows::Int;
use crate::provenance::Provenance;
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub path: PathBuf,
    /// The database and its write-ahead log, in bytes.
    pub bytes: u64,
    pub sqlite_version: String,
    pub schema_version: u64,
    pub journal_mode: String,
    pub sessions: u64,
    pub turns: u64,
    /// Turns without a terminal record: running now, or left by a process that died.
    pub open_turns: u64,
    /// Nothing can be written to it.
    pub read_only: bool,
    /// What `PRAGMA quick_check` found; empty when all is well.
    pub damage: Vec<String>,
    /// What a person should change about the place.
    pub warnings: Vec<String>,
}

/// Reads all of it on a connection of its own: checking a large store takes its time.
pub(super) fn check(place: &Place) -> Result<Health, StoreError> {
    let conn = open::connect_to_read(place)?;
    let read = || -> Result<Health, Fault> {
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, Int>(0)).map(|count| count.0);
        let size = |suffix: &str| fs::metadata(format!("{}{suffix}", place.file.display())).map_or(0, |metadata| metadata.len());
        Ok(Health {
            path: place.file.clone(),
            bytes: size("") + size("-wal"),
            sqlite_version: rusqlite::version().to_owned(),
            schema_version: count("PRAGMA user_version")?,
            journal_mode: conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
            sessions: count("SELECT count(*) FROM session")?,
            turns: count("SELECT count(*) FROM turn")?,
            open_turns: count("SELECT count(*) FROM turn WHERE ended_at IS NULL")?,
            read_only: open::is_read_only(&conn),
            damage: damage(&conn)?,
            warnings: place.warnings().into_iter().chain(Provenance::real().clock.warning().map(str::to_owned)).collect(),
        })
    };
    read().map_err(|fault| fault.at(&place.file))
}

fn damage(conn: &Connection) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare("PRAGMA quick_check(20)")?;
    let lines = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}
