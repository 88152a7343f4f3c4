//! The log beside the export: the same ids, more of it when the editor asks, no text of anybody's, nothing on stderr.

use crate::support::journey::{ONE_ATTEMPT, configured, full_export, through_shell};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::path::Path;

/// The lines of a log, each of which must be JSON.
fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Whether a line, or one of the spans it stands in, says this.
fn tells(line: &Value, field: &str, value: &Value) -> bool {
    let spans = line["spans"].as_array().into_iter().flatten();
    line[field] == *value || spans.into_iter().any(|span| span[field] == *value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_export_are_joined_by_turn_and_abort() {
    let home = Home::new();
    let model = home.script(&json!({ "title": "Zq7title", "steps": [
        [{ "text": "Zq7fine" }],
        [{ "text": "Zq7cut " }, "stall"],
        [{ "http_error": { "status": 403, "message": "Zq7down" } }],
    ] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let fine = editor.prompt(&session, "Zq7one").await;
    editor.result(&fine).await;
    editor.next_update("agent_message_chunk").await;
    editor.next_update("session_info_update").await;
    let cut = editor.prompt(&session, "Zq7two").await;
    editor.next_update("agent_message_chunk").await;
    editor.call("session/cancel", json!({ "sessionId": session, "reason": "Zq7why" })).await;
    editor.result(&cut).await;
    let down = editor.prompt(&session, "Zq7three").await;
    editor.error(&down).await;
    let export = full_export(&mut editor, &session).await;
    editor.finish().await;

    let lines = lines(&home.log_file());
    let turns = export["session"]["turns"].as_array().expect("turns");
    let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
    assert_eq!((turns.len(), aborts.len()), (3, 2));
    for turn in turns {
        let ended = lines.iter().find(|line| line["message"] == "the turn has ended" && tells(line, "turn_id", &turn["turn_id"]));
        let ended = ended.unwrap_or_else(|| panic!("no line tells of the end of {turn}"));
        assert_eq!((&ended["abort_id"], &ended["session_id"]), (&turn["abort_id"], &turn["session_id"]));
        assert!(
            lines.iter().any(|line| line["level"] == "DEBUG" && tells(line, "turn_id", &turn["turn_id"])),
            "debug lines show their turn"
        );
    }
    for abort in aborts {
        let told = lines.iter().find(|line| line["message"] == "the turn is told to stop" && line["abort_id"] == abort["abort_id"]);
        let told = told.unwrap_or_else(|| panic!("no line tells of {abort}"));
        assert_eq!((&told["turn_id"], &told["cause"]), (&abort["turn_id"], &abort["cause"]));
    }
    let text = std::fs::read_to_string(home.log_file()).expect("a log");
    assert!(!text.contains("Zq7"), "somebody's words: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_editor_raises_the_level_and_lowers_it_again() {
    for (first, second, verbose) in [("verbose", "off", [true, false]), ("messages", "verbose", [false, true])] {
        let home = Home::new();
        let model = home.script(&json!({ "steps": [[{ "text": "a" }], [{ "text": "b" }], [{ "text": "c" }]] }));
        let mut command = home.command();
        command.env("PILLION_LOG_LEVEL", "info");
        let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &["--model", &model]);
        editor.initialize().await;
        let session = editor.new_session(&home).await;
        let mut turns = Vec::new();
        for trace in [None, Some(first), Some(second)] {
            if let Some(value) = trace {
                editor.notify("$/setTrace", json!({ "value": value })).await;
            }
            let prompt = editor.prompt(&session, "go").await;
            turns.push(editor.result(&prompt).await["turnId"].clone());
        }
        editor.ignore_updates();
        editor.finish().await;
        let lines = lines(&home.log_file());
        let of = |turn: &Value, level: &str| lines.iter().any(|line| line["level"] == level && tells(line, "turn_id", turn));
        let debug: Vec<_> = turns.iter().map(|turn| of(turn, "DEBUG")).collect();
        assert_eq!(debug, [false, verbose[0], verbose[1]], "{first}, then {second}");
        assert!(turns.iter().all(|turn| of(turn, "INFO")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_to_stderr_whatever_a_turn_meets() {
    let home = Home::new();
    let stderr = home.workspace().join("stderr.txt");
    let call = json!({ "tool_call": { "name": "write_file", "input": { "path": "x.txt", "content": "x" } } });
    let model = home.script(&json!({ "title": [{ "http_error": { "status": 500 } }], "steps": [
        [call], [{ "text": "done" }], [{ "http_error": { "status": 401 } }], [{ "transport_error": { "kind": "dns" } }],
        [{ "text": "half" }, "stall"],
    ] }));
    let mut command = through_shell(&home, &format!("exec \"$0\" \"$@\" 2>'{}'", stderr.display()));
    command.envs(configured(&home, ONE_ATTEMPT).get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PILLION_LOG_LEVEL", "trace").env("RUST_BACKTRACE", "1").env("RUST_LOG", "trace");
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &["--model", &model]);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "write").await;
    let question = editor.next("session/request_permission").await;
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    editor.result(&prompt).await;
    for _ in 0..2 {
        let prompt = editor.prompt(&session, "fail").await;
        editor.error(&prompt).await;
    }
    let prompt = editor.prompt(&session, "stall").await;
    while editor.next_update("agent_message_chunk").await["params"]["update"]["content"]["text"] != "half" {}
    editor.raw(b"Content-Length: 7\r\n\r\nno JSON").await;
    editor.answer(&Value::Null).await;
    editor.hang_up();
    editor.result(&prompt).await;
    assert_eq!(editor.exited().await.code(), Some(0));
    assert_eq!(std::fs::read_to_string(stderr).expect("a file"), "");
}
