//! Every end of a connection: the exit code, the time it takes, and the terminal record that it leaves behind.

use crate::support::editor::frame;
use crate::support::journey::export;
use crate::support::process::{LEAVES_WITHIN, Watched, exported, left, only_child, signal};
use crate::support::raw::framed;
use crate::support::{Dialect, Editor, Framing, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// What a turn that is to be ended stands on: it says one word and hangs.
fn hanging_script(home: &Home) -> String {
    home.script(&json!({ "steps": [[{ "text": "Once" }, "stall"]] }))
}

/// A turn that has said its word; the prompt's request id comes with it.
async fn hanging(home: &Home, framing: Framing) -> (Editor, String, Value) {
    let editor = Editor::start(home, framing, Dialect::Lsp, &["--model", &hanging_script(home)]);
    prompted(editor, home).await
}

async fn prompted(mut editor: Editor, home: &Home) -> (Editor, String, Value) {
    editor.initialize().await;
    let session = editor.new_session(home).await;
    let prompt = editor.prompt(&session, "tell me a story").await;
    editor.next_update("agent_message_chunk").await;
    (editor, session, prompt)
}

/// The session's one terminal record as another process finds it, without what differs from run to run.
async fn record(home: &Home, session: &str) -> Value {
    let export = exported(home, session).await;
    assert_eq!(export["session"]["turns"][0]["stop"], "cancelled", "{export:#}");
    let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
    assert_eq!(aborts.len(), 1, "{aborts:#?}");
    assert_eq!(export["session"]["turns"][0]["abort_id"], aborts[0]["abort_id"]);
    plain(&aborts[0])
}

fn plain(abort: &Value) -> Value {
    let mut abort = abort.clone();
    let fields = abort.as_object_mut().expect("a record");
    for changing in ["abort_id", "session_id", "turn_id", "message_id", "parent_id", "attempt_id", "boot_id", "prompt_request"] {
        assert!(fields.remove(changing).is_some(), "{changing} is missing in {fields:#?}");
    }
    for time in ["requested_at", "recorded_at", "settled_at", "settle_us"] {
        assert!(fields.remove(time).is_some_and(|time| time.is_u64()), "{time} is missing in {fields:#?}");
    }
    let hops = fields["propagation"].as_array().expect("hops");
    let points: Vec<_> = hops.iter().map(|hop| hop["point"].clone()).collect();
    fields["propagation"] = points.into();
    abort
}

/// What [`record`] finds of a turn that was stopped by `cause`, which came in at `point`.
fn stopped_by(cause: &Value, point: &str, ruled_out: &[&str]) -> Value {
    let mut expected = json!({
        "initiator": "unknown",
        "mode": "hard",
        "forced": false,
        "phase": "text",
        "title_generation_state": "disabled",
        "tools_in_flight": [],
        "propagation": [point, "runner.stopping", "turn.stream_dropped", "turn.settled", "turn.answered"],
        "propagation_point": "turn.stream_dropped",
        "via_ctx_abort": true,
        "came_down_from": if cause["cause"] == "signal" { "process" } else { "connection" },
        "ruled_out": ruled_out,
        "missing": [],
        "late_cancels": [],
        "partial": { "text_bytes": 4, "reasoning_bytes": 0, "updates_sent": 1, "persisted_bytes": 4 },
    });
    expected.as_object_mut().expect("an object").extend(cause.as_object().expect("an object").clone());
    expected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eof_of_an_idle_client_ends_at_once() {
    for framing in [Framing::Headers, Framing::Lines] {
        let home = Home::new();
        let mut editor = Editor::ready(&home, framing, Dialect::Lsp, &[]).await;
        editor.new_session(&home).await;
        let since = Instant::now();
        editor.hang_up();
        assert_eq!(left(&mut editor, since).await, Some(0));
    }
    // Before anything was said, too.
    let home = Home::new();
    let mut editor = Editor::start(&home, Framing::Lines, Dialect::Acp, &[]);
    let since = Instant::now();
    editor.hang_up();
    assert_eq!(left(&mut editor, since).await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eof_stops_the_running_turn_and_its_prompt_is_still_answered() {
    for framing in [Framing::Headers, Framing::Lines] {
        let home = Home::new();
        let (mut editor, session, prompt) = hanging(&home, framing).await;
        let since = Instant::now();
        editor.hang_up();
        let answer = editor.result(&prompt).await;
        assert_eq!((&answer["stopReason"], &answer["diagnostics"]["abort"]["cause"]), (&json!("cancelled"), &json!("client_eof")));
        assert_eq!(left(&mut editor, since).await, Some(0));
        let cause = json!({ "cause": "client_eof" });
        let ruled_out = ["asked_by_client", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
        assert_eq!(record(&home, &session).await, stopped_by(&cause, "wire.eof", &ruled_out));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_answers_behind_the_prompt_that_it_ends_and_exit_is_0() {
    let home = Home::new();
    let (mut editor, session, prompt) = hanging(&home, Framing::Headers).await;
    let since = Instant::now();
    let shutdown = editor.request("shutdown", Value::Null).await;
    let all = editor.all_until(&shutdown).await;
    assert_eq!(all.iter().map(|message| message["id"].clone()).collect::<Vec<_>>(), [prompt, shutdown.clone()]);
    assert_eq!(all[0]["result"]["stopReason"], "cancelled");
    assert_eq!(all[1], json!({ "jsonrpc": "2.0", "id": shutdown, "result": null }));
    let late = editor.request("session/list", json!({})).await;
    assert_eq!(editor.error(&late).await["code"], -32600);
    // stdin stays open: `exit` alone ends it.
    editor.notify("exit", Value::Null).await;
    assert_eq!(left(&mut editor, since).await, Some(0));
    let mut found = record(&home, &session).await;
    let mut request = found.as_object_mut().expect("a record").remove("request").expect("shutdown is a request");
    assert!(request.as_object_mut().expect("a request").remove("connection_id").is_some());
    let client = json!({ "name": "e2e", "version": "1.2.3" });
    assert_eq!(request, json!({ "method": "shutdown", "id": shutdown, "client": client, "transport": "stdio_lsp" }));
    let ruled_out = ["signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
    assert_eq!(found, stopped_by(&json!({ "cause": "shutdown_request" }), "rpc.shutdown", &ruled_out));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_and_the_exit_behind_it_are_one_demand_also_on_prompts_that_wait() {
    let home = Home::new();
    let (mut editor, session, _) = hanging(&home, Framing::Headers).await;
    for text in ["second", "third"] {
        editor.prompt(&session, text).await;
    }
    let message = |id: Value, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method });
    let mut exit = message(Value::Null, "exit");
    exit.as_object_mut().expect("a message").remove("id");
    editor.send_all(&[message(json!("end"), "shutdown"), exit]).await;
    editor.exited().await;
    let mut other = Editor::lsp(&home, &[]).await;
    let diagnostics = export(&mut other, &session).await["diagnostics"].take();
    let [demand] = diagnostics["cancel_requests"].as_array().expect("demands").as_slice() else { panic!("one demand: {diagnostics:#}") };
    assert_eq!((&demand["request"]["method"], &demand["outcome"]), (&json!("shutdown"), &json!("cancelled")));
    let aborts = diagnostics["aborts"].as_array().expect("aborts");
    let told: Vec<_> = aborts.iter().map(|abort| (&abort["cause"], &abort["request"]["id"], abort["late_cancels"] == json!([]))).collect();
    assert_eq!(told, vec![(&json!("shutdown_request"), &json!("end"), true); 3]);
    other.ignore_updates();
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_without_shutdown_is_1_while_stdin_stays_open() {
    let home = Home::new();
    let (mut editor, session, prompt) = hanging(&home, Framing::Headers).await;
    let since = Instant::now();
    editor.notify("exit", Value::Null).await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    assert_eq!(left(&mut editor, since).await, Some(1));
    let mut found = record(&home, &session).await;
    assert_eq!(found.as_object_mut().expect("a record").remove("request").map(|request| request["method"].clone()), Some(json!("exit")));
    let ruled_out = ["signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
    assert_eq!(found, stopped_by(&json!({ "cause": "exit_without_shutdown" }), "rpc.exit", &ruled_out));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_and_sighup_end_it_and_are_named() {
    for (sent, name, code) in [(Signal::TERM, "SIGTERM", 143), (Signal::HUP, "SIGHUP", 129)] {
        let home = Home::new();
        let (mut editor, session, prompt) = hanging(&home, Framing::Headers).await;
        let since = Instant::now();
        signal(editor.pid(), sent);
        assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
        assert_eq!(left(&mut editor, since).await, Some(code));
        let ruled_out = ["asked_by_client", "client_gone", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
        let cause = json!({ "cause": "signal", "signal_name": name });
        assert_eq!(record(&home, &session).await, stopped_by(&cause, "process.signal", &ruled_out));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_is_not_meant_for_a_server_behind_a_pipe() {
    let home = Home::new();
    let (mut editor, session, prompt) = hanging(&home, Framing::Headers).await;
    for _ in 0..3 {
        signal(editor.pid(), Signal::INT);
        editor.call("session/list", json!({})).await;
    }
    let cancelled = editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(cancelled["outcome"], "cancelled", "the turn was still running");
    assert_eq!(editor.result(&prompt).await["diagnostics"]["abort"]["cause"], "client_cancel");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_stdout_ends_it_although_nothing_is_written() {
    for framing in [Framing::Headers, Framing::Lines] {
        let home = Home::new();
        let (mut editor, session, _prompt) = hanging(&home, framing).await;
        let since = Instant::now();
        editor.close_stdout();
        assert_eq!(left(&mut editor, since).await, Some(3));
        let ruled_out = ["asked_by_client", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
        let mut expected = stopped_by(&json!({ "cause": "client_write_failed" }), "wire.write_failed", &ruled_out);
        assert_eq!(expected["propagation"].as_array_mut().expect("hops").pop(), Some("turn.answered".into()), "nobody can read an answer");
        assert_eq!(record(&home, &session).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complaints_into_a_closed_stdout_end_it_too() {
    for framing in [Framing::Headers, Framing::Lines] {
        let home = Home::new();
        let mut child = on(&home, Stdio::piped(), Stdio::piped());
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().expect("a stdin");
        let garbage = framed(framing, b"{]").repeat(20_000);
        let since = Instant::now();
        // It may be gone before it has read everything.
        let _ = stdin.write_all(&garbage).await;
        assert_eq!(child.wait().await.expect("pillion ends").code(), Some(3));
        assert!(since.elapsed() < LEAVES_WITHIN, "pillion left after {:?}", since.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_the_process_that_initialize_names_ends_it() {
    let home = Home::new();
    let mut named = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().expect("cat starts");
    let pid = named.id().expect("a running cat");
    let mut editor = Editor::start(&home, Framing::Headers, Dialect::Lsp, &["--model", &hanging_script(&home)]);
    editor.call("initialize", json!({ "processId": pid, "capabilities": {}, "clientInfo": { "name": "e2e" } })).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "tell me a story").await;
    editor.next_update("agent_message_chunk").await;
    let since = Instant::now();
    named.kill().await.expect("cat was running");
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    assert_eq!(left(&mut editor, since).await, Some(3));
    let ruled_out = ["asked_by_client", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
    let cause = json!({ "cause": "client_process_died", "pid": pid });
    assert_eq!(record(&home, &session).await, stopped_by(&cause, "process.died", &ruled_out));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_the_parent_ends_it_although_every_pipe_stays_open() {
    let home = Home::new();
    let model = hanging_script(&home);
    // The shell is the parent; the pipes belong to the test.
    let pillion = home.command();
    let mut shell = home.command_of("sh");
    shell.args(["-c", r#"exec 3<&0; "$0" "$@" <&3 & wait"#]).arg(pillion.get_program()).args(["--model", &model]);
    let editor = Editor::spawn(shell, Framing::Headers, Dialect::Lsp, &[]);
    let (mut editor, session, prompt) = prompted(editor, &home).await;
    let shell = editor.pid();
    let pillion = Watched::open(only_child(shell));
    editor.kill();
    assert!(pillion.gone_within(LEAVES_WITHIN).await, "pillion outlived its parent");
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    assert_eq!(editor.exited().await.code(), None, "the shell was killed");
    let ruled_out = ["asked_by_client", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
    let cause = json!({ "cause": "client_process_died", "pid": shell });
    assert_eq!(record(&home, &session).await, stopped_by(&cause, "process.died", &ruled_out));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_header_block_ends_it() {
    let home = Home::new();
    let (mut editor, session, prompt) = hanging(&home, Framing::Headers).await;
    let since = Instant::now();
    editor.raw(b"Content-Length: many\r\n\r\n").await;
    let told = editor.error(&Value::Null).await;
    assert_eq!(told, json!({ "code": -32700, "message": "Content-Length is not a count of bytes; send decimal digits only" }));
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    assert_eq!(left(&mut editor, since).await, Some(2));
    let ruled_out = ["asked_by_client", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
    let cause = json!({ "cause": "client_framing_broken" });
    assert_eq!(record(&home, &session).await, stopped_by(&cause, "wire.framing_broken", &ruled_out));
}

/// Starts pillion on these ends.
fn on(home: &Home, stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Child {
    let mut command = Command::from(home.command());
    command.args(["--model", &hanging_script(home)]).stdin(stdin).stdout(stdout).kill_on_drop(true).spawn().expect("pillion starts")
}

fn ours(socket: UnixStream) -> tokio::net::UnixStream {
    socket.set_nonblocking(true).expect("an open socket");
    tokio::net::UnixStream::from_std(socket).expect("an open socket")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_serve_as_stdin_and_stdout_one_for_each_or_one_for_both() {
    for both in [false, true] {
        let home = Home::new();
        let (near, far) = UnixStream::pair().expect("a pair");
        let (near_out, far_out) = UnixStream::pair().expect("a pair");
        let editor = if both {
            let child = on(&home, OwnedFd::from(far.try_clone().expect("a copy")), OwnedFd::from(far));
            let (read, write) = ours(near).into_split();
            Editor::attach(child, Box::new(write), Box::new(read), Framing::Headers, Dialect::Lsp)
        } else {
            let child = on(&home, OwnedFd::from(far), OwnedFd::from(far_out));
            Editor::attach(child, Box::new(ours(near)), Box::new(ours(near_out)), Framing::Headers, Dialect::Lsp)
        };
        let (mut editor, session, prompt) = prompted(editor, &home).await;
        let since = Instant::now();
        editor.hang_up();
        assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
        assert_eq!(left(&mut editor, since).await, Some(0));
        let ruled_out = ["asked_by_client", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"];
        assert_eq!(record(&home, &session).await, stopped_by(&json!({ "cause": "client_eof" }), "wire.eof", &ruled_out));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_in_a_file_is_answered_into_a_file() {
    let home = Home::new();
    let prompt = json!({ "sessionId": "mine", "prompt": [{ "type": "text", "text": "tell me a story" }] });
    let mut asked = vec![
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "capabilities": {} } }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "session/new", "params": { "cwd": home.workspace(), "sessionId": "mine" } }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "session/prompt", "params": prompt }),
    ];
    // Work that is still under way when the file ends.
    let reads = (4..50).map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "session/export", "params": { "sessionId": "mine" } }));
    asked.extend(reads);
    let bytes: Vec<u8> = asked.iter().flat_map(|message| frame(Framing::Lines, message)).collect();
    let (asked, answered) = (home.file("asked.jsonl", ""), home.file("answered.jsonl", ""));
    std::fs::write(&asked, bytes).expect("a file");
    let open = |path| std::fs::File::options().read(true).write(true).open(path).expect("a file");
    let since = Instant::now();
    let status = on(&home, open(&asked), open(&answered)).wait().await.expect("pillion ends");
    assert!(since.elapsed() < LEAVES_WITHIN, "pillion left after {:?}", since.elapsed());
    assert_eq!(status.code(), Some(0));
    let lines = std::fs::read_to_string(&answered).expect("text");
    let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut ids: Vec<_> = answers.iter().filter_map(|answer| answer["id"].as_u64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..50).collect::<Vec<_>>(), "everything is answered once");
    let prompt = answers.iter().find(|answer| answer["id"] == 3).expect("it was found above");
    assert_eq!(prompt["result"]["diagnostics"]["abort"]["cause"], "client_eof", "{prompt}");
}
