//! Answers without end and events of any size: the rest of pillion goes on, a cancel is answered, a signal ends the process.

use crate::support::Home;
use crate::support::journey::{UNTITLED, configured, full_export, pointed_at, pointed_by};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::process::signal;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One event with this many pieces of tool calls that say nothing.
fn crowd(calls: usize) -> String {
    let call = r#"{"index":0,"function":{"arguments":""}}"#;
    let calls: Vec<_> = std::iter::repeat_n(call, calls).collect();
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{}]}}}}]}}\n\n", calls.join(","))
}

/// Sends the event again and again; whoever began it ends it.
async fn flood(mut exchange: Exchange, event: String) {
    loop {
        exchange.raw(event.as_bytes()).await;
        // To a client that has gone nothing is written, at once and for ever: without a pause nobody could end that.
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_large_events_holds_up_neither_another_session_nor_a_cancel() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let mut flooded = Vec::new();
    for _ in 0..2 {
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "go").await;
        let exchange = server.next_request().await;
        flooded.push((session, prompt, tokio::spawn(flood(exchange, crowd(100_000)))));
    }
    let calm = editor.new_session(&home).await;
    let prompt = editor.prompt(&calm, "go").await;
    server.next_request().await.answer("here").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    for (session, prompt, flood) in flooded {
        editor.notify("session/cancel", json!({ "sessionId": session })).await;
        let answer = editor.result(&prompt).await;
        assert_eq!(answer["stopReason"], "cancelled");
        flood.abort();
    }
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_the_process_in_any_flood() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.prompt(&session, "go").await;
    let flood = tokio::spawn(flood(server.next_request().await, crowd(100_000)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = Instant::now();
    signal(editor.pid(), Signal::TERM);
    assert_eq!(editor.exited().await.code(), Some(143));
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
    flood.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_come_together_are_said_together_and_counted_one_by_one() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let mut exchange = server.next_request().await;
    exchange.text("alone").await;
    assert_eq!(editor.next_update("agent_message_chunk").await["params"]["update"]["content"]["text"], "alone");
    let event = |delta: Value| format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta }] }));
    let words = |n: usize| event(json!({ "content": format!(" w{n}") }));
    let thought = event(json!({ "reasoning_content": "hm" }));
    let pieces = [(0..50).map(words).collect(), thought.repeat(3), (50..1_000).map(words).collect()].concat();
    exchange.raw(pieces.as_bytes()).await;
    exchange.finish("stop").await;
    exchange.done().await;
    let told = editor.all_until(&prompt).await;
    let chunk = |message: &Value| {
        let update = &message["params"]["update"];
        let kind = update["sessionUpdate"].as_str().filter(|kind| kind.ends_with("_chunk"))?;
        Some((kind.to_owned(), update["content"]["text"].as_str()?.to_owned()))
    };
    let said: Vec<(String, String)> = told.iter().filter_map(chunk).collect();
    let of = |kind: &str| said.iter().filter(|(of, _)| of == kind).map(|(_, text)| text.as_str()).collect::<String>();
    assert_eq!(of("agent_message_chunk"), (0..1_000).map(|n| format!(" w{n}")).collect::<String>());
    assert_eq!(of("agent_thought_chunk"), "hmhmhm");
    let before: String = said.iter().take_while(|(of, _)| of == "agent_message_chunk").map(|(_, text)| text.as_str()).collect();
    assert_eq!(before, (0..50).map(|n| format!(" w{n}")).collect::<String>(), "what was said before the thought stands before it");
    assert!(said.len() < 200, "{} updates", said.len());
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    let counters = &export["diagnostics"]["stream_traces"][0]["counters"];
    assert_eq!((&counters["text"], &counters["reasoning"]), (&json!(1_001), &json!(3)));
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_answer_may_hold_is_limited_and_the_limit_is_named() {
    let limits = "[limits]\nmax_answer_calls = 2\nmax_call_bytes = 1024\nmax_turn_text_bytes = 1024\n";
    let call = |n: usize, arguments: &str| json!({ "tool_calls": [{ "index": n, "id": format!("c{n}"), "function": { "name": "read_file", "arguments": arguments } }] });
    let too_many = vec![call(0, "{}"), call(1, "{}"), call(2, "{}")];
    let too_long = vec![call(0, &"x".repeat(700)), call(0, &"x".repeat(700))];
    let too_much = vec![json!({ "content": "x".repeat(700) }), json!({ "reasoning": "x".repeat(700) })];
    let cases: [(&str, Vec<Value>); 3] =
        [("limits.max_answer_calls", too_many), ("limits.max_call_bytes", too_long), ("limits.max_turn_text_bytes", too_much)];
    for (setting, deltas) in cases {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let mut editor = pointed_by(configured(&home, limits), &server, &UNTITLED).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "go").await;
        let mut exchange = server.next_request().await;
        for delta in deltas {
            exchange.delta(delta).await;
        }
        let error = editor.error(&prompt).await;
        let failure = &error["data"]["diagnostics"]["stream_traces"][0]["failure"];
        assert_eq!(failure["kind"], "answer_too_large");
        assert!(failure["message"].as_str().expect("words").contains(setting), "{failure}");
        editor.ignore_updates();
        editor.finish().await;
    }
}
