//! The start: nothing is listened on or connected to, no session is read, and `initialize` waits for no store.

use crate::support::process::{LEAVES_WITHIN, exported, left, sockets};
use crate::support::{Dialect, Editor, Framing, Home};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

/// The sockets of a process that lead to any network, or on which it listens.
fn to_the_outside(pid: u32) -> Vec<String> {
    let open = sockets(pid);
    let lines = |table: &str| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "packet", "netlink"] {
        let text = lines(table);
        found.extend(
            text.lines().filter(|line| line.split_whitespace().any(|word| open.contains(word))).map(|line| format!("{table}: {line}")),
        );
    }
    // The fourth column of a local socket has this bit when it listens, and a path behind the inode when it has a name.
    const LISTENS: u32 = 0x1_0000;
    for line in lines("unix").lines() {
        let columns: Vec<_> = line.split_whitespace().collect();
        let ours = columns.get(6).is_some_and(|inode| open.contains(*inode));
        let listens = columns.get(3).and_then(|flags| u32::from_str_radix(flags, 16).ok()).is_some_and(|flags| flags & LISTENS != 0);
        if ours && (listens || columns.len() > 7) {
            found.push(format!("unix: {line}"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leads_outside_before_the_first_prompt() {
    // Even with a model that lives on a network; the address is one that nothing answers (RFC 5737).
    let args = ["--model", "openai:gpt-x", "--base-url", "http://192.0.2.1:9/v1"];
    for (framing, dialect) in [(Framing::Headers, Dialect::Lsp), (Framing::Lines, Dialect::Acp)] {
        let home = Home::new();
        let mut editor = Editor::ready(&home, framing, dialect, &args).await;
        assert_eq!(to_the_outside(editor.pid()), Vec::<String>::new());
        let session = editor.new_session(&home).await;
        editor.call("session/resume", json!({ "sessionId": session })).await;
        editor.call("session/list", json!({})).await;
        assert_eq!(to_the_outside(editor.pid()), Vec::<String>::new());
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_outside_would_be_seen() {
    let home = Home::new();
    let server = crate::support::model_server::ModelServer::start().await;
    let args = ["--model", "openai:gpt-x", "--title-model", "none", "--base-url", &server.base_url()];
    let mut server = server;
    let mut editor = Editor::lsp(&home, &args).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "hello").await;
    let exchange = server.next_request().await;
    let found = to_the_outside(editor.pid());
    assert!(found.len() == 1 && found[0].starts_with("tcp: "), "{found:#?}");
    exchange.answer("hi").await;
    editor.next_update("agent_message_chunk").await;
    editor.result(&prompt).await;
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn initialize_is_answered_while_the_store_cannot_be_opened_yet() {
    let home = Home::new();
    // Another process is setting the store up: the first one that comes holds this lock, and the others wait.
    let lock = fs::File::options().write(true).create_new(true).open(home.data_dir().join("pillion.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let mut editor = Editor::lsp(&home, &[]).await;
    let new = editor.request("session/new", json!({ "cwd": home.workspace() })).await;
    // A second request behind it, which waits for no store, shows that nothing is held up.
    let unknown = editor.request("no/such", json!({})).await;
    assert_eq!(editor.error(&unknown).await["code"], -32601);
    lock.unlock().expect("it was locked");
    assert!(editor.result(&new).await["sessionId"].is_string());
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_cannot_be_used_is_named_by_every_call_that_needs_it() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "hi" }]] }));
    fs::remove_dir(home.data_dir()).expect("an empty directory");
    fs::write(home.data_dir(), "a file where the directory should be").expect("a file");
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let calls = [
        ("session/new", json!({ "cwd": home.workspace() })),
        ("session/new", json!({ "cwd": home.workspace(), "sessionId": "mine" })),
        ("session/load", json!({ "sessionId": "mine", "cwd": home.workspace() })),
        ("session/resume", json!({ "sessionId": "mine" })),
        ("session/list", json!({})),
        ("session/close", json!({ "sessionId": "mine" })),
        ("session/delete", json!({ "sessionId": "mine" })),
        ("session/prompt", json!({ "sessionId": "mine", "prompt": [{ "type": "text", "text": "hello" }] })),
        ("session/export", json!({ "sessionId": "mine" })),
        ("session/set_config_option", json!({ "sessionId": "mine", "configId": "model", "value": "local" })),
    ];
    let directory = home.data_dir().display().to_string();
    for (method, params) in calls {
        let id = editor.request(method, params).await;
        let error = editor.error(&id).await;
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&directory) && message.contains("--data-dir"), "{method}: {error}");
        assert_eq!(error["code"], -32803, "{method}: {error}");
    }
    // Stop must never fail silently, and never claim what it does not know.
    let cancel = editor.request("session/cancel", json!({ "sessionId": "mine" })).await;
    let error = editor.error(&cancel).await;
    assert!(error["message"].as_str().expect("a message").contains(&directory), "{error}");
    editor.finish().await;
    assert_eq!(fs::read_to_string(home.data_dir()).expect("a file"), "a file where the directory should be");
}

/// Looks into the store by hand: how many turns have no end.
fn open_turns(home: &Home) -> i64 {
    let file = home.data_dir().join("pillion.db");
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    conn.query_row("SELECT count(*) FROM turn WHERE ended_at IS NULL", [], |row| row.get(0)).expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_touches_no_session_until_somebody_asks_for_one() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "Once" }, "stall"]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    editor.prompt(&session, "tell me a story").await;
    editor.next_update("agent_message_chunk").await;
    editor.kill();
    editor.exited().await;
    assert_eq!(open_turns(&home), 1, "a turn whose process died");

    // A whole life, from the opening of the store to its close.
    Editor::lsp(&home, &["--model", &model]).await.finish().await;
    assert_eq!(open_turns(&home), 1, "nobody has asked for it");
    let export = exported(&home, &session).await;
    assert_eq!(export["diagnostics"]["aborts"][0]["cause"], "crash_recovered");
    assert_eq!(open_turns(&home), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_somebody_holds_delays_no_end_and_the_next_start_closes_the_turn() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "Once" }, "stall"]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "tell me a story").await;
    editor.next_update("agent_message_chunk").await;
    let holder = Connection::open(home.data_dir().join("pillion.db")).expect("the store");
    holder.busy_timeout(LEAVES_WITHIN).expect("a time");
    holder.execute_batch("BEGIN IMMEDIATE").expect("the only writer");
    let since = Instant::now();
    editor.read_on(false);
    editor.hang_up();
    assert_eq!(left(&mut editor, since).await, Some(0));
    holder.execute_batch("ROLLBACK").expect("it was begun");
    drop((holder, prompt));
    let abort: Value = exported(&home, &session).await["diagnostics"]["aborts"].take();
    assert_eq!(abort[0]["cause"], "crash_recovered");
    assert_eq!(abort.as_array().map(Vec::len), Some(1));
}
