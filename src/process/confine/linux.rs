//! Confinement by Linux: Landlock holds the writes, a seccomp filter the sockets.
//!
//! Invariant: both are of the calling thread and of what it starts; a keeper has no other thread.

use super::{Ability, Confinement, Enforced, Hold, Network};
use landlock::{
    ABI, AccessFs, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictSelf, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule};
use std::collections::BTreeMap;

/// The newest rights that are asked for; an older kernel takes what it knows of them.
const NEWEST: ABI = ABI::V10;

/// Files that may be written to as they are. Other terminals than a command's own, which it has none of, are not among them: what
/// is written to one stands before its user as if it came from there. So a command can make no terminals either, since nothing tells
/// those that it makes from those that there are.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

pub(super) fn ability() -> Ability {
    let network = match filters() {
        Ok(_) if has_seccomp() => Hold::Full { by: "seccomp".into() },
        Ok(_) => no_seccomp("the kernel has none"),
        Err(error) => no_seccomp(&error.to_string()),
    };
    Ability { writes: writes(landlock()), network }
}

pub(super) fn enforce(confinement: &Confinement) -> Enforced {
    let writes = match confine_writes(confinement) {
        Ok((RulesetStatus::NotEnforced, _)) => writes(ABI::Unsupported),
        Ok((_, abi)) => writes(abi),
        Err(error) => Hold::None { why: format!("Landlock refuses: {error}") },
    };
    let network = (confinement.network == Network::Off).then(|| match confine_sockets() {
        Ok(()) => Hold::Full { by: "seccomp".into() },
        Err(error) => no_seccomp(&error.to_string()),
    });
    Enforced { writes, network }
}

/// What Landlock of this version holds.
fn writes(abi: ABI) -> Hold {
    match abi {
        ABI::Unsupported => Hold::None { why: "Landlock is missing (Linux 5.13 and newer have it) or is not switched on".into() },
        ABI::V1 | ABI::V2 => Hold::Partial {
            by: format!("Landlock {abi}"),
            lacks: "any file of yours can be truncated, which Linux 6.2 and newer can prevent".into(),
        },
        abi => Hold::Full { by: format!("Landlock {abi}") },
    }
}

fn no_seccomp(why: &str) -> Hold {
    Hold::None { why: format!("a seccomp filter cannot be set: {why}") }
}

/// The Landlock that there is. Nothing is restricted by this: no flag is set, and with none there is nothing to apply.
fn landlock() -> ABI {
    match RestrictSelf::default().no_new_privs(false).apply() {
        Ok(status) => version(status.landlock),
        Err(_) => ABI::Unsupported,
    }
}

fn version(status: LandlockStatus) -> ABI {
    match status {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => ABI::Unsupported,
    }
}

/// Whether filters are there at all; `/proc` has the line if the kernel was built with them.
fn has_seccomp() -> bool {
    std::fs::read_to_string("/proc/thread-self/status").is_ok_and(|status| status.lines().any(|line| line.starts_with("Seccomp:")))
}

/// What Landlock does not know stays as it was: modes, owners, times and attributes of files can be changed anywhere, and a file
/// in a writable directory that is a hard link is written to under all its names.
fn confine_writes(confinement: &Confinement) -> Result<(RulesetStatus, ABI), RulesetError> {
    let rights = rights(confinement.network);
    let mut ruleset = Ruleset::default().handle_access(rights)?;
    if confinement.network == Network::Off {
        // Abstract sockets of others would be a way out to whatever answers there, and so would be a signal that makes another
        // process do something. The keeper is in the same domain as its descent, so its own signals arrive.
        ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    }
    let mut ruleset = ruleset.create()?;
    // What cannot be opened, or is something else by now, is left out: the command may write to less, never to more.
    for directory in &confinement.writable {
        if let Some(opened) = PathFd::new(directory.path()).ok().filter(|opened| directory.is(opened)) {
            ruleset = ruleset.add_rule(PathBeneath::new(opened, rights))?;
        }
    }
    for device in DEVICES {
        if let Ok(opened) = PathFd::new(device) {
            ruleset = ruleset.add_rule(PathBeneath::new(opened, AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev))?;
        }
    }
    let status = ruleset.restrict_self()?;
    Ok((status.ruleset, version(status.landlock)))
}

/// Everything that is a write. Connecting to the socket files of others is counted among them by Linux 7.1 and newer, but is
/// something that only a command without a network is to be kept from.
fn rights(network: Network) -> BitFlags<AccessFs> {
    let all = AccessFs::from_write(NEWEST);
    match network {
        Network::Off => all,
        Network::On => all & !BitFlags::from(AccessFs::ResolveUnix),
    }
}

fn confine_sockets() -> Result<(), seccompiler::Error> {
    filters()?.iter().try_for_each(|filter| seccompiler::apply_filter(filter))
}

/// The filters that let a program make no socket but one of the Unix kind.
///
/// They do not stop what needs no other kind: a service of this machine that listens on a socket file, such as Docker's or D-Bus,
/// can be asked to do what the command itself may not (before Linux 7.1, see [`rights`]). A program for another architecture than
/// this one's, whose calls have other numbers, is killed at its first call.
fn filters() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    // A socket could be made by a ring without the call that is filtered. Programs take ENOSYS for an older kernel.
    let rings = filter(libc::SYS_io_uring_setup, Vec::new, libc::ENOSYS)?;
    // The kernel reads the half of the register that is an `int`, and so does the condition.
    let unix = u64::from(libc::AF_UNIX.unsigned_abs());
    let other = SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, unix)?])?;
    Ok([rings, filter(libc::SYS_socket, || vec![other.clone()], libc::EACCES)?])
}

/// The call fails with the error, if one of the rules is met or there are none.
fn filter(call: libc::c_long, rules: impl Fn() -> Vec<SeccompRule>, error: libc::c_int) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut calls = BTreeMap::from([(call, rules())]);
    // The same call by its other number (x32), which some kernels of this architecture take too.
    if cfg!(target_arch = "x86_64") {
        calls.insert(call | 0x4000_0000, rules());
    }
    let action = SeccompAction::Errno(error.unsigned_abs());
    SeccompFilter::new(calls, SeccompAction::Allow, action, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_believed_as_far_as_its_landlock_goes() {
        assert!(matches!(writes(ABI::Unsupported), Hold::None { .. }));
        for old in [ABI::V1, ABI::V2] {
            assert!(matches!(writes(old), Hold::Partial { .. }), "{old:?}");
        }
        assert_eq!(writes(ABI::V3), Hold::Full { by: "Landlock 3".into() });
        assert!(writes(NEWEST).is_full());
    }

    #[test]
    fn asking_what_can_be_done_does_nothing() {
        let state = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("the state of this thread");
            let held = |line: &&str| ["NoNewPrivs:", "Seccomp:", "Seccomp_filters:"].iter().any(|name| line.starts_with(name));
            status.lines().filter(held).map(str::to_owned).collect::<Vec<_>>()
        };
        let before = state();
        ability();
        assert_eq!(state(), before);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "still").expect("it can be written to");
    }
}
