//! How a history is split into the vendor's messages.

use super::*;
use crate::protocol::content::{ContentBlock, EmbeddedResource};
use crate::protocol::ids::{AttemptId, MessageId};
use crate::protocol::message::{Message, Part, ResultStatus, Role};
use crate::protocol::model::{ModelRequest, Purpose};
use crate::provider::wire::testing::asking;
use serde_json::json;
use std::sync::Arc;

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { message_id: MessageId::new("msg_1"), role, created_at: 0, parts, turn_id: None, model: None }
}

fn request(messages: Vec<Message>, tools: Vec<ToolSpec>) -> ModelRequest {
    let messages = messages.into_iter().map(Arc::new).collect();
    ModelRequest { attempt_id: AttemptId::new("att_1"), purpose: Purpose::Turn, system: String::new(), messages, tools: tools.into() }
}

fn sent(messages: Vec<Message>) -> Value {
    let body: Value = serde_json::from_slice(&body(&asking("m", &request(messages, Vec::new()))).unwrap()).unwrap();
    body["messages"].clone()
}

fn result(id: &str, text: &str) -> Part {
    Part::tool_result(id, ResultStatus::Completed, text)
}

#[test]
fn a_whole_turn_is_split_into_its_steps() {
    let parts = vec![
        Part::reasoning("first"),
        Part::text("I "),
        Part::text("look."),
        Part::tool_call("a", "read_file", json!({"path": "x"})),
        Part::tool_call("b", "search", json!({})),
        result("b", "two"),
        result("a", "one"),
        Part::tool_call("c", "read_file", json!({"path": "y"})),
        result("c", ""),
        Part::reasoning("now"),
        Part::text("Done."),
    ];
    let path = |path: &str| json!({ "path": path }).to_string();
    let call =
        |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    assert_eq!(
        sent(vec![message(Role::User, vec![Part::text("Go")]), message(Role::Assistant, parts)]),
        json!([
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": "I look.", "tool_calls": [call("a", "read_file", &path("x")), call("b", "search", "{}")]},
            {"role": "tool", "tool_call_id": "a", "content": "one"},
            {"role": "tool", "tool_call_id": "b", "content": "two"},
            {"role": "assistant", "content": null, "tool_calls": [call("c", "read_file", &path("y"))]},
            {"role": "tool", "tool_call_id": "c", "content": "(no output)"},
            {"role": "assistant", "content": "Done."},
        ])
    );
}

#[test]
fn resources_are_text_with_their_uri_and_an_empty_turn_leaves_no_message() {
    let resource = EmbeddedResource { uri: "file:///a.rs".into(), mime_type: None, text: Some("fn a() {}".into()) };
    let prompt = [
        ContentBlock::text("Explain"),
        ContentBlock::ResourceLink { uri: "file:///b.rs".into(), name: "b.rs".into() },
        ContentBlock::Resource { resource },
    ];
    let messages = vec![
        message(Role::User, prompt.into_iter().map(Part::from).collect()),
        message(Role::Assistant, vec![Part::reasoning("stopped here"), Part::text("")]),
        message(Role::User, vec![Part::text("Again")]),
    ];
    let content = "Explain\n[b.rs](file:///b.rs)\n<resource uri=\"file:///a.rs\">\nfn a() {}\n</resource>\nAgain";
    assert_eq!(sent(messages), json!([{"role": "user", "content": content}]));
}

#[test]
fn calls_that_a_model_got_wrong_are_still_accepted_by_vendors() {
    let parts = vec![
        Part::tool_call("a", "no such tool!", Value::String("{\"path\":".into())),
        Part::tool_result("a", ResultStatus::NotStarted, ""),
        Part::tool_call("b", "", json!([1])),
        result("b", "x"),
    ];
    let messages = sent(vec![message(Role::Assistant, parts)]);
    let first = &messages[0]["tool_calls"][0]["function"];
    assert_eq!(first, &json!({"name": "no_such_tool_", "arguments": r#"{"unreadable_arguments":"{\"path\":"}"#}));
    assert_eq!(messages[1]["content"], "The call was not started: the turn was stopped.");
    assert_eq!(messages[2]["tool_calls"][0]["function"], json!({"name": "unknown", "arguments": r#"{"unreadable_arguments":"[1]"}"#}));
}

#[test]
fn tools_are_told_with_their_schema() {
    let spec = ToolSpec { name: "search", description: "Searches.", input_schema: json!({"type": "object"}) };
    let body: Value = serde_json::from_slice(&body(&asking("m", &request(Vec::new(), vec![spec]))).unwrap()).unwrap();
    let function = json!({"name": "search", "description": "Searches.", "parameters": {"type": "object"}});
    assert_eq!(body["tools"], json!([{"type": "function", "function": function}]));
}

fn picture(id: &str) -> Part {
    Part { mime_type: Some("image/png".into()), data: Some("aGk=".into()), ..result(id, "[image: image/png, 2 bytes]") }
}

#[test]
fn pictures_are_the_users_behind_the_results_of_their_step() {
    let parts =
        vec![Part::tool_call("a", "read_file", json!({})), Part::tool_call("b", "search", json!({})), picture("a"), result("b", "x")];
    let sent = sent(vec![
        message(Role::Assistant, [parts.clone(), vec![Part::text("Nice.")]].concat()),
        message(Role::Assistant, parts),
        message(Role::User, vec![Part::text("Well?")]),
    ]);
    let words = json!({"type": "text", "text": "The image of the tool call a:"});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let told = json!({"role": "tool", "tool_call_id": "a", "content": "[image: image/png, 2 bytes]"});
    assert_eq!((&sent[1], &sent[2]["role"]), (&told, &json!("tool")));
    assert_eq!(sent[3], json!({"role": "user", "content": [words, image]}));
    assert_eq!(sent[4], json!({"role": "assistant", "content": "Nice."}));
    // The turn was stopped there: two users never stand side by side.
    assert_eq!(sent[8], json!({"role": "user", "content": [words, image, {"type": "text", "text": "Well?"}]}));
    assert_eq!(sent[9], Value::Null);
}

fn state(json: Value, of: &str) -> Part {
    Part::state(json.to_string(), of)
}

#[test]
fn what_the_vendor_gave_goes_back_to_its_model_and_to_no_other() {
    let signed = json!({ "google": { "thought_signature": "s" } });
    let call = |of: &str| Part { state: Some(signed.to_string()), state_of: Some(of.into()), ..Part::tool_call("a", "search", json!({})) };
    let turn = |of: &str| {
        let thought = state(json!({ "reasoning_content": "hm", "reasoning_details": [1] }), of);
        message(Role::Assistant, vec![thought, call(of), result("a", "x"), Part::text("Done.")])
    };
    let told = |of: &str| sent(vec![message(Role::User, vec![Part::text("Go")]), turn(of)]);
    let own = told("vendor:m-1");
    assert_eq!((&own[1]["reasoning_content"], &own[1]["reasoning_details"]), (&json!("hm"), &json!([1])));
    assert_eq!(own[1]["tool_calls"][0]["extra_content"], signed);
    assert_eq!(own[3], json!({"role": "assistant", "content": "Done.", "reasoning_content": ""}), "each message says at least so much");
    for other in ["vendor:m-2", "other:m-1"] {
        let told = told(other);
        assert_eq!((told[1].get("reasoning_content"), told[1].get("reasoning_details")), (None, None));
        assert_eq!((told[1]["tool_calls"][0].get("extra_content"), told[3].get("reasoning_content")), (None, None));
    }
}

#[test]
fn what_was_thought_in_a_turn_without_calls_stays_away() {
    let thought = state(json!({ "reasoning_content": "hm", "reasoning": "hm" }), "vendor:m-1");
    let messages = vec![message(Role::User, vec![Part::text("Go")]), message(Role::Assistant, vec![Part::text("Done."), thought])];
    assert_eq!(sent(messages)[1], json!({"role": "assistant", "content": "Done."}));
}

#[test]
fn what_the_server_refused_is_not_sent_again() {
    let spec = ToolSpec { name: "search", description: "Searches.", input_schema: json!({"type": "object"}) };
    let parts = vec![Part::tool_call("call_1", "search", json!({})), result("call_1", "x")];
    let asked = request(vec![message(Role::User, vec![Part::text("Go")]), message(Role::Assistant, parts)], vec![spec]);
    let body_of = |refused: &[Refusal]| -> Value {
        let plain = asking("m", &asked);
        let refused = refused.iter().fold(plain.refused, |all, what| all.and(*what));
        serde_json::from_slice(&body(&Asking { refused, ..plain }).unwrap()).unwrap()
    };
    let left = body_of(&[Refusal::Tools, Refusal::StreamOptions, Refusal::OtherThanNine, Refusal::NoThoughts]);
    assert_eq!((left.get("tools"), left.get("stream_options")), (None, None));
    let id = left["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!((id.len(), &left["messages"][2]["tool_call_id"]), (9, &json!(id)));
    assert_eq!(left["messages"][1]["reasoning_content"], "");
    let whole = body_of(&[]);
    assert_eq!((whole["tools"].as_array().map(Vec::len), &whole["messages"][1]["tool_calls"][0]["id"]), (Some(1), &json!("call_1")));
    assert_eq!(whole["messages"][1].get("reasoning_content"), None);
}
