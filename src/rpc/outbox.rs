//! What waits to be written: one queue, in the order in which things were said.
//!
//! A message that comes alone is written by whoever pushes it, as far as that can be done without waiting: on its way to
//! the client it wakes nobody else of this process. What follows closely is left to the writer, which writes it together.
//!
//! Invariant: nothing overtakes anything; pushing never waits; one at a time writes, whoever holds the pipe; updates are
//! bounded by [`Outbox::room`], answers are always admitted. When writing fails, all that waits and all that follows is dropped, and there is never room again.

mod pipe;

use crate::config::Framing;
use crate::protocol::ids::RequestId;
use crate::session::editor::Receipt;
use pipe::Pipe;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;

/// How much is written at once.
const BATCH: usize = 64 << 10;
/// The largest message that is written on the spot; framing a larger one takes its time.
const SMALL: usize = 16 << 10;
/// A message that follows another more closely than this shares a write with those behind it.
const APART: Duration = Duration::from_micros(100);

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
    /// The way out; absent while somebody writes.
    pipe: Option<Pipe>,
    /// Bytes of updates that are queued or being written.
    update_bytes: usize,
    pushed: u64,
    written: u64,
    door: Door,
    /// The message that was written last, and when its last byte was.
    last: Option<(Label, Instant)>,
    /// When bytes were last written.
    moved: Option<Instant>,
    /// Nothing more can be written before the client reads; since when it has not.
    unread_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Door {
    #[default]
    Open,
    /// What is queued is written, nothing more is taken.
    Closed,
    Broken,
}

/// One JSON message, without framing.
pub struct Outbound {
    label: Label,
    body: Vec<u8>,
    receipt: Option<Arc<dyn Receipt>>,
}

/// What a message is, as the record of its connection names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// `response` for an answer.
    pub method: Cow<'static, str>,
    /// Of an answer, the id of its request. A notification has none.
    pub id: Option<RequestId>,
}

impl Outbound {
    pub fn answer(id: RequestId, body: Vec<u8>) -> Self {
        Self { label: Label::response(id), body, receipt: None }
    }

    pub fn request(method: impl Into<Cow<'static, str>>, id: Option<RequestId>, body: Vec<u8>) -> Self {
        Self { label: Label { method: method.into(), id }, body, receipt: None }
    }

    pub fn update(body: Vec<u8>) -> Self {
        Self::request("session/update", None, body)
    }

    /// Tells `receipt` what becomes of it.
    pub fn with(self, receipt: Option<Arc<dyn Receipt>>) -> Self {
        Self { receipt, ..self }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("label", &self.label).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Label {
    pub fn response(id: RequestId) -> Self {
        Self { method: "response".into(), id: Some(id) }
    }
}

#[derive(Debug)]
struct Entry {
    message: Outbound,
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

    /// Queues an answer or a request of ours.
    pub fn push(&self, message: impl Into<Outbound>) {
        self.enqueue(Entry { message: message.into(), kind: Kind::Owed });
    }

    /// Queues an update. It is taken even if there is no room: who produces many awaits [`Outbox::room`] before each.
    pub fn push_update(&self, message: impl Into<Outbound>) {
        self.enqueue(Entry { message: message.into(), kind: Kind::Update });
    }

    /// Resolves when there is room for more updates: never, once nothing will be written again. Who waits is stopped by what
    /// broke the door.
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

    /// Resolves when everything that was pushed before this call is written and its receipts have heard of it, or the client
    /// must read before more can be written, or nothing ever will be.
    pub async fn caught_up(&self) {
        let pushed = self.0.state().pushed;
        let stuck = |state: &State| state.unread_since.is_some() || state.framing.is_none() || state.door == Door::Broken;
        self.until(|state| state.written >= pushed || stuck(state)).await;
    }

    /// Since when the client has not been reading, if nothing more can be written before it does.
    pub fn unread_since(&self) -> Option<Instant> {
        self.0.state().unread_since
    }

    /// The message that was written last, and when its last byte was.
    pub fn last_written(&self) -> Option<(Label, Instant)> {
        self.0.state().last.clone()
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

    /// Nothing can reach the client any more: what waits and all that follows is dropped.
    pub fn give_up(&self) {
        drop(BreakOnDrop(self));
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
    pub(super) async fn write_to(&self, out: impl AsyncWrite + Send + Unpin + 'static) -> io::Result<()> {
        let broken = BreakOnDrop(self);
        self.put_back(Pipe::new(out));
        while let Some(mut pipe) = self.take().await {
            pipe.write(self).await?;
            self.put_back(pipe);
            consume_budget().await;
        }
        std::mem::forget(broken);
        Ok(())
    }

    /// Waits for work and puts about one [`BATCH`] of it into the pipe. `None`: closed and empty.
    async fn take(&self) -> Option<Pipe> {
        let mut batch = Vec::new();
        loop {
            {
                let mut state = self.0.state();
                if state.door == Door::Broken {
                    return None;
                }
                let pipe = state.pipe.take();
                match (state.framing, pipe) {
                    (Some(framing), Some(mut pipe)) if !(pipe.is_idle() && state.queue.is_empty()) => {
                        let mut bytes = 0;
                        while bytes < BATCH {
                            let Some(entry) = state.queue.pop_front() else { break };
                            bytes += entry.message.body.len();
                            batch.push(entry);
                        }
                        drop(state);
                        batch.into_iter().for_each(|entry| pipe.put(framing, entry));
                        return Some(pipe);
                    }
                    (_, Some(_)) if state.door != Door::Open && state.queue.is_empty() => return None,
                    (_, pipe) => state.pipe = pipe,
                }
                if state.queue.is_empty() {
                    // Nothing is kept of a long queue.
                    state.queue.shrink_to(BATCH / size_of::<Entry>());
                }
            }
            self.0.work.notified().await;
        }
    }

    /// Lets others write again; what is left to be written is the writer's.
    fn put_back(&self, pipe: Pipe) {
        let mut state = self.0.state();
        if state.door == Door::Broken {
            return;
        }
        let is_more = !pipe.is_idle() || !state.queue.is_empty() || state.door != Door::Open;
        state.pipe = Some(pipe);
        drop(state);
        if is_more {
            self.0.work.notify_one();
        }
    }

    fn enqueue(&self, entry: Entry) {
        let mut state = self.0.state();
        if state.door != Door::Open {
            return;
        }
        let bytes = entry.message.body.len();
        if entry.kind == Kind::Update {
            state.update_bytes += bytes;
        }
        if let Some(receipt) = &entry.message.receipt {
            receipt.taken(bytes);
        }
        state.pushed += 1;
        if let Some((framing, mut pipe)) = state.pipe_at_rest(entry.message.body.len()) {
            drop(state);
            pipe.put(framing, entry);
            pipe.write_now(self);
            return self.put_back(pipe);
        }
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
    /// The pipe, for a message of so many bytes that is best written on the spot: nothing is before it or closely so.
    fn pipe_at_rest(&mut self, bytes: usize) -> Option<(Framing, Pipe)> {
        let framing = self.framing?;
        let is_alone = self.queue.is_empty() && self.moved.is_none_or(|moved| moved.elapsed() >= APART);
        let is_fit = bytes <= SMALL && is_alone && self.pipe.as_ref().is_some_and(Pipe::is_idle);
        if is_fit { self.pipe.take().map(|pipe| (framing, pipe)) } else { None }
    }

    fn has_room(&self, limit: usize) -> bool {
        self.update_bytes < limit && self.door != Door::Broken
    }
}

/// Breaks the outbox when the writer fails, and when it is given up in the middle of a write.
struct BreakOnDrop<'a>(&'a Outbox);

impl Drop for BreakOnDrop<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.state();
        state.door = Door::Broken;
        let dropped = (std::mem::take(&mut state.queue), state.pipe.take());
        state.update_bytes = 0;
        drop(state);
        drop(dropped);
        self.0.0.progress.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
