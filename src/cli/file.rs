//! A file that appears whole or not at all: written beside its place, put there when it is complete.

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What becomes of a file that stands there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// It stays, and the new one is an error.
    Keep,
    Replace,
}

/// A file in the making, readable by its owner alone. Dropped before [`WholeFile::publish`], it leaves nothing behind.
pub(super) struct WholeFile {
    file: File,
    /// Where it is written; empty once it stands in its place.
    draft: PathBuf,
    place: PathBuf,
    existing: Existing,
}

impl WholeFile {
    pub(super) fn create(place: &Path, existing: Existing) -> anyhow::Result<Self> {
        if existing == Existing::Keep && place.symlink_metadata().is_ok() {
            return Err(taken(place));
        }
        let mut draft = place.as_os_str().to_owned();
        draft.push(format!(".{}.part", std::process::id()));
        let draft = PathBuf::from(draft);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let file = file.map_err(|error| match (error.kind(), place.parent()) {
            (io::ErrorKind::NotFound, Some(directory)) => {
                anyhow::Error::msg(format!("the directory {} does not exist; make it, or choose another place", directory.display()))
            }
            _ => anyhow::Error::new(error).context(format!("cannot write {}", place.display())),
        })?;
        Ok(Self { file, draft, place: place.to_owned(), existing })
    }

    /// Puts the complete file in its place.
    pub(super) fn publish(mut self) -> anyhow::Result<()> {
        self.file.sync_all()?;
        let put = match self.existing {
            Existing::Replace => std::fs::rename(&self.draft, &self.place),
            Existing::Keep => rename_to_free_name(&self.draft, &self.place),
        };
        match put {
            Ok(()) => {
                self.draft = PathBuf::new();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(&self.place)),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", self.place.display())),
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.draft.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.draft);
        }
    }
}

fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system without that flag: a second name is given only if it is free, too.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

fn taken(place: &Path) -> anyhow::Error {
    anyhow::anyhow!("{} is there already; choose another name, or replace it with --force", place.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let home = tempfile::tempdir().expect("a directory");
        let place = home.path().join("export.json");
        let mut file = WholeFile::create(&place, Existing::Keep).expect("created");
        file.write_all(b"half").expect("written");
        assert!(!place.exists());
        drop(file);
        assert_eq!(names(home.path()), [""; 0], "a file that was given up leaves nothing");

        let mut file = WholeFile::create(&place, Existing::Keep).expect("created");
        file.write_all(b"whole").expect("written");
        file.publish().expect("published");
        assert_eq!((names(home.path()), std::fs::read(&place).expect("read")), (vec!["export.json".into()], b"whole".to_vec()));
        assert_eq!(std::fs::metadata(&place).expect("it exists").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_is_replaced_only_when_that_is_asked_for() {
        let home = tempfile::tempdir().expect("a directory");
        let place = home.path().join("export.json");
        let early = WholeFile::create(&place, Existing::Keep).expect("created");
        std::fs::write(&place, "another's").expect("written");
        let error = early.publish().expect_err("somebody was quicker").to_string();
        assert!(error.ends_with("is there already; choose another name, or replace it with --force"), "{error}");
        WholeFile::create(&place, Existing::Keep).map(drop).expect_err("it is there");
        assert_eq!(std::fs::read(&place).expect("read"), b"another's");

        let mut file = WholeFile::create(&place, Existing::Replace).expect("created");
        file.write_all(b"new").expect("written");
        file.publish().expect("published");
        assert_eq!((names(home.path()), std::fs::read(&place).expect("read")), (vec!["export.json".into()], b"new".to_vec()));
    }
}
