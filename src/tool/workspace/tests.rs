//! Paths as a hostile model, a hostile repository or a race would have them.

use super::*;
use crate::tool::test_room::Room;
use rustix::fs::{CWD, Mode, RenameFlags, mknodat, renameat_with};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

/// What reading `path` comes to: the text, or the error's sentence.
fn read(workspace: &Workspace, path: &str) -> Result<String, String> {
    let read = || workspace.file(&workspace.place(path)?)?.whole(1 << 20);
    read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|error: WorkspaceError| error.to_string())
}

fn refused(workspace: &Workspace, path: &str) -> String {
    read(workspace, path).unwrap_err()
}

/// A room with a secret beside the workspace.
fn room_with_secret() -> Room {
    let room = Room::new();
    std::fs::write(room.directory.path().join("secret"), "SECRET").unwrap();
    room
}

#[test]
fn paths_inside_are_read_relative_and_absolute() {
    let room = Room::new();
    room.file("src/a.rs", "a");
    for path in ["src/a.rs", "./src//a.rs", "src/../src/a.rs", room.path("src/a.rs").to_str().unwrap()] {
        assert_eq!(read(&room.workspace, path), Ok("a".into()), "{path}");
    }
    assert_eq!(room.workspace.absolute(&room.place("src/./a.rs")), room.path("src/a.rs").to_str().unwrap());
    assert_eq!(room.workspace.absolute(&Place::root()), room.workspace.path().to_str().unwrap());
}

#[test]
fn a_root_reached_through_a_link_takes_both_its_names() {
    let room = Room::new();
    room.file("a", "a");
    let alias = room.directory.path().join("alias");
    symlink(room.workspace.path(), &alias).unwrap();
    let workspace = Workspace::open(&alias).unwrap();
    assert_eq!(read(&workspace, alias.join("a").to_str().unwrap()), Ok("a".into()));
    assert_eq!(read(&workspace, room.path("a").to_str().unwrap()), Ok("a".into()));
}

#[test]
fn texts_that_lead_out_are_refused() {
    let room = room_with_secret();
    let sibling = room.directory.path().join("ws-other");
    std::fs::create_dir(&sibling).unwrap();
    std::fs::write(sibling.join("x"), "SECRET").unwrap();
    for path in [
        "..",
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "/",
        sibling.join("x").to_str().unwrap(),
        room.path("../secret").to_str().unwrap(),
        "../ws-other/x",
    ] {
        assert_eq!(refused(&room.workspace, path), format!("{path} is outside the workspace; give a path inside it"));
    }
    assert_eq!(refused(&room.workspace, ""), "the path is empty; give a path inside the workspace");
    assert_eq!(refused(&room.workspace, "a\0b"), "the path has a NUL character; give a path without it");
    assert!(refused(&room.workspace, "../\u{202e}x").starts_with("../⟨U+202E⟩x is outside"));
}

#[test]
fn links_are_followed_only_inside() {
    let room = room_with_secret();
    room.file("real/a", "inside");
    symlink("real", room.path("dir")).unwrap();
    symlink("../real/a", room.path("real/file")).unwrap();
    symlink("../secret", room.path("out")).unwrap();
    symlink("..", room.path("up")).unwrap();
    symlink(room.directory.path().join("secret"), room.path("absolute")).unwrap();
    symlink("circle", room.path("circle")).unwrap();
    assert_eq!(read(&room.workspace, "dir/a"), Ok("inside".into()));
    assert_eq!(read(&room.workspace, "real/file"), Ok("inside".into()));
    for path in ["out", "up/secret", "absolute", "circle", "up/ws/real/a"] {
        let told = refused(&room.workspace, path);
        assert!(told.starts_with(&format!("{path} goes through a symbolic link")), "{told}");
    }
    assert!(matches!(room.workspace.directory(&room.place("up")), Err(WorkspaceError::Link(_))));
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernels_magic_links_lead_nowhere() {
    let workspace = Workspace::open(Path::new("/proc/self")).unwrap();
    for path in ["root/etc/passwd", "cwd/Cargo.toml", "exe", "fd/0"] {
        assert!(refused(&workspace, path).contains("symbolic link"), "{path}: {}", refused(&workspace, path));
    }
    assert!(read(&workspace, "status").is_ok());
    let room = Room::new();
    symlink("/proc/self/root/etc/passwd", room.path("magic")).unwrap();
    assert!(refused(&room.workspace, "magic").contains("symbolic link"));
}

#[test]
fn pipes_sockets_and_devices_hold_up_nothing() {
    let room = Room::new();
    mknodat(CWD, room.path("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _listener = UnixListener::bind(room.path("socket")).unwrap();
    let no_file = |path: &str| format!("{path} is not a regular file (a pipe, a socket or a device); only regular files can be used");
    assert_eq!(refused(&room.workspace, "pipe"), no_file("pipe"));
    assert_eq!(refused(&room.workspace, "socket"), no_file("socket"));
    let devices = Workspace::open(Path::new("/dev")).unwrap();
    assert_eq!(refused(&devices, "null"), no_file("null"));
    assert_eq!(refused(&devices, "zero"), no_file("zero"));
    assert!(matches!(room.workspace.directory(&room.place("pipe")), Err(WorkspaceError::NotDirectory(_))));
}

#[test]
fn a_handle_stays_what_it_was_when_its_name_is_exchanged() {
    let room = room_with_secret();
    room.file("a", "inside");
    let opened = room.workspace.file(&room.place("a")).unwrap();
    std::fs::remove_file(room.path("a")).unwrap();
    symlink("../secret", room.path("a")).unwrap();
    assert_eq!(opened.whole(100).unwrap(), b"inside");
    assert!(refused(&room.workspace, "a").contains("symbolic link"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_parent_exchanged_for_a_link_during_the_call_leads_nowhere() {
    let room = room_with_secret();
    room.file("dir/secret", "inside");
    symlink("..", room.path("link")).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (dir, link) = (room.path("dir"), room.path("link"));
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..5000 {
            seen.extend(read(&room.workspace, "dir/secret"));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(seen.iter().all(|text| text == "inside"), "{seen:?}");
}

#[test]
fn the_root_is_opened_once() {
    let room = room_with_secret();
    room.file("a", "inside");
    std::fs::rename(room.workspace.path(), room.directory.path().join("moved")).unwrap();
    std::fs::create_dir(room.workspace.path()).unwrap();
    std::fs::write(room.path("a"), "another").unwrap();
    assert_eq!(read(&room.workspace, "a"), Ok("inside".into()));
}

#[test]
fn what_is_no_file_is_told_apart() {
    let room = Room::new();
    room.file("dir/a", "12345");
    assert_eq!(refused(&room.workspace, "dir"), "dir is a directory; give the path of a file");
    assert_eq!(refused(&room.workspace, "none"), "none does not exist; list_directory shows what is there");
    assert_eq!(refused(&room.workspace, "dir/a/b"), "dir/a/b does not exist; list_directory shows what is there");
    let whole = |limit| room.workspace.file(&room.place("dir/a")).unwrap().whole(limit);
    assert_eq!(whole(5).unwrap(), b"12345");
    assert!(matches!(whole(4), Err(WorkspaceError::TooLarge { limit: 4, .. })));
}

#[test]
fn a_workspace_is_an_absolute_directory() {
    let room = Room::new();
    room.file("file", "");
    for path in [Path::new("relative"), &room.path("none"), &room.path("file")] {
        let told = Workspace::open(path).unwrap_err().to_string();
        assert!(told.ends_with("it must be an absolute path of a directory that exists"), "{told}");
    }
}

#[test]
fn without_the_kernels_help_no_link_is_followed() {
    let room = room_with_secret();
    room.file("real/a", "inside");
    symlink("real", room.path("dir")).unwrap();
    symlink("../secret", room.path("out")).unwrap();
    let open = |path: &str| beneath::name_by_name(room.workspace.root.as_fd(), Path::new(path), beneath::READ);
    let mut text = String::new();
    File::from(open("real/a").unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "inside");
    assert!(open("").is_ok());
    for path in ["dir/a", "out"] {
        assert!(matches!(open(path), Err(Errno::LOOP)), "{path}");
    }
}
