//! A store that cannot be opened, vanishes, or hits the end of its disk while a turn runs.
//!
//! Invariant: it is told at once and in plain words, the answer says `not_durable`, and what was acknowledged is still there.

use crate::support::journey::{UNTITLED, full_export, pointed_at, through_shell};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_cannot_hold_a_store_is_named_with_what_to_do() {
    for (name, says) in [("data", "cannot be used"), ("data/pillion.db", "cannot be opened")] {
        let home = Home::new();
        let place = home.data_dir().parent().expect("a home").join(name);
        if name == "data" {
            // A file where the directory should be.
            std::fs::remove_dir(&place).expect("an empty directory");
            std::fs::write(&place, "in the way").expect("a file");
        } else {
            std::fs::create_dir(&place).expect("a directory where the file should be");
        }
        // The start does not wait for the store, so it is not the start that fails.
        let mut editor = Editor::lsp(&home, &[]).await;
        for (method, params) in [("session/new", json!({ "cwd": home.workspace() })), ("session/list", json!({}))] {
            let request = editor.request(method, params).await;
            let error = editor.error(&request).await;
            let message = error["message"].as_str().expect("a message");
            assert_eq!(error["code"], -32803);
            assert!(message.starts_with("the session store failed: ") && message.contains(says), "{message}");
            assert!(message.contains(home.data_dir().to_str().expect("UTF-8")) && message.contains("--data-dir"), "{message}");
        }
        let prompt = editor.prompt("nobody", "hello").await;
        assert_eq!(editor.error(&prompt).await["code"], -32803);
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_vanishes_stops_the_turn_at_once_and_keeps_what_it_had() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let kept = editor.prompt(&session, "keep this").await;
    server.next_request().await.answer("kept").await;
    assert_eq!(editor.result(&kept).await["stopReason"], "end_turn");
    editor.ignore_updates();

    let prompt = editor.prompt(&session, "and this?").await;
    let mut exchange = server.next_request().await;
    exchange.text("one").await;
    editor.next_update("agent_message_chunk").await;
    let aside = home.data_dir().join("aside");
    std::fs::create_dir(&aside).expect("a directory");
    for name in ["pillion.db", "pillion.db-wal", "pillion.db-shm"] {
        std::fs::rename(home.data_dir().join(name), aside.join(name)).expect("moved away");
    }
    // One more word, and then the model says nothing: the turn must not wait for it.
    exchange.text(" two").await;
    let error = editor.error(&prompt).await;
    exchange.closed_by_client().await;
    editor.ignore_updates();
    assert_not_durable(&error, "was deleted or replaced while pillion was running");
    let next = editor.prompt(&session, "still there?").await;
    let refused = editor.error(&next).await;
    assert_not_durable(&refused, "was deleted or replaced while pillion was running");
    editor.hang_up();
    assert_eq!(editor.exited().await.code(), Some(0));

    for name in ["pillion.db", "pillion.db-wal", "pillion.db-shm"] {
        std::fs::rename(aside.join(name), home.data_dir().join(name)).expect("put back");
    }
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let export = full_export(&mut editor, &session).await;
    let texts: Vec<_> = export["session"]["messages"].as_array().expect("messages").iter().map(|m| m["parts"][0]["text"].clone()).collect();
    assert_eq!(texts[..2], ["keep this", "kept"]);
    assert_eq!(export["session"]["turns"][0]["stop"], "end_turn");
    assert_eq!(export["diagnostics"]["aborts"][0]["cause"], "crash_recovered", "the turn that could not be ended is closed now");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_more_fails_the_turn_and_the_session_can_still_be_read() {
    // The signal that comes with the limit is deadly, unless whoever started pillion ignores it.
    for signal in ["", "trap '' XFSZ; "] {
        let home = Home::new();
        let words = json!({ "text": { "text": "x".repeat(60_000), "repeat": 40 } });
        let model = home.script(&json!({ "steps": [[{ "text": "fits" }], [words], [{ "text": "small" }]] }));
        // The log would run into the limit as well.
        let mut command = through_shell(&home, &format!("{signal}ulimit -f 2048; exec \"$0\" \"$@\""));
        command.env("PILLION_LOG_LEVEL", "off");
        let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &["--model", &model]);
        editor.initialize().await;
        let session = editor.new_session(&home).await;
        let first = editor.prompt(&session, "short").await;
        assert_eq!(editor.result(&first).await["stopReason"], "end_turn");
        let prompt = editor.prompt(&session, "long").await;
        let error = editor.error(&prompt).await;
        editor.ignore_updates();
        assert_not_durable(&error, "is full, or the file has reached the size that this process may write (`ulimit -f`)");
        let export = full_export(&mut editor, &session).await;
        assert_eq!(export["session"]["messages"][1]["parts"][0]["text"], "fits");
        editor.hang_up();
        editor.exited().await;
    }
}

/// A turn that the store could not keep, and an answer that says so.
fn assert_not_durable(error: &Value, why: &str) {
    assert_eq!((&error["code"], &error["data"]["cause"]), (&json!(-32803), &json!("store_failure")), "{error}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.starts_with("The turn could not be stored, so it was stopped.") && message.contains(why), "{message}");
    let abort = &error["data"]["diagnostics"]["abort"];
    assert_eq!((&abort["cause"], &abort["missing"]), (&json!("store_failure"), &json!(["not_durable"])));
}
