//! An edit changes what it names and nothing else, or nothing at all.

use super::*;
use crate::policy::{Access, WriteAccess};
use crate::protocol::update::{ToolCallContent, ToolLocation};
use crate::tool::documents::uri_of;
use crate::tool::test_room::Room;
use crate::tool::workspace::{Confirmed, Seen};
use std::os::unix::fs::PermissionsExt;

fn edits(path: &str, pairs: &[(&str, &str)]) -> Value {
    let edits: Vec<_> = pairs.iter().map(|(old, new)| json!({ "old_text": old, "new_text": new })).collect();
    json!({ "path": path, "edits": edits })
}

async fn told(room: &Room, input: Value) -> String {
    room.error_of_call(&EditFile, input).await
}

#[tokio::test]
async fn the_plan_shows_all_edits_and_the_run_makes_them() {
    let room = Room::new();
    let (old, new) = ("fn a() {\n    one();\n}\n", "fn b() {\n    two();\n    three();\n}\n");
    room.file("src/a.rs", old);
    let input = edits("src/a.rs", &[("fn a", "fn b"), ("    one();\n", "    two();\n    three();\n")]);
    let planned = EditFile.plan(&input, &room.context()).await.unwrap();
    let path = room.path("src/a.rs").to_string_lossy().into_owned();
    let expected = ToolPlan {
        title: "Edit src/a.rs".into(),
        locations: vec![ToolLocation { path: path.clone(), line: None }],
        content: vec![ToolCallContent::Diff { path, old_text: Some(old.into()), new_text: new.into() }],
        access: Access::Write(WriteAccess { path: "src/a.rs".into(), protected: None }),
        seen: Some(Seen::contents(old.as_bytes())),
    };
    assert_eq!(planned, expected);
    assert_eq!(EditFile.writes(&input, &room.context()), Some(room.place("src/a.rs")));
    assert_eq!(room.text("src/a.rs"), old);
    let output = room.call(&EditFile, input).await.unwrap();
    assert_eq!(output, ToolOutput { content: expected.content, ..ToolOutput::text("edited src/a.rs in 2 places") });
    assert_eq!(room.text("src/a.rs"), new);
}

#[tokio::test]
async fn what_no_edit_names_stays_byte_for_byte() {
    let room = Room::new();
    let utf16 = |text: &str, order| Encoding::Utf16(order).encode(text).unwrap();
    let (little, big) = (crate::tool::encoding::Order::Little, crate::tool::encoding::Order::Big);
    for (name, before, after) in [
        ("bom, CR LF, no final newline", b"\xef\xbb\xbfone\r\ntwo\r\nlast".to_vec(), b"\xef\xbb\xbfone\r\n2\r\nlast".to_vec()),
        ("mixed line ends", b"one\r\ntwo\nlast\r\r\n\n".to_vec(), b"one\r\n2\nlast\r\r\n\n".to_vec()),
        ("utf-16 little", utf16("\u{feff}é\r\ntwo\r\n👩", little), utf16("\u{feff}é\r\n2\r\n👩", little)),
        ("utf-16 big", utf16("\u{feff}é\ntwo\n", big), utf16("\u{feff}é\n2\n", big)),
        ("latin-1", b"caf\xe9\ntwo \xfc\n".to_vec(), b"caf\xe9\n2 \xfc\n".to_vec()),
        ("NUL in UTF-8", b"a\0\ntwo\n".to_vec(), b"a\0\n2\n".to_vec()),
    ] {
        room.file("a", &before);
        std::fs::set_permissions(room.path("a"), std::fs::Permissions::from_mode(0o640)).unwrap();
        room.call(&EditFile, edits("a", &[("two", "2")])).await.unwrap();
        assert_eq!(std::fs::read(room.path("a")).unwrap(), after, "{name}");
        assert_eq!(std::fs::metadata(room.path("a")).unwrap().permissions().mode() & 0o7777, 0o640, "{name}");
    }
}

#[tokio::test]
async fn a_file_of_no_known_encoding_takes_plain_ascii_alone() {
    let room = Room::new();
    room.file("latin", b"caf\xe9 one\n");
    let planned = EditFile.plan(&edits("latin", &[("one", "two")]), &room.context()).await.unwrap();
    let path = room.path("latin").to_string_lossy().into_owned();
    let shown = ToolCallContent::Diff { path, old_text: Some("caf\u{fffd} one\n".into()), new_text: "caf\u{fffd} two\n".into() };
    assert_eq!(planned.content, [shown]);
    let refused = "latin is neither UTF-8 nor UTF-16: only plain ASCII can be edited in it, and edits[1] has other characters; ask the \
                   user to change it by hand";
    assert_eq!(told(&room, edits("latin", &[("one", "two"), ("é", "e")])).await, refused);
    room.file("binary", b"\x7fELF\0\xff one");
    assert_eq!(told(&room, edits("binary", &[("one", "two")])).await, "binary is a binary file and cannot be edited");
}

#[tokio::test]
async fn all_edits_are_made_or_none() {
    let room = Room::new();
    room.file("a", "one\n  two\nthree\none\n");
    let not_there = "edits[1] of a, with the edits before it made: old_text not found: it differs only in white space at line 2; read the \
                     file again";
    assert_eq!(told(&room, edits("a", &[("three", "3"), ("\ttwo", "2")])).await, not_there);
    let twice = "edits[0] of a: old_text occurs 2 times (lines 1, 4); include more of the surrounding lines, or set replace_all to true";
    assert_eq!(told(&room, edits("a", &[("one", "1")])).await, twice);
    let empty = "edits[0] of a: old_text is empty, but the file has text; give the text to replace";
    assert_eq!(told(&room, edits("a", &[("", "1")])).await, empty);
    let same = "edits[0] of a: old_text and new_text are the same, so nothing would change";
    assert_eq!(told(&room, edits("a", &[("one", "one")])).await, same);
    let back = "a has exactly this text already; there is nothing to write";
    assert_eq!(told(&room, edits("a", &[("three", "3"), ("3", "three")])).await, back);
    assert_eq!(room.text("a"), "one\n  two\nthree\none\n");
    let everywhere = json!({ "path": "a", "edits": [{ "old_text": "one", "new_text": "1", "replace_all": true }] });
    assert_eq!(room.text_of_call(&EditFile, everywhere).await, "edited a in 2 places");
    assert_eq!(room.text("a"), "1\n  two\nthree\n1\n");
}

#[tokio::test]
async fn a_file_is_made_by_an_edit_of_nothing() {
    let room = Room::new();
    let input = edits("new", &[("", "one\n"), ("one", "two")]);
    let planned = EditFile.plan(&input, &room.context()).await.unwrap();
    assert_eq!((planned.title.as_str(), planned.seen), ("Create new", Some(Seen::Nothing)));
    assert_eq!(room.text_of_call(&EditFile, input).await, "created new: 4 bytes");
    assert_eq!(room.text("new"), "two\n");
    let none = "none does not exist; an edit with an empty old_text makes it, list_directory shows what is there";
    assert_eq!(told(&room, edits("none", &[("a", "b")])).await, none);
    room.file("empty", "");
    assert_eq!(room.text_of_call(&EditFile, edits("empty", &[("", "x")])).await, "edited empty in 1 place");
    assert_eq!(room.text("empty"), "x");
    let parents = "the directory dir does not exist; write_file makes it if create_parents is true";
    assert_eq!(told(&room, edits("dir/new", &[("", "x")])).await, parents);
}

#[tokio::test]
async fn a_change_while_the_user_is_asked_or_in_the_editor_is_a_conflict() {
    let room = Room::new();
    room.file("a", "one two");
    let input = edits("a", &[("one", "1")]);
    let seen = EditFile.plan(&input, &room.context()).await.unwrap().seen;
    room.file("a", "one three");
    let approved = Approved { seen, access: Access::Nothing, confirmed: Confirmed::ByPerson };
    let conflict = EditFile.run(input.clone(), approved, room.context()).await.unwrap_err().0;
    assert_eq!(conflict, "a was changed by somebody else in the meantime and is left as it is; read it again and then write");
    room.documents.open(&uri_of(&room.path("a")), 1, "one four".into());
    let dirty = "a has changes in the editor that are not saved; ask the user to save or discard them first";
    assert_eq!(told(&room, input).await, dirty);
    assert_eq!(room.text("a"), "one three");
}

#[tokio::test]
async fn an_open_document_of_any_encoding_that_is_saved_is_no_obstacle() {
    let room = Room::new();
    for (name, bytes, text) in
        [("utf16", &b"\xff\xfeo\0n\0e\0"[..], "one"), ("latin", b"one \xe9", "one é"), ("bom", b"\xef\xbb\xbfone", "one")]
    {
        room.file(name, bytes);
        room.documents.open(&uri_of(&room.path(name)), 1, text.into());
        assert_eq!(room.text_of_call(&EditFile, edits(name, &[("one", "two")])).await, format!("edited {name} in 1 place"));
    }
    assert_eq!(std::fs::read(room.path("utf16")).unwrap(), b"\xff\xfet\0w\0o\0");
}

#[tokio::test]
async fn paths_and_arguments_are_checked_before_anybody_is_asked() {
    let room = Room::new();
    std::fs::write(room.directory.path().join("secret"), "SECRET").unwrap();
    std::os::unix::fs::symlink("../secret", room.path("link")).unwrap();
    room.fifo("pipe");
    room.file("twin", "SECRET");
    std::fs::hard_link(room.path("twin"), room.directory.path().join("other")).unwrap();
    for (path, why) in [
        ("../secret", "../secret is outside the workspace; give a path inside it"),
        ("link", "link is a symbolic link to ../secret; nothing is written through links, write to the real path"),
        ("pipe", "pipe is not a regular file (a pipe, a socket or a device); only regular files can be used"),
        ("twin", "twin has 2 hard links, and writing would change or part the others; ask the user to change it by hand"),
        ("a\0b", "the path has a NUL character; give a path without it"),
        (".", ". is a directory; give the path of a file"),
    ] {
        assert_eq!(told(&room, edits(path, &[("SECRET", "")])).await, why);
    }
    assert_eq!(told(&room, json!({ "path": "a" })).await, "the argument edits must be an array of objects; it is missing");
    let none = "the argument edits must have 1 to 100 objects, not 0";
    assert_eq!(told(&room, edits("a", &[])).await, none);
    let flag = json!({ "path": "a", "edits": [{ "old_text": "a", "new_text": "b", "replace_all": 1 }] });
    assert_eq!(told(&room, flag).await, "the argument edits[0].replace_all must be true or false, not a number");
    assert_eq!(room.text("twin"), "SECRET");
}

#[tokio::test]
async fn a_file_that_would_be_too_large_is_not_written() {
    let room = Room::new();
    room.file("a", "x".repeat(1000));
    let refused = "with these edits a would have more than 1048576 bytes; nothing was written";
    for new in ["y".repeat(1100), "y".repeat(10_000)] {
        let input = json!({ "path": "a", "edits": [{ "old_text": "x", "new_text": new, "replace_all": true }] });
        assert_eq!(told(&room, input).await, refused);
    }
    assert_eq!(room.text("a"), "x".repeat(1000));
}
