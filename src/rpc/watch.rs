//! Why a connection ends, and what is watched so that an end is never missed.
//!
//! Invariant: the first reason wins, everybody is told the same one, and each has one exit code and one cause.

use crate::protocol::cause::{Cause, Place};
use crate::rpc::frame::BrokenHeaders;
use rustix::process::Pid;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How often a process is looked at where the kernel cannot tell of its end.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long after a closed pipe the death of a process still explains it.
const EXPLANATION: Duration = Duration::from_millis(50);

/// How long after a death what the process had said is still read. It is used up only where somebody else holds the pipe, and
/// on a machine so busy that a shorter time would be over before anything was read.
const LAST_WORDS: Duration = Duration::from_millis(250);

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

/// The one place where reasons to end arrive. Clones are the same place.
#[derive(Debug, Clone)]
pub struct Ending(Arc<watch::Sender<Reasons>>);

#[derive(Debug, Default)]
struct Reasons {
    first: Option<EndReason>,
    /// Somebody has been told; from now on nothing can change.
    told: bool,
    /// Processes that are watched.
    watched: usize,
}

impl Ending {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Reasons::default())))
    }

    /// Ends the connection, unless something has ended it already. Only the death of a process takes the place of a
    /// closed pipe, which is how it shows first.
    pub fn end(&self, reason: EndReason) {
        self.0.send_if_modified(|reasons| {
            let explains = reasons.awaits_explanation() && matches!(reason, EndReason::ProcessDied { .. });
            let counts = reasons.first.is_none() || explains;
            if counts {
                reasons.first = Some(reason);
            }
            counts
        });
    }

    /// Resolves with the first reason, the same for everybody.
    pub async fn ended(&self) -> EndReason {
        let mut reasons = self.0.subscribe();
        until(&mut reasons, |reasons| reasons.first.is_some()).await;
        let _ = tokio::time::timeout(EXPLANATION, until(&mut reasons, |reasons| !reasons.awaits_explanation())).await;
        let mut told = EndReason::Eof;
        self.0.send_if_modified(|reasons| {
            told.clone_from(reasons.first.as_ref().unwrap_or(&EndReason::Eof));
            !std::mem::replace(&mut reasons.told, true)
        });
        told
    }

    /// Ends the connection when process `pid` ends, now if there is none, as LSP asks. Needs a runtime.
    pub fn watch_process(&self, pid: u32) {
        self.watch(process_gone(pid));
    }

    /// Ends the connection when our parent ends. Needs a runtime.
    pub fn watch_parent(&self) {
        self.watch(parent_gone());
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
            // What it had said is still to be read, and came before its death; behind it comes the end of its pipe, unless
            // somebody else holds that.
            let _ = tokio::time::timeout(LAST_WORDS, until(&mut reasons, |reasons| reasons.first.is_some())).await;
            ending.end(reason);
        });
    }
}

/// Waits until the reasons are like this.
async fn until(reasons: &mut watch::Receiver<Reasons>, like_this: impl FnMut(&Reasons) -> bool) {
    // Waiting fails only without a sender, and whoever waits holds one.
    let _ = reasons.wait_for(like_this).await;
}

impl Reasons {
    /// Whether a pipe was closed, and it may be because a process died: its pipes close just before its death is told.
    fn awaits_explanation(&self) -> bool {
        matches!(self.first, Some(EndReason::Eof | EndReason::WriteFailed)) && self.watched > 0 && !self.told
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

    /// Resolves when a signal ends the server.
    pub async fn next(&mut self) -> EndReason {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return by_signal("SIGTERM", SignalKind::terminate()),
                _ = self.hang_up.recv() => return by_signal("SIGHUP", SignalKind::hangup()),
                _ = self.interrupt.recv() => match self.on_interrupt {
                    Interrupt::End => return by_signal("SIGINT", SignalKind::interrupt()),
                    Interrupt::Ignore => {}
                },
            }
        }
    }
}

/// Resolves when process `pid` has ended: at once if there is none. It need not be our child.
async fn process_gone(pid: u32) -> EndReason {
    match i32::try_from(pid).map(Pid::from_raw) {
        Ok(Some(process)) => Watched::open(process).gone().await,
        // 0 names no process.
        Ok(None) => std::future::pending().await,
        // No process has such a number.
        Err(_) => {}
    }
    EndReason::ProcessDied { pid }
}

/// Resolves when our parent has ended. A parent that cannot be told from the system's own (1, or in another process
/// namespace) is not watched.
async fn parent_gone() -> EndReason {
    let Some(parent) = rustix::process::getppid().filter(|parent| !parent.is_init()) else {
        return std::future::pending().await;
    };
    let watched = Watched::open(parent);
    // If our parent is another one by now, what was opened may be anybody.
    if rustix::process::getppid() == Some(parent) {
        watched.gone().await;
    }
    EndReason::ProcessDied { pid: parent.as_raw_nonzero().get().unsigned_abs() }
}

/// A process whose end can be waited for.
enum Watched {
    Gone,
    /// The kernel tells.
    #[cfg(target_os = "linux")]
    Pidfd(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    /// The kernel cannot tell.
    LookAt(Pid),
}

impl Watched {
    #[cfg(target_os = "linux")]
    fn open(process: Pid) -> Self {
        use rustix::process::{PidfdFlags, pidfd_open};
        use tokio::io::Interest;

        match pidfd_open(process, PidfdFlags::empty()) {
            Ok(pidfd) => super::stdio::readiness_of(pidfd, Interest::READABLE).map_or(Self::LookAt(process), Self::Pidfd),
            Err(rustix::io::Errno::SRCH) => Self::Gone,
            Err(_) => Self::LookAt(process),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open(process: Pid) -> Self {
        Self::LookAt(process)
    }

    async fn gone(self) {
        match self {
            Self::Gone => {}
            #[cfg(target_os = "linux")]
            Self::Pidfd(pidfd) => {
                if pidfd.readable().await.is_err() {
                    // Only at the end of the runtime, and then nobody waits for the answer.
                    std::future::pending::<()>().await;
                }
            }
            Self::LookAt(process) => {
                // EPERM: it lives and belongs to somebody else.
                while rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH) {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }
}

fn by_signal(name: &'static str, kind: SignalKind) -> EndReason {
    EndReason::Signal { name, number: kind.as_raw_value() }
}

#[cfg(test)]
mod tests;
