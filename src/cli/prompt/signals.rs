//! The signals that want a turn to stop, and who sent each.
//!
//! Invariant: only a terminal's own Ctrl-C is a person's doing. The kernel sends that one; what a program sends has its number.

use crate::protocol::cause::Initiator;
use crate::protocol::said;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::exfiltrator::origin::{Origin, WithOrigin};
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::Cause;
use std::io;
use tokio::sync::mpsc;

/// SIGINT, SIGTERM and SIGHUP, caught for the rest of the process.
pub(super) struct Signals {
    caught: mpsc::UnboundedReceiver<Caught>,
    handle: Handle,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caught {
    pub(super) kind: Kind,
    pub(super) sender: Sender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Interrupt,
    Terminate,
    HangUp,
}

/// Who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// The kernel, for a terminal: of an interrupt, a person who pressed its key.
    Terminal,
    Process {
        pid: i32,
        uid: u32,
    },
    Unknown,
}

impl Signals {
    /// Catches them, on a thread of their own.
    pub(super) fn catch() -> io::Result<Self> {
        let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let (tell, caught) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            // Ends when the handle is closed, or when nobody listens any more.
            for origin in &mut signals {
                if tell.send(Caught::from(origin)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { caught, handle })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Caught {
        match self.caught.recv().await {
            Some(caught) => caught,
            // The thread lives as long as the handle.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl Caught {
    pub(super) fn source(self) -> &'static str {
        match self.kind {
            Kind::Interrupt => "cli.sigint",
            Kind::Terminate => "cli.sigterm",
            Kind::HangUp => "cli.sighup",
        }
    }

    /// Who wants the turn to stop, as far as the signal shows it.
    pub(super) fn initiator(self) -> Initiator {
        match (self.kind, self.sender) {
            (Kind::Interrupt, Sender::Terminal) => Initiator::User,
            // Whoever sent it may have been told to by a person.
            _ => Initiator::Unknown,
        }
    }

    /// The sender in words, if there is a process to name.
    pub(super) fn reason(self) -> Option<String> {
        match self.sender {
            Sender::Process { pid, uid } => Some(said::with(said::SENT_BY, &[&pid, &uid])),
            Sender::Terminal | Sender::Unknown => None,
        }
    }
}

impl From<Origin> for Caught {
    fn from(origin: Origin) -> Self {
        let kind = match origin.signal {
            SIGINT => Kind::Interrupt,
            SIGHUP => Kind::HangUp,
            _ => Kind::Terminate,
        };
        let sender = match (origin.cause, origin.process) {
            (Cause::Kernel, _) => Sender::Terminal,
            (_, Some(process)) => Sender::Process { pid: process.pid, uid: process.uid },
            _ => Sender::Unknown,
        };
        Self { kind, sender }
    }
}
