//! An answer's body: bytes as they come, decoded if need be, and the events in them, each capped.

use super::sse::Reader;
use bytes::Bytes;
use flate2::write::{GzDecoder, ZlibDecoder};
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use std::io::Write;
use std::time::Duration;

/// The largest event, in bytes, give or take one read from the network.
pub(in crate::provider) const EVENT_LIMIT: usize = 8 << 20;

/// A body that is being read.
pub(super) struct Body {
    pub(super) reader: Reader,
    bytes: Decoded,
}

/// What came of reading on.
pub(super) enum More {
    Bytes,
    End,
    Failed(ReadError),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Network(#[from] reqwest::Error),
    #[error("an event is larger than {EVENT_LIMIT} bytes")]
    TooLarge,
    #[error("the body could not be decoded: {0}")]
    Undecodable(std::io::Error),
}

impl Body {
    pub(super) fn new(response: Response) -> Self {
        Self { reader: Reader::default(), bytes: Decoded::new(response) }
    }

    /// Waits for more bytes and gives them to the reader.
    pub(super) async fn more(&mut self) -> More {
        match self.bytes.next().await {
            None => More::End,
            Some(Err(error)) => More::Failed(error),
            Some(Ok(bytes)) => {
                // What came with one read is in memory already; it is refused only if an event still grows beyond it.
                if self.reader.pending() > EVENT_LIMIT {
                    return More::Failed(ReadError::TooLarge);
                }
                self.reader.push(&bytes);
                More::Bytes
            }
        }
    }

    /// Reads the end of a body whose last event has come, so that its connection can be used again.
    pub(super) fn give_back(self, patience: Duration) {
        let mut bytes = self.bytes.bytes;
        let read = async move { while let Some(Ok(_)) = bytes.next().await {} };
        tokio::spawn(async move { tokio::time::timeout(patience, read).await });
    }
}

/// The bytes of a body, decoded where a server encoded them although nobody asked for it.
pub(super) struct Decoded {
    bytes: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    decoder: Decoder,
}

enum Decoder {
    /// Nothing has come yet: the first bytes decide.
    Undecided,
    None,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

impl Decoded {
    pub(super) fn new(response: Response) -> Self {
        let named = response.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let decoder = match named.trim().to_ascii_lowercase().as_str() {
            "deflate" => Decoder::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            _ => Decoder::Undecided,
        };
        Self { bytes: response.bytes_stream().boxed(), decoder }
    }

    pub(super) async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        let bytes = match self.bytes.next().await? {
            Ok(bytes) => bytes,
            Err(error) => return Some(Err(error.into())),
        };
        if matches!(self.decoder, Decoder::Undecided) && !bytes.is_empty() {
            // No text begins with this byte.
            let is_gzip = bytes[0] == 0x1F;
            self.decoder = if is_gzip { Decoder::Gzip(Box::new(GzDecoder::new(Vec::new()))) } else { Decoder::None };
        }
        let decoded = match &mut self.decoder {
            Decoder::Undecided | Decoder::None => return Some(Ok(bytes)),
            Decoder::Gzip(gzip) => gzip.write_all(&bytes).and_then(|()| gzip.flush()).map(|()| std::mem::take(gzip.get_mut())),
            Decoder::Deflate(deflate) => {
                deflate.write_all(&bytes).and_then(|()| deflate.flush()).map(|()| std::mem::take(deflate.get_mut()))
            }
        };
        Some(decoded.map(Bytes::from).map_err(ReadError::Undecodable))
    }
}
