//! Opening sessions and choosing their models: what is refused names the field and what to do.

use crate::support::journey::{UNTITLED, fields, full_export, pointed_at};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_cannot_be_made_is_refused_by_its_field() {
    let home = Home::new();
    home.file("file.txt", "no directory");
    let mut editor = Editor::lsp(&home, &[]).await;
    let cwd = home.workspace();
    let file = cwd.join("file.txt");
    let long = "x".repeat(81);
    let taken = json!({ "cwd": cwd, "sessionId": "taken" });
    editor.call("session/new", taken.clone()).await;
    let cases = [
        (json!({}), "cwd", "must be an absolute path of a directory"),
        (json!({ "cwd": "relative/path" }), "cwd", "must be an absolute path of a directory"),
        (json!({ "cwd": "/not/there/at/all" }), "cwd", "must be a directory that can be opened"),
        (json!({ "cwd": file }), "cwd", "must be a directory that can be opened"),
        (json!({ "cwd": 7 }), "cwd", "invalid type: integer `7`"),
        (json!({ "cwd": cwd, "sessionId": "two words" }), "sessionId", "1-80 characters of [A-Za-z0-9._:-]"),
        (json!({ "cwd": cwd, "sessionId": "" }), "sessionId", "1-80 characters of [A-Za-z0-9._:-]"),
        (json!({ "cwd": cwd, "sessionId": long }), "sessionId", "1-80 characters of [A-Za-z0-9._:-]"),
        (json!({ "cwd": cwd, "model": "gpt-x" }), "model", "names no provider"),
        (json!({ "cwd": cwd, "model": "gemini:x" }), "model", "does not exist"),
        (taken.clone(), "sessionId", "the session id taken is taken"),
    ];
    for (params, field, says) in cases {
        refused(&mut editor, "session/new", params, field, says).await;
    }
    editor.finish().await;

    // Taken for good, not only while it is open here.
    let mut editor = Editor::lsp(&home, &[]).await;
    refused(&mut editor, "session/new", taken, "sessionId", "open the session with session/load").await;
    let elsewhere = json!({ "sessionId": "taken", "cwd": home.data_dir() });
    refused(&mut editor, "session/load", elsewhere, "cwd", "must be the session's own directory").await;
    let notices =
        editor.call("session/new", json!({ "cwd": cwd, "mcpServers": [{ "name": "x", "command": "y" }] })).await["notices"].take();
    assert_eq!(notices, json!(["mcpServers was ignored: this version of pillion does not connect to MCP servers"]));
    let quiet = editor.call("session/new", json!({ "cwd": cwd, "mcpServers": [] })).await;
    assert_eq!(quiet.get("notices"), None);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_or_closed_session_is_told_by_its_id() {
    for (framing, dialect, code) in [(Framing::Headers, Dialect::Lsp, -32602), (Framing::Lines, Dialect::Acp, -32002)] {
        let home = Home::new();
        let mut editor = Editor::ready(&home, framing, dialect, &[]).await;
        let text = json!([{ "type": "text", "text": "x" }]);
        let config = json!({ "sessionId": "nobody", "configId": "model", "value": "local" });
        let prompt = json!({ "sessionId": "nobody", "prompt": text });
        for (method, params) in [
            ("session/load", json!({ "sessionId": "nobody" })),
            ("session/resume", json!({ "sessionId": "nobody" })),
            ("session/close", json!({ "sessionId": "nobody" })),
            ("session/delete", json!({ "sessionId": "nobody" })),
            ("session/cancel", json!({ "sessionId": "nobody" })),
            ("session/export", json!({ "sessionId": "nobody" })),
            ("session/set_config_option", config),
            ("session/prompt", prompt),
        ] {
            let request = editor.request(method, params).await;
            let error = editor.error(&request).await;
            assert_eq!((&error["code"], &error["data"]), (&json!(code), &json!({ "sessionId": "nobody" })), "{method}: {error}");
        }
        let session = editor.new_session(&home).await;
        editor.call("session/close", json!({ "sessionId": session })).await;
        let request = editor.request("session/prompt", json!({ "sessionId": session, "prompt": text })).await;
        let error = editor.error(&request).await;
        assert!(error["message"].as_str().expect("a message").contains("session/load or session/resume opens it again"), "{error}");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_model_the_error_names_what_is_there_and_the_setting() {
    let home = Home::new();
    let mut command = home.command();
    command.env("GROQ_API_KEY", "not-shown-anywhere-1234");
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &[]);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "hello").await;
    let error = editor.error(&prompt).await;
    assert_eq!((&error["code"], &error["data"]), (&json!(-32803), &json!({ "setting": "model" })));
    let message = error["message"].as_str().expect("a message");
    for words in ["no model is chosen", "--model", "PILLION_MODEL", "config.toml", "within reach: ", "GROQ_API_KEY is set"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(!message.contains("not-shown"), "{message}");
    // Nothing ran, so nothing is recorded but that it was asked.
    let export = full_export(&mut editor, &session).await;
    assert_eq!(fields(&export["session"], &["turns", "messages"]), json!({ "turns": [], "messages": [] }));

    // Choosing one mends it.
    let model = home.script(&json!({ "steps": [[{ "text": "hello" }]] }));
    editor.call("session/set_config_option", json!({ "sessionId": session, "configId": "model", "value": model })).await;
    let prompt = editor.prompt(&session, "hello").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_script_is_named_with_its_place() {
    let cases = [
        (json!({ "steps": [[{ "text": "fine" }, { "txt": "not" }]] }), "unknown variant `txt`"),
        (json!({ "steps": [[{ "text": "fine" }, { "txt": "not" }]] }), "at line 1 column "),
        (json!({ "steps": [[{ "text": "fine" }], ["stall", { "text": "never" }]] }), "steps[1][1]"),
        (json!({ "title": "no steps" }), "missing field `steps`"),
        (Value::Null, "could not be read; check the path behind `scripted:`"),
    ];
    for (script, says) in cases {
        let home = Home::new();
        let model = &home.script(&script);
        if script.is_null() {
            std::fs::remove_file(model.trim_start_matches("scripted:")).expect("the script");
        }
        let mut editor = Editor::lsp(&home, &["--model", model]).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "hello").await;
        let error = editor.error(&prompt).await;
        let message = error["message"].as_str().expect("a message");
        assert_eq!(error["code"], -32803);
        assert!(message.contains("script.json") && message.contains(says), "{error}");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_changes_its_model_and_keeps_it() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let set = |value: &str| json!({ "sessionId": session, "configId": "model", "value": value });
    refused(&mut editor, "session/set_config_option", set("gpt-x"), "value", "names no provider").await;
    let other = json!({ "sessionId": session, "configId": "mode", "value": "x" });
    refused(&mut editor, "session/set_config_option", other, "configId", "must be `model`").await;

    // A change while a turn runs counts from the next turn on.
    let prompt = editor.prompt(&session, "one").await;
    let exchange = server.next_request().await;
    let changed = editor.call("session/set_config_option", set("openai:other-model")).await;
    assert_eq!(changed["configOptions"][0]["currentValue"], "openai:other-model");
    assert_eq!(exchange.body["model"], "test-model");
    exchange.answer("first").await;
    assert_eq!(editor.result(&prompt).await["model"], "openai:test-model");
    let prompt = editor.prompt(&session, "two").await;
    let exchange = server.next_request().await;
    assert_eq!(exchange.body["model"], "other-model");
    exchange.answer("second").await;
    assert_eq!(editor.result(&prompt).await["model"], "openai:other-model");
    editor.ignore_updates();
    editor.finish().await;

    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let opened = editor.call("session/resume", json!({ "sessionId": session })).await;
    let option = &opened["configOptions"][0];
    assert_eq!(option["currentValue"], "openai:other-model");
    let offered: Vec<_> = option["options"].as_array().expect("options").iter().map(|choice| choice["value"].clone()).collect();
    assert_eq!(offered, ["openai:other-model", "openai:test-model"]);
    let export = full_export(&mut editor, &session).await;
    let models: Vec<_> = export["session"]["turns"].as_array().expect("turns").iter().map(|turn| turn["model"].clone()).collect();
    assert_eq!(models, ["openai:test-model", "openai:other-model"]);
    editor.finish().await;
}

/// An error that names the field and says this.
async fn refused(editor: &mut Editor, method: &str, params: Value, field: &str, says: &str) {
    let request = editor.request(method, params.clone()).await;
    let error = editor.error(&request).await;
    assert_eq!((&error["code"], &error["data"]), (&json!(-32602), &json!({ "field": field })), "{params}: {error}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.starts_with(&format!("{method}: ")) && message.contains(says), "{params}: {message}");
}
