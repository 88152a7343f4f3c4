//! Turns: begun with their prompt, ended once and for ever with their terminal record.
//!
//! Invariants: a session is run by one live process; a turn that has ended never changes, which the table itself
//! enforces too; the end of a turn is one transaction.

use super::diagnostics::{self, Diagnostic};
use super::error::{Fault, StoreError};
use super::holds::Holds;
use super::messages::{self, PartWrite};
use super::owner::Owner;
use super::rows::{Int, Json, Word};
use super::sessions;
use super::unreadable::Reading;
use crate::protocol::abort::{Abort, PromptRequest};
use crate::protocol::diagnostics::{StreamTrace, Usage};
use crate::protocol::export::{LifecycleEvent, LifecyclePoint, TurnInfo, TurnKind, TurnStop};
use crate::protocol::ids::{AbortId, MessageId, SessionId, TurnId};
use crate::protocol::message::{Message, Role};
use crate::protocol::tool_run::ToolRun;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

/// A prompt that was taken: the turn's row, the user's message, and the assistant's message, still empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BeginTurn {
    pub turn: TurnInfo,
    /// Role `user`, with all its parts.
    pub prompt: Message,
    pub prompt_request: PromptRequest,
    /// When the prompt was taken, by the wall clock in milliseconds since 1970.
    pub accepted_at: u64,
    /// Nothing writes titles in this process.
    #[serde(default)]
    pub titles_off: bool,
}

/// The terminal record of a turn and all that is written with it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndTurn {
    pub session_id: SessionId,
    pub turn_id: TurnId,
    /// The assistant's message, which `parts` go to.
    pub message_id: MessageId,
    /// Wall clock, milliseconds since 1970.
    pub ended_at: u64,
    pub stop: TurnStop,
    pub abort: Option<Abort>,
    pub traces: Vec<StreamTrace>,
    /// The last states of calls that were in flight.
    pub tool_runs: Vec<ToolRun>,
    pub parts: Vec<PartWrite>,
    pub usage: Option<Usage>,
    pub model: Option<String>,
    /// The number of the turn's last update.
    pub last_update: u64,
}

/// The columns that [`info`] reads, in its order.
pub(super) const COLUMNS: &str = "turn_id, session_id, message_id, parent_id, started_at, ended_at, stop, abort_id, model, usage, last_update, kind, seq, prompt_request";

/// Gives the turn that was begun before this one, by whichever process.
pub(super) fn begin(conn: &Connection, holds: &Holds, owner: &Owner, begin: &BeginTurn) -> Result<Option<TurnId>, Fault> {
    let turn = &begin.turn;
    if let Some(holder) = sessions::owner(conn, &turn.session_id)?
        && holder != *owner
        && holds.is_alive(&holder)
    {
        return Err(StoreError::OwnedElsewhere(holder).into());
    }
    let taken = conn
        .prepare_cached(
            "UPDATE session SET owner_pid = ?2, owner_started = ?3, owner_boot = ?4, owner_lock = ?5, updated_at = max(updated_at, ?6)
             WHERE session_id = ?1",
        )?
        .execute(params![turn.session_id.as_str(), owner.pid, Int(owner.started), owner.boot_id, owner.lock, Int(turn.started_at)])?;
    if taken == 0 {
        return Err(StoreError::UnknownSession.into());
    }
    let before = conn
        .prepare_cached("SELECT turn_id FROM turn WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([turn.session_id.as_str()], |row| row.get::<_, String>(0).map(TurnId::new))
        .optional()?;
    insert(conn, owner, begin)?;
    waits_no_more(conn, &turn.turn_id)?;
    Ok(before)
}

/// A prompt was taken and waits for its turn.
pub(super) fn wait(conn: &Connection, owner: &Owner, begin: &BeginTurn) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO waiting (turn_id, session_id, owner_pid, owner_started, owner_boot, owner_lock, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        begin.turn.turn_id.as_str(),
        begin.turn.session_id.as_str(),
        owner.pid,
        Int(owner.started),
        owner.boot_id,
        owner.lock,
        Json(begin),
    ])?;
    Ok(())
}

/// Whether it did wait.
pub(super) fn waits_no_more(conn: &Connection, turn: &TurnId) -> Result<bool, Fault> {
    Ok(conn.prepare_cached("DELETE FROM waiting WHERE turn_id = ?1")?.execute([turn.as_str()])? > 0)
}

/// The rows of a turn that begins, of whichever process.
pub(super) fn insert(conn: &Connection, owner: &Owner, begin: &BeginTurn) -> Result<(), Fault> {
    let BeginTurn { turn, prompt, prompt_request, accepted_at, titles_off } = begin;
    conn.prepare_cached(
        "INSERT INTO turn (turn_id, session_id, message_id, parent_id, prompt_request, started_at,
             owner_pid, owner_started, owner_boot, owner_lock, model, kind, titles_off)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        turn.turn_id.as_str(),
        turn.session_id.as_str(),
        turn.message_id.as_str(),
        turn.parent_id.as_str(),
        Json(prompt_request),
        Int(turn.started_at),
        owner.pid,
        Int(owner.started),
        owner.boot_id,
        owner.lock,
        turn.model,
        Word(turn.kind.unwrap_or(TurnKind::Prompt)),
        titles_off,
    ])?;
    messages::insert(conn, &turn.session_id, prompt)?;
    let answer = Message {
        message_id: turn.message_id.clone(),
        role: Role::Assistant,
        created_at: turn.started_at,
        parts: Vec::new(),
        turn_id: Some(turn.turn_id.clone()),
        model: turn.model.clone(),
    };
    messages::insert(conn, &turn.session_id, &answer)?;
    let (session_id, turn_id) = (turn.session_id.clone(), turn.turn_id.clone());
    let accepted = LifecycleEvent { event: LifecyclePoint::Accepted, session_id, turn_id, at: *accepted_at, at_us: None, seq: None };
    diagnostics::insert(conn, &Diagnostic::Lifecycle(accepted)).map(drop)
}

/// Gives the number of the newest diagnostic record: those of this turn's end are not above it.
pub(super) fn end(conn: &Connection, end: &EndTurn) -> Result<u64, Fault> {
    let turn = params![end.session_id.as_str(), end.turn_id.as_str()];
    let has_ended: bool = conn
        .prepare_cached("SELECT ended_at IS NOT NULL FROM turn WHERE session_id = ?1 AND turn_id = ?2")?
        .query_row(turn, |row| row.get(0))
        .optional()?
        .ok_or(StoreError::UnknownTurn)?;
    if has_ended {
        return Err(StoreError::TurnEnded.into());
    }
    let message = messages::open(conn, &end.message_id)?;
    end.parts.iter().try_for_each(|write| messages::write(conn, message, write))?;
    end.traces.iter().try_for_each(|trace| diagnostics::insert_trace(conn, trace).map(drop))?;
    end.tool_runs.iter().try_for_each(|run| diagnostics::insert_tool_run(conn, run).map(drop))?;
    if let Some(abort) = &end.abort {
        diagnostics::insert_abort(conn, abort)?;
    }
    if let Some(model) = &end.model {
        conn.prepare_cached("UPDATE message SET model = ?2 WHERE message_id = ?1")?.execute(params![end.message_id.as_str(), model])?;
    }
    conn.prepare_cached("UPDATE session SET updated_at = max(updated_at, ?2), last_update = max(last_update, ?3) WHERE session_id = ?1")?
        .execute(params![end.session_id.as_str(), Int(end.ended_at), Int(end.last_update)])?;
    release(conn, end)?;
    conn.prepare_cached(
        "UPDATE turn SET ended_at = ?3, stop = ?4, abort_id = ?5, model = coalesce(?6, model), usage = ?7, last_update = ?8
         WHERE session_id = ?1 AND turn_id = ?2",
    )?
    .execute(params![
        end.session_id.as_str(),
        end.turn_id.as_str(),
        Int(end.ended_at),
        Word(end.stop),
        end.abort.as_ref().map(|abort| abort.abort_id.as_str()),
        end.model,
        end.usage.as_ref().map(Json),
        Int(end.last_update),
    ])?;
    diagnostics::newest_seq(conn)
}

/// Lets go of the session with the last turn that its process has open. Only the hold of the process that ran the turn:
/// somebody else may have taken the session over from a dead one, whose own turn can still be open.
fn release(conn: &Connection, end: &EndTurn) -> Result<(), Fault> {
    // Of the indices, the one of open turns is the one that does not grow with the session.
    conn.prepare_cached(
        "UPDATE session SET owner_pid = NULL, owner_started = NULL, owner_boot = NULL, owner_lock = NULL
         WHERE session_id = ?1
             AND (owner_pid, owner_started, owner_boot, owner_lock)
                 IS (SELECT owner_pid, owner_started, owner_boot, owner_lock FROM turn WHERE turn_id = ?2)
             AND NOT EXISTS (SELECT 1 FROM turn AS other INDEXED BY turn_open
                 WHERE ended_at IS NULL AND session_id = ?1 AND turn_id <> ?2
                     AND (other.owner_pid, other.owner_started, other.owner_boot, other.owner_lock)
                         IS (session.owner_pid, session.owner_started, session.owner_boot, session.owner_lock))",
    )?
    .execute(params![end.session_id.as_str(), end.turn_id.as_str()])?;
    Ok(())
}

/// Every turn of the session, in the order in which they were begun, one at a time.
pub(super) fn for_each<E: From<Fault>>(
    conn: &Connection,
    session: &SessionId,
    reading: &mut Reading,
    mut visit: impl FnMut(TurnInfo) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM turn WHERE session_id = ?1 ORDER BY turn.seq")).map_err(Fault::from)?;
    let mut rows = statement.query([session.as_str()]).map_err(Fault::from)?;
    while let Some(row) = reading.of(rows.next(), session, || "turn".into())?.flatten() {
        if let Some(turn) = info(row, session, reading)? {
            visit(turn)?;
        }
    }
    Ok(())
}

/// The turn in the first columns of `row`, which are [`COLUMNS`]. What is not known of every turn may be unreadable.
pub(super) fn info(row: &Row<'_>, session: &SessionId, reading: &mut Reading) -> Result<Option<TurnInfo>, Fault> {
    let seq: i64 = row.get(12)?;
    let required = || -> rusqlite::Result<_> {
        Ok(TurnInfo {
            turn_id: TurnId::new(row.get::<_, String>(0)?),
            session_id: SessionId::new(row.get::<_, String>(1)?),
            message_id: MessageId::new(row.get::<_, String>(2)?),
            parent_id: MessageId::new(row.get::<_, String>(3)?),
            started_at: row.get::<_, Int>(4)?.0,
            prompt_request: None,
            kind: None,
            ended_at: None,
            stop: None,
            abort_id: None,
            model: None,
            usage: None,
            last_update: None,
            running_in: None,
        })
    };
    let Some(turn) = reading.of(required(), session, || format!("turn {seq}"))? else { return Ok(None) };
    let name = |column: &'static str| move || format!("turn {seq}, its {column}");
    Ok(Some(TurnInfo {
        ended_at: reading.column::<Int>(row, 5, session, name("end"))?.map(|at| at.0),
        stop: reading.column::<Word<_>>(row, 6, session, name("stop"))?.map(|word| word.0),
        abort_id: reading.column::<String>(row, 7, session, name("abort"))?.map(AbortId::new),
        model: reading.column(row, 8, session, name("model"))?,
        usage: reading.column::<Json<_>>(row, 9, session, name("usage"))?.map(|json| json.0),
        last_update: reading.column::<Int>(row, 10, session, name("last update"))?.map(|number| number.0),
        prompt_request: reading.column::<Json<_>>(row, 13, session, name("request"))?.map(|json| json.0),
        kind: reading.column::<Word<_>>(row, 11, session, name("kind"))?.map(|word| word.0),
        ..turn
    }))
}
