//! The text of the documents that the editor has open, as the editor last said it. Invariant: the lock is held only to
//! look up or to put; nothing is opened or waited for under it.

mod uri;

pub use uri::{path_of, uri_of};

use super::encoding::is_text_of;
use super::workspace::{FileId, OpenFile, Place, Workspace};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;

/// The open documents of one connection; clones share them.
#[derive(Clone, Default)]
pub struct Documents(Arc<Mirror>);

/// An open document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// As the editor names it.
    pub uri: Arc<str>,
    pub version: i32,
    pub text: Arc<str>,
}

#[derive(Default)]
struct Mirror {
    open: Mutex<HashMap<String, Open>>,
    awaited: Mutex<Vec<Weak<Awaited>>>,
}

/// A text that somebody waits for.
struct Awaited {
    uri: Box<str>,
    text: Box<str>,
    came: watch::Sender<bool>,
}

/// Knows whether it has come.
pub(super) struct Expected(Arc<Awaited>);

impl Expected {
    pub(super) fn has_come(&self) -> bool {
        *self.0.came.borrow()
    }

    pub(super) async fn comes(&self) {
        // It fails only without a sender, and this holds one.
        let _ = self.0.came.subscribe().wait_for(|came| *came).await;
    }
}

struct Open {
    /// None for what is no file: kept, and never read.
    path: Option<PathBuf>,
    document: Document,
}

impl Documents {
    pub fn open(&self, uri: &str, version: i32, text: String) {
        let text: Arc<str> = text.into();
        let open = Open { path: path_of(uri), document: Document { uri: uri.into(), version, text: Arc::clone(&text) } };
        self.lock().insert(uri.to_owned(), open);
        self.came(uri, &text);
    }

    /// A change of a document that is not open is dropped.
    pub fn change(&self, uri: &str, version: i32, text: String) {
        let text: Arc<str> = text.into();
        if let Some(open) = self.lock().get_mut(uri) {
            open.document = Document { uri: Arc::clone(&open.document.uri), version, text: Arc::clone(&text) };
        }
        self.came(uri, &text);
    }

    pub fn close(&self, uri: &str) {
        self.lock().remove(uri);
    }

    /// The document that was opened under exactly this path.
    pub fn text_of(&self, path: &Path) -> Option<Document> {
        self.lock().values().find(|open| open.path.as_deref() == Some(path)).map(|open| open.document.clone())
    }

    /// The document of this name.
    pub(super) fn named(&self, uri: &str) -> Option<Document> {
        self.lock().get(uri).map(|open| open.document.clone())
    }

    /// From now on it is noticed when the document of this name comes to have exactly this text, for however short a time.
    pub(super) fn expecting(&self, uri: &str, text: &str) -> Expected {
        let what = Arc::new(Awaited { uri: uri.into(), text: text.into(), came: watch::Sender::new(false) });
        let mut awaited = self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain(|awaited| awaited.strong_count() > 0);
        awaited.push(Arc::downgrade(&what));
        Expected(what)
    }

    /// Tells whoever expects this text of the document.
    fn came(&self, uri: &str, text: &str) {
        let awaited = self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for awaited in awaited.iter().filter_map(Weak::upgrade).filter(|it| *it.uri == *uri && *it.text == *text) {
            awaited.came.send_replace(true);
        }
    }

    /// The open documents of a workspace, by the files that they are.
    pub(super) fn within(&self, workspace: &Workspace) -> WorkspaceDocuments {
        let mut open: Vec<_> = self.lock().values().filter_map(|open| Some((open.path.clone()?, open.document.clone()))).collect();
        open.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut within = WorkspaceDocuments::default();
        for (path, document) in open {
            // By whichever way the editor came to it, through links and from outside of the workspace too.
            if let Some(file) = FileId::at(&path) {
                within.by_file.entry(file).or_default().push(document);
            } else if let Some(place) = workspace.place_of_unborn(&path) {
                within.unborn.insert(place, document);
            }
        }
        within
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        // No code under the lock can leave the map half changed.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A snapshot of the open documents of one workspace. A document is found by the file that it is, so that a link or a
/// second name of the root does not hide it.
#[derive(Debug, Default)]
pub(super) struct WorkspaceDocuments {
    /// By path; more than one if the editor has the file open under several names.
    by_file: HashMap<FileId, Vec<Document>>,
    /// Those that have no file yet.
    pub(super) unborn: BTreeMap<Place, Document>,
}

impl WorkspaceDocuments {
    pub(super) fn of(&self, file: &OpenFile) -> Option<&Document> {
        self.by_file.get(&file.id())?.first()
    }

    /// All documents of `file`.
    pub(super) fn all_of(&self, file: &OpenFile) -> &[Document] {
        self.by_file.get(&file.id()).map_or(&[], Vec::as_slice)
    }

    /// The document of `file` that differs from `disk`, its bytes.
    pub(super) fn unsaved(&self, file: &OpenFile, disk: &[u8]) -> Option<&Document> {
        self.by_file.get(&file.id())?.iter().find(|document| !is_text_of(&document.text, disk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::test_room::Room;

    #[test]
    fn a_document_lives_from_open_to_close() {
        let documents = Documents::default();
        documents.change("file:///a.rs", 1, "too early".into());
        assert_eq!(documents.text_of(Path::new("/a.rs")), None);
        documents.open("file:///a.rs", 1, "one".into());
        documents.clone().change("file:///a.rs", 2, "two".into());
        assert_eq!(documents.text_of(Path::new("/a.rs")), Some(Document { uri: "file:///a.rs".into(), version: 2, text: "two".into() }));
        documents.close("file:///a.rs");
        assert_eq!(documents.text_of(Path::new("/a.rs")), None);
    }

    #[test]
    fn what_is_no_file_is_kept_and_found_by_no_path() {
        let documents = Documents::default();
        documents.open("untitled:Untitled-1", 1, "x".into());
        documents.open("vscode-notebook-cell:/ws/a.ipynb#1", 1, "y".into());
        assert_eq!(documents.text_of(Path::new("/ws/a.ipynb")), None);
        assert_eq!(documents.lock().len(), 2);
    }

    #[test]
    fn a_document_that_was_opened_by_a_way_round_is_found_all_the_same() {
        let room = Room::new();
        room.file("dir/real", "disk");
        let outside = room.directory.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(room.path("dir/real"), outside.join("link")).unwrap();
        std::os::unix::fs::symlink(room.workspace.path(), outside.join("alias")).unwrap();
        std::os::unix::fs::symlink("dir", room.path("ld")).unwrap();
        for name in ["link", "alias/dir/real"] {
            let uri = uri_of(&outside.join(name));
            room.documents.open(&uri, 1, "edited".into());
            let real = room.workspace.file(&room.place("dir/real")).unwrap();
            assert!(room.documents.within(&room.workspace).unsaved(&real, b"disk").is_some(), "{name}");
            room.documents.close(&uri);
        }
        for path in [room.path("ld/new"), outside.join("alias/dir/new")] {
            let uri = uri_of(&path);
            room.documents.open(&uri, 1, "new".into());
            let within = room.documents.within(&room.workspace);
            assert_eq!(within.unborn.keys().collect::<Vec<_>>(), [&room.place("dir/new")]);
            room.documents.close(&uri);
        }
    }

    #[test]
    fn unsaved_text_under_a_second_name_is_not_hidden_by_the_first() {
        let room = Room::new();
        room.file("real", "disk");
        for name in ["another", "zebra"] {
            std::os::unix::fs::symlink("real", room.path(name)).unwrap();
        }
        for (name, text) in [("another", "disk"), ("real", "edited"), ("zebra", "disk")] {
            room.documents.open(&uri_of(&room.path(name)), 1, text.into());
        }
        let real = room.workspace.file(&room.place("real")).unwrap();
        let within = room.documents.within(&room.workspace);
        assert_eq!(within.unsaved(&real, b"disk").map(|document| &*document.text), Some("edited"));
    }

    #[test]
    fn a_document_is_found_through_a_link_and_without_a_file() {
        let room = Room::new();
        room.file("real.txt", "disk");
        std::os::unix::fs::symlink("real.txt", room.path("link.txt")).unwrap();
        room.documents.open(&uri_of(&room.path("link.txt")), 4, "editor".into());
        room.documents.open(&uri_of(&room.path("new.txt")), 1, "new".into());
        room.documents.open("file:///elsewhere/x", 1, "far".into());
        let within = room.documents.within(&room.workspace);
        let real = room.workspace.file(&room.place("real.txt")).unwrap();
        assert_eq!(within.of(&real).map(|document| &*document.text), Some("editor"));
        assert!(within.unsaved(&real, b"editor").is_none() && within.unsaved(&real, b"\xef\xbb\xbfeditor").is_none());
        assert_eq!(within.unsaved(&real, b"disk").map(|document| document.version), Some(4));
        assert_eq!(within.unborn.keys().collect::<Vec<_>>(), [&room.place("new.txt")]);
    }
}
