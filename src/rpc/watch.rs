//! Why a connection ends, and what is watched so that an end is never missed.
//!
//! Invariant: the first evidence ends the connection, at once; what it turns out to be is told a moment later, the same to
//! everybody, and has one exit code and one cause.

mod process;

use crate::protocol::cause::{Cause, Place};
use crate::protocol::connection::ConnectionEnd;
use crate::provenance::Moment;
use crate::rpc::frame::BrokenHeaders;
use crate::session::demand::Heed;
use process::{parent_gone, process_gone};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long after a closed pipe the death of a process still explains it. The work has stopped by then; its records wait.
const EXPLANATION: Duration = Duration::from_millis(50);

/// How long after a death, or behind a closed stdout, what the client had said before is read. It ends when the pipe is empty,
/// or as much has come as can have been in it; nobody waits for all of this time but where nobody reads.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What is noted beside an end is no more than this at once.
const MAX_BESIDE: usize = 64;

/// What ended the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// The client closed its end of stdin, or it broke. Half a message before it is dropped.
    Eof,
    ExitAfterShutdown,
    ExitWithoutShutdown,
    /// Nobody can tell where the next message begins.
    BrokenFraming {
        what: BrokenHeaders,
    },
    /// stdout is closed or broken.
    WriteFailed,
    /// The process that the client named in `initialize`, or our parent.
    ProcessDied {
        pid: u32,
    },
    Signal {
        name: &'static str,
        number: i32,
    },
    /// Our own code panicked while it took a message in, here.
    Panicked {
        at: Option<Place>,
    },
}

impl EndReason {
    /// The exit code of the server.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Eof | Self::ExitAfterShutdown => 0,
            Self::ExitWithoutShutdown => 1,
            Self::BrokenFraming { .. } => 2,
            Self::WriteFailed | Self::ProcessDied { .. } => 3,
            Self::Signal { number, .. } => 128 + number,
            Self::Panicked { .. } => 101,
        }
    }

    /// What the record of the connection says.
    pub fn closed_by(&self) -> ConnectionEnd {
        match self {
            Self::Eof => ConnectionEnd::Eof,
            Self::ExitAfterShutdown => ConnectionEnd::Exit,
            Self::ExitWithoutShutdown => ConnectionEnd::ExitWithoutShutdown,
            Self::BrokenFraming { .. } => ConnectionEnd::FramingBroken,
            Self::WriteFailed => ConnectionEnd::WriteFailed,
            Self::ProcessDied { .. } => ConnectionEnd::ProcessDied,
            Self::Signal { .. } => ConnectionEnd::Signal,
            Self::Panicked { .. } => ConnectionEnd::Panic,
        }
    }

    /// Whether it may be a process that died.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Eof | Self::WriteFailed)
    }

    /// What the runs that this stops are told.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Eof => Cause::ClientEof,
            Self::BrokenFraming { .. } => Cause::ClientFramingBroken,
            Self::ExitAfterShutdown => Cause::ShutdownRequest,
            Self::ExitWithoutShutdown => Cause::ExitWithoutShutdown,
            Self::WriteFailed => Cause::ClientWriteFailed,
            Self::ProcessDied { pid } => Cause::ClientProcessDied { pid: *pid },
            Self::Signal { name, .. } => Cause::Signal { signal_name: (*name).into() },
            Self::Panicked { at } => Cause::InternalPanic { panicked_at: at.clone() },
        }
    }
}

/// A reason to end, and when it showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub reason: EndReason,
    pub at: Moment,
}

/// The one place where reasons to end arrive. Clones are the same place.
#[derive(Debug, Clone)]
pub struct Ending(Arc<watch::Sender<Reasons>>);

#[derive(Debug, Default)]
struct Reasons {
    first: Option<Evidence>,
    /// What the first one really was.
    explanation: Option<Evidence>,
    /// A process is gone, or takes nothing more; what had been said before is still being read.
    dying: Option<Evidence>,
    /// Everything that had been said by then is read.
    heard_out: bool,
    /// Somebody knows what it was; from now on nothing can change.
    told: bool,
    /// Processes that are watched.
    watched: usize,
    /// What came in beside the end, or ends nothing.
    beside: VecDeque<(Evidence, Heed)>,
}

impl Ending {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Reasons::default())))
    }

    /// Ends the connection, unless something has ended it already.
    pub fn end(&self, reason: EndReason) {
        self.show(Evidence { reason, at: Moment::now() });
    }

    /// Ends the connection behind what the client had said before. Who closes its stdout or goes may have said goodbye, and the
    /// system may tell of both at once.
    pub async fn end_behind_last_words(&self, reason: EndReason) {
        let evidence = Evidence { reason, at: Moment::now() };
        self.0.send_modify(|reasons| reasons.dies(evidence.clone()));
        let mut reasons = self.0.subscribe();
        let _ = tokio::time::timeout(LAST_WORDS, until(&mut reasons, |reasons| reasons.heard_out || reasons.first.is_some())).await;
        self.show(evidence);
    }

    /// A signal came that is not meant for us.
    pub fn ignore(&self, reason: EndReason) {
        self.0.send_modify(|reasons| reasons.note(Evidence { reason, at: Moment::now() }, Heed::Ignore));
    }

    /// Resolves with the first evidence, as soon as it is there.
    pub async fn ended(&self) -> Evidence {
        let mut reasons = self.0.subscribe();
        until(&mut reasons, |reasons| reasons.first.is_some()).await;
        let first = reasons.borrow().first.clone();
        // It is never taken back.
        first.unwrap_or_else(|| Evidence { reason: EndReason::Eof, at: Moment::now() })
    }

    /// Resolves with what the first evidence really was, the same for everybody: the death of a process shows first in that
    /// its pipes are closed.
    pub async fn explained(&self) -> Evidence {
        let first = self.ended().await;
        let mut reasons = self.0.subscribe();
        let _ = tokio::time::timeout(EXPLANATION, until(&mut reasons, |reasons| !reasons.awaits_explanation())).await;
        let mut known = None;
        self.0.send_if_modified(|reasons| {
            known.clone_from(&reasons.explanation);
            !std::mem::replace(&mut reasons.told, true)
        });
        known.unwrap_or(first)
    }

    /// The next thing that came in beside the end, or ends nothing.
    pub async fn beside(&self) -> (Evidence, Heed) {
        loop {
            until(&mut self.0.subscribe(), |reasons| !reasons.beside.is_empty()).await;
            let mut next = None;
            self.0.send_if_modified(|reasons| {
                next = reasons.beside.pop_front();
                false
            });
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// Resolves when the client is going, and may have said something before. The reader then reads what there is.
    pub(super) async fn dying(&self) {
        until(&mut self.0.subscribe(), |reasons| reasons.dying.is_some()).await;
    }

    pub(super) fn is_dying(&self) -> bool {
        self.0.borrow().dying.is_some()
    }

    /// Everything that was in the pipe is read.
    pub(super) fn heard_out(&self) {
        self.0.send_if_modified(|reasons| !std::mem::replace(&mut reasons.heard_out, true));
    }

    /// Ends the connection when process `pid` ends, now if there is none, as LSP asks. Needs a runtime.
    pub fn watch_process(&self, pid: u32) {
        self.watch(process_gone(pid));
    }

    /// Ends the connection when our parent ends. Needs a runtime.
    pub fn watch_parent(&self) {
        self.watch(parent_gone());
    }

    fn show(&self, evidence: Evidence) {
        self.0.send_modify(|reasons| reasons.take(evidence));
    }

    fn watch(&self, gone: impl Future<Output = EndReason> + Send + 'static) {
        self.0.send_modify(|reasons| reasons.watched += 1);
        let ending = self.clone();
        tokio::spawn(async move {
            let mut reasons = ending.0.subscribe();
            let reason = tokio::select! {
                reason = gone => reason,
                () = until(&mut reasons, |reasons| reasons.told) => return,
            };
            ending.end_behind_last_words(reason).await;
        });
    }
}

/// Waits until the reasons are like this.
async fn until(reasons: &mut watch::Receiver<Reasons>, like_this: impl FnMut(&Reasons) -> bool) {
    // Waiting fails only without a sender, and whoever waits holds one.
    let _ = reasons.wait_for(like_this).await;
}

impl Reasons {
    fn take(&mut self, evidence: Evidence) {
        match &self.first {
            // The pipe of a process that is gone is closed by that.
            None => self.first = self.dead().filter(|_| evidence.reason.is_closed_pipe()).or(Some(evidence)),
            Some(_) if self.awaits_explanation() && matches!(evidence.reason, EndReason::ProcessDied { .. }) => {
                self.explanation = Some(evidence);
            }
            Some(_) if matches!(evidence.reason, EndReason::Signal { .. }) => self.note(evidence, Heed::Stop),
            // Closed pipes and a process that is gone are the same end from another side.
            Some(_) => {}
        }
    }

    fn dies(&mut self, evidence: Evidence) {
        if self.dead().is_none() {
            self.dying = Some(evidence);
        }
    }

    /// The process that is gone.
    fn dead(&self) -> Option<Evidence> {
        self.dying.clone().filter(|dying| matches!(dying.reason, EndReason::ProcessDied { .. }))
    }

    fn note(&mut self, evidence: Evidence, heed: Heed) {
        if self.beside.len() < MAX_BESIDE {
            self.beside.push_back((evidence, heed));
        }
    }

    /// Whether a pipe was closed, and it may be because a process died: its pipes close just before its death is told.
    fn awaits_explanation(&self) -> bool {
        let is_closed_pipe = self.first.as_ref().is_some_and(|first| first.reason.is_closed_pipe());
        is_closed_pipe && self.explanation.is_none() && self.watched > 0 && !self.told
    }
}

impl Default for Ending {
    fn default() -> Self {
        Self::new()
    }
}

/// What Ctrl-C is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Our client is a program: a terminal sends SIGINT to the whole group, and it is the client that it is meant for.
    Ignore,
    /// A person at a terminal means us.
    End,
}

/// The signals that end the server, caught from [`Signals::catch`] on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
    on_interrupt: Interrupt,
}

impl Signals {
    /// Catches SIGTERM, SIGHUP and SIGINT for the rest of the process. Child processes are not affected.
    ///
    /// # Errors
    /// The system refuses to install a handler.
    pub fn catch(on_interrupt: Interrupt) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            on_interrupt,
        })
    }

    /// The next signal, and whether it is meant for us.
    pub async fn next(&mut self) -> (EndReason, Heed) {
        let caught = tokio::select! {
            _ = self.terminate.recv() => by_signal("SIGTERM", SignalKind::terminate()),
            _ = self.hang_up.recv() => by_signal("SIGHUP", SignalKind::hangup()),
            _ = self.interrupt.recv() => {
                let heed = if self.on_interrupt == Interrupt::End { Heed::Stop } else { Heed::Ignore };
                return (by_signal("SIGINT", SignalKind::interrupt()), heed);
            }
        };
        (caught, Heed::Stop)
    }

    /// Hands every signal on, for as long as there is somebody who listens.
    pub async fn tell(mut self, ending: Ending) {
        loop {
            match self.next().await {
                (signal, Heed::Stop) => ending.end(signal),
                (signal, Heed::Ignore) => ending.ignore(signal),
            }
        }
    }
}

fn by_signal(name: &'static str, kind: SignalKind) -> EndReason {
    EndReason::Signal { name, number: kind.as_raw_value() }
}

#[cfg(test)]
mod tests;
