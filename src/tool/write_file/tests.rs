//! A write shows what it will do, does exactly that, or does nothing.

use super::*;
use crate::policy::{Access, WriteAccess};
use crate::protocol::update::{ToolCallContent, ToolLocation};
use crate::tool::documents::uri_of;
use crate::tool::test_room::Room;
use crate::tool::workspace::{Confirmed, Seen};

async fn plan(room: &Room, input: &Value) -> Result<ToolPlan, String> {
    WriteFile.plan(input, &room.context()).await.map_err(|error| error.0)
}

async fn run(room: &Room, input: &Value, seen: Option<Seen>) -> Result<ToolOutput, String> {
    let approved = Approved { seen, access: Access::Nothing, confirmed: Confirmed::No };
    WriteFile.run(input.clone(), approved, room.context()).await.map_err(|error| error.0)
}

fn diff(room: &Room, name: &str, old: Option<&str>, new: &str) -> Vec<ToolCallContent> {
    let path = room.path(name).to_string_lossy().into_owned();
    vec![ToolCallContent::Diff { path, old_text: old.map(Into::into), new_text: new.into() }]
}

#[tokio::test]
async fn the_plan_asks_with_the_diff_and_the_run_does_it() {
    let room = Room::new();
    room.file("a.rs", "old\r\n");
    let input = json!({ "path": "a.rs", "content": "new\nlines" });
    let planned = plan(&room, &input).await.unwrap();
    let path = room.path("a.rs").to_string_lossy().into_owned();
    let expected = ToolPlan {
        title: "Replace a.rs".into(),
        locations: vec![ToolLocation { path, line: None }],
        content: diff(&room, "a.rs", Some("old\r\n"), "new\r\nlines\r\n"),
        access: Access::Write(WriteAccess { path: "a.rs".into(), protected: None }),
        seen: Some(Seen::contents(b"old\r\n")),
    };
    assert_eq!(planned, expected);
    assert_eq!(room.text("a.rs"), "old\r\n");
    let output = run(&room, &input, planned.seen).await.unwrap();
    assert_eq!(output, ToolOutput { content: expected.content, ..ToolOutput::text("replaced a.rs: 12 bytes") });
    assert_eq!(room.text("a.rs"), "new\r\nlines\r\n");
}

#[tokio::test]
async fn a_new_file_is_made_with_its_directories_on_request() {
    let room = Room::new();
    let told = plan(&room, &json!({ "path": "a/b.txt", "content": "x" })).await.unwrap_err();
    assert_eq!(told, "the directory a does not exist; write_file makes it if create_parents is true");
    let input = json!({ "path": "a/b.txt", "content": "x", "create_parents": true });
    let planned = plan(&room, &input).await.unwrap();
    assert_eq!((planned.title.as_str(), planned.seen), ("Create a/b.txt", Some(Seen::Nothing)));
    assert_eq!(planned.content, diff(&room, "a/b.txt", None, "x"));
    assert!(!room.path("a").exists());
    assert_eq!(run(&room, &input, planned.seen).await.unwrap().text, "created a/b.txt: 1 bytes");
    assert_eq!(room.text("a/b.txt"), "x");
}

#[tokio::test]
async fn a_change_while_the_user_is_asked_is_a_conflict() {
    let room = Room::new();
    room.file("a", "shown");
    let input = json!({ "path": "a", "content": "mine" });
    let conflict = "a was changed by somebody else in the meantime and is left as it is; read it again and then write";
    let seen = plan(&room, &input).await.unwrap().seen;
    room.file("a", "theirs");
    assert_eq!(run(&room, &input, seen).await.unwrap_err(), conflict);
    assert_eq!(room.text("a"), "theirs");
    std::fs::remove_file(room.path("a")).unwrap();
    assert_eq!(run(&room, &input, seen).await.unwrap_err(), conflict);
    let seen = plan(&room, &input).await.unwrap().seen;
    room.file("a", "appeared");
    assert_eq!(run(&room, &input, seen).await.unwrap_err(), conflict);
    assert_eq!(room.text("a"), "appeared");
}

#[tokio::test]
async fn unsaved_changes_are_never_written_over() {
    let room = Room::new();
    room.file("a", "\u{feff}disk");
    let input = json!({ "path": "a", "content": "mine" });
    let dirty = "a has changes in the editor that are not saved; ask the user to save or discard them first";
    let uri = uri_of(&room.path("a"));
    // Open and as on the disk: no obstacle.
    room.documents.open(&uri, 1, "disk".into());
    let seen = plan(&room, &input).await.unwrap().seen;
    room.documents.change(&uri, 2, "typing".into());
    assert_eq!(run(&room, &input, seen).await.unwrap_err(), dirty);
    assert_eq!(plan(&room, &input).await.unwrap_err(), dirty);
    assert_eq!(room.text("a"), "\u{feff}disk");
    // The same through a link, and for a document that has no file yet.
    room.documents.close(&uri);
    std::os::unix::fs::symlink("a", room.path("link")).unwrap();
    room.documents.open(&uri_of(&room.path("link")), 1, "typing".into());
    assert_eq!(plan(&room, &input).await.unwrap_err(), dirty);
    room.documents.open(&uri_of(&room.path("new")), 1, "draft".into());
    assert!(plan(&room, &json!({ "path": "new", "content": "mine" })).await.unwrap_err().starts_with("new has changes in the editor"));
}

#[tokio::test]
async fn nothing_is_written_that_nobody_was_shown_or_after_a_stop() {
    let room = Room::new();
    let input = json!({ "path": "a", "content": "x" });
    let told = run(&room, &input, None).await.unwrap_err();
    assert_eq!(told, "a was not written: nobody was shown the change");
    let seen = plan(&room, &input).await.unwrap().seen;
    room.stop();
    let told = run(&room, &input, seen).await.unwrap_err();
    assert_eq!(told, "a was not written: the turn was stopped first");
    assert!(!room.path("a").exists());
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_before_anybody_is_asked() {
    let room = Room::new();
    room.file("same", "text\n");
    room.file("latin", b"caf\xe9");
    std::fs::File::create(room.path("large")).unwrap().set_len((1 << 20) + 1).unwrap();
    for (path, told) in [
        ("same", "same has exactly this text already; there is nothing to write"),
        ("latin", "latin is neither UTF-8 nor UTF-16, and writing would change its encoding; edit_file changes plain ASCII in it"),
        ("large", "large has more than 1048576 bytes, the most that can be taken here"),
        ("../x", "../x is outside the workspace; give a path inside it"),
        (".", ". is a directory; give the path of a file"),
    ] {
        assert_eq!(plan(&room, &json!({ "path": path, "content": "text" })).await.unwrap_err(), told);
    }
    let told = plan(&room, &json!({ "path": "a", "content": "x".repeat(MAX_CONTENT_BYTES + 1) })).await.unwrap_err();
    assert_eq!(told, "the argument content has 1048577 bytes; at most 1048576 are written");
    assert_eq!(plan(&room, &json!({ "path": "a" })).await.unwrap_err(), "the argument content is missing; it must be a string");
    let flag = json!({ "path": "a", "content": "", "create_parents": "yes" });
    assert_eq!(plan(&room, &flag).await.unwrap_err(), "the argument create_parents must be true or false, not a string");
}

#[tokio::test]
async fn a_protected_name_is_told_in_the_plan_and_written_only_when_a_person_confirms() {
    let room = Room::new();
    let input = json!({ "path": ".vscode/tasks.json", "content": "{}", "create_parents": true });
    let planned = plan(&room, &input).await.unwrap();
    let access = WriteAccess { path: ".vscode/tasks.json".into(), protected: Some(".vscode".into()) };
    assert_eq!(planned.access, Access::Write(access));
    let told = run(&room, &input, planned.seen).await.unwrap_err();
    assert_eq!(told, ".vscode/tasks.json is protected (.vscode): nothing is written there unless a person agrees to that very change");
    assert!(!room.path(".vscode").exists());
    let approved = Approved { seen: planned.seen, access: Access::Nothing, confirmed: Confirmed::ByPerson };
    WriteFile.run(input, approved, room.context()).await.unwrap();
    assert_eq!(room.text(".vscode/tasks.json"), "{}");
}
