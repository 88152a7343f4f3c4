//! The only opener of paths. Invariant: every path is decided on the opened handle, below the handle of the root that
//! was opened once; a name that was checked is never opened a second time by its text.

mod beneath;
mod error;
mod place;
mod protected;
mod replace;
#[cfg(test)]
mod tests;
mod twins;

pub use error::WorkspaceError;
pub use place::Place;
pub use replace::{Confirmed, Parents, Seen, Target};

use crate::policy::Rules;
use crate::process::Directory;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most names of one directory that are looked at.
pub const MAX_ENTRIES: usize = 50_000;

/// The directory that a session works in.
#[derive(Debug)]
pub struct Workspace {
    root: OwnedFd,
    /// As the client named it; what clients are shown.
    path: PathBuf,
    /// Without links; a client may name files either way.
    real: PathBuf,
    /// pillion's own directories, by real path.
    own: Vec<PathBuf>,
    /// Whose rules say what must not be read.
    hidden: Mutex<Vec<Arc<Rules>>>,
    named: Mutex<Option<twins::Named>>,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct OpenFile {
    place: Place,
    file: File,
    about: Metadata,
}

/// Tells whether two paths lead to the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

/// The names in one directory, sorted.
#[derive(Debug)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// There were more than [`MAX_ENTRIES`].
    pub more: bool,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: OsString,
    pub kind: EntryKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Directory,
    Link,
    /// A pipe, a socket or a device.
    Other,
}

impl Workspace {
    /// Opens the root. Nothing in it is read.
    ///
    /// # Errors
    /// `cwd` is no absolute path of a directory that can be opened.
    pub fn open(cwd: &Path) -> Result<Self, WorkspaceError> {
        let failed = |source| WorkspaceError::Root { path: cwd.display().to_string(), source };
        if !cwd.is_absolute() {
            return Err(failed(std::io::ErrorKind::InvalidInput.into()));
        }
        let root = rustix::fs::open(cwd, beneath::HANDLE, rustix::fs::Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let real = cwd.canonicalize().map_err(failed)?;
        Ok(Self { root, path: cwd.to_owned(), real, own: Vec::new(), hidden: Mutex::default(), named: Mutex::default() })
    }

    /// Refuses writes into `directory` too: for pillion's own configuration and store, wherever they lie.
    #[must_use]
    pub fn protecting(mut self, directory: &Path) -> Self {
        self.own.push(directory.canonicalize().unwrap_or_else(|_| directory.to_owned()));
        self
    }

    /// Lets nothing be read that one of these rules denies, from now on.
    pub fn hide(&self, rules: Vec<Arc<Rules>>) {
        *self.hidden() = rules;
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The root without links, as text.
    pub fn real(&self) -> String {
        self.real.to_string_lossy().into_owned()
    }

    /// Whether a rule wants each reading of this path asked about.
    pub(super) fn is_asked_about(&self, place: &Place) -> bool {
        self.hidden().iter().any(|rules| rules.asking(place.as_path()).is_some())
    }

    /// Where `place` really leads, if that can be told: rules are held against it.
    pub(super) fn resolved(&self, place: &Place) -> Place {
        match (beneath::open(self.root.as_fd(), place.as_path(), beneath::READ), place.parent(), place.name()) {
            (Ok(handle), ..) => self.place_of_handle(handle.as_fd()).unwrap_or_else(|| place.clone()),
            // What is not there yet lies in what its directory leads to.
            (Err(_), Some(directory), Some(name)) => self.resolved(&directory).join(name),
            (Err(_), ..) => place.clone(),
        }
    }

    /// Opens a directory to start something in, with its real place.
    ///
    /// # Errors
    /// It is none, leads out of the workspace, or the workspace is no longer where it was.
    pub(super) fn opened_directory(&self, place: &Place) -> Result<(OwnedFd, Place), WorkspaceError> {
        let handle =
            beneath::open(self.root.as_fd(), place.as_path(), beneath::HANDLE).map_err(|errno| WorkspaceError::at(place, errno))?;
        // Where it would be shown to start is where it was opened.
        if path_of(self.root.as_fd()).is_none_or(|path| path != self.real) {
            return Err(self.moved());
        }
        let real = self.place_of_handle(handle.as_fd()).ok_or_else(|| self.moved())?;
        Ok((handle, real))
    }

    /// The root as something to write in: what it is, and where.
    ///
    /// # Errors
    /// The system does not tell.
    pub(super) fn root(&self) -> std::io::Result<Directory> {
        Directory::opened(&self.real, &self.root)
    }

    /// The root as the client named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` is this directory, by whichever name.
    pub fn is_at(&self, path: &Path) -> bool {
        path == self.path || path.canonicalize().is_ok_and(|real| real == self.real)
    }

    /// The absolute path of `place`, for clients.
    pub fn absolute(&self, place: &Place) -> String {
        // Joined with nothing it would end with a slash.
        let path = if place.is_root() { self.path.clone() } else { self.path.join(place.as_path()) };
        path.to_string_lossy().into_owned()
    }

    /// Reads a path that a model gave: relative to the root, or absolute and below it.
    ///
    /// # Errors
    /// It is empty, has a NUL, or its text alone leads out of the workspace.
    pub fn place(&self, text: &str) -> Result<Place, WorkspaceError> {
        if text.is_empty() {
            return Err(WorkspaceError::Empty);
        }
        if text.contains('\0') {
            return Err(WorkspaceError::Nul);
        }
        self.place_of(Path::new(text)).ok_or_else(|| WorkspaceError::Outside(crate::text::exact(text).into_owned()))
    }

    /// The same for a path that a client gave; None if it is not in this workspace.
    pub(super) fn place_of(&self, path: &Path) -> Option<Place> {
        if !path.is_absolute() {
            return Place::relative(path);
        }
        let below = path.strip_prefix(&self.path).or_else(|_| path.strip_prefix(&self.real)).ok()?;
        Place::relative(below)
    }

    /// The real place of a file that is not there, if its directory is one of this workspace.
    pub(super) fn place_of_unborn(&self, path: &Path) -> Option<Place> {
        let directory = path.parent()?.canonicalize().ok();
        match directory.as_deref().and_then(|directory| directory.strip_prefix(&self.real).ok()) {
            Some(below) => Some(Place::relative(below)?.join(path.file_name()?)),
            // Its directory is not there either.
            None => self.place_of(path).map(|place| self.resolved(&place)),
        }
    }

    /// Opens a regular file for reading. Never waits for a pipe or a device.
    ///
    /// # Errors
    /// There is none, it leads out of the workspace, or it is something else than a regular file.
    pub fn file(&self, place: &Place) -> Result<OpenFile, WorkspaceError> {
        let (file, real) = self.decided(place)?;
        self.may_read(place)?;
        self.may_read(&real)?;
        match self.twin(place, &file.about)? {
            Some(twin) => self.may_read(&twin).map(|()| file).map_err(|error| error.of(place)),
            None => Ok(file),
        }
    }

    /// The same for what pillion itself heeds: rules are for what a model reads.
    ///
    /// # Errors
    /// As [`Self::file`], but for the rules.
    pub(super) fn file_for_pillion(&self, place: &Place) -> Result<OpenFile, WorkspaceError> {
        Ok(self.decided(place)?.0)
    }

    /// The file, and where it really is.
    fn decided(&self, place: &Place) -> Result<(OpenFile, Place), WorkspaceError> {
        let handle = beneath::open(self.root.as_fd(), place.as_path(), beneath::READ).map_err(|errno| match errno {
            Errno::NOTDIR => WorkspaceError::NotFound(place.clone()),
            _ => WorkspaceError::at(place, errno),
        })?;
        let real = self.place_of_handle(handle.as_fd());
        let file = OpenFile::decide(place, handle)?;
        Ok((file, real.ok_or_else(|| self.moved())?))
    }

    fn moved(&self) -> WorkspaceError {
        WorkspaceError::Moved(self.path.display().to_string())
    }

    /// By the rules that hide; what is opened is held against them by itself.
    pub(super) fn may_read(&self, place: &Place) -> Result<(), WorkspaceError> {
        let hidden = self.hidden();
        match hidden.iter().find_map(|rules| rules.hiding(place.as_path())) {
            Some(rule) => Err(WorkspaceError::Hidden { place: place.clone(), rule: crate::text::exact(rule.text()).into_owned() }),
            None => Ok(()),
        }
    }

    /// The path of what was opened, relative to the root, as the system has both now: a workspace that was moved stays the same.
    fn place_of_handle(&self, handle: BorrowedFd<'_>) -> Option<Place> {
        Place::relative(path_of(handle)?.strip_prefix(path_of(self.root.as_fd())?).ok()?)
    }

    fn hidden(&self) -> MutexGuard<'_, Vec<Arc<Rules>>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names in a directory, sorted by their bytes.
    ///
    /// # Errors
    /// It cannot be opened, or leads out of the workspace, or is no directory.
    pub fn directory(&self, place: &Place) -> Result<Listing, WorkspaceError> {
        let failed = |errno| WorkspaceError::at(place, errno);
        let flags = beneath::READ | OFlags::DIRECTORY;
        let handle = beneath::open(self.root.as_fd(), place.as_path(), flags).map_err(failed)?;
        self.place_of_handle(handle.as_fd()).ok_or_else(|| self.moved())?;
        let mut dir = Dir::new(handle).map_err(failed)?;
        let mut entries = Vec::new();
        let mut more = false;
        while let Some(entry) = dir.read() {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == MAX_ENTRIES {
                more = true;
                break;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => dir
                    .fd()
                    .and_then(|fd| statat(fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW))
                    .map_or(FileType::Unknown, |about| FileType::from_raw_mode(about.st_mode)),
                known => known,
            };
            entries.push(Entry { name: OsString::from_vec(name.as_bytes().to_vec()), kind: kind.into() });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Listing { entries, more })
    }
}

/// The path of what was opened.
fn path_of(handle: BorrowedFd<'_>) -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    return std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd())).ok();
    #[cfg(target_os = "macos")]
    return Some(OsString::from_vec(rustix::fs::getpath(handle).ok()?.into_bytes()).into());
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    None
}

impl OpenFile {
    /// Accepts an opened handle if it is a regular file.
    fn decide(place: &Place, handle: OwnedFd) -> Result<Self, WorkspaceError> {
        let file = File::from(handle);
        let about = file.metadata().map_err(|error| WorkspaceError::io(place, error))?;
        if about.is_dir() {
            return Err(WorkspaceError::IsDirectory(place.clone()));
        }
        if !about.is_file() {
            return Err(WorkspaceError::NotRegular(place.clone()));
        }
        Ok(Self { place: place.clone(), file, about })
    }

    pub fn id(&self) -> FileId {
        FileId::of(&self.about)
    }

    /// How many bytes it had when it was opened.
    pub fn size(&self) -> u64 {
        self.about.len()
    }

    /// All of its bytes.
    ///
    /// # Errors
    /// There are more than `limit`, however long the file said it was.
    pub fn whole(&self, limit: u64) -> Result<Vec<u8>, WorkspaceError> {
        let bytes = self.prefix(limit.saturating_add(1))?;
        if bytes.len() as u64 > limit {
            return Err(WorkspaceError::TooLarge { place: self.place.clone(), limit });
        }
        Ok(bytes)
    }

    /// Its first `limit` bytes, or all of them if there are fewer.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn prefix(&self, limit: u64) -> Result<Vec<u8>, WorkspaceError> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.about.len().min(limit)).unwrap_or(0));
        (&self.file).take(limit).read_to_end(&mut bytes).map_err(|error| WorkspaceError::io(&self.place, error))?;
        Ok(bytes)
    }

    /// The handle, for reading as a stream.
    pub fn into_reader(self) -> impl Read {
        self.file
    }
}

impl FileId {
    /// What stands at a path that an editor named; None if nothing does.
    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|about| Self::of(&about))
    }

    fn of(about: &Metadata) -> Self {
        Self { device: about.dev(), inode: about.ino() }
    }
}

impl From<FileType> for EntryKind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}
