//! The server-sent events of an answer's body, each capped.

use super::Endpoint;
use super::fault::{self, Stage};
use crate::protocol::diagnostics::StreamFailure;
use crate::provider::failure::{ProtocolKind, protocol};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;
use sse_stream::{Sse, SseByteStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The largest event, in bytes, give or take one read from the network.
pub(in crate::provider) const EVENT_LIMIT: usize = 8 << 20;

/// The events of a body.
pub(super) struct Events {
    events: SseByteStream<BoxStream<'static, Result<Bytes, ReadError>>>,
    /// Bytes since the last whole event.
    pending: Arc<AtomicUsize>,
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

    pub(super) async fn next(&mut self) -> Option<Result<Sse, sse_stream::Error>> {
        let event = self.events.next().await;
        self.pending.store(0, Ordering::Relaxed);
        event
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
