//! The children of this process: the keepers that it starts, and what it is handed when a keeper ends before its command does.
//!
//! Invariants: a keeper is known before it could be taken for an orphan, and only the runtime waits for it; an orphan is waited for
//! here and nowhere else; what was started without a keeper is left alone.

use super::tree::{self, Process, Sight, Signalled};
use super::words::Exit;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, pidfd_open, pidfd_send_signal, waitid};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::process::{Child, Command};

static CHILDREN: Mutex<Children> = Mutex::new(Children { adopts: false, keepers: Vec::new(), strangers: Vec::new() });

struct Children {
    /// Orphans are handed to this process.
    adopts: bool,
    keepers: Vec<Process>,
    /// What was there before the first keeper, or came from there.
    strangers: Vec<Process>,
}

/// A keeper that was started and is not forgotten.
#[derive(Debug)]
pub(super) struct KeeperProcess {
    process: Process,
    handle: OwnedFd,
}

/// How a keeper came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It said that nothing is left.
    Orderly,
    /// It said nothing any more.
    Lost,
}

/// What was seen of the orphans of a keeper.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// So many were killed.
    pub(super) killed: usize,
    /// Some certainly came from this keeper, and not from another one that was lost.
    pub(super) is_its_own: bool,
    /// How the command's own process ended, if it was among them.
    pub(super) exit: Option<Exit>,
    /// So many are still there.
    pub(super) left: usize,
}

/// How often the list of processes is read in one look, at most.
const ROUNDS: usize = 32;

/// Starts a keeper.
pub(super) fn start(command: &mut Command) -> io::Result<(Child, KeeperProcess)> {
    let mut children = lock();
    if !children.adopts {
        tree::adopt_orphans()?;
        children.strangers = tree::families()?.into_iter().map(|(child, _)| child.process).collect();
        children.adopts = true;
    }
    let child = command.spawn()?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).ok_or(Errno::SRCH)?;
    let process = Sight::of(pid)?.ok_or(Errno::SRCH)?.process;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    children.keepers.push(process);
    Ok((child, KeeperProcess { process, handle }))
}

impl KeeperProcess {
    /// Lets it go on if somebody has stopped it.
    pub(super) fn wake(&self) {
        let stopped = waitid(WaitId::PidFd(self.handle.as_fd()), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
        if matches!(stopped, Ok(Some(_))) {
            let _ = pidfd_send_signal(&self.handle, Signal::CONT);
        }
    }

    /// Kills what this keeper left to this process, and takes in what has ended. `had` is what was killed before.
    ///
    /// An orphan is a child of this process until it is waited for here, and so it is in every list that is read meanwhile: if
    /// none is in the list, there is none, and no descent of one.
    ///
    /// # Errors
    /// The list of processes cannot be read: nobody knows.
    pub(super) fn end_orphans(&self, manner: Manner, leader: Option<Pid>, had: &mut Signalled) -> io::Result<Look> {
        let mut children = lock();
        let mut look = Look::default();
        for _ in 0..ROUNDS {
            // The cheap answer, and the usual one: there is no child at all.
            let any = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
            if matches!(any, Err(Errno::CHILD)) {
                return Ok(Look { left: 0, ..look });
            }
            let (mut left, mut reaped) = (0, false);
            let families = tree::families()?;
            children.strangers.retain(|stranger| families.iter().any(|(child, _)| child.process == *stranger));
            for (child, living) in families {
                if !children.is_orphan(&child, self, manner)? {
                    continue;
                }
                look.is_its_own |= child.session == self.process.pid.as_raw_nonzero().get();
                let alive = living.len();
                look.killed += tree::signal_each(living, Signal::KILL, had);
                match waitid(WaitId::Pid(child.process.pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)? {
                    None => left += alive.max(1),
                    Some(status) => {
                        reaped = true;
                        if Some(child.process.pid) == leader {
                            look.exit = status.exit_status().map(Exit::Code).or(status.terminating_signal().map(Exit::Signal));
                        }
                    }
                }
            }
            look.left = left;
            // The children of what was waited for are handed on now, and may be in no list yet.
            if !reaped {
                return Ok(look);
            }
        }
        Ok(Look { left: look.left.max(1), ..look })
    }
}

impl Drop for KeeperProcess {
    fn drop(&mut self) {
        lock().keepers.retain(|keeper| *keeper != self.process);
    }
}

impl Children {
    /// Whether a child is what this keeper left.
    fn is_orphan(&mut self, child: &Sight, of: &KeeperProcess, manner: Manner) -> io::Result<bool> {
        let is_known = self.keepers.contains(&child.process) || self.strangers.contains(&child.process);
        // Nobody gets out of the session of a keeper into that of its pillion, which is 0 in a container that was entered from one outside.
        if is_known || child.session == Sight::of(getpid())?.ok_or(Errno::SRCH)?.session {
            return Ok(false);
        }
        if child.session == of.process.pid.as_raw_nonzero().get() {
            return Ok(true);
        }
        if self.keepers.iter().any(|keeper| keeper.pid.as_raw_nonzero().get() == child.session) {
            return Ok(false);
        }
        // It has a session of its own. Strangers may have left it just as well, if there are any; the first process of a container
        // is handed everybody's.
        if manner == Manner::Orderly && (getpid().is_init() || !self.strangers.is_empty()) {
            self.strangers.push(child.process);
            return Ok(false);
        }
        Ok(true)
    }
}

fn lock() -> MutexGuard<'static, Children> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}
