//! What a keeper leaves where no process is handed what another one lost: the command's own group is what can be reached.
//!
//! Invariant: the group is looked at only if the keeper did not say that nothing is left.

use super::tree::{self, Signalled};
use super::words::Exit;
use rustix::process::{Pid, Signal};
use std::io;
use tokio::process::{Child, Command};

#[derive(Debug)]
pub(super) struct KeeperProcess;

/// How a keeper came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It said that nothing is left.
    Orderly,
    /// It said nothing any more.
    Lost,
}

/// What was seen of what a keeper left.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) killed: usize,
    pub(super) is_its_own: bool,
    pub(super) exit: Option<Exit>,
    pub(super) left: usize,
}

pub(super) fn start(command: &mut Command) -> io::Result<(Child, KeeperProcess)> {
    Ok((command.spawn()?, KeeperProcess))
}

impl KeeperProcess {
    /// Nobody tells that it was stopped.
    pub(super) fn wake(&self) {}

    pub(super) fn end_orphans(&self, manner: Manner, leader: Option<Pid>, had: &mut Signalled) -> io::Result<Look> {
        match leader {
            Some(leader) if manner == Manner::Lost => {
                let killed = tree::signal_all(leader, Signal::KILL, had);
                Ok(Look { killed, is_its_own: true, exit: None, left: tree::count(leader) })
            }
            _ => Ok(Look::default()),
        }
    }
}
