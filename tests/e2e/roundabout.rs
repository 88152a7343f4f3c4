//! Ways round what was decided: by links that lead elsewhere when a call runs than when it was judged, by pillion's own files, by
//! what an error tells. None of them leads anywhere.

use crate::support::journey::{configured, fields, full_export};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

fn call(id: &str, tool: &str, input: &Value) -> Value {
    json!({ "tool_call": { "id": id, "name": tool, "input": input } })
}

fn shell(id: &str, command: &str) -> Value {
    call(id, "shell", &json!({ "command": command }))
}

/// Runs the steps, with a yes to whatever is asked: gives the ids of the calls that were asked about, and what each call came to.
async fn told(home: &Home, program: Command, steps: &Value) -> (Vec<String>, Value) {
    let model = home.script(&json!({ "steps": steps }));
    let mut editor = Editor::spawn(program, Framing::Lines, Dialect::Lsp, &["--model", &model, "--title-model", "none"]);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    let prompt = editor.prompt(&session, "Go").await;
    let mut asked = Vec::new();
    loop {
        let message = editor.claim("the rest of the turn", |_| true).await;
        if message["method"] == "session/request_permission" {
            asked.push(message["params"]["toolCall"]["toolCallId"].as_str().expect("an id").to_owned());
            editor.respond(&message["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
        } else if message["id"] == prompt {
            assert_eq!(message["result"]["stopReason"], "end_turn", "{message}");
            break;
        }
    }
    let export = full_export(&mut editor, &session).await;
    let messages = export["session"]["messages"].as_array().expect("messages");
    let parts = messages.iter().flat_map(|message| message["parts"].as_array().expect("parts"));
    let results = parts.filter(|part| part["kind"] == "tool_result");
    let told = results.map(|part| (part["call_id"].as_str().expect("an id").to_owned(), part["text"].clone())).collect();
    editor.ignore_updates();
    editor.finish().await;
    (asked, Value::Object(told))
}

fn text<'t>(told: &'t Value, id: &str) -> &'t str {
    told[id].as_str().expect("a text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writable_directory_that_a_command_exchanges_for_a_link_lends_nothing_to_the_next_one() {
    let home = Home::new();
    let [tmp, outside] = ["temporary", "outside"].map(|name| home.workspace().with_file_name(name));
    for directory in [&tmp, &outside] {
        std::fs::create_dir(directory).expect("a directory");
    }
    let mut program = configured(&home, &format!("[sandbox]\nmode = \"require\"\nwritable = [\"{}\"]\n", tmp.display()));
    program.env("TMPDIR", &tmp);
    let exchange = format!("rmdir \"$TMPDIR\" && ln -s '{}' \"$TMPDIR\" && echo exchanged", outside.display());
    let steps = json!([[shell("exchange", &exchange)], [shell("write", "echo x > \"$TMPDIR/new\"")], [{ "text": "Done." }]]);
    let (asked, told) = told(&home, program, &steps).await;
    assert_eq!(asked, ["exchange", "write"]);
    assert_eq!(text(&told, "exchange"), "exchanged\n[exit code 0]\n");
    assert!(text(&told, "write").starts_with("the command has no scratch directory: "), "{told}");
    assert_eq!(std::fs::read_dir(&outside).expect("readable").count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_starts_where_it_was_shown_to_start_or_not_at_all() {
    let home = Home::new();
    for directory in ["safe", "evil"] {
        std::fs::create_dir(home.workspace().join(directory)).expect("a directory");
    }
    symlink("safe", home.workspace().join("d")).expect("a link");
    symlink("/etc", home.workspace().join("out")).expect("a link");
    let at = |id: &str, directory: &str| call(id, "shell", &json!({ "command": "pwd -P", "directory": directory }));
    let steps = json!([
        [at("inside", "d"), at("outside", "out"), at("nowhere", "no")],
        [shell("exchange", "ln -sfn evil d"), at("exchanged", "d")],
        [{ "text": "Done." }],
    ]);
    let (asked, told) = told(&home, home.command(), &steps).await;
    assert_eq!(asked, ["inside", "exchange", "exchanged"]);
    let safe = home.workspace().canonicalize().expect("a path").join("safe");
    assert_eq!(text(&told, "inside"), format!("{}\n[exit code 0]\n", safe.display()));
    assert!(text(&told, "outside").starts_with("out goes through a symbolic link that is absolute, leads out of the workspace"), "{told}");
    assert_eq!(text(&told, "nowhere"), "no does not exist; list_directory shows what is there");
    assert_eq!(text(&told, "exchanged"), "evil leads somewhere else by now than when this was decided on; call again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_is_what_was_judged() {
    let home = Home::new();
    home.file(".env", "KEY=hunter2\n");
    std::fs::create_dir_all(home.workspace().join("private/keys")).expect("a directory");
    home.file("private/keys/a.txt", "KEY=hunter2\n");
    symlink("private", home.workspace().join("link")).expect("a link");
    let program = configured(&home, "[permission]\nask = [\"read(.env)\", \"read(private/keys/)\"]\n");
    let path = |id: &str, tool: &str, path: &str| call(id, tool, &json!({ "path": path, "pattern": "KEY" }));
    let probe = |id: &str, old: &str| {
        let edits = json!([{ "old_text": old, "new_text": "x" }, { "old_text": "impossible!", "new_text": "y" }]);
        call(id, "edit_file", &json!({ "path": ".env", "edits": edits }))
    };
    let grown = |id: &str, old: &str| {
        call(id, "edit_file", &json!({ "path": ".env", "edits": [{ "old_text": old, "new_text": "A".repeat(1 << 21) }] }))
    };
    let steps = json!([
        [shell("link", "ln -s .env x"), path("read", "read_file", "x"), path("search", "search", "x"), path("glob", "glob", "x")],
        [path("through a link", "search", "link"), path("names", "list_directory", "private/keys"), path("by a link", "read_file", "link/keys/a.txt")],
        [probe("right", "KEY=h"), probe("wrong", "KEY=x"), grown("long", "KEY=h"), grown("not long", "KEY=x")],
        [{ "text": "Done." }],
    ]);
    let (asked, told) = told(&home, program, &steps).await;
    assert_eq!(asked, ["link", "names", "by a link"]);
    for id in ["read", "search", "glob"] {
        assert_eq!(text(&told, id), "x leads somewhere else by now than when this was decided on; call again");
    }
    assert_eq!(
        text(&told, "through a link"),
        "[no match in 0 files]\n[1 more, which the user is asked about before they are read; search them by name]\n"
    );
    for id in ["right", "wrong", "long", "not long"] {
        assert!(text(&told, id).starts_with(".env cannot be changed like that; nothing more is told"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_about_reading_does_not_blind_pillion_to_the_workspaces_own_rules() {
    let home = Home::new();
    std::fs::create_dir(home.workspace().join("secrets")).expect("a directory");
    home.file("secrets/a", "hunter2\n");
    home.file(".pillion.toml", "[permission]\ndeny = [\"read(.*)\", \"read(secrets/)\", \"edit(migrations/)\"]\n");
    let program = configured(&home, "[permission]\ndeny = [\"read(.*)\"]\n");
    let read = call("read", "read_file", &json!({ "path": "secrets/a" }));
    let write = call("write", "write_file", &json!({ "path": "migrations/1.sql", "content": "x", "create_parents": true }));
    let model = home.script(&json!({ "steps": [[{ "text": "One." }], [read, write], [{ "text": "Two." }]] }));
    let mut editor = Editor::spawn(program, Framing::Lines, Dialect::Lsp, &["--model", &model, "--title-model", "none"]);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    for _ in 0..2 {
        let prompt = editor.prompt(&session, "Go").await;
        assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    }
    let export = full_export(&mut editor, &session).await;
    let runs = export["diagnostics"]["tool_runs"].as_array().expect("records").iter();
    let denied = |id: &str, rule: &str| json!({ "call_id": id, "permission": "workspace_rule", "rule": rule, "outcome": "denied" });
    assert_eq!(
        runs.map(|run| fields(run, &["call_id", "permission", "rule", "outcome"])).collect::<Vec<_>>(),
        [denied("read", "read(secrets/)"), denied("write", "edit(migrations/)")]
    );
    assert!(!export.to_string().contains("hunter2"));
    assert!(!Path::new(&home.workspace().join("migrations")).exists());
    editor.ignore_updates();
    editor.finish().await;
}
