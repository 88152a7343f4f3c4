//! A directory that a command may write to, known by what it is: a name alone can be made to lead elsewhere.

use rustix::fd::AsFd;
use rustix::fs::{FileType, Stat, fstat, stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The directory that stood at a path when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    pub(super) path: PathBuf,
    pub(super) id: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Id {
    device: u64,
    inode: u64,
}

impl Directory {
    /// What stands there now; links are followed.
    ///
    /// # Errors
    /// Nothing does, or something else than a directory.
    pub fn at(path: &Path) -> io::Result<Self> {
        let about = stat(path)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Self { path: path.to_owned(), id: Id::of(&about) })
    }

    /// One that was opened, with its path.
    ///
    /// # Errors
    /// The system does not tell what it is.
    pub fn opened(path: &Path, handle: impl AsFd) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), id: Id::of(&fstat(handle)?) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its path still leads to it.
    pub fn is_in_its_place(&self) -> bool {
        stat(&self.path).is_ok_and(|about| Id::of(&about) == self.id)
    }

    /// Whether this is it, under whichever name it was opened.
    #[cfg(target_os = "linux")]
    pub(super) fn is(&self, handle: impl AsFd) -> bool {
        fstat(handle).is_ok_and(|about| Id::of(&about) == self.id)
    }
}

impl Id {
    // Their types differ between systems.
    #[expect(clippy::useless_conversion, clippy::unnecessary_cast, reason = "they are u64 here and i32 elsewhere")]
    fn of(about: &Stat) -> Self {
        Self { device: about.st_dev as u64, inode: about.st_ino.into() }
    }
}
