//! The writing itself: messages are framed, gathered, and counted as written when the last of their bytes is.

use super::{BATCH, Entry, Kind, Label, Outbound, Outbox};
use crate::config::Framing;
use crate::session::editor::Receipt;
use futures_util::future::FutureExt;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::AsyncWrite;
use tokio::task::coop::unconstrained;

/// The stream to the client, from the writer's side. Whoever holds it writes, and nobody else does.
pub(super) struct Pipe {
    out: Box<dyn AsyncWrite + Send + Unpin>,
    /// Bytes that are framed and not written, in pieces; those before `at` of the first one are.
    pieces: VecDeque<Vec<u8>>,
    at: usize,
    /// An empty piece, to be filled again.
    spare: Vec<u8>,
    /// Something was written since the stream was last flushed.
    unflushed: bool,
    /// What a write on the spot has met; for the writer to find.
    failed: Option<io::Error>,
    /// How long the stream will be with all that is framed, and how long it is.
    framed: u64,
    written: u64,
    /// What is framed and not yet written to its last byte.
    under_way: VecDeque<UnderWay>,
    /// The client must read before more can be written; the outbox was told.
    stuck: bool,
}

/// A message whose last byte is not written.
struct UnderWay {
    /// Where in the stream it ends.
    end: u64,
    bytes: usize,
    kind: Kind,
    label: Label,
    receipt: Option<Arc<dyn Receipt>>,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("framed", &self.framed).field("written", &self.written).finish_non_exhaustive()
    }
}

impl Pipe {
    pub(super) fn new(out: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        let (pieces, spare, under_way) = (VecDeque::new(), Vec::with_capacity(BATCH), VecDeque::new());
        Self { out: Box::new(out), pieces, at: 0, spare, unflushed: false, failed: None, framed: 0, written: 0, under_way, stuck: false }
    }

    /// Whether everything that was put into it is written.
    pub(super) fn is_idle(&self) -> bool {
        self.pieces.is_empty() && !self.unflushed && self.failed.is_none()
    }

    /// Puts one message behind what is gathered; a large one is not copied.
    pub(super) fn put(&mut self, framing: Framing, entry: Entry) {
        let Entry { message: Outbound { label, body, receipt }, kind } = entry;
        let bytes = body.len();
        let (head, body, tail) = match framing {
            Framing::Headers => (format!("Content-Length: {bytes}\r\n\r\n"), body, &b""[..]),
            Framing::Lines => (String::new(), on_one_line(body), &b"\n"[..]),
        };
        self.framed += (head.len() + body.len() + tail.len()) as u64;
        self.under_way.push_back(UnderWay { end: self.framed, bytes, kind, label, receipt });
        self.gather(head.as_bytes());
        if body.len() < BATCH {
            self.gather(&body);
        } else {
            self.pieces.push_back(body);
        }
        self.gather(tail);
    }

    /// Writes everything that was put into it.
    ///
    /// # Errors
    /// The stream is broken.
    pub(super) async fn write(&mut self, outbox: &Outbox) -> io::Result<()> {
        // A task that has had its share must not be taken for a client that does not read.
        unconstrained(poll_fn(|cx| self.poll_all(outbox, cx))).await
    }

    /// Writes what can be written without waiting.
    pub(super) fn write_now(&mut self, outbox: &Outbox) {
        if let Some(Err(error)) = self.write(outbox).now_or_never() {
            self.failed = Some(error);
        }
    }

    fn gather(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.pieces.back().is_none_or(|last| last.len() >= BATCH) {
            self.pieces.push_back(std::mem::take(&mut self.spare));
        }
        if let Some(last) = self.pieces.back_mut() {
            last.extend_from_slice(bytes);
        }
    }

    fn poll_all(&mut self, outbox: &Outbox, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        while let Some(first) = self.pieces.front() {
            if self.at == first.len() {
                self.at = 0;
                if let Some(mut written) = self.pieces.pop_front().filter(|written| written.capacity() <= 2 * BATCH) {
                    written.clear();
                    self.spare = written;
                }
                continue;
            }
            match ready!(self.poll_write(outbox, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    self.at += written;
                    self.unflushed = true;
                    self.went(outbox, written as u64);
                }
            }
        }
        ready!(Pin::new(&mut self.out).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, outbox: &Outbox, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.stuck) {
            // Before it is tried: whoever has read what is written now finds that it was not stuck any more.
            outbox.0.state().unread_since = None;
        }
        let Self { out, pieces, at, .. } = self;
        let rest = pieces.front().map_or(&[][..], |first| &first[*at..]);
        let polled = Pin::new(out).poll_write(cx, rest);
        if polled.is_pending() {
            self.stuck = true;
            let mut state = outbox.0.state();
            state.unread_since = Some(*state.moved.get_or_insert_with(Instant::now));
            drop(state);
            outbox.0.progress.notify_waiters();
        }
        polled
    }

    /// Counts what is written, and tells its receipts first: whoever has caught up finds that they know.
    fn went(&mut self, outbox: &Outbox, bytes: u64) {
        self.written += bytes;
        let (now, mut messages, mut updates, mut last) = (Instant::now(), 0, 0, None);
        while let Some(message) = self.under_way.pop_front_if(|message| message.end <= self.written) {
            if let Some(receipt) = message.receipt {
                receipt.written(message.bytes, now);
            }
            messages += 1;
            updates += if message.kind == Kind::Update { message.bytes } else { 0 };
            last = Some((message.label, now));
        }
        let mut state = outbox.0.state();
        state.written += messages;
        // None is left of an outbox that was given up meanwhile.
        state.update_bytes = state.update_bytes.saturating_sub(updates);
        state.moved = Some(now);
        state.last = last.or_else(|| state.last.take());
        drop(state);
        outbox.0.progress.notify_waiters();
    }
}

/// The same JSON without anything that a reader could take for the end of the line. Our own serialiser writes no line
/// ends; raw JSON from elsewhere may hold them between tokens, and Node's line reader also breaks at U+2028 and U+2029.
fn on_one_line(mut body: Vec<u8>) -> Vec<u8> {
    for line_end in [b'\n', b'\r'] {
        let mut at = 0;
        while let Some(found) = memchr::memchr(line_end, &body[at..]) {
            at += found;
            body[at] = b' ';
        }
    }
    let separators =
        |body: &[u8]| memchr::memchr_iter(0xE2, body).any(|at| matches!(body.get(at + 1..at + 3), Some(b"\x80\xA8" | b"\x80\xA9")));
    if !separators(&body) {
        return body;
    }
    let mut escaped = Vec::with_capacity(body.len() + body.len() / 8);
    let mut rest = &*body;
    while let Some((&first, behind)) = rest.split_first() {
        rest = match rest {
            [0xE2, 0x80, last @ (0xA8 | 0xA9), behind @ ..] => {
                escaped.extend_from_slice(if *last == 0xA8 { br"\u2028" } else { br"\u2029" });
                behind
            }
            _ => {
                escaped.push(first);
                behind
            }
        };
    }
    escaped
}
