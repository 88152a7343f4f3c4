//! Messages that end badly: each is told for what it was.

use super::*;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Boundary, Confidence, StreamFailure};
use crate::provider::model_server::Exchange;
use std::future::Future;
use std::time::{Duration, Instant};

async fn fault<F: Future<Output = ()>>(treat: impl FnOnce(Exchange) -> F) -> (Vec<ModelEvent>, StreamFailure) {
    testing::fault::<Messages, F>(treat).await
}

async fn stream(bytes: String) -> (Vec<ModelEvent>, StreamFailure) {
    testing::broken::<Messages>(bytes).await
}

#[tokio::test]
async fn an_error_status_keeps_the_vendors_type_message_and_request_id() {
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        let (events, failure) = fault(|exchange| async move {
            let error = json!({"type": kind, "message": format!("no: {KEY}")});
            let body = json!({"type": "error", "error": error, "request_id": "req_9"}).to_string();
            let headers = [("content-type", "application/json"), ("x-request-id", "gateway"), ("request-id", "req_9"), ("cf-ray", "c")];
            exchange.error(status, &headers, &body).await;
        })
        .await;
        assert_eq!(events, [ModelEvent::RequestSent, ModelEvent::Headers { http_status: status, request_id: Some("req_9".into()) }]);
        assert_eq!((&failure.cause, failure.boundary), (&Cause::ProviderHttp { http_status: status }, Boundary::ProviderError));
        assert_eq!((failure.kind.as_str(), failure.code.as_deref()), (format!("http_{status}").as_str(), Some(kind)));
        assert!(failure.message.ends_with(": no: [key]"), "{}", failure.message);
        assert_eq!(failure.evidence, ["the answer's status is an error", "the error body was read to its end"]);
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_the_vendors_and_what_came_before_it_stands() {
    let bare = OVERLOADED.replace("event: error\n", "");
    for recorded in [OVERLOADED, &bare] {
        let (events, failure) = stream(recorded.to_owned()).await;
        assert_eq!(said(&events), "Half an ans");
        assert_eq!(class(&failure), ("provider_protocol", Boundary::ProviderError, "provider_error"));
        assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("Overloaded", Some("overloaded_error")));
        assert_eq!(
            (failure.confidence, &failure.evidence[..]),
            (Confidence::Certain, &["an error object arrived inside the stream".to_owned()][..])
        );
        // The prompt was paid for, although the message never ended.
        assert!(events.iter().any(|event| matches!(event, ModelEvent::Usage(usage) if usage.input_tokens == Some(25))));
    }
}

#[tokio::test]
async fn bytes_that_make_no_sense_are_a_protocol_failure() {
    let class_of = |failure: &StreamFailure| (failure.boundary, failure.kind.clone(), failure.evidence.clone());
    let bad_json = |evidence: &str| (Boundary::Protocol, "bad_json".to_owned(), vec![evidence.to_owned()]);
    let malformed = stream("event: message_start\ndata: {\"type\":\"message_start\",\n\n".into()).await.1;
    assert_eq!(class_of(&malformed), bad_json("an event's data is no JSON"));
    // What has no meaning is passed over.
    for shape in ["data: 7\n\n".to_owned(), event("content_block_delta", json!({"index": 0, "delta": "words"}))] {
        assert_eq!(class(&stream(shape).await.1).2, "unexpected_eof");
    }
    let nameless = event("content_block_start", json!({"index": 0, "content_block": {"type": "tool_use", "id": "t", "input": {}}}));
    let nameless = stream([begin(), nameless, stop("tool_use"), end()].concat()).await.1;
    assert_eq!(class(&nameless), ("provider_protocol", Boundary::Protocol, "bad_tool_call"));
    let page = fault(|e| async move { e.error(200, &[("content-type", "text/html")], "<html>").await }).await.1;
    assert_eq!(class(&page).2, "not_a_stream");
    assert!(page.message.ends_with("the base URL ends where /v1/messages follows"), "{}", page.message);
}

#[tokio::test]
async fn a_stream_that_ends_too_early_says_what_was_missing() {
    let half = [begin(), text("a"), "event: content_block_delta\ndata: {\"type\":\"cont".into()].concat();
    let (events, failure) = stream(half.clone()).await;
    assert_eq!(said(&events), "a");
    assert_eq!((class(&failure), failure.confidence), (("provider_transport", Boundary::Transport, "unexpected_eof"), Confidence::Likely));
    assert_eq!(failure.evidence, ["the body ended in good order", "no stop reason had arrived", "no message_stop had arrived"]);
    let (events, failure) = fault(|mut exchange| async move {
        exchange.raw(half.as_bytes()).await;
        exchange.hang_up();
    })
    .await;
    assert_eq!(said(&events), "a");
    assert_eq!((class(&failure), failure.confidence), (("provider_transport", Boundary::Transport, "body_truncated"), Confidence::Certain));
}

#[tokio::test]
async fn what_happens_to_the_connection_after_the_stop_reason_is_no_failure() {
    let (events, failure) = testing::told::<Messages, _>(|mut exchange| async move {
        exchange.raw([begin(), text("a"), stop("end_turn")].concat().as_bytes()).await;
        exchange.hang_up();
    })
    .await;
    assert_eq!((said(&events).as_str(), failure), ("a", None));
}

#[tokio::test]
async fn a_stalled_stream_says_nothing_while_it_is_kept_alive_and_closes_at_once_when_it_is_dropped() {
    use futures_util::{FutureExt, StreamExt};
    let mut server = ModelServer::start().await;
    let mut events = testing::provider::<Messages>(server.base_url()).stream(hello());
    assert_eq!(events.next().await, Some(Ok(ModelEvent::RequestSent)));
    let mut exchange = server.next_request().await;
    exchange.raw([begin(), text("a")].concat().as_bytes()).await;
    while !matches!(events.next().await, Some(Ok(ModelEvent::Text(_)))) {}
    for _ in 0..3 {
        exchange.raw(event("ping", json!({})).as_bytes()).await;
        assert!(events.next().now_or_never().is_none());
    }
    let dropped = Instant::now();
    drop(events);
    assert!(exchange.closed_by_client().await.at - dropped < Duration::from_millis(100));
}
