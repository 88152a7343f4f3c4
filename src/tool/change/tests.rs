//! Who writes a change, and what is told when it is not certain that it was made.

use super::*;
use crate::tool::documents::uri_of;
use crate::tool::editor_files::{Abilities, DocumentEdit, Point, Refusal, TextEdit};
use crate::tool::test_room::{Asked, Room};
use crate::tool::workspace::Confirmed;

const LSP: Abilities = Abilities { edits: true, reads: false, writes: false };
const ACP: Abilities = Abilities { edits: false, reads: true, writes: true };

const UNSAVED: &str = "; the change stands in the editor and is not saved yet: commands still see the file as it is on the disk";

async fn change(room: &Room, path: &str, text: &str) -> Result<Change, String> {
    let (place, context) = (room.place(path), room.context());
    Change::of(&place, Parents::MustExist, &context, |_| Ok(text.into())).await.map_err(|error| error.0)
}

/// As a call does it: planned, asked about while `meanwhile` happens, made.
async fn changed_while(room: &Room, path: &str, text: &str, meanwhile: impl FnOnce()) -> Result<&'static str, String> {
    let seen = change(room, path, text).await?.plan(String::new(), &room.context()).seen;
    meanwhile();
    let approved = Approved { seen, access: Access::Nothing, confirmed: Confirmed::No };
    change(room, path, text).await?.write(approved, &room.context()).await.map(Landing::note).map_err(|error| error.0)
}

async fn changed(room: &Room, path: &str, text: &str) -> Result<&'static str, String> {
    changed_while(room, path, text, || ()).await
}

/// An editor that has `name` open with `text`, and takes a change over as `then`.
fn open(room: &Room, name: &str, text: &str, then: &'static str) -> String {
    let uri = uri_of(&room.path(name));
    room.editor.can(LSP);
    room.editor.answer(Ok(""));
    room.documents.open(&uri, 7, text.into());
    let (documents, of) = (room.documents.clone(), uri.clone());
    room.editor.meanwhile(move || documents.change(&of, 8, then.into()));
    uri
}

#[tokio::test]
async fn an_open_document_is_changed_by_the_editor_in_the_lines_that_differ() {
    let room = Room::new();
    room.file("a", "disk\n");
    let uri = open(&room, "a", "one\ntwo\nthree\n", "one\n2\nthree\n");
    assert_eq!(changed(&room, "a", "one\n2\nthree\n").await, Ok(UNSAVED));
    let edit = TextEdit { start: Point { line: 1, character: 0 }, end: Point { line: 2, character: 0 }, text: "2\n".into() };
    let asked = DocumentEdit { label: "pillion: a".into(), uri, version: 7, edits: vec![edit] };
    assert_eq!(room.editor.asked(), [Asked::Apply(asked)]);
    assert_eq!(room.text("a"), "disk\n");
}

#[tokio::test]
async fn a_change_that_the_editor_saves_at_once_is_told_as_any_other() {
    let room = Room::new();
    room.file("a", "old\n");
    let uri = open(&room, "a", "old\n", "new\n");
    let (documents, path) = (room.documents.clone(), room.path("a"));
    room.editor.meanwhile(move || {
        documents.change(&uri, 8, "new\n".into());
        std::fs::write(&path, "new\n").unwrap();
    });
    assert_eq!(changed(&room, "a", "new\n").await, Ok(""));
}

#[tokio::test]
async fn a_text_that_the_editor_formats_as_it_saves_is_told_as_another() {
    let room = Room::new();
    room.file("a", "old\n");
    let uri = open(&room, "a", "old\n", "new\n");
    let (documents, path) = (room.documents.clone(), room.path("a"));
    // Both are read in one go, before anybody can look.
    room.editor.meanwhile(move || {
        documents.change(&uri, 8, "new  \n".into());
        documents.change(&uri, 9, "new\n".into());
        std::fs::write(&path, "new\n").unwrap();
    });
    let formatted = "; the editor has saved another text of it, as a formatter does: read it again before the next change";
    assert_eq!(changed(&room, "a", "new  \n").await, Ok(formatted));
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_what_the_document_has_in_the_end() {
    let no = || Refusal::Said("rolled back".into());
    let failed = || Refusal::Failed("it threw (error -32603)".into());
    let unchanged = "a was not changed: the editor refused: rolled back; read it again before the next try";
    let unknown = "whether a was changed is not known: the editor failed: it threw (error -32603); read it again to see";
    for (answer, texts, told) in [
        // Made and taken back.
        (no(), &["new", "old"][..], Err(unchanged)),
        // An error, and yet it is there; and one after which nobody knows.
        (failed(), &["new"], Ok(UNSAVED)),
        (failed(), &[], Err(unknown)),
    ] {
        let room = Room::new();
        room.file("a", "old");
        let uri = uri_of(&room.path("a"));
        room.editor.can(LSP);
        room.documents.open(&uri, 7, "old".into());
        room.editor.answer(Err(answer));
        let documents = room.documents.clone();
        room.editor.meanwhile(move || texts.iter().for_each(|text| documents.change(&uri, 8, (*text).into())));
        assert_eq!(changed(&room, "a", "new").await, told.map_err(str::to_owned));
    }
}

#[tokio::test]
async fn an_empty_file_may_be_shown_as_one_empty_line() {
    let room = Room::new();
    room.file("a", "");
    open(&room, "a", "\n", "x\n");
    let made = change(&room, "a", "x\n").await.unwrap();
    assert_eq!(made.old.as_deref(), Some(""));
    assert_eq!(changed(&room, "a", "x\n").await, Ok(UNSAVED));
}

#[tokio::test]
async fn a_document_without_a_file_is_written_where_it_is() {
    let room = Room::new();
    let uri = open(&room, "new.txt", "\n", "text\n");
    let made = change(&room, "new.txt", "text\n").await.unwrap();
    assert_eq!(made.old, None, "one empty line is the text of nothing");
    assert_eq!(changed(&room, "new.txt", "text\n").await, Ok(UNSAVED));
    let edit = TextEdit { start: Point::default(), end: Point { line: 1, character: 0 }, text: "text\n".into() };
    let asked = DocumentEdit { label: "pillion: new.txt".into(), uri, version: 7, edits: vec![edit] };
    assert_eq!(room.editor.asked(), [Asked::Apply(asked)]);
    assert!(!room.path("new.txt").exists());
}

#[tokio::test]
async fn what_the_user_types_while_asked_is_a_conflict_and_nothing_is_sent() {
    let room = Room::new();
    room.file("a", "disk");
    let uri = open(&room, "a", "shown", "never");
    let told = changed_while(&room, "a", "mine", || room.documents.change(&uri, 8, "typed".into())).await.unwrap_err();
    assert_eq!(told, "a was changed by somebody else in the meantime and is left as it is; read it again and then write");
    assert_eq!(room.editor.asked(), []);
}

#[tokio::test(start_paused = true)]
async fn a_yes_without_the_text_is_no_yes() {
    for (then, told) in [
        ("old", "a was not changed: the editor said that it had done it, but its text is the old one; read it again"),
        (
            "typed",
            "a was changed in the editor at the same moment, and its text is not the one that was to be written; read \
             it again to see what is there",
        ),
    ] {
        let room = Room::new();
        room.file("a", "old");
        open(&room, "a", "old", then);
        assert_eq!(changed(&room, "a", "new").await.unwrap_err(), told);
        assert_eq!(room.text("a"), "old");
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_a_no_and_an_end_are_told_apart() {
    let unknown = |why: &str| format!("whether a was changed is not known: {why}; read it again to see");
    for (answer, told) in [
        (None, unknown("the editor did not answer within 5 seconds")),
        (Some(Refusal::Gone), unknown("the connection to the editor ended")),
        (
            Some(Refusal::Said("not\nnow".into())),
            "a was not changed: the editor refused: not⟨U+000A⟩now; read it again before the next try".into(),
        ),
    ] {
        let room = Room::new();
        room.file("a", "old");
        open(&room, "a", "old", "old");
        *room.editor.answers.lock().unwrap() = answer.map(Err).into_iter().collect();
        assert_eq!(changed(&room, "a", "new").await.unwrap_err(), told);
    }
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_the_editor() {
    let room = Room::new();
    room.file("a", "old");
    open(&room, "a", "old", "old");
    room.editor.answers.lock().unwrap().clear();
    let seen = change(&room, "a", "new").await.unwrap().seen;
    let approved = Approved { seen: Some(seen), access: Access::Nothing, confirmed: Confirmed::No };
    let (change, context) = (change(&room, "a", "new").await.unwrap(), room.context());
    let (told, ()) = tokio::join!(change.write(approved, &context), async { room.stop() });
    assert_eq!(
        told.unwrap_err().0,
        "whether a was changed is not known: the turn was stopped while the editor was asked; read it again to see"
    );
}

#[tokio::test]
async fn a_protected_name_is_changed_in_the_editor_only_when_a_person_confirms() {
    let room = Room::new();
    room.file(".envrc", "old");
    let told = "is protected (.envrc): nothing is written there unless a person agrees to that very change";
    open(&room, ".envrc", "old", "new");
    assert_eq!(changed(&room, ".envrc", "new").await.unwrap_err(), format!(".envrc {told}"));
    room.documents.close(&uri_of(&room.path(".envrc")));
    room.editor.can(ACP);
    for _ in 0..3 {
        room.editor.answers.lock().unwrap().insert(0, Ok("old".into()));
    }
    assert_eq!(changed(&room, ".envrc", "new").await.unwrap_err(), format!(".envrc {told}"));
    let is_write = |asked: &Asked| matches!(asked, Asked::Apply(_) | Asked::Write(..));
    assert!(!room.editor.asked().iter().any(is_write));
    let change = change(&room, ".envrc", "new").await.unwrap();
    let approved = Approved { seen: Some(change.seen), access: Access::Nothing, confirmed: Confirmed::ByPerson };
    change.write(approved, &room.context()).await.unwrap();
    let path = room.path(".envrc").to_string_lossy().into_owned();
    assert_eq!(room.editor.asked(), [Asked::Read(path.clone()), Asked::Write(path, "new".into())]);
}

#[tokio::test]
async fn a_client_that_reads_and_writes_files_is_asked_before_each_write() {
    let room = Room::new();
    room.file("a", "disk\n");
    room.editor.can(ACP);
    let path = room.path("a").to_string_lossy().into_owned();
    for text in ["unsaved\n", "unsaved\n", ""] {
        room.editor.answer(Ok(text));
    }
    let unsure = "; the file on the disk has another text: it is not saved yet, or was formatted, so read it again";
    assert_eq!(changed(&room, "a", "new\n").await, Ok(unsure));
    assert_eq!(room.editor.asked(), [Asked::Read(path.clone()), Asked::Read(path.clone()), Asked::Write(path.clone(), "new\n".into())]);
    // The user typed.
    for text in ["unsaved\n", "typed\n"] {
        room.editor.answer(Ok(text));
    }
    let conflict = "a was changed by somebody else in the meantime and is left as it is; read it again and then write";
    assert_eq!(changed(&room, "a", "new\n").await.unwrap_err(), conflict);
    assert_eq!(room.editor.asked(), [Asked::Read(path.clone()), Asked::Read(path)]);
    // It does not know the file, or cannot say.
    room.editor.answer(Err(Refusal::NotFound));
    assert_eq!(change(&room, "a", "new\n").await.unwrap().old.as_deref(), Some("disk\n"));
    room.editor.answer(Err(Refusal::Said("busy".into())));
    let told = "a cannot be changed without the editor's text of it: the editor refused: busy";
    assert_eq!(change(&room, "a", "new\n").await.err().unwrap(), told);
}

#[tokio::test]
async fn a_client_that_only_reads_leaves_the_disk_to_pillion_unless_it_has_another_text() {
    let room = Room::new();
    room.file("a", "disk\n");
    room.editor.can(Abilities { writes: false, ..ACP });
    for _ in 0..2 {
        room.editor.answer(Ok("disk\n"));
    }
    assert_eq!(changed(&room, "a", "new\n").await, Ok(""));
    assert_eq!(room.text("a"), "new\n");
    room.editor.answer(Ok("typed\n"));
    let told = "a has changes in the editor that are not saved; ask the user to save or discard them first";
    assert_eq!(change(&room, "a", "x").await.err().unwrap(), told);
}

#[tokio::test]
async fn a_new_file_is_made_by_the_client_with_its_directories() {
    let room = Room::new();
    room.editor.can(ACP);
    room.editor.answer(Err(Refusal::Said("ENOENT".into())));
    room.editor.answer(Ok(""));
    let (place, context) = (room.place("d/e/f"), room.context());
    let change = Change::of(&place, Parents::Make, &context, |_| Ok("text".into())).await.unwrap();
    let approved = Approved { seen: Some(change.seen), access: Access::Nothing, confirmed: Confirmed::No };
    change.write(approved, &context).await.unwrap();
    assert!(room.path("d/e").is_dir() && !room.path("d/e/f").exists());
}

#[tokio::test]
async fn a_client_that_has_no_such_request_leaves_the_file_to_pillion() {
    let room = Room::new();
    room.editor.can(ACP);
    for _ in 0..2 {
        room.editor.answer(Err(Refusal::Unable));
    }
    room.editor.answer(Err(Refusal::Unable));
    assert_eq!(changed(&room, "a", "new\n").await, Ok(""));
    assert_eq!(room.text("a"), "new\n");
    // It has another text than the disk, and then it cannot write it.
    for answer in [Ok("typed\n"), Ok("typed\n"), Err(Refusal::Unable)] {
        room.editor.answer(answer);
    }
    assert!(changed(&room, "a", "x\n").await.unwrap_err().starts_with("a was changed by somebody else"));
    assert_eq!(room.text("a"), "new\n");
}

#[tokio::test]
async fn what_a_client_reads_line_by_line_keeps_its_ends() {
    let room = Room::new();
    room.file("a", "one\r\ntwo\r\n");
    room.editor.can(ACP);
    for text in ["one\ntwo", "one\nthree"] {
        room.editor.answer(Ok(text));
    }
    assert_eq!(change(&room, "a", "x").await.unwrap().old.as_deref(), Some("one\r\ntwo\r\n"));
    assert_eq!(change(&room, "a", "x").await.unwrap().old.as_deref(), Some("one\r\nthree\r\n"));
    room.editor.can(Abilities { writes: false, ..ACP });
    for _ in 0..2 {
        room.editor.answer(Ok("one\ntwo"));
    }
    assert_eq!(changed(&room, "a", "new\n").await, Ok(""), "nothing of it is unsaved");
}

#[tokio::test]
async fn bytes_of_no_known_encoding_are_never_left_to_an_editor_that_may_lose_them() {
    let room = Room::new();
    room.file("a", b"caf\xe9 1\n");
    open(&room, "a", "caf\u{fffd} 1\n", "never");
    let text = "caf\u{e9} 2\n";
    assert_eq!(changed(&room, "a", text).await, Ok(""));
    assert_eq!(std::fs::read(room.path("a")).unwrap(), b"caf\xe9 2\n");
    assert_eq!(room.editor.asked(), []);
}
