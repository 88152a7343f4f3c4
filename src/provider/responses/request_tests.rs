//! How a history becomes items.

use super::*;
use crate::protocol::message::{Message, Part, ResultStatus, Role};
use crate::protocol::model::ModelRequest;
use crate::provider::wire::testing::{asking, message, request};
use serde_json::json;

fn body_of(request: &ModelRequest) -> Value {
    serde_json::from_slice(&body(&asking("gpt-x", request)).unwrap()).unwrap()
}

fn sent(messages: Vec<Message>) -> Value {
    body_of(&request(messages))["input"].take()
}

fn result(id: &str, text: &str) -> Part {
    Part::tool_result(id, ResultStatus::Completed, text)
}

fn says(role: &str, content: &str) -> Value {
    json!({"type": "message", "role": role, "content": content})
}

#[test]
fn a_whole_turn_becomes_items_with_each_output_behind_its_call() {
    let parts = vec![
        Part::reasoning("first"),
        Part::text("I look."),
        Part::tool_call("a", "read_file", json!({"path": "x"})),
        Part::tool_call("b", "search", json!({})),
        result("b", "two"),
        result("a", "one"),
        Part::text("Done."),
    ];
    let call =
        |id: &str, name: &str, arguments: &str| json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments});
    let output = |id: &str, output: &str| json!({"type": "function_call_output", "call_id": id, "output": output});
    assert_eq!(
        sent(vec![message(Role::User, vec![Part::text("Go")]), message(Role::Assistant, parts)]),
        json!([
            says("user", "Go"),
            says("assistant", "I look."),
            call("a", "read_file", r#"{"path":"x"}"#),
            call("b", "search", "{}"),
            output("a", "one"),
            output("b", "two"),
            says("assistant", "Done."),
        ])
    );
}

#[test]
fn what_the_vendor_would_refuse_is_written_so_that_it_does_not() {
    let long = "x".repeat(80);
    let parts =
        vec![Part::tool_call(long.as_str(), "no such tool!", json!([1])), Part::tool_result(long.as_str(), ResultStatus::Denied, "")];
    let items = sent(vec![message(Role::User, vec![]), message(Role::Assistant, parts)]);
    assert_eq!(items[0], says("user", "(empty message)"));
    let id = items[1]["call_id"].as_str().unwrap();
    assert!(id.len() <= 64, "{id}");
    assert_eq!((&items[1]["name"], &items[1]["arguments"]), (&json!("no_such_tool_"), &json!(r#"{"unreadable_arguments":"[1]"}"#)));
    assert_eq!(items[2], json!({"type": "function_call_output", "call_id": id, "output": "The call was not allowed."}));
}

#[test]
fn nothing_is_stored_and_a_conversation_has_its_own_cache_key() {
    let spec = ToolSpec { name: "search", description: "Searches.", input_schema: json!({"type": "object"}) };
    let turn = ModelRequest { tools: [spec].into(), ..request(vec![message(Role::User, vec![Part::text("Go")])]) };
    assert_eq!(
        body_of(&turn),
        json!({
            "model": "gpt-x", "stream": true, "store": false, "instructions": "Be brief.", "prompt_cache_key": "msg_1",
            "include": ["reasoning.encrypted_content"], "input": [says("user", "Go")],
            "tools": [{"type": "function", "name": "search", "description": "Searches.", "parameters": {"type": "object"}, "strict": false}],
        })
    );
    let title = ModelRequest { purpose: Purpose::Title, ..turn };
    let title = body_of(&title);
    assert_eq!((title.get("prompt_cache_key"), title.get("include")), (None, None));
}

fn picture(id: &str) -> Part {
    Part { mime_type: Some("image/png".into()), data: Some("aGk=".into()), ..result(id, "[image: image/png, 2 bytes]") }
}

#[test]
fn a_picture_stands_in_its_output() {
    let parts = vec![Part::tool_call("a", "read_file", json!({})), picture("a")];
    let said = message(Role::User, vec![Part::text("Look")]);
    let words = json!({"type": "input_text", "text": "[image: image/png, 2 bytes]"});
    let output = json!([words, {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]);
    let item = json!({"type": "function_call_output", "call_id": "a", "output": output});
    assert_eq!(sent(vec![said, message(Role::Assistant, parts)])[2], item);
}

#[test]
fn a_reasoning_item_goes_back_in_front_of_what_followed_from_it() {
    let item = |n: u32| json!({"type": "reasoning", "id": format!("rs_{n}"), "summary": [], "encrypted_content": "e"});
    let state = |n| Part::state(item(n).to_string(), "vendor:m-1");
    let call = |id: &str| Part::tool_call(id, "search", json!({}));
    let parts = vec![state(1), call("a"), state(2), call("b"), result("a", "x"), result("b", "y"), state(3), Part::text("Done."), state(4)];
    let sent = sent(vec![message(Role::User, vec![Part::text("Go")]), message(Role::Assistant, parts)]);
    let kinds: Vec<_> = sent.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    let (call, output) = ("function_call", "function_call_output");
    assert_eq!(kinds, ["message", "reasoning", call, "reasoning", call, output, output, "reasoning", "message"]);
    assert_eq!([&sent[1], &sent[3], &sent[7]], [&item(1), &item(2), &item(3)]);
}
