//! What a model is shown of a file, and what it is told when there is more or less than it hoped for.

use super::*;
use crate::tool::documents::uri_of;
use crate::tool::editor_files::Abilities;
use crate::tool::test_room::{Asked, Room};

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
    let huge = "huge is a binary file of 8388609 bytes and cannot be shown";
    assert_eq!(room.error_of_call(&ReadFile, json!({ "path": "huge", "limit": 1 })).await, huge);
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

#[tokio::test]
async fn utf_16_is_read_as_text() {
    let room = Room::new();
    room.file("little", b"\xff\xfe\xe9\0\n\0b\0");
    room.file("big", b"\xfe\xff\0\xe9\0\n\0b");
    for path in ["little", "big"] {
        assert_eq!(read(&room, json!({ "path": path })).await, "\u{feff}é\nb");
        assert_eq!(read(&room, json!({ "path": path, "offset": 2 })).await, "b");
    }
    // What the editor shows of it is the same text.
    room.documents.open(&uri_of(&room.path("little")), 1, "é\nb".into());
    assert_eq!(read(&room, json!({ "path": "little", "offset": 2 })).await, "b");
}

#[tokio::test]
async fn a_picture_is_given_as_one_whatever_its_name() {
    let room = Room::new();
    let bytes = crate::tool::image::tests::png(3, 2);
    room.file("a.txt", &bytes);
    let output = room.call(&ReadFile, json!({ "path": "a.txt" })).await.unwrap();
    let image = image(&room.place("a.txt"), &bytes).unwrap().unwrap();
    assert_eq!(image.mime_type, "image/png");
    assert_eq!(output, ToolOutput { image: Some(image), ..ToolOutput::text("[image: image/png, 29 bytes]") });
    room.file("b.png", b"no picture");
    assert_eq!(read(&room, json!({ "path": "b.png" })).await, "no picture");
    room.file("wide.png", crate::tool::image::tests::png(9000, 2));
    assert!(room.error_of_call(&ReadFile, json!({ "path": "wide.png" })).await.starts_with("wide.png is an image (image/png) of 9000 x 2"));
}

/// A file of more than 8 MiB: 100,000 numbered lines of 100 bytes, and a last one without its end.
fn large(room: &Room) {
    let lines: String = (1..=100_000).map(|n| format!("{n:099}\n")).collect();
    room.file("large", lines + "the last");
}

#[tokio::test]
async fn of_a_large_file_the_lines_that_are_asked_for_are_read() {
    let room = Room::new();
    large(&room);
    let told = room.error_of_call(&ReadFile, json!({ "path": "large" })).await;
    let refused = "large has 10000008 bytes, too many to be read at once; give offset and limit to read some lines, search finds them";
    assert_eq!(told, refused);
    let line = |n: u32| format!("{n:099}\n");
    for (offset, limit, text) in [
        (1, 1, line(1) + "[lines 1-1 of a large file; go on with offset 2]\n"),
        (90_000, 2, line(90_000) + &line(90_001) + "[lines 90000-90001 of a large file; go on with offset 90002]\n"),
        (100_000, 1, line(100_000) + "[lines 100000-100000 of a large file; go on with offset 100001]\n"),
        (100_000, 2, line(100_000) + "the last"),
        (100_001, 9, "the last".into()),
    ] {
        assert_eq!(read(&room, json!({ "path": "large", "offset": offset, "limit": limit })).await, text);
    }
    let told = room.error_of_call(&ReadFile, json!({ "path": "large", "offset": 100_002 })).await;
    assert_eq!(told, "large has 100001 lines; the argument offset must not be more than that");
    room.stop();
    let told = room.error_of_call(&ReadFile, json!({ "path": "large", "offset": 2 })).await;
    assert_eq!(told, "large was not read: the turn was stopped first");
}

#[tokio::test]
async fn what_is_given_of_a_large_file_is_bounded_too() {
    let room = Room::new();
    let wide = "ä".repeat(MAX_OUTPUT_BYTES);
    room.file("large", format!("a{wide}\n{}", format!("{}\n", "x".repeat(199_999)).repeat(50)));
    let text = read(&room, json!({ "path": "large", "offset": 1 })).await;
    let (line, notes) = text.split_once('\n').unwrap();
    assert_eq!(line, format!("a{}", &wide[..MAX_OUTPUT_BYTES - 2]));
    let bytes = wide.len() + 2;
    assert_eq!(notes, format!("[line 1 has {bytes} bytes and is cut]\n[lines 1-1 of a large file; go on with offset 2]\n"));
    let text = read(&room, json!({ "path": "large", "offset": 2 })).await;
    assert_eq!(text, format!("{}\n[lines 2-2 of a large file; go on with offset 3]\n", "x".repeat(199_999)));
}

#[tokio::test]
async fn a_client_that_reads_files_is_asked_for_what_was_opened_inside() {
    let room = Room::new();
    room.editor.can(Abilities { reads: true, ..Abilities::default() });
    room.file("a", "disk");
    room.file("picture", b"\x89PNG\r\n\x1a\n\0");
    std::os::unix::fs::symlink("a", room.path("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", room.path("out")).unwrap();
    room.editor.answer(Ok("typed"));
    assert_eq!(read(&room, json!({ "path": "link" })).await, "[the editor's text, with changes that are not saved]\ntyped");
    room.editor.answer(Ok("disk"));
    assert_eq!(read(&room, json!({ "path": "a" })).await, "disk");
    room.editor.answer(Err(Refusal::NotFound));
    assert_eq!(read(&room, json!({ "path": "a" })).await, "disk");
    let path = room.path("a").to_string_lossy().into_owned();
    assert_eq!(room.editor.asked(), [Asked::Read(path.clone()), Asked::Read(path.clone()), Asked::Read(path)]);
    for answer in [Err(Refusal::Unable), Ok("disk\n")] {
        room.editor.answer(answer);
        assert_eq!(read(&room, json!({ "path": "a" })).await, "disk");
    }
    room.editor.answer(Err(Refusal::Said("busy".into())));
    let told = room.error_of_call(&ReadFile, json!({ "path": "a" })).await;
    assert_eq!(told, "a cannot be read as the user has it: the editor refused: busy");
    room.editor.asked();
    for path in ["picture", "out", "nothing"] {
        let _ = room.call(&ReadFile, json!({ "path": path })).await;
    }
    assert_eq!(room.editor.asked(), []);
}
