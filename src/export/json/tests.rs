//! The document as a whole: what it is, what it joins, what it refuses.

use super::*;
use crate::export::fixture::{CALM, Memory, options, parsed};
use crate::protocol::abort::{Hop, TitleState};
use crate::protocol::export::SessionExport;
use serde_json::Value;

#[test]
fn an_export_is_read_back_as_the_type_that_describes_it() {
    for sanitize in [Sanitize::Yes, Sanitize::No] {
        let json = CALM.memory().export(sanitize, &[]);
        let export: SessionExport = serde_json::from_str(&json).expect("an export");
        assert_eq!(export.sanitized, sanitize == Sanitize::Yes);
        assert_eq!(export.at_seq, 42);
        assert_eq!(export.completeness, Completeness::Complete);
        assert_eq!(export.stats, Stats { sessions: 4, turns: 1, messages: 2, parts: 9 });
        assert_eq!(export.redaction.unknown_fields, 0, "every field that a record has is named by its shape");
        let children: Vec<_> = export.session.children.iter().map(|child| child.info.session_id.as_str()).collect();
        assert_eq!(children, ["x_child", "x_sibling"]);
        assert_eq!(export.session.children[0].children[0].info.session_id.as_str(), "x_grandchild");
    }
}

#[test]
fn a_full_export_holds_the_records_as_they_are() {
    let memory = CALM.memory();
    let export: SessionExport = serde_json::from_str(&memory.export(Sanitize::No, &[])).expect("an export");
    assert_eq!(export.diagnostics.cancel_requests, memory.cancels);
    assert_eq!(export.diagnostics.title_generations, memory.titles);
    assert_eq!(export.diagnostics.stream_traces, memory.traces);
    assert_eq!(export.diagnostics.lifecycle, memory.lifecycle);
    assert_eq!(export.diagnostics.incidents, memory.incidents);
    assert_eq!(export.diagnostics.aborts[1..], memory.aborts[1..], "an abort without later rows is exported as it was committed");
    assert_eq!(export.session.turns, memory.turns);
    assert_eq!(export.session.messages, memory.messages.into_iter().map(|(_, message)| message).collect::<Vec<_>>());
}

#[test]
fn what_came_after_the_commit_is_joined_to_the_exported_abort() {
    let memory = CALM.memory();
    let export: SessionExport = serde_json::from_str(&memory.export(Sanitize::No, &[])).expect("an export");
    let mut expected = memory.aborts[0].clone();
    expected.late_cancels = vec![memory.late[0].cancel_id.clone()];
    expected.title_generation_state = TitleState::CompletedAfterAbort;
    expected.propagation.push(Hop { point: "turn.answered".into(), at_us: 253_000 });
    assert_eq!(export.diagnostics.aborts[0], expected);
}

#[test]
fn a_title_state_that_was_final_stays() {
    let mut memory = CALM.memory();
    memory.aborts[0].title_generation_state = TitleState::CompletedBeforeAbort;
    let export: SessionExport = serde_json::from_str(&memory.export(Sanitize::No, &[])).expect("an export");
    assert_eq!(export.diagnostics.aborts[0].title_generation_state, TitleState::CompletedBeforeAbort);
}

#[test]
fn fields_stand_in_the_order_of_their_records_and_the_report_comes_last() {
    let json = CALM.memory().export(Sanitize::Yes, &[]);
    let order = ["\"schema\"", "\"runtime\"", "\"session\"", "\"diagnostics\"", "\"cause\"", "\"stats\"", "\"redaction\""];
    let at: Vec<_> = order.iter().map(|name| json.find(name).expect("a field")).collect();
    assert!(at.is_sorted(), "{at:?}");
}

#[test]
fn two_exports_differ_in_their_time_alone() {
    let memory = CALM.memory();
    for sanitize in [Sanitize::Yes, Sanitize::No] {
        assert_eq!(memory.export(sanitize, &[]), memory.export(sanitize, &[]));
    }
}

#[test]
fn a_running_turn_or_an_unreadable_row_makes_it_partial() {
    let mut memory = CALM.memory();
    memory.turns[0].stop = None;
    assert_eq!(parsed(&memory.export(Sanitize::Yes, &[]))["completeness"], "partial");
    let mut memory = CALM.memory();
    let row = UnreadableRow { session_id: memory.sessions[0].session_id.clone(), row: "part 3 of message 4".into(), why: "no JSON".into() };
    memory.unreadable = Unreadable { count: 3, rows: vec![row] };
    let export = parsed(&memory.export(Sanitize::Yes, &[]));
    assert_eq!(export["completeness"], "partial");
    let rows: Vec<_> =
        export["diagnostics"]["incidents"].as_array().expect("incidents").iter().map(|it| (&it["name"], &it["row"])).collect();
    let name = &Value::from("unreadable_row");
    let expected = [
        (&Value::from("tool_panicked"), &"part 1 of message 2".into()),
        (name, &"part 3 of message 4".into()),
        (name, &"2 more rows".into()),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_tree_without_a_root_or_with_a_stray_session_is_refused() {
    let mut memory = CALM.memory();
    memory.sessions[3].parent_session_id = None;
    let stray = write_export(&mut memory, &options(Sanitize::Yes, &[]), std::io::sink());
    assert!(matches!(stray, Err(ExportError::Tree(id)) if id.as_str() == "x_sibling"));
    memory.sessions.clear();
    assert!(matches!(write_export(&mut memory, &options(Sanitize::Yes, &[]), std::io::sink()), Err(ExportError::Gone)));
}

#[test]
fn a_broken_pipe_is_told_as_what_it_is() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = write_export(&mut CALM.memory(), &options(Sanitize::Yes, &[]), Closed).expect_err("nothing can be written");
    assert!(matches!(error, ExportError::Write(error) if error.kind() == std::io::ErrorKind::BrokenPipe));
}

#[test]
fn an_empty_session_is_a_whole_document() {
    let memory = Memory { sessions: CALM.memory().sessions.split_off(3), ..Memory::default() };
    let export: SessionExport = serde_json::from_str(&memory.export(Sanitize::Yes, &[])).expect("an export");
    assert_eq!((export.diagnostics.aborts.len(), export.session.messages.len(), export.session.children.len()), (0, 0, 0));
}

#[test]
fn sanitized_and_full_differ_by_placeholders_alone() {
    fn compare(full: &Value, sanitized: &Value, at: &str) {
        match (full, sanitized) {
            (Value::Object(a), Value::Object(b)) => {
                assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{at}");
                a.iter().for_each(|(name, value)| compare(value, &b[name], &format!("{at}.{name}")));
            }
            (Value::Array(a), Value::Array(b)) => {
                assert_eq!(a.len(), b.len(), "{at}");
                a.iter().zip(b).for_each(|(a, b)| compare(a, b, at));
            }
            (full, Value::String(text)) if text.contains("[redacted:") || text.contains("[path:") => assert!(!full.is_null(), "{at}"),
            (full, sanitized) => assert_eq!(full, sanitized, "{at}"),
        }
    }
    let memory = CALM.memory();
    let [mut full, mut sanitized] = [Sanitize::No, Sanitize::Yes].map(|sanitize| parsed(&memory.export(sanitize, &[])));
    for document in [&mut full, &mut sanitized] {
        document["redaction"].take();
        document["sanitized"].take();
    }
    compare(&full, &sanitized, "");
}
