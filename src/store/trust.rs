//! Workspaces that the user trusts, each as it was when that was said.

use super::error::Fault;
use super::rows::Int;
use rusqlite::{Connection, OptionalExtension, params};

/// A workspace that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPath {
    /// Without links.
    pub path: String,
    /// Of what the workspace told whoever works in it.
    pub digest: String,
    /// Milliseconds since 1970.
    pub at: u64,
}

pub(super) fn find(conn: &Connection, path: &str) -> Result<Option<TrustedPath>, Fault> {
    let mut statement = conn.prepare_cached("SELECT path, digest, at FROM trust WHERE path = ?1")?;
    Ok(statement.query_row([path], trusted).optional()?)
}

/// All of them, by path.
pub(super) fn all(conn: &Connection) -> Result<Vec<TrustedPath>, Fault> {
    let mut statement = conn.prepare_cached("SELECT path, digest, at FROM trust ORDER BY path")?;
    let rows = statement.query_map([], trusted)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn put(conn: &Connection, trusted: &TrustedPath) -> Result<(), Fault> {
    let TrustedPath { path, digest, at } = trusted;
    conn.prepare_cached("INSERT OR REPLACE INTO trust (path, digest, at) VALUES (?1, ?2, ?3)")?.execute(params![path, digest, Int(*at)])?;
    Ok(())
}

/// Whether there was one.
pub(super) fn remove(conn: &Connection, path: &str) -> Result<bool, Fault> {
    Ok(conn.prepare_cached("DELETE FROM trust WHERE path = ?1")?.execute([path])? > 0)
}

fn trusted(row: &rusqlite::Row<'_>) -> rusqlite::Result<TrustedPath> {
    Ok(TrustedPath { path: row.get(0)?, digest: row.get(1)?, at: row.get::<_, Int>(2)?.0 })
}
