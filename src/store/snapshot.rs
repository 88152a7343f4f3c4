//! One consistent look at a session tree, on a connection of its own, also while its turns run.
//!
//! Invariants: everything is read in one transaction; memory is flat, one message or one record at a time; what cannot
//! be read is told and passed over, never made up.

use super::abandoned::{self, Closing};
use super::diagnostics::{self, Index, RecordKind, Recorded};
use super::error::{Fault, StoreError};
use super::holds::Holds;
use super::open;
use super::place::Place;
use super::unreadable::{Damage, Reading, Unreadable};
use super::{connections, messages, sessions, turns};
use crate::protocol::connection::ConnectionRecord;
use crate::protocol::export::{RunsIn, SessionInfo, TurnInfo};
use crate::protocol::ids::{ConnectionId, SessionId};
use crate::protocol::message::Message;
use rusqlite::{Connection, OptionalExtension};
use std::path::PathBuf;
use std::sync::Arc;

/// The tree of one session at one instant.
pub struct Snapshot {
    conn: Connection,
    file: PathBuf,
    sessions: Vec<SessionInfo>,
    /// The records to show, 16 bytes each; their bodies are read one by one, when their kind is asked for.
    index: Index,
    reading: Reading,
    /// It tells of ends that the store does not have.
    is_ahead: bool,
    holds: Arc<Holds>,
}

/// A record with its place in the store's order.
#[derive(Debug, Clone, PartialEq)]
pub struct DiagnosticRow {
    pub seq: u64,
    pub record: Recorded,
}

/// Why a walk ended early: the store's reason or the visitor's.
enum Ended<E> {
    Store(Fault),
    Visitor(E),
}

impl<E> From<Fault> for Ended<E> {
    fn from(fault: Fault) -> Self {
        Self::Store(fault)
    }
}

impl Snapshot {
    /// The tree that `id` belongs to, from its root on. `None`: there is no such session.
    /// `closings` are made in it, where they are of this tree.
    pub(super) fn take(place: &Place, holds: Arc<Holds>, id: &SessionId, closings: &[Closing]) -> Result<Option<Self>, StoreError> {
        let conn = open::connect_to_read(place)?;
        let Some(mut taken) = Self::of(conn, place, holds, id)? else { return Ok(None) };
        let of_tree = |closing: &&Closing| taken.sessions.iter().any(|session| session.session_id == closing.session_id);
        let closings: Vec<_> = closings.iter().filter(of_tree).collect();
        if !closings.is_empty() {
            let copy = open::connect_aside(place)?;
            copy_tree(&copy, &taken.sessions[0].session_id, &closings).map_err(|fault| fault.at(&place.file))?;
            if let Some(ahead) = Self::of(copy, place, Arc::clone(&taken.holds), id)? {
                taken = Self { is_ahead: true, ..ahead };
            }
        }
        Ok(Some(taken))
    }

    fn of(conn: Connection, place: &Place, holds: Arc<Holds>, id: &SessionId) -> Result<Option<Self>, StoreError> {
        let read = || -> Result<_, Fault> {
            conn.execute_batch("BEGIN")?;
            let Some(root) = root_of(&conn, id)? else { return Ok(None) };
            let mut reading = Reading::new(Damage::IsPassedOver);
            let sessions = tree(&conn, &root, &mut reading)?;
            let index = diagnostics::index_of_tree(&conn, &root, &mut reading)?;
            Ok(Some((sessions, index, reading)))
        };
        let found = read().map_err(|fault| fault.at(&place.file))?;
        Ok(found.map(|(sessions, index, reading)| Self {
            conn,
            file: place.file.clone(),
            sessions,
            index,
            reading,
            is_ahead: false,
            holds,
        }))
    }

    /// Whether it tells of ends that could not be stored.
    pub fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// The newest record of the tree; 0 when there is none.
    pub fn at_seq(&self) -> u64 {
        self.index.newest
    }

    /// The root, then its children, depth first; `parent_session_id` tells who belongs to whom. Never empty.
    pub fn sessions(&self) -> &[SessionInfo] {
        &self.sessions
    }

    /// The rows that could not be read so far and were passed over.
    pub fn unreadable(&self) -> &Unreadable {
        self.reading.passed_over()
    }

    /// The turns of one session in the order in which they were begun; of one without an end, where it runs.
    ///
    /// # Errors
    /// The store's, or the first that `visit` gives.
    pub fn for_each_turn<E: From<StoreError>>(
        &mut self,
        session: &SessionId,
        mut visit: impl FnMut(TurnInfo) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { conn, file, reading, holds, .. } = self;
        let walked = turns::for_each(conn, session, reading, |turn| {
            let running_in = if turn.stop.is_none() { runs_in(conn, holds, &turn)? } else { None };
            visit(TurnInfo { running_in, ..turn }).map_err(Ended::Visitor)
        });
        walked.map_err(|ended| ended.at(file))
    }

    /// The messages of one session with their parts, in order.
    ///
    /// # Errors
    /// The store's, or the first that `visit` gives.
    pub fn for_each_message<E: From<StoreError>>(
        &mut self,
        session: &SessionId,
        mut visit: impl FnMut(Message) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { conn, file, reading, .. } = self;
        let walked = messages::for_each(conn, session, reading, |message| visit(message).map_err(Ended::Visitor));
        walked.map_err(|ended| ended.at(file))
    }

    /// A connection that records name; nothing if it left no row, or one that cannot be read.
    ///
    /// # Errors
    /// The store's.
    pub fn connection(&mut self, id: &ConnectionId) -> Result<Option<ConnectionRecord>, StoreError> {
        let Self { conn, file, reading, sessions, .. } = self;
        let found = reading.of(connections::find(conn, id), &sessions[0].session_id, || format!("connection {id}"));
        found.map(Option::flatten).map_err(|fault| fault.at(file))
    }

    /// The diagnostic records of these kinds of the whole tree in the store's order; of a title run or an attempt the
    /// newest state.
    ///
    /// # Errors
    /// The store's, or the first that `visit` gives.
    pub fn for_each_diagnostic<E: From<StoreError>>(
        &mut self,
        kinds: &[RecordKind],
        mut visit: impl FnMut(DiagnosticRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { conn, file, reading, index, sessions, .. } = self;
        let root = &sessions[0].session_id;
        let mut walk = || {
            for (seq, _) in index.known.iter().filter(|(_, kind)| kinds.contains(kind)) {
                if let Some(record) = reading.of(diagnostics::find(conn, *seq), root, || format!("diagnostic {seq}"))? {
                    visit(DiagnosticRow { seq: u64::try_from(*seq).unwrap_or(0), record }).map_err(Ended::Visitor)?;
                }
            }
            Ok(())
        };
        walk().map_err(|ended: Ended<E>| ended.at(file))
    }
}

impl<E: From<StoreError>> Ended<E> {
    fn at(self, file: &std::path::Path) -> E {
        match self {
            Self::Store(fault) => fault.at(file).into(),
            Self::Visitor(error) => error,
        }
    }
}

/// The process that runs the turn, unless it is dead.
fn runs_in(conn: &Connection, holds: &Holds, turn: &TurnInfo) -> Result<Option<RunsIn>, Fault> {
    let owner = abandoned::owner_of(conn, &turn.turn_id)?.filter(|owner| holds.is_alive(owner));
    Ok(owner.map(|owner| RunsIn { pid: owner.pid, boot_id: owner.boot_id }))
}

/// Copies the tree from `disk` and makes the closings in the copy.
fn copy_tree(copy: &Connection, root: &SessionId, closings: &[&Closing]) -> Result<(), Fault> {
    const TREE: &str = "WITH RECURSIVE tree (session_id) AS (
        VALUES (?1) UNION SELECT below.session_id FROM disk.session AS below JOIN tree ON below.parent_session_id = tree.session_id)";
    let (by_session, by_message) = ("session_id IN tree", "message_seq IN (SELECT seq FROM disk.message WHERE session_id IN tree)");
    // A connection is of no session: whatever of the tree's names it may be any of them.
    let any = "TRUE";
    let tables = [
        ("session", by_session),
        ("turn", by_session),
        ("waiting", by_session),
        ("open_title", by_session),
        ("message", by_session),
        ("part", by_message),
        ("part_text", by_message),
        ("diagnostic", by_session),
        ("connection", any),
    ];
    copy.execute_batch("PRAGMA foreign_keys = OFF; BEGIN")?;
    for (table, of_tree) in tables {
        copy.execute(&format!("{TREE} INSERT INTO main.{table} SELECT * FROM disk.{table} WHERE {of_tree}"), [root.as_str()])?;
    }
    for closing in closings {
        match abandoned::close(copy, closing) {
            // Somebody who can write to the store was faster.
            Err(Fault::Answer(StoreError::TurnEnded)) => {}
            closed => closed?,
        }
    }
    copy.execute_batch("COMMIT; DETACH DATABASE disk")?;
    Ok(())
}

fn root_of(conn: &Connection, id: &SessionId) -> Result<Option<SessionId>, Fault> {
    let root = conn
        .prepare_cached(
            "WITH RECURSIVE line (session_id, parent) AS (
                 SELECT session_id, parent_session_id FROM session WHERE session_id = ?1
                 UNION ALL
                 SELECT session.session_id, session.parent_session_id FROM session JOIN line ON session.session_id = line.parent
             )
             SELECT session_id FROM line WHERE parent IS NULL",
        )?
        .query_row([id.as_str()], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(root.map(SessionId::new))
}

fn tree(conn: &Connection, root: &SessionId, reading: &mut Reading) -> Result<Vec<SessionInfo>, Fault> {
    let columns = sessions::COLUMNS;
    // The deepest waiting row comes first, which makes the walk depth first; `seq` keeps brothers in order.
    let mut statement = conn.prepare_cached(&format!(
        "WITH RECURSIVE tree (id, depth, born) AS (
             SELECT session_id, 0, seq FROM session WHERE session_id = ?1
             UNION ALL
             SELECT session.session_id, tree.depth + 1, session.seq FROM session JOIN tree ON session.parent_session_id = tree.id
             ORDER BY 2 DESC, 3
         )
         SELECT {columns} FROM tree CROSS JOIN session ON session.session_id = tree.id"
    ))?;
    let mut rows = statement.query([root.as_str()])?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        sessions.push(sessions::info(row, reading)?);
    }
    Ok(sessions)
}
