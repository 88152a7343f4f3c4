//! The scratch directory of a session's commands: their `TMPDIR`, made with the first of them, removed with the session.
//!
//! It lies where temporary files lie on this machine, since the names of sockets in it must stay short.

use crate::process::Directory;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::OnceLock;

/// The scratch directory of one session.
#[derive(Debug, Default)]
pub struct Scratch(OnceLock<Directory>);

impl Scratch {
    /// The directory; the first time, it is made.
    ///
    /// # Errors
    /// It could not be made, or something else stands in its place: a command may have moved it away.
    pub fn directory(&self) -> io::Result<Directory> {
        if let Some(made) = self.0.get() {
            let moved = || io::Error::other(format!("{} is no longer what it was", made.path().display()));
            return if made.is_in_its_place() { Ok(made.clone()) } else { Err(moved()) };
        }
        let name = format!("pillion-{}", uuid::Uuid::now_v7().simple());
        // Links are resolved, so that it is the directory that the sandbox opens; a name that is taken already is an error.
        let path = std::env::temp_dir().canonicalize()?.join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let made = Directory::at(&path)?;
        Ok(self.0.get_or_init(|| made).clone())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Of a link in its place the link alone is removed.
        if let Some(made) = self.0.get()
            && let Err(error) = std::fs::remove_dir_all(made.path())
        {
            tracing::warn!(path = %made.path().display(), %error, "the scratch directory of a session could not be removed");
        }
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
        std::fs::write(path.join("left"), "behind").unwrap();
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
}
