//! The scratch directory of a session's commands: their `TMPDIR`, made with the first of them, removed with the session; and
//! if its process is killed, at the next start.
//!
//! It lies where temporary files lie on this machine, since the names of sockets in it must stay short. Invariant: while its
//! session lives it is locked, and what is locked is not swept away.

use crate::process::Directory;
use crate::provenance::unique;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::fs::{DirBuilder, Permissions, read_dir, remove_dir_all, set_permissions, symlink_metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the name of every scratch directory begins with.
const PREFIX: &str = "pillion-";
/// How often one is made before that is given up.
const TRIES: usize = 3;

/// The scratch directory of one session.
#[derive(Debug, Default)]
pub struct Scratch(OnceLock<Made>);

#[derive(Debug)]
struct Made {
    directory: Directory,
    /// Held for as long as it is wanted; the kernel lets go of it with the process.
    lock: OwnedFd,
}

impl Scratch {
    /// The directory; the first time, it is made.
    ///
    /// # Errors
    /// It could not be made, or something else stands in its place: a command may have moved it away.
    pub fn directory(&self) -> io::Result<Directory> {
        if let Some(Made { directory, .. }) = self.0.get() {
            let moved = || io::Error::other(format!("{} is no longer what it was", directory.path().display()));
            return if directory.is_in_its_place() { Ok(directory.clone()) } else { Err(moved()) };
        }
        // Links are resolved, so that it is the directory that the sandbox opens.
        let all = std::env::temp_dir().canonicalize()?;
        let swept = || io::Error::other(format!("what is made in {} is swept away at once", all.display()));
        let made = (0..TRIES).find_map(|_| make(&all).transpose()).unwrap_or_else(|| Err(swept()))?;
        Ok(self.0.get_or_init(|| made).directory.clone())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Of a link in its place the link alone is removed.
        if let Some(Made { directory, .. }) = self.0.get()
            && let Err(error) = remove(directory.path())
        {
            tracing::warn!(path = %directory.path().display(), %error, "the scratch directory of a session could not be removed");
        }
    }
}

/// Removes what processes that were killed have left behind.
pub fn sweep() {
    if let Ok(all) = std::env::temp_dir().canonicalize() {
        sweep_in(&all);
    }
}

fn sweep_in(all: &Path) {
    for path in read_dir(all).into_iter().flatten().flatten().map(|entry| entry.path()) {
        // A lock that cannot be had is a session's that lives.
        let Some(lock) = is_abandoned(&path).then(|| handle(&path).ok()).flatten().filter(|it| lock(it).is_ok()) else { continue };
        match remove(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "the scratch directory of a process that is gone was removed"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "an abandoned scratch directory could not be removed"),
        }
        drop(lock);
    }
}

/// A new one; nothing, if it was swept away before it was locked.
fn make(all: &Path) -> io::Result<Option<Made>> {
    let path = all.join(format!("{PREFIX}{}", unique()));
    // A name that is taken already is an error.
    DirBuilder::new().mode(0o700).create(&path)?;
    let made = || -> io::Result<Made> {
        let made = Made { lock: handle(&path)?, directory: Directory::at(&path)? };
        match lock(&made.lock) {
            Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::NotFound.into()),
            // Where there are no locks nothing is swept either.
            _ if made.directory.is_in_its_place() => Ok(made),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    };
    match made() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        made => made.map(Some),
    }
}

/// Whether it may be a scratch directory of a process that is gone: this user's own directory of such a name.
fn is_abandoned(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
    let has_its_name = name.is_some_and(|name| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    has_its_name && symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

fn handle(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

fn lock(directory: &OwnedFd) -> rustix::io::Result<()> {
    flock(directory, FlockOperation::NonBlockingLockExclusive)
}

/// Removes it with all that is in it, also what commands have made read-only.
fn remove(path: &Path) -> io::Result<()> {
    if remove_dir_all(path).is_ok() {
        return Ok(());
    }
    let mut within: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(directory) = within.pop() {
        if symlink_metadata(&directory).is_ok_and(|found| found.is_dir()) {
            // What cannot be opened up is told by the removal.
            let _ = set_permissions(&directory, Permissions::from_mode(0o700));
            within.extend(read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    match remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_when_it_is_asked_for_and_gone_with_its_session() {
        let scratch = Scratch::default();
        let path = scratch.directory().unwrap().path().to_owned();
        assert_eq!(scratch.directory().unwrap().path(), path);
        std::fs::create_dir(path.join("closed")).unwrap();
        std::fs::write(path.join("closed/left"), "behind").unwrap();
        set_permissions(path.join("closed"), Permissions::from_mode(0o500)).unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_stands_in_its_place_is_not_taken_for_it() {
        let (scratch, elsewhere) = (Scratch::default(), tempfile::tempdir().unwrap());
        let path = scratch.directory().unwrap().path().to_owned();
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &path).unwrap();
        assert_eq!(scratch.directory().unwrap_err().to_string(), format!("{} is no longer what it was", path.display()));
        drop(scratch);
        assert!(path.symlink_metadata().is_err() && elsewhere.path().exists());
    }

    #[test]
    fn what_nobody_holds_is_swept_away_and_nothing_else() {
        let all = tempfile::tempdir().unwrap();
        let left = all.path().join(format!("{PREFIX}{}", unique()));
        std::fs::create_dir_all(left.join("a/b")).unwrap();
        let held = make(all.path()).unwrap().unwrap();
        let others = ["pillion-mine", "pillion-zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "else"].map(|name| all.path().join(name));
        others.iter().for_each(|path| std::fs::create_dir(path).unwrap());
        let link = all.path().join(format!("{PREFIX}{}", unique()));
        std::os::unix::fs::symlink(&others[2], &link).unwrap();
        sweep_in(all.path());
        assert!(!left.exists());
        assert!(held.directory.is_in_its_place() && link.exists() && others.iter().all(|path| path.exists()));
        let path = held.directory.path().to_owned();
        drop(held);
        sweep_in(all.path());
        assert!(!path.exists());
    }
}
