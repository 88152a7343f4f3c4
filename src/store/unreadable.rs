//! Rows that cannot be read are passed over and told, so that none hides another.
//!
//! Invariant: what is passed over is counted, and nothing is made up in its place.

use super::error::Fault;
use crate::protocol::ids::SessionId;
use rusqlite::Row;
use rusqlite::types::FromSql;
use std::collections::HashSet;

/// The rows that a reading has passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreadable {
    pub count: u64,
    /// The first of them, at most [`MOST_TOLD`].
    pub rows: Vec<UnreadableRow>,
}

/// A row that is there and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    pub session_id: SessionId,
    /// Its table and its number there, such as `diagnostic 7`.
    pub row: String,
    pub why: String,
}

/// How many rows are told one by one: a reading keeps no more of them in memory.
const MOST_TOLD: usize = 100;

/// Whether a damaged page of the database loses only its own rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// What is read is shown, and the rest may be all that there is.
    IsPassedOver,
    /// What is read is gone on with, so nothing is read from a database that is damaged.
    EndsTheReading,
}

/// Takes note of what one reading passes over.
#[derive(Debug)]
pub(super) struct Reading {
    damage: Damage,
    /// What was passed over already: a kind of record may be read more than once.
    known: HashSet<String>,
    passed_over: Unreadable,
}

impl Reading {
    pub(super) fn new(damage: Damage) -> Self {
        Self { damage, known: HashSet::new(), passed_over: Unreadable::default() }
    }

    /// What was read; nothing, if that was a row that cannot be.
    pub(super) fn of<T>(
        &mut self,
        read: Result<T, impl Into<Fault>>,
        session: &SessionId,
        row: impl FnOnce() -> String,
    ) -> Result<Option<T>, Fault> {
        let fault = match read.map_err(Into::into) {
            Ok(value) => return Ok(Some(value)),
            Err(fault) => fault,
        };
        if fault.is_unreadable() || (fault.is_damage() && self.damage == Damage::IsPassedOver) {
            self.note(session, row(), fault.to_string());
            return Ok(None);
        }
        Err(fault)
    }

    /// A column that may be absent; so it is, if it cannot be read.
    pub(super) fn column<T: FromSql>(
        &mut self,
        row: &Row<'_>,
        at: usize,
        session: &SessionId,
        name: impl FnOnce() -> String,
    ) -> Result<Option<T>, Fault> {
        self.of(row.get::<_, Option<T>>(at), session, name).map(Option::flatten)
    }

    fn note(&mut self, session: &SessionId, row: String, why: String) {
        if !self.known.insert(row.clone()) {
            return;
        }
        tracing::warn!(session_id = %session, row, why, "a row of the store cannot be read and is passed over");
        self.passed_over.count += 1;
        if self.passed_over.rows.len() < MOST_TOLD {
            self.passed_over.rows.push(UnreadableRow { session_id: session.clone(), row, why });
        }
    }

    pub(super) fn passed_over(&self) -> &Unreadable {
        &self.passed_over
    }

    pub(super) fn end(self) -> Unreadable {
        self.passed_over
    }
}
