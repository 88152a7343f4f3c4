//! What the tests of the vendor protocols share: requests, a provider at a server of the test's own, and what it said.

use super::refused::Refused;
use super::{AnswerLimits, Asking, Protocol, Remote, RemoteOptions};
use crate::protocol::diagnostics::{Boundary, StreamFailure, Usage, UsageSource};
use crate::protocol::ids::{AttemptId, MessageId};
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest, NoteKind, Purpose};
use crate::provider::Provider;
use crate::provider::model_server::{Exchange, ModelServer};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;

pub(in crate::provider) type Events = BoxStream<'static, Result<ModelEvent, StreamFailure>>;

/// What an attempt said, its mere signs of life left out, and its failure if it had one.
pub(in crate::provider) type Told = (Vec<ModelEvent>, Option<StreamFailure>);

pub(in crate::provider) const KEY: &str = "sk-canary-5f2a";

const LIMITS: AnswerLimits = AnswerLimits { calls: 64, call_bytes: 1 << 20, text_bytes: 8 << 20 };

pub(in crate::provider) fn provider<P: Protocol>(base_url: String) -> Remote<P> {
    Remote::new(RemoteOptions {
        name: "vendor".into(),
        base_url,
        model: "m-1".into(),
        api_key: Some(SecretString::from(KEY)),
        limits: LIMITS,
    })
    .unwrap()
}

pub(in crate::provider) fn request(messages: Vec<Message>) -> ModelRequest {
    let attempt_id = AttemptId::new("att_1");
    let messages = messages.into_iter().map(Arc::new).collect();
    ModelRequest { attempt_id, purpose: Purpose::Turn, system: "Be brief.".into(), messages, tools: Arc::default() }
}

/// Who is asked, and has refused nothing yet.
pub(in crate::provider) fn asking<'a>(model: &'a str, request: &'a ModelRequest) -> Asking<'a> {
    Asking { model, name: "vendor:m-1", request, refused: Refused::default() }
}

pub(in crate::provider) fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { message_id: MessageId::new("msg_1"), role, created_at: 0, parts, turn_id: None, model: None }
}

pub(in crate::provider) fn hello() -> ModelRequest {
    request(vec![message(Role::User, vec![Part::text("Hello")])])
}

/// Starts an attempt at `server` that is polled in a task, as a turn does it.
pub(in crate::provider) fn ask<P: Protocol>(server: &ModelServer) -> tokio::task::JoinHandle<Told> {
    tokio::spawn(collect(provider::<P>(server.base_url()).stream(hello())))
}

pub(in crate::provider) async fn collect(mut stream: Events) -> Told {
    let mut events = Vec::new();
    while let Some(next) = stream.next().await {
        match next {
            Ok(ModelEvent::KeptAlive | ModelEvent::UpstreamClosed(_)) => {}
            Ok(event) => events.push(event),
            Err(failure) => {
                assert!(stream.next().await.is_none(), "nothing follows a failure");
                return (events, Some(failure));
            }
        }
    }
    (events, None)
}

/// An attempt that the server treats like this.
pub(in crate::provider) async fn told<P: Protocol, F: Future<Output = ()>>(treat: impl FnOnce(Exchange) -> F) -> Told {
    let mut server = ModelServer::start().await;
    let asked = ask::<P>(&server);
    treat(server.next_request().await).await;
    asked.await.unwrap()
}

/// An attempt that fails when the server treats it like this.
pub(in crate::provider) async fn fault<P: Protocol, F: Future<Output = ()>>(
    treat: impl FnOnce(Exchange) -> F,
) -> (Vec<ModelEvent>, StreamFailure) {
    let (events, failure) = told::<P, F>(treat).await;
    let failure = failure.expect("a failure");
    assert!(!serde_json::to_string(&failure).unwrap().contains(KEY), "the key is never told: {failure:?}");
    (events, failure)
}

/// How a recorded stream is cut up on its way.
#[derive(Debug, Clone, Copy)]
pub(in crate::provider) enum Cut {
    Whole,
    /// Pieces of this many bytes.
    Every(usize),
}

/// What a recorded stream is told as. Its head has the request id `req_7`, and the body ends in good order.
pub(in crate::provider) async fn recorded<P: Protocol>(stream: &str, cut: Cut) -> Told {
    let bytes = stream.as_bytes().to_owned();
    told::<P, _>(|mut exchange| async move {
        exchange.head_with(200, &[("content-type", "text/event-stream; charset=utf-8"), (P::REQUEST_ID, "req_7")]).await;
        let size = match cut {
            Cut::Whole => bytes.len(),
            Cut::Every(size) => size,
        };
        for piece in bytes.chunks(size) {
            exchange.raw(piece).await;
        }
        exchange.end_body().await;
    })
    .await
}

/// A recorded stream says the same however it is cut up, and with either end of a line.
pub(in crate::provider) async fn says_however_cut<P: Protocol>(stream: &str, want: &[ModelEvent]) {
    let crlf = stream.replace('\n', "\r\n");
    for stream in [stream, &crlf] {
        for cut in [Cut::Whole, Cut::Every(1), Cut::Every(7), Cut::Every(64)] {
            let (events, failure) = recorded::<P>(stream, cut).await;
            assert_eq!((events.as_slice(), failure), (want, None), "{cut:?}");
        }
    }
}

/// The failure of a stream of these bytes whose body ends in good order.
pub(in crate::provider) async fn broken<P: Protocol>(bytes: String) -> (Vec<ModelEvent>, StreamFailure) {
    fault::<P, _>(|mut exchange| async move {
        exchange.raw(bytes.as_bytes()).await;
        exchange.end_body().await;
    })
    .await
}

/// One event that has a name, as vendors write it.
pub(in crate::provider) fn event(kind: &str, mut data: Value) -> String {
    data["type"] = kind.into();
    format!("event: {kind}\ndata: {data}\n\n")
}

pub(in crate::provider) fn usage(input: u64, output: u64) -> Usage {
    Usage { source: UsageSource::Provider, input_tokens: Some(input), output_tokens: Some(output), ..Usage::absent() }
}

pub(in crate::provider) fn finish(reason: FinishReason, raw: &str) -> ModelEvent {
    ModelEvent::Finish { reason, raw: raw.into() }
}

pub(in crate::provider) fn note(kind: NoteKind, message: &str) -> ModelEvent {
    ModelEvent::Note { kind, message: message.into() }
}

pub(in crate::provider) fn call(call_id: &str, tool: &str, input: Value) -> ModelEvent {
    ModelEvent::ToolCall { call_id: call_id.into(), tool: tool.into(), input, state: None }
}

pub(in crate::provider) fn state(state: &Value) -> ModelEvent {
    ModelEvent::State(state.to_string())
}

pub(in crate::provider) fn begins(nth: usize, call_id: &str, tool: &str) -> ModelEvent {
    ModelEvent::ToolBegins { nth, call_id: call_id.into(), tool: tool.into() }
}

/// Cause, boundary and class of a failure.
pub(in crate::provider) fn class(failure: &StreamFailure) -> (&'static str, Boundary, &str) {
    (failure.cause.name(), failure.boundary, failure.kind.as_str())
}

pub(in crate::provider) fn said(events: &[ModelEvent]) -> String {
    events.iter().filter_map(|event| if let ModelEvent::Text(text) = event { Some(text.as_str()) } else { None }).collect()
}
