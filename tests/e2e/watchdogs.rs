//! Time limits: each wait of a turn has one, the record says which was over, and none of them is called anybody's request.

use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, fields, full_export};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// A config in which one limit is a second and the others are long.
fn config(short: &str) -> String {
    let mut text = format!("{ONE_ATTEMPT}[watchdog]\n");
    for name in ["connect_seconds", "first_byte_seconds", "idle_seconds", "reasoning_seconds", "turn_seconds", "tool_seconds"] {
        text.push_str(&format!("{name} = {}\n", if name == short { 1 } else { 600 }));
    }
    text
}

/// The error that answers a prompt, and the session it was in.
async fn failed(home: &Home, model: &[&str], short: &str, play: impl AsyncFnOnce()) -> (Editor, String, Value) {
    let args: Vec<&str> = model.iter().copied().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(configured(home, &config(short)), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    let prompt = editor.prompt(&session, "go").await;
    play().await;
    let error = editor.error(&prompt).await;
    editor.ignore_updates();
    (editor, session, error)
}

/// What is said of a limit of one second on a model call that was over.
async fn stream_limit(model: &[&str], home: &Home, short: &str, play: impl AsyncFnOnce()) -> (Value, Value) {
    let (mut editor, session, error) = failed(home, model, short, play).await;
    assert_eq!(error["code"], -32803);
    let diagnostics = &error["data"]["diagnostics"];
    let (abort, trace) = (&diagnostics["abort"], &diagnostics["stream_traces"][0]);
    assert_eq!(
        fields(abort, &["limit_ms", "initiator", "mode", "requested_at", "via_ctx_abort", "propagation_point", "forced"]),
        json!({ "limit_ms": 1000, "via_ctx_abort": false, "propagation_point": "watchdog.fired", "forced": false }),
        "nobody asked for it"
    );
    let hops: Vec<_> = abort["propagation"].as_array().expect("hops").iter().map(|hop| hop["point"].as_str().expect("a point")).collect();
    assert_eq!(hops, ["watchdog.fired", "turn.stream_dropped", "runner.stopping", "turn.settled"]);
    let kept = ["asked_by_client", "client_gone", "signal", "turn_limit", "pillion_failure"];
    assert_eq!((abort["noticed_at"].is_u64(), &abort["ruled_out"]), (true, &json!(kept)));
    assert_eq!((abort.get("source"), abort.get("request"), diagnostics.get("cancel_requests")), (None, None, None));
    assert_eq!((&trace["state"], trace.get("abort_id")), (&json!("failed"), None), "it is no local abort");
    let failure = &trace["failure"];
    assert_eq!(fields(failure, &["boundary", "confidence"]), json!({ "boundary": "watchdog", "confidence": "certain" }));
    assert_eq!((&failure["cause"], &failure["kind"]), (&abort["cause"], &abort["cause"]));
    let export = full_export(&mut editor, &session).await;
    assert_eq!(export["diagnostics"]["stream_traces"], json!([trace]));
    editor.finish().await;
    (error.clone(), trace.clone())
}

fn watchdogs(fired: &str) -> Value {
    let limit = |name: &str| json!({ "name": name, "limit_ms": if name == fired { 1000 } else { 600_000 }, "fired": name == fired });
    json!([limit("connect"), limit("first_byte"), limit("idle_stream")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_does_not_come_about() {
    let home = Home::new();
    let never = json!({ "transport_error": { "kind": "connection_refused" } });
    let model = home.script(&json!({ "steps": [[{ "delay_ms": 60_000 }, never]] }));
    let (error, trace) = stream_limit(&["--model", &model], &home, "connect_seconds", async || ()).await;
    assert_eq!(error["data"]["cause"], "connect_timeout");
    let message = "No connection to the model provider came about within 1 s. the request could not be handed over";
    assert_eq!(error["message"], message);
    assert_eq!((&trace["watchdogs"], trace["timeline"].get("request_sent_us")), (&watchdogs("connect"), None));
    assert_eq!(trace["upstream"], json!({ "closed_by": "not_open" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_begin() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let mut asked: Option<Exchange> = None;
    let play = async || asked = Some(server.next_request().await);
    let (error, trace) = stream_limit(&["--model", "openai:plain", "--base-url", &url], &home, "first_byte_seconds", play).await;
    assert_eq!(error["data"]["cause"], "first_byte_timeout");
    assert_eq!((&trace["watchdogs"], &trace["upstream"]["closed_by"]), (&watchdogs("first_byte"), &json!("us")));
    assert_eq!((trace["timeline"].get("headers_us"), trace.get("http_status")), (None, None));
    asked.expect("a request").closed_by_client().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_alone_begins_no_answer() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let mut asked: Option<Exchange> = None;
    let play = async || {
        let mut exchange = server.next_request().await;
        exchange.head().await;
        asked = Some(exchange);
    };
    let (error, trace) = stream_limit(&["--model", "openai:plain", "--base-url", &url], &home, "first_byte_seconds", play).await;
    assert_eq!(error["data"]["cause"], "first_byte_timeout");
    assert_eq!(trace["watchdogs"], watchdogs("first_byte"));
    assert_eq!(
        (&trace["http_status"], &trace["failure"]["message"]),
        (&json!(200), &json!("the answer's head came, and nothing of the answer"))
    );
    asked.expect("a request").closed_by_client().await;
}

/// A turn under this limit ends well although its model takes its time with what `play` has it do. Gives its diagnostics.
async fn outlasts(limit: &str, play: impl AsyncFnOnce(Exchange)) -> Value {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let args: Vec<&str> = ["--model", "openai:plain", "--base-url", &url].into_iter().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(configured(&home, &config(limit)), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    play(server.next_request().await).await;
    let mut answer = editor.result(&prompt).await;
    assert_eq!((&answer["stopReason"], answer["diagnostics"].get("abort")), (&json!("end_turn"), None));
    editor.ignore_updates();
    editor.finish().await;
    answer["diagnostics"].take()
}

/// A part of the limit, much shorter than it.
async fn a_while() {
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reads_a_long_prompt_is_waited_for_while_it_says_that_it_is_there() {
    let reads = async |mut exchange: Exchange| {
        exchange.head().await;
        for _ in 0..8 {
            a_while().await;
            exchange.raw(b":\n\n").await;
        }
        exchange.answer("read").await;
    };
    outlasts("first_byte_seconds", reads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_stops_arriving() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let mut asked: Option<Exchange> = None;
    let play = async || {
        let mut exchange = server.next_request().await;
        exchange.text("half of ").await;
        asked = Some(exchange);
    };
    let (error, trace) = stream_limit(&["--model", "openai:plain", "--base-url", &url], &home, "idle_seconds", play).await;
    assert_eq!(error["data"]["cause"], "idle_stream_timeout");
    assert_eq!(error["data"]["diagnostics"]["abort"]["phase"], "text");
    assert_eq!((&trace["watchdogs"], &trace["upstream"]["closed_by"]), (&watchdogs("idle_stream"), &json!("us")));
    assert!(trace["upstream"]["at_us"].as_u64() >= trace["timeline"]["last_event_us"].as_u64());
    asked.expect("a request").closed_by_client().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_only_keeps_the_connection_alive_goes_on() {
    let speaks = async |mut exchange: Exchange| {
        exchange.text("slow").await;
        for sign_of_life in [": still there\n\n", "data: {\"choices\":[]}\n\n", ": and ", "still\n\n"].repeat(2) {
            a_while().await;
            exchange.raw(sign_of_life.as_bytes()).await;
        }
        exchange.finish("stop").await;
        exchange.done().await;
    };
    let diagnostics = outlasts("idle_seconds", speaks).await;
    assert_eq!(diagnostics["stream_traces"][0]["counters"]["text"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_thinks_first_is_given_more_time() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let args = ["--model", "openai:o3-mini", "--base-url", &url, "--title-model", "none"];
    let mut editor = Editor::spawn(configured(&home, &config("first_byte_seconds")), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let exchange = server.next_request().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
    exchange.answer("I thought about it").await;
    let answer = editor.result(&prompt).await;
    assert_eq!(answer["stopReason"], "end_turn");
    let limits = &answer["diagnostics"]["stream_traces"][0]["watchdogs"];
    assert_eq!(limits[1], json!({ "name": "first_byte", "limit_ms": 600_000, "fired": false }));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_takes_too_long() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "on and on" }, "stall"], [{ "text": "fine" }]] }));
    let (mut editor, session, error) = failed(&home, &["--model", &model], "turn_seconds", async || ()).await;
    assert_eq!(error["message"], "The turn took longer than 1 s, its time limit.");
    let diagnostics = &error["data"]["diagnostics"];
    let told = ["cause", "limit_ms", "phase", "initiator", "propagation_point", "forced"];
    assert_eq!(
        fields(&diagnostics["abort"], &told),
        json!({
            "cause": "turn_timeout", "limit_ms": 1000, "phase": "text",
            "propagation_point": "turn.stream_dropped", "forced": false,
        })
    );
    assert_eq!(diagnostics["abort"]["propagation"][0]["point"], "watchdog.turn");
    let demand = &diagnostics["cancel_requests"][0];
    assert_eq!(
        fields(demand, &["cause", "outcome", "request", "initiator", "mode"]),
        json!({ "cause": "turn_timeout", "outcome": "cancelled" })
    );
    assert_eq!(full_export(&mut editor, &session).await["session"]["turns"][0]["stop"], "failed");
    let prompt = editor.prompt(&session, "again").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_takes_too_long() {
    let home = Home::new();
    // Nothing in the pattern is a fixed text that could be looked for quickly, and nothing in the file matches it.
    home.file("much.txt", &format!("{}\n", "x".repeat(1_000)).repeat(200_000));
    let search = json!({ "tool_call": { "name": "search", "input": { "pattern": r"([a-w]|x+)+[0-9]\W[a-z]" } } });
    let model = home.script(&json!({ "steps": [[search], [{ "text": "fine" }]] }));
    let (mut editor, session, error) = failed(&home, &["--model", &model], "tool_seconds", async || ()).await;
    let abort = &error["data"]["diagnostics"]["abort"];
    assert_eq!(
        fields(abort, &["cause", "limit_ms", "phase", "initiator", "propagation_point", "forced"]),
        json!({
            "cause": "tool_timeout", "limit_ms": 1000, "phase": "tool_running",
            "propagation_point": "tool.stopped", "forced": false,
        })
    );
    assert_eq!(
        fields(&abort["tools_in_flight"][0], &["tool", "effect", "outcome"]),
        json!({ "tool": "search", "effect": "read", "outcome": "stopped" })
    );
    let parts = full_export(&mut editor, &session).await["session"]["messages"][1]["parts"].take();
    assert_eq!(parts[1]["status"], "interrupted");
    editor.ignore_updates();
    editor.finish().await;
}
