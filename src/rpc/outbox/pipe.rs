//! The writing itself: messages are framed, gathered, and counted as written when the last of their bytes is.

use super::{BATCH, Entry, Kind, Label, Outbound, Outbox};
use crate::config::Framing;
use crate::session::editor::Receipt;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::coop::unconstrained;

/// The stream to the client, from the writer's side.
pub(super) struct Pipe<'a, W> {
    outbox: &'a Outbox,
    out: W,
    /// Bytes that are framed and not written.
    buffer: Vec<u8>,
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

impl<'a, W: AsyncWrite + Unpin> Pipe<'a, W> {
    pub(super) fn new(outbox: &'a Outbox, out: W) -> Self {
        let (buffer, under_way) = (Vec::with_capacity(BATCH), VecDeque::new());
        Self { outbox, out, buffer, framed: 0, written: 0, under_way, stuck: false }
    }

    /// Puts one message behind what is gathered; a large one is written at once, behind that, and not copied.
    pub(super) async fn put(&mut self, framing: Framing, entry: Entry) -> io::Result<()> {
        let Entry { message: Outbound { label, body, receipt }, kind } = entry;
        let bytes = body.len();
        let before = self.buffer.len();
        let (body, tail) = match framing {
            Framing::Headers => {
                write!(self.buffer, "Content-Length: {}\r\n\r\n", body.len())?;
                (body, &b""[..])
            }
            Framing::Lines => (on_one_line(body), &b"\n"[..]),
        };
        self.framed += (self.buffer.len() - before + body.len() + tail.len()) as u64;
        self.under_way.push_back(UnderWay { end: self.framed, bytes, kind, label, receipt });
        if body.len() < BATCH {
            self.buffer.extend_from_slice(&body);
        } else {
            self.write_gathered().await?;
            self.write(&body).await?;
        }
        self.buffer.extend_from_slice(tail);
        Ok(())
    }

    /// Writes what is gathered.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.write_gathered().await?;
        self.out.flush().await
    }

    async fn write_gathered(&mut self) -> io::Result<()> {
        let mut gathered = std::mem::take(&mut self.buffer);
        self.write(&gathered).await?;
        gathered.clear();
        self.buffer = gathered;
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // A task that has had its share must not be taken for a client that does not read.
            match unconstrained(poll_fn(|cx| self.poll_write(cx, bytes))).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => {
                    bytes = &bytes[written..];
                    self.went(written as u64);
                }
            }
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.stuck) {
            // Before it is tried: whoever has read what is written now finds that it was not stuck any more.
            self.outbox.0.state().unread_since = None;
        }
        let polled = Pin::new(&mut self.out).poll_write(cx, bytes);
        if polled.is_pending() {
            self.stuck = true;
            let mut state = self.outbox.0.state();
            state.unread_since = Some(*state.moved.get_or_insert_with(Instant::now));
            drop(state);
            self.outbox.0.progress.notify_waiters();
        }
        polled
    }

    /// Counts what is written, and tells its receipts first: whoever has caught up finds that they know.
    fn went(&mut self, bytes: u64) {
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
        let mut state = self.outbox.0.state();
        state.written += messages;
        // None is left of an outbox that was given up meanwhile.
        state.update_bytes = state.update_bytes.saturating_sub(updates);
        state.moved = Some(now);
        state.last = last.or_else(|| state.last.take());
        drop(state);
        self.outbox.0.progress.notify_waiters();
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
        |body: &[u8]| memchr::memmem::find(body, b"\xE2\x80\xA8").is_some() || memchr::memmem::find(body, b"\xE2\x80\xA9").is_some();
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
