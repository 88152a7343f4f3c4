//! Where the store lies: the directory (0700), the file (0600), no symbolic links, and what sort of file system it is.
//!
//! Invariant: a database file that exists is never opened here by hand. Closing such a handle would silently drop the
//! locks that SQLite holds on it in this process.

use super::error::StoreError;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The name of the database in the data directory.
const FILE: &str = "pillion.db";

const JOURNAL: &str = "pillion.db-journal";
/// What a store may consist of.
const NAMES: [&str; 5] = [FILE, "pillion.db-wal", "pillion.db-shm", JOURNAL, LOCK];
/// Held by whoever sets the store up.
const LOCK: &str = "pillion.lock";
/// What the name of a log that was put aside goes on with.
const ASIDE: &str = "aside";

/// The store's place on disk, checked.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) file: PathBuf,
}

/// A file, as it is seen without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) identity: Identity,
    pub(super) bytes: u64,
    /// When it was written to: seconds and nanoseconds.
    changed: (i64, i64),
}

/// One file, such that another one of the same name is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Look {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let identity = Identity { device: metadata.dev(), inode: metadata.ino() };
        Ok(Self { identity, bytes: metadata.len(), changed: (metadata.mtime(), metadata.mtime_nsec()) })
    }
}

/// Whether there is anything of a store in the directory.
pub(super) fn is_made(data_dir: &Path) -> bool {
    NAMES.iter().any(|name| !matches!(fs::symlink_metadata(data_dir.join(name)), Err(error) if error.kind() == io::ErrorKind::NotFound))
}

impl Place {
    /// Makes the directory if it is missing and checks what is there.
    pub(super) fn prepare(data_dir: &Path) -> Result<Self, StoreError> {
        let unusable = |error: io::Error| StoreError::Directory { dir: data_dir.to_owned(), detail: error.to_string() };
        refuse_link(data_dir)?;
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(unusable)?;
        let dir = data_dir.canonicalize().map_err(unusable)?;
        let file = dir.join(FILE);
        for name in NAMES {
            refuse_odd(&dir.join(name))?;
        }
        let place = Self { dir, file };
        place.tighten().map_err(unusable)?;
        Ok(place)
    }

    /// Whether there is a database. An empty file is none: SQLite would drop the log beside it.
    pub(super) fn has_database(&self) -> bool {
        fs::symlink_metadata(&self.file).is_ok_and(|metadata| metadata.len() > 0)
    }

    /// Whether there is a journal, which a store of ours never has: SQLite would write its pages over those of the database.
    pub(super) fn has_journal(&self) -> bool {
        fs::symlink_metadata(self.dir.join(JOURNAL)).is_ok_and(|journal| journal.len() > 0)
    }

    /// Gives a log that belongs to no database here, and its index, other names. Only under [`Self::lock`].
    pub(super) fn put_log_aside(&self) -> Result<(), StoreError> {
        self.put_aside(&self.log())?;
        self.put_aside(&self.index())
    }

    /// The same with a journal.
    pub(super) fn put_journal_aside(&self) -> Result<(), StoreError> {
        self.put_aside(&self.dir.join(JOURNAL))
    }

    fn put_aside(&self, path: &Path) -> Result<(), StoreError> {
        let mut names = (1..).map(|n| PathBuf::from(format!("{}.{ASIDE}-{n}", path.display())));
        let Some(aside) = names.find(|aside| fs::symlink_metadata(aside).is_err()) else { return Ok(()) };
        match fs::rename(path, &aside) {
            Ok(()) => tracing::warn!(aside = %aside.display(), "a file that does not belong to the database was put aside"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.unusable(&error)),
        }
        Ok(())
    }

    /// The logs and journals that were put aside.
    fn logs_aside(&self) -> Vec<PathBuf> {
        let begins = [format!("{FILE}-wal.{ASIDE}-"), format!("{JOURNAL}.{ASIDE}-")];
        let is_log = |path: &PathBuf| {
            path.file_name().is_some_and(|name| begins.iter().any(|begin| name.to_string_lossy().starts_with(begin.as_str())))
        };
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut logs: Vec<_> = entries.map(|entry| entry.path()).filter(is_log).collect();
        logs.sort();
        logs
    }

    /// Waits until no other process is setting the store up; the lock is given back when the file is dropped.
    pub(super) fn lock(&self) -> Result<File, StoreError> {
        let path = self.dir.join(LOCK);
        refuse_odd(&path)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let lock = lock.map_err(|error| self.unusable(&error))?;
        match lock.lock() {
            Ok(()) => Ok(lock),
            // Some file systems have no locks of this kind; SQLite's own still guard every single step.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(lock),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// An empty file with the right mode, under another name than the database's. Only under [`Self::lock`].
    pub(super) fn new_file(&self) -> Result<PathBuf, StoreError> {
        let name = |suffix: &str| self.dir.join(format!("{FILE}.new{suffix}"));
        // What a start that was killed on the way has left behind; a log without its file would be taken for the new one's.
        for suffix in ["-wal", "-shm", ""] {
            let _ = fs::remove_file(name(suffix));
        }
        let new = name("");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(|error| self.unusable(&error))?;
        Ok(new)
    }

    /// Gives the database its name, once the disk has all of it. That the disk has the name too is seen to by the first
    /// flush of its log, which is one of the directory as well.
    pub(super) fn publish(&self, new: &Path) -> Result<(), StoreError> {
        // Nobody else has it open: it had another name.
        let on_disk = File::open(new).and_then(|file| file.sync_all());
        on_disk.and_then(|()| fs::rename(new, &self.file)).map_err(|error| self.unusable(&error))
    }

    /// The write-ahead log's file.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join(format!("{FILE}-wal"))
    }

    /// The index of the write-ahead log, which SQLite maps into memory.
    pub(super) fn index(&self) -> PathBuf {
        self.dir.join(format!("{FILE}-shm"))
    }

    /// The bytes of the write-ahead log; 0 without one.
    pub(super) fn log_length(&self) -> u64 {
        fs::symlink_metadata(self.log()).map_or(0, |log| log.len())
    }

    /// Whether there is a write-ahead log.
    pub(super) fn has_log(&self) -> bool {
        fs::symlink_metadata(self.log()).is_ok()
    }

    /// What a person should know about the place.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(kind) = file_system(&self.dir).and_then(network_kind) {
            warnings.push(format!(
                "{} is on a network file system ({kind}), where two machines at once can damage the store; \
                 choose a local disk with --data-dir",
                self.dir.display()
            ));
        }
        if let Ok(mode) = fs::metadata(&self.dir).map(|metadata| metadata.permissions().mode() & 0o777)
            && mode & 0o077 != 0
        {
            warnings.push(format!("{} is open to other users (mode {mode:o}); `chmod 700` closes it", self.dir.display()));
        }
        warnings.extend(self.logs_aside().iter().map(|log| {
            format!(
                "{} is a log of another database than the one that is there, and was put aside: if you still have its own, it holds what that is missing",
                log.display()
            )
        }));
        warnings
    }

    fn unusable(&self, error: &io::Error) -> StoreError {
        StoreError::Directory { dir: self.dir.clone(), detail: error.to_string() }
    }

    /// Takes the rights of others away, from a directory that holds nothing but ours and from the database's files.
    fn tighten(&self) -> io::Result<()> {
        let is_ours =
            fs::read_dir(&self.dir)?.all(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("pillion")));
        if is_ours {
            restrict(&self.dir, 0o700)?;
        }
        for suffix in ["", "-wal", "-shm"] {
            restrict(&self.dir.join(format!("{FILE}{suffix}")), 0o600)?;
        }
        Ok(())
    }
}

fn refuse_link(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(StoreError::Symlink { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// What SQLite would follow, or wait for, or make little of.
fn refuse_odd(path: &Path) -> Result<(), StoreError> {
    refuse_link(path)?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(StoreError::NotAFile { path: path.to_owned() }),
        _ => Ok(()),
    }
}

fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    let restricted = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => fs::set_permissions(path, Permissions::from_mode(mode)),
        other => other.map(drop),
    };
    match restricted {
        // What belongs to somebody else is warned of, or refused when it is opened; what cannot be written is read.
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem) => Ok(()),
        other => other,
    }
}

/// The magic number of the file system (`statfs(2)`).
#[cfg(target_os = "linux")]
fn file_system(dir: &Path) -> Option<u64> {
    // The field's sign and width differ between architectures; the numbers fit into 32 bits.
    rustix::fs::statfs(dir).ok().map(|statfs| u64::from(statfs.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
fn file_system(_dir: &Path) -> Option<u64> {
    None
}

/// The name of a file system that several machines can share, by its magic number.
fn network_kind(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 => "CIFS",
        0xFE53_4D42 => "SMB2",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x0102_1997 => "9p",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x7461_636F => "OCFS2",
        0x0116_1970 => "GFS2",
        0x4750_4653 => "GPFS",
        0x6573_5546 => "FUSE, such as sshfs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_number() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xFF53_4D42), Some("CIFS"));
        assert_eq!(network_kind(0xEF53), None, "ext4");
    }
}
