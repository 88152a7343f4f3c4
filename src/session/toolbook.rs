//! The tool calls of a turn, from the question to the end: which are in flight, and the record of each.
//!
//! Invariant: every call that is asked about or starts has one record, and a turn that is over leaves none open.

use crate::process::Meter;
use crate::protocol::abort::{CommandOutput, Effect, Phase, ToolInFlight, ToolOutcome};
use crate::protocol::ids::{AbortId, SessionId, TurnId};
use crate::protocol::message::ResultStatus;
use crate::protocol::tool_run::{Permission, ToolRun};
use crate::provenance::Provenance;
use std::time::Instant;

/// The calls of one turn that were asked about or started.
pub(super) struct Toolbook {
    session_id: SessionId,
    turn_id: TurnId,
    provenance: Provenance,
    in_flight: Vec<LiveTool>,
    /// Those that an abort ended or kept from starting.
    aborted: Vec<ToolRun>,
    /// What the commands among them had written.
    outputs: Vec<CommandOutput>,
    /// Those that a limit of the turn's kept from starting.
    over_limit: Vec<ToolRun>,
    /// Those to which a person said no, and what the model is told of it when their turn comes.
    refused: Vec<(String, &'static str)>,
}

struct LiveTool {
    run: ToolRun,
    state: ToolState,
    meter: Meter,
}

/// Where a tool call stands.
#[derive(Debug, Clone, Copy)]
enum ToolState {
    Asking,
    /// It may run, when those before it have ended.
    Allowed,
    Running(Instant),
}

/// Which call.
#[derive(Debug, Clone, Copy)]
pub(super) struct ToolId<'c> {
    pub(super) call_id: &'c str,
    pub(super) tool: &'c str,
    pub(super) effect: Effect,
}

/// On whose word it is decided, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) permission: Permission,
    pub(super) rule: Option<String>,
}

/// What a call that has run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolEnd {
    pub(super) outcome: ResultStatus,
    pub(super) exit_code: Option<i64>,
    pub(super) signal: Option<String>,
}

impl Toolbook {
    pub(super) fn new(session_id: SessionId, turn_id: TurnId, provenance: Provenance) -> Self {
        let (in_flight, aborted, outputs, over_limit, refused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { session_id, turn_id, provenance, in_flight, aborted, outputs, over_limit, refused }
    }

    /// A question about the call is asked.
    pub(super) fn asks(&mut self, id: ToolId<'_>) -> ToolRun {
        let asked_at = Some(self.provenance.clock.wall_ms());
        let run = ToolRun { asked_at, ..self.run(id) };
        self.in_flight.push(LiveTool { run: run.clone(), state: ToolState::Asking, meter: Meter::default() });
        self.provenance.recorded(run)
    }

    /// It may run, once those before it have ended.
    pub(super) fn may_run(&mut self, call_id: &str, word: Word) -> Option<ToolRun> {
        let now = self.provenance.clock.wall_ms();
        let live = self.position(call_id).map(|at| &mut self.in_flight[at])?;
        live.decided(word, now);
        live.state = ToolState::Allowed;
        Some(self.provenance.recorded(live.run.clone()))
    }

    /// The question about it is taken back.
    pub(super) fn withdraws(&mut self, call_id: &str) {
        let now = self.provenance.clock.wall_ms();
        if let Some(at) = self.position(call_id) {
            self.in_flight[at].run.answered_at = Some(now);
        }
    }

    /// It is about to start, on this word: its record, as it is once it has.
    pub(super) fn will_start(&mut self, id: ToolId<'_>, word: Word) -> ToolRun {
        let at = self.position(id.call_id).unwrap_or_else(|| {
            self.in_flight.push(self.unasked(id));
            self.in_flight.len() - 1
        });
        let live = &mut self.in_flight[at];
        live.run.permission = Some(word.permission);
        live.run.rule = word.rule;
        live.state = ToolState::Allowed;
        let started_at = Some(self.provenance.clock.wall_ms());
        self.provenance.recorded(ToolRun { started_at, ..live.run.clone() })
    }

    /// It starts; what it writes, if it is a command, is counted on the meter.
    pub(super) fn starts(&mut self, call_id: &str) -> Meter {
        let now = self.provenance.clock.wall_ms();
        let Some(at) = self.position(call_id) else { return Meter::default() };
        let live = &mut self.in_flight[at];
        live.run.started_at = Some(now);
        live.state = ToolState::Running(Instant::now());
        live.meter.clone()
    }

    /// It will not run, on this word.
    pub(super) fn denied(&mut self, id: ToolId<'_>, word: Word) -> ToolRun {
        let now = self.provenance.clock.wall_ms();
        let mut live = self.remove(id.call_id).unwrap_or_else(|| self.unasked(id));
        live.decided(word, now);
        live.run.outcome = Some(ResultStatus::Denied);
        self.provenance.recorded(live.run)
    }

    /// A person has said no to it: it is on record at once, and gets its result in its turn.
    pub(super) fn refused(&mut self, id: ToolId<'_>, word: Word, why: &'static str) -> ToolRun {
        self.refused.push((id.call_id.to_owned(), why));
        self.denied(id, word)
    }

    /// What is told of a call to which a person said no.
    pub(super) fn refusal(&self, call_id: &str) -> Option<&'static str> {
        self.refused.iter().find(|(refused, _)| refused == call_id).map(|(_, why)| *why)
    }

    /// A limit is over before it can start: it is on record with the end of the turn.
    pub(super) fn over_limit(&mut self, id: ToolId<'_>) {
        let run = ToolRun { permission: Some(Permission::Limit), outcome: Some(ResultStatus::NotStarted), ..self.run(id) };
        self.over_limit.push(run);
    }

    /// It has returned. `abort` is the one that ended it.
    pub(super) fn ends(&mut self, call_id: &str, end: ToolEnd, abort: Option<&AbortId>) -> Option<ToolRun> {
        let LiveTool { mut run, state, meter } = self.remove(call_id)?;
        let clock = &self.provenance.clock;
        run.ended_at = Some(clock.wall_ms());
        run.duration_us = if let ToolState::Running(since) = state { Some(clock.us_since(since)) } else { None };
        run.outcome = Some(end.outcome);
        run.exit_code = end.exit_code;
        run.signal = end.signal;
        run.abort_id = abort.filter(|_| end.outcome == ResultStatus::Interrupted).cloned();
        let run = self.provenance.recorded(run);
        if run.abort_id.is_some() {
            self.wrote(&run, &meter);
            self.aborted.push(run.clone());
        }
        Some(run)
    }

    /// The turn is over: gives the last state of every call that was still in flight or over a limit, and of all those that
    /// the abort ended.
    pub(super) fn close(&mut self, abort: Option<&AbortId>) -> (Vec<ToolRun>, Vec<ToolRun>) {
        let now = self.provenance.clock.wall_ms();
        let mut last = Vec::new();
        for LiveTool { mut run, state, meter } in std::mem::take(&mut self.in_flight) {
            self.wrote(&run, &meter);
            run.outcome = Some(if let ToolState::Running(_) = state { ResultStatus::Interrupted } else { ResultStatus::NotStarted });
            if let ToolState::Asking = state {
                (run.permission, run.answered_at) = (Some(Permission::Withdrawn), run.answered_at.or(Some(now)));
            }
            last.push(run);
        }
        last.append(&mut self.over_limit);
        let ended: Vec<_> = last.into_iter().map(|run| self.provenance.recorded(ToolRun { abort_id: abort.cloned(), ..run })).collect();
        self.aborted.extend(ended.iter().filter(|run| run.abort_id.is_some()).cloned());
        (ended, std::mem::take(&mut self.aborted))
    }

    /// What the commands had written that the abort ended, if they had written anything.
    pub(super) fn outputs(&mut self) -> Option<Vec<CommandOutput>> {
        Some(std::mem::take(&mut self.outputs)).filter(|outputs| !outputs.is_empty())
    }

    fn wrote(&mut self, run: &ToolRun, meter: &Meter) {
        if meter.written() > 0 {
            self.outputs.push(CommandOutput { call_id: run.call_id.clone(), bytes: meter.written(), kept_bytes: meter.kept() });
        }
    }

    pub(super) fn is_asking(&self) -> bool {
        self.in_flight.iter().any(|live| matches!(live.state, ToolState::Asking))
    }

    /// The calls that run at this moment.
    pub(super) fn running(&self) -> impl Iterator<Item = &str> {
        self.in_flight.iter().filter(|live| live.is_running()).map(|live| live.run.call_id.as_str())
    }

    /// Whether a command runs, which is ended before the turn is.
    pub(super) fn runs_a_process(&self) -> bool {
        self.in_flight.iter().any(|live| live.is_running() && matches!(live.run.effect, Effect::Process | Effect::Network))
    }

    /// As an abort that begins now records it.
    pub(super) fn glance(&self) -> Vec<ToolInFlight> {
        let in_flight = self.in_flight.iter().map(|live| ToolInFlight {
            call_id: live.run.call_id.clone(),
            tool: live.run.tool.clone(),
            effect: live.run.effect,
            outcome: if live.is_running() { ToolOutcome::Stopped } else { ToolOutcome::Withdrawn },
        });
        in_flight.collect()
    }

    /// The phase while calls are in flight: a question outranks running tools.
    pub(super) fn phase(&self) -> Option<Phase> {
        if self.is_asking() {
            return Some(Phase::AwaitingPermission);
        }
        (!self.in_flight.is_empty()).then_some(Phase::ToolRunning)
    }

    fn unasked(&self, id: ToolId<'_>) -> LiveTool {
        LiveTool { run: self.run(id), state: ToolState::Allowed, meter: Meter::default() }
    }

    fn run(&self, id: ToolId<'_>) -> ToolRun {
        ToolRun {
            session_id: self.session_id.clone(),
            turn_id: self.turn_id.clone(),
            call_id: id.call_id.to_owned(),
            tool: id.tool.to_owned(),
            effect: id.effect,
            permission: None,
            rule: None,
            asked_at: None,
            answered_at: None,
            started_at: None,
            ended_at: None,
            duration_us: None,
            outcome: None,
            exit_code: None,
            signal: None,
            abort_id: None,
        }
    }

    fn remove(&mut self, call_id: &str) -> Option<LiveTool> {
        self.position(call_id).map(|at| self.in_flight.remove(at))
    }

    fn position(&self, call_id: &str) -> Option<usize> {
        self.in_flight.iter().position(|live| live.run.call_id == call_id)
    }
}

impl LiveTool {
    fn is_running(&self) -> bool {
        matches!(self.state, ToolState::Running(_))
    }

    fn decided(&mut self, word: Word, now: u64) {
        self.run.permission = Some(word.permission);
        self.run.rule = word.rule;
        if self.run.asked_at.is_some() && self.run.answered_at.is_none() {
            self.run.answered_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn book() -> Toolbook {
        Toolbook::new(SessionId::new("s"), TurnId::new("t"), Provenance::deterministic())
    }

    fn id(call_id: &str) -> ToolId<'_> {
        ToolId { call_id, tool: "write_file", effect: Effect::Write }
    }

    fn word(permission: Permission) -> Word {
        Word { permission, rule: None }
    }

    fn ended(outcome: ResultStatus) -> ToolEnd {
        ToolEnd { outcome, exit_code: None, signal: None }
    }

    /// What of a record is not the same for every call of these tests.
    fn told(run: &ToolRun) -> Value {
        let mut told = json!(run);
        let fields = told.as_object_mut().unwrap();
        for same in ["session_id", "turn_id", "tool", "effect"] {
            assert!(fields.remove(same).is_some(), "{same}");
        }
        told
    }

    const NOW: u64 = 1_767_225_600_000;

    #[test]
    fn a_call_is_asked_about_starts_and_ends_and_each_state_says_more() {
        let mut book = book();
        assert_eq!(told(&book.asks(id("c"))), json!({ "call_id": "c", "asked_at": NOW }));
        assert!(book.is_asking());
        let allowed = Word { permission: Permission::Allowed, rule: Some("edit".into()) };
        book.may_run("c", allowed.clone()).unwrap();
        assert_eq!((book.is_asking(), book.phase()), (false, Some(Phase::ToolRunning)));
        let started =
            json!({ "call_id": "c", "permission": "allowed", "rule": "edit", "asked_at": NOW, "answered_at": NOW, "started_at": NOW });
        assert_eq!(told(&book.will_start(id("c"), allowed)), started);
        assert_eq!(book.running().next(), None);
        book.starts("c");
        assert_eq!(book.running().collect::<Vec<_>>(), ["c"]);
        let mut whole = started;
        for (name, value) in [("ended_at", json!(NOW)), ("duration_us", json!(0)), ("outcome", json!("completed"))] {
            whole[name] = value;
        }
        assert_eq!(told(&book.ends("c", ended(ResultStatus::Completed), None).unwrap()), whole);
        assert_eq!((book.ends("c", ended(ResultStatus::Completed), None), book.phase()), (None, None));
        assert_eq!(book.close(None), (vec![], vec![]));
    }

    #[test]
    fn a_call_that_is_denied_never_started() {
        let mut book = book();
        let by_rule = Word { permission: Permission::Rule, rule: Some("edit(a)".into()) };
        let unasked = json!({ "call_id": "a", "permission": "rule", "rule": "edit(a)", "outcome": "denied" });
        assert_eq!(told(&book.denied(id("a"), by_rule)), unasked);
        book.asks(id("b"));
        let asked = json!({ "call_id": "b", "permission": "timed_out", "asked_at": NOW, "answered_at": NOW, "outcome": "denied" });
        assert_eq!(told(&book.denied(id("b"), word(Permission::TimedOut))), asked);
        assert!(book.glance().is_empty());
    }

    #[test]
    fn a_call_over_a_limit_was_never_in_flight_and_is_on_record_with_the_end() {
        let mut book = book();
        book.over_limit(ToolId { call_id: "c", tool: "no_such_tool", effect: Effect::None });
        assert!(book.glance().is_empty() && book.phase().is_none());
        let (last, aborted) = book.close(Some(&AbortId::new("abort")));
        let expected = json!({
            "session_id": "s", "turn_id": "t", "call_id": "c", "tool": "no_such_tool", "effect": "none", "permission": "limit",
            "outcome": "not_started", "abort_id": "abort",
        });
        assert_eq!((json!(last), json!(aborted)), (json!([expected]), json!([expected])));
    }

    #[test]
    fn what_a_command_had_written_is_told_of_those_that_the_stop_ended() {
        let mut book = book();
        let abort = AbortId::new("abort");
        let mut capture = |call_id: &str, written: &[u8]| {
            book.will_start(id(call_id), word(Permission::Allowed));
            let meter = book.starts(call_id);
            crate::process::Capture::new(4).metered(meter.clone()).take(written);
            meter
        };
        capture("forced", b"lost with its task");
        capture("stopped", b"kept").keeps(3);
        capture("silent", b"");
        capture("completed", b"not the stop's").keeps(0);
        book.ends("completed", ended(ResultStatus::Completed), Some(&abort));
        book.ends("stopped", ended(ResultStatus::Interrupted), Some(&abort));
        book.close(Some(&abort));
        let told = |call_id: &str, bytes, kept_bytes| CommandOutput { call_id: call_id.into(), bytes, kept_bytes };
        assert_eq!(book.outputs(), Some(vec![told("stopped", 4, 3), told("forced", 18, 0)]));
        assert_eq!(book.outputs(), None);
    }

    #[test]
    fn a_stop_ends_what_runs_and_keeps_the_rest_from_starting() {
        let mut book = book();
        let abort = AbortId::new("abort");
        for (call_id, permission) in [("heard", Permission::Mode), ("runs", Permission::Default)] {
            book.will_start(id(call_id), word(permission));
            book.starts(call_id);
        }
        book.will_start(id("late"), word(Permission::Rule));
        book.asks(id("asks"));
        book.asks(id("waits"));
        book.may_run("waits", word(Permission::Allowed)).unwrap();
        let heard = book.ends("heard", ended(ResultStatus::Interrupted), Some(&abort)).unwrap();
        let (open, aborted) = book.close(Some(&abort));
        assert_eq!(
            open.iter().map(told).collect::<Vec<_>>(),
            [
                json!({ "call_id": "runs", "permission": "default", "started_at": NOW, "outcome": "interrupted", "abort_id": "abort" }),
                json!({ "call_id": "late", "permission": "rule", "outcome": "not_started", "abort_id": "abort" }),
                json!({ "call_id": "asks", "permission": "withdrawn", "asked_at": NOW, "answered_at": NOW, "outcome": "not_started", "abort_id": "abort" }),
                json!({ "call_id": "waits", "permission": "allowed", "asked_at": NOW, "answered_at": NOW, "outcome": "not_started", "abort_id": "abort" }),
            ]
        );
        assert_eq!(aborted, std::iter::once(heard).chain(open).collect::<Vec<_>>());
    }
}
