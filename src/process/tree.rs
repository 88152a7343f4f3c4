//! Processes as the system lists them, and signals to them.
//!
//! Invariant: a signal goes through a descriptor of the very process that was found, so a number that the system has given to
//! somebody else meanwhile is never hit.

#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::io;

/// The processes that have had a signal.
#[cfg(target_os = "linux")]
pub(super) type Signalled = std::collections::HashSet<Process>;

/// Sends `signal` to every living descendant of this process that has not had it, and adds those to `signalled`. Gives how
/// many it reached; what is gone meanwhile, or belongs to somebody else's user, is not among them.
#[cfg(target_os = "linux")]
pub(super) fn signal_all(_leader: Pid, signal: Signal, signalled: &mut Signalled) -> usize {
    signal_each(descendants().unwrap_or_default(), signal, signalled)
}

/// The same for these.
#[cfg(target_os = "linux")]
pub(super) fn signal_each(processes: Vec<Process>, signal: Signal, signalled: &mut Signalled) -> usize {
    let fresh = processes.into_iter().filter(|process| !signalled.contains(process));
    let reached: Vec<_> = fresh.filter(|process| process.signal(signal).is_ok()).collect();
    signalled.extend(&reached);
    reached.len()
}

/// How many descendants are alive; of a list that cannot be read, one is assumed.
#[cfg(target_os = "linux")]
pub(super) fn count(_leader: Pid) -> usize {
    descendants().map_or(1, |processes| processes.len())
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
    pub(super) pid: Pid,
    started: u64,
}

/// What the system tells of a process.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) process: Process,
    parent: i32,
    /// A descendant of a keeper is never in the session of the keeper's parent, and cannot get into it.
    pub(super) session: i32,
    /// It does not merely wait to be reaped.
    is_alive: bool,
}

#[cfg(target_os = "linux")]
impl Process {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
        let handle = pidfd_open(self.pid, PidfdFlags::empty())?;
        // With the handle open the number cannot be given away; is it still the one that was found?
        match Sight::of(self.pid)? {
            Some(now) if now.process == *self && now.is_alive => Ok(pidfd_send_signal(handle, signal)?),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(target_os = "linux")]
impl Sight {
    /// `None`: it is gone.
    pub(super) fn of(pid: Pid) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
            Ok(stat) => Ok(Self::read(pid, &stat)),
            // The second is what reading says when it ends between being opened and being read.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(pid: Pid, stat: &str) -> Option<Self> {
        // The name stands in parentheses and may hold anything, also parentheses. The first behind it is field 3 of proc(5).
        let fields: Vec<_> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let (parent, session, threads, started) = (number(4)?, number(6)?, number(20)?, number(22)?);
        // Its first thread may have ended, and others run on.
        let is_alive = !matches!(fields[0], "Z" | "X") || threads > 1;
        Some(Self { process: Process { pid, started }, parent: parent.try_into().ok()?, session: session.try_into().ok()?, is_alive })
    }
}

/// Everything that the system lists.
#[cfg(target_os = "linux")]
fn all() -> io::Result<Vec<Sight>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) {
            all.extend(Sight::of(pid)?);
        }
    }
    Ok(all)
}

/// The children of this process, also those that only wait to be reaped, and whatever of their descent is alive.
///
/// A child that was there before and is not reaped meanwhile is always found; of its descent something may be missed that is
/// handed on from one to another while the list is read.
#[cfg(target_os = "linux")]
pub(super) fn families() -> io::Result<Vec<(Sight, Vec<Process>)>> {
    let all = all()?;
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let children = all.iter().filter(|sight| sight.parent == own);
    Ok(children.map(|child| (*child, living(child, &all))).collect())
}

/// What of a family is alive.
#[cfg(target_os = "linux")]
fn living(head: &Sight, all: &[Sight]) -> Vec<Process> {
    let mut family = vec![*head];
    let mut looked_at = 0;
    while let Some(parent) = family.get(looked_at).map(|sight| sight.process.pid.as_raw_nonzero().get()) {
        looked_at += 1;
        // A number that was given away while the list was read could close a circle.
        let new = |sight: &&Sight| sight.parent == parent && family.iter().all(|known| known.process != sight.process);
        let children: Vec<_> = all.iter().filter(new).copied().collect();
        family.extend(children);
    }
    family.into_iter().filter(|sight| sight.is_alive).map(|sight| sight.process).collect()
}

#[cfg(target_os = "linux")]
fn descendants() -> io::Result<Vec<Process>> {
    Ok(families()?.into_iter().flat_map(|(_, living)| living).collect())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_a_number_of_another_start_is_not_signalled() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("sleep");
        let pid = Pid::from_child(&child);
        let found = descendants().expect("a list").into_iter().find(|process| process.pid == pid).expect("the child is a descendant");
        let another = Process { started: found.started + 1, ..found };
        assert_eq!(another.signal(Signal::KILL).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
        assert!(child.try_wait().expect("its state").is_none(), "it lives");
        found.signal(Signal::KILL).expect("the right one is reached");
        child.wait().expect("its end");
        assert!(Sight::of(pid).expect("a list").is_none_or(|now| now.process != found));
    }

    #[test]
    fn a_process_lives_as_long_as_one_of_its_threads_and_may_have_any_name() {
        let line = |state: &str, threads: u32| format!("7 (a) Z 9) (b) {state} 1 7 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 4711 0 0");
        let sight = |state, threads| Sight::read(Pid::INIT, &line(state, threads)).expect("a line of the kernel's");
        let seen = sight("S", 1);
        assert_eq!((seen.parent, seen.session, seen.process.started), (1, 5, 4711));
        let alive = [("S", 1), ("T", 1), ("Z", 1), ("Z", 2), ("X", 1)].map(|(state, threads)| sight(state, threads).is_alive);
        assert_eq!(alive, [true, true, false, true, false]);
        assert!(Sight::read(Pid::INIT, "7 (cut").is_none());
    }

    #[test]
    fn a_family_is_listed_once_also_if_numbers_were_given_away_meanwhile() {
        let sight = |pid: i32, parent: i32| {
            let process = Process { pid: Pid::from_raw(pid).expect("a number"), started: 1 };
            Sight { process, parent, session: 1, is_alive: true }
        };
        let all = [sight(2, 4), sight(3, 2), sight(4, 3), sight(5, 1)];
        let pids: Vec<_> = living(&all[0], &all).iter().map(|process| process.pid.as_raw_nonzero().get()).collect();
        assert_eq!(pids, [2, 3, 4]);
    }
}
