//! What waits to be written: one queue, in the order in which things were said.
//!
//! Invariant: nothing overtakes anything; pushing never waits; updates are bounded by [`Outbox::room`], answers are always
//! admitted. When writing fails, all that waits and all that follows is dropped.

use crate::config::Framing;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// How much is written at once.
const BATCH: usize = 64 << 10;

/// The way out to one client. Clones are the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bytes of updates from which on there is no room.
    limit: usize,
    state: Mutex<State>,
    /// Tells the writer that there may be something to do.
    work: Notify,
    /// Tells everybody who waits that something was written, or never will be.
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Absent until the client's first byte decided it; nothing is written before.
    framing: Option<Framing>,
    queue: VecDeque<Entry>,
    /// Bytes of updates that are queued or being written.
    update_bytes: usize,
    pushed: u64,
    written: u64,
    door: Door,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Door {
    #[default]
    Open,
    /// What is queued is written, nothing more is taken.
    Closed,
    Broken,
}

#[derive(Debug)]
struct Entry {
    body: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Counts against the limit.
    Update,
    /// An answer or a request of ours: owed to the client, whatever it takes.
    Owed,
}

impl Outbox {
    /// An outbox with room for `limit` bytes of updates.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, state: Mutex::default(), work: Notify::new(), progress: Notify::new() }))
    }

    /// Queues an answer or a request of ours: one JSON message, without framing.
    pub fn push(&self, body: impl Into<Vec<u8>>) {
        self.enqueue(Entry { body: body.into(), kind: Kind::Owed });
    }

    /// Queues an update. It is taken even if there is no room: who produces many awaits [`Outbox::room`] before each.
    pub fn push_update(&self, body: impl Into<Vec<u8>>) {
        self.enqueue(Entry { body: body.into(), kind: Kind::Update });
    }

    /// Resolves when there is room for more updates, or when nothing will ever be written again.
    pub async fn room(&self) {
        self.until(|state| state.has_room(self.0.limit)).await;
    }

    /// Whether [`Outbox::room`] would wait.
    pub fn is_full(&self) -> bool {
        !self.0.state().has_room(self.0.limit)
    }

    /// Resolves when everything that was pushed before this call is written, or never will be.
    pub async fn flushed(&self) {
        let pushed = self.0.state().pushed;
        self.until(|state| state.written >= pushed || state.door == Door::Broken).await;
    }

    /// Bytes of updates that wait to be written.
    pub fn waiting(&self) -> usize {
        self.0.state().update_bytes
    }

    /// Takes nothing more. What is queued is still written.
    pub fn close(&self) {
        let mut state = self.0.state();
        if state.door == Door::Open {
            state.door = Door::Closed;
        }
        drop(state);
        self.0.work.notify_one();
    }

    /// How the client frames its messages; absent until its first byte.
    pub fn framing(&self) -> Option<Framing> {
        self.0.state().framing
    }

    /// Tells the writer how the client frames its messages. The first word counts.
    pub(super) fn decide(&self, framing: Framing) {
        self.0.state().framing.get_or_insert(framing);
        self.0.work.notify_one();
    }

    /// Writes what is queued, in order, until the outbox is closed and empty. There is one writer to an outbox.
    ///
    /// # Errors
    /// Writing failed; the outbox drops everything from then on.
    pub(super) async fn write_to<W: AsyncWrite + Unpin>(&self, mut out: W) -> io::Result<()> {
        let broken = BreakOnDrop(self);
        let (mut batch, mut buffer) = (Vec::new(), Vec::with_capacity(BATCH));
        while let Some(framing) = self.take(&mut batch).await {
            let (entries, updates) = (batch.len() as u64, update_bytes(&batch));
            for entry in batch.drain(..) {
                write_framed(&mut out, &mut buffer, framing, entry.body).await?;
            }
            out.write_all(&buffer).await?;
            out.flush().await?;
            buffer.clear();
            let mut state = self.0.state();
            state.written += entries;
            state.update_bytes -= updates;
            drop(state);
            self.0.progress.notify_waiters();
        }
        std::mem::forget(broken);
        Ok(())
    }

    /// Waits for work and moves about one [`BATCH`] of it into `batch`. `None`: closed and empty.
    async fn take(&self, batch: &mut Vec<Entry>) -> Option<Framing> {
        loop {
            {
                let mut state = self.0.state();
                if let Some(framing) = state.framing {
                    let mut bytes = 0;
                    while bytes < BATCH {
                        let Some(entry) = state.queue.pop_front() else { break };
                        bytes += entry.body.len();
                        batch.push(entry);
                    }
                    if !batch.is_empty() {
                        return Some(framing);
                    }
                }
                if state.door != Door::Open && state.queue.is_empty() {
                    return None;
                }
                if state.queue.is_empty() {
                    // Nothing is kept of a long queue.
                    state.queue.shrink_to(BATCH / size_of::<Entry>());
                }
            }
            self.0.work.notified().await;
        }
    }

    fn enqueue(&self, entry: Entry) {
        let mut state = self.0.state();
        if state.door != Door::Open {
            return;
        }
        if entry.kind == Kind::Update {
            state.update_bytes += entry.body.len();
        }
        state.pushed += 1;
        state.queue.push_back(entry);
        drop(state);
        self.0.work.notify_one();
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let progress = self.0.progress.notified();
            if reached(&self.0.state()) {
                return;
            }
            progress.await;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, limit: usize) -> bool {
        self.update_bytes < limit || self.door == Door::Broken
    }
}

/// Breaks the outbox when the writer fails, and when it is given up in the middle of a write.
struct BreakOnDrop<'a>(&'a Outbox);

impl Drop for BreakOnDrop<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.state();
        state.door = Door::Broken;
        let dropped = std::mem::take(&mut state.queue);
        state.update_bytes = 0;
        drop(state);
        drop(dropped);
        self.0.0.progress.notify_waiters();
    }
}

/// Puts one message behind what waits in `buffer`; a large one is written at once, behind that, and not copied.
async fn write_framed<W: AsyncWrite + Unpin>(out: &mut W, buffer: &mut Vec<u8>, framing: Framing, body: Vec<u8>) -> io::Result<()> {
    let body = match framing {
        Framing::Headers => {
            write!(buffer, "Content-Length: {}\r\n\r\n", body.len())?;
            body
        }
        Framing::Lines => on_one_line(body),
    };
    if body.len() < BATCH {
        buffer.extend_from_slice(&body);
    } else {
        out.write_all(buffer).await?;
        out.write_all(&body).await?;
        buffer.clear();
    }
    if framing == Framing::Lines {
        buffer.push(b'\n');
    }
    Ok(())
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

fn update_bytes(batch: &[Entry]) -> usize {
    batch.iter().filter(|entry| entry.kind == Kind::Update).map(|entry| entry.body.len()).sum()
}

#[cfg(test)]
mod tests;
