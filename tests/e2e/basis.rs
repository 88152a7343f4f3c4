//! What a turn stood on: the record says it in hashes and names, and nothing of what it hashes leaves with it.

use crate::support::journey::{UNTITLED, configured, explained, export, fields, full_export};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const AGENTS: &str = "Answer in rhymes about the secret ferry.\n";

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The basis of the last turn, as it is exported.
fn last_basis(export: &Value) -> Value {
    export["diagnostics"]["turn_bases"].as_array().expect("records").last().expect("a record").clone()
}

/// A turn in this mode, with these rules, of an editor that can do this; gives its basis as everybody may see it, and in full.
async fn basis(home: &Home, rules: &str, capabilities: Value, mode: &str, trust: bool) -> (Value, Value) {
    let model = home.script(&json!({ "steps": [[{ "text": "done" }]] }));
    let command = configured(home, &format!("model = \"{model}\"\n[permission]\n{rules}\n"));
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &UNTITLED);
    editor.call("initialize", json!({ "processId": null, "capabilities": capabilities })).await;
    let session = editor.new_session(home).await;
    editor.call("session/set_mode", json!({ "sessionId": session, "modeId": mode })).await;
    if trust {
        editor.call("session/set_config_option", json!({ "sessionId": session, "configId": "trust", "value": "trusted" })).await;
    }
    let prompt = editor.prompt(&session, "go").await;
    editor.result(&prompt).await;
    let bases = (last_basis(&export(&mut editor, &session).await), last_basis(&full_export(&mut editor, &session).await));
    editor.ignore_updates();
    editor.finish().await;
    let told = explained(home, &session);
    assert!(told.contains(&format!("  stood on   model scripted:script.json, asked for as {model}; mode {mode}; ")), "{told}");
    bases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_names_what_a_turn_stood_on() {
    let home = Home::new();
    let agents = home.file("AGENTS.md", AGENTS);
    let able = json!({ "workspace": { "applyEdit": true, "workspaceEdit": { "documentChanges": true } } });
    let (sanitized, full) = basis(&home, "deny = [\"shell\"]", able, "auto_edit", true).await;
    let tools = json!(["read_file", "list_directory", "glob", "search", "write_file", "edit_file", "update_plan", "shell"]);
    let told = ["model", "mode", "trusted", "editor"];
    let expected = json!({
        "model": "scripted:script.json", "mode": "auto_edit", "trusted": true,
        "editor": { "questions": "card", "edits": true, "reads": false, "writes": false },
    });
    assert_eq!((fields(&full, &told), fields(&sanitized, &told[1..])), (expected.clone(), fields(&expected, &told[1..])));
    let mut offered: Vec<_> = full["tools"].as_array().expect("names").iter().map(Value::to_string).collect();
    let mut known: Vec<_> = tools.as_array().expect("names").iter().map(Value::to_string).collect();
    offered.sort();
    known.sort();
    assert_eq!((offered, &sanitized["tools"]), (known, &full["tools"]));

    let built_in = include_str!("../../src/session/system_prompt.md");
    let of_the_workspace = |path: &str| json!({ "kind": "workspace", "sha256": sha256(AGENTS), "bytes": AGENTS.len(), "path": path });
    let pillions_own = json!({ "kind": "built_in", "sha256": sha256(built_in), "bytes": built_in.len() });
    assert_eq!(full["instructions"], json!([pillions_own, of_the_workspace(agents.to_str().expect("a path"))]));
    let hidden = sanitized["instructions"][1]["path"].as_str().expect("a path");
    assert!(hidden.ends_with(".md") && !hidden.contains("AGENTS") && !hidden.contains("work"), "{hidden}");
    assert_eq!(sanitized["instructions"][1], of_the_workspace(hidden));
    assert!(!full.to_string().contains("ferry"), "{full}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_between_two_turns_differs_in_their_records() {
    let home = Home::new();
    home.file("AGENTS.md", AGENTS);
    let mut digests = Vec::new();
    for (rules, workspace) in [("", ""), ("deny = [\"shell\"]", ""), ("ask = [\"shell\"]", ""), ("", "[permission]\ndeny = [\"shell\"]\n")]
    {
        home.file(".pillion.toml", workspace);
        let (_, full) = basis(&home, rules, json!({}), "ask", false).await;
        // What an untrusted workspace says to the model is not told to it.
        assert_eq!(
            (full["instructions"].as_array().map(Vec::len), &full["trusted"], &full["editor"]["edits"]),
            (Some(1), &json!(false), &json!(false))
        );
        digests.push(full["rules_digest"].as_str().expect("a digest").to_owned());
    }
    assert!((0..4).all(|i| (0..i).all(|j| digests[i] != digests[j])), "{digests:?}");
}
