//! Sessions as rows: making, changing, deleting, finding and listing them.
//!
//! Invariant: a title that the user set is replaced by nothing but another title that the user set.

use super::diagnostics;
use super::error::{Fault, StoreError};
use super::owner::Owner;
use super::rows::{Int, Word};
use super::unreadable::{Damage, Reading};
use crate::protocol::diagnostics::TitleSource;
use crate::protocol::export::{SessionInfo, TurnStop};
use crate::protocol::ids::{AbortId, SessionId, TurnId};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// One thing that changes on a session.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionChange {
    /// Not applied when it is not the user's and the user has set one.
    Title { title: String, source: TitleSource },
    /// `provider:model` of the next turn.
    Model(String),
    /// When it was closed, in milliseconds since 1970; `None` opens it again.
    Closed(Option<u64>),
    /// Something happened at this time, in milliseconds since 1970; an earlier time changes nothing.
    Touched(u64),
    /// The number of an update that belongs to no turn; a lower one changes nothing.
    Updated(u64),
}

/// A session with what a runner needs to go on with it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    pub info: SessionInfo,
    /// The newest update number that is known to be used; 0 when there was none.
    pub last_update: u64,
    pub last_turn: Option<LastTurn>,
    /// How many turns have answered a prompt, or are about to.
    pub prompts: u64,
}

/// The turn that was begun last.
#[derive(Debug, Clone, PartialEq)]
pub struct LastTurn {
    pub turn_id: TurnId,
    /// Absent while it has no terminal record.
    pub stop: Option<TurnStop>,
    pub abort_id: Option<AbortId>,
}

/// Which sessions to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Only those of this working directory.
    pub cwd: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At least one is given, however small this is.
    pub limit: usize,
}

/// Sessions, the one that was updated last first.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionPage {
    pub sessions: Vec<SessionInfo>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

/// The columns that [`info`] reads, in its order.
pub(super) const COLUMNS: &str =
    "session_id, cwd, created_at, updated_at, parent_session_id, title, title_source, model, closed_at, session.seq";

pub(super) fn create(conn: &Connection, new: &SessionInfo) -> Result<(), Fault> {
    let made = conn
        .prepare_cached(
            "INSERT INTO session (session_id, cwd, created_at, updated_at, parent_session_id, title, title_source, model, closed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (session_id) DO NOTHING",
        )?
        .execute(params![
            new.session_id.as_str(),
            new.cwd,
            Int(new.created_at),
            Int(new.updated_at),
            new.parent_session_id.as_ref().map(SessionId::as_str),
            new.title,
            new.title_source.map(Word),
            new.model,
            new.closed_at.map(Int),
        ])?;
    if made == 0 { Err(StoreError::SessionTaken.into()) } else { Ok(()) }
}

/// Whether the change was applied.
pub(super) fn change(conn: &Connection, id: &SessionId, change: &SessionChange) -> Result<bool, Fault> {
    let id = id.as_str();
    let changed = match change {
        SessionChange::Title { title, source } => conn
            .prepare_cached(
                "UPDATE session SET title = ?2, title_source = ?3
                 WHERE session_id = ?1 AND (?3 = 'user' OR title_source IS NOT 'user')",
            )?
            .execute(params![id, title, Word(*source)]),
        SessionChange::Model(model) => {
            conn.prepare_cached("UPDATE session SET model = ?2 WHERE session_id = ?1")?.execute(params![id, model])
        }
        SessionChange::Closed(at) => {
            conn.prepare_cached("UPDATE session SET closed_at = ?2 WHERE session_id = ?1")?.execute(params![id, at.map(Int)])
        }
        SessionChange::Updated(seq) => conn
            .prepare_cached("UPDATE session SET last_update = max(last_update, ?2) WHERE session_id = ?1")?
            .execute(params![id, Int(*seq)]),
        SessionChange::Touched(at) => {
            conn.prepare_cached("UPDATE session SET updated_at = max(updated_at, ?2) WHERE session_id = ?1")?.execute(params![id, Int(*at)])
        }
    }?;
    Ok(changed > 0)
}

/// Removes the session, the sessions below it, and everything that belongs to them.
pub(super) fn delete(conn: &Connection, id: &SessionId) -> Result<bool, Fault> {
    diagnostics::delete_of_tree(conn, id)?;
    // Everything else hangs on the session's row.
    Ok(conn.prepare_cached("DELETE FROM session WHERE session_id = ?1")?.execute([id.as_str()])? > 0)
}

pub(super) fn find(conn: &Connection, id: &SessionId) -> Result<Option<StoredSession>, Fault> {
    let mut reading = Reading::new(Damage::EndsTheReading);
    let found = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, last_update, (SELECT count(*) FROM turn WHERE turn.session_id = session.session_id AND kind = 'prompt')
             FROM session WHERE session_id = ?1"
        ))?
        .query_row([id.as_str()], |row| Ok((info(row, &mut reading), row.get::<_, Int>(10)?.0, row.get::<_, Int>(11)?.0)))
        .optional()?;
    let Some((info, last_update, prompts)) = found else { return Ok(None) };
    let info = info?;
    let last_turn = conn
        .prepare_cached("SELECT turn_id, stop, abort_id FROM turn WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([id.as_str()], |row| {
            let stop = reading.column::<Word<_>>(row, 1, id, || "turn, its stop".into());
            let abort_id = row.get::<_, Option<String>>(2)?.map(AbortId::new);
            Ok((TurnId::new(row.get::<_, String>(0)?), stop, abort_id))
        })
        .optional()?;
    let last_turn = match last_turn {
        Some((turn_id, stop, abort_id)) => Some(LastTurn { turn_id, stop: stop?.map(|word| word.0), abort_id }),
        None => None,
    };
    Ok(Some(StoredSession { info, last_update, last_turn, prompts }))
}

pub(super) fn list(conn: &Connection, query: &ListQuery) -> Result<SessionPage, Fault> {
    let limit = query.limit.max(1);
    let (updated, seq) = match &query.cursor {
        Some(cursor) => read_cursor(cursor).ok_or(StoreError::BadCursor)?,
        None => (i64::MAX, i64::MAX),
    };
    let of_cwd = if query.cwd.is_some() { "AND cwd = ?4" } else { "AND ?4 IS NULL" };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM session WHERE (updated_at, seq) < (?1, ?2) {of_cwd} ORDER BY updated_at DESC, seq DESC LIMIT ?3"
    ))?;
    // One more than was asked for tells whether there is a further page.
    let mut rows = statement.query(params![updated, seq, i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1, query.cwd])?;
    let mut reading = Reading::new(Damage::EndsTheReading);
    let mut page = SessionPage { sessions: Vec::new(), next_cursor: None };
    let mut last_seq = 0;
    while let Some(row) = rows.next()? {
        let (session, seq) = (info(row, &mut reading)?, row.get(9)?);
        if page.sessions.len() == limit {
            page.next_cursor = page.sessions.last().map(|last| format!("{:x}.{last_seq:x}", last.updated_at));
            break;
        }
        page.sessions.push(session);
        last_seq = seq;
    }
    Ok(page)
}

/// The process that holds the session, dead or alive. `None`: nobody does, or there is no such session.
pub(super) fn owner(conn: &Connection, id: &SessionId) -> Result<Option<Owner>, Fault> {
    let owner = conn
        .prepare_cached(
            "SELECT owner_pid, owner_started, owner_boot, owner_lock FROM session WHERE session_id = ?1 AND owner_pid IS NOT NULL",
        )?
        .query_row([id.as_str()], |row| read_owner(row, 0))
        .optional()?;
    Ok(owner)
}

/// The session in the first columns of `row`, which are [`COLUMNS`]. Only its id must be readable.
pub(super) fn info(row: &Row<'_>, reading: &mut Reading) -> Result<SessionInfo, Fault> {
    let id = SessionId::new(row.get::<_, String>(0)?);
    let seq: i64 = row.get(9)?;
    let name = |column: &'static str| move || format!("session {seq}, its {column}");
    let time = |at: Option<Int>| at.map(|at| at.0);
    Ok(SessionInfo {
        cwd: reading.column(row, 1, &id, name("directory"))?.unwrap_or_default(),
        created_at: time(reading.column(row, 2, &id, name("beginning"))?).unwrap_or_default(),
        updated_at: time(reading.column(row, 3, &id, name("last change"))?).unwrap_or_default(),
        parent_session_id: reading.column::<String>(row, 4, &id, name("parent"))?.map(SessionId::new),
        title: reading.column(row, 5, &id, name("title"))?,
        title_source: reading.column::<Word<_>>(row, 6, &id, name("title's source"))?.map(|word| word.0),
        model: reading.column(row, 7, &id, name("model"))?,
        closed_at: time(reading.column(row, 8, &id, name("end"))?),
        session_id: id,
    })
}

/// The owner in the four columns from `first` on.
pub(super) fn read_owner(row: &Row<'_>, first: usize) -> rusqlite::Result<Owner> {
    let owner =
        Owner { pid: row.get(first)?, started: row.get::<_, Int>(first + 1)?.0, boot_id: row.get(first + 2)?, lock: row.get(first + 3)? };
    Ok(owner.with_lock_of_its_own())
}

fn read_cursor(cursor: &str) -> Option<(i64, i64)> {
    let (updated, seq) = cursor.split_once('.')?;
    Some((i64::from_str_radix(updated, 16).ok()?, i64::from_str_radix(seq, 16).ok()?))
}
