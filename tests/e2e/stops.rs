//! Opening a session tells what ended its earlier turns: the sentence that an editor shows at its next start.

use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, fields, pointed_by};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// What is the same in every run.
const STEADY: [&str; 5] = ["stop", "cause", "initiator", "source", "sentence"];

fn steady(stops: &Value) -> Vec<Value> {
    stops.as_array().expect("stops").iter().map(|stop| fields(stop, &STEADY)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_turn_that_the_model_did_not_end_is_told_in_order() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_by(configured(&home, ONE_ATTEMPT), &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;

    let prompt = editor.prompt(&session, "well").await;
    server.next_request().await.answer("fine").await;
    editor.result(&prompt).await;
    let untroubled = editor.call("session/resume", json!({ "sessionId": session })).await;
    assert_eq!(untroubled.get("stops"), None);

    let prompt = editor.prompt(&session, "stopped").await;
    let _stopped = server.next_request().await;
    let cancel = json!({ "sessionId": session, "source": "nvim.keymap", "initiator": "user" });
    editor.call("session/cancel", cancel).await;
    let stopped = editor.result(&prompt).await;

    let prompt = editor.prompt(&session, "refused").await;
    let body = json!({ "error": { "message": "slow down" } }).to_string();
    server.next_request().await.error(429, &[], &body).await;
    let failed = editor.error(&prompt).await;

    let told = editor.call("session/resume", json!({ "sessionId": session })).await;
    assert_eq!(
        steady(&told["stops"]),
        [
            json!({ "stop": "cancelled", "cause": "client_cancel", "initiator": "user", "source": "nvim.keymap", "sentence": stopped["sentence"] }),
            json!({ "stop": "failed", "cause": "provider_http", "sentence": told["stops"][1]["sentence"] }),
        ]
    );
    assert_eq!(told["stops"][1]["sentence"], "The model provider refused the request with HTTP status 429.");
    let abort = &stopped["diagnostics"]["abort"];
    assert_eq!(
        fields(&told["stops"][0], &["turnId", "messageId", "abortId", "at"]),
        json!({ "turnId": stopped["turnId"], "messageId": stopped["messageId"], "abortId": abort["abort_id"], "at": abort["settled_at"] })
    );
    assert_eq!(told["stops"][1]["turnId"], failed["data"]["turnId"]);
    editor.ignore_updates();

    // A turn is running, and the process dies.
    editor.prompt(&session, "lost").await;
    let _lost = server.next_request().await;
    editor.kill();
    editor.exited().await;

    for (framing, dialect) in [(Framing::Headers, Dialect::Lsp), (Framing::Lines, Dialect::Acp)] {
        let mut editor = Editor::ready(&home, framing, dialect, &[]).await;
        let mut loaded = editor.call("session/load", json!({ "sessionId": session, "cwd": home.workspace() })).await;
        let told_now = if dialect == Dialect::Acp { loaded["_meta"]["pillion"]["stops"].take() } else { loaded["stops"].take() };
        assert_eq!(told_now.as_array().map(Vec::len), Some(3));
        assert_eq!([&told_now[0], &told_now[1]], [&told["stops"][0], &told["stops"][1]]);
        assert_eq!(
            fields(&told_now[2], &["stop", "cause", "sentence"]),
            json!({ "stop": "cancelled", "cause": "crash_recovered", "sentence": told_now[2]["sentence"] })
        );
        editor.ignore_updates();
        editor.finish().await;
    }
}
