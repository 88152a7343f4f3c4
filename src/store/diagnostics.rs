//! The flight recorder's table: rows are added and never changed; their `seq` is the store's order.
//!
//! Invariant: of the states of one record (a title run, an attempt, a tool call) the newest is what is read.

use super::error::Fault;
use super::rows::{Int, Json, Word};
use super::unreadable::{Damage, Reading};
use crate::protocol::abort::{Abort, CancelRequest, TitleState};
use crate::protocol::diagnostics::{StreamTrace, TitleGeneration};
use crate::protocol::export::{Incident, LifecycleEvent};
use crate::protocol::ids::{AbortId, CancelId, SessionId, TitleRunId, TurnId};
use crate::protocol::tool_run::ToolRun;
use crate::protocol::turn::{TurnBasis, TurnTime};
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};
use serde::{Deserialize, Serialize};

/// Something that happened, to be recorded. An abort is none of them: it comes with the end of its turn.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "made once, queued or read once; a box would be one more allocation for each record")]
pub enum Diagnostic {
    Cancel(CancelRequest),
    /// A demand that came after the abort had won.
    LateCancel {
        session_id: SessionId,
        turn_id: TurnId,
        abort_id: AbortId,
        cancel_id: CancelId,
    },
    /// What became of the title generation after the abort was committed.
    TitleState {
        session_id: SessionId,
        turn_id: TurnId,
        abort_id: AbortId,
        state: TitleState,
    },
    /// A state of a title run; the newest one of a `title_run_id` is its record.
    Title(TitleGeneration),
    /// A state of an attempt; the newest one of an `attempt_id` is its record.
    Trace(StreamTrace),
    /// A state of a tool call; the newest one of a [`ToolRun::key`] is its record.
    ToolRun(ToolRun),
    /// A state of a turn's time; the newest one is its record.
    TurnTime(TurnTime),
    TurnBasis(TurnBasis),
    Lifecycle(LifecycleEvent),
    Incident(Incident),
}

/// What sort of record a row holds, as its column `kind` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    Abort,
    CancelRequest,
    LateCancel,
    TitleState,
    TitleGeneration,
    StreamTrace,
    ToolRun,
    TurnTime,
    TurnBasis,
    Lifecycle,
    Incident,
}

impl RecordKind {
    pub const ALL: [Self; 11] = [
        Self::Abort,
        Self::CancelRequest,
        Self::LateCancel,
        Self::TitleState,
        Self::TitleGeneration,
        Self::StreamTrace,
        Self::ToolRun,
        Self::TurnTime,
        Self::TurnBasis,
        Self::Lifecycle,
        Self::Incident,
    ];
}

/// A record as it is read back; a `seq` field that it has is set.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "read one at a time")]
pub enum Recorded {
    Abort(Box<Abort>),
    Diagnostic(Diagnostic),
}

/// Stands in the column `session_id` of what was of none. No session can have this name.
const OF_NO_SESSION: &str = "";

#[derive(Serialize, Deserialize)]
struct LateCancelBody<A = AbortId, C = CancelId> {
    abort_id: A,
    cancel_id: C,
}

#[derive(Serialize, Deserialize)]
struct TitleStateBody<A = AbortId> {
    abort_id: A,
    state: TitleState,
}

/// Adds one row; gives its number.
pub(super) fn insert(conn: &Connection, diagnostic: &Diagnostic) -> Result<u64, Fault> {
    match diagnostic {
        Diagnostic::Cancel(cancel) => add(conn, &cancel.session_id, cancel.turn_id.as_ref(), RecordKind::CancelRequest, None, cancel),
        Diagnostic::LateCancel { session_id, turn_id, abort_id, cancel_id } => {
            add(conn, session_id, Some(turn_id), RecordKind::LateCancel, None, &LateCancelBody { abort_id, cancel_id })
        }
        Diagnostic::TitleState { session_id, turn_id, abort_id, state } => {
            add(conn, session_id, Some(turn_id), RecordKind::TitleState, None, &TitleStateBody { abort_id, state: *state })
        }
        Diagnostic::Title(title) => {
            note_open_title(conn, title)?;
            add(conn, &title.session_id, Some(&title.turn_id), RecordKind::TitleGeneration, Some(title.title_run_id.as_str()), title)
        }
        Diagnostic::Trace(trace) => insert_trace(conn, trace),
        Diagnostic::ToolRun(run) => insert_tool_run(conn, run),
        Diagnostic::TurnTime(time) => {
            add(conn, &time.session_id, Some(&time.turn_id), RecordKind::TurnTime, Some(time.turn_id.as_str()), time)
        }
        Diagnostic::TurnBasis(basis) => add(conn, &basis.session_id, Some(&basis.turn_id), RecordKind::TurnBasis, None, basis),
        Diagnostic::Lifecycle(event) => add(conn, &event.session_id, Some(&event.turn_id), RecordKind::Lifecycle, None, event),
        Diagnostic::Incident(incident) => {
            let session = incident.session_id.clone().unwrap_or_else(|| SessionId::new(OF_NO_SESSION));
            add(conn, &session, incident.turn_id.as_ref(), RecordKind::Incident, None, incident)
        }
    }
}

pub(super) fn insert_trace(conn: &Connection, trace: &StreamTrace) -> Result<u64, Fault> {
    add(conn, &trace.session_id, Some(&trace.turn_id), RecordKind::StreamTrace, Some(trace.attempt_id.as_str()), trace)
}

pub(super) fn insert_tool_run(conn: &Connection, run: &ToolRun) -> Result<u64, Fault> {
    add(conn, &run.session_id, Some(&run.turn_id), RecordKind::ToolRun, Some(&run.key()), run)
}

/// The only abort that its turn can have: a second one is refused by the table.
pub(super) fn insert_abort(conn: &Connection, abort: &Abort) -> Result<u64, Fault> {
    add(conn, &abort.session_id, Some(&abort.turn_id), RecordKind::Abort, None, abort)
}

/// The number of the newest row of all; 0 when there is none yet.
pub(super) fn newest_seq(conn: &Connection) -> Result<u64, Fault> {
    Ok(conn.prepare_cached("SELECT coalesce(max(seq), 0) FROM diagnostic")?.query_row([], |row| row.get::<_, Int>(0))?.0)
}

pub(super) fn recent_aborts(conn: &Connection, limit: usize) -> Result<Vec<Abort>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement =
        conn.prepare_cached("SELECT seq, session_id, body FROM diagnostic WHERE kind = 'abort' ORDER BY seq DESC LIMIT ?1")?;
    aborts(statement.query([limit])?)
}

/// The newest incidents of all sessions and of none that can be read, the newest first.
pub(super) fn recent_incidents(conn: &Connection, limit: usize) -> Result<Vec<Incident>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare("SELECT body FROM diagnostic WHERE kind = 'incident' ORDER BY seq DESC LIMIT ?1")?;
    let incidents = statement.query_map([limit], |row| Ok(row.get::<_, Json<Incident>>(0).ok()))?;
    Ok(incidents.filter_map(Result::transpose).map(|incident| incident.map(|json| json.0)).collect::<Result<_, _>>()?)
}

/// The aborts of one session, in the order of their turns.
pub(super) fn aborts_of_session(conn: &Connection, session: &SessionId) -> Result<Vec<Abort>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT diagnostic.seq, diagnostic.session_id, body FROM turn JOIN diagnostic ON diagnostic.turn_id = turn.turn_id AND diagnostic.kind = 'abort'
         WHERE turn.session_id = ?1 AND turn.abort_id IS NOT NULL ORDER BY turn.seq",
    )?;
    aborts(statement.query([session.as_str()])?)
}

/// Those that can be read, of rows with number, session and record.
fn aborts(mut rows: Rows<'_>) -> Result<Vec<Abort>, Fault> {
    let mut reading = Reading::new(Damage::EndsTheReading);
    let mut aborts = Vec::new();
    while let Some(row) = rows.next()? {
        let (seq, session): (i64, String) = (row.get(0)?, row.get(1)?);
        let abort = reading.of(row.get::<_, Json<Abort>>(2), &SessionId::new(session), || format!("diagnostic {seq}"))?;
        aborts.extend(abort.map(|json| json.0));
    }
    Ok(aborts)
}

/// Where the records of a session tree stand, in order, tool runs as they began. Of a record with several states, only the newest.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) known: Vec<(i64, RecordKind)>,
    /// The newest of all rows, those of a kind that a later version has added among them.
    pub(super) newest: u64,
}

pub(super) fn index_of_tree(conn: &Connection, root: &SessionId, reading: &mut Reading) -> Result<Index, Fault> {
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE tree (session_id) AS (
             VALUES (?1) UNION SELECT session.session_id FROM session JOIN tree ON session.parent_session_id = tree.session_id
         )
         SELECT seq, kind FROM diagnostic WHERE session_id IN tree AND NOT EXISTS (
             SELECT 1 FROM diagnostic AS newer
             WHERE newer.record_key = diagnostic.record_key AND newer.seq > diagnostic.seq
                 AND newer.kind = diagnostic.kind AND newer.session_id = diagnostic.session_id
         ) ORDER BY CASE kind WHEN 'tool_run' THEN (
             SELECT min(earlier.seq) FROM diagnostic AS earlier
             WHERE earlier.record_key = diagnostic.record_key
                 AND earlier.kind = diagnostic.kind AND earlier.session_id = diagnostic.session_id
         ) ELSE seq END",
    )?;
    let mut rows = statement.query([root.as_str()])?;
    let mut index = Index { known: Vec::new(), newest: 0 };
    while let Some(row) = reading.of(rows.next(), root, || "diagnostic".into())?.flatten() {
        let seq: i64 = row.get(0)?;
        index.newest = index.newest.max(u64::try_from(seq).unwrap_or(0));
        if let Some(Word(kind)) = reading.of(row.get(1), root, || format!("diagnostic {seq}"))? {
            index.known.push((seq, kind));
        }
    }
    Ok(index)
}

/// The records of one turn that have states, in order, tool runs as they began: the newest of each.
pub(super) fn of_turn(conn: &Connection, session: &SessionId, turn: &TurnId, reading: &mut Reading) -> Result<Vec<Recorded>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, session_id, turn_id, kind, body FROM diagnostic
         WHERE session_id = ?1 AND turn_id = ?2 AND record_key IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM diagnostic AS newer
             WHERE newer.record_key = diagnostic.record_key AND newer.seq > diagnostic.seq
                 AND newer.kind = diagnostic.kind AND newer.session_id = diagnostic.session_id
         ) ORDER BY CASE kind WHEN 'tool_run' THEN (
             SELECT min(earlier.seq) FROM diagnostic AS earlier
             WHERE earlier.record_key = diagnostic.record_key
                 AND earlier.kind = diagnostic.kind AND earlier.session_id = diagnostic.session_id
         ) ELSE seq END",
    )?;
    let mut rows = statement.query([session.as_str(), turn.as_str()])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        records.extend(reading.of(recorded(row), session, || format!("diagnostic {seq}"))?);
    }
    Ok(records)
}

/// The demands to stop that are about this turn, in order.
pub(super) fn demands_on(
    conn: &Connection,
    session: &SessionId,
    turn: &TurnId,
    reading: &mut Reading,
) -> Result<Vec<CancelRequest>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, body FROM diagnostic WHERE session_id = ?1 AND turn_id = ?2 AND kind = 'cancel_request' ORDER BY seq",
    )?;
    let mut rows = statement.query([session.as_str(), turn.as_str()])?;
    let mut demands = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let demand = reading.of(row.get::<_, Json<CancelRequest>>(1), session, || format!("diagnostic {seq}"))?;
        demands.extend(demand.map(|demand| demand.0));
    }
    Ok(demands)
}

/// Keeps track of the generations without an end. One whose session is gone needs none.
fn note_open_title(conn: &Connection, title: &TitleGeneration) -> Result<(), Fault> {
    let run = title.title_run_id.as_str();
    if title.success.is_some() {
        conn.prepare_cached("DELETE FROM open_title WHERE title_run_id = ?1")?.execute([run])?;
    } else {
        conn.prepare_cached(
            "INSERT OR IGNORE INTO open_title (title_run_id, turn_id, session_id)
             SELECT ?1, ?2, session_id FROM session WHERE session_id = ?3",
        )?
        .execute([run, title.turn_id.as_str(), title.session_id.as_str()])?;
    }
    Ok(())
}

pub(super) fn is_title_open(conn: &Connection, run: &TitleRunId) -> Result<bool, Fault> {
    Ok(conn.prepare_cached("SELECT 1 FROM open_title WHERE title_run_id = ?1")?.exists([run.as_str()])?)
}

/// The newest state of a title run, if it can be read.
pub(super) fn newest_title(conn: &Connection, run: &TitleRunId) -> Result<Option<TitleGeneration>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT body FROM diagnostic WHERE record_key = ?1 AND kind = 'title_generation' ORDER BY seq DESC LIMIT 1")?;
    let newest = statement.query_row([run.as_str()], |row| Ok(row.get::<_, Json<TitleGeneration>>(0)?.0)).optional();
    match newest.map_err(Fault::from) {
        Err(fault) if fault.is_unreadable() => Ok(None),
        newest => newest,
    }
}

pub(super) fn find(conn: &Connection, seq: i64) -> Result<Recorded, Fault> {
    let mut statement = conn.prepare_cached("SELECT seq, session_id, turn_id, kind, body FROM diagnostic WHERE seq = ?1")?;
    Ok(statement.query_row([seq], recorded)?)
}

pub(super) fn delete_of_tree(conn: &Connection, root: &SessionId) -> Result<(), Fault> {
    conn.prepare_cached(
        "WITH RECURSIVE tree (session_id) AS (
             VALUES (?1) UNION SELECT session.session_id FROM session JOIN tree ON session.parent_session_id = tree.session_id
         )
         DELETE FROM diagnostic WHERE session_id IN tree",
    )?
    .execute([root.as_str()])?;
    Ok(())
}

fn add<T: Serialize>(
    conn: &Connection,
    session: &SessionId,
    turn: Option<&TurnId>,
    kind: RecordKind,
    key: Option<&str>,
    body: &T,
) -> Result<u64, Fault> {
    conn.prepare_cached("INSERT INTO diagnostic (session_id, turn_id, kind, record_key, body) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING seq")?
        .query_row(params![session.as_str(), turn.map(TurnId::as_str), Word(kind), key, Json(body)], |row| row.get::<_, Int>(0))
        .map(|seq| seq.0)
        .map_err(Fault::from)
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let seq = row.get::<_, Int>(0)?.0;
    let session_id = || row.get::<_, String>(1).map(SessionId::new);
    let turn_id = || row.get::<_, String>(2).map(TurnId::new);
    let Word(kind) = row.get::<_, Word<RecordKind>>(3)?;
    Ok(Recorded::Diagnostic(match kind {
        RecordKind::Abort => return Ok(Recorded::Abort(Box::new(row.get::<_, Json<Abort>>(4)?.0))),
        RecordKind::CancelRequest => Diagnostic::Cancel(CancelRequest { seq: Some(seq), ..row.get::<_, Json<CancelRequest>>(4)?.0 }),
        RecordKind::LateCancel => {
            let LateCancelBody { abort_id, cancel_id } = row.get::<_, Json<LateCancelBody>>(4)?.0;
            Diagnostic::LateCancel { session_id: session_id()?, turn_id: turn_id()?, abort_id, cancel_id }
        }
        RecordKind::TitleState => {
            let TitleStateBody { abort_id, state } = row.get::<_, Json<TitleStateBody>>(4)?.0;
            Diagnostic::TitleState { session_id: session_id()?, turn_id: turn_id()?, abort_id, state }
        }
        RecordKind::TitleGeneration => Diagnostic::Title(row.get::<_, Json<TitleGeneration>>(4)?.0),
        RecordKind::StreamTrace => Diagnostic::Trace(row.get::<_, Json<StreamTrace>>(4)?.0),
        RecordKind::ToolRun => Diagnostic::ToolRun(row.get::<_, Json<ToolRun>>(4)?.0),
        RecordKind::TurnTime => Diagnostic::TurnTime(row.get::<_, Json<TurnTime>>(4)?.0),
        RecordKind::TurnBasis => Diagnostic::TurnBasis(row.get::<_, Json<TurnBasis>>(4)?.0),
        RecordKind::Lifecycle => Diagnostic::Lifecycle(LifecycleEvent { seq: Some(seq), ..row.get::<_, Json<LifecycleEvent>>(4)?.0 }),
        RecordKind::Incident => Diagnostic::Incident(Incident { seq: Some(seq), ..row.get::<_, Json<Incident>>(4)?.0 }),
    }))
}
