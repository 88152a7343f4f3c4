//! Whose key goes where: to the provider and the address that it belongs to, or nothing is sent at all.

use crate::support::journey::{UNTITLED, configured, full_export};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::json;
use std::process::Command;

async fn editor(command: Command, flags: &[&str]) -> Editor {
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, flags);
    editor.initialize().await;
    editor
}

async fn choose(editor: &mut Editor, session: &str, model: &str) {
    editor.call("session/set_config_option", json!({ "sessionId": session, "configId": "model", "value": model })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_changes_its_vendor_takes_that_vendors_key() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let providers = format!("[provider.other]\nprotocol = 'anthropic'\nbase_url = '{}'\napi_key_env = 'OTHER'\n", server.base_url());
    let mut command = configured(&home, &providers);
    command.env("PILLION_API_KEY", "configured-key-1").env("OPENAI_API_KEY", "openai-key-22").env("OTHER", "other-key-333");
    let url = server.base_url();
    let mut editor = editor(command, &["--model", "openai:a", "--base-url", &url, UNTITLED[0], UNTITLED[1]]).await;
    let session = editor.new_session(&home).await;
    for (model, authorization, vendors_own) in [
        ("openai:a", Some("Bearer configured-key-1"), None),
        ("other:b", None, Some("other-key-333")),
        ("openai:a", Some("Bearer configured-key-1"), None),
    ] {
        choose(&mut editor, &session, model).await;
        let prompt = editor.prompt(&session, "hello").await;
        let exchange = server.next_request().await;
        assert_eq!((exchange.header("authorization"), exchange.header("x-api-key")), (authorization, vendors_own), "{model}");
        editor.call("session/cancel", json!({ "sessionId": session })).await;
        editor.result(&prompt).await;
    }
    // A key is known by whichever variable it came.
    let prompt = editor.prompt(&session, "is it other-key-333 or openai-key-22?").await;
    let _asked = server.next_request().await;
    editor.call("session/cancel", json!({ "sessionId": session })).await;
    editor.result(&prompt).await;
    let export = full_export(&mut editor, &session).await.to_string();
    assert!(!export.contains("other-key-333") && !export.contains("openai-key-22"), "{export}");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_configured_model_the_configured_key_is_nobodys() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let mut command = home.command();
    command.env("PILLION_API_KEY", "configured-key-1").env("ANTHROPIC_API_KEY", "anthropics-key-22");
    let mut editor = editor(command, &["--base-url", &url, UNTITLED[0], UNTITLED[1]]).await;
    let session = editor.new_session(&home).await;
    for (model, authorization, vendors_own) in [("anthropic:a", None, Some("anthropics-key-22")), ("openai:a", None, None)] {
        choose(&mut editor, &session, model).await;
        let prompt = editor.prompt(&session, "hello").await;
        let exchange = server.next_request().await;
        assert_eq!((exchange.header("authorization"), exchange.header("x-api-key")), (authorization, vendors_own), "{model}");
        editor.call("session/cancel", json!({ "sessionId": session })).await;
        editor.result(&prompt).await;
    }
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_without_its_key_is_sent_nothing_and_the_error_names_the_variable() {
    let home = Home::new();
    let mut editor = editor(home.command(), &["--model", "anthropic:claude"]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "hello").await;
    let error = editor.error(&prompt).await;
    let needs = "anthropic at https://api.anthropic.com needs a key, and ANTHROPIC_API_KEY is not set; set it where pillion is started";
    assert_eq!(error, json!({ "code": -32803, "message": needs }));
    let export = full_export(&mut editor, &session).await;
    assert_eq!(export["session"]["turns"], json!([]), "nothing ran");
    editor.finish().await;

    let ran = home.command().args(["prompt", "hello", "--model", "anthropic:claude"]).output().expect("pillion");
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned()), (Some(1), format!("pillion: {needs}\n")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_as_large_as_the_system_allows_is_hidden_and_hides_nothing_else() {
    let home = Home::new();
    // A hundred thousand bytes and more, without a part that repeats.
    let secret: String = (0..15_000u32).map(|i| format!("{:08x}", i.wrapping_mul(2_654_435_761))).collect();
    let model = home.script(&json!({ "steps": [[{ "text": "an ordinary answer" }]], "title": "a title" }));
    let mut command = home.command();
    command.env("HUGE_TOKEN", &secret);
    let mut editor = editor(command, &["--model", &model, UNTITLED[0], UNTITLED[1]]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, &format!("what is {} for?", &secret[5_000..9_000])).await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    let export = full_export(&mut editor, &session).await;
    let texts = export["session"]["messages"].to_string();
    assert!(texts.contains("an ordinary answer") && texts.contains("what is ") && texts.contains(" for?"), "{texts}");
    assert!(!texts.contains(&secret[6_000..6_200]), "{texts}");
    editor.ignore_updates();
    editor.finish().await;
}
