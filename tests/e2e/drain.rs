//! `--drain`: a client that sends everything and closes its end gets every answer before pillion leaves.

use crate::support::journey::{fields, pointed_at};
use crate::support::model_server::ModelServer;
use crate::support::process::{exported, signal};
use crate::support::{Dialect, Editor, Framing, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

/// What comes back for these messages in one write, and the exit code.
fn piped(home: &Home, args: &[&str], messages: &[Value]) -> (Vec<Value>, Option<i32>) {
    let mut child = home.command().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("pillion starts");
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    // Taking the handle closes it at the end of the statement.
    child.stdin.take().expect("a stdin").write_all(lines.as_bytes()).expect("pillion reads");
    let output = child.wait_with_output().expect("an end");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    (lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(), output.status.code())
}

fn request(id: &str, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn prompt(id: &str) -> Value {
    request(id, "session/prompt", json!({ "sessionId": "talk", "prompt": [{ "type": "text", "text": id }] }))
}

/// `initialize` and a session whose id the client chose.
fn opening(home: &Home) -> [Value; 2] {
    [
        request("hello", "initialize", json!({ "protocolVersion": 1, "clientCapabilities": {} })),
        request("new", "session/new", json!({ "cwd": home.workspace(), "sessionId": "talk", "mcpServers": [] })),
    ]
}

/// The text of an update, or the id and the end of an answer.
fn shown(message: &Value) -> String {
    let (update, result) = (&message["params"]["update"], &message["result"]);
    match (update["content"]["text"].as_str(), message["id"].as_str()) {
        (Some(text), _) => text.to_owned(),
        (_, Some(id)) => format!("{id}: {}", result["stopReason"].as_str().unwrap_or("answered")),
        _ => message["method"].as_str().expect("a method").to_owned(),
    }
}

#[test]
fn a_whole_conversation_in_one_write_is_answered_and_ends_by_itself() {
    let home = Home::new();
    let steps = json!([[{ "text": "one" }, { "delay_ms": 300 }, { "text": " and a half" }], [{ "text": "two" }]]);
    let model = home.script(&json!({ "steps": steps }));
    let [hello, new] = opening(&home);
    let (said, code) = piped(&home, &["--model", &model, "--drain"], &[hello, new, prompt("first"), prompt("second")]);
    let story: Vec<_> = said.iter().map(shown).collect();
    let expected = ["hello: answered", "new: answered", "one", " and a half", "first: end_turn", "two", "second: end_turn"];
    assert_eq!((story, code), (expected.map(str::to_owned).to_vec(), Some(0)));
}

#[test]
fn without_drain_the_end_of_input_stops_what_runs() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [["stall"]] }));
    let [hello, new] = opening(&home);
    let (said, code) = piped(&home, &["--model", &model], &[hello, new, prompt("only")]);
    let answer = said.last().expect("an answer");
    assert_eq!((shown(answer).as_str(), code), ("only: cancelled", Some(0)));
    assert_eq!(answer["result"]["_meta"]["pillion"]["diagnostics"]["abort"]["cause"], "client_eof");
}

#[test]
fn who_has_hung_up_cannot_allow_anything() {
    let home = Home::new();
    let call =
        |id: &str| json!({ "tool_call": { "id": id, "name": "write_file", "input": { "path": format!("{id}.txt"), "content": "x" } } });
    let model = home.script(&json!({ "steps": [[call("a")], [{ "delay_ms": 200 }, call("b")], [{ "text": "so be it" }]] }));
    let [hello, new] = opening(&home);
    let (said, code) = piped(&home, &["--model", &model, "--drain"], &[hello, new, prompt("write")]);
    assert_eq!((said.last().map(shown).as_deref(), code), (Some("write: end_turn"), Some(0)));
    let failed = |message: &&Value| message["params"]["update"]["status"] == "failed";
    assert_eq!(said.iter().filter(failed).count(), 2, "{said:#?}");
    assert_eq!(std::fs::read_dir(home.workspace()).expect("the workspace").count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_drains_other_ends_still_count() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let args = ["--model", "openai:test-model", "--base-url", &url, "--title-model", "none", "--drain"];
    let mut editor = Editor::ready(&home, Framing::Lines, Dialect::Acp, &args).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "take your time").await;
    let mut exchange = server.next_request().await;
    exchange.text("so").await;
    editor.next_update("agent_message_chunk").await;
    editor.hang_up();
    // It goes on after the end of input: more text arrives.
    exchange.text(" slow").await;
    editor.next_update("agent_message_chunk").await;
    signal(editor.pid(), Signal::TERM);
    let answer = editor.result(&prompt).await;
    let abort = &answer["_meta"]["pillion"]["diagnostics"]["abort"];
    assert_eq!(fields(abort, &["cause", "signal_name"]), json!({ "cause": "signal", "signal_name": "SIGTERM" }));
    assert_eq!(editor.exited().await.code(), Some(143));
    exchange.closed_by_client().await;
    assert_eq!(exported(&home, &session).await["diagnostics"]["aborts"][0]["cause"], "signal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_exit_is_not_waited_for() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &["--title-model", "none", "--drain"]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "take your time").await;
    let _exchange = server.next_request().await;
    editor.notify("exit", json!({})).await;
    assert_eq!(editor.result(&prompt).await["diagnostics"]["abort"]["cause"], "exit_without_shutdown");
    assert_eq!(editor.exited().await.code(), Some(1));
}
