//! The server-sent events of an answer's body, each capped, and the signs of life between them.

use super::Endpoint;
use super::fault::{self, Stage};
use crate::protocol::diagnostics::StreamFailure;
use crate::provider::failure::{ProtocolKind, protocol};
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use reqwest::Response;
use sse_stream::{Sse, SseByteStream};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

/// The largest event, in bytes, give or take one read from the network.
pub(in crate::provider) const EVENT_LIMIT: usize = 8 << 20;

/// The events of a body.
pub(super) struct Events {
    events: SseByteStream<BoxStream<'static, Result<Bytes, ReadError>>>,
    /// Bytes since the last whole event.
    pending: Arc<AtomicUsize>,
}

/// What the next thing on a body is.
pub(super) enum Next {
    Event(Sse),
    /// Bytes came that make no event: a comment, or a piece of what is still to come.
    Bytes,
    Failed(sse_stream::Error),
    End,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Network(reqwest::Error),
    #[error("an event is larger than {EVENT_LIMIT} bytes")]
    TooLarge,
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        let pending = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pending);
        let bytes = response.bytes_stream().map(move |read| {
            let bytes = read.map_err(ReadError::Network)?;
            let total = counted.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
            // What came with one read is in memory already; it is refused only if an event still grows beyond it.
            if total - bytes.len() > EVENT_LIMIT { Err(ReadError::TooLarge) } else { Ok(bytes) }
        });
        Self { events: SseByteStream::new(bytes.boxed()), pending }
    }

    pub(super) async fn next(&mut self) -> Next {
        let before = self.pending.load(Ordering::Relaxed);
        let next = poll_fn(|context| match Pin::new(&mut self.events).poll_next(context) {
            Poll::Ready(Some(Ok(event))) => Poll::Ready(Next::Event(event)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Next::Failed(error)),
            Poll::Ready(None) => Poll::Ready(Next::End),
            Poll::Pending if self.pending.load(Ordering::Relaxed) != before => Poll::Ready(Next::Bytes),
            Poll::Pending => Poll::Pending,
        })
        .await;
        if !matches!(next, Next::Bytes) {
            self.pending.store(0, Ordering::Relaxed);
        }
        next
    }

    /// The next thing that is more than a sign of life.
    pub(super) async fn whole(&mut self) -> Next {
        loop {
            match self.next().await {
                Next::Bytes => {}
                next => return next,
            }
        }
    }

    pub(super) fn fault(&self, error: sse_stream::Error, endpoint: &Endpoint) -> Box<StreamFailure> {
        let origin = endpoint.origin();
        match error {
            sse_stream::Error::Body(error) => match error.downcast::<ReadError>().map(|error| *error) {
                Ok(ReadError::Network(error)) => fault::network(endpoint, error, Stage::InBody),
                Ok(ReadError::TooLarge) => {
                    let message = format!("{origin} sent an event of more than {EVENT_LIMIT} bytes");
                    protocol(ProtocolKind::EventTooLarge, message, None, &["an event grew beyond the limit"])
                }
                Err(error) => protocol(ProtocolKind::BadSse, format!("{origin}: {error}"), None, &["the event stream could not be read"]),
            },
            error => protocol(ProtocolKind::BadSse, format!("{origin}: {error}"), None, &["an event is no valid UTF-8"]),
        }
    }

    /// Reads the end of a body whose last event has come, so that its connection can be used again.
    pub(super) fn give_back(self, patience: Duration) {
        let mut events = self.events;
        tokio::spawn(async move { tokio::time::timeout(patience, events.next()).await });
    }
}
