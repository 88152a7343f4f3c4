//! What a model is shown of a file, and what it is told when there is more or less than it hoped for.

use super::*;
use crate::tool::documents::uri_of;
use crate::tool::test_room::Room;

async fn read(room: &Room, input: Value) -> String {
    room.text_of_call(&ReadFile, input).await
}

#[tokio::test]
async fn a_file_is_read_as_it_is() {
    let room = Room::new();
    room.file("a.rs", "fn main() {}\r\n\tx");
    assert_eq!(read(&room, json!({ "path": "a.rs", "unknown": true })).await, "fn main() {}\r\n\tx");
    let plan = ReadFile.plan(&json!({ "path": "./a.rs", "offset": 2 }), &room.context()).await.unwrap();
    let location = ToolLocation { path: room.path("a.rs").to_string_lossy().into_owned(), line: Some(2) };
    let access = Access::Read("a.rs".into());
    let expected = ToolPlan { title: "Read a.rs".into(), locations: vec![location], content: Vec::new(), access, seen: None };
    assert_eq!(plan, expected);
}

#[tokio::test]
async fn lines_are_paged_with_a_note_on_how_to_go_on() {
    let room = Room::new();
    room.file("a", "1\n2\n3\n4\n5");
    assert_eq!(read(&room, json!({ "path": "a", "offset": 2, "limit": 2 })).await, "2\n3\n[lines 2-3 of 5; go on with offset 4]\n");
    assert_eq!(read(&room, json!({ "path": "a", "offset": 4 })).await, "4\n5");
    room.file("empty", "");
    assert_eq!(read(&room, json!({ "path": "empty" })).await, "[the file is empty]\n");
    let told = room.error_of_call(&ReadFile, json!({ "path": "a", "offset": 6 })).await;
    assert_eq!(told, "a has 5 lines; the argument offset must not be more than that");
}

#[tokio::test]
async fn what_is_given_at_once_is_bounded() {
    let room = Room::new();
    room.file("lines", "x\n".repeat(MAX_LINES as usize + 1));
    let text = read(&room, json!({ "path": "lines" })).await;
    assert!(text.ends_with("x\n[lines 1-2000 of 2001; go on with offset 2001]\n"));

    room.file("wide", format!("{}\n", "y".repeat(999)).repeat(400));
    let text = read(&room, json!({ "path": "wide" })).await;
    assert!(text.ends_with("y\n[lines 1-262 of 400; go on with offset 263]\n"));
    assert!(text.len() < MAX_OUTPUT_BYTES + 100);

    let long = format!("a{}", "ä".repeat(MAX_OUTPUT_BYTES));
    room.file("long", format!("{long}\nnext\n"));
    let text = read(&room, json!({ "path": "long" })).await;
    let (line, notes) = text.split_once('\n').unwrap();
    assert_eq!(line, &long[..MAX_OUTPUT_BYTES - 1]);
    assert_eq!(notes, format!("[line 1 has {} bytes and is cut]\n[lines 1-1 of 2; go on with offset 2]\n", long.len() + 1));
}

#[tokio::test]
async fn binary_huge_and_broken_files_are_told() {
    let room = Room::new();
    room.file("binary", b"\x7fELF\0\0");
    assert_eq!(room.error_of_call(&ReadFile, json!({ "path": "binary" })).await, "binary is a binary file of 6 bytes and cannot be shown");
    std::fs::File::create(room.path("huge")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    assert_eq!(
        room.error_of_call(&ReadFile, json!({ "path": "huge" })).await,
        "huge has more than 8388608 bytes, the most that read_file takes; search finds lines in it"
    );
    room.file("latin", b"caf\xe9\n");
    assert_eq!(
        read(&room, json!({ "path": "latin" })).await,
        "caf\u{fffd}\n[the file is not all UTF-8: other bytes are shown as \u{fffd}]\n"
    );
}

#[tokio::test]
async fn the_editors_unsaved_text_wins_and_says_so() {
    let room = Room::new();
    room.file("a", "\u{feff}disk\n");
    let uri = uri_of(&room.path("a"));
    room.documents.open(&uri, 1, "disk\n".into());
    assert_eq!(read(&room, json!({ "path": "a" })).await, "\u{feff}disk\n");
    room.documents.change(&uri, 2, "one\ntwo\n".into());
    assert_eq!(
        read(&room, json!({ "path": "a", "limit": 1 })).await,
        "[the editor's text, with changes that are not saved]\none\n[lines 1-1 of 2; go on with offset 2]\n"
    );
    room.documents.close(&uri);
    assert_eq!(read(&room, json!({ "path": "a" })).await, "\u{feff}disk\n");
}

#[tokio::test]
async fn a_document_without_a_file_is_read_too() {
    let room = Room::new();
    room.documents.open(&uri_of(&room.path("new.rs")), 1, "draft\n".into());
    assert_eq!(read(&room, json!({ "path": "new.rs" })).await, "[the editor's text, with changes that are not saved]\ndraft\n");
    assert_eq!(
        room.error_of_call(&ReadFile, json!({ "path": "other.rs" })).await,
        "other.rs does not exist; list_directory shows what is there"
    );
}

#[tokio::test]
async fn an_open_document_opens_no_door_out_of_the_workspace() {
    let room = Room::new();
    let outside = room.directory.path().join("outside");
    std::fs::write(&outside, "SECRET").unwrap();
    std::os::unix::fs::symlink("../outside", room.path("link")).unwrap();
    room.documents.open(&uri_of(&room.path("link")), 1, "SECRET, edited".into());
    room.documents.open(&uri_of(&outside), 1, "SECRET, edited".into());
    for path in ["link", "../outside"] {
        assert!(!room.error_of_call(&ReadFile, json!({ "path": path })).await.contains("SECRET"));
    }
}

#[tokio::test]
async fn arguments_are_checked_by_name() {
    let room = Room::new();
    for (input, told) in [
        (json!({}), "the argument path is missing; it must be a string"),
        (json!({ "path": "a", "offset": 0 }), "the argument offset must be a whole number from 1 to 4294967295"),
        (json!({ "path": "a", "limit": 2001 }), "the argument limit must be a whole number from 1 to 2000"),
        (json!([]), "the arguments must be a JSON object, not an array"),
    ] {
        assert_eq!(room.error_of_call(&ReadFile, input).await, told);
    }
}
