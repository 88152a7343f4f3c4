//! A provider that has not heard of the cancel and delivers a tool call after it.

use crate::support::Home;
use crate::support::journey::{UNTITLED, pointed_at};
use crate::support::model_server::ModelServer;
use crate::told::Told;
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};

/// Much longer than an answer takes, much shorter than the latest call.
const AT_ONCE: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_call_that_comes_after_the_cancel_is_never_started() {
    join_all([0, 1, 500, 2_000].map(|late_ms| late_by(Duration::from_millis(late_ms)))).await;
}

/// The stream stays open behind the call, so that a call which was faster than the cancel is not started either.
async fn late_by(delay: Duration) {
    let home = Home::new();
    home.file("a.txt", "one\n");
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "read a, write b").await;
    let mut exchange = server.next_request().await;
    exchange.text("Let me ").await;
    editor.next_update("agent_message_chunk").await;
    let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let since = Instant::now();
    let provider = async {
        tokio::time::sleep(delay).await;
        exchange.tool_call(0, "late-read", "read_file", &json!({ "path": "a.txt" })).await;
        exchange.tool_call(1, "late-write", "write_file", &json!({ "path": "never.txt", "content": "x" })).await;
    };
    let client = async {
        let answers = (editor.answer(&prompt).await, editor.result(&stop).await);
        assert!(since.elapsed() < AT_ONCE, "{delay:?}: answered after {:?}", since.elapsed());
        answers
    };
    let ((), (answer, cancelled)) = tokio::join!(provider, client);
    exchange.finish("tool_calls").await;
    exchange.closed_by_client().await;
    assert_eq!((&answer["result"]["stopReason"], &cancelled["outcome"]), (&json!("cancelled"), &json!("cancelled")));

    let told = Told::by(&mut editor, &session).await;
    told.agrees_with(&answer);
    let results: Vec<_> = told.parts().filter(|part| part["kind"] == "tool_result").map(|part| part["status"].clone()).collect();
    assert!(results.iter().all(|status| status == "not_started"), "{delay:?}: {results:?}");
    assert_eq!(told.aborts()[0]["tools_in_flight"], json!([]), "{delay:?}");
    if delay > AT_ONCE {
        assert_eq!((results.len(), &told.aborts()[0]["phase"]), (0, &json!("text")), "the answer had long been given");
    }

    // The server refuses a history with a call that has no result.
    let next = editor.prompt(&session, "and now?").await;
    server.next_request().await.answer("Nothing").await;
    assert_eq!(editor.result(&next).await["stopReason"], "end_turn");
    assert!(!home.workspace().join("never.txt").exists());
    editor.ignore_updates();
    // And here a question that was asked for the late write would be found.
    editor.finish().await;
}
