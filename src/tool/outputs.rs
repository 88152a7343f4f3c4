//! Where a session keeps what its commands wrote, when that is too much to show: one file for each output, named by its
//! SHA-256, in the data directory and never in the workspace.
//!
//! Invariants: what is kept is free of known keys, and a name is all that leads to it; all of it together stays below
//! [`MOST_KEPT`].

use super::workspace::{Place, Workspace, WorkspaceError};
use sha2::{Digest, Sha256};
use std::fs::{DirEntry, read_dir};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many bytes of outputs are kept of all sessions together; the oldest are removed first.
pub const MOST_KEPT: u64 = 256 << 20;

/// The outputs of one session.
#[derive(Debug, Clone)]
pub struct Outputs(PathBuf);

impl Outputs {
    /// `session` must be fit for a file name. Nothing is made before there is something to keep.
    pub fn of(data_dir: &Path, session: &str) -> Self {
        // A name of dots alone would lead elsewhere.
        Self(data_dir.join("outputs").join(format!("of_{session}")))
    }

    /// Keeps the bytes, and says where.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn keep(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.0.join(format!("{digest}.txt"));
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        if let Some(all) = self.0.parent() {
            make_room(all, &path, MOST_KEPT);
        }
        Ok(path)
    }

    /// The place of a kept output, if `path` is of one, and the directory as a workspace to open it in.
    pub(super) fn find(&self, path: &str) -> Option<Result<(Workspace, Place), WorkspaceError>> {
        let path = Path::new(path);
        if path.parent() != Some(self.0.as_path()) {
            return None;
        }
        Some(Workspace::open(&self.0).and_then(|directory| {
            let place = directory.place(&path.to_string_lossy())?;
            Ok((directory, place))
        }))
    }

    /// Removes them all.
    ///
    /// # Errors
    /// Something could not be removed.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// Removes the oldest outputs of whichever session until those in `all` have at most `most` bytes; `newest` stays.
fn make_room(all: &Path, newest: &Path, most: u64) {
    let directories = read_dir(all).into_iter().flatten().flatten();
    let files = directories.flat_map(|directory| read_dir(directory.path()).into_iter().flatten().flatten());
    let about = |file: DirEntry| {
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((metadata.modified().ok()?, metadata.len(), file.path()))
    };
    let mut kept: Vec<_> = files.filter_map(about).filter(|(.., path)| path != newest).collect();
    kept.sort_unstable();
    let mut bytes: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum::<u64>() + newest.metadata().map_or(0, |newest| newest.len());
    for (_, less, path) in kept {
        if bytes <= most {
            return;
        }
        // Another process may have been faster.
        if let Err(error) =
            std::fs::remove_file(&path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
        {
            tracing::warn!(path = %path.display(), %error, "an old output could not be removed");
            continue;
        }
        bytes -= less;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_oldest_outputs_of_all_sessions_make_room_for_new_ones() {
        let data = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|session| Outputs::of(data.path(), session));
        let paths: Vec<_> = [(&one, "a"), (&two, "bb"), (&one, "ccc"), (&two, "dddd")]
            .into_iter()
            .zip(1..)
            .map(|((outputs, text), age)| {
                let path = outputs.keep(text.as_bytes()).unwrap();
                let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(age);
                std::fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
                path
            })
            .collect();
        let kept = |newest: usize, most| {
            make_room(&data.path().join("outputs"), &paths[newest], most);
            paths.iter().map(|path| path.exists()).collect::<Vec<_>>()
        };
        assert_eq!(kept(3, 10), [true; 4]);
        assert_eq!(kept(3, 9), [false, true, true, true]);
        assert_eq!(kept(3, 5), [false, false, false, true]);
        assert_eq!(kept(3, 0), [false, false, false, true]);
    }

    #[test]
    fn an_output_is_named_by_its_hash_and_only_its_name_leads_to_it() {
        let data = tempfile::tempdir().unwrap();
        let outputs = Outputs::of(data.path(), "..");
        assert!(!data.path().join("outputs").exists());
        let path = outputs.keep(b"long\n").unwrap();
        assert_eq!(path, outputs.keep(b"long\n").unwrap());
        let name = "bbdbb75b415ee9a40f0b3796a8b41a0b7723afe5726b870474ad220a4886d06d.txt";
        assert_eq!(path, data.path().join("outputs/of_..").join(name));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let (directory, place) = outputs.find(path.to_str().unwrap()).unwrap().unwrap();
        assert_eq!(directory.file(&place).unwrap().whole(100).unwrap(), b"long\n");
        for other in ["long.txt", "/etc/passwd", &format!("{}/../of_../x/y", path.parent().unwrap().display())] {
            assert!(outputs.find(other).is_none(), "{other}");
        }
        outputs.remove().unwrap();
        outputs.remove().unwrap();
        assert!(!path.exists());
    }
}
