//! Writing a file as a whole. Invariant: the old or the new text is there, never a part of one; and what is replaced is
//! what the caller has seen, or nothing is.

#[cfg(test)]
mod tests;

use super::{OpenFile, Place, Workspace, WorkspaceError, beneath, protected};
use crate::provenance::unique;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    Access, AtFlags, Gid, Mode, OFlags, Uid, accessat, fchmod, fchown, mkdirat, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

/// The largest file that is replaced, in bytes.
const MAX_REPLACED_BYTES: u64 = 1 << 20;

/// What stood at a path when it was looked at: the condition of a later write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    /// A file with these contents (SHA-256).
    Contents([u8; 32]),
}

/// What a write would replace.
#[derive(Debug)]
pub enum Target {
    Nothing,
    File { file: Box<OpenFile>, bytes: Vec<u8> },
}

/// Whether a person has agreed to this very write, as protected names need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    No,
    ByPerson,
}

/// Whether missing directories on the way are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    MustExist,
    Make,
}

impl Seen {
    pub fn contents(bytes: &[u8]) -> Self {
        Self::Contents(Sha256::digest(bytes).into())
    }
}

impl Target {
    pub fn seen(&self) -> Seen {
        match self {
            Self::Nothing => Seen::Nothing,
            Self::File { bytes, .. } => Seen::contents(bytes),
        }
    }
}

impl Workspace {
    /// Looks at what a write to `place` would replace, and changes nothing.
    ///
    /// # Errors
    /// It must not be written: pillion's own, a link, hard-linked, read-only, too large, no regular file, no directory for it.
    pub fn target(&self, place: &Place, parents: Parents) -> Result<Target, WorkspaceError> {
        let name = self.may_write(place)?;
        // What would be replaced is shown.
        self.may_read(place)?;
        match self.directory_of(place, Parents::MustExist) {
            Ok(directory) => target_in(directory.as_fd(), name, place),
            Err(WorkspaceError::NoParent(_)) if parents == Parents::Make => Ok(Target::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Writes `bytes` to `place` if what stands there is what was `seen`. The mode of a replaced file is kept; a new one
    /// gets 0644 less the umask. A change of the last microseconds, between the check and the rename, is not noticed.
    ///
    /// # Errors
    /// As [`Workspace::target`]; or it is protected and nobody confirmed it, what stands there is something else by now, or the
    /// disk refuses.
    pub fn replace(&self, place: &Place, seen: Seen, bytes: &[u8], parents: Parents, confirmed: Confirmed) -> Result<(), WorkspaceError> {
        let name = self.permit(place, confirmed)?;
        let directory = self.directory_of(place, parents)?;
        let directory = directory.as_fd();
        let target = target_in(directory, name, place)?;
        if target.seen() != seen {
            return Err(WorkspaceError::Conflict(place.clone()));
        }
        let draft = Draft::write(directory, bytes, &target).map_err(|error| WorkspaceError::io(place, error))?;
        match &target {
            Target::Nothing => draft.publish_new(name),
            Target::File { file, .. } => draft.publish_over(name, file),
        }
        .map_err(|errno| if errno == Errno::EXIST { WorkspaceError::Conflict(place.clone()) } else { WorkspaceError::at(place, errno) })
    }

    /// What holds of every write to `place`, by whichever hand: pillion's own is never written, and what is protected only if a
    /// person agreed to this very write.
    ///
    /// # Errors
    /// It must not be written so.
    pub(in crate::tool) fn permit<'a>(&self, place: &'a Place, confirmed: Confirmed) -> Result<&'a OsStr, WorkspaceError> {
        let name = self.may_write(place)?;
        match (self.protected(place), confirmed) {
            (Some(name), Confirmed::No) => {
                let name = crate::text::exact(&name).into_owned();
                Err(WorkspaceError::Protected { place: place.clone(), name })
            }
            _ => Ok(name),
        }
    }

    /// Makes the directories that `place` needs.
    ///
    /// # Errors
    /// One cannot be made, or something else stands in its place.
    pub(in crate::tool) fn make_parents(&self, place: &Place) -> Result<(), WorkspaceError> {
        self.directory_of(place, Parents::Make).map(drop)
    }

    /// The name in `place` that makes it one that a person must confirm, whatever the rules say.
    pub fn protected(&self, place: &Place) -> Option<String> {
        protected::protected_name(&self.real, place)
    }

    /// The name to be written, if `place` may be written at all.
    fn may_write<'a>(&self, place: &'a Place) -> Result<&'a OsStr, WorkspaceError> {
        let name = place.name().ok_or_else(|| WorkspaceError::IsDirectory(place.clone()))?;
        let real = self.real.join(place.as_path());
        if self.own.iter().any(|own| real.starts_with(own)) {
            return Err(WorkspaceError::Own(place.clone()));
        }
        Ok(name)
    }

    /// Opens the directory that holds `place`, a name at a time and through no link.
    fn directory_of(&self, place: &Place, parents: Parents) -> Result<OwnedFd, WorkspaceError> {
        let root = self.root.try_clone().map_err(|error| WorkspaceError::io(place, error))?;
        let directory = place.parent().unwrap_or_default();
        let mut here = (root, Place::root());
        for name in directory.names() {
            let next = here.1.join(name);
            let open = || openat(&here.0, name, beneath::HANDLE | OFlags::NOFOLLOW, Mode::empty());
            let opened = match open() {
                Err(Errno::NOENT) if parents == Parents::Make => match mkdirat(&here.0, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(errno) => Err(errno),
                },
                opened => opened,
            };
            let opened = opened.map_err(|errno| match errno {
                Errno::NOENT => WorkspaceError::NoParent(directory.clone()),
                _ => link_or(here.0.as_fd(), name, &next, errno),
            })?;
            here = (opened, next);
        }
        Ok(here.0)
    }
}

/// What stands under `name`, if it may be replaced.
fn target_in(directory: BorrowedFd<'_>, name: &OsStr, place: &Place) -> Result<Target, WorkspaceError> {
    let handle = match openat(directory, name, beneath::READ | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(handle) => handle,
        Err(Errno::NOENT) => return Ok(Target::Nothing),
        Err(errno) => return Err(link_or(directory, name, place, errno)),
    };
    let file = OpenFile::decide(place, handle)?;
    if file.about.nlink() > 1 {
        return Err(WorkspaceError::HardLinked { place: place.clone(), links: file.about.nlink() });
    }
    // What its user may not write is not exchanged for something that they may.
    let may_be_written = accessat(directory, name, Access::WRITE_OK, AtFlags::EACCESS);
    if file.about.mode() & 0o222 == 0 || matches!(may_be_written, Err(Errno::ACCESS | Errno::PERM | Errno::ROFS)) {
        return Err(WorkspaceError::ReadOnly(place.clone()));
    }
    let bytes = file.whole(MAX_REPLACED_BYTES)?;
    Ok(Target::File { file: Box::new(file), bytes })
}

/// What changes with every change of a file, and with every exchange for another.
fn stamp(about: &Metadata) -> (u64, u64, u64, i64, i64, i64, i64) {
    (about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec())
}

/// Names the link that an open stumbled over, or tells the error as it is.
fn link_or(directory: BorrowedFd<'_>, name: &OsStr, place: &Place, errno: Errno) -> WorkspaceError {
    match readlinkat(directory, name, Vec::new()) {
        Ok(target) => {
            WorkspaceError::WriteThroughLink { place: place.clone(), target: crate::text::exact(&target.to_string_lossy()).into_owned() }
        }
        Err(_) => WorkspaceError::at(place, errno),
    }
}

/// A file under a name of its own, in the directory of the file that it is to become. Gone again unless published.
struct Draft<'a> {
    directory: BorrowedFd<'a>,
    name: Option<OsString>,
}

impl<'a> Draft<'a> {
    fn write(directory: BorrowedFd<'a>, bytes: &[u8], target: &Target) -> std::io::Result<Self> {
        let name = OsString::from(format!(".pillion-{}.tmp", unique()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = match target {
            Target::Nothing => 0o644,
            // Until it has the mode of the file that it replaces, nobody else reads it.
            Target::File { .. } => 0o600,
        };
        let mut file = File::from(openat(directory, &name, flags, Mode::from_raw_mode(mode))?);
        let draft = Self { directory, name: Some(name) };
        file.write_all(bytes)?;
        if let Target::File { file: replaced, .. } = target {
            let (ours, theirs) = (file.metadata()?, &replaced.about);
            if (ours.uid(), ours.gid()) != (theirs.uid(), theirs.gid()) {
                let (owner, group) = (Uid::from_raw(theirs.uid()), Gid::from_raw(theirs.gid()));
                fchown(&file, Some(owner), Some(group)).map_err(|errno| {
                    std::io::Error::new(
                        std::io::Error::from(errno).kind(),
                        "it belongs to another user or group, and a new file in its place would not; ask the user to change it by hand",
                    )
                })?;
            }
            fchmod(&file, Mode::from_bits_truncate((replaced.about.mode() & 0o777) as _))?;
        }
        Ok(draft)
    }

    /// Takes `name` if that is still `replaced`, and unchanged.
    fn publish_over(self, name: &OsStr, replaced: &OpenFile) -> Result<(), Errno> {
        let now = openat(self.directory, name, beneath::READ | OFlags::NOFOLLOW, Mode::empty()).map_err(|_| Errno::EXIST)?;
        let now = File::from(now).metadata().map_err(|_| Errno::EXIST)?;
        if stamp(&now) == stamp(&replaced.about) { self.publish(name) } else { Err(Errno::EXIST) }
    }

    /// Takes `name`, whatever stands there.
    fn publish(mut self, name: &OsStr) -> Result<(), Errno> {
        let Some(draft) = self.name.as_deref() else { return Ok(()) };
        renameat(self.directory, draft, self.directory, name)?;
        self.name = None;
        Ok(())
    }

    /// Takes `name`, which must be free.
    fn publish_new(mut self, name: &OsStr) -> Result<(), Errno> {
        let Some(draft) = self.name.as_deref() else { return Ok(()) };
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        match rustix::fs::renameat_with(self.directory, draft, self.directory, name, rustix::fs::RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno),
            Ok(()) => {
                self.name = None;
                return Ok(());
            }
        }
        match statat(self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => self.publish(name),
            Ok(_) => Err(Errno::EXIST),
            Err(errno) => Err(errno),
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing is lost if it stays: its name says whose it is.
            let _ = unlinkat(self.directory, name, AtFlags::empty());
        }
    }
}
