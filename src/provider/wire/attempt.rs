//! One attempt over HTTP: request, head, events, end.
//!
//! Invariant: the stream owns its connection, so that dropping it at any point closes the connection at once; and it ends
//! with [`ModelEvent::Finish`] or with a failure, never with neither.

use super::answer::{Answer, Tail};
use super::body::{Body, Decoded, EVENT_LIMIT, More, ReadError};
use super::fault::{self, ErrorBody, Extent, Stage};
use super::limits::AnswerLimits;
use super::progress::Progress;
use super::refused::{Learned, Refusal, refusal};
use super::said::Said;
use super::{Asking, Endpoint, Protocol, Reading, waits};
use crate::net;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{ClosedBy, Meaning, StreamFailure};
use crate::protocol::model::{ModelEvent, ModelRequest, NoteKind};
use crate::protocol::said;
use crate::provider::failure::{ProtocolKind, TransportKind, closed_by, protocol, transport};
use crate::text::is_name;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Response, StatusCode};
use std::convert::Infallible;
use std::str::Utf8Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// As much as is read of an error's body.
const ERROR_BODY_LIMIT: usize = 64 << 10;
/// How long an error's body may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// How long the rest of the stream may take once the model has finished.
const SETTLE_TIME: Duration = Duration::from_secs(2);
/// The same where a call is not whole yet.
const CALL_TIME: Duration = Duration::from_secs(30);
/// An event from this size on is read on a thread of its own, so that nobody waits for it.
const LARGE_EVENT: usize = 64 << 10;
/// After as many bytes of events others have their turn.
const IN_A_ROW: usize = 64 << 10;

/// Where others than the vendor itself put an id of a request.
const REQUEST_ID_HEADERS: [&str; 6] = ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-goog-request-id", "cf-ray"];

/// Who is asked.
pub(super) struct Asked {
    pub(super) endpoint: Arc<Endpoint>,
    /// The model, as records name it and as its server does.
    pub(super) name: String,
    pub(super) model: Arc<str>,
    /// What its server has refused.
    pub(super) learned: Arc<Learned>,
}

/// Starts an attempt; nothing happens before the first poll.
pub(super) fn open<P: Protocol>(
    asked: Asked,
    limits: AnswerLimits,
    request: ModelRequest,
) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
    let answer = Answer::begin(&request, limits);
    let endpoint = Arc::clone(&asked.endpoint);
    let progress = Progress { protocol: P::default(), answer, endpoint: Arc::clone(&endpoint), model: Arc::clone(&asked.model) };
    let (progress, phase) = (Some(Box::new(progress)), Phase::Unsent { request });
    let attempt = Attempt { asked, endpoint, progress, phase, sent: Vec::new(), finished: None, has_ended: false, in_a_row: 0 };
    stream::unfold(Box::new(attempt), |mut attempt| async move { attempt.next().await.map(|event| (event, attempt)) }).boxed()
}

struct Attempt<P> {
    asked: Asked,
    endpoint: Arc<Endpoint>,
    /// Absent only while a large event is read elsewhere.
    progress: Option<Box<Progress<P>>>,
    phase: Phase,
    /// What of the request its server may refuse.
    sent: Vec<Refusal>,
    /// Since when the model has finished, and how much it had said then.
    finished: Option<(Instant, usize)>,
    /// The provider has ended its answer, whatever was said in it.
    has_ended: bool,
    /// Bytes of events that were read since others had their turn.
    in_a_row: usize,
}

enum Phase {
    Unsent { request: ModelRequest },
    Sending { response: BoxFuture<'static, Result<Response, reqwest::Error>>, handed_over: Option<oneshot::Receiver<()>> },
    Refused(Response),
    Reading { body: Box<Body>, status: StatusCode },
    Failed(Box<StreamFailure>),
    Ended,
}

impl<P: Protocol> Attempt<P> {
    async fn next(&mut self) -> Option<Result<ModelEvent, StreamFailure>> {
        // Many events can lie ready: other tasks get their turn, and a cancel is seen, between them.
        if self.in_a_row >= IN_A_ROW {
            self.in_a_row = 0;
            tokio::task::yield_now().await;
        } else {
            tokio::task::consume_budget().await;
        }
        loop {
            match self.answer().pop() {
                Some(ModelEvent::Note { kind, message }) => {
                    return Some(Ok(ModelEvent::Note { kind, message: self.endpoint.clean(message) }));
                }
                Some(event) => return Some(Ok(event)),
                None => {}
            }
            let advanced = match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Unsent { request } => self.send(&request),
                Phase::Sending { response, handed_over } => self.wait_for_head(response, handed_over).await,
                Phase::Refused(response) => Err(self.refusal(response).await),
                Phase::Reading { body, status } => self.read(body, status).await,
                Phase::Failed(failure) => return Some(Err(*failure)),
                Phase::Ended => return None,
            };
            // What the same event said before it failed is handed out first.
            self.phase = advanced.unwrap_or_else(|failure| {
                let by = if self.has_ended { ClosedBy::Provider } else { closed_by(&failure) };
                self.answer().tell(ModelEvent::UpstreamClosed(by));
                Phase::Failed(failure)
            });
        }
    }

    fn progress(&mut self) -> &mut Progress<P> {
        self.progress.as_mut().expect(WAITED_FOR)
    }

    fn answer(&mut self) -> &mut Answer {
        &mut self.progress().answer
    }

    fn send(&mut self, request: &ModelRequest) -> Result<Phase, Box<StreamFailure>> {
        let refused = self.asked.learned.so_far();
        let asking = Asking { model: &self.asked.model, name: &self.asked.name, request, refused };
        self.sent = P::REFUSABLE.iter().copied().filter(|what| asking.contains(*what)).collect();
        let body = P::body(&asking).map_err(|error| {
            let message = said::with(said::NOT_WRITTEN, &[&error]);
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
                if told.is_ok() {
                    self.answer().tell(ModelEvent::RequestSent);
                }
                Ok(Phase::Sending { response, handed_over: None })
            }
            answer = &mut response => {
                if handed_over.try_recv().is_ok() {
                    self.answer().tell(ModelEvent::RequestSent);
                }
                self.head(answer)
            }
        }
    }

    fn head(&mut self, answer: Result<Response, reqwest::Error>) -> Result<Phase, Box<StreamFailure>> {
        let response = answer.map_err(|error| fault::network(&self.endpoint, error, Stage::BeforeHead))?;
        let status = response.status();
        let request_id = request_id::<P>(response.headers(), &self.endpoint);
        self.answer().tell(ModelEvent::Headers { http_status: status.as_u16(), request_id });
        // Servers forget the right content type, and name a wrong one: what a body is, its first bytes say.
        Ok(if status.is_success() { Phase::Reading { body: Box::new(Body::new(response)), status } } else { Phase::Refused(response) })
    }

    /// Reads one event, or as much of it as comes.
    async fn read(&mut self, mut body: Box<Body>, status: StatusCode) -> Result<Phase, Box<StreamFailure>> {
        let mut has_more = false;
        loop {
            match self.take(&mut body, Place::Within).await? {
                Some(Reading::IsOver) => {
                    body.give_back(SETTLE_TIME);
                    return self.finish(ClosedBy::Provider);
                }
                Some(_) => return Ok(Phase::Reading { body, status }),
                None if has_more => {
                    self.answer().tell(ModelEvent::KeptAlive);
                    return Ok(Phase::Reading { body, status });
                }
                None => {}
            }
            let more = match self.patience() {
                Some(until) => tokio::time::timeout_at(until, body.more()).await.ok(),
                None => Some(body.more().await),
            };
            let (by, broken) = match more {
                Some(More::Bytes) => {
                    has_more = true;
                    continue;
                }
                Some(More::End) => (ClosedBy::Provider, None),
                Some(More::Failed(error)) => (ClosedBy::Unknown, Some(error)),
                None => (ClosedBy::Us, None),
            };
            self.has_ended = by == ClosedBy::Provider;
            return self.end(body, status, by, broken).await;
        }
    }

    /// Takes the next event, if all of it has come. A large one is read on another thread.
    async fn take(&mut self, body: &mut Body, place: Place) -> Result<Option<Reading>, Box<StreamFailure>> {
        let event = match place {
            Place::Within => body.reader.next(),
            Place::AtEnd => body.reader.end(),
        };
        let Some(event) = event.map_err(|error| self.bad_text(error))? else { return Ok(None) };
        self.in_a_row += event.data.len();
        if event.data.len() < LARGE_EVENT {
            let progress = self.progress.as_mut().expect(WAITED_FOR);
            return progress.take(event.name, event.data).map(Some);
        }
        let (name, data) = (event.name.to_owned(), event.data.to_owned());
        let mut progress = self.progress.take().expect(WAITED_FOR);
        let read = tokio::task::spawn_blocking(move || {
            let reading = progress.take(&name, &data);
            (progress, reading)
        });
        let (progress, reading) = read.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        self.progress = Some(progress);
        reading.map(Some)
    }

    /// Until when the rest of the stream is waited for: not at all before the model has finished, and anew after each word.
    fn patience(&mut self) -> Option<Instant> {
        let (tail, said) = (self.answer().tail(), self.answer().said());
        let patience = match tail {
            Tail::NotYet => {
                self.finished = None;
                return None;
            }
            Tail::Likely => CALL_TIME,
            Tail::Certain => SETTLE_TIME,
        };
        let since = match self.finished {
            Some((since, then)) if then == said => since,
            _ => Instant::now(),
        };
        self.finished = Some((since, said));
        Some(since + patience)
    }

    /// The body is over, in good order or not. What happened to the connection after the model had finished did not happen to the
    /// answer.
    async fn end(
        &mut self,
        mut body: Box<Body>,
        status: StatusCode,
        by: ClosedBy,
        broken: Option<ReadError>,
    ) -> Result<Phase, Box<StreamFailure>> {
        loop {
            match self.take(&mut body, Place::AtEnd).await {
                Ok(None) => break,
                Ok(Some(Reading::IsOver)) => return self.finish(by),
                Ok(Some(_)) => {}
                // Half an event.
                Err(failure) if failure.kind == ProtocolKind::BadJson.name() || self.answer().has_ended() => break,
                Err(failure) => return Err(failure),
            }
        }
        if self.answer().has_ended() {
            return self.finish(by);
        }
        if let Some(error) = broken {
            return Err(self.broken(error));
        }
        let words = self.endpoint.clean(body.reader.words().to_owned());
        if !words.is_empty() && !self.answer().is_understood {
            return Err(fault::not_a_stream(&self.endpoint, status, P::PATH, &Said::read(&words)));
        }
        let origin = self.endpoint.origin();
        let message = match words.as_str() {
            "" => said::with(said::CUT_OFF, &[&origin]),
            words => said::with(said::CUT_OFF_SAYING, &[&origin, &words]),
        };
        let evidence = [&["the body ended in good order"], P::UNFINISHED].concat();
        Err(transport(TransportKind::UnexpectedEof, message, &evidence))
    }

    fn finish(&mut self, by: ClosedBy) -> Result<Phase, Box<StreamFailure>> {
        self.answer().tell(ModelEvent::UpstreamClosed(by));
        self.progress().finish()?;
        Ok(Phase::Ended)
    }

    /// Why an answer whose status is no success was given.
    async fn refusal(&mut self, response: Response) -> Box<StreamFailure> {
        let status = response.status();
        let asked = waits::in_headers(response.headers());
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = error_body(response).await;
        self.has_ended = body.extent == Extent::Whole;
        let mut failure = fault::status(&self.endpoint, status, location.as_deref(), &body);
        if failure.cause != Cause::ContextOverflow
            && let Some(what) = refusal(status.as_u16(), &body.bytes, &self.sent, &self.asked.model)
        {
            self.asked.learned.add(what);
            failure.meaning = Some(Meaning::Unsupported);
            let kind = if what == Refusal::Tools { NoteKind::WithoutTools } else { NoteKind::LeftOut };
            self.answer().note(kind, what.name());
        }
        Box::new(StreamFailure { retry_after_ms: asked.or(failure.retry_after_ms), ..*failure })
    }

    fn bad_text(&self, error: Utf8Error) -> Box<StreamFailure> {
        let message = said::with(said::EVENT_UNREADABLE, &[&self.endpoint.origin(), &error]);
        protocol(ProtocolKind::BadSse, message, None, &["an event is not valid UTF-8"])
    }

    fn broken(&self, error: ReadError) -> Box<StreamFailure> {
        let origin = self.endpoint.origin();
        match error {
            ReadError::Network(error) => fault::network(&self.endpoint, error, Stage::InBody),
            ReadError::TooLarge => {
                let message = said::with(said::EVENT_TOO_LARGE, &[&origin, &EVENT_LIMIT]);
                protocol(ProtocolKind::EventTooLarge, message, None, &["an event grew beyond the limit"])
            }
            ReadError::Undecodable(_) => {
                let message = said::with(said::EVENT_UNREADABLE, &[&origin, &error]);
                protocol(ProtocolKind::BadSse, message, None, &["the event stream could not be read"])
            }
        }
    }
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Within,
    /// Behind it the body is over.
    AtEnd,
}

const WAITED_FOR: &str = "a large event that is read elsewhere is waited for";

async fn error_body(response: Response) -> ErrorBody {
    let mut body = ErrorBody { bytes: Vec::new(), extent: Extent::Incomplete };
    let mut chunks = Decoded::new(response);
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

/// The provider's id of the request, if it is fit to be kept.
fn request_id<P: Protocol>(headers: &HeaderMap, endpoint: &Endpoint) -> Option<String> {
    let id = [P::REQUEST_ID].iter().chain(&REQUEST_ID_HEADERS).find_map(|name| headers.get(*name)?.to_str().ok())?;
    Some(endpoint.clean(id.to_owned())).filter(|id| !id.is_empty() && is_name(id))
}

#[cfg(test)]
#[path = "flood_tests.rs"]
mod tests;
