//! A path as it was asked for: relative to the root, of plain names only. It decides nothing: opening it does.

use crate::text::exact;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// A path below the root of a workspace, written without `.`, `..` or a leading `/`. The root itself is the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(PathBuf);

impl Place {
    /// The root of the workspace.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a relative path; `..` takes back the name before it. None if it would lead above the root.
    pub(super) fn relative(path: &Path) -> Option<Self> {
        let mut plain = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => plain.push(name),
                Component::CurDir => {}
                Component::ParentDir => {
                    if !plain.pop() {
                        return None;
                    }
                }
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(Self(plain))
    }

    /// `name` in this directory.
    pub(crate) fn join(&self, name: &OsStr) -> Self {
        Self(self.0.join(name))
    }

    pub(crate) fn as_path(&self) -> &Path {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// The directory that holds it; None for the root.
    pub(crate) fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    pub(crate) fn name(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// The names on the way, from the root.
    pub(crate) fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0.iter()
    }
}

/// The path as people and models read it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { f.write_str(&exact(&self.0.to_string_lossy())) }
    }
}
