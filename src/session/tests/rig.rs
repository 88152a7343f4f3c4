//! The sessions of one process with everything around them in the test's hands.

use super::fakes::{Desk, FakeModel, FakeTool, ModelCall, ToolRun};
use crate::config::{ModelName, Overrides, Places, Settings};
use crate::policy::{Access, WriteAccess};
use crate::protocol::abort::{Abort, CancelRequest, Client, PromptRequest, RequestRef, Transport};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::content::ContentBlock;
use crate::protocol::diagnostics::{StreamTrace, TitleGeneration};
use crate::protocol::export::{Incident, LifecyclePoint, TurnInfo, TurnKind, TurnStop};
use crate::protocol::ids::{AbortId, CancelId, ConnectionId, MessageId, RequestId, SessionId, TurnId};
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::model::FinishReason;
use crate::protocol::params::{NewSessionParams, OpenSessionParams, PromptParams, SessionParams, WhenBusy};
use crate::protocol::results::{CancelResult, PromptResult};
use crate::protocol::turn::TurnTime;
use crate::provenance::{Moment, Provenance, panics};
use crate::provider::Provider;
use crate::session::demand::{CancelDemand, CancelScope, End};
use crate::session::service::{PromptTicket, ReceiptSlot, SessionService, Way};
use crate::session::{Parts, Refusal, Sessions, SingleFile};
use crate::store::{BeginTurn, Diagnostic, EndTurn, Owner, PartWrite, RecordKind, Recorded, Store};
use crate::tool::documents::Documents;
use crate::tool::{Tool, ToolSet};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

/// How long anything may take before a test is called hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that the test has caused.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it hangs")
}

/// The sessions of one process.
pub(super) struct Rig {
    pub(super) dir: TempDir,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) desk: Arc<Desk>,
    calls: tokio::sync::Mutex<mpsc::UnboundedReceiver<ModelCall>>,
    titles: tokio::sync::Mutex<mpsc::UnboundedReceiver<ModelCall>>,
    tools: tokio::sync::Mutex<mpsc::UnboundedReceiver<ToolRun>>,
}

impl Rig {
    /// A model is chosen, titles are off, and the grace is short.
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::at(dir, change)
    }

    fn at(dir: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let ((call, calls), (title, titles), (run, tools)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let model = FakeModel { calls: call, titles: title };
        let tool = |name, access| Arc::new(FakeTool { name, access, runs: run.clone() }) as Arc<dyn Tool>;
        let write = Access::Write(WriteAccess { path: "a".into(), protected: None });
        let tool_set = ToolSet::new(vec![tool("open", Access::Nothing), tool("gated", write)]);
        let parts = parts(dir.path(), model, tool_set, change);
        let desk = Arc::new(Desk::default());
        panics::watch();
        let store = parts.store.clone();
        let exporter = Arc::new(|_params| async { Err(Refusal::Export("not here".into())) }.boxed());
        let sessions = Sessions::new(parts, Arc::clone(&desk) as _, exporter);
        let [calls, titles] = [calls, titles].map(tokio::sync::Mutex::new);
        Self { dir, store, sessions, desk, calls, titles, tools: tokio::sync::Mutex::new(tools) }
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(super) async fn session(&self) -> SessionId {
        let params = NewSessionParams { cwd: self.dir.path().display().to_string(), ..Default::default() };
        soon(self.sessions.create(origin("session/new"), params)).await.expect("a session").session_id
    }

    pub(super) fn prompt(&self, session: &SessionId, text: &str) -> Prompt {
        self.prompt_when(session, text, WhenBusy::Queue)
    }

    pub(super) fn prompt_when(&self, session: &SessionId, text: &str, when_busy: WhenBusy) -> Prompt {
        let (answered, queued) = oneshot::channel();
        let way = Way { queued, receipt: ReceiptSlot::default() };
        let receipt = Arc::clone(&way.receipt);
        let params = PromptParams { session_id: session.clone(), prompt: vec![ContentBlock::text(text)], when_busy };
        Prompt { ticket: self.sessions.prompt(origin("session/prompt"), params, way), answered, receipt }
    }

    /// A prompt whose turn has sent its request.
    pub(super) async fn running(&self, session: &SessionId, text: &str) -> (Prompt, ModelCall) {
        let prompt = self.prompt(session, text);
        (prompt, self.call().await)
    }

    /// A whole turn that ends well.
    pub(super) async fn turn(&self, session: &SessionId, text: &str) -> PromptResult {
        let (prompt, call) = self.running(session, text).await;
        call.text("Yes.");
        call.finish(FinishReason::EndTurn);
        prompt.answer().await.expect("a result")
    }

    /// The next model call of a turn.
    pub(super) async fn call(&self) -> ModelCall {
        soon(async { self.calls.lock().await.recv().await }).await.expect("a model call")
    }

    /// The next model call for a title.
    pub(super) async fn title_call(&self) -> ModelCall {
        soon(async { self.titles.lock().await.recv().await }).await.expect("a title's model call")
    }

    /// The next tool that runs.
    pub(super) async fn tool(&self) -> ToolRun {
        soon(async { self.tools.lock().await.recv().await }).await.expect("a tool call")
    }

    /// Posts a cancel; resolves with its answer.
    pub(super) fn cancel(&self, session: &SessionId) -> BoxFuture<'static, Result<CancelResult, Refusal>> {
        self.cancel_as(CancelDemand { session_id: session.clone(), ..demand() })
    }

    pub(super) fn cancel_as(&self, demand: CancelDemand) -> BoxFuture<'static, Result<CancelResult, Refusal>> {
        let reply = self.sessions.cancel(demand);
        async { soon(reply).await.expect("a cancel is answered") }.boxed()
    }

    pub(super) fn close(&self, session: &SessionId) -> BoxFuture<'static, Result<(), Refusal>> {
        let answer = self.sessions.close(origin("session/close"), SessionParams { session_id: session.clone() });
        async { soon(answer).await.map(drop) }.boxed()
    }

    pub(super) fn load(&self, session: &SessionId) -> BoxFuture<'static, Result<(), Refusal>> {
        let answer = self.sessions.load(open_params(session));
        async { soon(answer).await.map(drop) }.boxed()
    }

    /// Another process takes the session, and gives it back with one more turn.
    pub(super) async fn turn_of_another_process(&self, session: &SessionId, text: &str) {
        let begin = foreign(session, text);
        let end = EndTurn {
            session_id: session.clone(),
            turn_id: begin.turn.turn_id.clone(),
            message_id: begin.turn.message_id.clone(),
            ended_at: 2,
            stop: TurnStop::EndTurn,
            abort: None,
            traces: Vec::new(),
            tool_runs: Vec::new(),
            parts: Vec::new(),
            usage: None,
            model: None,
            last_update: 0,
        };
        self.store.begin_turn(begin).await.expect("begun");
        self.store.end_turn(end).await.expect("ended");
    }

    /// Another process takes the session, begins a turn, and dies in a tool call.
    pub(super) async fn turn_of_a_dead_process(&self, session: &SessionId, text: &str) {
        let me = Owner::this_process();
        let begin = foreign(session, text);
        let message = begin.turn.message_id.clone();
        self.store.begin_turn_as(Owner { started: me.started + 1, ..me }, begin).await.expect("begun");
        let part = Part::tool_call(text, "open", json!({}));
        self.store.write_parts(&message, vec![PartWrite::Put { ordinal: 0, part }]).await.expect("written");
    }

    /// Everything that the store has on a session.
    pub(super) async fn told(&self, session: &SessionId) -> Told {
        let id = session.clone();
        let read = self.store.snapshot(session, move |snapshot| {
            let mut told = Told::default();
            snapshot
                .for_each_turn(&id, |turn| {
                    told.turns.push(turn);
                    Ok::<_, crate::store::StoreError>(())
                })
                .expect("turns");
            snapshot
                .for_each_message(&id, |message| {
                    told.messages.push(message);
                    Ok::<_, crate::store::StoreError>(())
                })
                .expect("messages");
            snapshot
                .for_each_diagnostic(&RecordKind::ALL, |row| {
                    told.take(row.record);
                    Ok::<_, crate::store::StoreError>(())
                })
                .expect("diagnostics");
            told
        });
        soon(read).await.expect("readable").expect("there")
    }
}

/// Parts by themselves, for what needs no session.
pub(in crate::session) fn parts_with(change: impl FnOnce(&mut Settings)) -> (TempDir, Parts) {
    let dir = tempfile::tempdir().expect("a directory");
    let (calls, titles) = (mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
    let parts = parts(dir.path(), FakeModel { calls, titles }, ToolSet::new(Vec::new()), change);
    (dir, parts)
}

/// The fake model is `openai:fake`, which is configured, and any other but `openai:broken`, and `openai:panics`, which panics when it
/// is made.
fn parts(dir: &Path, model: FakeModel, tools: ToolSet, change: impl FnOnce(&mut Settings)) -> Parts {
    let env = |name: &str| (name == "PILLION_DATA_DIR").then(|| dir.join("data").display().to_string());
    let flags = vec![("--model", "openai:fake".to_owned()), ("--title-model", "none".to_owned())];
    let mut settings = Settings::load_at(&Places::default(), &Overrides { config: None, flags }, &env).expect("settings");
    settings.grace.hard = Duration::from_millis(50);
    change(&mut settings);
    let model = Arc::new(model);
    let providers = move |name: &ModelName| match name.model.as_str() {
        "broken" => Err("it is broken".to_owned()),
        "panics" => panic!("the test wants a panic"),
        _ => Ok(Arc::clone(&model) as Arc<dyn Provider>),
    };
    Parts {
        keeper: crate::process::Keeper::at("/nowhere/pillion"),
        environment: Vec::new().into(),
        store: Store::open(settings.data_dir.clone()),
        settings: Arc::new(settings),
        provenance: Provenance::real(),
        providers: Arc::new(providers),
        no_model: Arc::new(|| async { "choose a model".to_owned() }.boxed()),
        tools: Arc::new(tools),
        documents: Documents::default(),
        single_file: SingleFile::default(),
    }
}

/// A turn as another process begins it.
fn foreign(session: &SessionId, text: &str) -> BeginTurn {
    let turn_id = TurnId::new(format!("turn {text}"));
    let prompt = Message {
        message_id: MessageId::new(format!("prompt {text}")),
        role: Role::User,
        created_at: 1,
        parts: vec![Part::text(text)],
        turn_id: Some(turn_id.clone()),
        model: None,
    };
    let turn = TurnInfo {
        kind: Some(TurnKind::Prompt),
        turn_id,
        session_id: session.clone(),
        message_id: MessageId::new(format!("answer {text}")),
        parent_id: prompt.message_id.clone(),
        started_at: 1,
        ended_at: None,
        stop: None,
        abort_id: None,
        model: None,
        usage: None,
        last_update: None,
        prompt_request: None,
        running_in: None,
    };
    let (id, connection_id) = (RequestId::from_number(1), ConnectionId::new("theirs"));
    let prompt_request = PromptRequest { id, connection_id, method: None, client: None, transport: None };
    BeginTurn { turn, prompt, prompt_request, accepted_at: 1, titles_off: false }
}

/// A demand as the wire makes it, of no session yet.
pub(super) fn demand() -> CancelDemand {
    CancelDemand {
        session_id: SessionId::new("none"),
        scope: CancelScope::Session,
        cause: Cause::ClientCancel,
        initiator: Initiator::User,
        mode: CancelMode::Hard,
        source: None,
        reason: None,
        request: Some(origin("session/cancel")),
        requested: Moment::now(),
        point: "rpc.session/cancel",
        via_ctx_abort: false,
        missing: Vec::new(),
    }
}

pub(super) fn origin(method: &str) -> RequestRef {
    RequestRef {
        method: method.into(),
        id: RequestId::from_number(1),
        connection_id: ConnectionId::new("conn"),
        client: Some(Client { name: "test".into(), version: None }),
        transport: Transport::InProcess,
        traceparent: None,
    }
}

/// An end of the whole connection.
pub(super) fn end(cause: Cause, point: &'static str) -> End {
    End { cause, point, request: None, requested: Moment::now(), explanation: None }
}

pub(super) fn open_params(session: &SessionId) -> OpenSessionParams {
    OpenSessionParams { session_id: session.clone(), cwd: None, mcp_servers: Vec::new() }
}

/// A prompt that was posted.
pub(super) struct Prompt {
    ticket: PromptTicket,
    answered: oneshot::Sender<()>,
    receipt: ReceiptSlot,
}

impl Prompt {
    pub(super) fn turn(&self) -> TurnId {
        self.ticket.turn_id.clone()
    }

    /// Its answer, which counts as sent only when this has passed.
    pub(super) async fn answer_held(self, held: Duration) -> Result<PromptResult, Refusal> {
        let answer = soon(self.ticket.answer).await.expect("a prompt is answered");
        tokio::time::sleep(held).await;
        let _ = self.answered.send(());
        answer
    }

    /// Its answer, which then counts as sent.
    pub(super) async fn answer(self) -> Result<PromptResult, Refusal> {
        let answer = soon(self.ticket.answer).await.expect("a prompt is answered");
        if let Some(receipt) = self.receipt.get() {
            receipt.written(0, Instant::now());
        }
        let _ = self.answered.send(());
        answer
    }
}

/// What the store has on a session, in its order.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) turns: Vec<TurnInfo>,
    pub(super) messages: Vec<Message>,
    pub(super) aborts: Vec<Abort>,
    pub(super) cancels: Vec<CancelRequest>,
    pub(super) late: Vec<(AbortId, CancelId)>,
    pub(super) titles: Vec<TitleGeneration>,
    pub(super) traces: Vec<StreamTrace>,
    pub(super) times: Vec<TurnTime>,
    pub(super) lives: Vec<(TurnId, LifecyclePoint)>,
    pub(super) incidents: Vec<Incident>,
}

impl Told {
    fn take(&mut self, record: Recorded) {
        match record {
            Recorded::Abort(abort) => self.aborts.push(*abort),
            Recorded::Diagnostic(Diagnostic::Cancel(cancel)) => self.cancels.push(cancel),
            Recorded::Diagnostic(Diagnostic::LateCancel { abort_id, cancel_id, .. }) => self.late.push((abort_id, cancel_id)),
            Recorded::Diagnostic(Diagnostic::Title(title)) => self.titles.push(title),
            Recorded::Diagnostic(Diagnostic::Trace(trace)) => self.traces.push(trace),
            Recorded::Diagnostic(Diagnostic::TurnTime(time)) => self.times.push(time),
            Recorded::Diagnostic(Diagnostic::Lifecycle(event)) => self.lives.push((event.turn_id, event.event)),
            Recorded::Diagnostic(Diagnostic::TitleState { .. } | Diagnostic::ToolRun(_) | Diagnostic::TurnBasis(_)) => {}
            Recorded::Diagnostic(Diagnostic::Incident(incident)) => self.incidents.push(incident),
        }
    }
}
