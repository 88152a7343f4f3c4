//! `--deterministic`: the same script and the same requests give the same bytes.

use crate::support::{Editor, Framing, Home, editor::frame};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

/// Everything that a client read, as it stood on the wire.
fn transcript(home: &Home, data: &str, model: &str) -> String {
    let data = home.data_dir().join(data);
    let mut command: Command = home.command();
    let args = ["--model", model, "--deterministic", "--data-dir", data.to_str().expect("UTF-8")];
    let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("pillion starts");
    let mut stdin = child.stdin.take().expect("a stdin");
    let mut stdout = BufReader::new(child.stdout.take().expect("a stdout"));
    let mut send = |message: &Value| stdin.write_all(&frame(Framing::Lines, message)).expect("pillion reads");
    let mut read = String::new();
    let mut until = |wanted: &dyn Fn(&Value) -> bool| loop {
        let mut line = String::new();
        assert_ne!(stdout.read_line(&mut line).expect("a line"), 0, "pillion went on writing: {read}");
        read.push_str(&line);
        let message: Value = serde_json::from_str(&line).expect("JSON");
        if wanted(&message) {
            return message;
        }
    };
    let request = |id: &str, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let prompt = |id: &str| request(id, "session/prompt", json!({ "sessionId": "ses_1", "prompt": [{ "type": "text", "text": id }] }));

    send(&request("i", "initialize", json!({ "capabilities": {} })));
    send(&request("n", "session/new", json!({ "cwd": home.workspace() })));
    until(&|message| message["id"] == "n");
    send(&prompt("tools"));
    let question = until(&|message| message["method"] == "session/request_permission");
    let outcome = json!({ "outcome": { "outcome": "selected", "optionId": "reject_once" } });
    send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": outcome }));
    until(&|message| message["id"] == "tools");
    send(&prompt("fails"));
    until(&|message| message["id"] == "fails");
    send(&prompt("stalls"));
    until(&|message| message["params"]["update"]["content"]["text"] == "half of ");
    send(&request("stop", "session/cancel", json!({ "sessionId": "ses_1", "reason": "that is it" })));
    until(&|message| message["id"] == "stop");
    send(&request("full", "session/export", json!({ "sessionId": "ses_1", "sanitize": false })));
    until(&|message| message["id"] == "full");
    send(&request("list", "session/list", json!({})));
    until(&|message| message["id"] == "list");
    drop(stdin);
    stdout.read_to_string(&mut read).expect("the rest");
    assert!(child.wait().expect("an end").success());
    read
}

#[test]
fn two_runs_of_one_script_are_the_same_to_the_byte() {
    let home = Home::new();
    home.file("a.txt", "one\ntwo\n");
    let model = home.script(&json!({ "steps": [
        [{ "reasoning": "hm" }, { "tool_call": { "name": "read_file", "input": { "path": "a.txt" } } },
         { "tool_call": { "name": "write_file", "input": { "path": "b.txt", "content": "x" } } }],
        [{ "text": { "text": "some words ", "chunks": 3, "repeat": 20 } }, { "usage": { "input_tokens": 7, "output_tokens": 60 } }],
        [{ "text": "and then " }, { "protocol_error": { "kind": "provider_error", "message": "overloaded" } }],
        [{ "text": "half of " }, "stall"],
    ] }));
    let (first, second) = (transcript(&home, "one", &model), transcript(&home, "two", &model));
    for (number, (first, second)) in first.lines().zip(second.lines()).enumerate() {
        assert_eq!(first, second, "line {number}");
    }
    assert_eq!(first, second);
    assert!(first.contains("\"abort_1\"") && first.contains("1767225600000"), "ids count and the clock stands still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_count_from_one() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "hi" }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model, "--deterministic"]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "hello").await;
    let answer = editor.result(&prompt).await;
    assert_eq!((session.as_str(), &answer["turnId"]), ("ses_1", &json!("turn_1")));
    editor.ignore_updates();
    editor.finish().await;
}
