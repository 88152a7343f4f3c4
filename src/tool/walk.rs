//! Goes through a directory tree, file by file, in the order of names. Invariant: every directory is opened by the
//! workspace, no link is followed, and `.gitignore` files are filters and nothing else: no other file of a repository,
//! and no configuration of git, is read.

use super::workspace::{Entry, EntryKind, Place, Workspace};
use crate::policy::pattern;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::ffi::OsStr;

/// The most of one `.gitignore` that is read, in bytes.
const MAX_RULES_BYTES: u64 = 64 << 10;

/// The regular files below a directory that no `.gitignore` and no rule hides. git's own directories are left out.
pub(super) struct Walk<'a> {
    workspace: &'a Workspace,
    /// Looked at before every name: a tree can be large and have no file that is wanted.
    stopped: &'a dyn Fn() -> bool,
    rules: Rules,
    open: Vec<(Place, std::vec::IntoIter<Entry>)>,
    /// Directories that could not be read, or not to their end.
    pub(super) skipped: usize,
}

impl<'a> Walk<'a> {
    /// `start` itself is entered even if it is ignored: it was asked for by name. Ends early when `stopped` says so.
    pub(super) fn new(workspace: &'a Workspace, start: &Place, stopped: &'a dyn Fn() -> bool) -> Self {
        let mut walk = Self { workspace, stopped, rules: Rules::above(workspace, start), open: Vec::new(), skipped: 0 };
        walk.enter(start.clone());
        walk
    }

    fn enter(&mut self, place: Place) {
        match self.workspace.directory(&place) {
            Ok(listing) => {
                self.skipped += usize::from(listing.more);
                self.rules.enter(self.workspace, place.clone());
                self.open.push((place, listing.entries.into_iter()));
            }
            Err(_) => self.skipped += 1,
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        while !(self.stopped)() {
            let (directory, entries) = self.open.last_mut()?;
            let Some(entry) = entries.next() else {
                self.open.pop();
                self.rules.leave();
                continue;
            };
            let place = directory.join(&entry.name);
            match entry.kind {
                EntryKind::File if !self.rules.hide(&place, EntryKind::File) && self.workspace.may_read(&place).is_ok() => {
                    return Some(place);
                }
                EntryKind::Directory if entry.name != ".git" && !self.rules.hide(&place, EntryKind::Directory) => self.enter(place),
                _ => {}
            }
        }
        None
    }
}

/// The `.gitignore` files from the root down to one directory.
pub(super) struct Rules(Vec<(Place, Option<Gitignore>)>);

impl Rules {
    /// Those that hold in `directory`, without its own.
    fn above(workspace: &Workspace, directory: &Place) -> Self {
        let mut rules = Self(Vec::new());
        let mut here = Place::root();
        for name in directory.names() {
            let next = here.join(name);
            rules.enter(workspace, here);
            here = next;
        }
        rules
    }

    /// Those that hold in `directory`.
    pub(super) fn within(workspace: &Workspace, directory: &Place) -> Self {
        let mut rules = Self::above(workspace, directory);
        rules.enter(workspace, directory.clone());
        rules
    }

    fn enter(&mut self, workspace: &Workspace, directory: Place) {
        let file = workspace.file_for_pillion(&directory.join(OsStr::new(".gitignore")));
        let rules = file.and_then(|file| file.prefix(MAX_RULES_BYTES)).ok().and_then(|bytes| rules_of(&bytes));
        self.0.push((directory, rules));
    }

    fn leave(&mut self) {
        self.0.pop();
    }

    /// Whether the rules hide `place`. The deepest file that says anything about it decides, as in git.
    pub(super) fn hide(&self, place: &Place, kind: EntryKind) -> bool {
        let decided = self.0.iter().rev().filter_map(|(directory, rules)| {
            let path = place.as_path().strip_prefix(directory.as_path()).ok()?;
            let found = rules.as_ref()?.matched(path, kind == EntryKind::Directory);
            (!found.is_none()).then(|| found.is_ignore())
        });
        decided.into_iter().next().unwrap_or(false)
    }
}

/// Lines that are no valid pattern are left out, as git does.
fn rules_of(bytes: &[u8]) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new(".");
    for line in String::from_utf8_lossy(bytes).lines() {
        // A bad line hides nothing, and so does one that is too much for a pattern.
        if pattern::measure(line).is_ok() {
            let _ = builder.add_line(None, line);
        }
    }
    builder.build().ok().filter(|rules| !rules.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::test_room::Room;

    fn walked(room: &Room, start: &str) -> Vec<String> {
        Walk::new(&room.workspace, &room.place(start), &|| false).map(|place| place.to_string()).collect()
    }

    #[test]
    fn ignore_files_filter_and_the_deepest_decides() {
        let room = Room::new();
        room.file(".gitignore", "target/\n*.log\n[bad\n/only-root\n");
        room.file("target/a.rs", "");
        room.file("x.log", "");
        room.file("only-root", "");
        room.file("sub/only-root", "");
        room.file("sub/.gitignore", "!keep.log\n");
        room.file("sub/keep.log", "");
        room.file("sub/other.log", "");
        room.file(".github/ci.yml", "");
        room.file(".git/config", "");
        room.file("b.rs", "");
        assert_eq!(walked(&room, "."), [".github/ci.yml", ".gitignore", "b.rs", "sub/.gitignore", "sub/keep.log", "sub/only-root"]);
        assert_eq!(walked(&room, "target"), ["target/a.rs"]);
        assert_eq!(walked(&room, "sub"), ["sub/.gitignore", "sub/keep.log", "sub/only-root"]);
    }

    #[test]
    fn a_line_that_nests_without_end_hides_nothing_and_breaks_nothing() {
        let room = Room::new();
        let (open, close) = ("{".repeat(30_000), "}".repeat(30_000));
        room.file(".gitignore", format!("{open}a{close}\n{}\nhidden\n", "[".repeat(1500)));
        room.file("hidden", "");
        room.file("a", "");
        assert_eq!(walked(&room, "."), [".gitignore", "a"]);
    }

    #[test]
    fn links_are_not_followed_and_git_is_not_asked() {
        let room = Room::new();
        let outside = room.directory.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "").unwrap();
        std::fs::write(room.directory.path().join(".gitignore"), "*").unwrap();
        std::os::unix::fs::symlink(&outside, room.path("out")).unwrap();
        std::os::unix::fs::symlink(".", room.path("loop")).unwrap();
        room.file(".git/info/exclude", "*");
        room.file(".ignore", "*");
        room.file("a", "");
        assert_eq!(walked(&room, "."), [".ignore", "a"]);
    }

    #[test]
    fn an_ignore_file_that_is_a_pipe_holds_up_nothing() {
        let room = Room::new();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            room.path(".gitignore"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        room.file("a", "");
        assert_eq!(walked(&room, "."), ["a"]);
    }
}
