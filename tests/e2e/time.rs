//! Where the time of a turn goes: every wait that a test makes is found in the turn's record, in its lane, and the lanes add up to
//! the whole.

use crate::support::fifo::Fifo;
use crate::support::journey::{UNTITLED, configured, explained, explained_export, export, pointed_at};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long each wait is made to last, at the least.
const WAIT: Duration = Duration::from_millis(200);

/// How much of a wait may lie before pillion knows of it, or behind it, in microseconds.
const SLACK: u64 = 60_000;

/// A wait of this test's making, in which nothing that pillion waits for can come.
async fn wait() -> u64 {
    let begun = Instant::now();
    tokio::time::sleep(WAIT).await;
    micros(begun)
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).expect("a short test")
}

/// The record of a turn's time. It tells every instant, and until the answer was on its way no more than the client saw pass.
fn time_of(export: &Value, turn: &Value, seen_us: u64) -> Value {
    let times = export["diagnostics"]["turn_times"].as_array().expect("records");
    let time = times.iter().find(|time| time["turn_id"] == *turn).unwrap_or_else(|| panic!("no time of {turn} in {times:?}"));
    let lanes = time["spent"].as_array().expect("lanes").iter().map(|spent| spent["us"].as_u64().expect("microseconds"));
    assert_eq!(Some(lanes.sum()), time["total_us"].as_u64(), "nothing is unexplained: {time}");
    // That the answer is written is known to pillion when the client may have read it already.
    let until_answered = time["total_us"].as_u64().map(|total| total - spent(time, &["answer"]));
    assert!(until_answered <= Some(seen_us), "the client saw {seen_us} us pass: {time}");
    time.clone()
}

/// What a turn spent in these lanes together.
fn spent(time: &Value, lanes: &[&str]) -> u64 {
    let all = time["spent"].as_array().expect("lanes").iter();
    all.filter(|spent| lanes.contains(&spent["on"].as_str().expect("a lane")))
        .map(|spent| spent["us"].as_u64().expect("microseconds"))
        .sum()
}

/// The turn spent these microseconds in these lanes.
fn has_spent(time: &Value, lanes: &[&str], least: u64) {
    assert!(spent(time, lanes) + SLACK >= least, "{least} us of {lanes:?} in {time}");
}

fn lanes(time: &Value) -> Vec<&str> {
    time["spent"].as_array().expect("lanes").iter().map(|spent| spent["on"].as_str().expect("a lane")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wait_of_a_turn_stands_in_its_lane() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let args = ["--model", "openai:m", "--base-url", &url, UNTITLED[0], UNTITLED[1]];
    let mut editor = Editor::spawn(configured(&home, "[retry]\nfirst_delay_ms = 200\n"), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let begun = Instant::now();
    let prompt = editor.prompt(&session, "go").await;
    let queued_at = Instant::now();
    let queued =
        editor.request("session/prompt", json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "and then" }] })).await;
    // Answered behind the prompt: it waits now.
    export(&mut editor, &session).await;

    server.next_request().await.error(503, &[], "{}").await;
    let mut exchange = server.next_request().await;
    let silent = wait().await;
    exchange.text("Once").await;
    editor.next_update("agent_message_chunk").await;
    let writing = wait().await;
    exchange.tool_call(0, "call_1", "shell", &json!({ "command": "echo 1 > fifo; read go < fifo" })).await;
    exchange.finish("tool_calls").await;
    exchange.done().await;
    let question = editor.next("session/request_permission").await;
    let asking = wait().await;
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    fifo.pids().await;
    let running = wait().await;
    fifo.write("go\n");
    server.next_request().await.answer("upon a time").await;
    let answer = editor.result(&prompt).await;
    let seen = micros(begun);
    server.next_request().await.answer("The end").await;
    let next = editor.result(&queued).await;
    let seen_of_next = micros(queued_at);
    editor.ignore_updates();

    let export = export(&mut editor, &session).await;
    let time = time_of(&export, &answer["turnId"], seen);
    for (lanes, least) in [
        (&["backoff"][..], 200_000),
        // That the request has left is told to the turn a moment after the server can have it.
        (&["model_connect", "model_wait"], silent),
        (&["model_stream"], writing),
        (&["question"], asking),
        (&["tools"], running),
    ] {
        has_spent(&time, lanes, least);
    }
    assert_eq!(spent(&time, &["queue", "catching_up", "client", "editor"]), 0, "{time}");
    assert!(["opening", "store", "commit"].iter().all(|lane| lanes(&time).contains(lane)), "{time}");
    let time = time_of(&export, &next["turnId"], seen_of_next);
    has_spent(&time, &["queue"], 200_000 + silent + writing + asking + running);

    // The same told to a person, of a turn that nobody stopped.
    let told = explained(&home, next["turnId"].as_str().expect("an id"));
    assert!(told.starts_with("What happened:  The turn ended by itself: the model had finished.\n"), "{told}");
    assert!(
        told.contains(" s in the queue behind other turns (from +") || told.contains(" ms in the queue behind other turns (from +"),
        "{told}"
    );
    assert_eq!(told.matches("\nTurn turn_").count(), 1, "{told}");
    let all = explained_export(&home, &export);
    assert_eq!((all.matches("\nTurn turn_").count(), all.matches("  time       ").count()), (2, 2), "{all}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_the_users_own_has_its_time_too() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let mut editor = Editor::lsp(&home, &[]).await;
    let session = editor.new_session(&home).await;
    let begun = Instant::now();
    let shell = editor.request("session/shell", json!({ "sessionId": session, "command": "echo 1 > fifo; read go < fifo" })).await;
    fifo.pids().await;
    let running = wait().await;
    fifo.write("go\n");
    let answer = editor.result(&shell).await;
    let seen = micros(begun);
    editor.ignore_updates();
    let export = export(&mut editor, &session).await;
    let time = time_of(&export, &answer["turnId"], seen);
    has_spent(&time, &["tools"], running);
    let known = ["opening", "store", "tools", "commit", "answer"];
    assert!(lanes(&time).iter().all(|lane| known.contains(lane)), "{time}");
    let told = explained(&home, &session);
    assert!(told.contains(" ended by itself: the command had ended\n") && told.contains(" in tools (from +"), "{told}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_turn_tells_what_it_waited_for() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let begun = Instant::now();
    let prompt = editor.prompt(&session, "go").await;
    let _silent = server.next_request().await;
    let silent = wait().await;
    editor.notify("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&prompt).await;
    let seen = micros(begun);
    let export = export(&mut editor, &session).await;
    let time = time_of(&export, &answer["turnId"], seen);
    has_spent(&time, &["model_connect", "model_wait"], silent);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_takes_its_time_has_a_lane() {
    let home = Home::new();
    let path = home.file("a.txt", "one\n");
    let input = json!({ "path": "a.txt", "edits": [{ "old_text": "one", "new_text": "two" }] });
    let model =
        home.script(&json!({ "steps": [[{ "tool_call": { "id": "c1", "name": "edit_file", "input": input } }], [{ "text": "done" }]] }));
    let mut editor = Editor::start(&home, Framing::Headers, Dialect::Lsp, &["--model", &model]);
    let workspace = json!({ "applyEdit": true, "workspaceEdit": { "documentChanges": true } });
    editor.call("initialize", json!({ "processId": null, "capabilities": { "workspace": workspace } })).await;
    let uri = format!("file://{}", path.display());
    editor.opens(&uri, "one\n").await;
    let session = editor.new_session(&home).await;
    let begun = Instant::now();
    let prompt = editor.prompt(&session, "edit").await;
    editor.allows().await;
    let asked = editor.next("workspace/applyEdit").await;
    let held = wait().await;
    editor.changes(&uri, 4, "two\n").await;
    editor.respond(&asked["id"], json!({ "applied": true })).await;
    let answer = editor.result(&prompt).await;
    let seen = micros(begun);
    editor.ignore_updates();
    let time = time_of(&export(&mut editor, &session).await, &answer["turnId"], seen);
    has_spent(&time, &["editor"], held);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_has_a_lane_of_its_own() {
    let home = Home::new();
    // More than may wait to be written.
    let model = home.script(&json!({ "steps": [[{ "text": { "text": "x".repeat(10_000), "repeat": 1_200 } }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model, UNTITLED[0], UNTITLED[1]]).await;
    let session = editor.new_session(&home).await;
    editor.read_on(false);
    let begun = Instant::now();
    let prompt = editor.prompt(&session, "go on and on").await;
    // The turn waits for the client when it writes nothing to its store any more: text is saved as it is sent.
    let (mut before, mut quiet) = (0, 0);
    while quiet < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stored = stored_bytes(&home);
        quiet = if stored == before && stored > 8 << 20 { quiet + 1 } else { 0 };
        before = stored;
    }
    let full = wait().await;
    editor.read_on(true);
    let answer = editor.result(&prompt).await;
    let seen = micros(begun);
    editor.ignore_updates();
    let time = time_of(&export(&mut editor, &session).await, &answer["turnId"], seen);
    has_spent(&time, &["client"], full);
    editor.finish().await;
}

fn stored_bytes(home: &Home) -> u64 {
    let length = |name| std::fs::metadata(home.data_dir().join(name)).map_or(0, |file| file.len());
    length("pillion.db") + length("pillion.db-wal")
}

/// "The prompt was sent, and then nothing."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_somebody_else_holds_is_what_the_turn_waited_for() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "done" }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model, UNTITLED[0], UNTITLED[1]]).await;
    let session = editor.new_session(&home).await;
    let holder = Connection::open(home.data_dir().join("pillion.db")).expect("the store");
    holder.busy_timeout(Duration::from_secs(10)).expect("a time");
    holder.execute_batch("BEGIN IMMEDIATE").expect("the only writer");
    let begun = Instant::now();
    let prompt = editor.prompt(&session, "go").await;
    let held = wait().await;
    holder.execute_batch("ROLLBACK").expect("it was begun");
    let answer = editor.result(&prompt).await;
    let seen = micros(begun);
    editor.ignore_updates();
    let time = time_of(&export(&mut editor, &session).await, &answer["turnId"], seen);
    has_spent(&time, &["store"], held);
    assert!(explained(&home, &session).contains(" waiting for the store (from +"), "{time}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_has_added_is_read_in_a_lane_of_its_own() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "one" }], [{ "text": "two" }]] }));
    let args = ["--model", &model, UNTITLED[0], UNTITLED[1]];
    let mut first = Editor::lsp(&home, &args).await;
    let session = first.new_session(&home).await;
    let mut second = Editor::lsp(&home, &args).await;
    second.call("session/resume", json!({ "sessionId": session })).await;
    let prompt = second.prompt(&session, "go").await;
    second.result(&prompt).await;
    second.ignore_updates();
    // A session belongs to the process that runs its turn, and to nobody when that has ended.
    second.finish().await;
    let begun = Instant::now();
    let prompt = first.prompt(&session, "go").await;
    let answer = first.result(&prompt).await;
    let seen = micros(begun);
    first.ignore_updates();
    let time = time_of(&export(&mut first, &session).await, &answer["turnId"], seen);
    assert!(spent(&time, &["catching_up"]) > 0, "{time}");
    first.finish().await;
}

/// Each lane that a record can name stands in one of these tests.
#[test]
fn every_lane_is_produced() {
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/export.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let lanes: Vec<_> = schema["$defs"]["Lane"]["oneOf"].as_array().expect("lanes").iter().map(|lane| lane["const"].clone()).collect();
    assert_eq!(lanes.len(), 14);
    let tests = include_str!("time.rs");
    let missing: Vec<_> = lanes.iter().filter(|lane| !tests.contains(&lane.to_string())).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}
