//! One connection: a reader that hands messages on in the order in which they came, and a writer that owns the way out.
//!
//! Invariant: the reader never waits for the writer, so a client that does not read can still cancel; whatever ends the
//! connection, its first reason is the one that is told.

use crate::config::{Framing, Limits};
use crate::provenance::panics;
use crate::rpc::envelope::{INVALID_REQUEST, Inbound, Invalid, PARSE_ERROR};
use crate::rpc::frame::{Decoder, Frame};
use crate::rpc::outbox::{Outbound, Outbox};
use crate::rpc::watch::{EndReason, Ending, Evidence};
use futures_util::future::{BoxFuture, FutureExt};
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::coop::{consume_budget, unconstrained};
use tokio_util::task::AbortOnDropHandle;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// What a pipe can hold at most, unless the system's limit was raised: so much may have been said before an end.
const PIPE: usize = 1 << 20;

/// A running connection. It is over when [`Wire::ended`] resolves; what was said until then is written by
/// [`Wire::drain`]. Dropping it stops both at once.
#[derive(Debug)]
pub struct Wire {
    outbox: Outbox,
    ending: Ending,
    reader: AbortOnDropHandle<()>,
    writer: AbortOnDropHandle<()>,
}

impl Wire {
    /// Starts to read and to write. `receive` gets each message with the time of its arrival, in order, and must not
    /// block; `Break` ends the connection, and nothing that follows is handed on. What is no message is answered here.
    /// `ending` is where other reasons to end are reported: signals, processes that are gone. Needs a runtime.
    pub fn open<R, W, F>(read: R, write: W, terms: Terms<'_>, outbox: Outbox, ending: Ending, receive: F) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
        F: FnMut(Inbound, Instant) -> ControlFlow<EndReason> + Send + 'static,
    {
        let Terms { limits, framing, at_eof } = terms;
        let reader = Reader { limits: *limits, decoder: Decoder::new(limits, framing), outbox: outbox.clone(), told: false, receive };
        let reader = tokio::spawn(reader.read_until_the_end(read, at_eof, ending.clone()));
        let writer = tokio::spawn({
            let (outbox, ending) = (outbox.clone(), ending.clone());
            async move {
                if let Err(error) = outbox.write_to(write).await {
                    tracing::debug!(%error, "writing to the client failed");
                    ending.end_behind_last_words(EndReason::WriteFailed).await;
                }
            }
        });
        Self { outbox, ending, reader: AbortOnDropHandle::new(reader), writer: AbortOnDropHandle::new(writer) }
    }

    /// Resolves with the first evidence that the connection has ended. What is still in the pipe may be received while it is
    /// being explained; answers can still be pushed.
    pub async fn ended(&self) -> Evidence {
        self.ending.ended().await
    }

    /// Writes what has been pushed, for at most `deadline`, and closes the way out.
    pub async fn drain(mut self, deadline: Duration) {
        self.reader.abort();
        // A client that never sent a byte gets what there is in headers.
        self.outbox.decide(Framing::Headers);
        self.outbox.close();
        if tokio::time::timeout(deadline, &mut self.writer).await.is_err() {
            tracing::debug!("the client did not read everything in time");
        }
    }
}

/// What the end of the client's messages means.
pub enum AtEof {
    /// The client is gone.
    Leave,
    /// The client has said everything; the connection lasts until this resolves.
    Finish(BoxFuture<'static, ()>),
}

/// What holds for a connection before it has said anything.
pub struct Terms<'a> {
    pub limits: &'a Limits,
    /// Forced, or decided by the first byte.
    pub framing: Option<Framing>,
    pub at_eof: AtEof,
}

/// The reading half of a connection.
struct Reader<F> {
    limits: Limits,
    decoder: Decoder,
    outbox: Outbox,
    /// The writer knows the framing.
    told: bool,
    receive: F,
}

impl<F: FnMut(Inbound, Instant) -> ControlFlow<EndReason>> Reader<F> {
    async fn read_until_the_end<R: AsyncRead + Unpin>(mut self, read: R, at_eof: AtEof, ending: Ending) {
        let _last_word = EndOnPanic(&ending);
        let over = async {
            let reason = self.read(read, &ending).await;
            ending.heard_out();
            if let (EndReason::Eof, AtEof::Finish(finished)) = (&reason, at_eof) {
                finished.await;
            }
            reason
        };
        tokio::select! {
            biased;
            _ = ending.explained() => {}
            reason = over => ending.end(reason),
        }
    }

    async fn read<R: AsyncRead + Unpin>(&mut self, mut read: R, ending: &Ending) -> EndReason {
        let (mut chunk, mut last_words) = (vec![0; CHUNK], PIPE);
        loop {
            let arrived = match arrives(&mut read, &mut chunk, ending).await {
                Ok(0) => return self.last_line(),
                Ok(arrived) => &chunk[..arrived],
                Err(error) => {
                    tracing::debug!(%error, "reading from the client failed");
                    return EndReason::Eof;
                }
            };
            let many = arrived.len();
            if let ControlFlow::Break(reason) = self.take_in(arrived, Instant::now()).await {
                return reason;
            }
            if ending.is_dying() {
                last_words = last_words.saturating_sub(many);
                if last_words == 0 {
                    ending.heard_out();
                }
            }
        }
    }

    async fn take_in(&mut self, mut input: &[u8], now: Instant) -> ControlFlow<EndReason> {
        loop {
            let message = match self.decoder.next(&mut input) {
                Ok(Some(Frame::Body(body))) => Ok(Inbound::parse(body, self.limits.nesting)),
                Ok(Some(Frame::Oversized { declared })) => Ok(Err(oversized(declared, self.limits.message))),
                Ok(None) => return ControlFlow::Continue(()),
                Err(what) => Err(what),
            };
            self.tell_framing();
            match message {
                Ok(Ok(message)) => (self.receive)(message, now)?,
                Ok(Err(invalid)) => self.complain(&invalid),
                Err(what) => {
                    self.complain(&Invalid::anonymous(PARSE_ERROR, what.to_string()));
                    return ControlFlow::Break(EndReason::BrokenFraming { what });
                }
            }
            // Ten thousand messages in one chunk must not keep timers and other tasks waiting.
            consume_budget().await;
        }
    }

    /// At the end of the stream: a message that only lacks its line end counts, half of one does not.
    fn last_line(&mut self) -> EndReason {
        self.tell_framing();
        let last = self.decoder.unended_line().and_then(|line| Inbound::parse(line, self.limits.nesting).ok());
        match last.map(|message| (self.receive)(message, Instant::now())) {
            Some(ControlFlow::Break(reason)) => reason,
            _ => EndReason::Eof,
        }
    }

    /// Answers what is no message. Such answers name no request that waits for them, so a client that sends garbage and
    /// reads nothing loses them instead of filling the memory.
    fn complain(&self, invalid: &Invalid) {
        let answer = || Outbound::answer(invalid.id.clone(), invalid.answer());
        match invalid.id.is_null() {
            true if self.outbox.is_full() => tracing::debug!(%invalid, "complaint dropped, the client does not read"),
            true => self.outbox.push_update(answer()),
            false => self.outbox.push(answer()),
        }
    }

    /// Once, and before anything can be said about the first message.
    fn tell_framing(&mut self) {
        if let Some(framing) = self.decoder.framing()
            && !std::mem::replace(&mut self.told, true)
        {
            self.outbox.decide(framing);
        }
    }
}

/// Reads what comes next, and tells when everything was read that a client which is going had written.
async fn arrives<R: AsyncRead + Unpin>(read: &mut R, chunk: &mut [u8], ending: &Ending) -> io::Result<usize> {
    tokio::select! {
        biased;
        arrived = read.read(chunk) => return arrived,
        () = ending.dying() => {}
    }
    // What it wrote is in the pipe by now, and the system tells of that before it tells of the death.
    if let Some(arrived) = unconstrained(read.read(chunk)).now_or_never() {
        return arrived;
    }
    ending.heard_out();
    read.read(chunk).await
}

/// A reader that is gone without a reason would leave a process that neither serves nor ends.
struct EndOnPanic<'a>(&'a Ending);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(EndReason::Panicked { at: panics::contained().at });
        }
    }
}

fn oversized(declared: Option<u64>, limit: usize) -> Invalid {
    let message = match declared {
        Some(declared) => format!("the message has {declared} bytes and the limit is {limit}; it was skipped, send it in smaller parts"),
        None => format!("the message has more than {limit} bytes, the limit; it was skipped, send it in smaller parts"),
    };
    Invalid::anonymous(INVALID_REQUEST, message)
}

#[cfg(test)]
mod tests;
