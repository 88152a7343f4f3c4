//! Responses that end well.

use super::*;
use crate::protocol::diagnostics::Usage;
use crate::protocol::model::{FinishReason, NoteKind};
use crate::provider::wire::testing::{begins, note};

/// What [`TOOLS`] says.
fn tools() -> Vec<ModelEvent> {
    let counted =
        Usage { reasoning_tokens: Some(31), cached_input_tokens: Some(2048), cache_write_input_tokens: Some(300), ..usage(2360, 89) };
    vec![
        ModelEvent::RequestSent,
        ModelEvent::Headers { http_status: 200, request_id: Some("req_7".into()) },
        ModelEvent::ResponseId("resp_01Fixture".into()),
        ModelEvent::Reasoning("Two files, “a” and “b”.".into()),
        ModelEvent::Reasoning("\n\n".into()),
        ModelEvent::Reasoning("Read both.".into()),
        ModelEvent::State(
            r#"{"id":"rs_01","type":"reasoning","encrypted_content":"gAAAAABo2TA","summary":[{"type":"summary_text","text":"Two files, “a” and “b”."},{"type":"summary_text","text":"Read both."}]}"#.into(),
        ),
        ModelEvent::Text("Let me read ".into()),
        ModelEvent::Text("both – für 3 €. 🦀".into()),
        begins(0, "call_01A", "read_file"),
        ModelEvent::ToolInput { bytes: 8 },
        ModelEvent::ToolInput { bytes: 10 },
        begins(1, "call_01B", "list_directory"),
        ModelEvent::ToolInput { bytes: 2 },
        call("call_01A", "read_file", json!({"path": "ä/a.rs"})),
        call("call_01B", "list_directory", json!({})),
        ModelEvent::Usage(counted),
        finish(FinishReason::ToolCalls, "completed"),
    ]
}

#[tokio::test]
async fn a_recorded_response_is_the_same_however_it_is_cut_and_its_lines_end() {
    testing::says_however_cut::<Responses>(TOOLS, &tools()).await;
}

#[tokio::test]
async fn the_request_goes_to_responses_and_is_not_stored() {
    let mut server = ModelServer::start().await;
    let asked = testing::ask::<Responses>(&server);
    let exchange = server.next_request().await;
    assert_eq!((exchange.method.as_str(), exchange.path.as_str()), ("POST", "/v1/responses"));
    assert_eq!(exchange.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        exchange.body,
        json!({
            "model": "m-1", "stream": true, "store": false, "instructions": "Be brief.", "prompt_cache_key": "msg_1",
            "include": ["reasoning.encrypted_content"],
            "input": [{"type": "message", "role": "user", "content": "Hello"}],
        })
    );
    exchange.hang_up();
    asked.await.unwrap();
}

/// What a stream of these events comes to, without what every answer has.
async fn answer(events: &[String]) -> Vec<ModelEvent> {
    let (events, failure) = testing::recorded::<Responses>(&events.concat(), Cut::Whole).await;
    assert_eq!(failure, None);
    let uninteresting = |event: &ModelEvent| {
        matches!(
            event,
            ModelEvent::RequestSent
                | ModelEvent::Headers { .. }
                | ModelEvent::ResponseId(_)
                | ModelEvent::ToolBegins { .. }
                | ModelEvent::ToolInput { .. }
        )
    };
    events.into_iter().filter(|event| !uninteresting(event)).collect()
}

#[tokio::test]
async fn each_end_is_told_for_what_it_is() {
    let incomplete = |details: Value| {
        event(
            "response.incomplete",
            json!({"response": {"status": "incomplete", "incomplete_details": details, "usage": {"input_tokens": 9, "output_tokens": 3}}}),
        )
    };
    let half = event("response.function_call_arguments.delta", json!({"output_index": 1, "delta": "{\"path\":"}));
    for (end, reason, raw) in [
        (completed(), FinishReason::EndTurn, "completed"),
        (incomplete(json!({"reason": "max_output_tokens"})), FinishReason::MaxTokens, "max_output_tokens"),
        (incomplete(json!({"reason": "content_filter"})), FinishReason::Refusal, "content_filter"),
        (incomplete(Value::Null), FinishReason::MaxTokens, "incomplete"),
    ] {
        // A call in a response that was cut off is not handed on.
        let half = if raw == "completed" { String::new() } else { half.clone() };
        let told = (!half.is_empty()).then(|| note(NoteKind::CallNotRun, "a call without a name"));
        let want = [ModelEvent::Text("x".into())].into_iter().chain(told);
        let want: Vec<_> = want.chain([ModelEvent::Usage(usage(9, 3)), finish(reason, raw)]).collect();
        assert_eq!(answer(&[begin(), text("x"), half, end]).await, want, "{raw}");
    }
    // A server that ends as chat completions do.
    assert_eq!(
        answer(&[text("x"), "data: [DONE]\n\n".into()]).await,
        [ModelEvent::Text("x".into()), finish(FinishReason::EndTurn, "[DONE]")]
    );
}

#[tokio::test]
async fn a_refusal_is_shown_and_told() {
    let (events, failure) = testing::recorded::<Responses>(REFUSAL, Cut::Whole).await;
    assert_eq!((said(&events).as_str(), failure), ("I cannot.", None));
    assert_eq!(events.last(), Some(&finish(FinishReason::Refusal, "completed")));
}

#[tokio::test]
async fn what_servers_do_that_the_vendor_does_not_is_understood() {
    let item = |kind: &str, index: u64, item: Value| event(kind, json!({"output_index": index, "item": item}));
    let delta = |index: u64, json: &str| event("response.function_call_arguments.delta", json!({"output_index": index, "delta": json}));
    // Deltas of two calls in turn, one id twice, raw reasoning, and neither names of events nor ids.
    let events = answer(&[
        event("response.reasoning_text.delta", json!({"delta": "hm"})),
        item("response.output_item.added", 1, json!({"type": "function_call", "call_id": "p", "name": "a", "arguments": ""})),
        item("response.output_item.added", 2, json!({"type": "function_call", "call_id": "p", "name": "b"})),
        delta(2, "{\"y\":"),
        delta(1, "[1]"),
        delta(2, "2}"),
        item("response.output_item.done", 3, json!({"type": "web_search_call", "name": "not ours"})),
        "data: {\"type\":\"response.completed\",\"response\":{}}\n\n".into(),
    ])
    .await;
    assert_eq!(
        events,
        [
            ModelEvent::Reasoning("hm".into()),
            call("p", "a", Value::String("[1]".into())),
            call("call_1_2", "b", json!({"y": 2})),
            finish(FinishReason::ToolCalls, "completed"),
        ]
    );
}
