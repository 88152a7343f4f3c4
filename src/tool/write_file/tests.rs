//! A write shows what it will do, does exactly that, or does nothing.

use super::*;
use crate::tool::documents::uri_of;
use crate::tool::test_room::Room;

fn plan(room: &Room, input: &Value) -> Result<ToolPlan, String> {
    WriteFile.plan(input, &room.context()).map_err(|error| error.0)
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
    let planned = plan(&room, &input).unwrap();
    let path = room.path("a.rs").to_string_lossy().into_owned();
    let expected = ToolPlan {
        title: "Replace a.rs".into(),
        locations: vec![ToolLocation { path, line: None }],
        content: diff(&room, "a.rs", Some("old\r\n"), "new\r\nlines\r\n"),
        gate: Gate::Ask,
        seen: Some(Seen::contents(b"old\r\n")),
    };
    assert_eq!(planned, expected);
    assert_eq!(room.text("a.rs"), "old\r\n");
    let output = WriteFile.run(input, planned.seen, room.context()).await.unwrap();
    assert_eq!(output, ToolOutput { text: "replaced a.rs: 12 bytes".into(), content: expected.content });
    assert_eq!(room.text("a.rs"), "new\r\nlines\r\n");
}

#[tokio::test]
async fn a_new_file_is_made_with_its_directories_on_request() {
    let room = Room::new();
    let told = plan(&room, &json!({ "path": "a/b.txt", "content": "x" })).unwrap_err();
    assert_eq!(told, "the directory a does not exist; set create_parents to true to have it made");
    let input = json!({ "path": "a/b.txt", "content": "x", "create_parents": true });
    let planned = plan(&room, &input).unwrap();
    assert_eq!((planned.title.as_str(), planned.seen), ("Make a/b.txt", Some(Seen::Nothing)));
    assert_eq!(planned.content, diff(&room, "a/b.txt", None, "x"));
    assert!(!room.path("a").exists());
    assert_eq!(WriteFile.run(input, planned.seen, room.context()).await.unwrap().text, "made a/b.txt: 1 bytes");
    assert_eq!(room.text("a/b.txt"), "x");
}

#[tokio::test]
async fn a_change_while_the_user_is_asked_is_a_conflict() {
    let room = Room::new();
    room.file("a", "shown");
    let input = json!({ "path": "a", "content": "mine" });
    let conflict = "a was changed by somebody else in the meantime and is left as it is; read it again and then write";
    let seen = plan(&room, &input).unwrap().seen;
    room.file("a", "theirs");
    assert_eq!(WriteFile.run(input.clone(), seen, room.context()).await.unwrap_err().0, conflict);
    assert_eq!(room.text("a"), "theirs");
    std::fs::remove_file(room.path("a")).unwrap();
    assert_eq!(WriteFile.run(input.clone(), seen, room.context()).await.unwrap_err().0, conflict);
    let seen = plan(&room, &input).unwrap().seen;
    room.file("a", "appeared");
    assert_eq!(WriteFile.run(input, seen, room.context()).await.unwrap_err().0, conflict);
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
    let seen = plan(&room, &input).unwrap().seen;
    room.documents.change(&uri, 2, "typing".into());
    assert_eq!(WriteFile.run(input.clone(), seen, room.context()).await.unwrap_err().0, dirty);
    assert_eq!(plan(&room, &input).unwrap_err(), dirty);
    assert_eq!(room.text("a"), "\u{feff}disk");
    // The same through a link, and for a document that has no file yet.
    room.documents.close(&uri);
    std::os::unix::fs::symlink("a", room.path("link")).unwrap();
    room.documents.open(&uri_of(&room.path("link")), 1, "typing".into());
    assert_eq!(plan(&room, &input).unwrap_err(), dirty);
    room.documents.open(&uri_of(&room.path("new")), 1, "draft".into());
    assert!(plan(&room, &json!({ "path": "new", "content": "mine" })).unwrap_err().starts_with("new has changes in the editor"));
}

#[tokio::test]
async fn nothing_is_written_that_nobody_was_shown_or_after_a_stop() {
    let room = Room::new();
    let input = json!({ "path": "a", "content": "x" });
    let told = WriteFile.run(input.clone(), None, room.context()).await.unwrap_err().0;
    assert_eq!(told, "a was not written: nobody was shown the change");
    let seen = plan(&room, &input).unwrap().seen;
    room.stop();
    let told = WriteFile.run(input, seen, room.context()).await.unwrap_err().0;
    assert_eq!(told, "a was not written: the turn was stopped first");
    assert!(!room.path("a").exists());
}

#[test]
fn what_cannot_be_written_is_refused_before_anybody_is_asked() {
    let room = Room::new();
    room.file("same", "text\n");
    room.file("latin", b"caf\xe9");
    room.file(".git/config", "");
    std::fs::File::create(room.path("large")).unwrap().set_len((1 << 20) + 1).unwrap();
    for (path, told) in [
        ("same", "same has exactly this text already; there is nothing to write"),
        ("latin", "latin is not UTF-8, and writing would change its encoding; ask the user to change it by hand"),
        (".git/config", ".git/config is protected (.git): pillion never writes there; ask the user to change it by hand"),
        ("large", "large has more than 1048576 bytes, the most that can be taken here"),
        ("../x", "../x leads out of the workspace; give a path inside it"),
        (".", ". is a directory; give the path of a file"),
    ] {
        assert_eq!(plan(&room, &json!({ "path": path, "content": "text" })).unwrap_err(), told);
    }
    let told = plan(&room, &json!({ "path": "a", "content": "x".repeat(MAX_CONTENT_BYTES + 1) })).unwrap_err();
    assert_eq!(told, "the argument content has 1048577 bytes; at most 1048576 are written");
    assert_eq!(plan(&room, &json!({ "path": "a" })).unwrap_err(), "the argument content is missing; it must be a string");
    let flag = json!({ "path": "a", "content": "", "create_parents": "yes" });
    assert_eq!(plan(&room, &flag).unwrap_err(), "the argument create_parents must be true or false, not a string");
}
