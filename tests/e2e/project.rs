//! A working day on a real project: the model reads and searches it, changes two files, one of them with unsaved words of the
//! user's own, runs the project's tests, is denied a command, and is stopped during another. The records tell it all.

use crate::support::fifo::{Fifo, all_gone};
use crate::support::journey::{configured, explained, export, fields};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MANIFEST: &str = "[package]\nname = \"fares\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[lib]\ndoctest = false\n\n[workspace]\n";
const LIBRARY: &str = "//! What a ride costs.\n\n/// In cents.\npub fn fare(zones: u32, is_child: bool) -> u32 {\n    let full = 120 + 80 * zones;\n    \
                       if is_child { full } else { full }\n}\n";
const CHANGES: &str = "# Changes\n\n- A ride costs 80 cents for each zone.\n";
const TESTS: &str = "use fares::fare;\n\n#[test]\nfn a_child_rides_for_half_the_fare() {\n    assert_eq!((fare(1, false), fare(1, true)), (200, 100));\n}\n";
/// Runs until somebody ends it.
const SOAK: &str = "fn main() {\n    std::fs::write(\"fifo\", std::process::id().to_string()).unwrap();\n    loop {\n        std::thread::park();\n    }\n}\n";
/// What the user has typed and not saved.
const TYPED: &str = "//! What a ride costs, in whole cents.\n";

fn project(home: &Home) {
    for directory in ["src", "tests", "examples"] {
        std::fs::create_dir(home.workspace().join(directory)).expect("a directory");
    }
    for (name, text) in
        [("Cargo.toml", MANIFEST), ("src/lib.rs", LIBRARY), ("CHANGES.md", CHANGES), ("tests/fares.rs", TESTS), ("examples/soak.rs", SOAK)]
    {
        home.file(name, text);
    }
}

fn call(id: &str, tool: &str, input: Value) -> Value {
    json!({ "tool_call": { "id": id, "name": tool, "input": input } })
}

fn edit(id: &str, path: &str, old: &str, new: &str) -> Value {
    call(id, "edit_file", json!({ "path": path, "edits": [{ "old_text": old, "new_text": new }] }))
}

fn command(id: &str, command: &str) -> Value {
    call(id, "shell", json!({ "command": command }))
}

fn model(home: &Home) -> String {
    home.script(&json!({ "steps": [
        [{ "text": "Let me look." }, call("look", "read_file", json!({ "path": "src/lib.rs" })),
         call("find", "search", json!({ "pattern": "half", "glob": "*.rs" }))],
        [edit("code", "src/lib.rs", "if is_child { full }", "if is_child { full / 2 }"),
         edit("note", "CHANGES.md", "each zone.\n", "each zone.\n- Children ride for half of it.\n")],
        [command("test", "cargo test --offline")],
        [command("push", "git push origin main")],
        [command("soak", "cargo run --offline --example soak")],
        [{ "text": "Never said." }],
    ] }))
}

/// The program that pillion is run with: the tools of this test's own build are first in its path.
fn program(home: &Home) -> Command {
    let mut program = configured(home, "[title]\nmodel = \"none\"\n");
    let cargo = std::env::var_os("CARGO").expect("tests are run by cargo");
    let tools = Path::new(&cargo).parent().expect("a directory").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(tools).chain(std::env::split_paths(&path));
    program.env("PATH", std::env::join_paths(path).expect("a path"));
    program
}

/// What `pillion explain` tells of the one stop, without ids and times.
fn told(home: &Home, what: &str) -> Vec<String> {
    let story = explained(home, what);
    let (_, stop) = story.split_once("Stop 1 of 1: ").expect("one stop");
    let stop = stop.split("\n\n").next().unwrap_or_default();
    let steady = |line: &str| {
        // How long something took, and how much cargo had to say.
        let (from, to) = if line.starts_with("output") { (" and ", " bytes that") } else { (" after ", "; ") };
        let untimed = match (line.rfind(from), line.find(to)) {
            (Some(from), Some(to)) if line.starts_with("call") || line.starts_with("output") => format!("{}{}", &line[..from], &line[to..]),
            _ => line.to_owned(),
        };
        untimed.split(' ').map(|word| if word.starts_with("conn_") { "conn," } else { word }).collect::<Vec<_>>().join(" ")
    };
    let known = |line: &&str| !["turn", "when", "time", "stood on", "hops", "model"].iter().any(|label| line.starts_with(label));
    stop.lines().skip(1).map(str::trim_start).filter(known).map(steady).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_on_a_project_is_told_by_its_records() {
    let home = Home::new();
    project(&home);
    let library = home.workspace().join("src/lib.rs");
    let uri = format!("file://{}", library.display());
    let mut editor = Editor::spawn(program(&home), Framing::Headers, Dialect::Lsp, &["--model", &model(&home)]);
    let workspace = json!({ "applyEdit": true, "workspaceEdit": { "documentChanges": true } });
    editor.call("initialize", json!({ "processId": null, "capabilities": { "workspace": workspace } })).await;
    let dirty = LIBRARY.replace("//! What a ride costs.\n", TYPED);
    editor.opens(&uri, &dirty).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "Children ride for half the fare. Make the tests pass, and push it.").await;

    // Both changes are asked about at once, as the user sees the files.
    for _ in 0..2 {
        editor.allows().await;
    }
    let change = editor.next("workspace/applyEdit").await;
    assert_eq!(change["params"]["edit"]["documentChanges"][0]["edits"][0]["newText"], "    if is_child { full / 2 } else { full }\n");
    let mended = dirty.replace("if is_child { full }", "if is_child { full / 2 }");
    editor.changes(&uri, 4, &mended).await;
    editor.respond(&change["id"], json!({ "applied": true })).await;

    // The user reads it, and saves it before the tests are run.
    let question = editor.next("session/request_permission").await;
    assert_eq!(std::fs::read_to_string(&library).expect("a file"), LIBRARY);
    std::fs::write(&library, &mended).expect("saved");
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    editor.answers("reject_once").await;
    let fifo = Fifo::new(&home);
    editor.allows().await;
    let soaking = fifo.watched().await;
    editor.notify("session/cancel", json!({ "sessionId": session, "initiator": "user", "source": "nvim.keymap" })).await;
    let answer = editor.result(&prompt).await;
    assert_eq!(answer["stopReason"], "cancelled");
    all_gone(soaking, Duration::ZERO).await;

    assert_eq!(std::fs::read_to_string(&library).expect("a file"), mended);
    assert_eq!(std::fs::read_to_string(home.workspace().join("CHANGES.md")).expect("a file").lines().count(), 4);

    // The export that may be shown to anybody.
    let sanitized = export(&mut editor, &session).await;
    let abort = &sanitized["diagnostics"]["aborts"][0];
    assert_eq!(
        fields(abort, &["cause", "phase", "initiator", "source", "ruled_out", "missing", "tools_in_flight", "forced"]),
        json!({
            "cause": "client_cancel", "phase": "tool_running", "initiator": "user", "source": "nvim.keymap", "forced": false, "missing": ["client"],
            "tools_in_flight": [{ "call_id": "soak", "tool": "shell", "effect": "process", "outcome": "stopped" }],
            "ruled_out": ["client_gone", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"],
        })
    );
    assert_eq!(answer["diagnostics"]["abort"]["abort_id"], abort["abort_id"]);
    let runs = sanitized["diagnostics"]["tool_runs"].as_array().expect("records").iter();
    assert_eq!(
        runs.map(|run| fields(run, &["call_id", "effect", "permission", "outcome", "exit_code", "signal"])).collect::<Vec<_>>(),
        [
            json!({ "call_id": "look", "effect": "read", "permission": "default", "outcome": "completed" }),
            json!({ "call_id": "find", "effect": "read", "permission": "default", "outcome": "completed" }),
            json!({ "call_id": "code", "effect": "write", "permission": "allowed", "outcome": "completed" }),
            json!({ "call_id": "note", "effect": "write", "permission": "allowed", "outcome": "completed" }),
            json!({ "call_id": "test", "effect": "process", "permission": "allowed", "outcome": "completed", "exit_code": 0 }),
            json!({ "call_id": "push", "effect": "process", "permission": "rejected", "outcome": "denied" }),
            json!({ "call_id": "soak", "effect": "process", "permission": "allowed", "outcome": "interrupted", "signal": "SIGTERM" }),
        ]
    );
    for word in ["fare", "cargo", "CHANGES", "origin"] {
        assert!(!sanitized.to_string().contains(word), "{word} in the sanitized export");
    }

    // The same as a story, for the user: with what each call was about.
    let calls = [
        ("read_file (read, look)", "src/lib.rs", "completed; nobody's word was needed"),
        ("search (read, find)", "half", "completed; nobody's word was needed"),
        ("edit_file (write, code)", "src/lib.rs", "completed; the client allowed it"),
        ("edit_file (write, note)", "CHANGES.md", "completed; the client allowed it"),
        ("shell (process, test)", "cargo test --offline", "completed (exit code 0); the client allowed it"),
        ("shell (process, push)", "git push origin main", "was not run; the client rejected it"),
        ("shell (process, soak)", "cargo run --offline --example soak", "was interrupted (SIGTERM); the client allowed it"),
    ];
    let story = |with_texts: bool| {
        let about = |text: &str| if with_texts { format!(" \"{text}\"") } else { String::new() };
        let mut story = vec![
            "what       The turn was cancelled by the user (nvim.keymap). [client_cancel]".to_owned(),
            "who        a client that gave no name by a notification (session/cancel) on conn, stdio_lsp; the client declared a user, source nvim.keymap"
                .into(),
            "phase      tool_running: a tool was running".into(),
            format!("running    shell (process, soak){} ended when it was told to", about(calls[6].1)),
        ];
        story.extend(calls.map(|(call, text, end)| format!("call       {call}{}: {end}", about(text))));
        story.extend([
            "title      disabled: no model is asked for titles".into(),
            "output     12 bytes of text and 0 bytes of reasoning, 21 updates sent; 12 bytes kept, bytes that soak had written; nothing was lost".into(),
            "ruled out  client_gone, signal, time_limit, provider_failure, turn_limit, pillion_failure".into(),
            "missing    client".into(),
            "retry      not without a look: it may repeat a change: edit_file (completed), edit_file (completed), shell (stopped), shell \
             (completed), so look at the result first; it shows output again: 21 updates had been sent"
                .into(),
        ]);
        story
    };
    let file = home.file("export.json", &sanitized.to_string());
    assert_eq!(told(&home, file.to_str().expect("a path")), story(false));
    assert_eq!(told(&home, &session), story(true));
    editor.ignore_updates();
    editor.finish().await;
}
