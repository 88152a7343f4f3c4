//! Why a path was refused or could not be used. Each sentence is read by the model and says what to do instead.

use super::Place;
use rustix::io::Errno;

/// The error space of the workspace. Paths in it are relative to the root and safe to show.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("cannot open the workspace {path}: {source}; it must be an absolute path of a directory that exists")]
    Root { path: String, source: std::io::Error },
    #[error("the workspace {0} is no longer where it was; ask the user to reopen it")]
    Moved(String),
    #[error("the path is empty; give a path inside the workspace")]
    Empty,
    #[error("the path has a NUL character; give a path without it")]
    Nul,
    #[error("{0} is outside the workspace; give a path inside it")]
    Outside(String),
    #[error("{0} does not exist; list_directory shows what is there")]
    NotFound(Place),
    #[error("the directory {0} does not exist; write_file makes it if create_parents is true")]
    NoParent(Place),
    #[error("{0} is a directory; give the path of a file")]
    IsDirectory(Place),
    #[error("{0} is not a directory; give the path of a directory")]
    NotDirectory(Place),
    #[error("{0} is not a regular file (a pipe, a socket or a device); only regular files can be used")]
    NotRegular(Place),
    #[error(
        "{0} goes through a symbolic link that is absolute, leads out of the workspace or goes in a circle; give the path of a real file"
    )]
    Link(Place),
    #[error("{place} is a symbolic link to {target}; nothing is written through links, write to the real path")]
    WriteThroughLink { place: Place, target: String },
    #[error("{place} is protected ({name}): nothing is written there unless a person agrees to that very change")]
    Protected { place: Place, name: String },
    #[error("{0} is pillion's own configuration or store: nothing is written there; ask the user to change it by hand")]
    Own(Place),
    #[error("{place} may not be read (rule {rule}); ask the user for what you need of it")]
    Hidden { place: Place, rule: String },
    #[error(
        "{place} has {links} hard links, and too many files are here to tell whether it may be read; ask the user for what you need of it"
    )]
    ManyNames { place: Place, links: u64 },
    #[error("{place} has {links} hard links, and writing would change or part the others; ask the user to change it by hand")]
    HardLinked { place: Place, links: u64 },
    #[error("{0} is marked read-only; ask the user to change its mode first")]
    ReadOnly(Place),
    #[error("{place} has more than {limit} bytes, the most that can be taken here")]
    TooLarge { place: Place, limit: u64 },
    #[error("{0} was changed by somebody else in the meantime and is left as it is; read it again and then write")]
    Conflict(Place),
    #[error("no permission to use {0}; ask the user to change its mode")]
    Denied(Place),
    #[error("cannot use {place}: {source}")]
    Io { place: Place, source: std::io::Error },
}

impl WorkspaceError {
    pub(super) fn at(place: &Place, errno: Errno) -> Self {
        let place = place.clone();
        match errno {
            Errno::NOENT => Self::NotFound(place),
            Errno::XDEV | Errno::LOOP => Self::Link(place),
            Errno::NOTDIR => Self::NotDirectory(place),
            Errno::ISDIR => Self::IsDirectory(place),
            Errno::NXIO | Errno::NODEV => Self::NotRegular(place),
            Errno::ACCESS | Errno::PERM => Self::Denied(place),
            _ => Self::Io { place, source: errno.into() },
        }
    }

    /// The same of the name that was asked for.
    pub(super) fn of(self, asked: &Place) -> Self {
        match self {
            Self::Hidden { rule, .. } => Self::Hidden { place: asked.clone(), rule },
            other => other,
        }
    }

    pub(super) fn io(place: &Place, source: std::io::Error) -> Self {
        match Errno::from_io_error(&source) {
            Some(errno) => Self::at(place, errno),
            None => Self::Io { place: place.clone(), source },
        }
    }
}
