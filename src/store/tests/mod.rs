//! The store through its own door. Here: what all of its tests are made of.

mod crowd;
mod diagnostics;
mod flush;
mod lookup;
mod open;
mod sessions;
mod snapshot;
mod trust;
mod turns;
mod watch;

use super::*;
use crate::protocol::abort::{Abort, CancelOutcome, CancelRequest, Effect, Partial, Phase, PromptRequest, Scope, SignOfLife, TitleState};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::diagnostics::{StreamCounters, StreamState, StreamTrace, Timeline, TitleGeneration, TitleSource, Usage, UsageSource};
use crate::protocol::export::{RunsIn, TurnInfo, TurnKind, TurnStop};
use crate::protocol::ids::{AbortId, AttemptId, CancelId, ConnectionId, RequestId, TitleRunId, TurnId};
use crate::protocol::message::{Part, ResultStatus, Role};
use crate::protocol::tool_run::{Permission, ToolRun};
use tempfile::TempDir;

/// A store in a directory of its own.
struct Rig {
    dir: TempDir,
    store: Store,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path().join("data"));
        Self { dir, store }
    }

    /// With the session `s`.
    async fn with_session() -> Self {
        let rig = Self::new();
        rig.store.create_session(session("s")).await.expect("created");
        rig
    }

    /// A further handle on the same store, with a thread and a connection of its own.
    fn open_again(&self) -> Store {
        Store::open(self.dir.path().join("data"))
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("data/pillion.db")
    }
}

impl Store {
    /// [`Store::begin_turn`] of another process.
    pub(crate) fn begin_turn_as(&self, owner: Owner, begin: BeginTurn) -> Pending<Option<TurnId>> {
        let holds = Arc::clone(&self.holds);
        self.write(move |conn| super::turns::begin(conn, &holds, &owner, &begin))
    }

    fn add_part(&self, message: &MessageId, ordinal: u64, part: Part) -> Pending<()> {
        self.write_parts(message, vec![PartWrite::Put { ordinal, part }])
    }

    fn extend_part(&self, message: &MessageId, ordinal: u64, text: String) -> Pending<()> {
        self.write_parts(message, vec![PartWrite::Extend { ordinal, text }])
    }
}

fn session_id(id: &str) -> SessionId {
    SessionId::new(id)
}

fn session(id: &str) -> SessionInfo {
    SessionInfo {
        session_id: session_id(id),
        cwd: "/work".into(),
        created_at: 1,
        updated_at: 1,
        parent_session_id: None,
        title: None,
        title_source: None,
        model: None,
        closed_at: None,
    }
}

fn this_process() -> Owner {
    Owner::this_process()
}

/// This process's pid, as an earlier process had it: certainly dead.
fn dead_process() -> Owner {
    let me = this_process();
    Owner { started: me.started + 1, ..me }
}

/// The process that started this one: alive, and not this one.
fn other_live_process() -> Owner {
    let pid = std::os::unix::process::parent_id();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the parent runs");
    let (_, fields) = stat.rsplit_once(')').expect("a stat line");
    let started = fields.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok()).expect("a start time");
    Owner { pid, started, ..this_process() }
}

/// The turn `{name}` of the session: messages `{name}.user` and `{name}.answer`, begun at 100.
fn turn(session: &str, name: &str) -> BeginTurn {
    let turn_id = TurnId::new(name);
    let parent_id = MessageId::new(format!("{name}.user"));
    BeginTurn {
        turn: TurnInfo {
            kind: Some(TurnKind::Prompt),
            turn_id: turn_id.clone(),
            session_id: session_id(session),
            message_id: answer_of(name),
            parent_id: parent_id.clone(),
            started_at: 100,
            ended_at: None,
            stop: None,
            abort_id: None,
            model: Some("scripted:x".into()),
            usage: None,
            last_update: None,
            prompt_request: None,
            running_in: None,
        },
        prompt: Message {
            message_id: parent_id,
            role: Role::User,
            created_at: 100,
            parts: vec![Part::text("hello"), Part::text("world")],
            turn_id: Some(turn_id),
            model: None,
        },
        prompt_request: PromptRequest { id: RequestId::from_text("p-1"), ..turn_request() },
        accepted_at: 99,
        titles_off: false,
    }
}

fn answer_of(turn: &str) -> MessageId {
    MessageId::new(format!("{turn}.answer"))
}

/// The end of the turn by the model, at 200, with 7 updates.
fn end(session: &str, turn: &str) -> EndTurn {
    EndTurn {
        session_id: session_id(session),
        turn_id: TurnId::new(turn),
        message_id: answer_of(turn),
        ended_at: 200,
        stop: TurnStop::EndTurn,
        abort: None,
        traces: Vec::new(),
        tool_runs: Vec::new(),
        parts: Vec::new(),
        usage: Some(Usage { source: UsageSource::Provider, input_tokens: Some(3), ..Usage::absent() }),
        model: Some("scripted:y".into()),
        last_update: 7,
    }
}

/// The end of the turn by an abort `{turn}.abort`.
fn aborted(session: &str, turn: &str) -> EndTurn {
    EndTurn { stop: TurnStop::Cancelled, abort: Some(abort(session, turn)), ..end(session, turn) }
}

fn abort(session: &str, turn: &str) -> Abort {
    Abort {
        cause: Cause::Signal { signal_name: "SIGTERM".into() },
        abort_id: AbortId::new(format!("{turn}.abort")),
        session_id: session_id(session),
        turn_id: TurnId::new(turn),
        message_id: answer_of(turn),
        parent_id: MessageId::new(format!("{turn}.user")),
        initiator: Some(Initiator::Unknown),
        mode: Some(CancelMode::Hard),
        requested_at: Some(150),
        noticed_at: None,
        came_down_from: Some(Scope::Connection),
        forced: false,
        prompt_request: Some(turn_request()),
        phase: Phase::Text,
        title_generation_state: TitleState::InFlight,
        tools_in_flight: Vec::new(),
        propagation: Vec::new(),
        propagation_point: "turn.settled".into(),
        via_ctx_abort: true,
        recorded_at: 151,
        settled_at: 152,
        settle_us: 2000,
        boot_id: "boot".into(),
        ruled_out: vec!["client_gone".into()],
        missing: Vec::new(),
        late_cancels: Vec::new(),
        partial: Partial { text_bytes: 5, reasoning_bytes: 0, updates_sent: 1, persisted_bytes: 5, ..Partial::default() },
        attempt_id: None,
        source: None,
        reason: None,
        request: None,
        title_run_id: None,
        crash: None,
        error_name: None,
        error_message: None,
    }
}

fn turn_request() -> PromptRequest {
    let (id, connection_id) = (RequestId::null(), ConnectionId::new("conn_1"));
    PromptRequest { id, connection_id, method: None, client: None, transport: None }
}

fn cancel(session: &str, id: &str, outcome: CancelOutcome) -> CancelRequest {
    CancelRequest {
        cause: Cause::ClientCancel,
        cancel_id: CancelId::new(id),
        session_id: session_id(session),
        initiator: Some(Initiator::User),
        mode: Some(CancelMode::Hard),
        outcome,
        at: 160,
        missing: vec!["source".into()],
        turn_id: None,
        asked_turn_id: None,
        request: None,
        source: None,
        reason: None,
        abort_id: None,
        seq: None,
    }
}

/// A call that runs, or has come to this.
fn tool_run(session: &str, turn: &str, call: &str, outcome: Option<ResultStatus>) -> ToolRun {
    ToolRun {
        session_id: session_id(session),
        turn_id: TurnId::new(turn),
        call_id: call.into(),
        tool: "write_file".into(),
        effect: Effect::Write,
        permission: Some(Permission::Allowed),
        rule: None,
        asked_at: Some(1),
        answered_at: Some(2),
        started_at: Some(3),
        ended_at: outcome.map(|_| 4),
        duration_us: outcome.map(|_| 1_000),
        outcome,
        exit_code: None,
        signal: None,
        abort_id: None,
    }
}

fn trace(session: &str, turn: &str, attempt: &str, state: StreamState) -> StreamTrace {
    StreamTrace {
        attempt_id: AttemptId::new(attempt),
        session_id: session_id(session),
        turn_id: TurnId::new(turn),
        step: 1,
        attempt: 1,
        provider: "scripted".into(),
        model: "x".into(),
        state,
        created_at: 110,
        timeline: Timeline::new(),
        counters: StreamCounters::default(),
        usage: Usage::absent(),
        request_id: None,
        response_id: None,
        http_status: None,
        finish_reason: None,
        abort_id: None,
        upstream: None,
        cancel_id: None,
        failure: None,
        watchdogs: None,
        retry: None,
        notes: None,
    }
}

fn title(session: &str, turn: &str, run: &str, applied: bool) -> TitleGeneration {
    TitleGeneration {
        title_run_id: TitleRunId::new(run),
        session_id: session_id(session),
        turn_id: TurnId::new(turn),
        message_id: answer_of(turn),
        parent_id: MessageId::new(format!("{turn}.user")),
        source: TitleSource::Model,
        started_at: 101,
        applied,
        completed_at: applied.then_some(140),
        success: applied.then_some(true),
        abort_id: None,
        cancel_id: None,
        error_name: None,
        error_message: None,
        usage: None,
        attempt: None,
        earlier_attempts: None,
    }
}
