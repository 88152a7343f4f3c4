//! The matrix of stops: what ends a run, crossed with what the run was doing and what became of its title.
//!
//! Each case is judged by the sanitized export alone, and by what `pillion explain` makes of it: what stopped the run, who asked
//! and from which request, through which hops, in which phase, what the title was doing, which tools ran and how they ended,
//! what was lost, whether a retry is safe. A crash has its own file (`crash`): what it was doing is read from what was stored.

use crate::support::journey::{configured, fields};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::process::signal;
use crate::support::{Dialect, Editor, Framing, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Stdio;

/// What a run is doing when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Queued,
    WaitingForModel,
    Reasoning,
    Text,
    AwaitingPermission,
    ToolRunning,
    RetryBackoff,
}

impl Doing {
    fn phase(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::WaitingForModel => "waiting_for_model",
            Self::Reasoning => "reasoning",
            Self::Text => "text",
            Self::AwaitingPermission => "awaiting_permission",
            Self::ToolRunning => "tool_running",
            Self::RetryBackoff => "retry_backoff",
        }
    }

    /// The tools in flight and what becomes of them.
    fn tools(self) -> Value {
        match self {
            Self::AwaitingPermission => json!([{ "tool": "write_file", "effect": "write", "outcome": "withdrawn" }]),
            Self::ToolRunning => json!([{ "tool": "session/shell", "effect": "process", "outcome": "killed" }]),
            _ => json!([]),
        }
    }

    /// Hops that only such a run has.
    fn hops(self) -> &'static [&'static str] {
        match self {
            Self::Queued => &[],
            Self::WaitingForModel | Self::Reasoning | Self::Text => &["turn.stream_dropped"],
            Self::AwaitingPermission => &["permission.withdrawn"],
            Self::ToolRunning => &["process.terminated", "process.killed", "process.gone"],
            Self::RetryBackoff => &["turn.backoff_ended"],
        }
    }

    /// Bytes of text, bytes of reasoning, updates.
    fn produced(self) -> (u64, u64, u64) {
        match self {
            Self::Queued | Self::WaitingForModel | Self::RetryBackoff => (0, 0, 0),
            Self::Reasoning => (0, 2, 1),
            Self::Text => (4, 0, 1),
            Self::AwaitingPermission => (0, 0, 1),
            Self::ToolRunning => (0, 0, 3),
        }
    }

    fn retry(self) -> &'static str {
        match self {
            Self::Queued | Self::WaitingForModel | Self::RetryBackoff => "safe",
            Self::Reasoning | Self::Text | Self::AwaitingPermission => "it shows output again",
            Self::ToolRunning => "it may repeat a change: session/shell (killed)",
        }
    }
}

/// What stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    ClientCancel,
    RpcCancel,
    Superseded,
    SessionClosed,
    TurnTimeout,
    Shutdown,
    Eof,
    ExitWithoutShutdown,
    BrokenFraming,
    WriteFailed,
    Signal,
}

const STOPS: [Stop; 11] = [
    Stop::ClientCancel,
    Stop::RpcCancel,
    Stop::Superseded,
    Stop::SessionClosed,
    Stop::TurnTimeout,
    Stop::Shutdown,
    Stop::Eof,
    Stop::ExitWithoutShutdown,
    Stop::BrokenFraming,
    Stop::WriteFailed,
    Stop::Signal,
];

impl Stop {
    fn cause(self) -> &'static str {
        match self {
            Self::ClientCancel => "client_cancel",
            Self::RpcCancel => "rpc_cancel",
            Self::Superseded => "superseded_by_prompt",
            Self::SessionClosed => "session_closed",
            Self::TurnTimeout => "turn_timeout",
            Self::Shutdown => "shutdown_request",
            Self::Eof => "client_eof",
            Self::ExitWithoutShutdown => "exit_without_shutdown",
            Self::BrokenFraming => "client_framing_broken",
            Self::WriteFailed => "client_write_failed",
            Self::Signal => "signal",
        }
    }

    /// The hop at which it comes in.
    fn point(self) -> &'static str {
        match self {
            Self::ClientCancel => "rpc.session/cancel",
            Self::RpcCancel => "rpc.$/cancelRequest",
            Self::Superseded => "rpc.session/prompt",
            Self::SessionClosed => "rpc.session/close",
            Self::TurnTimeout => "watchdog.turn",
            Self::Shutdown => "rpc.shutdown",
            Self::Eof => "wire.eof",
            Self::ExitWithoutShutdown => "rpc.exit",
            Self::BrokenFraming => "wire.framing_broken",
            Self::WriteFailed => "wire.write_failed",
            Self::Signal => "process.signal",
        }
    }

    /// The method of the request that asked.
    fn method(self) -> Option<&'static str> {
        match self {
            Self::ClientCancel => Some("session/cancel"),
            Self::RpcCancel => Some("$/cancelRequest"),
            Self::Superseded => Some("session/prompt"),
            Self::SessionClosed => Some("session/close"),
            Self::Shutdown => Some("shutdown"),
            _ => None,
        }
    }

    /// It takes more than the one run with it.
    fn encloses(self) -> bool {
        !matches!(self, Self::ClientCancel | Self::RpcCancel | Self::Superseded | Self::TurnTimeout)
    }

    fn initiator(self) -> &'static str {
        if self == Self::ClientCancel { "user" } else { "unknown" }
    }

    /// Whether it can meet such a run: only a prompt that runs can be superseded, and the time of a turn begins when it does.
    fn meets(self, doing: Doing) -> bool {
        match self {
            Self::Superseded => !matches!(doing, Doing::Queued | Doing::ToolRunning),
            Self::TurnTimeout => doing != Doing::Queued,
            _ => true,
        }
    }
}

/// What became of the session's title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Titled {
    Disabled,
    /// The session was given one.
    ByTheUser,
    InFlight,
    Before,
}

impl Titled {
    /// The state that the export joins to the record.
    fn state(self, doing: Doing, stop: Stop) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::ByTheUser => "not_applicable",
            // A command starts no title, and a prompt that waits is not the first one: its title belongs to the turn before it.
            _ if doing == Doing::ToolRunning => "not_applicable",
            Self::Before if doing == Doing::Queued => "not_applicable",
            Self::Before => "completed_before_abort",
            Self::InFlight if stop.encloses() => "cancelled",
            Self::InFlight => "in_flight",
        }
    }
}

/// A run that is doing what it is to do, with all that must go on while it does.
struct Scene {
    home: Home,
    server: ModelServer,
    editor: Editor,
    session: String,
    /// The request whose run is stopped.
    asked: Value,
    /// Answers of the model that are kept open.
    _open: Vec<Exchange>,
}

async fn scene(doing: Doing, stop: Stop, titled: Titled) -> Scene {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let seconds = if stop == Stop::TurnTimeout { 1 } else { 0 };
    let command = configured(&home, &format!("[watchdog]\nturn_seconds = {seconds}\n"));
    let url = server.base_url();
    let mut args = vec!["--model", "openai:m", "--base-url", &url];
    if titled == Titled::Disabled {
        args.extend(["--title-model", "none"]);
    }
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let mut new = json!({ "cwd": home.workspace() });
    if titled == Titled::ByTheUser {
        new["title"] = json!("Mine");
    }
    let session = editor.call("session/new", new).await["sessionId"].as_str().expect("an id").to_owned();
    let mut open = Vec::new();
    if doing == Doing::ToolRunning {
        let command = "trap '' TERM; sleep 1000 & echo ready > ready; wait";
        let fifo = home.workspace().join("ready");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
        let asked = editor.request("session/shell", json!({ "sessionId": session, "command": command })).await;
        let ready = tokio::task::spawn_blocking(move || std::fs::read_to_string(fifo).expect("what the command writes"));
        assert_eq!(ready.await.expect("read"), "ready\n");
        return Scene { home, server, editor, session, asked, _open: open };
    }
    let mut asked = editor.prompt(&session, "tell me a story").await;
    let mut turn = server.next_request().await;
    if matches!(titled, Titled::InFlight | Titled::Before) {
        let second = server.next_request().await;
        let (its_turn, title) = if turn.body.get("tools").is_some() { (turn, second) } else { (second, turn) };
        turn = its_turn;
        if titled == Titled::Before {
            title.answer("A story").await;
            editor.next_update("session_info_update").await;
        } else {
            open.push(title);
        }
    }
    match doing {
        Doing::WaitingForModel | Doing::ToolRunning => {}
        Doing::Queued => {
            asked = editor.prompt(&session, "and another").await;
            // Answered behind the prompt: it waits now.
            crate::support::journey::export(&mut editor, &session).await;
        }
        Doing::Reasoning => {
            turn.delta(json!({ "reasoning_content": "hm" })).await;
            editor.next_update("agent_thought_chunk").await;
        }
        Doing::Text => {
            turn.text("Once").await;
            editor.next_update("agent_message_chunk").await;
        }
        Doing::AwaitingPermission => {
            turn.tool_call(0, "call_1", "write_file", &json!({ "path": "new.txt", "content": "new" })).await;
            turn.finish("tool_calls").await;
            turn.done().await;
            editor.next("session/request_permission").await;
            return Scene { home, server, editor, session, asked, _open: open };
        }
        Doing::RetryBackoff => {
            turn.error(503, &[("retry-after", "25")], "{}").await;
            let told = |message: &Value| message["params"]["update"]["_meta"]["pillion"]["retry"].is_object();
            editor.claim("the notice of a retry", told).await;
            return Scene { home, server, editor, session, asked, _open: open };
        }
    }
    open.push(turn);
    Scene { home, server, editor, session, asked, _open: open }
}

/// Stops the run and gives the sanitized export. Where the connection ends, another process writes it.
async fn stopped(scene: &mut Scene, stop: Stop) -> Value {
    let Scene { home, editor, session, asked, .. } = scene;
    match stop {
        Stop::ClientCancel => {
            editor.notify("session/cancel", json!({ "sessionId": session, "initiator": "user", "source": "nvim.keymap" })).await;
        }
        Stop::RpcCancel => editor.notify("$/cancelRequest", json!({ "id": asked })).await,
        Stop::Superseded => {
            let prompt = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "rather this" }], "whenBusy": "supersede" });
            editor.request("session/prompt", prompt).await;
        }
        Stop::SessionClosed => drop(editor.request("session/close", json!({ "sessionId": session })).await),
        Stop::Shutdown => drop(editor.request("shutdown", Value::Null).await),
        Stop::TurnTimeout => {}
        Stop::Eof => editor.hang_up(),
        Stop::ExitWithoutShutdown => editor.notify("exit", Value::Null).await,
        Stop::BrokenFraming => editor.raw(b"no header at all\r\n\r\n").await,
        Stop::WriteFailed => editor.close_stdout(),
        Stop::Signal => signal(editor.pid(), Signal::TERM),
    }
    let stays = matches!(stop, Stop::ClientCancel | Stop::RpcCancel | Stop::Superseded | Stop::SessionClosed | Stop::TurnTimeout);
    if stays {
        editor.answer(asked).await;
    } else if stop == Stop::Shutdown {
        editor.answer(asked).await;
        editor.notify("exit", Value::Null).await;
        editor.exited().await;
    } else {
        editor.exited().await;
    }
    if stays {
        return crate::support::journey::export(editor, session).await;
    }
    let mut other = Editor::lsp(home, &[]).await;
    let export = crate::support::journey::export(&mut other, session).await;
    other.ignore_updates();
    other.finish().await;
    export
}

/// What `pillion explain` makes of an export.
fn explained(home: &Home, export: &Value) -> String {
    let file = home.file("export.json", &export.to_string());
    let out = home.command().arg("explain").arg(file).stdin(Stdio::null()).output().expect("pillion runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

async fn case(doing: Doing, stop: Stop, titled: Titled) {
    let name = format!("{doing:?} x {stop:?} x {titled:?}");
    // That a request has left is told to its turn a moment after the server can have it; a stop in that moment is another case.
    let (mut scene, export) = loop {
        let mut scene = scene(doing, stop, titled).await;
        let export = stopped(&mut scene, stop).await;
        let too_early = |abort: &Value| abort["phase"] == "before_request";
        if doing != Doing::WaitingForModel || !export["diagnostics"]["aborts"].as_array().expect("aborts").iter().any(too_early) {
            break (scene, export);
        }
        scene.editor.kill();
        scene.editor.exited().await;
    };
    let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
    let abort = aborts.iter().find(|abort| abort["prompt_request"]["id"] == scene.asked).unwrap_or_else(|| panic!("{name}: no record"));
    let (text, reasoning, updates) = doing.produced();
    let tools: Vec<_> =
        abort["tools_in_flight"].as_array().expect("tools").iter().map(|tool| fields(tool, &["tool", "effect", "outcome"])).collect();
    let told = json!({
        "abort": fields(abort, &["cause", "phase", "initiator", "via_ctx_abort", "forced", "title_generation_state", "partial"]),
        "request": abort["request"]["method"], "tools": tools,
    });
    let expected = json!({
        "abort": {
            "cause": stop.cause(), "phase": doing.phase(), "initiator": stop.initiator(), "via_ctx_abort": stop.encloses(), "forced": false,
            "title_generation_state": titled.state(doing, stop),
            "partial": { "text_bytes": text, "reasoning_bytes": reasoning, "updates_sent": updates, "persisted_bytes": text + reasoning },
        },
        "request": stop.method(), "tools": doing.tools(),
    });
    assert_eq!(told, expected, "{name}");
    let hops: Vec<_> = abort["propagation"].as_array().expect("hops").iter().filter_map(|hop| hop["point"].as_str()).collect();
    let way: Vec<_> = [stop.point(), "runner.stopping"].iter().chain(doing.hops()).chain(&["turn.settled"]).copied().collect();
    // Whether the answer could still be handed over is the last hop.
    assert_eq!(hops.strip_suffix(&["turn.answered"]).unwrap_or(&hops), way, "{name}");
    let own = aborts.iter().filter(|other| other["turn_id"] == abort["turn_id"]).count();
    assert_eq!(own, 1, "{name}: one terminal record");

    let story = explained(&scene.home, &export);
    for said in [stop.cause(), doing.phase(), stop.point(), titled.state(doing, stop), doing.retry()] {
        assert!(story.contains(said), "{name}: {said} in\n{story}");
    }
    scene.editor.kill();
    scene.editor.exited().await;
    drop(scene.server);
}

async fn cases(doing: Doing) {
    for stop in STOPS.into_iter().filter(|stop| stop.meets(doing)) {
        for titled in [Titled::Disabled, Titled::ByTheUser, Titled::InFlight, Titled::Before] {
            // Where no title is made, there is none to be in flight.
            if doing != Doing::ToolRunning || matches!(titled, Titled::Disabled | Titled::ByTheUser) {
                case(doing, stop, titled).await;
            }
        }
    }
}

macro_rules! stopped_while {
    ($($name:ident: $doing:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            cases(Doing::$doing).await;
        }
    )*};
}

stopped_while! {
    queued: Queued,
    waiting_for_the_model: WaitingForModel,
    reasoning: Reasoning,
    text: Text,
    awaiting_permission: AwaitingPermission,
    tool_running: ToolRunning,
    retry_backoff: RetryBackoff,
}
