//! A thousand prompts in flight on a thousand sessions: a cancel is quick, memory stays small, and the end reaches them all.

use crate::support::model_server::ModelServer;
use crate::support::process::{left, status};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const SESSIONS: usize = 1000;

/// The prompt that is cancelled.
const ONE: usize = 500;

fn session(n: usize) -> String {
    format!("s{n}")
}

fn request(id: &str, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Opens the sessions and prompts each; returns when every turn has said its word.
async fn crowd(editor: &mut Editor, home: &Home) {
    let new = |n| request(&format!("new{n}"), "session/new", &json!({ "cwd": home.workspace(), "sessionId": session(n) }));
    editor.send_all(&(0..SESSIONS).map(new).collect::<Vec<_>>()).await;
    for n in 0..SESSIONS {
        editor.result(&json!(format!("new{n}"))).await;
    }
    let prompt = |n| {
        let params = json!({ "sessionId": session(n), "prompt": [{ "type": "text", "text": "tell me a story" }] });
        request(&format!("p{n}"), "session/prompt", &params)
    };
    editor.send_all(&(0..SESSIONS).map(prompt).collect::<Vec<_>>()).await;
    for _ in 0..SESSIONS {
        editor.next_update("agent_message_chunk").await;
    }
}

/// Cancels one, then ends all; every turn leaves its record.
async fn cancel_one_then_end_all(mut editor: Editor, home: &Home, what: &str) {
    let since = Instant::now();
    editor.request_as(json!("stop"), "session/cancel", json!({ "sessionId": session(ONE) })).await;
    let answer = editor.result(&json!(format!("p{ONE}"))).await;
    let cancelled = editor.result(&json!("stop")).await;
    let took = since.elapsed();
    assert_eq!(cancelled["outcome"], "cancelled");
    assert_eq!(answer["diagnostics"]["abort"], cancelled["abort"]);
    assert!(took < Duration::from_secs(1), "the cancel was answered after {took:?}");
    let peak = status(editor.pid(), "VmHWM");
    assert!(peak < 120 << 10, "{SESSIONS} prompts in flight took {peak} KiB");

    let since = Instant::now();
    editor.hang_up();
    assert_eq!(left(&mut editor, since).await, Some(0));
    let gone = since.elapsed();
    println!("{what}: a cancel took {took:?}, {SESSIONS} turns {peak} KiB, the end {gone:?}");
    for n in (0..SESSIONS).filter(|n| *n != ONE) {
        let answer = editor.result(&json!(format!("p{n}"))).await;
        assert_eq!(answer["diagnostics"]["abort"]["cause"], "client_eof", "{n}");
    }

    let mut editor = Editor::lsp(home, &[]).await;
    let export = |n| request(&format!("e{n}"), "session/export", &json!({ "sessionId": session(n) }));
    editor.send_all(&(0..SESSIONS).map(export).collect::<Vec<_>>()).await;
    for n in 0..SESSIONS {
        let export = editor.result(&json!(format!("e{n}"))).await;
        let aborts = export["export"]["diagnostics"]["aborts"].as_array().expect("aborts");
        let causes: Vec<_> = aborts.iter().map(|abort| abort["cause"].clone()).collect();
        assert_eq!(causes, [if n == ONE { "client_cancel" } else { "client_eof" }], "{n}");
        assert_eq!(export["export"]["session"]["turns"][0]["stop"], "cancelled", "{n}");
    }
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_scripted_turns() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "Once" }, "stall"]] }));
    let args = ["--model", &model, "--log-level", "info"];
    let mut editor = Editor::ready(&home, Framing::Lines, Dialect::Lsp, &args).await;
    crowd(&mut editor, &home).await;
    cancel_one_then_end_all(editor, &home, "scripted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_to_a_model_server_that_hangs() {
    let home = Home::new();
    let closed = Arc::new(Semaphore::new(0));
    let hung_up = Arc::clone(&closed);
    let server = ModelServer::auto(move |mut exchange| {
        let closed = Arc::clone(&hung_up);
        async move {
            exchange.text("Once").await;
            exchange.closed_by_client().await;
            closed.add_permits(1);
        }
    })
    .await;
    // What a shell often gives: far fewer descriptors than there will be connections.
    let pillion = home.command();
    let mut shell = home.command_of("sh");
    shell.args(["-c", r#"ulimit -S -n 256 && exec "$0" "$@""#]).arg(pillion.get_program());
    let base_url = server.base_url();
    let args = ["--model", "openai:test-model", "--title-model", "none", "--base-url", &base_url, "--log-level", "info"];
    let mut editor = Editor::spawn(shell, Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    crowd(&mut editor, &home).await;
    cancel_one_then_end_all(editor, &home, "model server").await;
    let all = tokio::time::timeout(Duration::from_secs(10), closed.acquire_many(SESSIONS as u32)).await;
    drop(all.expect("the server sees every connection closed").expect("an open semaphore"));
}
