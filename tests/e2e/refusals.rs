//! Servers that refuse a part of the request which they can do without: they are asked again without it, and nothing is lost.

use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, fields, full_export, pointed_by};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Editor, Home};
use serde_json::{Value, json};

async fn opened(server: &ModelServer, home: &Home) -> (Editor, String) {
    // What a server refuses for once counts no attempt.
    let mut editor = pointed_by(configured(home, ONE_ATTEMPT), server, &UNTITLED).await;
    let session = editor.new_session(home).await;
    (editor, session)
}

async fn refuse(exchange: Exchange, message: &str) {
    let body = json!({ "error": { "message": message, "type": "invalid_request_error" } }).to_string();
    exchange.error(400, &[("content-type", "application/json")], &body).await;
}

/// What the person was told besides the answer.
fn told(updates: &[Value]) -> Vec<Value> {
    let notes = updates.iter().map(|update| &update["params"]["update"]["_meta"]["pillion"]["note"]);
    notes.filter(|note| note.is_object()).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_without_tools_is_asked_without_them_and_the_person_is_told() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (mut editor, session) = opened(&server, &home).await;
    let prompt = editor.prompt(&session, "go").await;
    let first = server.next_request().await;
    assert!(first.body["tools"].as_array().is_some_and(|tools| !tools.is_empty()));
    refuse(first, "registry.ollama.ai/library/gemma:2b does not support tools").await;
    let second = server.next_request().await;
    assert_eq!((second.body.get("tools"), second.body["messages"].as_array().map(Vec::len)), (None, Some(2)));
    second.answer("words alone").await;
    let all = editor.all_until(&prompt).await;
    let (answer, updates) = all.split_last().expect("an answer");
    let sentence = "The model takes no tools: it is asked without them, and can neither read nor change anything.";
    assert_eq!(told(updates), [json!({ "kind": "without_tools", "sentence": sentence })]);
    let traces = &answer["result"]["diagnostics"]["stream_traces"];
    assert_eq!((&answer["result"]["stopReason"], traces.as_array().map(Vec::len)), (&json!("end_turn"), Some(2)));
    assert_eq!(traces[0]["notes"], json!([{ "kind": "without_tools", "message": "tools" }]));
    assert_eq!(fields(&traces[0]["failure"], &["cause", "meaning"]), json!({ "cause": "provider_http", "meaning": "unsupported" }));
    assert_eq!(fields(&traces[0]["retry"], &["verdict", "delay_ms"]), json!({ "verdict": "again", "delay_ms": 0 }));

    // It is known now.
    let prompt = editor.prompt(&session, "and now?").await;
    let third = server.next_request().await;
    assert_eq!(third.body.get("tools"), None);
    third.answer("the same").await;
    let all = editor.all_until(&prompt).await;
    assert_eq!(told(&all), [Value::Null; 0]);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_not_know_is_left_out_one_after_the_other_and_then_it_is_a_failure() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (mut editor, session) = opened(&server, &home).await;
    let prompt = editor.prompt(&session, "go").await;
    refuse(server.next_request().await, "Unknown parameter: 'stream_options'.").await;
    let second = server.next_request().await;
    assert_eq!((second.body.get("stream_options"), second.body.get("tools").is_some()), (None, true));
    refuse(second, "Unrecognized request argument supplied: tools").await;
    let third = server.next_request().await;
    assert_eq!((third.body.get("stream_options"), third.body.get("tools")), (None, None));
    // Nothing of that is in the request any more.
    refuse(third, "Unknown parameter: 'stream_options' and no support for tools").await;
    let error = editor.error(&prompt).await;
    let traces = error["data"]["diagnostics"]["stream_traces"].as_array().expect("traces").clone();
    let noted: Vec<_> = traces.iter().map(|trace| trace["notes"][0]["kind"].clone()).collect();
    assert_eq!(
        (error["data"]["cause"].clone(), noted),
        (json!("provider_http"), vec![json!("left_out"), json!("without_tools"), Value::Null])
    );
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_calls_are_what_the_server_takes_and_ours_stay() {
    let home = Home::new();
    home.file("a.txt", "alpha\n");
    let mut server = ModelServer::start().await;
    let (mut editor, session) = opened(&server, &home).await;
    let prompt = editor.prompt(&session, "go").await;
    let mut first = server.next_request().await;
    let long = format!("call_{}", "x".repeat(100));
    first.tool_call(0, &long, "read_file", &json!({ "path": "a.txt" })).await;
    first.tool_call(1, "functions.read:1", "read_file", &json!({ "path": "a.txt" })).await;
    first.finish("tool_calls").await;
    first.done().await;
    // The ids of the calls, and those of their results.
    let ids = |exchange: &Exchange| -> (Vec<String>, Vec<String>) {
        let text = |id: &Value| id.as_str().expect("an id").to_owned();
        let messages = exchange.body["messages"].as_array().expect("messages");
        let calls = messages.iter().flat_map(|message| message["tool_calls"].as_array().into_iter().flatten());
        let results = messages.iter().filter(|message| message["role"] == "tool");
        (calls.map(|call| text(&call["id"])).collect(), results.map(|result| text(&result["tool_call_id"])).collect())
    };
    let second = server.next_request().await;
    let (calls, results) = ids(&second);
    assert!(calls[0].len() <= 64 && calls[1] == "functions.read:1", "{calls:?}");
    assert_eq!(calls, results);
    refuse(second, "Tool call id was functions.read:1 but must be a-z, A-Z, 0-9, with a length of 9.").await;
    let third = server.next_request().await;
    let (calls, results) = ids(&third);
    assert!(calls.iter().all(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{calls:?}");
    assert_eq!(calls, results);
    third.answer("read").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    let parts = export["session"]["messages"][1]["parts"].as_array().expect("parts").clone();
    let kept: Vec<_> = parts.iter().filter(|part| part["kind"] == "tool_call").map(|part| part["call_id"].clone()).collect();
    assert_eq!(kept, [json!(long), json!("functions.read:1")]);
    editor.finish().await;
}
