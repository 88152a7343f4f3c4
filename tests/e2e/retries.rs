//! A model call that fails before it has shown anything is made again; the record tells each attempt, and a cancel ends the wait.

use crate::support::journey::{UNTITLED, configured, fields, full_export};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// A session with a model, with this `[retry]`.
async fn opened(home: &Home, model: &[&str], retry: &str) -> (Editor, String) {
    let args: Vec<&str> = model.iter().copied().chain(UNTITLED).collect();
    let config = format!("[retry]\n{retry}\n[watchdog]\nconnect_seconds = 1\n");
    let mut editor = Editor::spawn(configured(home, &config), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    (editor, session)
}

fn notice(update: &Value) -> Value {
    update["params"]["update"]["_meta"]["pillion"]["retry"].clone()
}

/// Of each attempt: its number, how it ended, and what was decided.
fn attempts(traces: &Value) -> Vec<(u64, String, Value)> {
    let told = |trace: &Value| {
        let number = trace["attempt"].as_u64().expect("a number");
        (number, trace["state"].as_str().expect("a state").to_owned(), trace["retry"]["verdict"].clone())
    };
    traces.as_array().expect("traces").iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_provider_is_asked_again_when_it_wants_to_be() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let (mut editor, session) = opened(&home, &["--model", "openai:m", "--base-url", &url], "first_delay_ms = 1").await;
    let prompt = editor.prompt(&session, "go").await;
    let body = json!({ "error": { "message": "slow down", "code": "rate_limit_exceeded" } }).to_string();
    let headers = [("content-type", "application/json"), ("retry-after-ms", "40")];
    server.next_request().await.error(429, &headers, &body).await;
    let first = editor.next_update("session_info_update").await;
    assert_eq!(
        notice(&first),
        json!({
            "attempt": 2, "maxAttempts": 3, "delayMs": 40, "cause": "provider_http",
            "sentence": "The model provider refused the request with HTTP status 429.",
        })
    );
    server.next_request().await.hang_up();
    assert_eq!(notice(&editor.next_update("session_info_update").await)["attempt"], 3);
    server.next_request().await.answer("here").await;
    let answer = editor.result(&prompt).await;
    assert_eq!((&answer["stopReason"], answer["diagnostics"].get("abort")), (&json!("end_turn"), None));
    let traces = &answer["diagnostics"]["stream_traces"];
    let again = || json!("again");
    let want = [(1, "failed".to_owned(), again()), (2, "failed".to_owned(), again()), (3, "completed".to_owned(), Value::Null)];
    assert_eq!(attempts(traces), want);
    assert_eq!(
        fields(&traces[0]["failure"], &["cause", "http_status", "code", "retry_after_ms"]),
        json!({ "cause": "provider_http", "http_status": 429, "code": "rate_limit_exceeded", "retry_after_ms": 40 })
    );
    assert_eq!(traces[0]["retry"]["delay_ms"], 40);
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    assert_eq!(export["diagnostics"]["stream_traces"], *traces);
    assert_eq!(export["session"]["turns"][0]["stop"], "end_turn");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_loading_its_model_is_waited_for() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let (mut editor, session) = opened(&home, &["--model", "openai:m", "--base-url", &url], "max_attempts = 1\nfirst_delay_ms = 1").await;
    let prompt = editor.prompt(&session, "go").await;
    let body = json!({ "error": { "code": 503, "message": "Loading model", "type": "unavailable_error" } }).to_string();
    for attempt in 2..5 {
        server.next_request().await.error(503, &[], &body).await;
        let told = notice(&editor.next_update("session_info_update").await);
        assert_eq!((&told["attempt"], &told["maxAttempts"]), (&json!(attempt), &json!(attempt)));
        assert_eq!(told["sentence"], "The model server is still loading the model.");
    }
    server.next_request().await.answer("here").await;
    let answer = editor.result(&prompt).await;
    assert_eq!(answer["stopReason"], "end_turn");
    let failure = &answer["diagnostics"]["stream_traces"][0]["failure"];
    assert_eq!(fields(failure, &["code", "meaning"]), json!({ "code": "unavailable_error", "meaning": "loading" }));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stops_the_last_attempt_stops_the_turn() {
    let home = Home::new();
    let refused = json!([{ "http_error": { "status": 503, "message": "down" } }]);
    let model = home.script(&json!({ "steps": [refused, refused, [{ "text": "never" }]] }));
    let (mut editor, session) = opened(&home, &["--model", &model], "max_attempts = 2\nfirst_delay_ms = 0").await;
    let prompt = editor.prompt(&session, "go").await;
    let error = editor.error(&prompt).await;
    assert_eq!((&error["code"], &error["data"]["cause"]), (&json!(-32803), &json!("provider_http")));
    let diagnostics = &error["data"]["diagnostics"];
    assert_eq!(
        attempts(&diagnostics["stream_traces"]),
        [(1, "failed".to_owned(), json!("again")), (2, "failed".to_owned(), json!("given_up"))]
    );
    let abort = &diagnostics["abort"];
    assert_eq!(abort["attempt_id"], diagnostics["stream_traces"][1]["attempt_id"]);
    assert_eq!(abort["partial"]["updates_sent"], 0, "a notice of a retry shows nothing of the answer");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_asks_for_too_long_a_wait_is_not_asked_again() {
    let home = Home::new();
    let busy = json!([{ "http_error": { "status": 429, "retry_after_ms": 3_600_000 } }]);
    let model = home.script(&json!({ "steps": [busy, [{ "text": "never" }]] }));
    let (mut editor, session) = opened(&home, &["--model", &model], "").await;
    let prompt = editor.prompt(&session, "go").await;
    let trace = editor.error(&prompt).await["data"]["diagnostics"]["stream_traces"][0].clone();
    let reasons = json!(["the provider asks for a longer wait than retry.max_delay_seconds"]);
    assert_eq!(trace["retry"], json!({ "verdict": "given_up", "reasons": reasons }));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_took_too_long_is_tried_again() {
    let home = Home::new();
    let never = json!({ "transport_error": { "kind": "connection_refused" } });
    let model = home.script(&json!({ "steps": [[{ "delay_ms": 60_000 }, never], [{ "text": "there" }]] }));
    let (mut editor, session) = opened(&home, &["--model", &model], "first_delay_ms = 1").await;
    let prompt = editor.prompt(&session, "go").await;
    let answer = editor.result(&prompt).await;
    let traces = &answer["diagnostics"]["stream_traces"];
    assert_eq!(traces[0]["failure"]["cause"], "connect_timeout");
    assert_eq!(attempts(traces), [(1, "failed".to_owned(), json!("again")), (2, "completed".to_owned(), Value::Null)]);
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_ends_the_wait_and_no_further_request_leaves() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let (mut editor, session) = opened(&home, &["--model", "openai:m", "--base-url", &url], "first_delay_ms = 30000").await;
    let prompt = editor.prompt(&session, "go").await;
    server.next_request().await.hang_up();
    editor.next_update("session_info_update").await;
    let cancel = editor.request("session/cancel", json!({ "sessionId": session, "source": "test.stop", "initiator": "user" })).await;
    let answer = editor.result(&prompt).await;
    assert_eq!(editor.result(&cancel).await["outcome"], "cancelled");
    assert_eq!(answer["stopReason"], "cancelled");
    let (abort, traces) = (&answer["diagnostics"]["abort"], &answer["diagnostics"]["stream_traces"]);
    assert_eq!(
        fields(abort, &["cause", "phase", "propagation_point", "source", "forced"]),
        json!({
            "cause": "client_cancel", "phase": "retry_backoff", "propagation_point": "turn.backoff_ended", "source": "test.stop",
            "forced": false,
        })
    );
    assert_eq!(abort["attempt_id"], traces[0]["attempt_id"]);
    let ruled_out = ["client_gone", "signal", "time_limit", "turn_limit", "pillion_failure"];
    assert_eq!(abort["ruled_out"], json!(ruled_out), "the attempt that had failed is a part of it");
    assert_eq!(attempts(traces), [(1, "failed".to_owned(), json!("again"))]);
    let next = editor.prompt(&session, "and now?").await;
    server.next_request().await.answer("this is the second request").await;
    assert_eq!(editor.result(&next).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}
