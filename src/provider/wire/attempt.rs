//! One attempt over HTTP: request, head, events, end.
//!
//! Invariant: the stream owns its connection, so that dropping it at any point closes the connection at once; and it ends
//! with [`ModelEvent::Finish`] or with a failure, never with neither.

use super::events::{Events, Next};
use super::fault::{self, ErrorBody, Extent, Stage};
use super::{Endpoint, Protocol, Reading};
use crate::net;
use crate::protocol::diagnostics::{ClosedBy, StreamFailure};
use crate::protocol::model::{ModelEvent, ModelRequest};
use crate::provider::failure::{ProtocolKind, TransportKind, closed_by, protocol, transport};
use crate::text::is_name;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Response, StatusCode};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// As much as is read of an error's body.
const ERROR_BODY_LIMIT: usize = 64 << 10;
/// How long an error's body may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// How long the usage and the end of the stream may take once the model has finished.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Where others than the vendor itself put an id of a request.
const REQUEST_ID_HEADERS: [&str; 6] = ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-goog-request-id", "cf-ray"];

/// Starts an attempt; nothing happens before the first poll.
pub(super) fn open<P: Protocol>(
    endpoint: Arc<Endpoint>,
    model: Arc<str>,
    request: ModelRequest,
) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
    let answer = P::begin(&request);
    let phase = Phase::Unsent { model, request };
    let attempt = Box::new(Attempt { endpoint, answer, phase, ready: VecDeque::new(), has_ended: false });
    stream::unfold(attempt, |mut attempt| async move { attempt.next().await.map(|event| (event, attempt)) }).boxed()
}

struct Attempt<P> {
    endpoint: Arc<Endpoint>,
    answer: P,
    phase: Phase,
    /// What was read and not handed out yet.
    ready: VecDeque<ModelEvent>,
    /// The provider has ended its answer, whatever was said in it.
    has_ended: bool,
}

enum Phase {
    Unsent { model: Arc<str>, request: ModelRequest },
    Sending { response: BoxFuture<'static, Result<Response, reqwest::Error>>, handed_over: Option<oneshot::Receiver<()>> },
    Refused(Response),
    Reading(Box<Events>),
    Failed(Box<StreamFailure>),
    Ended,
}

impl<P: Protocol> Attempt<P> {
    async fn next(&mut self) -> Option<Result<ModelEvent, StreamFailure>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let advanced = match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Unsent { model, request } => self.send(&model, &request),
                Phase::Sending { response, handed_over } => self.wait_for_head(response, handed_over).await,
                Phase::Refused(response) => Err(self.refusal(response).await),
                Phase::Reading(events) => self.read(events).await,
                Phase::Failed(failure) => return Some(Err(*failure)),
                Phase::Ended => return None,
            };
            // What the same event said before it failed is handed out first.
            self.phase = advanced.unwrap_or_else(|failure| {
                let by = if self.has_ended { ClosedBy::Provider } else { closed_by(&failure) };
                self.ready.push_back(ModelEvent::UpstreamClosed(by));
                Phase::Failed(failure)
            });
        }
    }

    fn send(&mut self, model: &str, request: &ModelRequest) -> Result<Phase, Box<StreamFailure>> {
        let body = P::body(model, request).map_err(|error| {
            let message = format!("the request could not be written as JSON: {error}");
            protocol(ProtocolKind::BadJson, message, None, &["nothing was sent"])
        })?;
        let client = net::client(&self.endpoint.url).map_err(|error| fault::setup(&self.endpoint, &error))?;
        let (tell, handed_over) = oneshot::channel();
        let post = client
            .post(self.endpoint.url.clone())
            .headers(self.endpoint.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .header(CONTENT_LENGTH, body.len());
        // The body is asked for only once there is a connection: that is the moment in which the request is handed over.
        let body = stream::once(async move {
            let _ = tell.send(());
            Ok::<_, Infallible>(Bytes::from(body))
        });
        let response = Box::pin(post.body(reqwest::Body::wrap_stream(body)).send());
        Ok(Phase::Sending { response, handed_over: Some(handed_over) })
    }

    async fn wait_for_head(
        &mut self,
        mut response: BoxFuture<'static, Result<Response, reqwest::Error>>,
        handed_over: Option<oneshot::Receiver<()>>,
    ) -> Result<Phase, Box<StreamFailure>> {
        let Some(mut handed_over) = handed_over else {
            return self.head(response.await);
        };
        tokio::select! {
            biased;
            told = &mut handed_over => {
                self.ready.extend(told.is_ok().then_some(ModelEvent::RequestSent));
                Ok(Phase::Sending { response, handed_over: None })
            }
            answer = &mut response => {
                self.ready.extend(handed_over.try_recv().is_ok().then_some(ModelEvent::RequestSent));
                self.head(answer)
            }
        }
    }

    fn head(&mut self, answer: Result<Response, reqwest::Error>) -> Result<Phase, Box<StreamFailure>> {
        let response = answer.map_err(|error| fault::network(&self.endpoint, error, Stage::BeforeHead))?;
        let status = response.status();
        let request_id = request_id::<P>(response.headers(), &self.endpoint);
        self.ready.push_back(ModelEvent::Headers { http_status: status.as_u16(), request_id });
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // Servers forget the right type more often than they send another thing, so only what cannot be a stream is refused.
        let no_stream = ["application/json", "text/html"].iter().any(|other| content_type.starts_with(other));
        if !status.is_success() || no_stream { Ok(Phase::Refused(response)) } else { Ok(Phase::Reading(Box::new(Events::new(response)))) }
    }

    async fn read(&mut self, mut events: Box<Events>) -> Result<Phase, Box<StreamFailure>> {
        // Many events can lie ready in one read: other tasks get their turn, and a cancel is seen, between them.
        tokio::task::consume_budget().await;
        let (next, by) = if self.answer.is_finished() {
            match tokio::time::timeout(SETTLE_TIME, events.whole()).await {
                Ok(next @ Next::Failed(_)) => (next, ClosedBy::Unknown),
                Ok(next) => (next, ClosedBy::Provider),
                Err(_elapsed) => (Next::End, ClosedBy::Us),
            }
        } else {
            (events.next().await, ClosedBy::Provider)
        };
        match next {
            Next::Bytes => {
                self.ready.push_back(ModelEvent::KeptAlive);
                Ok(Phase::Reading(events))
            }
            Next::Event(event) => match event.data.as_deref().map(str::trim).filter(|data| !data.is_empty()) {
                Some(data) if event.event.as_deref() == Some("error") => Err(fault::reported(&self.endpoint, data)),
                Some(data) => match self.answer.read(data, &self.endpoint, &mut self.ready)? {
                    Reading::GoesOn => {
                        if self.ready.is_empty() {
                            self.ready.push_back(ModelEvent::KeptAlive);
                        }
                        Ok(Phase::Reading(events))
                    }
                    Reading::IsOver => {
                        events.give_back(SETTLE_TIME);
                        self.finish(by)
                    }
                },
                None => {
                    self.ready.push_back(ModelEvent::KeptAlive);
                    Ok(Phase::Reading(events))
                }
            },
            // The model had finished: what happened to the connection after that did not happen to the answer.
            Next::Failed(_) | Next::End if self.answer.is_finished() => self.finish(by),
            Next::Failed(error) => Err(events.fault(error, &self.endpoint)),
            Next::End => {
                self.has_ended = true;
                let message = format!("{} ended the stream before the model had finished", self.endpoint.origin());
                let evidence = [&["the body ended in good order"], P::UNFINISHED].concat();
                Err(transport(TransportKind::UnexpectedEof, message, &evidence))
            }
        }
    }

    fn finish(&mut self, by: ClosedBy) -> Result<Phase, Box<StreamFailure>> {
        self.ready.push_back(ModelEvent::UpstreamClosed(by));
        self.answer.finish(&mut self.ready)?;
        Ok(Phase::Ended)
    }

    /// Why an answer that is no event stream was given.
    async fn refusal(&mut self, response: Response) -> Box<StreamFailure> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = error_body(response).await;
        self.has_ended = body.extent == Extent::Whole;
        refusal::<P>(&self.endpoint, status, &headers, &body)
    }
}

fn refusal<P: Protocol>(endpoint: &Endpoint, status: StatusCode, headers: &HeaderMap, body: &ErrorBody) -> Box<StreamFailure> {
    let retry_after_ms = retry_after(headers);
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    if !status.is_success() {
        let failure = fault::status(endpoint, status, location, body);
        return Box::new(StreamFailure { retry_after_ms, ..*failure });
    }
    let is_error =
        serde_json::from_slice::<serde_json::Value>(&body.bytes).is_ok_and(|value| value.get("error").is_some_and(|e| !e.is_null()));
    if is_error {
        return fault::reported(endpoint, &String::from_utf8_lossy(&body.bytes));
    }
    let message =
        format!("{} answered {status} without an event stream; check that the base URL ends where {} follows", endpoint.origin(), P::PATH);
    protocol(ProtocolKind::NotAStream, message, None, &["the content type is not that of an event stream"])
}

async fn error_body(response: Response) -> ErrorBody {
    let mut body = ErrorBody { bytes: Vec::new(), extent: Extent::Incomplete };
    let mut chunks = response.bytes_stream();
    let read = async {
        while let Some(chunk) = chunks.next().await {
            let Ok(chunk) = chunk else { return };
            let room = ERROR_BODY_LIMIT - body.bytes.len();
            body.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                body.extent = Extent::Cut;
                return;
            }
        }
        body.extent = Extent::Whole;
    };
    // A body that does not come must not hide the status that has come.
    let _ = tokio::time::timeout(ERROR_BODY_TIME, read).await;
    body
}

/// How long the provider asks to be left alone: in milliseconds, as some vendors say it, in seconds, or until a date.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let said = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(ms) = said("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()).filter(|ms| ms.is_finite() && *ms >= 0.0) {
        return u64::try_from(Duration::try_from_secs_f64(ms / 1000.0).ok()?.as_millis()).ok();
    }
    let said = said("retry-after")?;
    if let Ok(seconds) = said.parse::<u64>() {
        return seconds.checked_mul(1000);
    }
    let until = jiff::fmt::rfc2822::parse(said).ok()?.timestamp();
    // A date that is over asks for nothing more.
    u64::try_from(until.duration_since(jiff::Timestamp::now()).as_millis().max(0)).ok()
}

/// The provider's id of the request, if it is fit to be kept.
fn request_id<P: Protocol>(headers: &HeaderMap, endpoint: &Endpoint) -> Option<String> {
    let id = [P::REQUEST_ID].iter().chain(&REQUEST_ID_HEADERS).find_map(|name| headers.get(*name)?.to_str().ok())?;
    Some(endpoint.clean(id.to_owned())).filter(|id| !id.is_empty() && is_name(id))
}
