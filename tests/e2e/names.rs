//! Names that others chose, and pillion's own sentences, as somebody reads them who has nothing but a sanitized export.

use crate::support::journey::{UNTITLED, configured, export, fields};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// An editor of this name, whose model is `server`'s, with one session.
async fn called(home: &Home, config: &str, server: &ModelServer, client: Value, title: &[&str]) -> (Editor, String) {
    let url = server.base_url();
    let args: Vec<&str> = ["--model", "openai:deepseek/deepseek-r1:free", "--base-url", &url].iter().chain(title).copied().collect();
    let mut editor = Editor::spawn(configured(home, config), Framing::Headers, Dialect::Lsp, &args);
    editor.call("initialize", json!({ "processId": null, "capabilities": {}, "clientInfo": client })).await;
    let session = editor.new_session(home).await;
    (editor, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_no_secrets_are_told_and_those_that_look_like_one_are_not() {
    let secret = format!("{}_{}", "ghp", "0123456789abcdefABCDEF0123");
    let plain = ["Visual Studio Code", "1.98.0+build.7", "stop/17 (Ctrl+C)", "call/1 + 2", "chat/resp 9", "req/2026 7"];
    let hidden = [&format!("Editor {secret}"), &secret, &format!("stop {secret}"), &format!("call/{secret}"), &secret, &secret];
    for (names, is_kept) in [(plain.map(str::to_owned), true), (hidden.map(String::clone), false)] {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let [client, version, stop, call, response, request] = &names;
        let (mut editor, session) = called(&home, "", &server, json!({ "name": client, "version": version }), &UNTITLED).await;
        let prompt = editor.prompt(&session, "go").await;
        let mut turn = server.next_request().await;
        turn.head_with(200, &[("content-type", "text/event-stream"), ("x-request-id", request)]).await;
        turn.event(&json!({ "id": response, "choices": [] })).await;
        turn.tool_call(0, call, "write_file", &json!({ "path": "a.txt", "content": "a" })).await;
        turn.finish("tool_calls").await;
        turn.done().await;
        editor.next("session/request_permission").await;
        editor.request_as(json!(stop), "session/cancel", json!({ "sessionId": session })).await;
        editor.result(&prompt).await;
        editor.result(&json!(stop)).await;
        editor.ignore_updates();
        let diagnostics = export(&mut editor, &session).await["diagnostics"].take();
        let (abort, trace) = (&diagnostics["aborts"][0], &diagnostics["stream_traces"][0]);
        let told = [
            &abort["request"]["client"]["name"],
            &abort["request"]["client"]["version"],
            &abort["request"]["id"],
            &abort["tools_in_flight"][0]["call_id"],
            &trace["response_id"],
            &trace["request_id"],
        ];
        if is_kept {
            assert_eq!(told.map(|name| name.as_str().unwrap_or_default()), names.each_ref().map(String::as_str));
        } else {
            assert!(told.iter().all(|name| name.as_str().is_some_and(|name| name.starts_with("[redacted:id:"))), "{told:?}");
            assert!(!diagnostics.to_string().contains(&secret));
        }
        assert_eq!(trace["model"], "deepseek/deepseek-r1:free");
        editor.next("$/cancelRequest").await;
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pillion_says_itself_is_told_and_what_the_provider_says_is_not() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let config = "[retry]\nmax_attempts = 1\n[watchdog]\nidle_seconds = 1\nreasoning_seconds = 1\n[title]\ntimeout_seconds = 1\n";
    let (mut editor, session) = called(&home, config, &server, json!({ "name": "x" }), &[]).await;
    let prompt = editor.prompt(&session, "go").await;
    let (mut turn, _title) = crate::support::journey::turn_and_title(&mut server).await;
    turn.text("half").await;
    editor.error(&prompt).await;
    editor.next_update("session_info_update").await;
    let prompt = editor.prompt(&session, "again").await;
    server.next_request().await.error(400, &[], r#"{"error": {"message": "an answer had begun, said the provider"}}"#).await;
    editor.error(&prompt).await;
    editor.ignore_updates();
    let diagnostics = export(&mut editor, &session).await["diagnostics"].take();
    let said = |abort: &Value| fields(abort, &["error_name", "error_message"]);
    let fell_silent = "an answer had begun, and nothing more came";
    assert_eq!(said(&diagnostics["aborts"][0]), json!({ "error_name": "idle_stream_timeout", "error_message": fell_silent }));
    assert_eq!(diagnostics["stream_traces"][0]["failure"]["message"], fell_silent);
    let title = &diagnostics["title_generations"][0];
    assert_eq!(said(title), json!({ "error_name": "timeout", "error_message": "the title model had not answered after 1 s" }));
    let foreign = diagnostics["aborts"][1]["error_message"].as_str().expect("a message");
    let said = foreign.strip_prefix("http://[path:").and_then(|rest| rest.split_once("] answered 400 ")).map_or("", |(_, said)| said);
    assert!(said.split(": ").all(|words| words.starts_with("[redacted:text:")), "{foreign}");
    editor.finish().await;
}
