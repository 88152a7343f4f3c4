//! What an id names that a person wrote down: all of it, or as much of it as no other id begins with.

use super::error::Fault;
use super::rows::Word;
use super::sessions::{COLUMNS, info};
use super::unreadable::{Damage, Reading};
use crate::protocol::export::SessionInfo;
use crate::protocol::ids::TurnId;
use rusqlite::{Connection, params};

/// A session, or a turn of it, that an id names.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The whole id.
    pub id: String,
    pub kind: NamedKind,
    pub session: SessionInfo,
    /// The turn that has the id, or whose stop has it.
    pub turn_id: Option<TurnId>,
}

/// What has the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedKind {
    Session,
    Turn,
    Abort,
}

/// What has the id; if nothing does, everything whose id begins so, that of the session that was used last first.
pub(super) fn find(conn: &Connection, beginning: &str) -> Result<Vec<Named>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, id, kind, turn FROM (
             SELECT session_id AS id, 'session' AS kind, session_id AS session, NULL AS turn FROM session
             UNION ALL SELECT turn_id, 'turn', session_id, turn_id FROM turn
             UNION ALL SELECT abort_id, 'abort', session_id, turn_id FROM turn WHERE abort_id IS NOT NULL
         ) JOIN session ON session_id = session
         WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id <> ?1, updated_at DESC, session.seq DESC, id DESC"
    ))?;
    let mut rows = statement.query(params![beginning])?;
    let mut reading = Reading::new(Damage::EndsTheReading);
    let mut named = Vec::new();
    while let Some(row) = rows.next()? {
        named.push(Named {
            session: info(row, &mut reading)?,
            id: row.get(10)?,
            kind: row.get::<_, Word<_>>(11)?.0,
            turn_id: row.get::<_, Option<String>>(12)?.map(TurnId::new),
        });
    }
    if named.first().is_some_and(|first| first.id == beginning) {
        named.truncate(1);
    }
    Ok(named)
}
