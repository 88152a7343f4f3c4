//! What a provider does wrong: every fault is answered as an error that names its cause, and the export holds the same record.

use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, fields, full_export, pointed_at, pointed_by};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// What a fault must say of itself, in the answer and in the trace.
struct Fault {
    cause: Value,
    kind: &'static str,
    boundary: &'static str,
    confidence: &'static str,
    evidence: &'static [&'static str],
    /// The answer's message begins with this plain sentence ...
    sentence: &'static str,
    /// ... and says this of the matter itself.
    detail: &'static str,
    phase: &'static str,
}

const REFUSED: [&str; 2] = ["the answer's status is an error", "the error body was read to its end"];
const TRANSPORT: &str = "The connection to the model provider failed.";
const PROTOCOL: &str = "The model provider's answer was not understood or reported an error.";

fn http(status: u16, sentence: &'static str, detail: &'static str, kind: &'static str) -> Fault {
    let cause = json!({ "cause": "provider_http", "http_status": status });
    Fault {
        cause,
        kind,
        boundary: "provider_error",
        confidence: "certain",
        evidence: &REFUSED,
        sentence,
        detail,
        phase: "waiting_for_model",
    }
}

fn transport(kind: &'static str, confidence: &'static str, evidence: &'static [&'static str], detail: &'static str) -> Fault {
    let cause = json!({ "cause": "provider_transport" });
    Fault { cause, kind, boundary: "transport", confidence, evidence, sentence: TRANSPORT, detail, phase: "text" }
}

fn protocol(kind: &'static str, boundary: &'static str, evidence: &'static [&'static str], detail: &'static str) -> Fault {
    let cause = json!({ "cause": "provider_protocol" });
    Fault { cause, kind, boundary, confidence: "certain", evidence, sentence: PROTOCOL, detail, phase: "text" }
}

const JSON: [(&str, &str); 2] = [("content-type", "application/json"), ("x-request-id", "req-17")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_status_is_told_with_what_the_provider_said() {
    let cases = [
        (
            401,
            "invalid_api_key",
            "http_401",
            "401 Unauthorized: Incorrect key",
            "The model provider refused the request with HTTP status 401.",
        ),
        (
            429,
            "rate_limit",
            "http_429",
            "429 Too Many Requests: Incorrect key",
            "The model provider refused the request with HTTP status 429.",
        ),
        (
            500,
            "overloaded",
            "http_500",
            "500 Internal Server Error: Incorrect key",
            "The model provider refused the request with HTTP status 500.",
        ),
    ];
    for (status, code, kind, detail, sentence) in cases {
        let body = json!({ "error": { "message": "Incorrect key", "code": code } }).to_string();
        let trace = failed_turn(http(status, sentence, detail, kind), async |exchange| exchange.error(status, &JSON, &body).await).await;
        assert_eq!(
            (&trace["http_status"], &trace["request_id"], &trace["failure"]["code"]),
            (&json!(status), &json!("req-17"), &json!(code))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_is_told_from_one_that_ends_too_early() {
    let reset =
        transport("connection_reset", "certain", &["the operating system named the error", "it failed after the head of the answer"], "");
    failed_turn(reset, async |mut exchange| {
        exchange.text("half").await;
        exchange.reset();
    })
    .await;
    let cut: &[&str] = &["the HTTP or TLS library named the error by its type", "it failed after the head of the answer"];
    failed_turn(transport("body_truncated", "certain", cut, ""), async |mut exchange| {
        exchange.text("half").await;
        exchange.hang_up();
    })
    .await;
    let early: &[&str] = &["the body ended in good order", "no finish reason had arrived", "no [DONE] had arrived"];
    failed_turn(transport("unexpected_eof", "likely", early, "ended the stream before the model had finished"), async |mut exchange| {
        exchange.text("half").await;
        exchange.end_body().await;
    })
    .await;
    failed_turn(transport("unexpected_eof", "likely", early, "ended the stream before the model had finished"), async |mut exchange| {
        exchange.text("half").await;
        exchange.raw(b"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"an").await;
        exchange.end_body().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_makes_no_sense_is_told_from_an_error_inside_the_stream() {
    let no_json = protocol("bad_json", "protocol", &["an event's data is no JSON"], "could not be read");
    failed_turn(no_json, async |mut exchange| {
        exchange.text("half").await;
        exchange.raw(b"data: {\"id\": nonsense\n\n").await;
    })
    .await;
    let reported = protocol("provider_error", "provider_error", &["an error object arrived inside the stream"], "the model is overloaded");
    let trace = failed_turn(reported, async |mut exchange| {
        exchange.text("half").await;
        exchange.event(&json!({ "error": { "message": "the model is overloaded", "code": 529 } })).await;
    })
    .await;
    assert_eq!(trace["failure"]["code"], "529");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_names_the_address_and_is_an_error_in_both_dialects() {
    for (framing, dialect, code) in [(Framing::Headers, Dialect::Lsp, -32803), (Framing::Lines, Dialect::Acp, -32603)] {
        let home = Home::new();
        // A port that was free a moment ago.
        let port = ModelServer::start().await.port();
        let url = format!("http://127.0.0.1:{port}/v1");
        let args = ["--model", "openai:nobody", "--base-url", &url, "--title-model", "none"];
        let mut editor = Editor::ready(&home, framing, dialect, &args).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "anybody there?").await;
        let error = editor.error(&prompt).await;
        assert_eq!((&error["code"], &error["data"]["cause"]), (&json!(code), &json!("provider_transport")));
        let message = error["message"].as_str().expect("a message");
        assert!(message.starts_with(TRANSPORT) && message.contains(&format!("127.0.0.1:{port}")), "{message}");
        let diagnostics = &error["data"]["diagnostics"];
        assert_eq!(diagnostics["abort"]["error_name"], "connection_refused");
        let trace = &diagnostics["stream_traces"][0];
        assert_eq!((&trace["state"], &trace["failure"]["os_error"]), (&json!("failed"), &json!(111)));
        assert_eq!(trace["timeline"].get("request_sent_us"), None, "nothing was sent");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_context_window_and_a_refusal_are_stops_and_no_faults() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    for (reason, stop) in [("length", "max_tokens"), ("content_filter", "refusal")] {
        let prompt = editor.prompt(&session, "write a long book").await;
        let mut exchange = server.next_request().await;
        exchange.text("Chapter 1").await;
        // A call that was cut off with the answer is not run.
        exchange.tool_call(0, "c", "read_file", &json!({ "path": "x" })).await;
        exchange.finish(reason).await;
        exchange.done().await;
        let answer = editor.result(&prompt).await;
        assert_eq!((&answer["stopReason"], answer["diagnostics"].get("abort")), (&json!(stop), None));
        assert_eq!(answer["diagnostics"]["stream_traces"][0]["finish_reason"], reason);
        editor.ignore_updates();
        let export = full_export(&mut editor, &session).await;
        let turns = export["session"]["turns"].as_array().expect("turns");
        assert_eq!((&turns.last().expect("a turn")["stop"], &export["diagnostics"]["aborts"]), (&json!(stop), &json!([])));
    }
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_comes_with_a_fault_is_the_cause_if_it_came_first() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let mut exchange = server.next_request().await;
    exchange.text("half").await;
    editor.next_update("agent_message_chunk").await;
    let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&prompt).await;
    exchange.reset();
    assert_eq!((&answer["stopReason"], &answer["diagnostics"]["abort"]["cause"]), (&json!("cancelled"), &json!("client_cancel")));
    assert_eq!(editor.result(&stop).await["outcome"], "cancelled");
    editor.finish().await;
}

/// Plays one faulty answer and compares everything that is said of it; gives back the attempt's trace.
async fn failed_turn(fault: Fault, play: impl AsyncFnOnce(Exchange)) -> Value {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_by(configured(&home, ONE_ATTEMPT), &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    play(server.next_request().await).await;
    let error = editor.error(&prompt).await;
    editor.ignore_updates();
    assert_eq!(error["code"], -32803);
    let data = &error["data"];
    let mut wanted = fault.cause.clone();
    wanted["turnId"] = data["turnId"].clone();
    wanted["diagnostics"] = data["diagnostics"].clone();
    assert_eq!(*data, wanted, "{error}");

    let abort = &data["diagnostics"]["abort"];
    let message = error["message"].as_str().expect("a message");
    assert_eq!(message, format!("{} {}", fault.sentence, abort["error_message"].as_str().expect("a detail")));
    assert!(message.contains(fault.detail), "{message}");
    let mut wanted = fault.cause.clone();
    for (name, value) in [
        ("error_name", json!(fault.kind)),
        ("phase", json!(fault.phase)),
        ("turn_id", data["turnId"].clone()),
        ("propagation_point", json!("provider.stream_failed")),
        ("missing", json!([])),
    ] {
        wanted[name] = value;
    }
    let unasked = ["initiator", "mode", "requested_at", "request", "came_down_from"];
    assert_eq!(fields(abort, &unasked), json!({}), "nobody asked for it");
    let names: Vec<_> = wanted.as_object().expect("fields").keys().map(String::as_str).collect();
    assert_eq!(fields(abort, &names), wanted);
    let trace = data["diagnostics"]["stream_traces"][0].clone();
    assert_eq!((&trace["state"], trace.get("abort_id")), (&json!("failed"), None), "a fault of the stream is no local abort");
    let by = if fault.kind == "bad_json" || fault.kind == "provider_error" { "us" } else { "provider" };
    assert_eq!(trace["upstream"]["closed_by"], by, "{trace:#}");
    let points: Vec<_> = abort["propagation"].as_array().expect("hops").iter().map(|hop| hop["point"].clone()).collect();
    let dropped = points.contains(&json!("turn.stream_dropped"));
    assert_eq!(dropped, by == "us", "what pillion let go of is a hop: {points:?}");
    let failure = &trace["failure"];
    let told = json!({ "kind": fault.kind, "boundary": fault.boundary, "confidence": fault.confidence, "evidence": fault.evidence });
    assert_eq!(fields(failure, &["kind", "boundary", "confidence", "evidence"]), told);

    let export = full_export(&mut editor, &session).await;
    let mut exported = export["diagnostics"]["aborts"][0].clone();
    assert_eq!(exported["propagation"].as_array_mut().expect("hops").pop().expect("a hop")["point"], "turn.answered");
    assert_eq!(exported, *abort);
    assert_eq!(export["diagnostics"]["stream_traces"], json!([trace]));
    assert_eq!(export["session"]["turns"][0]["stop"], "failed");

    // The session lives on.
    let prompt = editor.prompt(&session, "again").await;
    server.next_request().await.answer("fine").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
    trace
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_pillions_own_code_is_answered_and_recorded_and_the_process_lives() {
    let home = Home::new();
    let script = json!({ "steps": [[{ "text": "Half an ans" }, "panic"], [{ "text": "Better." }]] });
    let mut editor = Editor::lsp(&home, &["--model", &home.script(&script), "--title-model", "none"]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let error = editor.error(&prompt).await;
    assert_eq!((&error["code"], &error["data"]["cause"]), (&json!(-32803), &json!("internal_panic")));
    let export = full_export(&mut editor, &session).await;
    let abort = &export["diagnostics"]["aborts"][0];
    assert_eq!(
        fields(abort, &["cause", "phase", "initiator", "propagation_point", "error_name", "error_message", "partial"]),
        json!({
            "cause": "internal_panic", "phase": "text", "propagation_point": "panic.contained",
            "error_name": "turn_panic", "error_message": "the turn's own task panicked",
            "partial": { "text_bytes": 11, "reasoning_bytes": 0, "updates_sent": 1, "persisted_bytes": 11 },
        })
    );
    let place = &abort["panicked_at"];
    assert_eq!((&place["file"], place["line"].is_u64()), (&json!("src/provider/scripted/replay.rs"), true));
    let sentence = format!("A bug in pillion stopped the turn (src/provider/scripted/replay.rs:{}).", place["line"]);
    assert!(error["message"].as_str().expect("a message").starts_with(&sentence), "{error}");
    let incident = fields(&export["diagnostics"]["incidents"][0], &["name", "message", "turn_id", "panicked_at"]);
    assert_eq!(
        incident,
        json!({ "name": "turn_panic", "message": "the script says so", "turn_id": abort["turn_id"], "panicked_at": place })
    );
    assert_eq!(export["session"]["messages"][1]["parts"][0]["text"], "Half an ans");
    let prompt = editor.prompt(&session, "again").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}
