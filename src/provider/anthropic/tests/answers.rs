//! Messages that end well.

use super::*;
use crate::protocol::diagnostics::Usage;
use crate::protocol::model::{FinishReason, NoteKind};
use crate::provider::wire::testing::{begins, note, state};

/// What [`TOOLS`] says.
fn tools() -> Vec<ModelEvent> {
    let cached = Usage { cached_input_tokens: Some(2048), cache_write_input_tokens: Some(300), ..usage(2360, 89) };
    vec![
        ModelEvent::RequestSent,
        ModelEvent::Headers { http_status: 200, request_id: Some("req_7".into()) },
        ModelEvent::ResponseId("msg_01Fixture".into()),
        ModelEvent::Usage(Usage { output_tokens: None, ..cached.clone() }),
        ModelEvent::Reasoning("Two files, \"a\" and ".into()),
        ModelEvent::Reasoning("“b”.".into()),
        state(&json!({
            "type": "thinking", "thinking": "Two files, \"a\" and “b”.", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds",
        })),
        state(&json!({ "type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP" })),
        ModelEvent::Text("Let me read ".into()),
        ModelEvent::Text("both – für 3 €. 🦀".into()),
        begins(0, "toolu_01A", "read_file"),
        ModelEvent::ToolInput { bytes: 9 },
        ModelEvent::ToolInput { bytes: 10 },
        begins(1, "toolu_01B", "list_directory"),
        call("toolu_01A", "read_file", json!({"path": "ä/a.rs"})),
        call("toolu_01B", "list_directory", json!({})),
        ModelEvent::Usage(Usage { reasoning_tokens: Some(31), ..cached }),
        finish(FinishReason::ToolCalls, "tool_use"),
    ]
}

#[tokio::test]
async fn a_recorded_message_is_the_same_however_it_is_cut_and_its_lines_end() {
    testing::says_however_cut::<Messages>(TOOLS, &tools()).await;
}

#[tokio::test]
async fn the_request_has_the_vendors_headers_and_path_whether_or_not_the_base_url_has_a_version() {
    for version in ["", "/v1", "/v1/", "/"] {
        let mut server = ModelServer::start().await;
        let base_url = format!("http://127.0.0.1:{}{version}", server.port());
        let asked = tokio::spawn(collect(testing::provider::<Messages>(base_url).stream(hello())));
        let exchange = server.next_request().await;
        assert_eq!((exchange.method.as_str(), exchange.path.as_str()), ("POST", "/v1/messages"));
        let header = |name| exchange.header(name);
        assert_eq!((header("x-api-key"), header("anthropic-version"), header("authorization")), (Some(KEY), Some("2023-06-01"), None));
        assert_eq!(header("accept"), Some("text/event-stream"));
        assert_eq!(
            exchange.body,
            json!({
                "model": "m-1", "max_tokens": 64000, "stream": true,
                "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]}],
            })
        );
        exchange.hang_up();
        asked.await.unwrap();
    }
}

/// What a stream of these events comes to, without what every answer has.
async fn answer(events: &[String]) -> Vec<ModelEvent> {
    let (events, failure) = testing::recorded::<Messages>(&events.concat(), Cut::Whole).await;
    assert_eq!(failure, None);
    let uninteresting = |event: &ModelEvent| {
        matches!(event, ModelEvent::RequestSent | ModelEvent::Headers { .. } | ModelEvent::ResponseId(_) | ModelEvent::Usage(_))
    };
    events.into_iter().filter(|event| !uninteresting(event)).collect()
}

#[tokio::test]
async fn each_stop_reason_is_told_for_what_it_is() {
    for (raw, reason) in [
        ("end_turn", FinishReason::EndTurn),
        ("stop_sequence", FinishReason::EndTurn),
        ("pause_turn", FinishReason::EndTurn),
        ("max_tokens", FinishReason::MaxTokens),
        ("model_context_window_exceeded", FinishReason::MaxTokens),
        ("refusal", FinishReason::Refusal),
    ] {
        assert_eq!(answer(&[begin(), text("x"), stop(raw), end()]).await, [ModelEvent::Text("x".into()), finish(reason, raw)]);
    }
    let missing = note(NoteKind::CallMissing, "tool_use");
    let without = answer(&[begin(), text("x"), stop("tool_use"), end()]).await;
    assert_eq!(without, [ModelEvent::Text("x".into()), missing, finish(FinishReason::EndTurn, "tool_use")]);
    // Several ends of the message: the last reason counts.
    assert_eq!(answer(&[begin(), stop("end_turn"), stop("max_tokens"), end()]).await, [finish(FinishReason::MaxTokens, "max_tokens")]);
    // A server that forgets the reason, and one that forgets the end.
    let x = ModelEvent::Text("x".into());
    assert_eq!(answer(&[begin(), text("x"), end()]).await, [x.clone(), finish(FinishReason::EndTurn, "message_stop")]);
    assert_eq!(answer(&[begin(), text("x"), stop("end_turn")]).await, [x.clone(), finish(FinishReason::EndTurn, "end_turn")]);
    let unknown = note(NoteKind::UnknownFinishReason, "yet_unknown");
    assert_eq!(answer(&[begin(), text("x"), stop("yet_unknown"), end()]).await, [x, unknown, finish(FinishReason::EndTurn, "yet_unknown")]);
}

#[tokio::test]
async fn a_refusal_says_why_and_its_half_call_is_not_handed_on() {
    let (events, failure) = testing::recorded::<Messages>(REFUSAL, Cut::Whole).await;
    assert_eq!(failure, None);
    let counted = Usage { cached_input_tokens: Some(0), cache_write_input_tokens: Some(0), ..usage(18, 5) };
    assert_eq!(
        events[4..],
        [
            begins(0, "toolu_02A", "write_file"),
            ModelEvent::ToolInput { bytes: 13 },
            ModelEvent::Text("This request was declined.".into()),
            note(NoteKind::CallNotRun, "write_file"),
            ModelEvent::Usage(counted),
            finish(FinishReason::Refusal, "refusal"),
        ]
    );
}

#[tokio::test]
async fn what_servers_do_that_the_vendor_does_not_is_understood() {
    let block = |index: u64, block: Value| event("content_block_start", json!({"index": index, "content_block": block}));
    let json_delta = |index: u64, json: &str| {
        event("content_block_delta", json!({"index": index, "delta": {"type": "input_json_delta", "partial_json": json}}))
    };
    let tool = |index: u64, id: &str, input: Value| block(index, json!({"type": "tool_use", "id": id, "name": "a", "input": input}));
    // Words and input in the beginning of a block, deltas of two blocks in turn, and a second beginning of the message.
    let events = answer(&[
        begin(),
        begin(),
        block(0, json!({"type": "thinking", "thinking": "hm"})),
        block(1, json!({"type": "text", "text": "so"})),
        tool(2, "p", json!({"x": 1})),
        tool(3, "q", json!({})),
        tool(4, "q", json!({})),
        json_delta(4, "{\"y\":"),
        json_delta(3, "[1]"),
        json_delta(4, "2}"),
        json_delta(9, "of no block"),
        stop("tool_use"),
        end(),
    ])
    .await;
    assert_eq!(
        events,
        [
            ModelEvent::Reasoning("hm".into()),
            state(&json!({ "type": "thinking", "thinking": "hm" })),
            ModelEvent::Text("so".into()),
            begins(0, "p", "a"),
            begins(1, "q", "a"),
            begins(2, "q", "a"),
            ModelEvent::ToolInput { bytes: 5 },
            begins(1, "q", "a"),
            ModelEvent::ToolInput { bytes: 3 },
            begins(2, "q", "a"),
            ModelEvent::ToolInput { bytes: 2 },
            note(NoteKind::PassedOver, "\"of no block\""),
            call("p", "a", json!({"x": 1})),
            call("q", "a", Value::String("[1]".into())),
            call("call_1_3", "a", json!({"y": 2})),
            finish(FinishReason::ToolCalls, "tool_use"),
        ]
    );
    // No names of events, null for what there is none of, and no usage at all.
    let bare = "data: {\"type\":\"message_start\",\"message\":{\"id\":null,\"usage\":null}}\n\n\
                data: {\"type\":\"content_block_delta\",\"index\":null,\"delta\":{\"text\":\"a\",\"thinking\":null}}\n\n\
                data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_details\":null},\"usage\":null}\n\n";
    let (events, failure) = testing::recorded::<Messages>(bare, Cut::Whole).await;
    assert_eq!((&events[2..], failure), (&[ModelEvent::Text("a".into()), finish(FinishReason::EndTurn, "end_turn")][..], None));
}
