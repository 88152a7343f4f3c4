//! Every descendant of this process, and signals to all of them.
//!
//! Invariant: a signal goes through a descriptor of the very process that was found among the descendants, so a number that
//! the system has given to somebody else meanwhile is never hit.

use rustix::process::{Pid, Signal};
use std::io;

/// The processes that have had a signal.
#[cfg(target_os = "linux")]
pub(super) type Signalled = std::collections::HashSet<Process>;

/// Sends `signal` to every living descendant of this process that has not had it, and adds those to `signalled`. Gives how
/// many it reached; what is gone meanwhile, or belongs to somebody else's user, is not among them.
#[cfg(target_os = "linux")]
pub(super) fn signal_all(_leader: Pid, signal: Signal, signalled: &mut Signalled) -> usize {
    let fresh: Vec<_> = descendants().into_iter().filter(|process| !signalled.contains(process)).collect();
    let reached: Vec<_> = fresh.into_iter().filter(|process| process.signal(signal).is_ok()).collect();
    signalled.extend(&reached);
    reached.len()
}

/// How many descendants are alive.
#[cfg(target_os = "linux")]
pub(super) fn count(_leader: Pid) -> usize {
    descendants().len()
}

#[cfg(not(target_os = "linux"))]
pub(super) type Signalled = bool;

/// Where there is no list of processes to read, the command's own group is what can be reached, once.
#[cfg(not(target_os = "linux"))]
pub(super) fn signal_all(leader: Pid, signal: Signal, signalled: &mut Signalled) -> usize {
    let first = !std::mem::replace(signalled, true);
    usize::from(first && rustix::process::kill_process_group(leader, signal).is_ok())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn count(leader: Pid) -> usize {
    usize::from(rustix::process::test_kill_process_group(leader).is_ok())
}

/// Makes this process the one that orphaned descendants are handed to, so that it can wait for all of them.
pub(super) fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// A process as it was found: its number means it only as long as the start time is the same.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pid: i32,
    started: u64,
}

#[cfg(target_os = "linux")]
impl Process {
    /// The process with its parent's number. `None`: it is gone, or only waits to be reaped.
    fn find(pid: i32) -> Option<(Self, i32)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything, also parentheses.
        let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some((Self { pid, started }, parent))
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
        let pid = Pid::from_raw(self.pid).ok_or(io::ErrorKind::InvalidInput)?;
        let handle = pidfd_open(pid, PidfdFlags::empty())?;
        // With the handle open the number cannot be given away; is it still the one that was found?
        match Self::find(self.pid) {
            Some((now, _)) if now == *self => Ok(pidfd_send_signal(handle, signal)?),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(target_os = "linux")]
fn descendants() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<(Process, i32)> = pids.filter_map(Process::find).collect();
    let mut found = Vec::new();
    let mut parents = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(parent) = parents.pop() {
        for (child, _) in all.iter().filter(|(_, its_parent)| *its_parent == parent) {
            parents.push(child.pid);
            found.push(*child);
        }
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_a_number_of_another_start_is_not_signalled() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("a pid");
        let found = descendants().into_iter().find(|process| process.pid == pid).expect("the child is a descendant");
        let another = Process { started: found.started + 1, ..found };
        assert_eq!(another.signal(Signal::KILL).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
        assert!(child.try_wait().expect("its state").is_none(), "it lives");
        found.signal(Signal::KILL).expect("the right one is reached");
        child.wait().expect("its end");
        assert_eq!(Process::find(pid).filter(|(process, _)| *process == found), None);
    }
}
