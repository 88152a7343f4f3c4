//! Answers that end well, in the many shapes that servers give them.

use super::*;
use crate::protocol::diagnostics::Usage;
use crate::protocol::model::{FinishReason, NoteKind};
use crate::provider::wire::testing::{call, finish, note, state, usage};
use serde_json::{Value, json};

#[tokio::test]
async fn a_plain_answer_is_whole_and_in_order() {
    let mut server = ModelServer::start().await;
    let asked = ask(&server);
    let mut exchange = server.next_request().await;
    assert_eq!((exchange.method.as_str(), exchange.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(exchange.header("authorization"), Some("Bearer sk-canary-5f2a"));
    assert_eq!(
        exchange.body,
        json!({
            "model": "m-1", "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        })
    );
    exchange.head_with(200, &[("content-type", "text/event-stream; charset=utf-8"), ("x-request-id", "req_7")]).await;
    exchange.delta(json!({"role": "assistant", "content": ""})).await;
    exchange.delta(json!({"reasoning_content": "hm", "content": null})).await;
    exchange.delta(json!({"reasoning": "so"})).await;
    exchange.text("Good ").await;
    exchange.text("day.").await;
    exchange.finish("stop").await;
    exchange
        .event(&json!({"choices": [], "usage": {
        "prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2}}}))
        .await;
    exchange.done().await;
    let (events, failure) = asked.await.unwrap();
    assert_eq!(failure, None);
    assert_eq!(
        events,
        [
            ModelEvent::RequestSent,
            ModelEvent::Headers { http_status: 200, request_id: Some("req_7".into()) },
            ModelEvent::ResponseId("chatcmpl-1".into()),
            ModelEvent::Reasoning("hm".into()),
            ModelEvent::Reasoning("so".into()),
            ModelEvent::Text("Good ".into()),
            ModelEvent::Text("day.".into()),
            state(&json!({ "reasoning_content": "hm", "reasoning": "so" })),
            ModelEvent::Usage(Usage { reasoning_tokens: Some(2), cached_input_tokens: Some(4), ..usage(9, 3) }),
            finish(FinishReason::EndTurn, "stop"),
        ]
    );
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_poll() {
    let mut server = ModelServer::start().await;
    let stream = provider(server.base_url()).stream(hello());
    // A round trip of another client shows that the server would have seen it.
    let other = tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let polled = std::time::Instant::now();
    let asked = tokio::spawn(collect(stream));
    let exchange = server.next_request().await;
    assert!(exchange.received > polled);
    assert_eq!(server.connections(), 2);
    exchange.answer("a").await;
    assert_eq!(said(&asked.await.unwrap().0), "a");
    drop(other);
}

/// What an answer made of these deltas and this finish reason comes to, without what every answer has.
async fn answer(deltas: &[Value], reason: &str) -> Vec<ModelEvent> {
    let mut server = ModelServer::start().await;
    let asked = ask(&server);
    let mut exchange = server.next_request().await;
    for delta in deltas {
        exchange.delta(delta.clone()).await;
    }
    exchange.finish(reason).await;
    exchange.done().await;
    let (events, failure) = asked.await.unwrap();
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

fn tool_delta(call: Value) -> Value {
    json!({ "tool_calls": [call] })
}

#[tokio::test]
async fn calls_split_over_deltas_come_together_by_index() {
    let events = answer(
        &[
            tool_delta(json!({"index": 0, "id": "call_a", "type": "function", "function": {"name": "read_file", "arguments": ""}})),
            tool_delta(json!({"index": 0, "function": {"arguments": "{\"pa"}})),
            tool_delta(json!({"index": 1, "id": "call_b", "function": {"name": "search", "arguments": "{\"q\":"}})),
            tool_delta(json!({"index": 0, "id": "", "function": {"arguments": "th\":\"a\"}"}})),
            tool_delta(json!({"index": 1, "function": {"name": "search", "arguments": "1}"}})),
        ],
        "tool_calls",
    )
    .await;
    let want = [
        call("call_a", "read_file", json!({"path": "a"})),
        call("call_b", "search", json!({"q": 1})),
        finish(FinishReason::ToolCalls, "tool_calls"),
    ];
    assert_eq!(events, want);
}

#[tokio::test]
async fn blocks_of_thoughts_that_a_gateway_hands_on_are_kept_for_it() {
    let block = |text: &str, rest: Value| {
        let mut block = json!({ "type": "thinking", "thinking": text, "index": 0 });
        block.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({ "content": "", "reasoning_content": text, "thinking_blocks": [block] })
    };
    let events = answer(
        &[
            block("Let ", json!({})),
            block("me.", json!({})),
            block("", json!({ "signature": "SIG==" })),
            tool_delta(json!({"index": 0, "id": "call_a", "function": {"name": "read_file", "arguments": "{}"}})),
        ],
        "tool_calls",
    )
    .await;
    let kept = json!({
        "reasoning_content": "Let me.",
        "thinking_blocks": [{ "type": "thinking", "thinking": "Let me.", "signature": "SIG==" }],
    });
    let want = [
        ModelEvent::Reasoning("Let ".into()),
        ModelEvent::Reasoning("me.".into()),
        call("call_a", "read_file", json!({})),
        state(&kept),
        finish(FinishReason::ToolCalls, "tool_calls"),
    ];
    assert_eq!(events, want);
}

#[tokio::test]
async fn servers_that_leave_out_index_or_id_are_understood() {
    // Whole calls without an index or an id, and Ollama's finish reason.
    let whole = json!({"tool_calls": [{"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "b", "arguments": ""}}]});
    let want = [call("call_1_1", "a", json!({"x": 1})), call("call_1_2", "b", json!({})), finish(FinishReason::ToolCalls, "stop")];
    assert_eq!(answer(&[whole], "stop").await, want);
    // Pieces without an index.
    let pieces =
        [json!({"id": "p", "function": {"name": "a", "arguments": "{\"x\""}}), json!({"function": {"arguments": ":2}"}})].map(tool_delta);
    assert_eq!(answer(&pieces, "tool_calls").await[0], call("p", "a", json!({"x": 2})));
    // Every call at index 0, told apart by their ids; and two calls with one id.
    let zeros = ["q", "r", "r"].map(|id| tool_delta(json!({"index": 0, "id": id, "function": {"name": id, "arguments": "{}"}})));
    assert_eq!(answer(&zeros[..2], "tool_calls").await[..2], [call("q", "q", json!({})), call("r", "r", json!({}))]);
    let twins =
        [0, 1].map(|index| tool_delta(json!({"index": index, "id": "t", "function": {"name": "a", "arguments": format!("[{index}]")}})));
    assert_eq!(answer(&twins, "tool_calls").await[..2], [call("t", "a", json!("[0]")), call("call_1_2", "a", json!("[1]"))]);
    // The form before tool_calls.
    let old = [json!({"function_call": {"name": "a", "arguments": "{\"x\""}}), json!({"function_call": {"arguments": ":3}"}})];
    assert_eq!(answer(&old, "function_call").await[0], call("call_1_1", "a", json!({"x": 3})));
}

#[tokio::test]
async fn an_id_that_the_conversation_has_used_gets_another() {
    let mut server = ModelServer::start().await;
    let used = vec![
        Part::tool_call("call_0", "a", json!({})),
        Part::tool_result("call_0", crate::protocol::message::ResultStatus::Completed, "ok"),
    ];
    let history = vec![message(Role::User, vec![Part::text("go")]), message(Role::Assistant, used)];
    let asked = tokio::spawn(collect(provider(server.base_url()).stream(request(history))));
    let mut exchange = server.next_request().await;
    exchange.tool_call(0, "call_0", "a", &json!({})).await;
    exchange.finish("tool_calls").await;
    exchange.done().await;
    assert!(asked.await.unwrap().0.contains(&call("call_1_1", "a", json!({}))));
}

#[tokio::test]
async fn arguments_that_are_no_object_stay_the_words_of_the_model() {
    for raw in ["{\"path\":", "[1]", "7"] {
        let delta = tool_delta(json!({"index": 0, "id": "c", "function": {"name": "a", "arguments": raw}}));
        assert_eq!(answer(&[delta], "tool_calls").await[0], call("c", "a", Value::String(raw.into())));
    }
}

#[tokio::test]
async fn each_finish_reason_is_told_for_what_it_is() {
    let words = json!({"content": "x"});
    for (raw, reason) in [
        ("stop", FinishReason::EndTurn),
        ("length", FinishReason::MaxTokens),
        ("content_filter", FinishReason::Refusal),
        ("eos", FinishReason::EndTurn),
    ] {
        let events = answer(std::slice::from_ref(&words), raw).await;
        assert_eq!(events, [ModelEvent::Text("x".into()), finish(reason, raw)], "{raw}");
    }
    let without = answer(std::slice::from_ref(&words), "tool_calls").await;
    let missing = note(NoteKind::CallMissing, "tool_calls");
    assert_eq!(without, [ModelEvent::Text("x".into()), missing, finish(FinishReason::EndTurn, "tool_calls")]);
    let refused = answer(&[json!({"refusal": "I cannot."})], "stop").await;
    assert_eq!(refused, [ModelEvent::Text("I cannot.".into()), finish(FinishReason::Refusal, "stop")]);
    // A call in an answer that was cut off is not handed on.
    let call = tool_delta(json!({"index": 0, "id": "c", "function": {"name": "a", "arguments": "{}"}}));
    assert_eq!(answer(&[call], "length").await, [note(NoteKind::CallNotRun, "a"), finish(FinishReason::MaxTokens, "length")]);
    let unknown = answer(std::slice::from_ref(&words), "vibes").await;
    let told = note(NoteKind::UnknownFinishReason, "vibes");
    assert_eq!(unknown, [ModelEvent::Text("x".into()), told, finish(FinishReason::EndTurn, "vibes")]);
}

#[tokio::test]
async fn byte_order_mark_line_ends_comments_and_split_characters_do_not_matter() {
    let mut server = ModelServer::start().await;
    let asked = ask(&server);
    let mut exchange = server.next_request().await;
    exchange.raw(b"\xEF\xBB\xBF: OPENROUTER PROCESSING\r\n\r\n").await;
    exchange.raw(b"id: 1\r\nevent: message\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n:ping\n\ndata:\n\n").await;
    let euro = "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"€\"}}]}\n\n".as_bytes();
    let middle = euro.iter().position(|byte| *byte == 0xE2).unwrap() + 1;
    exchange.raw(&euro[..middle]).await;
    exchange.raw(&euro[middle..]).await;
    exchange.finish("stop").await;
    // No [DONE]: the finish reason is enough.
    exchange.end_body().await;
    let (events, failure) = asked.await.unwrap();
    assert_eq!((said(&events).as_str(), failure), ("a€", None));
    assert_eq!(events.last(), Some(&finish(FinishReason::EndTurn, "stop")));
}

#[tokio::test]
async fn done_without_a_finish_reason_is_an_end_and_says_so() {
    let mut server = ModelServer::start().await;
    let asked = ask(&server);
    let mut exchange = server.next_request().await;
    exchange
        .event(&json!({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": ""}, {"index": 1, "delta": {"content": "b"}}]}))
        .await;
    exchange.event(&json!({"choices": null, "usage": {"prompt_tokens": null}})).await;
    exchange.done().await;
    let (events, failure) = asked.await.unwrap();
    assert_eq!((said(&events).as_str(), failure), ("a", None));
    assert_eq!(events.last(), Some(&finish(FinishReason::EndTurn, "[DONE]")));
    assert!(!events.iter().any(|event| matches!(event, ModelEvent::Usage(_))), "usage that counts nothing is absent");
}

#[tokio::test]
async fn what_happens_to_the_connection_after_the_finish_is_no_failure() {
    let mut server = ModelServer::start().await;
    let asked = ask(&server);
    let mut exchange = server.next_request().await;
    exchange.text("a").await;
    exchange.finish("stop").await;
    exchange.hang_up();
    let (events, failure) = asked.await.unwrap();
    assert_eq!((events.last(), failure), (Some(&finish(FinishReason::EndTurn, "stop")), None));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_has_finished_is_not_waited_for() {
    let mut server = ModelServer::start().await;
    let asked = ask(&server);
    let mut exchange = server.next_request().await;
    exchange.text("a").await;
    exchange.finish("stop").await;
    let (events, failure) = asked.await.unwrap();
    assert_eq!((events.last(), failure), (Some(&finish(FinishReason::EndTurn, "stop")), None));
    exchange.closed_by_client().await;
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = ModelServer::auto(|exchange| exchange.answer("again")).await;
    let provider = provider(server.base_url());
    for _ in 0..5 {
        assert_eq!(said(&collect(provider.stream(hello())).await.0), "again");
        // The body's end is read beside the answer: wait for it as a person does who types the next prompt.
        tokio::task::yield_now().await;
    }
    assert!(server.connections() < 5, "{} connections for 5 requests", server.connections());
}
