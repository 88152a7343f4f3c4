//! The connections of a session in its export: who was there, how each ended, what was said last. And what came in beside
//! the stop that won.

use crate::support::journey::configured;
use crate::support::process::{exported, left, signal};
use crate::support::raw::framed;
use crate::support::{Dialect, Editor, Framing, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

fn hanging_script(home: &Home) -> String {
    home.script(&json!({ "steps": [[{ "text": "Once" }, "stall"]] }))
}

/// A client that named `process` and whose turn has said its word.
async fn hanging(home: &Home, process: Value) -> (Editor, String, Value) {
    let mut editor = Editor::start(home, Framing::Headers, Dialect::Lsp, &["--model", &hanging_script(home)]);
    let client = json!({ "name": "Some Editor", "version": "1.2" });
    editor.call("initialize", json!({ "processId": process, "capabilities": {}, "clientInfo": client })).await;
    let session = editor.new_session(home).await;
    let prompt = editor.prompt(&session, "tell me a story").await;
    editor.next_update("agent_message_chunk").await;
    (editor, session, prompt)
}

/// The one connection of an export, without its times, which must be there and in order.
fn connection(export: &Value) -> Value {
    let connections = export["diagnostics"]["connections"].as_array().expect("connections");
    assert_eq!(connections.len(), 1, "{connections:#?}");
    let mut connection = connections[0].clone();
    let abort = &export["diagnostics"]["aborts"][0];
    assert_eq!(connection["connection_id"], abort["prompt_request"]["connection_id"]);
    let fields = connection.as_object_mut().expect("a record");
    fields.remove("connection_id");
    let opened = fields.remove("opened_at").and_then(|at| at.as_u64()).expect("a time");
    if let Some(closed) = fields.remove("closed_at") {
        assert!(closed.as_u64() >= Some(opened), "{fields:#?}");
    }
    for message in ["last_read", "last_written"] {
        if let Some(message) = fields.get_mut(message).and_then(Value::as_object_mut) {
            assert!(message.remove("at").and_then(|at| at.as_u64()) >= Some(opened), "{message:#?}");
        }
    }
    connection
}

/// The rows of the demands to stop: cause and outcome.
fn demands(export: &Value) -> Vec<(&str, &str)> {
    let rows = export["diagnostics"]["cancel_requests"].as_array().expect("rows").iter();
    rows.map(|row| (row["cause"].as_str().expect("a cause"), row["outcome"].as_str().expect("an outcome"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_leaves_the_record_of_its_connection() {
    type End = fn(&mut Editor);
    let ends: [(&str, End, Value); 5] = [
        ("client_eof", Editor::hang_up, json!({ "closed_by": "eof" })),
        ("client_write_failed", |editor| editor.close_stdout(), json!({ "closed_by": "write_failed" })),
        ("signal", |editor| signal(editor.pid(), Signal::TERM), json!({ "closed_by": "signal", "signal_name": "SIGTERM" })),
        ("signal", |editor| signal(editor.pid(), Signal::HUP), json!({ "closed_by": "signal", "signal_name": "SIGHUP" })),
        ("crash_recovered", Editor::kill, json!({})),
    ];
    for (cause, end, closed) in ends {
        let home = Home::new();
        let (mut editor, session, prompt) = hanging(&home, Value::Null).await;
        end(&mut editor);
        editor.exited().await;
        let export = exported(&home, &session).await;
        let abort = &export["diagnostics"]["aborts"][0];
        assert_eq!(abort["cause"], cause);
        let client = json!({ "name": "Some Editor", "version": "1.2" });
        let mut expected = json!({
            "client": client,
            "transport": "stdio_lsp",
            "process": { "pid": std::process::id(), "known_from": "parent" },
        });
        let fields = expected.as_object_mut().expect("an object");
        fields.extend(closed.as_object().expect("an object").clone());
        if cause != "crash_recovered" {
            fields.insert("last_read".into(), json!({ "method": "session/prompt", "id": prompt }));
            // Nobody could read an answer behind the last word.
            let last = json!({ "method": "response", "id": prompt });
            fields.insert("last_written".into(), if cause == "client_write_failed" { json!({ "method": "session/update" }) } else { last });
        }
        assert_eq!(connection(&export), expected, "{cause}");
        let mut asked = abort["prompt_request"].clone();
        asked.as_object_mut().expect("a record").remove("connection_id");
        assert_eq!(asked, json!({ "id": prompt, "method": "session/prompt", "client": client, "transport": "stdio_lsp" }));
        assert!(!abort["missing"].as_array().expect("a list").contains(&json!("client")), "{abort:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_is_a_message_of_the_clients_with_its_request() {
    for shut_down in [false, true] {
        let home = Home::new();
        let (mut editor, session, prompt) = hanging(&home, Value::Null).await;
        if shut_down {
            let shutdown = editor.request("shutdown", Value::Null).await;
            editor.answer(&prompt).await;
            editor.answer(&shutdown).await;
        }
        editor.notify("exit", Value::Null).await;
        if !shut_down {
            editor.answer(&prompt).await;
        }
        assert_eq!(editor.exited().await.code(), Some(i32::from(!shut_down)));
        let export = exported(&home, &session).await;
        let mut request = export["diagnostics"]["aborts"][0]["request"].clone();
        assert!(request.as_object_mut().is_some_and(|request| request.remove("connection_id").is_some()), "{export:#}");
        let client = json!({ "name": "Some Editor", "version": "1.2" });
        let (method, closed_by) = if shut_down { ("shutdown", "exit") } else { ("exit", "exit_without_shutdown") };
        assert_eq!((&request["method"], &request["client"], &request["transport"]), (&json!(method), &client, &json!("stdio_lsp")));
        assert_eq!(request["id"].is_null(), !shut_down, "{request}");
        let connection = connection(&export);
        assert_eq!((&connection["closed_by"], &connection["last_read"]), (&json!(closed_by), &json!({ "method": "exit" })));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_a_client_that_named_its_process_is_told_with_it() {
    let home = Home::new();
    let mut named = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().expect("cat starts");
    let pid = named.id().expect("a running cat");
    let (mut editor, session, prompt) = hanging(&home, json!(pid)).await;
    // What it had said before its death counts as said before it.
    editor.notify("session/cancel", json!({ "sessionId": session })).await;
    named.kill().await.expect("cat was running");
    assert_eq!(editor.answer(&prompt).await["result"]["diagnostics"]["abort"]["cause"], "client_cancel");
    assert_eq!(editor.exited().await.code(), Some(3));
    let connection = connection(&exported(&home, &session).await);
    assert_eq!(
        (&connection["closed_by"], &connection["process"]),
        (&json!("process_died"), &json!({ "pid": pid, "known_from": "initialize" }))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_say_who_it_is_gets_no_name() {
    let home = Home::new();
    let mut editor = Editor::start(&home, Framing::Lines, Dialect::Lsp, &["--model", &hanging_script(&home)]);
    editor.call("initialize", json!({ "capabilities": {}, "clientInfo": { "version": "9" } })).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    editor.next_update("agent_message_chunk").await;
    let cancelled = editor.call("session/cancel", json!({ "sessionId": session })).await;
    let abort = &cancelled["abort"];
    assert_eq!(
        (&abort["missing"], &abort["prompt_request"]["client"], &abort["request"]["client"]),
        (&json!(["client"]), &Value::Null, &Value::Null)
    );
    assert_eq!(editor.result(&prompt).await["diagnostics"]["cancel_requests"][0]["missing"], json!(["client"]));
    let export = editor.call("session/export", json!({ "sessionId": session })).await;
    assert_eq!(export["export"]["diagnostics"]["connections"][0]["client"], Value::Null);
    assert!(!export.to_string().contains("\"unknown\":") && !export.to_string().contains("{\"name\":\"unknown\""), "{export:#}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eof_behind_the_cancel_that_won_leaves_its_row() {
    for id in [json!("stop"), Value::Null] {
        let home = Home::new();
        let prompt = json!({ "sessionId": "mine", "prompt": [{ "type": "text", "text": "go" }] });
        let mut cancel = json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": "mine" } });
        if !id.is_null() {
            cancel["id"] = id;
        }
        let asked = [
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "capabilities": {} } }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "session/new", "params": { "cwd": home.workspace(), "sessionId": "mine" } }),
            json!({ "jsonrpc": "2.0", "id": 3, "method": "session/prompt", "params": prompt }),
            cancel,
        ];
        // A file ends where its last message does.
        let bytes: Vec<u8> = asked.iter().flat_map(|message| framed(Framing::Lines, message.to_string().as_bytes())).collect();
        let (asked, answered) = (home.file("asked.jsonl", ""), home.file("answered.jsonl", ""));
        std::fs::write(&asked, bytes).expect("a file");
        let open = |path| std::fs::File::options().read(true).write(true).open(path).expect("a file");
        let mut command = Command::from(home.command());
        command.args(["--model", &hanging_script(&home)]).stdin(open(asked)).stdout(open(answered)).kill_on_drop(true);
        assert_eq!(command.status().await.expect("pillion ends").code(), Some(0));
        let export = exported(&home, "mine").await;
        assert_eq!(demands(&export), [("client_cancel", "cancelled"), ("client_eof", "already_stopping")]);
        let (abort, rows) = (&export["diagnostics"]["aborts"][0], &export["diagnostics"]["cancel_requests"]);
        assert_eq!((&rows[1]["abort_id"], &abort["late_cancels"]), (&abort["abort_id"], &json!([rows[1]["cancel_id"]])));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_is_not_meant_for_us_leaves_its_row_and_stops_nothing() {
    let home = Home::new();
    let (mut editor, session, prompt) = hanging(&home, Value::Null).await;
    signal(editor.pid(), Signal::INT);
    let since = Instant::now();
    let row = loop {
        let export = editor.call("session/export", json!({ "sessionId": session, "sanitize": false })).await;
        match &export["export"]["diagnostics"]["cancel_requests"][0] {
            Value::Null => assert!(since.elapsed() < Duration::from_secs(20), "no row was left"),
            row => break row.clone(),
        }
    };
    assert_eq!(
        (&row["cause"], &row["signal_name"], &row["outcome"], &row["abort_id"]),
        (&json!("signal"), &json!("SIGINT"), &json!("ignored_signal"), &Value::Null)
    );
    let cancelled = editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!((&cancelled["outcome"], &cancelled["turnId"]), (&json!("cancelled"), &row["turn_id"]));
    assert_eq!(editor.result(&prompt).await["diagnostics"]["abort"]["cause"], "client_cancel");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_leaves_its_row_behind_the_first() {
    let home = Home::new();
    let mut editor = Editor::spawn(configured(&home, "[grace]\nhard_ms = 700\n"), Framing::Headers, Dialect::Lsp, &[]);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    editor.ignore_updates();
    // It writes down that it was told to end, and goes on.
    let (up, told) = (home.workspace().join("up"), home.workspace().join("told"));
    let command = "trap 'echo > told' TERM; echo > up; while :; do sleep 0.05; done";
    editor.request("session/shell", json!({ "sessionId": session, "command": command })).await;
    there(&up).await;
    signal(editor.pid(), Signal::TERM);
    there(&told).await;
    signal(editor.pid(), Signal::HUP);
    let since = Instant::now();
    assert_eq!(left(&mut editor, since).await, Some(143));
    let export = exported(&home, &session).await;
    assert_eq!(demands(&export), [("signal", "cancelled"), ("signal", "already_stopping")]);
    let (abort, late) = (&export["diagnostics"]["aborts"][0], &export["diagnostics"]["cancel_requests"][1]);
    assert_eq!((&abort["signal_name"], &late["signal_name"]), (&json!("SIGTERM"), &json!("SIGHUP")));
    assert_eq!(abort["late_cancels"], json!([late["cancel_id"]]));
}

/// Waits for a file.
async fn there(file: &std::path::Path) {
    let since = Instant::now();
    while !file.exists() {
        assert!(since.elapsed() < Duration::from_secs(20), "{} never came", file.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
