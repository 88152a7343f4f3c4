//! Scripts read, refused and played.

use super::*;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Usage, UsageSource};
use crate::protocol::ids::{AttemptId, MessageId};
use crate::protocol::message::{Message, Part, ResultStatus, Role};
use crate::protocol::model::{FinishReason, Purpose};
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

fn scripted(script: &Value) -> Scripted {
    let script = Script::parse(&script.to_string(), Path::new("turn.json")).unwrap();
    Scripted { script: Arc::new(script), file: "turn.json".into(), next: Arc::default() }
}

fn request(purpose: Purpose, parts: Vec<Part>) -> ModelRequest {
    let message = Message { message_id: MessageId::new("msg_1"), role: Role::Assistant, created_at: 0, parts, turn_id: None, model: None };
    let messages = vec![Arc::new(message)];
    ModelRequest { attempt_id: AttemptId::new("att_1"), purpose, system: String::new(), messages, tools: Arc::default() }
}

fn turn() -> ModelRequest {
    request(Purpose::Turn, Vec::new())
}

async fn play(provider: &Scripted, request: ModelRequest) -> (Vec<ModelEvent>, Option<StreamFailure>) {
    let mut stream = provider.stream(request);
    let mut events = Vec::new();
    while let Some(next) = stream.next().await {
        match next {
            Ok(ModelEvent::UpstreamClosed(_)) => {}
            Ok(event) => events.push(event),
            Err(failure) => return (events, Some(failure)),
        }
    }
    (events, None)
}

/// What a script of one step comes to, without the head.
async fn step(entries: Value) -> (Vec<ModelEvent>, Option<StreamFailure>) {
    let (mut events, failure) = play(&scripted(&json!({ "steps": [entries] })), turn()).await;
    events.retain(|event| !matches!(event, ModelEvent::RequestSent | ModelEvent::Headers { .. } | ModelEvent::ResponseId(_)));
    (events, failure)
}

fn texts(pieces: &[&str]) -> Vec<ModelEvent> {
    pieces.iter().map(|piece| ModelEvent::Text((*piece).into())).collect()
}

fn finish(reason: FinishReason, raw: &str) -> ModelEvent {
    ModelEvent::Finish { reason, raw: raw.into() }
}

#[tokio::test]
async fn each_model_call_takes_the_next_step_and_the_end_is_told() {
    let provider = scripted(&json!({"steps": [
        [{"reasoning": "hm"}, {"text": "I look."}, {"tool_call": {"name": "read_file", "input": {"path": "a"}}}],
        [{"text": "Done."}, {"usage": {"input_tokens": 3, "output_tokens": 1}}],
    ]}));
    assert_eq!((provider.name(), provider.model(), provider.titles()), ("scripted", "turn.json", TitleSupport::None));
    let (events, failure) = play(&provider, turn()).await;
    assert_eq!(failure, None);
    assert_eq!(
        events,
        [
            ModelEvent::RequestSent,
            ModelEvent::Headers { http_status: 200, request_id: Some("scripted-request-1".into()) },
            ModelEvent::ResponseId("scripted-1".into()),
            ModelEvent::Reasoning("hm".into()),
            ModelEvent::Text("I look.".into()),
            ModelEvent::ToolBegins { nth: 0, call_id: "call_1_1".into(), tool: "read_file".into() },
            ModelEvent::ToolInput { bytes: 12 },
            ModelEvent::ToolCall { call_id: "call_1_1".into(), tool: "read_file".into(), input: json!({"path": "a"}), state: None },
            finish(FinishReason::ToolCalls, "tool_calls"),
        ]
    );
    let usage = Usage { source: UsageSource::Provider, input_tokens: Some(3), output_tokens: Some(1), ..Usage::absent() };
    let (events, _) = play(&provider, turn()).await;
    assert_eq!(events[3..], [ModelEvent::Text("Done.".into()), ModelEvent::Usage(usage), finish(FinishReason::EndTurn, "end_turn")]);
    let (events, failure) = play(&provider, turn()).await;
    let failure = failure.unwrap();
    assert_eq!((events, failure.kind.as_str(), failure.cause), (vec![], "script_ended", Cause::ProviderProtocol));
    assert!(failure.message.starts_with("the script turn.json has 2 steps, and step 3 was asked for"), "{}", failure.message);
    assert_eq!(play(&provider.from_the_start(), turn()).await.0.len(), 9);
}

#[tokio::test]
async fn a_title_takes_no_step() {
    let provider = scripted(&json!({"title": "Read a file", "steps": [["stall"]]}));
    assert_eq!(provider.titles(), TitleSupport::Model);
    for _ in 0..2 {
        let (events, failure) = play(&provider, request(Purpose::Title, Vec::new())).await;
        assert_eq!(events[3..], [ModelEvent::Text("Read a file".into()), finish(FinishReason::EndTurn, "end_turn")]);
        assert_eq!(failure, None);
    }
    let failing = scripted(&json!({"title": [{"http_error": {"status": 500}}], "steps": [[]]}));
    assert_eq!(play(&failing, request(Purpose::Title, Vec::new())).await.1.unwrap().kind, "http_500");
}

#[tokio::test(start_paused = true)]
async fn words_are_cut_repeated_and_spaced() {
    let end = || [finish(FinishReason::EndTurn, "end_turn")];
    let (events, _) = step(json!([{"text": {"text": "aé€b", "chunks": 3}}])).await;
    assert_eq!(events, [texts(&["a", "é", "€b"]), end().into()].concat());
    let (events, _) = step(json!([{"text": {"text": "ab", "chunks": 5}}])).await;
    assert_eq!(events, [texts(&["a", "b"]), end().into()].concat());
    let began = Instant::now();
    let (events, _) = step(json!([{"text": {"text": "ab", "chunks": 2, "repeat": 2, "every_ms": 50}}, {"delay_ms": 1000}])).await;
    assert_eq!(events, [texts(&["a", "b", "a", "b"]), end().into()].concat());
    assert_eq!(began.elapsed(), Duration::from_millis(1150));
    let (events, _) = step(json!([{"text": {"text": "tok ", "repeat": 20_000}}])).await;
    assert_eq!(events.len(), 20_001);
}

#[tokio::test]
async fn a_stall_hangs_where_it_stands() {
    for (entries, events) in [(json!(["stall"]), 1), (json!(["headers", "stall"]), 3), (json!([{"text": "a"}, "stall"]), 4)] {
        let mut stream = scripted(&json!({ "steps": [entries] })).stream(turn());
        for _ in 0..events {
            assert!(matches!(stream.next().now_or_never(), Some(Some(Ok(_)))), "{entries}");
        }
        assert!(stream.next().now_or_never().is_none(), "{entries}");
    }
}

#[tokio::test]
async fn every_failure_can_be_played() {
    let http = json!({"http_error": {"status": 429, "message": "slow down", "code": "rate_limit"}});
    let (events, failure) = play(&scripted(&json!({ "steps": [[{"delay_ms": 0}, http]] })), turn()).await;
    let head = ModelEvent::Headers { http_status: 429, request_id: Some("scripted-request-1".into()) };
    assert_eq!(events, [ModelEvent::RequestSent, head]);
    let failure = failure.unwrap();
    assert_eq!((failure.cause, failure.kind.as_str()), (Cause::ProviderHttp { http_status: 429 }, "http_429"));
    assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("slow down", Some("rate_limit")));

    let (events, failure) = play(&scripted(&json!({"steps": [[{"transport_error": {"kind": "connection_refused"}}]]})), turn()).await;
    assert_eq!((events, failure.unwrap().kind.as_str()), (vec![], "connection_refused"));

    for (entry, cause, kind) in [
        (json!({"transport_error": {"kind": "connection_reset"}}), Cause::ProviderTransport, "connection_reset"),
        (json!({"protocol_error": {"kind": "provider_error"}}), Cause::ProviderProtocol, "provider_error"),
        (json!("hang_up"), Cause::ProviderTransport, "unexpected_eof"),
    ] {
        let (events, failure) = step(json!([{"text": "a"}, entry])).await;
        let failure = failure.unwrap();
        assert_eq!((events, failure.cause, failure.kind.as_str()), (texts(&["a"]), cause, kind));
    }
}

#[tokio::test]
async fn a_history_that_vendors_refuse_is_refused_and_takes_no_step() {
    let call = |id| Part::tool_call(id, "a", json!({}));
    let result = |id| Part::tool_result(id, ResultStatus::Completed, "x");
    let provider = scripted(&json!({"steps": [[]]}));
    for (parts, problem) in [
        (vec![call("c"), call("d"), result("d")], "\"c\" has no result"),
        (vec![result("c")], "\"c\" has a result, but there is no call"),
        (vec![call("c"), result("c"), result("c")], "\"c\" has a second result"),
        (vec![call("c"), result("c"), call("c"), result("c")], "\"c\" is the id of two calls"),
    ] {
        let failure = play(&provider, request(Purpose::Turn, parts)).await.1.unwrap();
        assert_eq!((failure.cause, failure.kind.as_str()), (Cause::ProviderProtocol, "invalid_history"));
        assert!(failure.message.contains(problem), "{}", failure.message);
    }
    let again = scripted(&json!({"steps": [[{"tool_call": {"name": "a", "input": {}}}]]}));
    let events = play(&again, request(Purpose::Turn, vec![call("call_1_1"), result("call_1_1")])).await.0;
    assert!(events.contains(&ModelEvent::ToolCall { call_id: "call_1_1_2".into(), tool: "a".into(), input: json!({}), state: None }));
    let valid = vec![call("c"), call("d"), result("d"), result("c"), Part::text("x")];
    assert_eq!(play(&provider, request(Purpose::Turn, valid)).await.1, None);
}

#[test]
fn a_wrong_script_is_told_where_and_what_is_allowed() {
    for (text, want) in [
        (r#"{"step": []}"#, "unknown field `step`, expected `title` or `steps` at line 1 column 7"),
        (r#"{"title": "a"}"#, "missing field `steps`"),
        (
            "{\"steps\": [[\n  {\"txt\": \"a\"}]]}",
            "unknown variant `txt`, expected one of `text`, `reasoning`, `tool_call`, `usage`, `finish`",
        ),
        ("{\"steps\": [[\n  {\"txt\": \"a\"}]]}", "at line 2 column 8"),
        (
            r#"{"steps": [[{"text": {"text": "a", "chunk": 2}}]]}"#,
            "unknown field `chunk`, expected one of `text`, `chunks`, `repeat`, `every_ms`",
        ),
        (r#"{"steps": [[{"text": 7}]]}"#, "expected a string, or the full form that docs/scripted.md describes"),
        (r#"{"steps": [["stal"]]}"#, "unknown variant `stal`"),
        (r#"{"steps": [[{"finish": "stop"}]]}"#, "expected one of `end_turn`, `tool_calls`, `max_tokens`, `refusal`"),
        (r#"{"steps": [[{"transport_error": {"kind": "x"}}]]}"#, "expected one of `connection_refused`, `dns`, `tls`"),
        (r#"{"steps": []}"#, "steps: there must be at least one step"),
        (r#"{"steps": [[], [{"text": "a"}, "stall", {"text": "b"}]]}"#, "steps[1][2]: nothing can follow"),
        (r#"{"steps": [[{"text": {"text": "a", "chunks": 0}}]]}"#, "steps[0][0]: `chunks` and `repeat` must be at least 1"),
        (r#"{"steps": [[{"http_error": {"status": 200}}]]}"#, "200 is not an error status"),
        (r#"{"steps": [[{"text": "a"}, {"http_error": {"status": 500}}]]}"#, "the head of the answer was sent already"),
        (r#"{"steps": [["headers", {"transport_error": {"kind": "dns"}}]]}"#, "`dns` cannot happen once the connection stands"),
        (r#"{"steps": [[{"tool_call": {"name": "a", "input": 1}}]]}"#, "`input` must be an object, or a string"),
        (r#"{"steps": [[{"finish": "tool_calls"}]]}"#, "needs a tool_call in front of it"),
        (
            r#"{"steps": [[{"tool_call": {"id": "c", "name": "a", "input": {}}}],
                [{"tool_call": {"id": "c", "name": "a", "input": {}}}]]}"#,
            "steps[1][0]: the call id \"c\" is used twice",
        ),
    ] {
        let error = Script::parse(text, Path::new("dir/turn.json")).unwrap_err().to_string();
        assert!(error.starts_with("the script dir/turn.json is not valid: "), "{error}");
        assert!(error.contains(want), "{text}\n{error}");
    }
}

#[test]
fn a_script_comes_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("turn.json");
    assert!(matches!(Scripted::open(&path), Err(ScriptError::Read { .. })));
    std::fs::write(&path, r#"{"title": "T", "steps": [[]]}"#).unwrap();
    let provider = Scripted::open(&path).unwrap();
    assert_eq!((provider.model(), provider.has_title()), ("turn.json", true));
}

#[test]
fn every_example_of_the_documentation_is_a_script() {
    let document = include_str!("../../../docs/scripted.md");
    let examples: Vec<_> = document.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 4, "the documentation has lost its examples");
    for example in examples {
        Script::parse(example, Path::new("docs/scripted.md")).unwrap();
    }
    for kind in crate::provider::failure::TransportKind::ALL {
        assert!(document.contains(&format!("`{}`", kind.name())), "{} is not documented", kind.name());
    }
    for kind in crate::provider::failure::ProtocolKind::ALL {
        assert!(document.contains(&format!("`{}`", kind.name())), "{} is not documented", kind.name());
    }
}
