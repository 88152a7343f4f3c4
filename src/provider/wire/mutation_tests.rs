//! Recorded streams in which something has another type than it should: nothing panics, and what else the stream says is shown,
//! or a failure is told.

use super::answer::Answer;
use super::body::EVENT_LIMIT;
use super::endpoint::Endpoint;
use super::limits::AnswerLimits;
use super::progress::Progress;
use super::sse::Reader;
use super::testing::hello;
use super::{Asking, KeyHeader, Protocol, Reading, Refusal, Unread};
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::ModelEvent;
use crate::provider::anthropic::Messages;
use crate::provider::openai::ChatCompletions;
use crate::provider::responses::Responses;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::sync::Arc;

const CHAT_COMPLETIONS: &str = include_str!("../../../tests/fixtures/streams/chat_completions.json");
const RESPONSES: &str = include_str!("../../../tests/fixtures/streams/responses.json");
const MESSAGES: &str = include_str!("../../../tests/fixtures/streams/messages.json");

/// What a stream comes to: what it shows, event by event, and its failure.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    shown: Vec<String>,
    calls: usize,
    failure: Option<StreamFailure>,
}

fn progress<P: Protocol>() -> Progress<P> {
    let limits = AnswerLimits { calls: 64, call_bytes: 1 << 20, text_bytes: 1 << 20 };
    let endpoint = Arc::new(Endpoint::new::<P>("http://127.0.0.1/v1", None).unwrap());
    Progress { protocol: P::default(), answer: Answer::begin(&hello(), limits), endpoint, model: "m".into() }
}

/// Reads a stream to its end, in pieces of `size` bytes.
fn read<P: Protocol>(stream: &[u8], size: usize) -> Outcome {
    let (mut progress, mut reader, mut outcome) = (progress::<P>(), Reader::default(), Outcome::default());
    let mut pieces = stream.chunks(size);
    let over = loop {
        let piece = pieces.next();
        if let Some(piece) = piece {
            reader.push(piece);
            assert!(reader.pending() < EVENT_LIMIT);
        }
        let over = loop {
            let event = if piece.is_some() { reader.next() } else { reader.end() };
            let Some(event) = event.expect("UTF-8") else { break false };
            let reading = progress.take(event.name, event.data);
            let mut shown = String::new();
            while let Some(event) = progress.answer.pop() {
                collect(event, &mut shown, &mut outcome);
            }
            outcome.shown.push(shown);
            match reading {
                Ok(Reading::IsOver) => break true,
                Ok(_) => {}
                Err(failure) => {
                    outcome.failure = Some(*failure);
                    return outcome;
                }
            }
        };
        if over || piece.is_none() {
            break over;
        }
    };
    if over || progress.answer.has_ended() {
        let finished = progress.finish();
        let mut shown = String::new();
        while let Some(event) = progress.answer.pop() {
            collect(event, &mut shown, &mut outcome);
        }
        outcome.shown.push(shown);
        outcome.failure = finished.err().map(|failure| *failure);
    } else {
        outcome.failure = Some(*crate::provider::failure::transport(crate::provider::failure::TransportKind::UnexpectedEof, "", &[]));
    }
    outcome
}

fn collect(event: ModelEvent, shown: &mut String, outcome: &mut Outcome) {
    match event {
        ModelEvent::Text(text) | ModelEvent::Reasoning(text) => shown.push_str(&text),
        ModelEvent::ToolCall { .. } => outcome.calls += 1,
        _ => {}
    }
}

/// The streams of a file of cases, as events.
fn recorded(cases: &str) -> Vec<Vec<String>> {
    let cases: Vec<Value> = serde_json::from_str(cases).expect("cases");
    let answers = cases.iter().flat_map(|case| case["answers"].as_array().expect("answers"));
    let events = |answer: &Value| -> Vec<String> {
        let pieces = answer.as_array().expect("an answer").iter().filter_map(Value::as_str).filter(|piece| !piece.starts_with("HTTP/"));
        pieces.map(str::to_owned).collect()
    };
    answers.map(events).filter(|events| !events.is_empty()).collect()
}

/// What is done to a value.
#[derive(Debug, Clone)]
enum Change {
    Becomes(Value),
    InList,
    InObject,
    AsText,
    Twice,
    Gone,
}

fn changes() -> impl Strategy<Value = Change> {
    let other =
        [json!(null), json!(7), json!(-1), json!(1.5), json!(true), json!(""), json!("0"), json!("x"), json!([]), json!({}), json!([null])];
    prop_oneof![
        4 => proptest::sample::select(other.to_vec()).prop_map(Change::Becomes),
        1 => Just(Change::InList),
        1 => Just(Change::InObject),
        1 => Just(Change::AsText),
        1 => Just(Change::Twice),
        1 => Just(Change::Gone),
    ]
}

/// Changes the `nth` value inside of `value`, counted in its order; gives how many there are if that was not among them.
fn change(value: &mut Value, nth: &mut usize, change_to: &Change) -> bool {
    if let Value::Object(fields) = value {
        let keys: Vec<String> = fields.keys().cloned().collect();
        for key in keys {
            if *nth == 0 && matches!(change_to, Change::Gone) {
                fields.remove(&key);
                return true;
            }
            if change(fields.get_mut(&key).expect("its key"), nth, change_to) {
                return true;
            }
        }
        return false;
    }
    if let Value::Array(items) = value {
        return items.iter_mut().any(|item| change(item, nth, change_to));
    }
    if *nth > 0 {
        *nth -= 1;
        return false;
    }
    *value = changed(value.take(), change_to);
    true
}

fn changed(value: Value, change: &Change) -> Value {
    match change {
        Change::Becomes(other) => other.clone(),
        Change::InList => json!([value]),
        Change::InObject => json!({ "value": value }),
        Change::AsText => json!(value.to_string()),
        Change::Twice => json!([value, value]),
        Change::Gone => Value::Null,
    }
}

/// An event whose data has that change, or none if it has no such place.
fn mutated(event: &str, nth: usize, change_to: &Change) -> Option<String> {
    let at = event.find("data: {")? + 6;
    let end = event[at..].find('\n').map_or(event.len(), |end| at + end);
    let mut data: Value = serde_json::from_str(&event[at..end]).ok()?;
    let mut left = nth;
    if !change(&mut data, &mut left, change_to) {
        let places = nth - left;
        left = if places == 0 { return None } else { nth % places };
        change(&mut data, &mut left, change_to);
    }
    Some(format!("{}{data}{}", &event[..at], &event[end..]))
}

/// Chat completions none of whose events is taken for words alone.
#[derive(Default)]
struct InFull(ChatCompletions);

impl Protocol for InFull {
    const PATH: &'static str = ChatCompletions::PATH;
    const KEY: KeyHeader = ChatCompletions::KEY;
    const HEADERS: &'static [(&'static str, &'static str)] = ChatCompletions::HEADERS;
    const REQUEST_ID: &'static str = ChatCompletions::REQUEST_ID;
    const UNFINISHED: &'static [&'static str] = ChatCompletions::UNFINISHED;
    const LAST: &'static str = ChatCompletions::LAST;
    const REFUSABLE: &'static [Refusal] = ChatCompletions::REFUSABLE;

    fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
        ChatCompletions::body(asking)
    }

    fn end(&mut self, answer: &mut Answer) -> Result<(), Box<StreamFailure>> {
        self.0.end(answer)
    }

    fn read(&mut self, _: &str, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
        self.0.read_in_full(data, answer)
    }
}

/// Throws a stream, a change of one of its events and a size of its pieces, and calls `test` with the stream's events, which one is
/// changed, and what it becomes.
fn with_one_changed(cases: &str, test: impl Fn(&[String], usize, &str, usize) -> Result<(), TestCaseError>) {
    let streams = recorded(cases);
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let dice = (0..streams.len(), any::<prop::sample::Index>(), 0..40_usize, changes(), 1..90_usize);
    let outcome = runner.run(&dice, |(stream, event, nth, change_to, size)| {
        let events = &streams[stream];
        let at = event.index(events.len());
        mutated(&events[at], nth, &change_to).map_or(Ok(()), |changed| test(events, at, &changed, size))
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
}

fn replaced(events: &[String], at: usize, by: &str) -> String {
    [&events[..at].concat(), by, &events[at + 1..].concat()].concat()
}

fn survives<P: Protocol>(cases: &str) {
    with_one_changed(cases, |events, at, changed, size| {
        let before = read::<P>(events.concat().as_bytes(), size);
        let stream = replaced(events, at, changed);
        let after = read::<P>(stream.as_bytes(), size);
        prop_assert!(after.shown.len() <= events.len() + 2);
        if after.failure.is_some() || before.failure.is_some() || before.shown.len() < events.len() {
            return Ok(());
        }
        let shown = after.shown.concat();
        let lost = before.shown.iter().enumerate().find(|(n, said)| *n != at && !shown.contains(said.as_str()));
        // What an end restates is shown there only if it was not shown before.
        prop_assert!(lost.is_none(), "{:?} was lost\n{stream}\n{after:?}", lost.map(|(_, said)| said));
        Ok(())
    });
}

#[test]
fn words_alone_are_read_as_they_would_be_in_full() {
    let with_nulls = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","usage":null,"choices":[{"index":0,"delta":{"role":"assistant","content":"a\n\u00e9","refusal":null,"tool_calls":null},"logprobs":null,"finish_reason":null}]}"#;
    let bare = with_nulls.replace(r#","refusal":null,"tool_calls":null"#, "").replace(r#""usage":null,"#, "");
    let end = r#"data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let own = serde_json::json!([{ "answers": [[format!("{with_nulls}\n\n"), format!("{bare}\n\n"), format!("{end}\n\n")]] }]);
    for cases in [CHAT_COMPLETIONS, &own.to_string()] {
        with_one_changed(cases, |events, at, changed, size| {
            let stream = replaced(events, at, changed);
            let [alone, in_full] = [read::<ChatCompletions>, read::<InFull>].map(|read| read(stream.as_bytes(), size));
            prop_assert_eq!(alone, in_full, "{}", stream);
            Ok(())
        });
    }
}

#[test]
fn chat_completions_survive_any_type() {
    survives::<ChatCompletions>(CHAT_COMPLETIONS);
}

#[test]
fn responses_survive_any_type() {
    survives::<Responses>(RESPONSES);
}

#[test]
fn messages_survive_any_type() {
    survives::<Messages>(MESSAGES);
}

#[test]
fn a_stream_that_is_cut_anywhere_ends_with_what_it_said_or_a_failure() {
    for events in recorded(CHAT_COMPLETIONS) {
        let stream = events.concat();
        for end in 0..=stream.len() {
            read::<ChatCompletions>(&stream.as_bytes()[..end].iter().copied().filter(u8::is_ascii).collect::<Vec<_>>(), 64);
        }
    }
}
