//! Responses that end badly: each is told for what it was.

use super::*;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Boundary, Confidence, StreamFailure};
use crate::provider::model_server::Exchange;
use std::future::Future;

async fn fault<F: Future<Output = ()>>(treat: impl FnOnce(Exchange) -> F) -> (Vec<ModelEvent>, StreamFailure) {
    testing::fault::<Responses, F>(treat).await
}

async fn stream(bytes: String) -> (Vec<ModelEvent>, StreamFailure) {
    testing::broken::<Responses>(bytes).await
}

#[tokio::test]
async fn an_error_status_keeps_the_vendors_type_code_message_and_request_id() {
    for (status, kind, code) in [
        (400, "invalid_request_error", Some("context_length_exceeded")),
        (401, "invalid_request_error", Some("invalid_api_key")),
        (429, "insufficient_quota", Some("insufficient_quota")),
        (500, "server_error", None),
    ] {
        let (events, failure) = fault(|exchange| async move {
            let body = json!({"error": {"message": format!("no: {KEY}"), "type": kind, "param": null, "code": code}}).to_string();
            exchange.error(status, &[("content-type", "application/json"), ("x-request-id", "req_9")], &body).await;
        })
        .await;
        assert_eq!(events, [ModelEvent::RequestSent, ModelEvent::Headers { http_status: status, request_id: Some("req_9".into()) }]);
        let is_overflow = code == Some("context_length_exceeded");
        let cause = if is_overflow { Cause::ContextOverflow } else { Cause::ProviderHttp { http_status: status } };
        assert_eq!((&failure.cause, failure.boundary), (&cause, Boundary::ProviderError));
        assert_eq!(failure.code.as_deref(), code.or(Some(kind)));
        // A type that is not the code stands in front of the message.
        let message = if code.is_some_and(|code| code != kind) { format!(": {kind}: no: [key]") } else { ": no: [key]".into() };
        assert!(failure.message.ends_with(&message), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_failed_response_tells_its_error_and_its_usage_and_nothing_of_the_request() {
    let (events, failure) = stream(FAILED.to_owned()).await;
    assert_eq!(said(&events), "Half an ans");
    assert_eq!(class(&failure), ("provider_protocol", Boundary::ProviderError, "provider_error"));
    assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("The model failed to generate a response.", Some("server_error")));
    assert!(matches!(events.last(), Some(ModelEvent::Usage(usage)) if usage.input_tokens == Some(25) && usage.output_tokens == Some(3)));
    let silent = event("response.failed", json!({"response": {"id": "resp_1", "error": null, "instructions": "Be brief."}}));
    assert_eq!(stream(silent).await.1.message, "the provider reported an error inside the stream");
}

#[tokio::test]
async fn an_error_event_is_the_vendors_in_both_of_its_shapes() {
    let flat = json!({"code": "rate_limit_exceeded", "message": "Slow down", "param": null, "sequence_number": 3});
    let nested = json!({"sequence_number": 3, "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Slow down"}});
    for (error, message) in [(flat, "Slow down"), (nested, "tokens: Slow down")] {
        let bare = event("error", error).replace("event: error\n", "");
        for error in [format!("event: error\n{bare}"), bare] {
            let (events, failure) = stream([begin(), text("a"), error].concat()).await;
            assert_eq!(said(&events), "a");
            assert_eq!(class(&failure), ("provider_protocol", Boundary::ProviderError, "provider_error"));
            assert_eq!((failure.message.as_str(), failure.code.as_deref()), (message, Some("rate_limit_exceeded")));
        }
    }
}

#[tokio::test]
async fn bytes_that_make_no_sense_are_a_protocol_failure() {
    let malformed = stream("data: {\"type\":\"response.created\",\n\n".into()).await.1;
    assert_eq!((class(&malformed).2, &malformed.evidence[..]), ("bad_json", &["an event's data is no JSON".to_owned()][..]));
    let shape = stream(event("response.output_item.done", json!({"item": "words"}))).await.1;
    assert_eq!(class(&shape).2, "unexpected_eof", "what has no meaning is passed over");
    let nameless = stream([event("response.function_call_arguments.delta", json!({"delta": "{}"})), completed()].concat()).await.1;
    assert_eq!(class(&nameless), ("provider_protocol", Boundary::Protocol, "bad_tool_call"));
    let page = fault(|e| async move { e.error(200, &[("content-type", "text/html")], "<html>").await }).await.1;
    assert!(page.message.ends_with("the base URL ends where /responses follows"), "{}", page.message);
}

#[tokio::test]
async fn a_stream_that_ends_too_early_says_what_was_missing() {
    let half = [begin(), text("a"), "event: response.output_text.delta\ndata: {\"type\":\"resp".into()].concat();
    let (events, failure) = stream(half.clone()).await;
    assert_eq!(said(&events), "a");
    assert_eq!((class(&failure), failure.confidence), (("provider_transport", Boundary::Transport, "unexpected_eof"), Confidence::Likely));
    assert_eq!(failure.evidence, ["the body ended in good order", "neither response.completed nor response.incomplete had arrived"]);
    let (events, failure) = fault(|mut exchange| async move {
        exchange.raw(half.as_bytes()).await;
        exchange.hang_up();
    })
    .await;
    assert_eq!(said(&events), "a");
    assert_eq!((class(&failure), failure.confidence), (("provider_transport", Boundary::Transport, "body_truncated"), Confidence::Certain));
}

#[tokio::test]
async fn what_happens_to_the_connection_after_the_end_is_no_failure() {
    let (events, failure) = testing::told::<Responses, _>(|mut exchange| async move {
        exchange.raw([begin(), text("a"), completed()].concat().as_bytes()).await;
        exchange.hang_up();
    })
    .await;
    assert_eq!((said(&events).as_str(), failure), ("a", None));
}
