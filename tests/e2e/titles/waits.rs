//! Titles stand in no turn's way: they are asked for once the answer has begun, and on a server that takes one request at a time
//! only when the turn has ended.

use super::{ended, says};
use crate::support::journey::{begins, configured, full_export, full_export_when, pointed_by, turn_and_title};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Editor, Home};
use serde_json::{Value, json};

async fn opened(config: &str, home: &Home, server: &ModelServer) -> (Editor, String) {
    let mut editor = pointed_by(configured(home, config), server, &[]).await;
    let session = editor.new_session(home).await;
    (editor, session)
}

fn is_turns(exchange: &Exchange) -> bool {
    exchange.body.get("tools").is_some()
}

/// A call of a tool, and the end of the answer.
async fn calls(mut exchange: Exchange) {
    exchange.tool_call(0, "call_1", "read_file", &json!({ "path": "a.txt" })).await;
    exchange.finish("tool_calls").await;
    exchange.done().await;
}

async fn titled(editor: &mut Editor) -> Value {
    editor.next_update("session_info_update").await["params"]["update"]["title"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_asked_beside_a_turn_that_has_no_answer_yet() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (mut editor, session) = opened("[retry]\nfirst_delay_ms = 1\n", &home, &server).await;
    let prompt = editor.prompt(&session, "name me").await;
    // A head, signs of life and an attempt that fails are no answer.
    let mut first = server.next_request().await;
    first.head().await;
    first.raw(b": reading\n\n").await;
    first.hang_up();
    let mut second = server.next_request().await;
    assert!(is_turns(&second));
    assert_eq!(full_export(&mut editor, &session).await["diagnostics"]["title_generations"], json!([]));
    begins(&mut second).await;
    let title = server.next_request().await;
    assert!(!is_turns(&title));
    says(title, "A name").await;
    assert_eq!(titled(&mut editor).await, json!(null), "the notice of the retry");
    assert_eq!(titled(&mut editor).await, "A name");
    second.answer("there").await;
    editor.result(&prompt).await;
    editor.ignore_updates();
    editor.finish().await;
}

/// The server holds the title back until the turn's answer is over; the turn's next call finds that out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_a_server_holds_back_gives_way_to_the_turn_and_is_made_behind_it() {
    let home = Home::new();
    home.file("a.txt", "alpha\n");
    let mut server = ModelServer::start().await;
    let (mut editor, session) = opened("", &home, &server).await;
    let prompt = editor.prompt(&session, "name me").await;
    let (turn, mut title) = turn_and_title(&mut server).await;
    calls(turn).await;
    let second = server.next_request().await;
    assert!(is_turns(&second));
    title.closed_by_client().await;
    second.answer("there").await;
    editor.result(&prompt).await;
    let mut title = server.next_request().await;
    assert!(!is_turns(&title), "the turn has ended");

    // It is known now: the next prompt does not wait for the title either.
    title.text("A na").await;
    let prompt = editor.prompt(&session, "go on").await;
    title.closed_by_client().await;
    let third = server.next_request().await;
    assert!(is_turns(&third));
    third.answer("there").await;
    editor.result(&prompt).await;
    says(server.next_request().await, "A name").await;
    let named = |export: &Value| export["diagnostics"]["title_generations"][0]["completed_at"].is_u64();
    let export = full_export_when(&mut editor, &session, named).await;
    let generation = &export["diagnostics"]["title_generations"][0];
    assert_eq!(ended(generation), json!({ "source": "model", "success": true, "applied": true }));
    let earlier = generation["earlier_attempts"].as_array().expect("attempts");
    let told: Vec<_> = earlier.iter().map(|trace| (trace["failure"]["kind"].clone(), trace["retry"]["verdict"].clone())).collect();
    assert_eq!(told, vec![(json!("title_gave_way"), json!("again")); 2]);

    // And in the next session it is not even asked for before the turn has ended.
    editor.ignore_updates();
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "name me, too").await;
    let turn = server.next_request().await;
    calls(turn).await;
    let second = server.next_request().await;
    assert!(is_turns(&second), "the turn's second call comes before its title");
    second.answer("there").await;
    editor.result(&prompt).await;
    says(server.next_request().await, "Another name").await;
    full_export_when(&mut editor, &session, named).await;
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_setting_says_when_titles_are_asked_for() {
    let home = Home::new();
    home.file("a.txt", "alpha\n");
    let mut server = ModelServer::start().await;
    let (mut editor, session) = opened("[title]\nbegins = \"after_turn\"\n", &home, &server).await;
    let prompt = editor.prompt(&session, "name me").await;
    calls(server.next_request().await).await;
    let second = server.next_request().await;
    assert!(is_turns(&second));
    second.answer("there").await;
    editor.result(&prompt).await;
    says(server.next_request().await, "A name").await;
    assert_eq!(titled(&mut editor).await, "A name");
    editor.ignore_updates();
    editor.finish().await;

    let home = Home::new();
    home.file("a.txt", "alpha\n");
    let (mut editor, session) = opened("[title]\nbegins = \"with_answer\"\n", &home, &server).await;
    let prompt = editor.prompt(&session, "name me").await;
    let (turn, title) = turn_and_title(&mut server).await;
    calls(turn).await;
    server.next_request().await.answer("there").await;
    editor.result(&prompt).await;
    says(title, "A name").await;
    assert_eq!(titled(&mut editor).await, "A name");
    editor.ignore_updates();
    editor.finish().await;
}
