//! From the store to the story: whatever was stored is read, exported, explained and sanitized again.

use crate::export::fixture::{self, CALM, Memory, Words};
use crate::export::{ExplainError, Mode, Reading, Redactor, Sanitize, explain, sanitize_document, write_export};
use crate::protocol::cause::{Cause, LOOP_GUARD_SETTING, Repetition};
use crate::protocol::diagnostics::Usage;
use crate::protocol::export::{SessionExport, TurnInfo, TurnStop};
use crate::protocol::ids::{MessageId, SessionId};
use crate::protocol::message::{Message, Part, PartKind, ResultStatus};
use crate::protocol::nesting::{MAX_NESTING, kept};
use crate::provenance::KnownKeys;
use crate::store::{BeginTurn, Diagnostic, EndTurn, History, PartWrite, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Number, Value, json};
use std::sync::Arc;

#[tokio::test]
async fn an_export_of_the_store_holds_what_was_recorded() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path().join("data"));
    let memory = CALM.memory();
    let mut sessions = memory.sessions.clone();
    sessions[0].parent_session_id = None;
    for session in &sessions {
        store.create_session(session.clone()).await.expect("created");
    }
    for cancel in &memory.cancels {
        store.record(Diagnostic::Cancel(cancel.clone())).await.expect("recorded");
    }
    let export: SessionExport = parsed(&exported(&store, &sessions[2].session_id, Sanitize::No).await);
    assert_eq!(export.session.info.session_id, sessions[0].session_id, "a child's id exports its whole tree");
    assert_eq!(export.stats.sessions, 4);
    assert_eq!(export.diagnostics.cancel_requests.len(), memory.cancels.len());
    assert_eq!(export.at_seq, memory.cancels.len() as u64);
}

#[tokio::test]
async fn arguments_that_were_once_stored_too_deep_cost_neither_the_session_nor_the_abort() {
    let deep: Value = serde_json::from_str(&format!("{}{}", "[".repeat(126), "]".repeat(126))).expect("as deep as a parser reads");
    let parts = vec![Part::tool_call("call", "deploy", json!({ "path": deep })), Part::tool_result("call", ResultStatus::Failed, "no")];
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path().join("data"));
    let mut memory = CALM.memory();
    memory.aborts.truncate(1);
    memory.aborts[0].cause = repeated(json!({ "path": deep }));
    let stored = store_all(&store, memory, parts).await;
    let root = &stored.sessions[0].session_id;
    let history = store.history(root).await.expect("a history").messages;
    let [_, answer] = &history[..] else { panic!("two messages: {history:?}") };
    assert_eq!(answer.parts[1], Part::tool_result("call", ResultStatus::Failed, "no"));
    assert_eq!(answer.parts[0].call_id.as_deref(), Some("call"));
    for sanitize in [Sanitize::Yes, Sanitize::No] {
        let json = exported(&store, root, sanitize).await;
        let export: SessionExport = parsed(&json);
        assert_eq!((export.diagnostics.aborts.len(), export.stats.parts), (1, 4));
        assert!(told(&json).expect("a story").contains("loop_guard"));
    }
}

#[test]
fn an_export_that_no_parser_takes_is_explained() {
    let memory = CALM.memory();
    let json = memory.export(Sanitize::No, &[]);
    for levels in [100, 120, 127, 200, 100_000] {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let json = json.replace(r#""input":{"some words":["some words",1]}"#, &format!(r#""input":{deep}"#));
        assert!(told(&json).expect("a story").contains("write_file"), "{levels}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_stored_is_read_exported_explained_and_sanitized_again(
        id in select(vec!["x", "", "a\0b", "\u{202e}\"]}", "\u{feff}'; --"]),
        text in text(),
        mut parts in vec(part(), 0..5),
        input in value(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        // Every part has a call's id, as every part of a message may have; a limit is met in each place that has a value.
        parts.push(Part::tool_call("last", text.clone(), kept(input.clone())));
        let words = Words { id, text: text.leak() };
        let mut memory = words.memory();
        memory.aborts.truncate(2);
        memory.aborts[0].cause = repeated(kept(input));
        runtime.block_on(check_round_trip(memory, parts))?;
    }
}

async fn check_round_trip(memory: Memory, parts: Vec<Part>) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path().join("data"));
    let stored = store_all(&store, memory, parts).await;
    let root = &stored.sessions[0].session_id;
    let messages: Vec<Message> = stored.messages.iter().map(|(_, message)| message.clone()).collect();
    prop_assert_eq!(&store.history(root).await.expect("a history"), &History { messages: messages.clone(), ..History::default() });

    let full = exported(&store, root, Sanitize::No).await;
    let export: SessionExport = parsed(&full);
    prop_assert_eq!(&export.session.messages, &messages);
    prop_assert_eq!(&export.session.info, &stored.sessions[0]);
    prop_assert_eq!(export.diagnostics.aborts.len(), stored.aborts.len());
    for (read, stored) in export.diagnostics.aborts.iter().zip(&stored.aborts) {
        prop_assert_eq!((&read.cause, &read.reason, &read.request), (&stored.cause, &stored.reason, &stored.request));
    }
    prop_assert_eq!(&export.diagnostics.title_generations, &stored.titles);
    prop_assert_eq!(&export.diagnostics.tool_runs, &stored.tool_runs);
    prop_assert_eq!(&export.diagnostics.incidents[0].message, &stored.incidents[0].message);
    prop_assert_eq!(exported(&store, root, Sanitize::No).await, full.clone(), "the same is exported again");
    // What was read from an export and written again is the same.
    let mut again = Redactor::new(Mode::Full, Arc::new(KnownKeys::default()));
    prop_assert_eq!(value_of(&again.record(&export).expect("JSON")), value_of_text(&full));

    let sanitized = exported(&store, root, Sanitize::Yes).await;
    parsed::<SessionExport>(&sanitized);
    let twice = sanitize_document(value_of_text(&sanitized), Arc::default()).expect("JSON");
    prop_assert_eq!(value_of(&twice), value_of_text(&sanitized), "a sanitized export stays as it is");
    for json in [&full, &sanitized] {
        prop_assert!(told(json).is_ok());
    }
    Ok(())
}

/// Stores a session of the fixture: a turn for each abort, of which the first has `parts`. Gives it as it is to be read.
async fn store_all(store: &Store, mut memory: Memory, parts: Vec<Part>) -> Memory {
    memory.sessions.truncate(1);
    memory.sessions[0].parent_session_id = None;
    let [mut prompt, mut answer] = [memory.messages[0].1.clone(), memory.messages[1].1.clone()];
    let (root, turn) = (memory.sessions[0].clone(), memory.turns[0].clone());
    memory.messages.clear();
    store.create_session(root.clone()).await.expect("a session");
    let mut parts = Some(parts);
    for (nth, abort) in memory.aborts.iter().enumerate() {
        prompt.message_id = MessageId::new(format!("prompt_{nth}"));
        answer.message_id = MessageId::new(format!("answer_{nth}"));
        (prompt.turn_id, answer.turn_id) = (Some(abort.turn_id.clone()), Some(abort.turn_id.clone()));
        answer.parts = parts.take().unwrap_or_else(|| vec![Part::text("and so on")]);
        let turn = TurnInfo {
            turn_id: abort.turn_id.clone(),
            message_id: answer.message_id.clone(),
            parent_id: prompt.message_id.clone(),
            ..turn.clone()
        };
        let prompt_request = abort.prompt_request.clone().expect("a request");
        let begin = BeginTurn { turn: turn.clone(), prompt: prompt.clone(), prompt_request, accepted_at: 1, titles_off: false };
        store.begin_turn(begin).await.expect("begun");
        let (first, rest) = answer.parts.split_at(answer.parts.len() / 2);
        let put = |(ordinal, part): (usize, &Part)| PartWrite::Put { ordinal: ordinal as u64, part: part.clone() };
        store.write_parts(&answer.message_id, first.iter().enumerate().map(put).collect()).await.expect("written");
        let end = EndTurn {
            session_id: root.session_id.clone(),
            turn_id: abort.turn_id.clone(),
            message_id: answer.message_id.clone(),
            ended_at: 1_767_225_590_000,
            stop: TurnStop::Cancelled,
            abort: Some(abort.clone()),
            traces: Vec::new(),
            tool_runs: Vec::new(),
            parts: rest.iter().zip(first.len()..).map(|(part, at)| put((at, part))).collect(),
            usage: Some(Usage::absent()),
            model: turn.model.clone(),
            last_update: 1,
        };
        store.end_turn(end).await.expect("ended");
        answer.created_at = turn.started_at;
        answer.model = turn.model.clone();
        memory.messages.extend([prompt.clone(), answer.clone()].map(|message| (root.session_id.clone(), message)));
    }
    let records = (memory.cancels.iter().cloned().map(Diagnostic::Cancel))
        .chain(memory.titles.iter().cloned().map(Diagnostic::Title))
        .chain(memory.traces.iter().cloned().map(Diagnostic::Trace))
        .chain(memory.tool_runs.iter().cloned().map(Diagnostic::ToolRun))
        .chain(memory.lifecycle.iter().cloned().map(Diagnostic::Lifecycle))
        .chain(memory.incidents.iter().cloned().map(Diagnostic::Incident));
    for record in records {
        store.record(record).await.expect("recorded");
    }
    memory
}

async fn exported(store: &Store, session: &SessionId, sanitize: Sanitize) -> String {
    let write = move |snapshot: &mut crate::store::Snapshot| {
        let mut out = Vec::new();
        write_export(snapshot, &fixture::options(sanitize, &[]), &mut out).map(|_| out)
    };
    let written = store.snapshot(session, write).await.expect("read").expect("there").expect("written");
    String::from_utf8(written).expect("UTF-8")
}

fn told(json: &str) -> Result<String, ExplainError> {
    explain(json, Reading { width: 100, turn: None })
}

/// Read as anybody's parser reads it.
fn parsed<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json:.2000}"))
}

fn value_of_text(json: &str) -> Value {
    parsed(json)
}

fn value_of(document: &impl serde::Serialize) -> Value {
    serde_json::to_value(document).expect("JSON")
}

fn repeated(input: Value) -> Cause {
    Cause::LoopGuard(Box::new(Repetition { limit: 1, setting: LOOP_GUARD_SETTING.into(), tool: "deploy".into(), calls: 2, input }))
}

fn text() -> BoxedStrategy<String> {
    let odd = ["", "\0", "\u{1b}[2J", "\\ud800", "\u{202e}", "]}\"{[", "1e999", "\u{10ffff}\u{feff}", "\r\n", "null"];
    prop_oneof![select(odd.to_vec()).prop_map(str::to_owned), ".{0,12}", Just("é".repeat(5_000))].boxed()
}

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("JSON has finite numbers alone", |number| Number::from_f64(number).map(Value::Number)),
        text().prop_map(Value::from),
    ]
    .boxed();
    let tree = leaf.clone().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..4).prop_map(|fields| fields.into_iter().collect())
        ]
    });
    let at_the_limit =
        (select(vec![MAX_NESTING - 1, MAX_NESTING, MAX_NESTING + 1, 90, 120]), any::<bool>(), leaf).prop_map(|(levels, objects, leaf)| {
            (0..levels).fold(leaf, |inner, _| if objects { json!({ "k": inner }) } else { json!([inner]) })
        });
    let many = (0..500).map(|n| (format!("key {n}"), Value::from(n))).collect::<Value>();
    prop_oneof![3 => tree, 3 => at_the_limit, 1 => Just(many)].boxed()
}

fn part() -> BoxedStrategy<Part> {
    let kind = select(vec![
        PartKind::Text,
        PartKind::Reasoning,
        PartKind::ToolCall,
        PartKind::ToolResult,
        PartKind::Command,
        PartKind::State,
        PartKind::Resource,
        PartKind::ResourceLink,
    ]);
    let texts = [(); 8].map(|()| proptest::option::of(text()));
    (kind, texts, proptest::option::of(value()), any::<Option<i64>>())
        .prop_map(|(kind, [text, call_id, tool, uri, name, data, state, state_of], input, exit_code)| Part {
            kind,
            text,
            call_id,
            tool,
            state,
            state_of,
            input: input.filter(|input| !input.is_null()).map(kept),
            status: exit_code.map(|_| ResultStatus::Completed),
            exit_code,
            signal: uri.clone(),
            uri,
            name: name.clone(),
            mime_type: name,
            data,
        })
        .boxed()
}
