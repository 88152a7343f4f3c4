//! Pieces of calls in the orders in which servers send them, and what comes of them.

use super::*;
use crate::protocol::ids::MessageId;
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::model::{Purpose, ToolSpec};
use serde_json::json;
use std::sync::Arc;

const LIMITS: AnswerLimits = AnswerLimits { calls: 8, call_bytes: 64, text_bytes: 64 };

fn calls() -> Calls {
    let used = vec![Part::tool_call("old", "a", json!({}))];
    let message =
        Message { message_id: MessageId::new("m"), role: Role::Assistant, created_at: 0, parts: used, turn_id: None, model: None };
    let tool = |name| ToolSpec { name, description: "", input_schema: json!({}) };
    let request = ModelRequest {
        attempt_id: AttemptId::new("att_1"),
        purpose: Purpose::Turn,
        system: String::new(),
        messages: vec![Arc::new(message)],
        tools: [tool("read_file"), tool("shell")].into(),
    };
    Calls::new(&request, LIMITS)
}

/// A piece: id, index, name, more arguments.
fn piece<'a>(id: &'a str, index: impl Into<Option<i64>>, name: &'a str, more: &'a str) -> Piece<'a> {
    let arguments = if more.is_empty() { Arguments::Nothing } else { Arguments::More(more.into()) };
    Piece { id: id.into(), index: Index(index.into()), name: name.into(), arguments, ..Piece::default() }
}

/// The calls that these pieces come to: id, name, input.
fn come_to(pieces: Vec<Piece<'_>>) -> Vec<(String, String, Value)> {
    let mut calls = calls();
    for piece in pieces {
        calls.add(piece).unwrap();
    }
    let mut out = VecDeque::new();
    calls.hand_out(&mut out).unwrap();
    let call = |event| match event {
        ModelEvent::ToolCall { call_id, tool, input, .. } => (call_id, tool, input),
        other => panic!("{other:?}"),
    };
    out.into_iter().map(call).collect()
}

fn call(id: &str, name: &str, input: Value) -> (String, String, Value) {
    (id.to_owned(), name.to_owned(), input)
}

#[test]
fn a_call_is_known_by_its_id_wherever_it_stands() {
    let one = [call("c1", "shell", json!({"x": 1}))];
    assert_eq!(come_to(vec![piece("c1", 0, "shell", ""), piece("c1", 1, "", "{\"x\":1}")]), one);
    assert_eq!(come_to(vec![piece("c1", 0, "shell", ""), piece("c1", 1, "shell", "{\"x\":1}")]), one);
    assert_eq!(come_to(vec![piece("c1", 0, "shell", "{\"x\":1}"), piece("c1", 1, "shell", "{\"x\":1}")]), one, "said twice, run once");
    let item = |arguments| Piece { item: "fc".into(), arguments, ..Piece::default() };
    let announced = Piece { item: "fc".into(), ..piece("c1", 0, "shell", "") };
    let done = Piece { arguments: Arguments::All("{\"x\":1}".into()), ..piece("c1", 3, "shell", "") };
    assert_eq!(come_to(vec![announced, item(Arguments::More("{\"x\"".into())), item(Arguments::All("{\"x\":1}".into())), done]), one);
}

#[test]
fn a_new_name_or_arguments_behind_whole_ones_begin_another_call() {
    let read = || call("call_1_1", "read_file", json!({"p": 1}));
    for index in [Some(0), None] {
        let two = come_to(vec![piece("", index, "read_file", "{\"p\":1}"), piece("", index, "shell", "{\"c\":2}")]);
        assert_eq!(two, [read(), call("call_1_2", "shell", json!({"c": 2}))]);
        let same_tool = come_to(vec![piece("", index, "read_file", "{\"p\":1}"), piece("", index, "read_file", "{\"p\":2}")]);
        assert_eq!(same_tool, [read(), call("call_1_2", "read_file", json!({"p": 2}))]);
        let split = come_to(vec![piece("", index, "read_", ""), piece("", index, "file", ""), piece("", index, "", "{\"p\":1}")]);
        assert_eq!(split, [read()]);
        let repeated = come_to(vec![piece("", index, "read_file", "{\"p\":"), piece("", index, "read_file", "1}")]);
        assert_eq!(repeated, [read()], "a name with every piece");
        let restated =
            come_to(vec![piece("", index, "read_file", "{\"p\":"), piece("", index, "", "1}"), piece("", index, "", "{\"p\":1}")]);
        assert_eq!(restated, [read()], "all of it once more at the end");
        let placeholder = come_to(vec![piece("", index, "read_file", "{}"), piece("", index, "", "{\"p\""), piece("", index, "", ":1}")]);
        assert_eq!(placeholder, [read()]);
    }
    let one_id = come_to(vec![piece("c", 0, "read_file", "{\"p\":1}"), piece("c", 1, "read_file", "{\"p\":2}")]);
    assert_eq!(one_id, [call("c", "read_file", json!({"p": 1})), call("call_1_2", "read_file", json!({"p": 2}))]);
}

#[test]
fn pieces_in_turn_stay_apart_and_pieces_astray_find_their_call() {
    let two = come_to(vec![
        piece("a", 0, "read_file", ""),
        piece("b", 1, "shell", ""),
        piece("", 0, "", "{\"p\":"),
        piece("", 1, "", "{\"c\":"),
        piece("", 0, "", "1}"),
        piece("", 1, "", "2}"),
    ]);
    assert_eq!(two, [call("a", "read_file", json!({"p": 1})), call("b", "shell", json!({"c": 2}))]);
    let astray = come_to(vec![piece("a", 0, "read_file", ""), piece("", 1, "", "{\"p\":"), piece("", 2, "", "1}")]);
    assert_eq!(astray, [call("a", "read_file", json!({"p": 1}))]);
    let ids = come_to(vec![piece("a", 0, "read_file", ""), piece("b", 0, "", "{\"p\":"), piece("c", 0, "", "1}")]);
    assert_eq!(ids, [call("a", "read_file", json!({"p": 1}))], "a new id for each piece");
}

#[test]
fn all_of_a_call_can_be_said_once_more_without_saying_which() {
    let all =
        |name: &'static str, all: &'static str| Piece { name: name.into(), arguments: Arguments::All(all.into()), ..Piece::default() };
    let pieces = vec![
        piece("a", 0, "shell", "{\"c\":1}"),
        piece("b", 1, "shell", "{\"c\":2}"),
        all("shell", "{\"c\":1}"),
        all("shell", "{\"c\":2}"),
    ];
    assert_eq!(come_to(pieces), [call("a", "shell", json!({"c": 1})), call("b", "shell", json!({"c": 2}))]);
    assert_eq!(come_to(vec![all("shell", "{\"c\":1}"), all("shell", "{\"c\":2}")]).len(), 2);
}

#[test]
fn arguments_are_taken_as_they_are_meant() {
    for (raw, want) in [
        ("", json!({})),
        ("null", json!({})),
        (r#""{\"p\":1}""#, json!({"p": 1})),
        (r#"{"p":"a\ud83d"}"#, json!({"p": "a\u{FFFD}"})),
        (r#"{"p":"\ud83d\ude00"}"#, json!({"p": "\u{1F600}"})),
        ("{\"p\":", json!("{\"p\":")),
        ("[1]", json!("[1]")),
        ("7", json!("7")),
    ] {
        assert_eq!(input(raw.to_owned()), want, "{raw}");
    }
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let read = |json: &str| Arguments::more(Some(&raw(json))).text().to_owned();
    assert_eq!(
        (read(r#"{"a": 1}"#), read(r#""{\"a\":1}""#), read("null"), read("7")),
        (r#"{"a": 1}"#.into(), r#"{"a":1}"#.into(), String::new(), String::new())
    );
    assert_eq!(come_to(vec![piece("old", 0, "shell", "")]), [call("call_1_1", "shell", json!({}))], "an id that was used");
}

#[test]
fn the_limits_hold_and_are_named() {
    let mut many = calls();
    let ids: Vec<_> = (0..=LIMITS.calls).map(|n| n.to_string()).collect();
    let added: Vec<_> = ids.iter().map(|id| many.add(piece(id, None, "shell", "{}"))).collect();
    assert!(added[..LIMITS.calls].iter().all(Result::is_ok));
    assert!(added[LIMITS.calls].as_ref().unwrap_err().message.contains("limits.max_answer_calls"));
    let mut long = calls();
    let failure = (0..9).map(|_| long.add(piece("", 0, "shell", "12345678"))).find_map(Result::err).unwrap();
    assert!(failure.message.contains("limits.max_call_bytes"), "{}", failure.message);
}

#[test]
fn it_is_told_which_call_goes_on_and_by_how_much() {
    let mut calls = calls();
    let mut told = |pieces: Vec<Piece<'_>>| {
        for piece in pieces {
            calls.add(piece).unwrap();
        }
        let mut out = VecDeque::new();
        calls.tell_news(&mut out);
        Vec::from(out)
    };
    let begins = |nth, call_id: &str, tool: &str| ModelEvent::ToolBegins { nth, call_id: call_id.into(), tool: tool.into() };
    let input = |bytes| ModelEvent::ToolInput { bytes };
    assert_eq!(told(vec![piece("", 0, "read_", "")]), [begins(0, "", "read_")]);
    assert_eq!(told(vec![piece("c1", 0, "file", ""), piece("", 0, "", "{\"a")]), [begins(0, "c1", "read_file"), input(3)]);
    assert_eq!(told(vec![piece("", 0, "", "\":")]), [input(2)]);
    assert_eq!(
        told(vec![piece("c2", 1, "shell", "{"), piece("", 0, "", "1"), piece("", 1, "", "}")]),
        [input(1), begins(1, "c2", "shell"), input(2)]
    );
    assert_eq!(told(vec![piece("", 0, "", "2}")]), [begins(0, "c1", "read_file"), input(2)]);
    assert_eq!(told(vec![piece("c2", 1, "", "")]), []);
}
