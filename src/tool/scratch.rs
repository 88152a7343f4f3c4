//! The scratch directory of a session's commands: their `TMPDIR`, made with the first of them, removed with the session.
//!
//! It lies where temporary files lie on this machine, since the names of sockets in it must stay short.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The scratch directory of one session.
#[derive(Debug, Default)]
pub struct Scratch(OnceLock<PathBuf>);

impl Scratch {
    /// The directory; the first time, it is made.
    ///
    /// # Errors
    /// It could not be made.
    pub fn path(&self) -> io::Result<PathBuf> {
        if let Some(path) = self.0.get() {
            return Ok(path.clone());
        }
        let name = format!("pillion-{}", uuid::Uuid::now_v7().simple());
        // Links are resolved, so that it is the directory that the sandbox opens; a name that is taken already is an error.
        let path = std::env::temp_dir().canonicalize()?.join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(self.0.get_or_init(|| path).clone())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = self.0.get()
            && let Err(error) = std::fs::remove_dir_all(path)
        {
            tracing::warn!(path = %path.display(), %error, "the scratch directory of a session could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_when_it_is_asked_for_and_gone_with_its_session() {
        let scratch = Scratch::default();
        let path = scratch.path().unwrap();
        assert_eq!(scratch.path().unwrap(), path);
        std::fs::write(path.join("left"), "behind").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
