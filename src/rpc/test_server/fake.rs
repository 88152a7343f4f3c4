//! Made-up sessions: a prompt's text says what its turn does, and everything that arrives is written down.

use crate::protocol::abort::{CancelOutcome, RequestRef};
use crate::protocol::cause::Cause;
use crate::protocol::content::ContentBlock;
use crate::protocol::diagnostics::{Diagnostics, Usage};
use crate::protocol::export::Incident;
use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::mode::{Mode, SessionModes};
use crate::protocol::params::{
    ExportParams, ListSessionsParams, NewSessionParams, OpenSessionParams, PromptParams, SessionParams, SetConfigOptionParams,
    SetModeParams, ShellParams,
};
use crate::protocol::permission::PermissionOption;
use crate::protocol::results::{
    CancelResult, ConfigResult, Empty, ExportResult, ListSessionsResult, NewSessionResult, OpenSessionResult, PromptResult, StopReason,
};
use crate::protocol::update::{SessionUpdate, ToolCall, ToolCallStatus, ToolKind};
use crate::provenance::panics;
use crate::rpc::editor::RpcEditor;
use crate::rpc::lsp::OpenDocuments;
use crate::session::demand::{CancelDemand, CancelScope, End};
use crate::session::editor::{Editor, NumberedUpdate, Outgoing, PermissionAnswer, PermissionQuestion};
use crate::session::error::Refusal;
use crate::session::service::{Answer, PromptTicket, Reply, SessionService, ShellTicket, Way};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The session that is not there.
pub(in crate::rpc) const NOWHERE: &str = "nowhere";

pub(in crate::rpc) struct Fake {
    editor: Arc<RpcEditor>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    origins: Vec<RequestRef>,
    demands: Vec<CancelDemand>,
    stops: Vec<(Cause, &'static str, Option<RequestRef>)>,
    running: Vec<Running>,
    broken: Vec<Incident>,
    turns: u64,
}

struct Running {
    session: SessionId,
    turn: TurnId,
    answer: oneshot::Sender<Result<PromptResult, Refusal>>,
    way: Way,
}

impl Fake {
    pub(in crate::rpc) fn new(editor: Arc<RpcEditor>) -> Self {
        Self { editor, state: Mutex::default() }
    }

    pub(in crate::rpc) fn origins(&self) -> Vec<RequestRef> {
        self.state.lock().expect("state").origins.clone()
    }

    pub(in crate::rpc) fn demands(&self) -> Vec<CancelDemand> {
        self.state.lock().expect("state").demands.clone()
    }

    pub(in crate::rpc) fn stops(&self) -> Vec<(Cause, &'static str, Option<RequestRef>)> {
        self.state.lock().expect("state").stops.clone()
    }

    pub(in crate::rpc) fn broken(&self) -> Vec<Incident> {
        self.state.lock().expect("state").broken.clone()
    }

    fn note(&self, origin: RequestRef) {
        self.state.lock().expect("state").origins.push(origin);
    }

    pub(in crate::rpc) fn is_held_up(&self) -> bool {
        self.editor.is_full()
    }

    fn say(&self, session: &SessionId, turn: &TurnId, seq: u64) {
        say(&self.editor, session, turn, seq, format!("word {seq}"));
    }

    fn ask(&self, session: &SessionId, turn: &TurnId) -> oneshot::Receiver<PermissionAnswer> {
        let (reply, answer) = oneshot::channel();
        let call = ToolCall {
            tool_call_id: format!("call of {turn}"),
            title: "Write a.txt".into(),
            kind: ToolKind::Edit,
            status: ToolCallStatus::Pending,
            raw_input: serde_json::json!({"path": "a.txt"}),
            locations: Vec::new(),
        };
        let question = PermissionQuestion {
            turn_id: turn.clone(),
            message_id: MessageId::new("msg_1"),
            content: Vec::new(),
            options: &PermissionOption::ONCE,
            answered: Default::default(),
        };
        self.editor.post(Outgoing::AskPermission {
            session_id: session.clone(),
            call: Box::new(call),
            question: Box::new(question),
            reply,
        });
        answer
    }

    fn run(&self, session: &SessionId, turn: &TurnId, text: &str) -> Option<BoxFuture<'static, Result<PromptResult, Refusal>>> {
        let ended = |model: Option<String>| Ok(PromptResult { model, ..result(turn, StopReason::EndTurn) });
        let (word, number) = text.split_once(' ').unwrap_or((text, "0"));
        let number: u64 = number.parse().expect("a number");
        match word {
            "hang" => None,
            "say" => {
                (1..=number).for_each(|seq| self.say(session, turn, seq));
                Some(std::future::ready(ended(None)).boxed())
            }
            // 20 MB, as fast as the client reads.
            "pour" => {
                let (editor, session, turn) = (Arc::clone(&self.editor), session.clone(), turn.clone());
                tokio::spawn(async move {
                    for seq in 1..=2000 {
                        editor.room().await;
                        say(&editor, &session, &turn, seq, "x".repeat(10_000));
                    }
                });
                None
            }
            // The result's model tells how the question was answered.
            "ask" => {
                let (answer, turn) = (self.ask(session, turn), turn.clone());
                Some(
                    async move {
                        let answer = format!("{:?}", answer.await);
                        Ok(PromptResult { model: Some(answer), ..result(&turn, StopReason::EndTurn) })
                    }
                    .boxed(),
                )
            }
            // Asks, and takes the question back as soon as it was asked.
            "unask" => {
                drop(self.ask(session, turn));
                Some(std::future::ready(ended(None)).boxed())
            }
            "fail" => {
                let message = "The connection to the model provider failed.".into();
                let (cause, diagnostics) = (Cause::ProviderTransport, Box::default());
                Some(std::future::ready(Err(Refusal::TurnFailed { cause, turn_id: turn.clone(), message, diagnostics })).boxed())
            }
            "panic" => panic!("a handler that breaks at once"),
            other => panic!("no such order: {other}"),
        }
    }
}

fn say(editor: &RpcEditor, session: &SessionId, turn: &TurnId, seq: u64, text: String) {
    editor.post(Outgoing::Update(Box::new(NumberedUpdate {
        session_id: session.clone(),
        seq,
        turn_id: Some(turn.clone()),
        message_id: None,
        update: SessionUpdate::AgentMessageChunk { content: ContentBlock::text(text) },
        receipt: None,
    })));
}

fn result(turn: &TurnId, stop_reason: StopReason) -> PromptResult {
    PromptResult {
        stop_reason,
        turn_id: turn.clone(),
        message_id: MessageId::new("msg_2"),
        last_update: 0,
        usage: Usage::absent().into(),
        model: None,
        sentence: None,
        diagnostics: Diagnostics::default(),
    }
}

fn ready<T: Send + 'static>(value: Result<T, Refusal>) -> Answer<T> {
    std::future::ready(value).boxed()
}

fn opened() -> OpenSessionResult {
    OpenSessionResult {
        modes: SessionModes::at(Mode::Ask),
        config_options: Vec::new(),
        title: None,
        stops: Vec::new(),
        notices: vec!["a notice".into()],
    }
}

impl SessionService for Fake {
    fn create(&self, origin: RequestRef, params: NewSessionParams) -> Answer<NewSessionResult> {
        self.note(origin);
        let session_id = params.session_id.unwrap_or_else(|| SessionId::new("ses_1"));
        ready(Ok(NewSessionResult { session_id, modes: SessionModes::at(Mode::Ask), config_options: Vec::new(), notices: Vec::new() }))
    }

    fn load(&self, params: OpenSessionParams) -> Answer<OpenSessionResult> {
        let turn = TurnId::new("turn_0");
        (1..=3).for_each(|seq| self.say(&params.session_id, &turn, seq));
        ready(Ok(opened()))
    }

    fn resume(&self, params: OpenSessionParams) -> Answer<OpenSessionResult> {
        ready(if params.session_id.as_str() == NOWHERE { Err(Refusal::UnknownSession(params.session_id)) } else { Ok(opened()) })
    }

    /// The cursor says how it goes: it hangs, or breaks after a while.
    fn list(&self, params: ListSessionsParams) -> Answer<ListSessionsResult> {
        match params.cursor.as_deref() {
            Some("hang") => std::future::pending().boxed(),
            Some("panic") => async {
                tokio::task::yield_now().await;
                panic!("a handler that breaks later")
            }
            .boxed(),
            _ => ready(Ok(ListSessionsResult { sessions: Vec::new(), next_cursor: None })),
        }
    }

    fn close(&self, origin: RequestRef, _: SessionParams) -> Answer<Empty> {
        self.note(origin);
        ready(Ok(Empty {}))
    }

    fn delete(&self, origin: RequestRef, _: SessionParams) -> Answer<Empty> {
        self.note(origin);
        ready(Ok(Empty {}))
    }

    fn prompt(&self, origin: RequestRef, params: PromptParams, way: Way) -> PromptTicket {
        self.note(origin);
        let session = params.session_id;
        let (answer, receiver) = oneshot::channel();
        let turn = {
            let mut state = self.state.lock().expect("state");
            state.turns += 1;
            TurnId::new(format!("turn_{}", state.turns))
        };
        let Some(ContentBlock::Text { text }) = params.prompt.first() else { panic!("a text") };
        match self.run(&session, &turn, text) {
            Some(work) => drop(tokio::spawn(async move { drop(answer.send(work.await)) })),
            None => {
                let running = Running { session: session.clone(), turn: turn.clone(), answer, way };
                self.state.lock().expect("state").running.push(running);
            }
        }
        PromptTicket { session_id: session, turn_id: turn, answer: receiver }
    }

    fn shell(&self, origin: RequestRef, params: ShellParams, _way: Way) -> ShellTicket {
        self.note(origin);
        let (_, answer) = oneshot::channel();
        ShellTicket { session_id: params.session_id, turn_id: TurnId::new("turn_of_a_command"), answer }
    }

    fn cancel(&self, demand: CancelDemand) -> Reply<CancelResult> {
        assert_ne!(demand.session_id.as_str(), "panic", "a session that breaks");
        let (reply, receiver) = oneshot::channel();
        let mut state = self.state.lock().expect("state");
        let hit = state.running.iter().position(|running| match &demand.scope {
            CancelScope::Session => running.session == demand.session_id,
            CancelScope::Turn(turn) => running.turn == *turn,
        });
        let running = hit.map(|at| state.running.remove(at));
        let unknown = (demand.session_id.as_str() == NOWHERE).then(|| demand.session_id.clone());
        state.demands.push(demand);
        tokio::spawn(async move {
            let outcome = match (running, unknown) {
                (Some(Running { turn, answer, way, .. }), _) => {
                    drop(answer.send(Ok(result(&turn, StopReason::Cancelled))));
                    drop(way.queued.await);
                    Ok(CancelResult { outcome: CancelOutcome::Cancelled, turn_id: Some(turn), abort_id: None, abort: None })
                }
                (None, Some(session)) => Err(Refusal::UnknownSession(session)),
                (None, None) => Ok(CancelResult { outcome: CancelOutcome::Idle, turn_id: None, abort_id: None, abort: None }),
            };
            drop(reply.send(outcome));
        });
        receiver
    }

    /// The session's id says how many bytes the document has.
    fn export(&self, params: ExportParams) -> Answer<ExportResult> {
        let bytes: usize = params.session_id.as_str().parse().expect("a size");
        let document = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes - 2))).expect("json");
        ready(Ok(ExportResult { export: Some(document), path: None, bytes: None, sha256: None }))
    }

    fn set_config_option(&self, _: SetConfigOptionParams) -> Answer<ConfigResult> {
        ready(Ok(ConfigResult { config_options: Vec::new() }))
    }

    fn set_mode(&self, _: SetModeParams) -> Answer<Empty> {
        ready(Ok(Empty {}))
    }

    fn stop_all(&self, end: End) -> BoxFuture<'static, ()> {
        let End { cause, point, request, .. } = end;
        let mut state = self.state.lock().expect("state");
        state.stops.push((cause, point, request));
        let running = std::mem::take(&mut state.running);
        async move {
            for Running { turn, answer, .. } in running {
                tokio::task::yield_now().await;
                drop(answer.send(Ok(result(&turn, StopReason::Cancelled))));
            }
        }
        .boxed()
    }

    fn broke(&self, name: &'static str, session_id: Option<SessionId>, method: Option<&'static str>) {
        let incident = panics::contained().incident(name, session_id, 0);
        // Whoever panicked may have had it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.broken.push(Incident { method: method.map(Into::into), ..incident });
    }
}

/// Documents that write down what they are told.
#[derive(Default)]
pub(in crate::rpc) struct FakeDocuments(Mutex<Vec<String>>);

impl FakeDocuments {
    pub(in crate::rpc) fn told(&self) -> Vec<String> {
        self.0.lock().expect("told").clone()
    }
}

impl OpenDocuments for FakeDocuments {
    fn open(&self, uri: &str, version: i32, text: String) {
        assert!(!uri.ends_with("panic"), "a document that breaks");
        self.0.lock().expect("told").push(format!("open {uri} {version} {text}"));
    }

    fn change(&self, uri: &str, version: i32, text: String) {
        self.0.lock().expect("told").push(format!("change {uri} {version} {text}"));
    }

    fn close(&self, uri: &str) {
        self.0.lock().expect("told").push(format!("close {uri}"));
    }
}
