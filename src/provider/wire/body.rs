//! An answer's body: bytes as they come, decoded if need be, and the events in them, each capped.

use super::sse::Reader;
use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use std::io::{self, Write};
use std::time::Duration;

/// The largest event, in bytes, give or take one read from the network.
pub(in crate::provider) const EVENT_LIMIT: usize = 8 << 20;
/// As many bytes are decoded at once. Each becomes at most 1032, so that no step is large, whatever is in the body.
const DECODED_AT_ONCE: usize = 64;

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
    /// What the header names, until the first bytes have come: they decide.
    named: String,
    decoder: Option<Decoder>,
    /// What has come and is not decoded yet.
    encoded: Bytes,
}

/// With one of these begins a text that a server only says it has encoded: JSON, an event, a page, a mark of the byte order.
const BEGINNINGS: &[u8] = b"{[\":<deir \t\r\n\xEF";

/// Takes a few encoded bytes and gives what they make.
type Decoder = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + Send>;

impl Decoded {
    pub(super) fn new(response: Response) -> Self {
        let named = response.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = named.trim().to_ascii_lowercase();
        Self::of(response.bytes_stream().boxed(), named)
    }

    fn of(bytes: BoxStream<'static, Result<Bytes, reqwest::Error>>, named: String) -> Self {
        Self { bytes, named, decoder: None, encoded: Bytes::new() }
    }

    pub(super) async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                while !self.encoded.is_empty() {
                    let piece = self.encoded.split_to(self.encoded.len().min(DECODED_AT_ONCE));
                    match decoder(&piece) {
                        Ok(decoded) if decoded.is_empty() => {}
                        decoded => return Some(decoded.map(Bytes::from).map_err(ReadError::Undecodable)),
                    }
                }
            }
            let bytes = match self.bytes.next().await? {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error.into())),
            };
            if let (Some(first), None) = (bytes.first(), &self.decoder) {
                self.decoder = decoder(&std::mem::take(&mut self.named), *first);
            }
            if self.decoder.is_none() {
                return Some(Ok(bytes));
            }
            self.encoded = bytes;
        }
    }
}

/// What decodes a body that begins with this byte, if it is encoded.
fn decoder(named: &str, first: u8) -> Option<Decoder> {
    fn with<W: Write + Send + 'static>(mut decoder: W, made: fn(&mut W) -> &mut Vec<u8>) -> Decoder {
        Box::new(move |bytes| {
            decoder.write_all(bytes)?;
            decoder.flush()?;
            Ok(std::mem::take(made(&mut decoder)))
        })
    }
    match (named, first) {
        // No text begins with this byte.
        (_, 0x1F) => Some(with(MultiGzDecoder::new(Vec::new()), MultiGzDecoder::get_mut)),
        // The name stands for two formats; the second has no head of its own.
        ("deflate", 0x78) => Some(with(ZlibDecoder::new(Vec::new()), ZlibDecoder::get_mut)),
        ("deflate", first) if !BEGINNINGS.contains(&first) => Some(with(DeflateDecoder::new(Vec::new()), DeflateDecoder::get_mut)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use futures_util::stream;

    /// What a body of these reads is decoded to, and the largest piece of it.
    async fn decoded(reads: Vec<Vec<u8>>, named: &str) -> (Vec<u8>, usize) {
        let reads = stream::iter(reads.into_iter().map(|read| Ok(Bytes::from(read)))).boxed();
        let (mut body, mut whole, mut largest) = (Decoded::of(reads, named.to_owned()), Vec::new(), 0);
        while let Some(piece) = body.next().await {
            let piece = piece.unwrap();
            largest = largest.max(piece.len());
            whole.extend_from_slice(&piece);
        }
        (whole, largest)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn one_read_becomes_many_small_pieces_however_well_it_was_packed() {
        let text = vec![b'x'; 32 << 20];
        let packed = gzip(&text);
        assert!(packed.len() < 40_000, "it comes in one read: {}", packed.len());
        let (whole, largest) = decoded(vec![packed], "").await;
        assert!(whole == text);
        assert!(largest <= DECODED_AT_ONCE * 1032 + (64 << 10), "{largest}");
    }

    #[tokio::test]
    async fn each_encoding_is_decoded_however_it_is_cut_and_plain_text_is_left_alone() {
        let text = "data: a\n\n".repeat(50).into_bytes();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(&text).unwrap();
        let twice = [gzip(&text[..40]), gzip(&text[40..])].concat();
        let bodies = [
            ("", gzip(&text)),
            ("gzip", twice),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("gzip", text.clone()),
            ("deflate", text.clone()),
            ("", text.clone()),
        ];
        for (named, body) in bodies {
            for size in [1, 7, body.len()] {
                let reads = body.chunks(size).map(<[u8]>::to_vec).collect();
                assert_eq!(decoded(reads, named).await.0, text, "{named:?} in reads of {size}");
            }
        }
    }
}
