//! Which process runs a session. Its lock says whether it lives ([`super::holds`]); for one that has none, pid, start time and
//! boot id do, which name a process of this machine for ever.
//!
//! Invariant: a process whose death is not certain counts as alive, so that no session is taken from under it.

use crate::provenance::Provenance;
use std::process;

/// A process, such that a later one with the same pid is a different owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    /// When the process started, in clock ticks since boot; 0 where the system does not tell.
    pub started: u64,
    pub boot_id: String,
    /// The lock that it holds for as long as it lives. Absent for a version that had none, and where there are no locks.
    pub lock: Option<String>,
}

impl Owner {
    /// This process, as one without a lock.
    pub fn this_process() -> Self {
        let pid = process::id();
        let started = match look(pid) {
            Seen::Running { started } => started,
            Seen::Gone | Seen::Unknown => 0,
        };
        Self { pid, started, boot_id: Provenance::real().clock.boot_id().to_owned(), lock: None }
    }

    /// The name of a lock of this process's; another process's name is a different one.
    pub(super) fn lock_name(&self, unique: &str) -> String {
        format!("{}{unique}", self.lock_prefix())
    }

    /// As it stands in a row. An older version that took a session over left the name of the lock before it in place.
    pub(super) fn with_lock_of_its_own(mut self) -> Self {
        let prefix = self.lock_prefix();
        self.lock = self.lock.filter(|name| name.starts_with(&prefix));
        self
    }

    fn lock_prefix(&self) -> String {
        format!("{}-{}-", self.pid, self.started)
    }

    /// Whether the process may still be running on this machine, in this boot, by its number.
    pub(super) fn is_running(&self) -> bool {
        if is_another_boot(&self.boot_id, Provenance::real().clock.boot_id()) {
            return false;
        }
        match look(self.pid) {
            Seen::Gone => false,
            Seen::Unknown => true,
            Seen::Running { started } => self.started == 0 || started == 0 || started == self.started,
        }
    }
}

/// Only the kernel's own ids, which are UUIDs, tell boots apart: `unknown` and the id of `--deterministic` do not.
fn is_another_boot(recorded: &str, now: &str) -> bool {
    let tells = |id: &str| id.len() == 36;
    tells(recorded) && tells(now) && recorded != now
}

/// What the system says of a pid.
enum Seen {
    /// `started` is 0 where the system does not tell.
    Running {
        started: u64,
    },
    Gone,
    Unknown,
}

#[cfg(target_os = "linux")]
fn look(pid: u32) -> Seen {
    match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => parse_stat(&String::from_utf8_lossy(&stat)),
        // Reading the entry of a process that ends at this instant fails with ESRCH.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => Seen::Gone,
        Err(_) => Seen::Unknown,
    }
}

/// Reads state (field 3) and start time (field 22). The name before them stands in brackets and may hold anything.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str) -> Seen {
    let Some((_, after_name)) = stat.rsplit_once(')') else { return Seen::Unknown };
    let mut fields = after_name.split_ascii_whitespace();
    match fields.next() {
        // A zombie has ended; only its parent has not looked yet.
        Some("Z" | "X" | "x") => Seen::Gone,
        Some(_) => fields.nth(18).and_then(|field| field.parse().ok()).map_or(Seen::Unknown, |started| Seen::Running { started }),
        None => Seen::Unknown,
    }
}

#[cfg(not(target_os = "linux"))]
fn look(pid: u32) -> Seen {
    use rustix::process::{Pid, test_kill_process};
    match i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process) {
        Some(Ok(())) => Seen::Running { started: 0 },
        Some(Err(rustix::io::Errno::SRCH)) => Seen::Gone,
        _ => Seen::Unknown,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_running() {
        let me = Owner::this_process();
        assert!(me.started > 0 && me.is_running());
    }

    #[test]
    fn the_same_pid_of_another_time_is_another_process() {
        let me = Owner::this_process();
        assert!(!Owner { started: me.started + 1, ..me }.is_running(), "the pid was used again");
    }

    #[test]
    fn only_real_boot_ids_tell_boots_apart() {
        let (earlier, now) = ("0b1c0a57-2f5e-4c43-9a44-6b8d3a7f1e10", "5d1f6a3c-8f0e-4d3b-b1d2-0c9f7e6a5b44");
        assert!(is_another_boot(earlier, now));
        for (recorded, now) in [(now, now), ("boot-0", now), (earlier, "unknown"), ("unknown", "boot-0")] {
            assert!(!is_another_boot(recorded, now), "{recorded} {now}");
        }
    }

    #[test]
    fn without_a_real_boot_id_pid_and_start_time_decide() {
        let me = Owner { boot_id: "boot-0".into(), ..Owner::this_process() };
        assert!(me.is_running());
        assert!(!Owner { started: me.started + 1, ..me }.is_running());
    }

    #[test]
    fn a_killed_child_is_dead_even_before_its_parent_has_looked() {
        let mut child = process::Command::new("sleep").arg("600").spawn().expect("a child");
        let Seen::Running { started } = look(child.id()) else { panic!("the child runs") };
        let owner = Owner { pid: child.id(), started, ..Owner::this_process() };
        assert!(owner.is_running());
        child.kill().expect("killed");
        // Wait for the end without reaping: the zombie is what an editor leaves that has not looked.
        while matches!(look(child.id()), Seen::Running { .. }) {
            std::thread::yield_now();
        }
        assert!(!owner.is_running());
        child.wait().expect("reaped");
        assert!(!owner.is_running());
    }

    #[test]
    fn the_lock_of_an_earlier_owner_is_nobody_elses() {
        let me = Owner::this_process();
        let own = Owner { lock: Some(me.lock_name("a")), ..me.clone() };
        assert_eq!(own.clone().with_lock_of_its_own(), own);
        let other = Owner { started: me.started + 1, ..own };
        assert_eq!(other.clone().with_lock_of_its_own(), Owner { lock: None, ..other });
    }

    #[test]
    fn a_process_name_cannot_forge_the_fields_behind_it() {
        let stat = "7 (a) Z 1 (b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert!(matches!(parse_stat(stat), Seen::Running { started: 4242 }));
    }
}
