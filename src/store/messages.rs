//! Messages and their parts: written piece by piece while a turn streams, read back whole.
//!
//! Invariants: extending a part costs what is added, not what is there; the parts of an ended turn never change.

use super::error::{Fault, StoreError};
use super::rows::{Int, Json, Word};
use super::unreadable::Reading;
use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::message::{Message, Part};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A write to one part of a message.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most writes put a whole part, and few wait at a time")]
pub enum PartWrite {
    /// Adds the part, or replaces the one that is there.
    Put { ordinal: u64, part: Part },
    /// Appends to the text of the part that is there.
    Extend { ordinal: u64, text: String },
}

/// The row number of a message that may still be written to.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenMessage(i64);

/// Adds a message with the parts that it has.
pub(super) fn insert(conn: &Connection, session: &SessionId, message: &Message) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO message (message_id, session_id, turn_id, role, created_at, model) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            message.message_id.as_str(),
            session.as_str(),
            message.turn_id.as_ref().map(TurnId::as_str),
            Word(message.role),
            Int(message.created_at),
            message.model,
        ])?;
    let open = OpenMessage(conn.last_insert_rowid());
    (0..).zip(&message.parts).try_for_each(|(ordinal, part)| put(conn, open, ordinal, part))
}

/// The message, unless its turn has ended.
pub(super) fn open(conn: &Connection, id: &MessageId) -> Result<OpenMessage, Fault> {
    let found = conn
        .prepare_cached(
            "SELECT message.seq, turn.ended_at IS NOT NULL FROM message LEFT JOIN turn USING (turn_id) WHERE message.message_id = ?1",
        )?
        .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get::<_, bool>(1)?)))
        .optional()?;
    match found {
        Some((seq, false)) => Ok(OpenMessage(seq)),
        Some((_, true)) => Err(StoreError::TurnEnded.into()),
        None => Err(StoreError::UnknownMessage.into()),
    }
}

pub(super) fn write(conn: &Connection, message: OpenMessage, write: &PartWrite) -> Result<(), Fault> {
    match write {
        PartWrite::Put { ordinal, part } => put(conn, message, *ordinal, part),
        PartWrite::Extend { ordinal, text } => extend(conn, message, *ordinal, text),
    }
}

/// Adds the part, or replaces the one that is there with all that was appended to it.
pub(super) fn put(conn: &Connection, message: OpenMessage, ordinal: u64, part: &Part) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM part_text WHERE message_seq = ?1 AND ordinal = ?2")?.execute(params![message.0, Int(ordinal)])?;
    conn.prepare_cached(
        "INSERT INTO part (message_seq, ordinal, body, at) VALUES (?1, ?2, ?3, CAST(unixepoch('subsec') * 1000 AS INTEGER))
         ON CONFLICT (message_seq, ordinal) DO UPDATE SET body = excluded.body, at = excluded.at",
    )?
    .execute(params![message.0, Int(ordinal), Json(part)])?;
    Ok(())
}

pub(super) fn extend(conn: &Connection, message: OpenMessage, ordinal: u64, text: &str) -> Result<(), Fault> {
    let extended = conn
        .prepare_cached(
            "INSERT INTO part_text (message_seq, ordinal, text, at)
             SELECT message_seq, ordinal, ?3, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM part WHERE message_seq = ?1 AND ordinal = ?2",
        )?
        .execute(params![message.0, Int(ordinal), text])?;
    if extended == 0 { Err(StoreError::UnknownPart(ordinal).into()) } else { Ok(()) }
}

/// Every message of the session, in order, one at a time.
pub(super) fn for_each<E: From<Fault>>(
    conn: &Connection,
    session: &SessionId,
    reading: &mut Reading,
    mut visit: impl FnMut(Message) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = conn
        .prepare_cached("SELECT seq, message_id, role, created_at, turn_id, model FROM message WHERE session_id = ?1 ORDER BY seq")
        .map_err(Fault::from)?;
    let mut rows = statement.query([session.as_str()]).map_err(Fault::from)?;
    while let Some(row) = reading.of(rows.next(), session, || "message".into())?.flatten() {
        let seq: i64 = row.get(0).map_err(Fault::from)?;
        if let Some(mut message) = reading.of(read(row), session, || format!("message {seq}"))? {
            message.parts = parts(conn, session, seq, reading)?.into_iter().map(|(_, part)| part).collect();
            visit(message)?;
        }
    }
    Ok(())
}

/// When something of the message was written last, in milliseconds since 1970.
pub(super) fn last_written(conn: &Connection, id: &MessageId) -> Result<Option<u64>, Fault> {
    let last = conn
        .prepare_cached(
            "WITH wanted AS (SELECT seq FROM message WHERE message_id = ?1)
             SELECT max(at) FROM (
                 SELECT at FROM part WHERE message_seq = (SELECT seq FROM wanted)
                 UNION ALL SELECT at FROM part_text WHERE message_seq = (SELECT seq FROM wanted)
             )",
        )?
        .query_row([id.as_str()], |row| row.get::<_, Option<Int>>(0))?;
    Ok(last.map(|at| at.0))
}

/// The parts of one message, by its id, in order; and the ordinal of a further one.
pub(super) fn parts_of(conn: &Connection, session: &SessionId, id: &MessageId, reading: &mut Reading) -> Result<(Vec<Part>, u64), Fault> {
    let seq =
        conn.prepare_cached("SELECT seq FROM message WHERE message_id = ?1")?.query_row([id.as_str()], |row| row.get(0)).optional()?;
    let Some(seq) = seq else { return Ok((Vec::new(), 0)) };
    let next: i64 =
        conn.prepare_cached("SELECT coalesce(max(ordinal) + 1, 0) FROM part WHERE message_seq = ?1")?.query_row([seq], |row| row.get(0))?;
    let parts = parts(conn, session, seq, reading)?.into_iter().map(|(_, part)| part).collect();
    Ok((parts, u64::try_from(next).unwrap_or(0)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        message_id: MessageId::new(row.get::<_, String>(1)?),
        role: row.get::<_, Word<_>>(2)?.0,
        created_at: row.get::<_, Int>(3)?.0,
        parts: Vec::new(),
        turn_id: row.get::<_, Option<String>>(4)?.map(TurnId::new),
        model: row.get(5)?,
    })
}

fn parts(conn: &Connection, session: &SessionId, message_seq: i64, reading: &mut Reading) -> Result<Vec<(u64, Part)>, Fault> {
    let mut statement = conn.prepare_cached("SELECT ordinal, body FROM part WHERE message_seq = ?1 ORDER BY ordinal")?;
    let mut rows = statement.query([message_seq])?;
    let mut parts = Vec::new();
    while let Some(row) = reading.of(rows.next(), session, || format!("part of message {message_seq}"))?.flatten() {
        let ordinal: i64 = row.get(0)?;
        let name = || format!("part {ordinal} of message {message_seq}");
        let read = || Ok::<_, rusqlite::Error>((row.get::<_, Int>(0)?.0, row.get::<_, Json<Part>>(1)?.0));
        if let Some((ordinal, mut part)) = reading.of(read(), session, name)? {
            append_text(conn, session, message_seq, ordinal, &mut part, reading)?;
            parts.push((ordinal, part));
        }
    }
    Ok(parts)
}

fn append_text(
    conn: &Connection,
    session: &SessionId,
    message_seq: i64,
    ordinal: u64,
    part: &mut Part,
    reading: &mut Reading,
) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached("SELECT seq, text FROM part_text WHERE message_seq = ?1 AND ordinal = ?2 ORDER BY seq")?;
    let mut rows = statement.query(params![message_seq, Int(ordinal)])?;
    let piece = |seq: &str| format!("part_text {seq}of message {message_seq}");
    while let Some(row) = reading.of(rows.next(), session, || piece(""))?.flatten() {
        let seq: i64 = row.get(0)?;
        let read = || {
            let text = row.get_ref(1)?.as_str();
            text.map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into()))
        };
        if let Some(text) = reading.of(read(), session, || piece(&format!("{seq} ")))? {
            part.text.get_or_insert_default().push_str(text);
        }
    }
    Ok(())
}
