//! Opens a path beneath a directory handle. Invariant: what is opened lies below that handle, whatever anybody renames
//! or links meanwhile, because the kernel resolves the path and the check in one step, or a name at a time without links.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::Path;

/// A directory handle that is only good for going on from.
#[cfg(target_os = "linux")]
pub(super) const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
pub(super) const HANDLE: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A regular file to be read. Pipes, terminals and devices do not hold up the open, and the caller refuses them.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens `path` below `root`. On Linux, links that stay below are followed; elsewhere no link is.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    match in_one_step(root, path, flags) {
        // Older than Linux 5.6, or forbidden by a container's filter.
        Err(Errno::NOSYS | Errno::PERM) => {}
        decided => return decided,
    }
    name_by_name(root, path, flags)
}

#[cfg(target_os = "linux")]
fn in_one_step(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};

    /// The kernel gives up when something on the way is renamed just then; so many times in a row is no accident.
    const TRIES: usize = 16;

    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            Err(errno @ (Errno::AGAIN | Errno::INTR)) => last = errno,
            decided => return decided,
        }
    }
    Err(last)
}

/// The same for kernels that cannot do it in one step; no link is followed.
pub(super) fn name_by_name(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let Some(last) = path.file_name() else {
        return openat(root, ".", flags, Mode::empty());
    };
    let mut above: Option<OwnedFd> = None;
    for name in path.parent().into_iter().flatten() {
        let here = above.as_ref().map_or(root, AsFd::as_fd);
        above = Some(one_name(here, name, HANDLE)?);
    }
    one_name(above.as_ref().map_or(root, AsFd::as_fd), last, flags)
}

/// A link is `LOOP`, also where the kernel only says that it is no directory.
fn one_name(here: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
        Errno::NOTDIR if readlinkat(here, name, Vec::new()).is_ok() => Errno::LOOP,
        errno => errno,
    })
}
