//! How freely a session may act: its mode, and what its person has said once and for all.

use crate::support::{Editor, Home};
use serde_json::{Value, json};

/// A step in which the model writes these files; the calls are named by the files and `step`.
fn writes(step: usize, paths: &[&str]) -> Value {
    let write = |path: &&str| {
        let input = json!({ "path": path, "content": "new\n" });
        json!({ "tool_call": { "id": format!("{path} {step}"), "name": "write_file", "input": input } })
    };
    paths.iter().map(write).collect()
}

/// A model that writes the files of each prompt and then says that it is done.
fn writer(home: &Home, prompts: &[&[&str]]) -> String {
    let steps: Vec<_> = prompts.iter().enumerate().flat_map(|(at, paths)| [writes(at + 1, paths), json!([{ "text": "Done." }])]).collect();
    home.script(&json!({ "steps": steps }))
}

/// A session that has been put into this mode.
async fn session_in(editor: &mut Editor, home: &Home, mode: &str) -> String {
    let session = editor.new_session(home).await;
    set_mode(editor, &session, mode).await;
    session
}

async fn set_mode(editor: &mut Editor, session: &str, mode: &str) {
    assert_eq!(editor.call("session/set_mode", json!({ "sessionId": session, "modeId": mode })).await, json!({}));
}

/// Waits for the question about this call and chooses; gives the options that were offered and the reason, if one was.
async fn choose(editor: &mut Editor, call: &str, option: &str) -> (Vec<String>, Value) {
    let question = editor.next("session/request_permission").await;
    let params = &question["params"];
    assert_eq!(params["toolCall"]["toolCallId"], call, "{question}");
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": option } })).await;
    let options = params["options"].as_array().expect("options").iter();
    let offered = options.map(|option| option["optionId"].as_str().expect("an id").to_owned()).collect();
    (offered, params["toolCall"]["content"][1]["content"]["text"].clone())
}

/// Waits for the end of the turn, with no question in it, and gives how each call ended and what was told of it.
async fn ended(editor: &mut Editor, prompt: &Value) -> Vec<(String, String, Value)> {
    let all = editor.all_until(prompt).await;
    assert!(all.iter().all(|message| message["method"] != "session/request_permission"), "{all:#?}");
    assert_eq!(all.last().expect("an answer")["result"]["stopReason"], "end_turn");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let updates = all.iter().map(|message| &message["params"]["update"]);
    let ends = updates.filter(|update| update["sessionUpdate"] == "tool_call_update" && update["status"] != "in_progress");
    // A no is a result at once, while calls before it may still run: they are told by their ids.
    let mut ends: Vec<_> =
        ends.map(|end| (text(&end["toolCallId"]), text(&end["status"]), end["content"][0]["content"]["text"].clone())).collect();
    ends.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    ends
}

fn end(call: &str, status: &str, told: impl Into<Value>) -> (String, String, Value) {
    (call.into(), status.into(), told.into())
}

/// What is written shows its diff and no text.
fn written(call: &str) -> (String, String, Value) {
    end(call, "completed", Value::Null)
}

const READ_ONLY: &str = "The call was not run: the session is in the mode read_only, in which nothing is changed and no command is run.";
const ALL: [&str; 4] = ["allow_once", "allow_always", "reject_once", "reject_always"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_shows_its_modes_and_refuses_one_that_does_not_exist() {
    let home = Home::new();
    let mut editor = Editor::lsp(&home, &[]).await;
    let new = editor.call("session/new", json!({ "cwd": home.workspace() })).await;
    let modes = json!([
        { "id": "read_only", "name": "Read only", "description": "Reads and searches; changes no file and runs no command" },
        { "id": "ask", "name": "Ask", "description": "Asks before a file is changed or a command is run" },
        {
            "id": "auto_edit",
            "name": "Auto edit",
            "description": "Changes files of the workspace without asking; asks before a command is run",
        },
    ]);
    assert_eq!(new["modes"], json!({ "currentModeId": "ask", "availableModes": modes }));
    let session = new["sessionId"].as_str().expect("an id");
    let request = editor.request("session/set_mode", json!({ "sessionId": session, "modeId": "yolo" })).await;
    let error = editor.error(&request).await;
    assert_eq!((&error["code"], &error["data"]), (&json!(-32602), &json!({ "field": "modeId" })), "{error}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("must be one of `read_only`, `ask`, `auto_edit`"), "{message}");

    set_mode(&mut editor, session, "read_only").await;
    let again = editor.call("session/resume", json!({ "sessionId": session })).await;
    assert_eq!(again["modes"], json!({ "currentModeId": "read_only", "availableModes": modes }));
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_denies_at_once_and_auto_edit_writes_at_once() {
    let home = Home::new();
    let model = writer(&home, &[&["a.txt"]]);
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    for (mode, expected) in [("read_only", end("a.txt 1", "failed", READ_ONLY)), ("auto_edit", written("a.txt 1"))] {
        let session = session_in(&mut editor, &home, mode).await;
        let prompt = editor.prompt(&session, "write").await;
        assert_eq!(ended(&mut editor, &prompt).await, [expected], "{mode}");
        assert_eq!(home.workspace().join("a.txt").exists(), mode == "auto_edit");
    }
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_edit_asks_for_names_that_programs_obey_and_takes_no_lasting_answer() {
    let paths = [".git/hooks/pre-commit", ".vscode/tasks.json", "sub/.envrc", ".pillion.toml"];
    let home = Home::new();
    for directory in [".git/hooks", ".vscode", "sub"] {
        std::fs::create_dir_all(home.workspace().join(directory)).expect("a directory");
    }
    let model = writer(&home, &[&paths, &paths]);
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = session_in(&mut editor, &home, "auto_edit").await;
    // An answer that was not offered is none.
    for (step, option, status) in [(1, "allow_always", "failed"), (2, "allow_once", "completed")] {
        let prompt = editor.prompt(&session, "write").await;
        for (path, name) in paths.iter().zip([".git", ".vscode", ".envrc", ".pillion.toml"]) {
            let (offered, why) = choose(&mut editor, &format!("{path} {step}"), option).await;
            assert_eq!(offered, ["allow_once", "reject_once"]);
            assert_eq!(why, format!("Asked because programs obey what stands in {name}: look at it closely."));
        }
        let ends: Vec<_> = ended(&mut editor, &prompt).await.into_iter().map(|(path, status, _)| (path, status)).collect();
        let mut expected = paths.map(|path| (format!("{path} {step}"), status.to_owned()));
        expected.sort();
        assert_eq!(ends, expected);
        assert!(paths.iter().all(|path| home.workspace().join(path).exists() == (status == "completed")));
    }
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mode_that_is_set_while_a_turn_runs_counts_for_its_next_call() {
    let home = Home::new();
    let model =
        home.script(&json!({ "steps": [writes(1, &["a.txt"]), writes(1, &["b.txt"]), writes(1, &["c.txt"]), [{ "text": "Done." }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "write").await;
    let question = editor.next("session/request_permission").await;
    assert_eq!(question["params"]["toolCall"]["toolCallId"], "a.txt 1");
    set_mode(&mut editor, &session, "auto_edit").await;
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    assert_eq!(ended(&mut editor, &prompt).await, [written("a.txt 1"), written("b.txt 1"), written("c.txt 1")]);

    // Also against a yes that was asked for before.
    for path in ["a.txt", "b.txt", "c.txt"] {
        std::fs::remove_file(home.workspace().join(path)).expect("it was written");
    }
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "write").await;
    let question = editor.next("session/request_permission").await;
    set_mode(&mut editor, &session, "read_only").await;
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    let denied = ["a.txt 1", "b.txt 1", "c.txt 1"].map(|call| end(call, "failed", READ_ONLY));
    assert_eq!(ended(&mut editor, &prompt).await, denied);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_for_the_session_holds_for_that_file_until_the_session_is_closed() {
    let home = Home::new();
    let model = writer(&home, &[&["a.txt", "b.txt"], &["a.txt", "b.txt", "sub/a.txt"]]);
    std::fs::create_dir(home.workspace().join("sub")).expect("a directory");
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let again = |home: &Home| std::fs::write(home.workspace().join("a.txt"), "old\n").expect("a file");
    let rejected = "The call was rejected for the whole session and not run; do not ask for it again.";
    let remembered = "The call was not run: it was rejected for the whole session.";
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "write").await;
    assert_eq!(choose(&mut editor, "a.txt 1", "allow_always").await, (ALL.map(str::to_owned).to_vec(), Value::Null));
    choose(&mut editor, "b.txt 1", "reject_always").await;
    assert_eq!(ended(&mut editor, &prompt).await, [written("a.txt 1"), end("b.txt 1", "failed", rejected)]);

    // The same two need no word any more; a file of the same name elsewhere does.
    again(&home);
    let prompt = editor.prompt(&session, "again").await;
    choose(&mut editor, "sub/a.txt 2", "reject_once").await;
    let not_run = "The call was rejected and not run.";
    let ends = [written("a.txt 2"), end("b.txt 2", "failed", remembered), end("sub/a.txt 2", "failed", not_run)];
    assert_eq!(ended(&mut editor, &prompt).await, ends);

    // Another session knows nothing of it, and neither does the same one when it is opened again.
    again(&home);
    let other = editor.new_session(&home).await;
    let prompt = editor.prompt(&other, "write").await;
    for call in ["a.txt 1", "b.txt 1"] {
        choose(&mut editor, call, "reject_once").await;
    }
    assert_eq!(ended(&mut editor, &prompt).await, ["a.txt 1", "b.txt 1"].map(|call| end(call, "failed", not_run)));
    editor.call("session/close", json!({ "sessionId": session })).await;
    editor.call("session/load", json!({ "sessionId": session })).await;
    editor.ignore_updates();
    let prompt = editor.prompt(&session, "once more").await;
    // The script begins anew with it, and its ids are told apart from those of the first time.
    for call in ["a.txt 1-2", "b.txt 1-2"] {
        choose(&mut editor, call, "reject_once").await;
    }
    assert_eq!(ended(&mut editor, &prompt).await, ["a.txt 1-2", "b.txt 1-2"].map(|call| end(call, "failed", not_run)));
    editor.finish().await;
}
