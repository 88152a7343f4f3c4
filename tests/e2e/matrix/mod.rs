//! The matrix of stops: what ends a run, crossed with what the run was doing and what became of its title.
//!
//! Each case is judged by the sanitized export alone, and by what `pillion explain` makes of it: what stopped the run, who asked
//! and from which request, through which hops, in which phase, what the title was doing, which tools ran and how they ended,
//! what was lost, whether a retry is safe. A crash has its own file (`crash`): what it was doing is read from what was stored.

mod axes;
mod deaths;
pub(crate) mod judge;
mod maintainer;
mod together;

use crate::support::fifo::Fifo;
use crate::support::journey::{begins, configured, explained_export, export, fields};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::process::signal;
use crate::support::{Dialect, Editor, Framing, Home};
use axes::{Doing, STOPS, Stop, Titled, whatever_it_does};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A run that is doing what it is to do, with all that must go on while it does.
struct Scene {
    home: Home,
    server: ModelServer,
    editor: Editor,
    session: String,
    /// The request whose run is stopped.
    asked: Value,
    /// Answers of the model that are kept open; the last one is the run's.
    open: Vec<Exchange>,
    /// The request that asked for the stop, if it was one.
    stop: Option<Value>,
    /// The process that `initialize` named, if its death is what stops the run.
    named: Option<Child>,
}

/// On a busy machine too, what is told to end has the time to do so.
const UNHURRIED: &str = "[grace]\nhard_ms = 900\n";

/// A command that says when it has begun, and does not end.
const LONG: &str = "sleep 1000 & echo $$ > fifo; wait";

async fn scene(doing: Doing, stop: Stop, titled: Titled) -> Scene {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let command = configured(&home, &format!("{UNHURRIED}{}", stop.settings(doing)));
    let url = server.base_url();
    let never = home.script(&never_connected(titled));
    let mut args = if doing == Doing::BeforeRequest { vec!["--model", &never] } else { vec!["--model", "openai:m", "--base-url", &url] };
    if titled == Titled::Disabled {
        args.extend(["--title-model", "none"]);
    }
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
    let named =
        (stop == Stop::ProcessDied).then(|| Command::new("cat").stdin(Stdio::piped()).kill_on_drop(true).spawn().expect("cat runs"));
    let mut hello = json!({ "processId": named.as_ref().and_then(Child::id), "capabilities": {} });
    if doing.names_its_client() {
        hello["clientInfo"] = json!({ "name": "An Editor", "version": "1.0+2" });
    }
    editor.call("initialize", hello).await;
    let mut new = json!({ "cwd": home.workspace() });
    if titled == Titled::ByTheUser {
        new["title"] = json!("Mine");
    }
    let session = editor.call("session/new", new).await["sessionId"].as_str().expect("an id").to_owned();
    let mut open = Vec::new();
    if doing == Doing::CommandRunning {
        let ready = Fifo::new(&home);
        let asked = editor.request("session/shell", json!({ "sessionId": session, "command": LONG })).await;
        ready.pids().await;
        return Scene { home, server, editor, session, asked, open, stop: None, named };
    }
    let mut asked = editor.prompt(&session, "tell me a story").await;
    if doing == Doing::BeforeRequest {
        // Answered behind the prompt: its turn has begun.
        export(&mut editor, &session).await;
        return Scene { home, server, editor, session, asked, open, stop: None, named };
    }
    let mut turn = server.next_request().await;
    if matches!(titled, Titled::InFlight | Titled::Before) && doing.is_answered() {
        begins(&mut turn).await;
        let title = server.next_request().await;
        if titled == Titled::Before {
            title.answer("A story").await;
            editor.next_update("session_info_update").await;
        } else {
            open.push(title);
        }
    }
    match doing {
        Doing::BeforeRequest | Doing::WaitingForModel | Doing::CommandRunning => {}
        Doing::Queued => {
            asked = editor.prompt(&session, "and another").await;
            // Answered behind the prompt: it waits now.
            export(&mut editor, &session).await;
        }
        Doing::Reasoning => {
            turn.delta(json!({ "reasoning_content": "hm" })).await;
            editor.next_update("agent_thought_chunk").await;
        }
        Doing::Text => {
            turn.text("Once").await;
            editor.next_update("agent_message_chunk").await;
        }
        Doing::ToolInput => {
            let begun = json!({ "name": "read_file", "arguments": "{\"pa" });
            let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": begun });
            turn.delta(json!({ "content": "Once", "tool_calls": [call] })).await;
            editor.next_update("agent_message_chunk").await;
            // Both came in one event. The words leave pillion first; behind an answer of the runner's the call was taken in as well.
            export(&mut editor, &session).await;
        }
        Doing::AwaitingPermission | Doing::ToolRunning => {
            let ready = Fifo::new(&home);
            turn.tool_call(0, "call_1", "shell", &json!({ "command": LONG })).await;
            turn.tool_call(1, "call_2", "write_file", &json!({ "path": "new.txt", "content": "new" })).await;
            turn.finish("tool_calls").await;
            turn.done().await;
            for _ in 0..2 {
                let question = editor.next("session/request_permission").await;
                if doing == Doing::ToolRunning {
                    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
                }
            }
            if doing == Doing::ToolRunning {
                ready.pids().await;
            }
            return Scene { home, server, editor, session, asked, open, stop: None, named };
        }
        Doing::RetryBackoff => {
            turn.error(503, &[("retry-after", "25")], "{}").await;
            let told = |message: &Value| message["params"]["update"]["_meta"]["pillion"]["retry"].is_object();
            editor.claim("the notice of a retry", told).await;
            return Scene { home, server, editor, session, asked, open, stop: None, named };
        }
    }
    open.push(turn);
    Scene { home, server, editor, session, asked, open, stop: None, named }
}

/// A model to which no connection comes about; the title's is another matter.
fn never_connected(titled: Titled) -> Value {
    let never = json!({ "delay_ms": 60_000 });
    let title = if titled == Titled::Before { json!([{ "text": "A story" }]) } else { json!([never]) };
    json!({ "steps": [[never, { "transport_error": { "kind": "connection_refused" } }]], "title": title })
}

/// Stops the run and gives the sanitized export. Where the connection ends, another process writes it.
async fn stopped(scene: &mut Scene, stop: Stop) -> Value {
    let Scene { home, editor, session, asked, open, stop: request, named, .. } = scene;
    let mut answer = if stop.is_fault() { open.pop() } else { None };
    match stop {
        Stop::ClientCancel => {
            editor.notify("session/cancel", json!({ "sessionId": session, "initiator": "user", "source": "nvim.keymap" })).await;
        }
        Stop::RpcCancel => editor.notify("$/cancelRequest", json!({ "id": asked })).await,
        Stop::Superseded => {
            let prompt = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "rather this" }], "whenBusy": "supersede" });
            *request = Some(editor.request("session/prompt", prompt).await);
        }
        Stop::SessionClosed => *request = Some(editor.request("session/close", json!({ "sessionId": session })).await),
        Stop::Shutdown => *request = Some(editor.request("shutdown", Value::Null).await),
        Stop::TurnTimeout | Stop::ConnectTimeout | Stop::FirstByteTimeout | Stop::IdleStreamTimeout => {}
        Stop::ProviderHttp => answer.take().expect("an answer").error(400, &[], "{}").await,
        Stop::ContextOverflow => {
            let body = json!({ "error": { "message": "too long", "code": "context_length_exceeded" } }).to_string();
            answer.take().expect("an answer").error(400, &[], &body).await;
        }
        Stop::ProviderTransport => answer.take().expect("an answer").reset(),
        Stop::ProviderProtocol => answer.as_mut().expect("an answer").raw(b"data: {\"choices\":[{\n\n").await,
        Stop::Eof => editor.hang_up(),
        Stop::ExitWithoutShutdown => editor.notify("exit", Value::Null).await,
        Stop::BrokenFraming => editor.raw(b"no header at all\r\n\r\n").await,
        Stop::WriteFailed => editor.close_stdout(),
        Stop::ProcessDied => named.as_mut().expect("a named process").kill().await.expect("cat was running"),
        Stop::Signal => signal(editor.pid(), Signal::TERM),
    }
    let stays = !stop.encloses() || stop == Stop::SessionClosed;
    if stays {
        editor.answer(asked).await;
    } else if stop == Stop::Shutdown {
        editor.answer(asked).await;
        // An exit before this answer would be one more that tries to stop what is still ending.
        editor.answer(request.as_ref().expect("the request")).await;
        editor.notify("exit", Value::Null).await;
        editor.exited().await;
    } else {
        editor.exited().await;
    }
    if stays {
        return export(editor, session).await;
    }
    let mut other = Editor::lsp(home, &[]).await;
    let export = export(&mut other, session).await;
    other.ignore_updates();
    other.finish().await;
    export
}

/// What is compared of the record of a call.
const CALL: [&str; 4] = ["call_id", "permission", "outcome", "signal"];

/// A scene and the export of its stop, the turn being where it is meant to be. That its call has begun, and that the request of the
/// call has left, is told to the turn a moment after a client can know it: a stop in that moment is another case.
async fn staged(doing: Doing, stop: Stop, titled: Titled) -> (Scene, Value) {
    for _ in 0..20 {
        let mut scene = scene(doing, stop, titled).await;
        let export = stopped(&mut scene, stop).await;
        let abort = export["diagnostics"]["aborts"].as_array().expect("aborts").iter().find(|abort| abort["phase"] == "before_request");
        let called = |abort: &Value| abort["propagation"].as_array().expect("hops").iter().any(|hop| hop["point"] == "turn.stream_dropped");
        let too_early = match doing {
            Doing::WaitingForModel => abort.is_some(),
            Doing::BeforeRequest => abort.is_some_and(|abort| !called(abort)),
            _ => false,
        };
        if stop.is_fault() || !too_early {
            return (scene, export);
        }
        scene.editor.kill();
        scene.editor.exited().await;
    }
    panic!("{doing:?} x {stop:?} x {titled:?}: every stop came too early");
}

/// Updates that can reach nobody any more: how a call ended.
fn untold(doing: Doing, stop: Stop) -> u64 {
    u64::from(stop == Stop::WriteFailed && matches!(doing, Doing::ToolRunning | Doing::CommandRunning))
}

/// The hops of such a stop, up to the end of the run.
fn way(doing: Doing, stop: Stop) -> Vec<&'static str> {
    // A fault has ended the work before the runner hears of it.
    let (by_itself, told_to_stop) = if stop.is_fault() { (stop.fault_hops(), &[][..]) } else { (&[][..], doing.hops()) };
    [&[stop.point()][..], by_itself, &["runner.stopping"], told_to_stop, &["turn.settled"]].into_iter().flatten().copied().collect()
}

async fn case(doing: Doing, stop: Stop, titled: Titled) {
    let name = format!("{doing:?} x {stop:?} x {titled:?}");
    let (mut scene, export) = staged(doing, stop, titled).await;
    let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
    let abort = aborts.iter().find(|abort| abort["prompt_request"]["id"] == scene.asked).unwrap_or_else(|| panic!("{name}: no record"));
    // A command of the user's own is named after its turn.
    let named = |call: &Value, names: &[&str]| {
        let own = format!("shell_{}", abort["turn_id"].as_str().expect("a turn"));
        let mut call = fields(call, names);
        if call["call_id"] == own {
            call["call_id"] = json!("shell");
        }
        call
    };
    let tools = abort["tools_in_flight"].as_array().expect("tools").iter();
    let tools: Vec<_> = tools.map(|tool| named(tool, &["call_id", "tool", "effect", "outcome"])).collect();
    let runs = export["diagnostics"]["tool_runs"].as_array().expect("records").iter();
    let calls: Vec<_> = runs.filter(|run| run["abort_id"] == abort["abort_id"]).map(|run| named(run, &CALL)).collect();
    let (text, reasoning, updates) = doing.produced();
    let updates = updates - untold(doing, stop);
    let told = json!({
        "abort": fields(abort, &["cause", "phase", "via_ctx_abort", "forced", "title_generation_state", "partial"]),
        "who": [abort["initiator"], abort["came_down_from"]], "upstream": upstream(&export, abort),
        "request": abort["request"]["method"], "tools": tools, "calls": calls,
    });
    let mut partial =
        json!({ "text_bytes": text, "reasoning_bytes": reasoning, "updates_sent": updates, "persisted_bytes": text + reasoning });
    if doing == Doing::ToolInput {
        partial["tool_inputs"] = json!([{ "bytes": 4, "tool": "read_file", "call_id": "call_1" }]);
    }
    let expected = json!({
        "abort": {
            "cause": stop.cause(), "phase": doing.phase(), "via_ctx_abort": stop.encloses(), "forced": false,
            "title_generation_state": titled.state(doing, stop),
            "partial": partial,
        },
        "who": [stop.initiator(), stop.came_down_from()], "upstream": stop.closed_by(doing),
        "request": stop.method(), "tools": doing.tools(), "calls": doing.calls(),
    });
    assert_eq!(told, expected, "{name}");
    judge::holds_together(abort, &export, &name);
    let hops: Vec<_> = abort["propagation"].as_array().expect("hops").iter().filter_map(|hop| hop["point"].as_str()).collect();
    // Whether the answer could still be handed over is the last hop.
    assert_eq!(hops.strip_suffix(&["turn.answered"]).unwrap_or(&hops), way(doing, stop), "{name}");
    let own = aborts.iter().filter(|other| other["turn_id"] == abort["turn_id"]).count();
    assert_eq!(own, 1, "{name}: one terminal record");

    let story = explained_export(&scene.home, &export);
    let its_own = story.split("Stop ").find(|part| part.contains(abort["abort_id"].as_str().expect("an id"))).unwrap_or_default();
    let cause = format!("[{}]", stop.cause());
    let facts = [
        ("what", cause.as_str()),
        ("phase", doing.phase()),
        ("hops", stop.point()),
        ("title", titled.state(doing, stop)),
        ("retry", doing.retry()),
    ];
    for (fact, said) in facts {
        let line = its_own.lines().find_map(|line| line.trim_start().strip_prefix(fact)).unwrap_or_default();
        assert!(line.contains(said), "{name}: {said} as its {fact} in\n{story}");
    }
    judge::tells_no_more_than_is_known(abort, its_own, &name);
    scene.editor.kill();
    scene.editor.exited().await;
    drop(scene.server);
}

/// Who closed the connection of the last attempt.
fn upstream(export: &Value, abort: &Value) -> Value {
    let mut traces = export["diagnostics"]["stream_traces"].as_array().expect("traces").iter();
    traces.rfind(|trace| trace["turn_id"] == abort["turn_id"]).map_or(Value::Null, |trace| trace["upstream"]["closed_by"].clone())
}

async fn cases(doing: Doing) {
    for stop in STOPS.into_iter().filter(|stop| stop.meets(doing)) {
        for titled in [Titled::Disabled, Titled::ByTheUser, Titled::InFlight, Titled::Before] {
            // Where no title is made, there is none to be in flight.
            if doing != Doing::CommandRunning || matches!(titled, Titled::Disabled | Titled::ByTheUser) {
                case(doing, stop, titled).await;
            }
        }
    }
}

whatever_it_does!(cases);

/// Of a deleted session nothing can be exported: what the answer to its request says is all that is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_whatever_it_does() {
    for doing in [Doing::Queued, Doing::Text, Doing::AwaitingPermission, Doing::ToolRunning, Doing::CommandRunning, Doing::RetryBackoff] {
        // No other setting than a close needs.
        let mut scene = scene(doing, Stop::SessionClosed, Titled::Disabled).await;
        let Scene { editor, session, asked, .. } = &mut scene;
        let delete = editor.request("session/delete", json!({ "sessionId": session })).await;
        let abort = editor.result(asked).await["diagnostics"]["abort"].take();
        let named = |tool: &Value| {
            let mut tool = fields(tool, &["call_id", "tool", "effect", "outcome"]);
            if doing == Doing::CommandRunning {
                tool["call_id"] = json!("shell");
            }
            tool
        };
        let tools: Vec<_> = abort["tools_in_flight"].as_array().expect("tools").iter().map(named).collect();
        let request = fields(&abort["request"], &["method", "id"]);
        let told = json!({ "abort": fields(&abort, &["cause", "phase", "forced"]), "request": request, "tools": tools });
        let expected = json!({
            "abort": { "cause": "session_deleted", "phase": doing.phase(), "forced": false },
            "request": { "method": "session/delete", "id": delete }, "tools": doing.tools(),
        });
        assert_eq!(told, expected, "{doing:?}");
        editor.result(&delete).await;
        let export = editor.request("session/export", json!({ "sessionId": session })).await;
        assert_eq!(editor.error(&export).await["data"]["sessionId"], json!(session), "{doing:?}");
        editor.ignore_updates();
        editor.kill();
        editor.exited().await;
    }
}

/// Every cause that a record can name is produced over the wire by one of these tests, and by name.
#[test]
fn every_cause_stands_in_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(root.join("schema/diagnostics.schema.json")).expect("the schema");
    let mut causes = Vec::new();
    collect_causes(&serde_json::from_str(&schema).expect("JSON"), &mut causes);
    assert!(causes.len() > 20, "{causes:?}");
    let mut texts = String::new();
    for directory in ["tests/e2e", "tests/e2e/matrix", "tests/cancel"] {
        for entry in std::fs::read_dir(root.join(directory)).expect("the tests") {
            texts.extend(std::fs::read_to_string(entry.expect("a file").path()));
        }
    }
    // `unknown` is for reading what other versions wrote.
    let missing: Vec<_> = causes.iter().filter(|cause| *cause != "unknown" && !texts.contains(&format!("\"{cause}\""))).collect();
    assert!(missing.is_empty(), "no test over the wire names {missing:?}");
}

fn collect_causes(schema: &Value, causes: &mut Vec<String>) {
    causes.extend(schema.pointer("/properties/cause/const").and_then(Value::as_str).map(str::to_owned));
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| collect_causes(value, causes)),
        Value::Array(items) => items.iter().for_each(|value| collect_causes(value, causes)),
        _ => {}
    }
}
