//! What a process that died has left open: turns, prompts that waited, titles. Found with all that is known of them, and closed.
//!
//! Invariant: each is closed once, in one transaction with everything that is said of it; whoever comes second is told so.

use super::diagnostics::{self, Diagnostic, Recorded};
use super::error::{Fault, StoreError};
use super::holds::Holds;
use super::owner::Owner;
use super::rows::{Int, Json};
use super::turns::{self, BeginTurn, EndTurn};
use super::unreadable::{Damage, Reading};
use super::{messages, sessions};
use crate::protocol::abort::{CancelOutcome, CancelRequest, SignOfLife, TitleState};
use crate::protocol::diagnostics::{RetryVerdict, StreamState, StreamTrace, TitleGeneration};
use crate::protocol::export::TurnInfo;
use crate::protocol::ids::{AbortId, SessionId, TitleRunId, TurnId};
use crate::protocol::message::Part;
use crate::protocol::tool_run::ToolRun;
use rusqlite::{Connection, OptionalExtension, params};

/// Everything whose process has died.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Abandoned {
    /// The oldest first, and those that waited behind those that had begun.
    pub turns: Vec<AbandonedTurn>,
    /// Of turns that have ended.
    pub titles: Vec<AbandonedTitle>,
}

/// A turn without an end whose process is dead.
#[derive(Debug, Clone, PartialEq)]
pub struct AbandonedTurn {
    pub turn: TurnInfo,
    /// The process that died.
    pub owner: Owner,
    /// It waited for its turn: nothing else of it is stored.
    pub waiting: Option<BeginTurn>,
    /// What was kept of the assistant's message.
    pub parts: Vec<Part>,
    /// Where a further part of it goes.
    pub next_part: u64,
    /// Attempts whose end was never recorded.
    pub open_traces: Vec<StreamTrace>,
    /// No prompt of its session had begun before it.
    pub is_first: bool,
    /// Nothing wrote titles in its process.
    pub titles_off: bool,
    /// The newest attempt had failed, and was to be made again.
    pub backs_off: bool,
    /// Tool calls that were asked about or had started, each as far as it is known.
    pub tool_runs: Vec<ToolRun>,
    /// The newest state of the title run that the turn started.
    pub title: Option<TitleGeneration>,
    /// The demand to stop it that had been accepted.
    pub accepted: Option<CancelRequest>,
    /// The newest row of it that has a time, and that time.
    pub last_sign: (SignOfLife, u64),
}

/// A title generation without an end whose turn has ended and whose process is dead.
#[derive(Debug, Clone, PartialEq)]
pub struct AbandonedTitle {
    pub title: TitleGeneration,
    /// The demand to stop it that had been accepted.
    pub accepted: Option<CancelRequest>,
    /// The aborts whose records say that it was in flight.
    pub seen_by: Vec<(TurnId, AbortId)>,
}

/// How something that was abandoned is closed: all of it or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Closing {
    pub session_id: SessionId,
    /// The rows of a prompt that waited, and the process that died.
    pub begin: Option<(Owner, BeginTurn)>,
    /// Absent when only a title is closed.
    pub end: Option<EndTurn>,
    /// What became of its title.
    pub title: Option<TitleGeneration>,
    pub title_states: Vec<(TurnId, AbortId, TitleState)>,
}

/// A turn that has begun and has no end, and whether its process may be alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    pub session_id: SessionId,
    pub turn_id: TurnId,
    /// Wall clock, milliseconds since 1970.
    pub started_at: u64,
    pub owner: Owner,
    pub is_alive: bool,
}

/// Asks about each process once, not for each of its turns.
struct Asked<'h> {
    holds: &'h Holds,
    known: Vec<(Owner, bool)>,
}

impl<'h> Asked<'h> {
    fn of(holds: &'h Holds) -> Self {
        Self { holds, known: Vec::new() }
    }

    fn is_alive(&mut self, owner: &Owner) -> bool {
        if let Some((_, lives)) = self.known.iter().find(|(asked, _)| asked == owner) {
            return *lives;
        }
        let lives = self.holds.is_alive(owner);
        self.known.push((owner.clone(), lives));
        lives
    }
}

/// Every turn that has begun and has no end, the oldest first.
pub(super) fn open_turns(conn: &Connection, holds: &Holds) -> Result<Vec<OpenTurn>, Fault> {
    let mut asked = Asked::of(holds);
    let mut statement = conn.prepare_cached(
        "SELECT session_id, turn_id, started_at, owner_pid, owner_started, owner_boot, owner_lock
         FROM turn WHERE ended_at IS NULL ORDER BY seq",
    )?;
    let open = statement.query_map([], |row| {
        Ok(OpenTurn {
            session_id: SessionId::new(row.get::<_, String>(0)?),
            turn_id: TurnId::new(row.get::<_, String>(1)?),
            started_at: row.get::<_, Int>(2)?.0,
            owner: sessions::read_owner(row, 3)?,
            is_alive: true,
        })
    })?;
    let open = open.map(|open| open.map(|open| OpenTurn { is_alive: asked.is_alive(&open.owner), ..open }));
    Ok(open.collect::<Result<_, _>>()?)
}

pub(super) fn find(conn: &Connection, holds: &Holds) -> Result<Abandoned, Fault> {
    let mut asked = Asked::of(holds);
    let mut found = Abandoned::default();
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {}, owner_pid, owner_started, owner_boot, owner_lock, titles_off FROM turn WHERE ended_at IS NULL ORDER BY seq",
        turns::COLUMNS
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let session = SessionId::new(row.get::<_, String>(1)?);
        let mut reading = Reading::new(Damage::EndsTheReading);
        let owner = reading.of(sessions::read_owner(row, 14), &session, || "turn, its owner".into())?;
        let Some(owner) = owner.filter(|owner| !asked.is_alive(owner)) else { continue };
        let Some(turn) = turns::info(row, &session, &mut reading)? else { continue };
        let titles_off = reading.of(row.get(18), &session, || "turn, its titles".into())?.unwrap_or_default();
        found.turns.push(AbandonedTurn { titles_off, ..abandoned(conn, turn, owner, &mut reading)? });
    }
    let mut statement =
        conn.prepare_cached("SELECT body, owner_pid, owner_started, owner_boot, owner_lock, session_id, seq FROM waiting ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (session, seq) = (SessionId::new(row.get::<_, String>(5)?), row.get::<_, i64>(6)?);
        let mut reading = Reading::new(Damage::EndsTheReading);
        let read = || -> rusqlite::Result<_> { Ok((sessions::read_owner(row, 1)?, row.get::<_, Json<BeginTurn>>(0)?.0)) };
        if let Some((owner, begin)) = reading.of(read(), &session, || format!("waiting {seq}"))?
            && !asked.is_alive(&owner)
        {
            found.turns.push(waited(conn, begin, owner, &mut reading)?);
        }
    }
    let mut statement = conn.prepare_cached(
        "SELECT title_run_id, owner_pid, owner_started, owner_boot, owner_lock
         FROM open_title JOIN turn USING (turn_id) WHERE ended_at IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !asked.is_alive(&sessions::read_owner(row, 1)?) {
            found.titles.extend(untitled(conn, &TitleRunId::new(row.get::<_, String>(0)?))?);
        }
    }
    Ok(found)
}

fn abandoned(conn: &Connection, turn: TurnInfo, owner: Owner, reading: &mut Reading) -> Result<AbandonedTurn, Fault> {
    let mut signs = vec![(SignOfLife::TurnStarted, turn.started_at)];
    signs.extend(messages::last_written(conn, &turn.message_id)?.map(|at| (SignOfLife::OutputKept, at)));
    let (mut open_traces, mut backs_off, mut tool_runs, mut title) = (Vec::new(), false, Vec::new(), None);
    for record in diagnostics::of_turn(conn, &turn.session_id, &turn.turn_id, reading)? {
        match record {
            Recorded::Diagnostic(Diagnostic::Trace(trace)) => {
                signs.push((SignOfLife::ModelCalled, trace.created_at + trace.timeline.ended_us.unwrap_or(0) / 1000));
                backs_off = trace.retry.as_ref().is_some_and(|retry| retry.verdict == RetryVerdict::Again);
                open_traces.extend(Some(trace).filter(|trace| trace.state == StreamState::Open));
            }
            Recorded::Diagnostic(Diagnostic::ToolRun(run)) => {
                let times = [run.asked_at, run.answered_at, run.started_at, run.ended_at];
                signs.extend(times.into_iter().flatten().max().map(|at| (SignOfLife::ToolCallRecorded, at)));
                tool_runs.push(run);
            }
            Recorded::Diagnostic(Diagnostic::Title(newest)) => {
                signs.push((SignOfLife::TitleRecorded, newest.completed_at.unwrap_or(newest.started_at)));
                title = Some(newest);
            }
            _ => {}
        }
    }
    let accepted = accepted(conn, &turn.session_id, &turn.turn_id, reading)?.filter(|demand| demand.abort_id.is_some());
    signs.extend(accepted.iter().map(|demand| (SignOfLife::StopAccepted, demand.at)));
    let (parts, next_part) = messages::parts_of(conn, &turn.session_id, &turn.message_id, reading)?;
    let last_sign = newest(signs, turn.started_at);
    let is_first = is_first(conn, &turn)?;
    Ok(AbandonedTurn {
        turn,
        owner,
        waiting: None,
        parts,
        next_part,
        is_first,
        titles_off: false,
        open_traces,
        backs_off,
        tool_runs,
        title,
        accepted,
        last_sign,
    })
}

fn waited(conn: &Connection, begin: BeginTurn, owner: Owner, reading: &mut Reading) -> Result<AbandonedTurn, Fault> {
    let accepted = accepted(conn, &begin.turn.session_id, &begin.turn.turn_id, reading)?.filter(|demand| demand.abort_id.is_some());
    Ok(AbandonedTurn {
        turn: TurnInfo { prompt_request: Some(begin.prompt_request.clone()), ..begin.turn.clone() },
        owner,
        parts: Vec::new(),
        next_part: 0,
        open_traces: Vec::new(),
        is_first: is_first(conn, &begin.turn)?,
        titles_off: begin.titles_off,
        backs_off: false,
        tool_runs: Vec::new(),
        title: None,
        last_sign: accepted
            .as_ref()
            .map_or((SignOfLife::PromptAccepted, begin.accepted_at), |demand| (SignOfLife::StopAccepted, demand.at)),
        accepted,
        waiting: Some(begin),
    })
}

/// Of a turn that waited, whether none has begun at all.
fn is_first(conn: &Connection, turn: &TurnInfo) -> Result<bool, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT NOT EXISTS (SELECT 1 FROM turn AS earlier WHERE session_id = ?1 AND kind = 'prompt'
             AND seq < coalesce((SELECT seq FROM turn WHERE turn_id = ?2), seq + 1))",
    )?;
    Ok(statement.query_row(params![turn.session_id.as_str(), turn.turn_id.as_str()], |row| row.get(0))?)
}

/// `None`: its record cannot be read, or belongs to a session that is gone.
fn untitled(conn: &Connection, run: &TitleRunId) -> Result<Option<AbandonedTitle>, Fault> {
    let Some(title) = diagnostics::newest_title(conn, run)? else { return Ok(None) };
    let mut reading = Reading::new(Damage::EndsTheReading);
    let accepted = accepted(conn, &title.session_id, &title.turn_id, &mut reading)?.filter(|demand| demand.abort_id.is_none());
    let aborts = diagnostics::aborts_of_session(conn, &title.session_id)?.into_iter();
    let saw = aborts.filter(|abort| abort.title_run_id.as_ref() == Some(run) && abort.title_generation_state == TitleState::InFlight);
    let seen_by = saw.map(|abort| (abort.turn_id, abort.abort_id)).collect();
    Ok(Some(AbandonedTitle { title, accepted, seen_by }))
}

/// The demand that was told to have stopped the turn, or its title.
fn accepted(conn: &Connection, session: &SessionId, turn: &TurnId, reading: &mut Reading) -> Result<Option<CancelRequest>, Fault> {
    Ok(diagnostics::demands_on(conn, session, turn, reading)?.into_iter().rfind(|demand| demand.outcome == CancelOutcome::Cancelled))
}

fn newest(signs: Vec<(SignOfLife, u64)>, at_least: u64) -> (SignOfLife, u64) {
    signs.into_iter().max_by_key(|(_, at)| *at).unwrap_or((SignOfLife::TurnStarted, at_least))
}

/// Closes it; [`StoreError::TurnEnded`] if somebody else was faster.
pub(super) fn close(conn: &Connection, closing: &Closing) -> Result<(), Fault> {
    if let Some((owner, begin)) = &closing.begin {
        if !turns::waits_no_more(conn, &begin.turn.turn_id)? {
            return Err(StoreError::TurnEnded.into());
        }
        turns::insert(conn, owner, begin)?;
    }
    match (&closing.end, &closing.title) {
        (Some(end), _) => drop(turns::end(conn, end)?),
        (None, Some(title)) if diagnostics::is_title_open(conn, &title.title_run_id)? => {}
        (None, _) => return Err(StoreError::TurnEnded.into()),
    }
    if let Some(title) = &closing.title {
        diagnostics::insert(conn, &Diagnostic::Title(title.clone()))?;
    }
    for (turn_id, abort_id, state) in &closing.title_states {
        let (session_id, turn_id, abort_id) = (closing.session_id.clone(), turn_id.clone(), abort_id.clone());
        diagnostics::insert(conn, &Diagnostic::TitleState { session_id, turn_id, abort_id, state: *state })?;
    }
    Ok(())
}

/// The locks of processes that have something open.
pub(super) fn named_locks(conn: &Connection) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT owner_lock FROM turn WHERE ended_at IS NULL AND owner_lock IS NOT NULL
         UNION SELECT owner_lock FROM waiting WHERE owner_lock IS NOT NULL
         UNION SELECT owner_lock FROM open_title JOIN turn USING (turn_id) WHERE owner_lock IS NOT NULL",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// The process that runs the turn, if it has no end.
pub(super) fn owner_of(conn: &Connection, turn: &TurnId) -> Result<Option<Owner>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT owner_pid, owner_started, owner_boot, owner_lock FROM turn WHERE turn_id = ?1 AND ended_at IS NULL")?;
    Ok(statement.query_row(params![turn.as_str()], |row| sessions::read_owner(row, 0)).optional()?)
}
