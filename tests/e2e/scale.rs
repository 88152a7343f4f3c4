//! A thousand prompts in flight on a thousand sessions: a cancel is quick, memory stays small, and the end reaches them all.

use crate::support::model_server::ModelServer;
use crate::support::process::{left, status};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// The prompt that is cancelled.
const ONE: usize = 50;

/// What pillion logs when the machine gave it too little time to end every turn before it had to leave.
const OUT_OF_TIME: &str = "not everything had settled in time";

fn session(n: usize) -> String {
    format!("s{n}")
}

fn request(id: &str, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Opens so many sessions and prompts each; returns when every turn has said its word.
async fn crowd(size: usize, editor: &mut Editor, home: &Home) {
    let new = |n| request(&format!("new{n}"), "session/new", &json!({ "cwd": home.workspace(), "sessionId": session(n) }));
    editor.send_all(&(0..size).map(new).collect::<Vec<_>>()).await;
    for n in 0..size {
        editor.result(&json!(format!("new{n}"))).await;
    }
    let prompt = |n| {
        let params = json!({ "sessionId": session(n), "prompt": [{ "type": "text", "text": "tell me a story" }] });
        request(&format!("p{n}"), "session/prompt", &params)
    };
    editor.send_all(&(0..size).map(prompt).collect::<Vec<_>>()).await;
    for _ in 0..size {
        editor.next_update("agent_message_chunk").await;
    }
}

/// Cancels one, then ends all; every turn leaves its record. Says whether there was time to answer every prompt.
#[expect(clippy::print_stderr, reason = "the times are for whoever runs this by hand")]
async fn cancel_one_then_end_all(size: usize, mut editor: Editor, home: &Home) -> bool {
    let since = Instant::now();
    editor.request_as(json!("stop"), "session/cancel", json!({ "sessionId": session(ONE) })).await;
    let answer = editor.result(&json!(format!("p{ONE}"))).await;
    let cancelled = editor.result(&json!("stop")).await;
    let took = since.elapsed();
    assert_eq!(cancelled["outcome"], "cancelled");
    assert_eq!(answer["diagnostics"]["abort"], cancelled["abort"]);
    assert!(took < Duration::from_secs(1), "the cancel was answered after {took:?}");
    let peak = status(editor.pid(), "VmHWM");
    assert!(peak < 120 << 10, "{size} prompts in flight took {peak} KiB");

    let since = Instant::now();
    editor.hang_up();
    assert_eq!(left(&mut editor, since).await, Some(0));
    let gone = since.elapsed();
    let in_time = !std::fs::read_to_string(home.log_file()).expect("a log").contains(OUT_OF_TIME);
    eprintln!("{size} turns: a cancel took {took:?}, the memory {peak} KiB, the end {gone:?}; in time: {in_time}");
    for n in (0..size).filter(|n| in_time && *n != ONE) {
        let answer = editor.result(&json!(format!("p{n}"))).await;
        assert_eq!(answer["diagnostics"]["abort"]["cause"], "client_eof", "{n}");
    }

    let mut editor = Editor::lsp(home, &[]).await;
    let export = |n| request(&format!("e{n}"), "session/export", &json!({ "sessionId": session(n) }));
    editor.send_all(&(0..size).map(export).collect::<Vec<_>>()).await;
    for n in 0..size {
        let export = editor.result(&json!(format!("e{n}"))).await;
        let aborts = export["export"]["diagnostics"]["aborts"].as_array().expect("aborts");
        let causes: Vec<_> = aborts.iter().map(|abort| abort["cause"].as_str().expect("a cause")).collect();
        match causes[..] {
            ["client_cancel"] if n == ONE => {}
            ["client_eof"] if n != ONE => {}
            // The export's own process has closed what was left open.
            ["crash_recovered"] if n != ONE && !in_time => {}
            _ => panic!("the terminal records of {n} are {causes:?}"),
        }
        assert_eq!(export["export"]["session"]["turns"][0]["stop"], "cancelled", "{n}");
    }
    editor.finish().await;
    in_time
}

async fn scripted(size: usize) -> bool {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "Once" }, "stall"]] }));
    let args = ["--model", &model, "--log-level", "info"];
    let mut editor = Editor::ready(&home, Framing::Lines, Dialect::Lsp, &args).await;
    crowd(size, &mut editor, &home).await;
    cancel_one_then_end_all(size, editor, &home).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_turns_are_all_ended_and_answered_whatever_else_runs() {
    assert!(scripted(100).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_turns() {
    scripted(1000).await;
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
    crowd(1000, &mut editor, &home).await;
    cancel_one_then_end_all(1000, editor, &home).await;
    let all = tokio::time::timeout(Duration::from_secs(10), closed.acquire_many(1000)).await;
    drop(all.expect("the server sees every connection closed").expect("an open semaphore"));
}
