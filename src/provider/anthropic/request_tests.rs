//! How a history becomes messages, and where the cache's marks stand.

use super::*;
use crate::protocol::message::{Part, ResultStatus, Role as Speaker};
use crate::protocol::model::ModelRequest;
use crate::provider::wire::testing::{asking, message, request};
use serde_json::json;
use std::sync::Arc;

fn body_of(request: &ModelRequest) -> Value {
    serde_json::from_slice(&body(&asking("claude-opus-5", request)).unwrap()).unwrap()
}

/// The messages that are sent, without marks.
fn sent(messages: Vec<crate::protocol::message::Message>) -> Value {
    let mut messages = body_of(&request(messages))["messages"].take();
    for block in messages.as_array_mut().unwrap().iter_mut().flat_map(|message| message["content"].as_array_mut().unwrap()) {
        block.as_object_mut().unwrap().remove("cache_control");
    }
    messages
}

fn result(id: &str, text: &str) -> Part {
    Part::tool_result(id, ResultStatus::Completed, text)
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn a_whole_turn_is_split_into_alternating_messages() {
    let parts = vec![
        Part::reasoning("first"),
        Part::text("I "),
        Part::tool_call("a", "read_file", json!({"path": "x"})),
        Part::text("look."),
        Part::tool_call("b", "search", json!({})),
        result("b", "two"),
        result("a", "one"),
        Part::tool_call("c", "read_file", json!({"path": "y"})),
        Part::tool_result("c", ResultStatus::Interrupted, ""),
    ];
    let turn = vec![message(Speaker::User, vec![Part::text("Go")]), message(Speaker::Assistant, parts)];
    let call = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let answer = |id: &str, content: &str| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    let stopped =
        json!({"type": "tool_result", "tool_use_id": "c", "is_error": true, "content": "The call was interrupted: the turn was stopped."});
    assert_eq!(
        sent(turn.into_iter().chain([message(Speaker::User, vec![Part::text("Go on")])]).collect()),
        json!([
            {"role": "user", "content": [text("Go")]},
            {"role": "assistant", "content": [text("I look."), call("a", "read_file", json!({"path": "x"})), call("b", "search", json!({}))]},
            {"role": "user", "content": [answer("a", "one"), answer("b", "two")]},
            {"role": "assistant", "content": [call("c", "read_file", json!({"path": "y"}))]},
            {"role": "user", "content": [stopped, text("Go on")]},
        ])
    );
}

#[test]
fn what_the_vendor_would_refuse_is_written_so_that_it_does_not() {
    let parts = vec![
        Part::text(" \n"),
        Part::tool_call("functions.read:0", "no such tool!", Value::String("{\"path\":".into())),
        result("functions.read:0", " "),
    ];
    let messages = sent(vec![message(Speaker::User, vec![Part::text("\t")]), message(Speaker::Assistant, parts)]);
    assert_eq!(messages[0]["content"], json!([text("(empty message)")]));
    let call = &messages[1]["content"][0];
    let id = call["id"].as_str().unwrap();
    assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)), "{id}");
    assert_eq!((&call["name"], &call["input"]), (&json!("no_such_tool_"), &json!({"unreadable_arguments": "{\"path\":"})));
    assert_eq!(messages[2]["content"], json!([{"type": "tool_result", "tool_use_id": id, "content": "(no output)"}]));
}

#[test]
fn tools_system_and_the_two_newest_messages_are_marked_for_the_cache() {
    let turn = |n: usize| {
        let id = format!("c{n}");
        let parts = vec![Part::tool_call(id.clone(), "search", json!({})), result(&id, "found")];
        [message(Speaker::User, vec![Part::text("Go")]), message(Speaker::Assistant, parts)]
    };
    let tool = |name| ToolSpec { name, description: "Does.", input_schema: json!({"type": "object"}) };
    let tools: Arc<[ToolSpec]> = [tool("read_file"), tool("search")].into();
    let asked = ModelRequest { tools, ..request(turn(1).into_iter().chain(turn(2)).collect()) };
    let body = body_of(&asked);
    let mark = json!({"type": "ephemeral"});
    assert_eq!(
        body["tools"],
        json!([
            {"name": "read_file", "description": "Does.", "input_schema": {"type": "object"}},
            {"name": "search", "description": "Does.", "input_schema": {"type": "object"}, "cache_control": mark},
        ])
    );
    assert_eq!(body["system"], json!([{"type": "text", "text": "Be brief.", "cache_control": mark}]));
    let marked: Vec<(usize, usize)> = (0..body["messages"].as_array().unwrap().len())
        .flat_map(|at| (0..body["messages"][at]["content"].as_array().unwrap().len()).map(move |block| (at, block)))
        .filter(|(at, block)| !body["messages"][at]["content"][block]["cache_control"].is_null())
        .collect();
    // Go, call, found and Go, call, found.
    assert_eq!(marked, [(2, 1), (4, 0)]);
    assert_eq!(body.to_string().matches("cache_control").count(), 4);
}

#[test]
fn a_title_is_asked_for_without_marks_and_without_thinking() {
    let title = ModelRequest { purpose: Purpose::Title, ..request(vec![message(Speaker::User, vec![Part::text("Go")])]) };
    assert_eq!(
        body_of(&title),
        json!({
            "model": "claude-opus-5", "max_tokens": 64000, "stream": true,
            "system": [text("Be brief.")],
            "messages": [{"role": "user", "content": [text("Go")]}],
        })
    );
    let turn = ModelRequest { purpose: Purpose::Turn, ..title };
    assert_eq!(body_of(&turn)["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    let older: Value = serde_json::from_slice(&body(&asking("claude-opus-4-8", &turn)).unwrap()).unwrap();
    assert_eq!(older["thinking"], Value::Null);
}

fn picture(id: &str) -> Part {
    Part { mime_type: Some("image/png".into()), data: Some("aGk=".into()), ..result(id, "[image: image/png, 2 bytes]") }
}

#[test]
fn a_picture_stands_in_its_result() {
    let parts = vec![Part::tool_call("a", "read_file", json!({})), picture("a")];
    let said = message(Speaker::User, vec![Part::text("Look")]);
    let source = json!({"type": "base64", "media_type": "image/png", "data": "aGk="});
    let content = json!([text("[image: image/png, 2 bytes]"), {"type": "image", "source": source}]);
    let answer = json!([{"type": "tool_result", "tool_use_id": "a", "content": content}]);
    assert_eq!(sent(vec![said, message(Speaker::Assistant, parts)])[2]["content"], answer);
}

#[test]
fn a_thought_goes_back_in_front_of_what_followed_from_it() {
    let thought = |n: u32| json!({"type": "thinking", "thinking": format!("t{n}"), "signature": "s"});
    let state = |n, of: &str| Part::state(thought(n).to_string(), of);
    let turn = |of: &str| {
        let parts = vec![
            state(1, of),
            Part::text("I look."),
            state(2, of),
            Part::tool_call("a", "search", json!({})),
            result("a", "x"),
            state(3, of),
            Part::tool_call("b", "search", json!({})),
            // Nothing follows from the last one.
            state(4, of),
            result("b", "y"),
            state(5, of),
        ];
        sent(vec![message(Speaker::User, vec![Part::text("Go")]), message(Speaker::Assistant, parts)])
    };
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "search", "input": {}});
    let own = turn("vendor:m-1");
    assert_eq!(own[1]["content"], json!([thought(1), text("I look."), thought(2), call("a")]));
    assert_eq!((&own[3]["content"], own[5].is_null()), (&json!([thought(3), call("b")]), true));
    let other = turn("vendor:m-2");
    assert_eq!((&other[1]["content"], &other[3]["content"]), (&json!([text("I look."), call("a")]), &json!([call("b")])));
}
