//! Messages and their parts: written piece by piece while a turn streams, read back whole.
//!
//! Invariants: extending a part costs what is added, not what is there; the parts of an ended turn never change.

use super::error::{Fault, StoreError};
use super::rows::{Int, Json, Word};
use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::message::{Message, Part};
use rusqlite::{Connection, OptionalExtension, params};

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
        "INSERT INTO part (message_seq, ordinal, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (message_seq, ordinal) DO UPDATE SET body = excluded.body",
    )?
    .execute(params![message.0, Int(ordinal), Json(part)])?;
    Ok(())
}

pub(super) fn extend(conn: &Connection, message: OpenMessage, ordinal: u64, text: &str) -> Result<(), Fault> {
    let extended = conn
        .prepare_cached(
            "INSERT INTO part_text (message_seq, ordinal, text)
             SELECT message_seq, ordinal, ?3 FROM part WHERE message_seq = ?1 AND ordinal = ?2",
        )?
        .execute(params![message.0, Int(ordinal), text])?;
    if extended == 0 { Err(StoreError::UnknownPart(ordinal).into()) } else { Ok(()) }
}

/// Every message of the session, in order, one at a time. What cannot be read goes to `unreadable`, which decides
/// whether the rest is wanted.
pub(super) fn for_each<E: From<Fault>>(
    conn: &Connection,
    session: &SessionId,
    mut unreadable: impl FnMut(Fault) -> Result<(), E>,
    mut visit: impl FnMut(Message) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = conn
        .prepare_cached("SELECT seq, message_id, role, created_at, turn_id, model FROM message WHERE session_id = ?1 ORDER BY seq")
        .map_err(Fault::from)?;
    let mut rows = statement.query([session.as_str()]).map_err(Fault::from)?;
    while let Some(row) = rows.next().map_err(Fault::from)? {
        let read = || -> rusqlite::Result<(i64, Message)> {
            let message = Message {
                message_id: MessageId::new(row.get::<_, String>(1)?),
                role: row.get::<_, Word<_>>(2)?.0,
                created_at: row.get::<_, Int>(3)?.0,
                parts: Vec::new(),
                turn_id: row.get::<_, Option<String>>(4)?.map(TurnId::new),
                model: row.get(5)?,
            };
            Ok((row.get(0)?, message))
        };
        match read().map_err(Fault::from) {
            Ok((seq, mut message)) => {
                message.parts = parts(conn, seq, &mut unreadable)?.into_iter().map(|(_, part)| part).collect();
                visit(message)?;
            }
            Err(fault) => unreadable(fault)?,
        }
    }
    Ok(())
}

/// The parts of one message, by its id, in order.
pub(super) fn parts_of(conn: &Connection, id: &MessageId) -> Result<Vec<(u64, Part)>, Fault> {
    let seq =
        conn.prepare_cached("SELECT seq FROM message WHERE message_id = ?1")?.query_row([id.as_str()], |row| row.get(0)).optional()?;
    seq.map_or_else(|| Ok(Vec::new()), |seq| parts(conn, seq, &mut Err))
}

fn parts<E: From<Fault>>(
    conn: &Connection,
    message_seq: i64,
    unreadable: &mut impl FnMut(Fault) -> Result<(), E>,
) -> Result<Vec<(u64, Part)>, E> {
    let mut statement =
        conn.prepare_cached("SELECT ordinal, body FROM part WHERE message_seq = ?1 ORDER BY ordinal").map_err(Fault::from)?;
    let mut rows = statement.query([message_seq]).map_err(Fault::from)?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next().map_err(Fault::from)? {
        let read = || -> Result<(u64, Part), Fault> {
            let ordinal = row.get::<_, Int>(0)?;
            let mut part = row.get::<_, Json<Part>>(1)?.0;
            append_text(conn, message_seq, ordinal, &mut part)?;
            Ok((ordinal.0, part))
        };
        match read() {
            Ok(part) => parts.push(part),
            Err(fault) => unreadable(fault)?,
        }
    }
    Ok(parts)
}

fn append_text(conn: &Connection, message_seq: i64, ordinal: Int, part: &mut Part) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached("SELECT text FROM part_text WHERE message_seq = ?1 AND ordinal = ?2 ORDER BY seq")?;
    let mut rows = statement.query(params![message_seq, ordinal])?;
    while let Some(row) = rows.next()? {
        let text = row
            .get_ref(0)?
            .as_str()
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))?;
        part.text.get_or_insert_default().push_str(text);
    }
    Ok(())
}
