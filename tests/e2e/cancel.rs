//! Cancels: who asked, from which request, what was running, and that the first one wins.

use crate::main_job::at;
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

fn refs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// A turn that has streamed one word and goes on; the title is switched off.
async fn streaming(home: &Home, framing: Framing, dialect: Dialect) -> (Editor, ModelServer, Exchange, String, Value) {
    let mut server = ModelServer::start().await;
    let mut args = at(&server);
    args.extend(["--title-model".into(), "none".into()]);
    let mut editor = Editor::ready(home, framing, dialect, &refs(&args)).await;
    let session = editor.new_session(home).await;
    let prompt = editor.prompt(&session, "tell me a story").await;
    let mut exchange = server.next_request().await;
    exchange.text("Once").await;
    editor.next_update("agent_message_chunk").await;
    (editor, server, exchange, session, prompt)
}

fn ours(dialect: Dialect, result: &Value) -> &Value {
    if dialect == Dialect::Acp { &result["_meta"]["pillion"] } else { result }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_7_is_named_in_the_answer_and_in_the_export() {
    for (framing, dialect) in [(Framing::Headers, Dialect::Lsp), (Framing::Lines, Dialect::Acp)] {
        let home = Home::new();
        let (mut editor, _server, mut exchange, session, prompt) = streaming(&home, framing, dialect).await;
        let fields = json!({ "source": "test.stopButton", "initiator": "user", "reason": "wrong story" });
        let mut params = if dialect == Dialect::Acp { json!({ "_meta": { "pillion": fields } }) } else { fields };
        params["sessionId"] = json!(session);
        editor.request_as(json!("stop-7"), "session/cancel", params).await;
        let all = editor.all_until(&json!("stop-7")).await;
        let prompt_at = all.iter().position(|m| m["id"] == prompt).expect("the prompt is answered before its cancel");
        let answer = &all[prompt_at]["result"];
        assert_eq!(answer["stopReason"], "cancelled");
        let cancel = ours(dialect, &all.last().expect("an answer")["result"]).clone();
        exchange.closed_by_client().await;

        assert_eq!(ours(dialect, answer)["sentence"], "The turn was cancelled by the user (test.stopButton).");
        let inline = ours(dialect, answer)["diagnostics"].clone();
        let abort = &inline["abort"];
        assert_eq!(abort["cause"], "client_cancel");
        assert_eq!(abort["request"]["id"], "stop-7");
        assert_eq!(abort["request"]["method"], "session/cancel");
        assert_eq!(abort["request"]["client"], json!({ "name": "e2e", "version": "1.2.3" }));
        assert_eq!(abort["prompt_request"]["id"], prompt);
        assert_eq!(abort["prompt_request"]["connection_id"], abort["request"]["connection_id"]);
        assert_eq!(
            (&abort["source"], &abort["initiator"], &abort["reason"]),
            (&json!("test.stopButton"), &json!("user"), &json!("wrong story"))
        );
        assert_eq!((&abort["phase"], &abort["title_generation_state"]), (&json!("text"), &json!("disabled")));
        assert_eq!((&abort["forced"], &abort["via_ctx_abort"]), (&json!(false), &json!(false)));
        assert_eq!(abort["partial"], json!({ "text_bytes": 4, "reasoning_bytes": 0, "updates_sent": 1, "persisted_bytes": 4 }));
        let points: Vec<_> = abort["propagation"].as_array().expect("hops").iter().map(|hop| hop["point"].clone()).collect();
        assert_eq!(points, ["rpc.session/cancel", "runner.stopping", "turn.stream_dropped", "turn.settled"]);
        assert_eq!(abort["propagation_point"], "turn.stream_dropped");
        assert_eq!(cancel["outcome"], "cancelled");
        assert_eq!(&cancel["abort"], abort);
        assert_eq!(inline["stream_traces"][0]["state"], "aborted");
        assert_eq!(inline["stream_traces"][0]["abort_id"], abort["abort_id"]);

        let method = if dialect == Dialect::Acp { "_pillion/session/export" } else { "session/export" };
        let full =
            editor.call(method, json!({ "sessionId": session, "sanitize": false, "_meta": { "pillion": { "sanitize": false } } })).await;
        let mut exported = ours(dialect, &full)["export"]["diagnostics"]["aborts"][0].clone();
        let hops = exported["propagation"].as_array_mut().expect("hops");
        assert_eq!(hops.pop().expect("the answered hop")["point"], "turn.answered");
        assert_eq!(&exported, abort, "inline and full export are the same record");
        let sanitized = editor.call(method, json!({ "sessionId": session })).await;
        let sanitized = &ours(dialect, &sanitized)["export"]["diagnostics"]["aborts"][0];
        assert_eq!((&sanitized["abort_id"], &sanitized["request"]["id"]), (&abort["abort_id"], &json!("stop-7")));
        assert_ne!(sanitized["reason"], abort["reason"]);
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_by_request_id_and_a_bare_notification_work_in_both_dialects() {
    for (dialect, framing, method, key) in
        [(Dialect::Lsp, Framing::Headers, "$/cancelRequest", "id"), (Dialect::Acp, Framing::Lines, "$/cancel_request", "requestId")]
    {
        let home = Home::new();
        let (mut editor, _server, mut exchange, session, prompt) = streaming(&home, framing, dialect).await;
        editor.notify(method, json!({ key: prompt })).await;
        let answer = editor.result(&prompt).await;
        let abort = &ours(dialect, &answer)["diagnostics"]["abort"];
        assert_eq!((&answer["stopReason"], &abort["cause"]), (&json!("cancelled"), &json!("rpc_cancel")));
        assert_eq!((&abort["request"]["method"], &abort["request"]["id"]), (&json!(method), &Value::Null));
        exchange.closed_by_client().await;
        let first = abort["abort_id"].clone();

        // The previous turn's record stays; a notification without any metadata stops the next turn.
        let mut server = _server;
        let prompt = editor.prompt(&session, "again").await;
        let mut exchange = server.next_request().await;
        exchange.text("Twice").await;
        editor.next_update("agent_message_chunk").await;
        editor.notify("session/cancel", json!({ "sessionId": session })).await;
        let answer = editor.result(&prompt).await;
        let abort = &ours(dialect, &answer)["diagnostics"]["abort"];
        assert_eq!((&abort["cause"], &abort["initiator"]), (&json!("client_cancel"), &json!("unknown")));
        assert_ne!(abort["abort_id"], first);
        exchange.closed_by_client().await;
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_cancels_the_first_wins_and_the_second_is_late() {
    let home = Home::new();
    let (mut editor, _server, _exchange, session, prompt) = streaming(&home, Framing::Headers, Dialect::Lsp).await;
    let cancel = |id: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "session/cancel", "params": { "sessionId": session } });
    editor.send_all(&[cancel("one"), cancel("two")]).await;
    let answer = editor.result(&prompt).await;
    let abort_id = answer["diagnostics"]["abort"]["abort_id"].clone();
    assert_eq!(answer["diagnostics"]["abort"]["request"]["id"], "one");
    assert_eq!(editor.result(&json!("one")).await["outcome"], "cancelled");
    let late = editor.result(&json!("two")).await;
    assert_eq!((&late["outcome"], &late["abortId"]), (&json!("already_stopping"), &abort_id));
    let settled = editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!((&settled["outcome"], &settled["abortId"]), (&json!("already_settled"), &abort_id));

    let export = editor.call("session/export", json!({ "sessionId": session })).await;
    let diagnostics = &export["export"]["diagnostics"];
    let outcomes: Vec<_> = diagnostics["cancel_requests"].as_array().expect("requests").iter().map(|c| c["outcome"].clone()).collect();
    assert_eq!(outcomes, ["cancelled", "already_stopping", "already_settled"]);
    assert_eq!(diagnostics["aborts"][0]["late_cancels"].as_array().map(Vec::len), Some(2));
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_and_eof_in_one_write_the_cancel_wins_and_eof_is_late() {
    let home = Home::new();
    let (mut editor, _server, mut exchange, session, prompt) = streaming(&home, Framing::Headers, Dialect::Lsp).await;
    editor.request_as(json!("stop"), "session/cancel", json!({ "sessionId": session })).await;
    editor.hang_up();
    let answer = editor.result(&prompt).await;
    assert_eq!(answer["diagnostics"]["abort"]["cause"], "client_cancel");
    assert_eq!(editor.result(&json!("stop")).await["outcome"], "cancelled");
    exchange.closed_by_client().await;
    assert_eq!(editor.exited().await.code(), Some(0));

    let mut editor = Editor::lsp(&home, &[]).await;
    let export = editor.call("session/export", json!({ "sessionId": session })).await;
    let diagnostics = &export["export"]["diagnostics"];
    assert_eq!(diagnostics["aborts"].as_array().map(Vec::len), Some(1));
    let seen: Vec<_> =
        diagnostics["cancel_requests"].as_array().expect("requests").iter().map(|c| (c["cause"].clone(), c["outcome"].clone())).collect();
    assert_eq!(seen[0], (json!("client_cancel"), json!("cancelled")));
    // The EOF was read while the turn was stopping, or when it had just settled and nothing was left to stop.
    for late in &seen[1..] {
        assert_eq!(late.0, "client_eof");
    }
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_cancel_ends_what_was_accepted_before_it_and_nothing_after() {
    let home = Home::new();
    let (mut editor, mut server, _exchange, session, first) = streaming(&home, Framing::Headers, Dialect::Lsp).await;
    let queued = editor.prompt(&session, "second").await;
    let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let after = editor.prompt(&session, "third").await;
    let ended = [editor.result(&first).await, editor.result(&queued).await];
    for answer in &ended {
        assert_eq!(answer["stopReason"], "cancelled");
        assert_eq!(answer["diagnostics"]["abort"]["request"]["id"], stop);
    }
    assert_eq!(ended[1]["diagnostics"]["abort"]["phase"], "queued");
    assert_ne!(ended[0]["diagnostics"]["abort"]["abort_id"], ended[1]["diagnostics"]["abort"]["abort_id"]);
    assert_eq!(editor.result(&stop).await["outcome"], "cancelled");
    let exchange = server.next_request().await;
    exchange.answer("after").await;
    assert_eq!(editor.result(&after).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompt_and_cancel_in_one_write_land_on_that_prompt() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "first" }], ["stall"]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let before = editor.prompt(&session, "one").await;
    assert_eq!(editor.result(&before).await["stopReason"], "end_turn");
    let params = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "two" }] });
    let prompt = json!({ "jsonrpc": "2.0", "id": "p", "method": "session/prompt", "params": params });
    let cancel = json!({ "jsonrpc": "2.0", "id": "c", "method": "session/cancel", "params": { "sessionId": session } });
    editor.send_all(&[prompt, cancel]).await;
    let answer = editor.result(&json!("p")).await;
    assert_eq!(answer["diagnostics"]["abort"]["request"]["id"], "c");
    assert_eq!(answer["diagnostics"]["abort"]["prompt_request"]["id"], "p");
    assert_eq!(editor.result(&json!("c")).await["turnId"], answer["turnId"]);
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_metadata_refuses_a_request_but_never_a_notification() {
    let home = Home::new();
    let (mut editor, _server, _exchange, session, prompt) = streaming(&home, Framing::Headers, Dialect::Lsp).await;
    let params = json!({ "sessionId": session, "source": "two words", "reason": "x".repeat(501) });
    let refused = editor.request("session/cancel", params.clone()).await;
    let error = editor.error(&refused).await;
    assert_eq!(error["code"], -32602);
    assert!(error["message"].as_str().expect("a message").contains("source"), "{error}");
    editor.notify("session/cancel", params).await;
    let answer = editor.result(&prompt).await;
    let abort = &answer["diagnostics"]["abort"];
    assert_eq!(abort["missing"], json!(["source", "reason"]));
    assert!(abort.get("source").is_none() && abort.get("reason").is_none());
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_withdraws_the_question_and_a_late_answer_has_no_effect() {
    let home = Home::new();
    let call = json!({ "tool_call": { "id": "w", "name": "write_file", "input": { "path": "never.txt", "content": "x" } } });
    let model = home.script(&json!({ "steps": [[call], [{ "text": "unreached" }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "write").await;
    let question = editor.next("session/request_permission").await;
    let soft = editor.call("session/cancel", json!({ "sessionId": session, "mode": "soft" })).await;
    assert_eq!(soft["outcome"], "ignored_awaiting_answer");
    let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&prompt).await;
    let abort = &answer["diagnostics"]["abort"];
    assert_eq!(abort["phase"], "awaiting_permission");
    assert_eq!(abort["tools_in_flight"], json!([{ "call_id": "w", "tool": "write_file", "effect": "write", "outcome": "withdrawn" }]));
    assert_eq!(editor.result(&stop).await["outcome"], "cancelled");
    let withdrawn = editor.next("$/cancelRequest").await;
    assert_eq!(withdrawn["params"]["id"], question["id"]);
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    editor.ignore_updates();
    let still_alive = editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(still_alive["outcome"], "already_settled");
    assert!(!home.workspace().join("never.txt").exists());
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supersede_replaces_the_run_and_reject_is_refused() {
    let home = Home::new();
    let (mut editor, mut server, mut exchange, session, first) = streaming(&home, Framing::Headers, Dialect::Lsp).await;
    let prompt = |when: &str| json!({ "sessionId": session, "prompt": [{ "type": "text", "text": when }], "whenBusy": when });
    let rejected = editor.request("session/prompt", prompt("reject")).await;
    assert_eq!(editor.error(&rejected).await["code"], -32803);
    let newer = editor.request("session/prompt", prompt("supersede")).await;
    let answer = editor.result(&first).await;
    let abort = &answer["diagnostics"]["abort"];
    assert_eq!(abort["cause"], "superseded_by_prompt");
    assert_eq!(abort["request"]["id"], newer);
    exchange.closed_by_client().await;
    server.next_request().await.answer("newer").await;
    let answer = editor.result(&newer).await;
    assert_eq!(abort["superseding_turn_id"], answer["turnId"]);
    editor.ignore_updates();
    editor.finish().await;
}
