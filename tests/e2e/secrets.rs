//! Canaries in every string that a client, a model, a workspace or a provider can carry, and keys that pillion knows.
//!
//! Invariant: no canary stands in the sanitized export or in the log, and a known key stands nowhere at all.

use crate::support::hiding::spellings_in;
use crate::support::journey::{ONE_ATTEMPT, configured, export, full_export};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// What is planted where. Every canary is found by its own text, so a failure names the place.
struct Canaries {
    /// Words: anything may stand in them.
    words: fn(&str) -> String,
    /// What must pass as a name, so its form alone may give it away.
    name: fn(&str) -> String,
    /// The id of a request: a string or a number.
    id: fn(&str) -> Value,
}

/// Every place, in words and in names.
const WORDS: [&str; 14] = [
    "prompt",
    "file",
    "agents",
    "arguments",
    "result",
    "tool",
    "text",
    "reasoning",
    "title",
    "users-title",
    "reason",
    "error",
    "resource",
    "link",
];
const NAMES: [&str; 9] = ["client", "source", "prompt-id", "cancel-id", "call", "request", "response", "finish", "code"];
/// Of the names, those that stand in the path of the workspace or of a file.
const PATHS: [&str; 2] = ["cwd", "filename"];

/// The form of a token that a vendor gives out, in two halves for the scanners of this repository.
fn name(place: &str) -> String {
    format!("{}_{}0123456789abcdefABCDEF", "ghp", place.replace('-', ""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_canary_reaches_the_sanitized_export_or_the_log() {
    let home = Home::new();
    let canaries =
        Canaries { words: |place| format!("canary \"{place}\" été/{:x}", place.len() * 7_919), name, id: |place| name(place).into() };
    let Told { inline, mut editor, sessions } = live_through(&home, &canaries, configured(&home, ONE_ATTEMPT)).await;
    let mut full = String::new();
    let mut sanitized = String::new();
    for session in &sessions {
        full.push_str(&full_export(&mut editor, session).await.to_string());
        sanitized.push_str(&export(&mut editor, session).await.to_string());
    }
    editor.ignore_updates();
    editor.finish().await;
    let log = std::fs::read_to_string(home.log_file()).expect("a log");
    assert!(log.contains(&sessions[0]), "the log is about this session");

    // The canary bird must be in the mine: everything was really planted.
    let words = WORDS.iter().map(|place| (canaries.words)(place));
    let names = NAMES.iter().chain(&PATHS).map(|place| (canaries.name)(place));
    for canary in words.chain(names) {
        // What a workspace tells the model is in no export at all; the model server has seen it.
        assert!(canary.contains("agents") || !spellings_in(&full, &canary).is_empty(), "{canary} was not planted");
        assert_eq!(spellings_in(&sanitized, &canary), [""; 0], "{canary} in the sanitized export: {}", around(&sanitized, &canary));
        assert_eq!(spellings_in(&log, &canary), [""; 0], "{canary} in the log: {}", around(&log, &canary));
    }
    assert!(inline.contains("client_cancel") && inline.contains("provider_http"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_key_stands_nowhere_at_all() {
    for key in ["pk-Zz9/known+KEY=value", "4096123581321345"] {
        let home = Home::new();
        // The configured key is on its way to the provider; the other one is a variable of the user's, named like a secret.
        let other = format!("{key}-too");
        let mut command = configured(&home, ONE_ATTEMPT);
        command.env("PILLION_API_KEY", key).env("MY_SERVICE_TOKEN", &other);
        let text = Canaries {
            words: |place| format!("{place} pk-Zz9/known+KEY=value"),
            name: |place| format!("{place}:pk-Zz9/known+KEY=value"),
            id: |place| format!("{place} pk-Zz9/known+KEY=value").into(),
        };
        let digits = Canaries {
            words: |place| format!("{place} 4096123581321345-too"),
            name: |place| format!("{place}:4096123581321345-too"),
            id: |place| if place == "prompt-id" { 4_096_123_581_321_345_u64.into() } else { "4096123581321345".into() },
        };
        let canaries = if key.starts_with('p') { text } else { digits };
        let Told { inline, mut editor, sessions } = live_through(&home, &canaries, command).await;
        // The directory is shown as it is: the editor needs it to open the session again.
        let listed = editor.call("session/list", json!({})).await;
        let titles: Vec<_> = listed["sessions"].as_array().expect("sessions").iter().map(|session| session["title"].clone()).collect();
        let mut shown = vec![("inline", inline), ("titles", Value::from(titles).to_string())];
        for session in &sessions {
            shown.push(("full export", full_export(&mut editor, session).await.to_string()));
            shown.push(("sanitized export", export(&mut editor, session).await.to_string()));
        }
        let refused = editor.request("session/new", json!({ "cwd": home.workspace(), "sessionId": "4096123581321345" })).await;
        if key == "4096123581321345" {
            let error = editor.error(&refused).await;
            assert_eq!((&error["code"], &error["data"]), (&json!(-32602), &json!({ "field": "sessionId" })));
            shown.push(("refused id", error.to_string()));
        } else {
            editor.result(&refused).await;
        }
        // An error must not repeat what it complains about, as far as that is a key.
        for (method, params) in [
            (key, json!({})),
            ("session/export", json!({ "sessionId": key })),
            ("session/new", json!({ "cwd": home.workspace(), "model": format!("{key}:x") })),
            ("session/prompt", json!({ "sessionId": sessions[0], "prompt": [{ "type": key }] })),
        ] {
            let request = editor.request(method, params).await;
            shown.push(("error", editor.error(&request).await.to_string()));
        }
        editor.ignore_updates();
        editor.finish().await;
        shown.push(("log", std::fs::read_to_string(home.log_file()).expect("a log")));
        for (place, text) in shown {
            assert_eq!(spellings_in(&text, key), [""; 0], "{place}: {}", around(&text, key));
        }
    }
}

/// What a whole life of two sessions leaves behind.
struct Told {
    /// Everything that was answered but for the ids of the requests: diagnostics, errors, outcomes.
    inline: String,
    editor: Editor,
    sessions: Vec<String>,
}

/// A prompt with tools that is cancelled, one that fails, and a session with a title of the user's; canaries everywhere.
async fn live_through(home: &Home, canaries: &Canaries, command: std::process::Command) -> Told {
    let Canaries { words, name, id } = canaries;
    let directory = home.workspace().join(path_of(&name("cwd")));
    std::fs::create_dir(&directory).expect("a workspace");
    let file = format!("{}.txt", path_of(&name("filename")));
    std::fs::write(directory.join(&file), words("file")).expect("a file");
    std::fs::write(directory.join("AGENTS.md"), words("agents")).expect("a file");
    let mut server = ModelServer::start().await;
    let mut inline = String::new();

    let url = server.base_url();
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &["--model", "openai:test-model", "--base-url", &url]);
    let client = json!({ "name": name("client"), "version": name("client") });
    editor.call("initialize", json!({ "processId": null, "capabilities": {}, "clientInfo": client })).await;
    let new = editor.call("session/new", json!({ "cwd": directory })).await;
    let session = new["sessionId"].as_str().expect("an id").to_owned();
    // So that the model is given AGENTS.md.
    let trust = json!({ "sessionId": session, "configId": "trust", "value": "trusted" });
    editor.call("session/set_config_option", trust).await;

    // A turn that uses tools and is cancelled while its second answer streams.
    let prompt = json!([
        { "type": "text", "text": words("prompt") },
        { "type": "resource", "resource": { "uri": format!("file:///{}", path_of(&name("filename"))), "text": words("resource") } },
        { "type": "resource_link", "uri": "file:///x", "name": words("link") },
    ]);
    let asked = id("prompt-id");
    editor.request_as(asked.clone(), "session/prompt", json!({ "sessionId": session, "prompt": prompt })).await;
    let mut turn = server.next_request().await;
    assert!(turn.body["messages"][0]["content"].as_str().expect("a system prompt").contains(&words("agents")));
    head(&mut turn, canaries).await;
    let mut title = server.next_request().await;
    title.text(&words("title")).await;
    title.finish("stop").await;
    title.done().await;
    editor.next_update("session_info_update").await;
    turn.delta(json!({ "reasoning_content": words("reasoning") })).await;
    turn.text(&words("text")).await;
    turn.tool_call(0, &name("call"), "read_file", &json!({ "path": file })).await;
    turn.tool_call(1, "c2", &words("tool"), &json!({ "any": words("arguments") })).await;
    turn.tool_call(2, "c3", "write_file", &json!({ "path": "new.txt", "content": words("arguments") })).await;
    turn.finish(&name("finish")).await;
    turn.done().await;
    let question = editor.next("session/request_permission").await;
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
    let mut turn = server.next_request().await;
    turn.text(&words("result")).await;
    // The first chunk is still unclaimed, so this one is told by its words.
    while editor.next_update("agent_message_chunk").await["params"]["update"]["content"]["text"] != words("result") {}
    let fields = json!({ "sessionId": session, "source": plain(&name("source")), "reason": words("reason"), "initiator": "user" });
    editor.request_as(id("cancel-id"), "session/cancel", fields).await;
    inline.push_str(&editor.result(&asked).await.to_string());
    inline.push_str(&editor.result(&id("cancel-id")).await.to_string());

    // One that the provider refuses.
    let prompt = editor.prompt(&session, "again").await;
    let refused = server.next_request().await;
    let body = json!({ "error": { "message": words("error"), "code": plain(&name("code")) } }).to_string();
    refused.error(429, &[("content-type", "application/json"), ("x-request-id", &plain(&name("request")))], &body).await;
    inline.push_str(&editor.error(&prompt).await.to_string());

    // A request that is cancelled by its id and is no prompt: its answer tells who asked.
    let new = editor.call("session/new", json!({ "cwd": directory, "title": words("users-title") })).await;
    let titled = new["sessionId"].as_str().expect("an id").to_owned();
    editor.ignore_updates();
    Told { inline, editor, sessions: vec![session, titled] }
}

/// The head and the first event of an answer, with the provider's own ids.
async fn head(exchange: &mut Exchange, canaries: &Canaries) {
    let request = plain(&(canaries.name)("request"));
    exchange.head_with(200, &[("content-type", "text/event-stream"), ("x-request-id", &request)]).await;
    exchange.event(&json!({ "id": (canaries.name)("response"), "choices": [] })).await;
}

/// A key is no name of a file by itself.
fn path_of(name: &str) -> String {
    name.replace('/', "_")
}

/// What is left of a key in a place that takes plain names only; canaries are plain.
fn plain(name: &str) -> String {
    if name.contains('/') { "plain".into() } else { name.to_owned() }
}

/// The neighbourhood of the first raw appearance.
fn around<'a>(text: &'a str, secret: &str) -> &'a str {
    let Some(at) = text.find(secret) else { return "(not raw)" };
    let (from, to) = (text.floor_char_boundary(at.saturating_sub(200)), text.ceil_char_boundary((at + secret.len() + 200).min(text.len())));
    &text[from..to]
}
