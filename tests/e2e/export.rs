//! `session/export` at its edges: files, limits, repetition, and what sanitizing changes.

use crate::support::journey::{configured, export, full_export};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A finished session with one cancelled turn.
async fn finished(home: &Home, command: std::process::Command) -> (Editor, String) {
    home.file("notes.txt", "some notes\n");
    let model = home.script(&json!({ "title": "About notes", "steps": [
        [{ "reasoning": "look" }, { "tool_call": { "name": "read_file", "input": { "path": "notes.txt" } } }],
        [{ "text": "These are notes." }],
        [{ "text": "More of " }, "stall"],
    ] }));
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &["--model", &model]);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    let prompt = editor.prompt(&session, "what is in it?").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.next_update("session_info_update").await;
    let prompt = editor.prompt(&session, "and more?").await;
    while editor.next_update("agent_message_chunk").await["params"]["update"]["content"]["text"] != "More of " {}
    let cancel = json!({ "sessionId": session, "reason": "enough of it", "source": "test.stop" });
    let stop = editor.request("session/cancel", cancel).await;
    editor.result(&prompt).await;
    editor.result(&stop).await;
    editor.ignore_updates();
    (editor, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_new_private_and_as_it_was_said() {
    let home = Home::new();
    let (mut editor, session) = finished(&home, home.command()).await;
    let path = home.workspace().join("export.json");
    let params = json!({ "sessionId": session, "path": path });
    let result = editor.call("session/export", params.clone()).await;
    let bytes = std::fs::read(&path).expect("a file");
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(result, json!({ "path": path, "bytes": bytes.len(), "sha256": sha256 }));
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(document["schema"], "pillion-session-export");

    let missing = home.workspace().join("not there").join("x.json");
    let below = path.join("x.json");
    let refusals = [
        (path.to_str().expect("UTF-8"), "must name a file that does not exist yet"),
        ("export.json", "must be an absolute path"),
        (missing.to_str().expect("UTF-8"), "must be in a directory that exists"),
        (below.to_str().expect("UTF-8"), "must be a file that can be created"),
        ("/dev/null", "must name a file that does not exist yet"),
    ];
    for (path, must) in refusals {
        let request = editor.request("session/export", json!({ "sessionId": session, "path": path })).await;
        let error = editor.error(&request).await;
        assert_eq!((&error["code"], &error["data"]), (&json!(-32602), &json!({ "field": "path" })));
        assert!(error["message"].as_str().expect("a message").contains(must), "{error}");
    }
    assert_eq!(std::fs::read(&path).expect("a file"), bytes, "nothing was overwritten");
    let unknown = home.workspace().join("unknown.json");
    let request = editor.request("session/export", json!({ "sessionId": "nobody", "path": unknown })).await;
    assert_eq!(editor.error(&request).await["data"], json!({ "sessionId": "nobody" }));
    assert!(!Path::new(&unknown).exists(), "nothing is left behind");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_over_the_limit_says_to_use_path() {
    let home = Home::new();
    let command = configured(&home, "[limits]\nmax_result_bytes = 5000\n");
    let (mut editor, session) = finished(&home, command).await;
    let request = editor.request("session/export", json!({ "sessionId": session })).await;
    let error = editor.error(&request).await;
    assert_eq!((&error["code"], &error["data"]), (&json!(-32803), &json!({ "limit": 5000 })));
    assert!(error["message"].as_str().expect("a message").contains("`path`"), "{error}");
    let path = home.workspace().join("export.json");
    let result = editor.call("session/export", json!({ "sessionId": session, "path": path })).await;
    assert!(result["bytes"].as_u64().expect("bytes") > 5000);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_exports_differ_in_their_time_alone() {
    let home = Home::new();
    let (mut editor, session) = finished(&home, home.command()).await;
    let mut first = export(&mut editor, &session).await;
    let model = home.script(&json!({ "steps": [] }));
    let mut other = Editor::lsp(&home, &["--model", &model]).await;
    // The clock must have moved on, or this shows nothing.
    let second = loop {
        let again = export(&mut other, &session).await;
        if again["exported_at"] != first["exported_at"] {
            break again;
        }
    };
    // The settings of the two processes are the same, but for nothing.
    first["exported_at"] = second["exported_at"].clone();
    assert_eq!(first, second);
    editor.finish().await;
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sanitized_and_full_differ_by_placeholders_alone() {
    let home = Home::new();
    let (mut editor, session) = finished(&home, home.command()).await;
    let (full, sanitized) = (full_export(&mut editor, &session).await, export(&mut editor, &session).await);
    let mut replaced = Vec::new();
    differences("", &full, &sanitized, &mut replaced);
    let own = ["/exported_at", "/sanitized", "/redaction/rules"];
    let (own, texts): (Vec<_>, Vec<_>) = replaced.into_iter().partition(|(at, ..)| own.contains(&at.as_str()));
    assert!(own.iter().any(|(at, ..)| at == "/sanitized"));
    for (at, before, after) in &texts {
        let after = after.as_str().unwrap_or_else(|| panic!("{at} is no placeholder: {after}"));
        assert!(after.contains("[redacted:") || after.contains("[path:"), "{at}: {after}");
        let hidden = before.as_str().map_or_else(|| before.to_string(), str::to_owned);
        assert!(after.contains("[path:") || after.ends_with(&format!(" len={}]", hidden.chars().count())), "{at}: {before} {after}");
    }
    // The texts and nothing else, and the path that stands in the name of a script: ids, times, counts, causes and hops stay.
    let places: std::collections::BTreeSet<_> = texts.iter().map(|(at, ..)| at.rsplit('/').next().unwrap_or_default()).collect();
    assert_eq!(places.into_iter().collect::<Vec<_>>(), ["cwd", "input", "model_asked", "reason", "text", "title"]);
    // Equal texts have equal numbers.
    let placeholder =
        |text: &str| texts.iter().filter(|(_, before, _)| *before == json!(text)).map(|(.., after)| after.clone()).collect::<Vec<_>>();
    let reasons = placeholder("enough of it");
    assert!(reasons.len() == 2 && reasons[0] == reasons[1], "{reasons:?}");
    editor.finish().await;
}

/// Every place in which the documents differ; their fields must be the same.
fn differences(at: &str, full: &Value, sanitized: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (full, sanitized) {
        (Value::Object(full), Value::Object(sanitized)) => {
            assert_eq!(full.keys().collect::<Vec<_>>(), sanitized.keys().collect::<Vec<_>>(), "{at}");
            full.iter().for_each(|(name, value)| differences(&format!("{at}/{name}"), value, &sanitized[name], found));
        }
        (Value::Array(full), Value::Array(sanitized)) if full.len() == sanitized.len() => {
            full.iter().zip(sanitized).for_each(|(full, sanitized)| differences(at, full, sanitized, found));
        }
        (full, sanitized) if full != sanitized => found.push((at.to_owned(), full.clone(), sanitized.clone())),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_behind_a_prompt_in_one_write_has_its_turn() {
    for _ in 0..20 {
        let home = Home::new();
        let model = home.script(&json!({ "steps": [["stall"]] }));
        let mut editor = Editor::lsp(&home, &["--model", &model]).await;
        let session = editor.new_session(&home).await;
        let request = |id: &str, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let text = json!([{ "type": "text", "text": "go" }]);
        let prompt = request("prompt", "session/prompt", json!({ "sessionId": session, "prompt": text }));
        let export = request("export", "session/export", json!({ "sessionId": session }));
        editor.send_all(&[prompt, export]).await;
        let told = editor.result(&json!("export")).await["export"].take();
        assert_eq!((&told["completeness"], told["session"]["turns"].as_array().map(Vec::len)), (&json!("partial"), Some(1)));
        editor.hang_up();
        editor.result(&json!("prompt")).await;
        editor.exited().await;
    }
}
