//! The log's file: opened with its first line, readable by its owner alone, renamed to `.1` when it is full.
//!
//! Invariant: several processes may share one file; only one of them renames it. Nothing here reports an error: a line
//! that cannot be written is lost, and the next one tries again.

use super::Scrubber;
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

/// The size at which a file is full.
pub(super) const FULL: u64 = 10 << 20;

/// A file of log lines. Each `write_all` is one line; an empty one asks for a report.
pub(super) struct LogFile {
    path: PathBuf,
    scrub: Scrubber,
    reports: Sender<()>,
    full: u64,
    file: Option<File>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, scrub: Scrubber, reports: Sender<()>) -> Self {
        Self { path, scrub, reports, full: FULL, file: None }
    }

    /// Rotates at another size.
    #[cfg(test)]
    pub(super) fn full_at(self, full: u64) -> Self {
        Self { full, ..self }
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(line);
        let clean = (self.scrub)(&text);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => open(&self.path)?,
        };
        if file.metadata()?.size() >= self.full {
            rotate(&self.path, &file)?;
            file = open(&self.path)?;
        }
        file.write_all(clean.as_bytes())?;
        // Kept only while it works.
        self.file = Some(file);
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line)?;
        Ok(line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if line.is_empty() {
            let _ = self.reports.send(());
        } else {
            let _ = self.write_line(line);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a regular file for its owner alone; what stands there under that name as anything else is left alone.
fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Renames a full file, unless another process is about to do so or has done so.
fn rotate(path: &Path, file: &File) -> io::Result<()> {
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    // A file that was removed under us has nothing to be renamed.
    let Ok(named) = std::fs::symlink_metadata(path) else { return Ok(()) };
    let ours = file.metadata()?;
    if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        std::fs::rename(path, old)?;
    }
    Ok(())
}
