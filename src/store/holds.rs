//! The locks by which processes say that they live: a file for each process that runs turns, locked until the kernel releases it
//! with the process, whatever ended that. A lock is seen from every PID namespace and container that shares the directory.
//!
//! Invariants: a lock that is held is never removed; what cannot be found out about a lock counts as "held"; no program that
//! is started inherits one.

use super::error::Fault;
use super::owner::Owner;
use crate::protocol::ids::is_plain_name;
use crate::provenance::unique;
use rustix::fs::OFlags;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The name of their directory in the data directory.
const DIRECTORY: &str = "pillion-owners";

/// The locks of one store, and this process's own.
#[derive(Debug)]
pub(super) struct Holds {
    dir: PathBuf,
    own: OnceLock<Hold>,
}

/// This process as an owner.
#[derive(Debug)]
struct Hold {
    owner: Owner,
    /// Open for as long as the lock is to be held.
    _lock: Option<File>,
}

/// What there is to see of a lock.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Held,
    Free,
    /// There is none, or no locks are to be had here.
    Nothing,
}

impl Holds {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { dir: data_dir.join(DIRECTORY), own: OnceLock::new() }
    }

    /// This process, which takes its lock now if it has none yet, and clears away what dead ones have left; `named` tells the
    /// locks that rows still name. Without a lock it goes by its number alone.
    pub(super) fn own(&self, named: impl FnOnce() -> Result<Vec<String>, Fault>) -> &Owner {
        let hold = self.own.get_or_init(|| {
            let me = Owner::this_process();
            match take(&self.dir, &me) {
                Ok((name, lock)) => {
                    if let Ok(mut named) = named() {
                        named.push(name.clone());
                        self.clear(&named);
                    }
                    Hold { owner: Owner { lock: Some(name), ..me }, _lock: Some(lock) }
                }
                Err(error) => {
                    tracing::warn!(%error, dir = %self.dir.display(), "no lock can be held here; other processes go by this one's number");
                    Hold { owner: me, _lock: None }
                }
            }
        });
        &hold.owner
    }

    /// This process, if it has run a turn.
    pub(super) fn known(&self) -> Option<&Owner> {
        self.own.get().map(|hold| &hold.owner)
    }

    /// Whether the process may still be alive.
    pub(super) fn is_alive(&self, owner: &Owner) -> bool {
        match owner.lock.as_deref().map(|name| look(&self.dir, name)) {
            Some(Seen::Held) => true,
            Some(Seen::Free) => false,
            Some(Seen::Nothing) | None => owner.is_running(),
        }
    }

    /// Removes the locks that nobody holds and no row names.
    pub(super) fn clear(&self, named: &[String]) {
        // What cannot be read or removed now is found again.
        for name in fs::read_dir(&self.dir).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            if !named.contains(&name)
                && let Ok(file) = open(&self.dir, &name)
                && file.try_lock().is_ok()
            {
                let _ = fs::remove_file(self.dir.join(name));
            }
        }
    }

    /// The process runs no turn any more: its lock's file goes, the lock itself stays held.
    pub(super) fn leave(&self) {
        if let Some(name) = self.known().and_then(|owner| owner.lock.as_deref()) {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }
}

/// Makes a file with a name that no other process has, and locks it.
fn take(dir: &Path, me: &Owner) -> io::Result<(String, File)> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // Somebody who clears away can meet the file before it is locked; then there will be another one.
    for _ in 0..16 {
        let name = me.lock_name(&unique());
        let path = dir.join(&name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => return Ok((name, file)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                let _ = fs::remove_file(&path);
                return Err(error);
            }
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

fn look(dir: &Path, name: &str) -> Seen {
    if !is_plain_name(name) {
        return Seen::Nothing;
    }
    match open(dir, name) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Seen::Free,
            Err(TryLockError::WouldBlock) => Seen::Held,
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Seen::Nothing,
            Err(TryLockError::Error(_)) => Seen::Held,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::Nothing,
        Err(_) => Seen::Held,
    }
}

/// For looking: never through a link, and never waiting for anything.
fn open(dir: &Path, name: &str) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }

    fn files(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir.join(DIRECTORY)).expect("a directory");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_process_lives_while_its_lock_is_held_whatever_its_number_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let (here, there) = (Holds::of(dir.path()), Holds::of(dir.path()));
        let own = there.own(nobody).clone();
        // As it is told by a process of another PID namespace, of another boot even.
        for owner in [own.clone(), Owner { started: 1, boot_id: "0b1c0a57-2f5e-4c43-9a44-6b8d3a7f1e10".into(), ..own.clone() }] {
            assert!(here.is_alive(&owner));
        }
        drop(there);
        assert!(!here.is_alive(&own), "although this process runs");
        here.leave();
        here.clear(&[]);
        assert!(here.is_alive(&own), "without a file the number decides");
        assert!(!here.is_alive(&Owner { started: own.started + 1, ..own }));
    }

    #[test]
    fn locks_of_the_dead_are_cleared_away_unless_a_row_names_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = |holds: &Holds| holds.own(|| Ok(files(dir.path()))).lock.clone().expect("a lock");
        let (dead, lost, alive) = (Holds::of(dir.path()), Holds::of(dir.path()), Holds::of(dir.path()));
        let [dead_name, lost_name, alive_name] = [name(&dead), name(&lost), name(&alive)];
        drop((dead, lost));
        assert_eq!(files(dir.path()), [dead_name.as_str(), &lost_name, &alive_name]);
        let next = Holds::of(dir.path());
        let next_name = next.own(|| Ok(vec![lost_name.clone()])).lock.clone().expect("a lock");
        assert_eq!(files(dir.path()), [lost_name.as_str(), &alive_name, &next_name]);
        next.leave();
        assert_eq!(files(dir.path()), [lost_name, alive_name]);
    }

    #[test]
    fn what_is_no_lock_decides_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let holds = Holds::of(dir.path());
        let me = Owner::this_process();
        for (lock, lives) in [("../pillion.db", true), ("gone", true)] {
            assert_eq!(holds.is_alive(&Owner { lock: Some(lock.into()), ..me.clone() }), lives, "{lock}");
            assert!(!holds.is_alive(&Owner { lock: Some(lock.into()), started: me.started + 1, ..me.clone() }), "{lock}");
        }
        fs::create_dir_all(dir.path().join(DIRECTORY)).expect("a directory");
        std::os::unix::fs::symlink("/dev/null", dir.path().join(DIRECTORY).join("link")).expect("a link");
        assert!(holds.is_alive(&Owner { lock: Some("link".into()), started: me.started + 1, ..me }), "nobody knows");
    }
}
