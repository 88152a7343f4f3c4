//! The vendors' own protocols through the real binary: a turn with a tool, a stop, and a key that stands nowhere.

use crate::support::hiding::spellings_in;
use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, export, fields, full_export};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// A vendor's protocol from the server's side.
struct Vendor {
    name: &'static str,
    /// The variable of the vendor's key, and how a request shows it.
    key_variable: &'static str,
    key_header: &'static str,
    key_prefix: &'static str,
    request_id: &'static str,
    path: &'static str,
    /// A thought, words, and a call of `read_file`, as the vendor streams them.
    calls: fn(&str) -> Vec<(&'static str, Value)>,
    /// The words `Done.` and the end.
    answers: fn() -> Vec<(&'static str, Value)>,
    /// Words and no end.
    begins: fn() -> Vec<(&'static str, Value)>,
    /// An error that says this, in the stream.
    fails: fn(&str) -> (&'static str, Value),
    /// The result of the one tool call in a request.
    result: fn(&Value) -> Value,
}

const VENDORS: [Vendor; 2] = [
    Vendor {
        name: "anthropic",
        key_variable: "ANTHROPIC_API_KEY",
        key_header: "x-api-key",
        key_prefix: "",
        request_id: "request-id",
        path: "/v1/messages",
        calls: |path| {
            let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 5, "output_tokens": 1});
            let input = json!({ "path": path }).to_string();
            vec![
                ("message_start", json!({"message": {"id": "answer-1", "usage": usage}})),
                ("content_block_delta", json!({"index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}})),
                ("content_block_delta", json!({"index": 1, "delta": {"type": "text_delta", "text": "I look."}})),
                ("content_block_start", json!({"index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "read_file"}})),
                ("content_block_delta", json!({"index": 2, "delta": {"type": "input_json_delta", "partial_json": input}})),
                ("message_delta", json!({"delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}})),
                ("message_stop", json!({})),
            ]
        },
        answers: || {
            vec![
                ("message_start", json!({"message": {"id": "answer-2", "usage": {"input_tokens": 40, "output_tokens": 1}}})),
                ("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": "Done."}})),
                ("message_delta", json!({"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})),
                ("message_stop", json!({})),
            ]
        },
        begins: || {
            vec![("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": "I am "}})), ("ping", json!({}))]
        },
        fails: |message| ("error", json!({"error": {"type": "api_error", "message": message}})),
        result: |body| {
            let messages = body["messages"].as_array().expect("messages");
            let result = &messages.last().expect("a message")["content"][0];
            assert_eq!((&result["type"], &result["tool_use_id"]), (&json!("tool_result"), &json!("toolu_1")));
            result["content"].clone()
        },
    },
    Vendor {
        name: "openai-responses",
        key_variable: "OPENAI_API_KEY",
        key_header: "authorization",
        key_prefix: "Bearer ",
        request_id: "x-request-id",
        path: "/v1/responses",
        calls: |path| {
            let details = json!({"cached_tokens": 20, "cache_write_tokens": 5});
            let usage = json!({"input_tokens": 35, "input_tokens_details": details, "output_tokens": 7});
            let item = json!({"type": "function_call", "call_id": "toolu_1", "name": "read_file", "arguments": json!({ "path": path }).to_string()});
            vec![
                ("response.created", json!({"response": {"id": "answer-1"}})),
                ("response.reasoning_summary_text.delta", json!({"output_index": 0, "delta": "hm"})),
                ("response.output_text.delta", json!({"output_index": 1, "delta": "I look."})),
                ("response.output_item.done", json!({"output_index": 2, "item": item})),
                ("response.completed", json!({"response": {"id": "answer-1", "usage": usage}})),
            ]
        },
        answers: || {
            let usage = json!({"input_tokens": 40, "output_tokens": 2});
            vec![
                ("response.output_text.delta", json!({"output_index": 0, "delta": "Done."})),
                ("response.completed", json!({"response": {"id": "answer-2", "usage": usage}})),
            ]
        },
        begins: || vec![("response.output_text.delta", json!({"output_index": 0, "delta": "I am "}))],
        fails: |message| ("error", json!({"code": "server_error", "message": message})),
        result: |body| {
            let items = body["input"].as_array().expect("items");
            let output = items.last().expect("an item");
            assert_eq!((&output["type"], &output["call_id"]), (&json!("function_call_output"), &json!("toolu_1")));
            output["output"].clone()
        },
    },
];

/// Sends events as the vendors write them.
async fn tell(exchange: &mut Exchange, events: impl IntoIterator<Item = (&'static str, Value)>) {
    for (kind, mut data) in events {
        data["type"] = kind.into();
        exchange.raw(format!("event: {kind}\ndata: {data}\n\n").as_bytes()).await;
    }
}

/// An editor whose model is this vendor's, with the vendor's key in its environment, and a session of it.
async fn opened(vendor: &Vendor, key: &str, server: &ModelServer, home: &Home) -> (Editor, String) {
    let mut command = configured(home, ONE_ATTEMPT);
    command.env(vendor.key_variable, key);
    let (model, url) = (format!("{}:test-model", vendor.name), server.base_url());
    let args: Vec<_> = ["--model", &model, "--base-url", &url].into_iter().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    (editor, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_with_a_tool_runs_through_each_vendors_protocol_and_can_be_stopped() {
    for vendor in VENDORS {
        let home = Home::new();
        home.file("a.txt", "seventeen\n");
        let mut server = ModelServer::start().await;
        let (mut editor, session) = opened(&vendor, "vendors-own-key", &server, &home).await;
        let prompt = editor.prompt(&session, "What is in it?").await;
        let mut first = server.next_request().await;
        assert_eq!(first.path, vendor.path);
        assert_eq!(first.header(vendor.key_header), Some(format!("{}vendors-own-key", vendor.key_prefix).as_str()));
        first.head_with(200, &[("content-type", "text/event-stream"), (vendor.request_id, "req-1")]).await;
        tell(&mut first, (vendor.calls)("a.txt")).await;
        first.end_body().await;
        let mut second = server.next_request().await;
        assert!((vendor.result)(&second.body).as_str().expect("text").contains("seventeen"), "{}", second.body);
        tell(&mut second, (vendor.answers)()).await;
        second.end_body().await;

        let all = editor.all_until(&prompt).await;
        let (answer, updates) = all.split_last().expect("an answer");
        let kinds: Vec<_> = updates.iter().map(|update| update["params"]["update"]["sessionUpdate"].as_str().expect("a kind")).collect();
        let want =
            ["agent_thought_chunk", "agent_message_chunk", "tool_call", "tool_call_update", "tool_call_update", "agent_message_chunk"];
        assert_eq!(kinds, want, "{}", vendor.name);
        let result = &answer["result"];
        assert_eq!((&result["stopReason"], &result["model"]), (&json!("end_turn"), &json!(format!("{}:test-model", vendor.name))));
        assert_eq!(
            result["usage"],
            json!({"source": "provider", "inputTokens": 75, "outputTokens": 9, "cachedInputTokens": 20, "cacheWriteInputTokens": 5})
        );

        // A stream that is kept alive and says nothing more: the stop ends it, and its connection.
        let prompt = editor.prompt(&session, "Tell me more").await;
        let mut third = server.next_request().await;
        tell(&mut third, (vendor.begins)()).await;
        while editor.next_update("agent_message_chunk").await["params"]["update"]["content"]["text"] != "I am " {}
        let cancelled = editor.call("session/cancel", json!({ "sessionId": session, "initiator": "user" })).await;
        assert_eq!(cancelled["outcome"], "cancelled");
        assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
        third.closed_by_client().await;

        let exported = export(&mut editor, &session).await;
        let traces = exported["diagnostics"]["stream_traces"].as_array().expect("traces");
        let told: Vec<_> =
            traces.iter().map(|trace| fields(trace, &["provider", "state", "request_id", "response_id", "finish_reason"])).collect();
        let finish = if vendor.name == "anthropic" { ["tool_use", "end_turn"] } else { ["completed"; 2] };
        assert_eq!(
            told,
            [
                json!({"provider": vendor.name, "state": "completed", "request_id": "req-1", "response_id": "answer-1", "finish_reason": finish[0]}),
                json!({"provider": vendor.name, "state": "completed", "response_id": "answer-2", "finish_reason": finish[1]}),
                json!({"provider": vendor.name, "state": "aborted"}),
            ]
        );
        editor.ignore_updates();
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendors_key_that_comes_back_in_errors_stands_nowhere() {
    const KEY: &str = "vk-Zz9/vendor+KEY=value";
    for vendor in VENDORS {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let (mut editor, session) = opened(&vendor, KEY, &server, &home).await;
        let mut shown = Vec::new();
        let prompt = editor.prompt(&session, "Hello").await;
        let body = json!({"type": "error", "error": {"type": KEY, "code": KEY, "message": format!("no such key: {KEY}")}}).to_string();
        let headers = [("content-type", "application/json"), (vendor.request_id, KEY)];
        server.next_request().await.error(401, &headers, &body).await;
        let refused = editor.error(&prompt).await;
        assert_eq!(refused["data"]["cause"], "provider_http", "{refused}");
        shown.push(("refusal", refused.to_string()));
        let prompt = editor.prompt(&session, "Hello again").await;
        let mut exchange = server.next_request().await;
        tell(&mut exchange, [(vendor.fails)(&format!("broke: {KEY}"))]).await;
        let failed = editor.error(&prompt).await;
        assert!(failed.to_string().contains("provider_error"), "{failed}");
        shown.push(("failure", failed.to_string()));
        shown.push(("full export", full_export(&mut editor, &session).await.to_string()));
        shown.push(("sanitized export", export(&mut editor, &session).await.to_string()));
        editor.ignore_updates();
        editor.finish().await;
        shown.push(("log", std::fs::read_to_string(home.log_file()).expect("a log")));
        for (place, text) in shown {
            assert_eq!(spellings_in(&text, KEY), [""; 0], "{}: {place}: {text}", vendor.name);
        }
    }
}
