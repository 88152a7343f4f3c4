//! Writing where it is allowed, and leaving everything as it was where it is not.

use super::*;
use crate::tool::test_room::Room;
use std::os::unix::fs::{PermissionsExt, symlink};

fn write(room: &Room, path: &str, text: &str) -> Result<(), String> {
    let place = room.place(path);
    let write = || {
        let target = room.workspace.target(&place, Parents::MustExist)?;
        room.workspace.replace(&place, target.seen(), text.as_bytes(), Parents::MustExist, Confirmed::No)
    };
    write().map_err(|error: WorkspaceError| error.to_string())
}

fn mode(room: &Room, name: &str) -> u32 {
    std::fs::metadata(room.path(name)).unwrap().permissions().mode() & 0o7777
}

fn names(room: &Room) -> Vec<OsString> {
    room.workspace.directory(&Place::root()).unwrap().entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_file_is_replaced_as_a_whole_and_keeps_its_mode() {
    let room = Room::new();
    room.file("run.sh", "old and longer");
    std::fs::set_permissions(room.path("run.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
    let before = room.workspace.file(&room.place("run.sh")).unwrap();
    write(&room, "run.sh", "new").unwrap();
    assert_eq!(room.text("run.sh"), "new");
    assert_eq!(mode(&room, "run.sh"), 0o750);
    // Whoever had it open reads on what he had.
    assert_eq!(before.whole(100).unwrap(), b"old and longer");
    assert_eq!(names(&room), ["run.sh"]);
}

#[test]
fn a_new_file_is_made_with_no_more_than_0644() {
    let room = Room::new();
    write(&room, "new", "text").unwrap();
    assert_eq!(room.text("new"), "text");
    assert_eq!(mode(&room, "new") & !0o644, 0);
    assert_eq!(mode(&room, "new") & 0o600, 0o600);
    assert_eq!(names(&room), ["new"]);
}

#[test]
fn parents_are_made_only_on_request() {
    let room = Room::new();
    let place = room.place("a/b/c.txt");
    let told = room.workspace.target(&place, Parents::MustExist).unwrap_err().to_string();
    assert_eq!(told, "the directory a/b does not exist; write_file makes it if create_parents is true");
    assert!(room.workspace.replace(&place, Seen::Nothing, b"x", Parents::MustExist, Confirmed::No).is_err());
    assert!(matches!(room.workspace.target(&place, Parents::Make), Ok(Target::Nothing)));
    assert!(names(&room).is_empty());
    room.workspace.replace(&place, Seen::Nothing, b"x", Parents::Make, Confirmed::No).unwrap();
    assert_eq!(room.text("a/b/c.txt"), "x");
}

#[test]
fn nothing_is_written_through_links() {
    let room = Room::new();
    let outside = room.directory.path().join("outside");
    std::fs::write(&outside, "as it was").unwrap();
    room.file("real/a", "as it was");
    symlink("../outside", room.path("out")).unwrap();
    symlink("real/a", room.path("file")).unwrap();
    symlink("real", room.path("dir")).unwrap();
    symlink("..", room.path("up")).unwrap();
    symlink("nowhere", room.path("dangling")).unwrap();
    for (path, link, target) in [
        ("out", "out", "../outside"),
        ("file", "file", "real/a"),
        ("dir/a", "dir", "real"),
        ("dir/new", "dir", "real"),
        ("up/new", "up", ".."),
        ("dangling", "dangling", "nowhere"),
    ] {
        let told = write(&room, path, "changed").unwrap_err();
        assert_eq!(told, format!("{link} is a symbolic link to {target}; nothing is written through links, write to the real path"));
    }
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "as it was");
    assert_eq!(room.text("real/a"), "as it was");
    assert!(!room.path("nowhere").exists());
}

#[test]
fn a_directory_exchanged_for_a_link_before_the_write_is_noticed() {
    let room = Room::new();
    let outside = room.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    room.file("dir/a", "old");
    std::fs::write(outside.join("a"), "old").unwrap();
    let place = room.place("dir/a");
    let seen = room.workspace.target(&place, Parents::MustExist).unwrap().seen();
    std::fs::remove_dir_all(room.path("dir")).unwrap();
    symlink(&outside, room.path("dir")).unwrap();
    let error = room.workspace.replace(&place, seen, b"new", Parents::Make, Confirmed::No).unwrap_err();
    assert!(matches!(error, WorkspaceError::WriteThroughLink { .. }));
    assert_eq!(std::fs::read_to_string(outside.join("a")).unwrap(), "old");
}

#[test]
fn hard_links_can_be_read_and_not_written() {
    let room = Room::new();
    let outside = room.directory.path().join("outside");
    std::fs::write(&outside, "as it was").unwrap();
    std::fs::hard_link(&outside, room.path("twin")).unwrap();
    assert_eq!(room.workspace.file(&room.place("twin")).unwrap().whole(100).unwrap(), b"as it was");
    let told = write(&room, "twin", "changed").unwrap_err();
    assert_eq!(told, "twin has 2 hard links, and writing would change or part the others; ask the user to change it by hand");
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "as it was");
}

#[test]
fn protected_names_are_neither_replaced_nor_made_unless_a_person_confirms() {
    let room = Room::new();
    room.file(".git/config", "as it was");
    for path in [".git/config", ".git/hooks/post-checkout", ".vscode/tasks.json", ".envrc", "sub/.nvim.lua"] {
        let place = room.place(path);
        let seen = room.workspace.target(&place, Parents::Make).unwrap().seen();
        let told = room.workspace.replace(&place, seen, b"x", Parents::Make, Confirmed::No).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{path} is protected")), "{told}");
    }
    assert_eq!(room.text(".git/config"), "as it was");
    assert_eq!(names(&room), [".git"]);
    let place = room.place(".envrc");
    room.workspace.replace(&place, Seen::Nothing, b"use flake\n", Parents::MustExist, Confirmed::ByPerson).unwrap();
    assert_eq!(room.text(".envrc"), "use flake\n");
}

#[test]
fn pillions_own_directories_are_protected_wherever_they_lie() {
    let room = Room::new();
    room.file("data/x.db", "");
    let workspace = Workspace::open(room.workspace.path()).unwrap().protecting(&room.path("data"));
    let told = |path| workspace.target(&workspace.place(path).unwrap(), Parents::Make).map(|target| target.seen());
    assert!(matches!(told("data/x.db"), Err(WorkspaceError::Own(_))));
    assert!(matches!(told("data/new/x"), Err(WorkspaceError::Own(_))));
    assert!(matches!(told("database"), Ok(Seen::Nothing)));
}

#[test]
fn what_changed_since_it_was_seen_is_a_conflict_and_stays() {
    let room = Room::new();
    room.file("a", "seen");
    let place = room.place("a");
    let replace = |seen| room.workspace.replace(&place, seen, b"mine", Parents::MustExist, Confirmed::No);
    let seen = room.workspace.target(&place, Parents::MustExist).unwrap().seen();
    room.file("a", "theirs");
    assert!(matches!(replace(seen), Err(WorkspaceError::Conflict(_))));
    assert!(matches!(replace(Seen::Nothing), Err(WorkspaceError::Conflict(_))));
    assert_eq!(room.text("a"), "theirs");
    std::fs::remove_file(room.path("a")).unwrap();
    assert!(matches!(replace(seen), Err(WorkspaceError::Conflict(_))));
    assert!(names(&room).is_empty());
    replace(Seen::Nothing).unwrap();
    assert_eq!(room.text("a"), "mine");
}

#[test]
fn a_file_that_appears_at_the_last_moment_is_not_replaced() {
    let room = Room::new();
    let place = room.place("a");
    let directory = room.workspace.directory_of(&place, Parents::MustExist).unwrap();
    let draft = Draft::write(directory.as_fd(), b"mine", &Target::Nothing).unwrap();
    room.file("a", "theirs");
    assert_eq!(draft.publish_new(OsStr::new("a")), Err(Errno::EXIST));
    assert_eq!(room.text("a"), "theirs");
    assert_eq!(names(&room), ["a"]);
}

#[test]
fn a_change_at_the_last_moment_is_not_replaced() {
    let room = Room::new();
    let place = room.place("a");
    let directory = room.workspace.directory_of(&place, Parents::MustExist).unwrap();
    let change_and_publish = |change: &dyn Fn()| {
        room.file("a", "seen");
        let target = room.workspace.target(&place, Parents::MustExist).unwrap();
        let draft = Draft::write(directory.as_fd(), b"mine", &target).unwrap();
        change();
        let Target::File { file, .. } = target else { panic!("there is a file") };
        draft.publish_over(OsStr::new("a"), &file)
    };
    assert_eq!(change_and_publish(&|| room.file("a", "theirs")), Err(Errno::EXIST));
    assert_eq!(room.text("a"), "theirs");
    let exchange = || {
        room.file("b", "exchanged");
        std::fs::rename(room.path("b"), room.path("a")).unwrap();
    };
    assert_eq!(change_and_publish(&exchange), Err(Errno::EXIST));
    assert_eq!(room.text("a"), "exchanged");
    assert_eq!(change_and_publish(&|| std::fs::remove_file(room.path("a")).unwrap()), Err(Errno::EXIST));
    assert_eq!(names(&room), Vec::<OsString>::new());
    assert_eq!(change_and_publish(&|| ()), Ok(()));
    assert_eq!(names(&room), ["a"]);
}

#[test]
fn a_replaced_file_belongs_to_whom_it_belonged() {
    let room = Room::new();
    room.file("a", "old");
    let ours = room.path("a").metadata().unwrap();
    // Only root gives files away; anybody else keeps their own.
    let (owner, group) = if ours.uid() == 0 { (1234, 2345) } else { (ours.uid(), ours.gid()) };
    std::os::unix::fs::chown(room.path("a"), Some(owner), Some(group)).unwrap();
    let target = room.workspace.target(&room.place("a"), Parents::MustExist).unwrap();
    room.workspace.replace(&room.place("a"), target.seen(), b"new", Parents::MustExist, Confirmed::No).unwrap();
    let now = room.path("a").metadata().unwrap();
    assert_eq!((now.uid(), now.gid(), room.text("a")), (owner, group, "new".to_owned()));
}

#[test]
fn other_kinds_and_read_only_files_are_left_alone() {
    let room = Room::new();
    room.file("locked", "as it was");
    std::fs::set_permissions(room.path("locked"), std::fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(write(&room, "locked", "x").unwrap_err(), "locked is marked read-only; ask the user to change its mode first");
    rustix::fs::mknodat(rustix::fs::CWD, room.path("pipe"), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(write(&room, "pipe", "x").unwrap_err().starts_with("pipe is not a regular file"));
    std::fs::create_dir(room.path("dir")).unwrap();
    assert_eq!(write(&room, "dir", "x").unwrap_err(), "dir is a directory; give the path of a file");
    assert_eq!(write(&room, ".", "x").unwrap_err(), ". is a directory; give the path of a file");
    assert!(write(&room, "locked/x", "x").unwrap_err().starts_with("locked is not a directory"));
    assert_eq!(room.text("locked"), "as it was");
}
