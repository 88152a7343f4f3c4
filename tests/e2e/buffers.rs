//! What the editor has open is the editor's: changes of it go through the editor, and what is not certain is told.

use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::path::Path;

/// An editor that has said what it can.
async fn able(home: &Home, dialect: Dialect, model: &str, capabilities: Value) -> Editor {
    let framing = if dialect == Dialect::Lsp { Framing::Headers } else { Framing::Lines };
    let mut editor = Editor::start(home, framing, dialect, &["--model", model]);
    let params = match dialect {
        Dialect::Lsp => json!({ "processId": null, "capabilities": capabilities }),
        Dialect::Acp => json!({ "protocolVersion": 1, "clientCapabilities": capabilities }),
    };
    editor.call("initialize", params).await;
    editor
}

async fn lsp(home: &Home, model: &str) -> Editor {
    able(home, Dialect::Lsp, model, json!({ "workspace": { "applyEdit": true, "workspaceEdit": { "documentChanges": true } } })).await
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// A model that changes `a.txt` and then ends.
fn edits(home: &Home, old: &str, new: &str) -> String {
    let input = json!({ "path": "a.txt", "edits": [{ "old_text": old, "new_text": new }] });
    home.script(&json!({ "steps": [[{ "tool_call": { "id": "c1", "name": "edit_file", "input": input } }], [{ "text": "done" }]] }))
}

impl Editor {
    /// What the model was told of its one call.
    async fn told(&mut self, session: &str, prompt: &Value, dialect: Dialect) -> (String, String) {
        assert_eq!(self.result(prompt).await["stopReason"], "end_turn");
        self.ignore_updates();
        let params = json!({ "sessionId": session, "sanitize": false });
        let mut export = self.call(if dialect == Dialect::Lsp { "session/export" } else { "_pillion/session/export" }, params).await;
        let export = if dialect == Dialect::Lsp { export["export"].take() } else { export["_meta"]["pillion"]["export"].take() };
        let parts = export["session"]["messages"][1]["parts"].as_array().expect("parts");
        let result = parts.iter().find(|part| part["kind"] == "tool_result").expect("a result");
        (result["status"].as_str().expect("a status").to_owned(), result["text"].as_str().expect("a text").to_owned())
    }

    async fn has_no_method(&mut self, question: &Value) {
        self.fails(question, -32601).await;
    }

    async fn fails(&mut self, question: &Value, code: i64) {
        let error = json!({ "code": code, "message": "it did not work" });
        self.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "error": error })).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_with_unsaved_changes_is_changed_by_the_editor() {
    let home = Home::new();
    let path = home.file("a.txt", "one\ntwo\n");
    let model = edits(&home, "2", "II");
    let mut editor = lsp(&home, &model).await;
    editor.opens(&uri(&path), "one\n2\n\u{1d11e}").await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "edit").await;
    editor.allows().await;
    let asked = editor.next("workspace/applyEdit").await;
    let range = json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 2, "character": 0 } });
    let change = json!({ "textDocument": { "uri": uri(&path), "version": 3 }, "edits": [{ "range": range, "newText": "II\n" }] });
    assert_eq!(asked["params"], json!({ "label": "pillion: a.txt", "edit": { "documentChanges": [change] } }));
    editor.respond(&asked["id"], json!({ "applied": true })).await;
    editor.changes(&uri(&path), 4, "one\nII\n\u{1d11e}").await;
    let told = "edited a.txt in 1 place; the change stands in the editor and is not saved yet: commands still see the file as it is on \
                the disk";
    assert_eq!(editor.told(&session, &prompt, Dialect::Lsp).await, ("completed".into(), told.into()));
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "one\ntwo\n");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_user_types_while_asked_is_never_lost() {
    let home = Home::new();
    let path = home.file("a.txt", "one\n");
    let model = edits(&home, "one", "two");
    let mut editor = lsp(&home, &model).await;
    editor.opens(&uri(&path), "one\n").await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "edit").await;
    let question = editor.next("session/request_permission").await;
    editor.changes(&uri(&path), 4, "one\ntyped\n").await;
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    let told = "a.txt was changed by somebody else in the meantime and is left as it is; read it again and then write";
    assert_eq!(editor.told(&session, &prompt, Dialect::Lsp).await, ("failed".into(), told.into()));
    // `finish` fails if the editor was asked for anything.
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_says_yes_to_an_old_version_is_not_believed() {
    for (typed, told) in [
        (None, "a.txt was not changed: the editor said that it had done it, but its text is the old one; read it again"),
        (
            Some("one\ntyped\n"),
            "a.txt was changed in the editor at the same moment, and its text is not the one that was to be written; \
             read it again to see what is there",
        ),
    ] {
        let home = Home::new();
        let path = home.file("a.txt", "one\n");
        let model = edits(&home, "one", "two");
        let mut editor = lsp(&home, &model).await;
        editor.opens(&uri(&path), "one\n").await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "edit").await;
        editor.allows().await;
        let asked = editor.next("workspace/applyEdit").await;
        if let Some(text) = typed {
            editor.changes(&uri(&path), 4, text).await;
        }
        editor.respond(&asked["id"], json!({ "applied": true })).await;
        assert_eq!(editor.told(&session, &prompt, Dialect::Lsp).await, ("failed".into(), told.into()));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "one\n");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_edits_nothing_keeps_its_unsaved_text_and_the_disk_has_the_rest() {
    for (open, status, on_disk) in [("one\n", "completed", "two\n"), ("one\ntyped\n", "failed", "one\n")] {
        let home = Home::new();
        let path = home.file("a.txt", "one\n");
        let model = edits(&home, "one", "two");
        let mut editor = able(&home, Dialect::Lsp, &model, json!({})).await;
        editor.opens(&uri(&path), open).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "edit").await;
        if status == "completed" {
            editor.allows().await;
        }
        assert_eq!(editor.told(&session, &prompt, Dialect::Lsp).await.0, status);
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), on_disk);
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acp_client_reads_and_writes_its_files_itself() {
    let conflict = "a.txt was changed by somebody else in the meantime and is left as it is; read it again and then write";
    for (second, told) in [("typed\n", "edited a.txt in 1 place"), ("typed\nmore\n", conflict)] {
        let home = Home::new();
        let path = home.file("a.txt", "disk\n");
        let model = edits(&home, "typed", "edited");
        let skills = json!({ "fs": { "readTextFile": true, "writeTextFile": true } });
        let mut editor = able(&home, Dialect::Acp, &model, skills).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "edit").await;
        let place = json!({ "sessionId": session, "path": path });
        let read = editor.next("fs/read_text_file").await;
        assert_eq!(read["params"], place);
        editor.respond(&read["id"], json!({ "content": "typed\n" })).await;
        editor.allows().await;
        let read = editor.next("fs/read_text_file").await;
        editor.respond(&read["id"], json!({ "content": second })).await;
        if told != conflict {
            let write = editor.next("fs/write_text_file").await;
            assert_eq!(write["params"], json!({ "sessionId": session, "path": path, "content": "edited\n" }));
            std::fs::write(&path, "edited\n").expect("the client writes");
            editor.respond(&write["id"], json!({})).await;
        }
        assert_eq!(editor.told(&session, &prompt, Dialect::Acp).await.1, told);
        editor.finish().await;
    }
}

/// Answers of every JSON type, and with what is almost right.
fn odd_answers() -> Vec<Value> {
    vec![json!([]), json!({}), json!(null), json!(true), json!(7), json!("text"), json!([{ "content": "x" }]), json!({ "content": [] })]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_client_answers_about_its_files_is_told_and_nothing_breaks() {
    let skills = json!({ "fs": { "readTextFile": true, "writeTextFile": true } });
    for answer in odd_answers() {
        let home = Home::new();
        home.file("a.txt", "disk\n");
        let mut editor = able(&home, Dialect::Acp, &edits(&home, "disk", "edited"), skills.clone()).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "edit").await;
        let read = editor.next("fs/read_text_file").await;
        editor.respond(&read["id"], answer.clone()).await;
        let (status, told) = editor.told(&session, &prompt, Dialect::Acp).await;
        assert_eq!(status, "failed", "{answer}: {told}");
        assert!(told.starts_with("a.txt cannot be changed without the editor's text of it: the editor failed: its answer is "), "{told}");
        editor.finish().await;
    }
    for answer in odd_answers() {
        let home = Home::new();
        let path = home.file("a.txt", "disk\n");
        let mut editor = able(&home, Dialect::Acp, &edits(&home, "disk", "edited"), skills.clone()).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "edit").await;
        let read = editor.next("fs/read_text_file").await;
        editor.respond(&read["id"], json!({ "content": "disk\n" })).await;
        editor.allows().await;
        let read = editor.next("fs/read_text_file").await;
        editor.respond(&read["id"], json!({ "content": "disk\n" })).await;
        let write = editor.next("fs/write_text_file").await;
        std::fs::write(&path, "edited\n").expect("the client writes");
        // The schema says that there is nothing to say.
        editor.respond(&write["id"], answer).await;
        assert_eq!(editor.told(&session, &prompt, Dialect::Acp).await, ("completed".into(), "edited a.txt in 1 place".into()));
        editor.finish().await;
    }
    let call = json!({ "outcome": ["selected", "allow_once"] });
    for answer in odd_answers().into_iter().chain([call, json!([{ "outcome": "selected", "optionId": "allow_once" }])]) {
        let home = Home::new();
        let path = home.file("a.txt", "disk\n");
        let mut editor = able(&home, Dialect::Acp, &edits(&home, "disk", "edited"), json!({})).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "edit").await;
        let card = editor.next("session/request_permission").await;
        editor.respond(&card["id"], answer.clone()).await;
        assert_eq!(editor.told(&session, &prompt, Dialect::Acp).await.0, "denied", "{answer}");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "disk\n");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_is_made_whichever_error_a_client_has_for_one_that_is_not_there() {
    for (code, writes) in [(-32603, true), (-32002, true), (-32000, true), (-32601, false)] {
        let home = Home::new();
        let path = home.workspace().join("new.txt");
        let input = json!({ "path": "new.txt", "content": "new\n" });
        let model = home
            .script(&json!({ "steps": [[{ "tool_call": { "id": "c1", "name": "write_file", "input": input } }], [{ "text": "done" }]] }));
        let skills = json!({ "fs": { "readTextFile": true, "writeTextFile": true } });
        let mut editor = able(&home, Dialect::Acp, &model, skills).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "write").await;
        let read = editor.next("fs/read_text_file").await;
        editor.fails(&read, code).await;
        editor.allows().await;
        let read = editor.next("fs/read_text_file").await;
        editor.fails(&read, code).await;
        let write = editor.next("fs/write_text_file").await;
        if writes {
            std::fs::write(&path, "new\n").expect("the client writes");
            editor.respond(&write["id"], json!(null)).await;
        } else {
            editor.fails(&write, code).await;
        }
        assert_eq!(editor.told(&session, &prompt, Dialect::Acp).await.0, "completed", "{code}");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "new\n");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_before_the_call_has_started_says_so() {
    let home = Home::new();
    home.file("a.txt", "one\n");
    let model = edits(&home, "one", "two");
    let mut editor = able(&home, Dialect::Acp, &model, json!({ "fs": { "readTextFile": true, "writeTextFile": true } })).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "edit").await;
    let read = editor.next("fs/read_text_file").await;
    let cancelled = editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(editor.next("$/cancel_request").await["params"]["requestId"], read["id"]);
    let abort = editor.result(&prompt).await["_meta"]["pillion"]["diagnostics"]["abort"].take();
    assert_eq!((&abort["phase"], &abort["tools_in_flight"]), (&json!("before_tool"), &json!([])));
    assert_eq!(abort["abort_id"], cancelled["_meta"]["pillion"]["abortId"]);
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_a_request_for_an_edit_back() {
    let home = Home::new();
    let path = home.file("a.txt", "one\n");
    let model = edits(&home, "one", "two");
    let mut editor = lsp(&home, &model).await;
    editor.opens(&uri(&path), "one\n").await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "edit").await;
    editor.allows().await;
    let asked = editor.next("workspace/applyEdit").await;
    editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(editor.next("$/cancelRequest").await["params"]["id"], asked["id"]);
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    editor.respond(&asked["id"], json!({ "applied": false })).await;
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_without_cards_asks_its_person_by_a_message() {
    for (answer, status) in
        [(json!({ "title": "Allow once" }), "completed"), (json!({ "title": "Reject once" }), "denied"), (Value::Null, "denied")]
    {
        let home = Home::new();
        let input = json!({ "command": "echo 'a\u{202e}b'\ntouch made" });
        let model =
            home.script(&json!({ "steps": [[{ "tool_call": { "id": "c1", "name": "shell", "input": input } }], [{ "text": "done" }]] }));
        let mut editor = able(&home, Dialect::Lsp, &model, json!({})).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "run").await;
        let card = editor.next("session/request_permission").await;
        editor.has_no_method(&card).await;
        let message = editor.next("window/showMessageRequest").await;
        let titles: Vec<_> = message["params"]["actions"].as_array().expect("actions").iter().map(|action| &action["title"]).collect();
        let names: Vec<_> = card["params"]["options"].as_array().expect("options").iter().map(|option| &option["name"]).collect();
        assert_eq!((titles, &message["params"]["type"]), (names, &json!(2)));
        let text = message["params"]["message"].as_str().expect("a message");
        assert!(text.contains("\necho 'a⟨U+202E⟩b'\ntouch made\n"), "the whole command, and nothing in it hidden: {text}");
        editor.respond(&message["id"], answer).await;
        assert_eq!(editor.told(&session, &prompt, Dialect::Lsp).await.0, status);
        assert_eq!(home.workspace().join("made").exists(), status == "completed");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_shows_the_whole_of_a_change_or_is_not_sent() {
    let lines = |word: &str| word.repeat(300) + "\n";
    for (new, status) in [("1\nthree".to_owned(), "completed"), (lines("four ") + &lines("five "), "denied")] {
        let home = Home::new();
        let path = home.file("a.txt", "zero\none\ntwo\n");
        let model = edits(&home, "one", &new);
        let mut editor = able(&home, Dialect::Lsp, &model, json!({})).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "edit").await;
        let card = editor.next("session/request_permission").await;
        editor.has_no_method(&card).await;
        if status == "completed" {
            let message = editor.next("window/showMessageRequest").await;
            let text = format!("pillion asks: Edit a.txt\n{}\n@ line 2\n- one\n+ 1\n+ three", path.display());
            assert_eq!(message["params"]["message"], text);
            editor.respond(&message["id"], json!({ "title": "Allow once" })).await;
        }
        let (said, told) = editor.told(&session, &prompt, Dialect::Lsp).await;
        assert_eq!(said, status);
        if status == "denied" {
            let why = "The call is too long to be shown whole, so nobody was asked and it was not run; make it in smaller parts.";
            assert_eq!(told, why);
        }
        let on_disk = if status == "completed" { "zero\n1\nthree\ntwo\n" } else { "zero\none\ntwo\n" };
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), on_disk);
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_a_message_back_too() {
    let home = Home::new();
    home.file("a.txt", "one\n");
    let model = edits(&home, "one", "two");
    let mut editor = able(&home, Dialect::Lsp, &model, json!({})).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "edit").await;
    let card = editor.next("session/request_permission").await;
    editor.has_no_method(&card).await;
    let message = editor.next("window/showMessageRequest").await;
    editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(editor.next("$/cancelRequest").await["params"]["id"], message["id"]);
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    editor.respond(&message["id"], Value::Null).await;
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_cannot_ask_at_all_is_a_no_at_once() {
    let home = Home::new();
    home.file("a.txt", "one\n");
    let input = json!({ "path": "a.txt", "edits": [{ "old_text": "one", "new_text": "two" }] });
    let call = |id: &str| json!([{ "tool_call": { "id": id, "name": "edit_file", "input": input } }]);
    let model = home.script(&json!({ "steps": [call("c1"), call("c2"), [{ "text": "done" }]] }));
    let mut editor = able(&home, Dialect::Lsp, &model, json!({})).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "edit").await;
    for method in ["session/request_permission", "window/showMessageRequest"] {
        let question = editor.next(method).await;
        editor.has_no_method(&question).await;
    }
    let told = "The client cannot ask for permission, so the call was not run.";
    assert_eq!(editor.told(&session, &prompt, Dialect::Lsp).await, ("denied".into(), told.into()));
    // The second call was asked about by nobody: `finish` would find the question.
    editor.finish().await;
}
