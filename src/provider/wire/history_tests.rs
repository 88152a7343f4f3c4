//! Random histories, stopped at random points as a session stops, go through the request builder of every protocol; what
//! comes out is checked as the vendor checks it.

use super::*;
use crate::protocol::content::{ContentBlock, EmbeddedResource};
use crate::protocol::model::ModelRequest;
use crate::provider::anthropic::Messages;
use crate::provider::model_server::check_history;
use crate::provider::openai::ChatCompletions;
use crate::provider::responses::Responses;
use crate::provider::wire::Protocol;
use crate::provider::wire::testing::{asking, message, request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

/// The verdict on `request` of each protocol's vendor.
fn verdicts(request: &ModelRequest) -> [Result<(), String>; 3] {
    fn body<P: Protocol>(request: &ModelRequest) -> Value {
        serde_json::from_slice(&P::body(&asking("m", request)).unwrap()).unwrap()
    }
    // Each vendor's thoughts have another name.
    let mut responses = request.clone();
    for message in &mut responses.messages {
        let states = Arc::make_mut(message).parts.iter_mut().filter_map(|part| part.state.as_mut());
        states.for_each(|state| *state = state.replace("thinking", "reasoning"));
    }
    [body::<ChatCompletions>(request), body::<Messages>(request), body::<Responses>(&responses)].map(|body| check_history(&body))
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just(" \n\t".to_owned()), "[a-zé€ ]{1,12}"]
}

/// One call of a step: how its id looks, what the model wrote, how it ended, and where in the step's results that stands.
type Calling = (bool, Value, ResultStatus, String, Index);

fn calling() -> impl Strategy<Value = Calling> {
    let input = prop_oneof![Just(json!({})), Just(json!({"path": "a"})), Just(json!("{\"path\":")), Just(json!([1])), Just(Value::Null)];
    let status = prop_oneof![
        Just(ResultStatus::Completed),
        Just(ResultStatus::Failed),
        Just(ResultStatus::Denied),
        Just(ResultStatus::NotStarted),
        Just(ResultStatus::Interrupted),
        Just(ResultStatus::UnknownOutcome),
    ];
    (any::<bool>(), input, status, words(), any::<Index>())
}

/// What a step leaves: thoughts, words, calls, words between them, and their results in any order.
fn step() -> impl Strategy<Value = (String, String, String, Vec<Calling>)> {
    (words(), words(), words(), vec(calling(), 0..4))
}

/// A whole turn's parts, with calls named anew by `id`.
fn turn(steps: Vec<(String, String, String, Vec<Calling>)>, id: &mut usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for (thought, before, between, calls) in steps {
        let state = Part::state(json!({ "type": "thinking", "reasoning_content": thought }).to_string(), "vendor:m-1");
        parts.extend([Part::reasoning(thought), state.clone(), Part::text(before)]);
        let mut results = Vec::new();
        for (is_plain, input, status, text, place) in calls {
            *id += 1;
            let name = if is_plain { format!("call_{id}") } else { format!("functions.read:{id}/{}", "x".repeat(70)) };
            parts.extend([state.clone(), Part::tool_call(name.as_str(), "read file", input), Part::text(between.as_str())]);
            let picture = (status == ResultStatus::Completed && is_plain).then(|| "aGk=".to_owned());
            let mime_type = picture.is_some().then(|| "image/png".to_owned());
            let result = Part { mime_type, data: picture, ..Part::tool_result(name, status, text) };
            results.insert(place.index(results.len() + 1), result);
        }
        parts.extend(results);
    }
    parts
}

/// Stops a turn behind its first `kept` parts, as a session does: each call that has no result gets one, at the end.
fn stopped(mut parts: Vec<Part>, kept: Index) -> Vec<Part> {
    parts.truncate(kept.index(parts.len() + 1));
    let answered: Vec<_> = parts.iter().filter(|part| part.kind == PartKind::ToolResult).map(|part| call_id(part).to_owned()).collect();
    let open: Vec<_> = parts.iter().filter(|part| part.kind == PartKind::ToolCall).map(|part| call_id(part).to_owned()).collect();
    let open = open.into_iter().filter(|id| !answered.contains(id));
    let results: Vec<_> = open.map(|id| Part::tool_result(id, ResultStatus::Interrupted, "stopped")).collect();
    parts.extend(results);
    parts
}

/// What a person says: words, perhaps none, and things that stand in their editor.
fn prompt() -> impl Strategy<Value = Vec<Part>> {
    let resource = EmbeddedResource { uri: "file:///a".into(), mime_type: None, text: Some("a".into()) };
    let block = prop_oneof![
        words().prop_map(ContentBlock::text),
        Just(ContentBlock::ResourceLink { uri: "file:///a".into(), name: "a".into() }),
        Just(ContentBlock::Resource { resource }),
    ];
    vec(block.prop_map(Part::from), 0..3)
}

/// A conversation of stopped and whole turns, up to the next prompt.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let turns = vec((prompt(), vec(step(), 0..4), prop_oneof![any::<Index>().prop_map(Some), Just(None)]), 0..5);
    (turns, prompt()).prop_map(|(turns, last)| {
        let mut id = 0;
        let mut messages = Vec::new();
        for (said, steps, kept) in turns {
            let parts = turn(steps, &mut id);
            let parts = kept.map_or(parts.clone(), |kept| stopped(parts, kept));
            messages.extend([message(Role::User, said), message(Role::Assistant, parts)]);
        }
        messages.push(message(Role::User, last));
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_vendor_takes_a_history_that_was_stopped_anywhere(messages in conversation()) {
        prop_assert_eq!(verdicts(&request(messages)), [Ok(()), Ok(()), Ok(())]);
    }

    /// The next request of a turn that goes on: it ends with the results of the last step.
    #[test]
    fn every_vendor_takes_a_turn_that_goes_on(messages in conversation(), steps in vec(step(), 1..4), last in calling()) {
        let mut id = 1_000;
        let mut parts = turn(steps, &mut id);
        parts.extend(turn(vec![(String::new(), String::new(), String::new(), vec![last])], &mut id));
        let messages = messages.into_iter().chain([message(Role::Assistant, parts)]).collect();
        prop_assert_eq!(verdicts(&request(messages)), [Ok(()), Ok(()), Ok(())]);
    }

    /// What the two above rest on: no vendor would take a history in which a result is missing.
    #[test]
    fn no_vendor_takes_a_call_without_its_result(mut messages in conversation(), last in calling(), gone in any::<Index>()) {
        let parts = turn(vec![(String::new(), "a".into(), String::new(), vec![last])], &mut 1_000);
        let at = messages.len();
        messages.extend([message(Role::Assistant, parts), message(Role::User, vec![Part::text("go on")])]);
        let with_results: Vec<_> =
            (0..=at).filter(|at| messages[*at].parts.iter().any(|part| part.kind == PartKind::ToolResult)).collect();
        let parts = &mut messages[*gone.get(&with_results)].parts;
        let result = parts.iter().position(|part| part.kind == PartKind::ToolResult).unwrap();
        parts.remove(result);
        for verdict in verdicts(&request(messages)) {
            prop_assert!(verdict.is_err());
        }
    }
}
