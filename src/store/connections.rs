//! Connections: one row each, made before anything that names it, and closed once.

use super::error::Fault;
use super::rows::Json;
use crate::protocol::connection::ConnectionRecord;
use crate::protocol::ids::ConnectionId;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) fn open(conn: &Connection, record: &ConnectionRecord) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO connection (connection_id, opened) VALUES (?1, ?2) ON CONFLICT (connection_id) DO NOTHING")?
        .execute(params![record.connection_id.as_str(), Json(record)])?;
    Ok(())
}

/// The record takes the place of the one that it began with.
pub(super) fn close(conn: &Connection, record: &ConnectionRecord) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE connection SET closed = ?2 WHERE connection_id = ?1 AND closed IS NULL")?
        .execute(params![record.connection_id.as_str(), Json(record)])?;
    Ok(())
}

pub(super) fn find(conn: &Connection, id: &ConnectionId) -> Result<Option<ConnectionRecord>, Fault> {
    let found = conn
        .prepare_cached("SELECT coalesce(closed, opened) FROM connection WHERE connection_id = ?1")?
        .query_row([id.as_str()], |row| row.get::<_, Json<ConnectionRecord>>(0))
        .optional()?;
    Ok(found.map(|record| record.0))
}
