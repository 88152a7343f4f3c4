//! Answers that end badly: each is told for what it was, and a dropped stream closes its connection.

use super::*;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Boundary, Confidence};
use crate::provider::model_server::CloseKind;
use crate::provider::wire::EVENT_LIMIT;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_error_status_keeps_its_body_its_code_and_its_request_id() {
    for status in [401, 429, 500] {
        let (events, failure) = fault(|exchange| async move {
            let body = json!({"error": {"message": format!("no: {KEY}"), "type": "t", "code": "bad_key"}}).to_string();
            exchange.error(status, &[("content-type", "application/json"), ("request-id", "req_9")], &body).await;
        })
        .await;
        assert_eq!(events, [ModelEvent::RequestSent, ModelEvent::Headers { http_status: status, request_id: Some("req_9".into()) }]);
        assert_eq!(failure.cause, Cause::ProviderHttp { http_status: status });
        assert_eq!((failure.boundary, failure.kind.clone()), (Boundary::ProviderError, format!("http_{status}")));
        assert_eq!(failure.code.as_deref(), Some("bad_key"));
        assert!(failure.message.ends_with(": no: [key]"), "{}", failure.message);
    }
}

#[tokio::test]
async fn how_long_to_wait_is_read_however_it_is_said() {
    let told = |headers: &'static [(&'static str, &'static str)]| async move {
        fault(|exchange| async move { exchange.error(429, headers, "").await }).await.1.retry_after_ms
    };
    assert_eq!(told(&[("retry-after", "7")]).await, Some(7_000));
    assert_eq!(told(&[("retry-after-ms", "40.6"), ("retry-after", "7")]).await, Some(40));
    assert_eq!(told(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]).await, Some(0), "that is over");
    let far = told(&[("retry-after", "Fri, 21 Oct 2095 07:28:00 GMT")]).await.expect("a wait");
    assert!(far > 365 * 86_400_000, "{far}");
    for nonsense in [&[][..], &[("retry-after", "soon")], &[("retry-after", "-1")], &[("retry-after", "99999999999999999999")]] {
        assert_eq!(told(nonsense).await, None);
    }
}

#[tokio::test]
async fn a_body_that_nobody_asked_to_compress_is_read() {
    use std::io::Write as _;
    let packed = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let body = packed(r#"{"error":{"message":"no such model","type":"not_found_error"}}"#);
    let (_, failure) = fault(|mut exchange| async move {
        exchange.head_with(404, &[("content-encoding", "gzip")]).await;
        exchange.raw(&body).await;
        exchange.end_body().await;
    })
    .await;
    assert!(failure.message.ends_with(": no such model"), "{}", failure.message);
    assert_eq!(failure.code.as_deref(), Some("not_found_error"));
    let stream = packed("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    let (events, failure) = testing::told::<ChatCompletions, _>(|mut exchange| async move {
        for piece in stream.chunks(5) {
            exchange.raw(piece).await;
        }
        exchange.end_body().await;
    })
    .await;
    assert_eq!((said(&events).as_str(), failure), ("a", None));
}

#[tokio::test]
async fn a_huge_error_body_is_cut_and_a_redirect_is_not_followed() {
    let (_, failure) = fault(|exchange| async move { exchange.error(502, &[], &"é".repeat(100_000)).await }).await;
    assert_eq!(failure.kind, "http_502");
    assert!(failure.evidence.contains(&"the error body was longer than the limit and was cut".to_owned()));
    let (_, failure) =
        fault(|exchange| async move { exchange.error(301, &[("location", "https://other.example/v1?token=t")], "").await }).await;
    assert_eq!(failure.kind, "http_301");
    assert!(failure.message.contains("points to https://other.example/v1; redirects are not followed"), "{}", failure.message);
}

#[tokio::test]
async fn an_error_body_that_breaks_does_not_hide_the_status() {
    let (_, failure) = fault(|mut exchange| async move {
        exchange.head_with(503, &[]).await;
        exchange.raw(b"overl").await;
        exchange.hang_up();
    })
    .await;
    assert_eq!(failure.kind, "http_503");
    assert!(failure.message.ends_with(": overl"), "{}", failure.message);
    assert!(failure.evidence.contains(&"the error body did not arrive whole".to_owned()));
}

#[tokio::test]
async fn errors_inside_the_stream_are_the_providers() {
    for data in [
        r#"{"error":{"message":"overloaded","code":529}}"#,
        r#"{"object":"error","message":"overloaded","code":529}"#,
        r#"{"id":"x","choices":[{"delta":{"content":"lost"}}],"error":{"message":"overloaded","code":"529"}}"#,
    ] {
        let (events, failure) = fault(|mut exchange| async move {
            exchange.text("a").await;
            exchange.raw(format!("data: {data}\n\n").as_bytes()).await;
            exchange.end_body().await;
        })
        .await;
        assert_eq!(said(&events), "a");
        assert_eq!(class(&failure), ("provider_protocol", Boundary::ProviderError, "provider_error"));
        assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("overloaded", Some("529")));
    }
    // With a success status and no stream, as an event of its own type, and as a finish reason.
    let ok = fault(|e| async move { e.error(200, &[("content-type", "application/json")], r#"{"error":"gone"}"#).await }).await.1;
    assert_eq!((class(&ok).2, ok.message.as_str()), ("provider_error", "gone"));
    let event = fault(|mut e| async move { e.raw(b"event: error\ndata: out of memory\n\n").await }).await.1;
    assert_eq!((class(&event).2, event.message.as_str()), ("provider_error", "out of memory"));
    let (events, reason) = fault(|mut exchange| async move {
        exchange.event(&json!({"choices": [{"delta": {"content": "last"}, "finish_reason": "error"}]})).await;
        exchange.done().await;
    })
    .await;
    assert_eq!((said(&events).as_str(), class(&reason).2, reason.code.as_deref()), ("last", "provider_error", Some("error")));
}

#[tokio::test]
async fn bytes_that_make_no_sense_are_a_protocol_failure() {
    let malformed = fault(|mut e| async move { e.raw(b"data: {\"choices\":[{\n\n").await }).await.1;
    assert_eq!(class(&malformed), ("provider_protocol", Boundary::Protocol, "bad_json"));
    assert_eq!(malformed.evidence, ["an event's data is no JSON"]);
    let utf8 = fault(|mut e| async move { e.raw(b"data: {\"id\":\"\xFF\"}\n\n").await }).await.1;
    assert_eq!(class(&utf8).2, "bad_sse");
    let page = fault(|e| async move { e.error(200, &[("content-type", "text/html")], "<html>").await }).await.1;
    assert_eq!(class(&page).2, "not_a_stream");
    let ssh = fault(|mut e| async move { e.socket_bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await }).await.1;
    assert_eq!((class(&ssh).2, ssh.confidence), ("bad_http", Confidence::Likely));
    let nameless = fault(|mut e| async move {
        e.delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})).await;
        e.finish("tool_calls").await;
        e.done().await;
    })
    .await
    .1;
    assert_eq!(class(&nameless).2, "bad_tool_call");
}

#[tokio::test]
async fn an_event_without_end_is_capped() {
    let (events, failure) = fault(|mut exchange| async move {
        exchange.text("a").await;
        exchange.raw(b"data: ").await;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..EVENT_LIMIT / piece.len() + 2 {
            exchange.raw(&piece).await;
        }
        exchange.closed_by_client().await;
    })
    .await;
    assert_eq!(said(&events), "a");
    assert_eq!(class(&failure), ("provider_protocol", Boundary::Protocol, "event_too_large"));
}

#[tokio::test]
async fn a_large_event_below_the_cap_arrives_whole() {
    let mut server = ModelServer::start().await;
    let asked = ask(&server);
    let mut exchange = server.next_request().await;
    let words = "x".repeat(4 << 20);
    exchange.text(&words).await;
    exchange.finish("stop").await;
    exchange.done().await;
    assert_eq!(said(&asked.await.unwrap().0), words);
}

#[tokio::test]
async fn a_connection_that_ends_too_early_says_how() {
    // The body ends in good order, with half an event in it.
    let half = fault(|mut e| async move {
        e.text("a").await;
        e.raw(b"data: {\"choices\":[{\"del").await;
        e.end_body().await;
    })
    .await;
    assert_eq!(said(&half.0), "a");
    assert_eq!(class(&half.1), ("provider_transport", Boundary::Transport, "unexpected_eof"));
    assert_eq!(half.1.confidence, Confidence::Likely);
    // Half an event, then FIN inside the body's framing.
    let fin = fault(|mut e| async move {
        e.text("a").await;
        e.raw(b"data: {\"choices\":[{\"del").await;
        e.hang_up();
    })
    .await;
    assert_eq!((said(&fin.0).as_str(), class(&fin.1)), ("a", ("provider_transport", Boundary::Transport, "body_truncated")));
    // RST in the middle.
    let mut server = ModelServer::start().await;
    let mut stream = provider(server.base_url()).stream(hello());
    let sent = stream.next().await;
    let mut exchange = server.next_request().await;
    exchange.text("a").await;
    while !matches!(stream.next().await, Some(Ok(ModelEvent::Text(_)))) {}
    exchange.reset();
    let failure = collect(stream).await.1.unwrap();
    assert_eq!(
        (sent, class(&failure)),
        (Some(Ok(ModelEvent::RequestSent)), ("provider_transport", Boundary::Transport, "connection_reset"))
    );
    assert_eq!((failure.os_error, failure.confidence), (Some(104), Confidence::Certain));
    // Nothing at all.
    let (events, before) = fault(|e| async move { e.hang_up() }).await;
    assert_eq!((events, class(&before).2), (vec![ModelEvent::RequestSent], "connection_closed"));
}

#[tokio::test]
async fn nobody_listening_is_connection_refused_and_nothing_was_sent() {
    let base_url = ModelServer::start().await.base_url();
    // The listener's socket is closed when its task has been dropped.
    while tokio::net::TcpStream::connect(base_url.trim_start_matches("http://").trim_end_matches("/v1")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let (events, failure) = collect(provider(base_url).stream(hello())).await;
    let failure = failure.unwrap();
    assert_eq!(events, []);
    assert_eq!(class(&failure), ("provider_transport", Boundary::Transport, "connection_refused"));
    assert_eq!((failure.os_error, failure.confidence), (Some(111), Confidence::Certain));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_failure() {
    // A label of more than 63 characters cannot even be asked for.
    let (events, failure) = collect(provider(format!("http://{}.invalid/v1", "a".repeat(64))).stream(hello())).await;
    assert_eq!((events, class(&failure.unwrap())), (vec![], ("provider_transport", Boundary::Transport, "dns")));
}

#[tokio::test]
async fn tls_against_a_server_without_it_is_a_tls_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = provider(format!("https://{}/v1", listener.local_addr().unwrap())).stream(hello());
    let plain = tokio::spawn(collect(plain));
    let (mut socket, _) = listener.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let (events, failure) = plain.await.unwrap();
    assert_eq!((events, class(&failure.unwrap()).2), (vec![], "tls"));
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection_at_once() {
    for stage in ["before the head", "after the head", "in the text", "in half an event"] {
        let mut server = ModelServer::start().await;
        let mut stream = provider(server.base_url()).stream(hello());
        assert_eq!(stream.next().await, Some(Ok(ModelEvent::RequestSent)));
        let mut exchange = server.next_request().await;
        if stage != "before the head" {
            exchange.head().await;
            assert!(matches!(stream.next().await, Some(Ok(ModelEvent::Headers { .. }))));
        }
        if stage.starts_with("in") {
            exchange.text("a").await;
            while !matches!(stream.next().await, Some(Ok(ModelEvent::Text(_)))) {}
        }
        if stage == "in half an event" {
            exchange.raw(b"data: {").await;
            assert!(futures_util::FutureExt::now_or_never(stream.next()).is_none());
        }
        let dropped = Instant::now();
        drop(stream);
        let closed = exchange.closed_by_client().await;
        assert!(closed.at - dropped < Duration::from_millis(100), "{stage}: {:?}", closed.at - dropped);
        assert!(matches!(closed.by, CloseKind::Fin | CloseKind::Reset));
    }
}
