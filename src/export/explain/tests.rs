//! The story, of exports of any age and kind.

use super::*;
use crate::export::Sanitize;
use crate::export::fixture::{CALM, Memory, parsed};
use crate::protocol::abort::{Effect, Partial, Phase, ToolOutcome};
use crate::protocol::cause::{BudgetUnit, Cause, Initiator, Repetition};
use crate::protocol::diagnostics::{StreamState, StreamTrace};
use crate::protocol::export::TurnStop;
use crate::protocol::ids::TurnId;
use crate::protocol::message::ResultStatus;
use crate::protocol::tool_run::{Permission, ToolRun};
use crate::protocol::turn::TurnTime;
use serde_json::json;

fn story_of(memory: &Memory) -> String {
    told(&memory.export(Sanitize::No, &[])).expect("a story")
}

/// On paper so wide that every fact is one line.
fn told(json: &str) -> Result<String, ExplainError> {
    explain(json, Reading { width: 10_000, turn: None })
}

/// A tree with one stop, by this change to the fixture's.
fn stopped(change: impl FnOnce(&mut Memory)) -> String {
    let mut memory = CALM.memory();
    memory.aborts.truncate(1);
    change(&mut memory);
    story_of(&memory)
}

fn fact<'a>(story: &'a str, label: &str) -> &'a str {
    let line = story.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(label)).expect("the fact");
    line.trim()
}

#[test]
fn the_story_tells_everything_that_the_records_know() {
    let story = stopped(|_| {});
    assert_eq!(story, include_str!("tests/story.txt"), "\n{story}");
}

#[test]
fn sanitized_and_full_exports_give_the_same_answers() {
    let memory = CALM.memory();
    let [full, sanitized] = [Sanitize::No, Sanitize::Yes].map(|sanitize| told(&memory.export(sanitize, &[])).expect("a story"));
    assert_eq!(full.lines().count(), sanitized.lines().count());
    let mut hidden = 0;
    for (full, sanitized) in full.lines().zip(sanitized.lines()) {
        if full == sanitized || full.replace("; complete, full", "; complete, sanitized") == sanitized {
            continue;
        }
        hidden += 1;
        let label = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
        assert_eq!(label(full), label(sanitized));
        assert!(
            ["[redacted:text:", "/[path:", "[redacted:id:", "[redacted:json:"].iter().any(|hidden| sanitized.contains(hidden)),
            "{sanitized}"
        );
        // A tool that this version does not have is a word of the model's.
        assert!(full.contains("some words") || full.contains("deploy"), "only words of somebody may be hidden: {full}");
    }
    assert!(hidden > 5);
}

#[test]
fn without_stops_it_says_so() {
    let memory = Memory { sessions: CALM.memory().sessions, ..Memory::default() };
    assert!(story_of(&memory).ends_with("\nNo stop of a turn is recorded in this export.\n"));
}

/// The first three lines, without their labels.
fn brief(story: &str) -> [&str; 3] {
    let mut lines = story.lines();
    ["What happened:", "Who did it:", "What to do now:"].map(|label| {
        let line = lines.next().and_then(|line| line.strip_prefix(label)).unwrap_or_else(|| panic!("{label} in {story}"));
        line.trim_start()
    })
}

#[test]
fn the_first_lines_tell_a_person_what_happened_who_did_it_and_what_to_do() {
    let told = |cause: Cause| {
        let story = stopped(|memory| {
            memory.turns.truncate(1);
            memory.messages.truncate(1);
            memory.tool_runs.clear();
            let abort = &mut memory.aborts[0];
            (abort.cause, abort.request, abort.source) = (cause, None, None);
            abort.initiator = Some(Initiator::Unknown);
            abort.tools_in_flight.clear();
            abort.phase = Phase::Text;
            abort.partial.updates_sent = 0;
        });
        brief(&story).map(str::to_owned)
    };
    let again = "Send the prompt again: nothing had been shown, and nothing was changed.";
    let whose = "The turn had been asked for by x_editor x_1.2 over LSP on stdio.";
    let limit = format!("Nobody asked for it: it is a time limit of pillion's settings. {whose}");
    let model = format!("Nobody asked for it: the call of the model failed. {whose}");
    for (cause, who, now) in [
        (Cause::ClientCancel, "The client, by a request that is not recorded.".to_owned(), again.to_owned()),
        (
            Cause::ClientEof,
            "x_editor x_1.2 over LSP on stdio, without a request to stop: it closed its end of the connection.".into(),
            again.into(),
        ),
        (
            Cause::ClientProcessDied { pid: 7 },
            "x_editor x_1.2 over LSP on stdio, without a request to stop: its process 7 ended.".into(),
            again.into(),
        ),
        (
            Cause::Signal { signal_name: "SIGTERM".into() },
            format!("Whoever sent SIGTERM to pillion: a signal does not say who sent it. {whose}"),
            again.into(),
        ),
        (Cause::TurnTimeout { limit_ms: 1 }, limit, format!("Raise watchdog.turn_seconds if it needs more time. {again}")),
        (
            Cause::ProviderHttp { http_status: 401 },
            model.clone(),
            format!(
                "It cannot succeed as it was: the provider does not accept the key for this; set one that it accepts. {}",
                again.replace("Send", "Then send")
            ),
        ),
        (Cause::ProviderHttp { http_status: 503 }, model, format!("Wait a little first: the provider had failed. {again}")),
        (
            Cause::Budget { limit: 1, unit: BudgetUnit::ModelCalls, setting: "budget.model_calls".into() },
            format!("Nobody asked for it: it is the limit that budget.model_calls sets. {whose}"),
            "Tell the model to go on, or raise budget.model_calls before you ask again.".into(),
        ),
        (
            Cause::CrashRecovered,
            format!("Nobody is known to have asked for it: a process that dies can say nothing of it. {whose}"),
            again.into(),
        ),
    ] {
        let what = format!("{} The model was writing text.", cause.sentence(Initiator::Unknown, None));
        assert_eq!(told(cause), [what, who, now]);
    }
}

#[test]
fn the_first_lines_name_the_client_the_changes_and_what_came_later() {
    let whole = stopped(|_| {});
    let [what, who, now] = brief(&whole);
    assert_eq!(what, "The turn was cancelled by the user (x_keymap). A tool was running.");
    assert_eq!(who, "The user (x_keymap), through x_editor x_1.2 over LSP on stdio, with session/cancel, its request \"x_stop-7\".");
    assert_eq!(
        now,
        "Look first at what came of x_deploy (completed), write_file (killed). Send the prompt again if it is still to be done."
    );
    let later = stopped(|memory| {
        let mut turn = memory.turns[0].clone();
        (turn.turn_id, turn.stop, turn.abort_id) = (TurnId::new("later"), Some(TurnStop::EndTurn), None);
        memory.turns.push(turn);
    });
    assert!(brief(&later)[0].ends_with(" Since then the session has begun 1 turn, which ended by itself."), "{later}");
}

#[test]
fn without_a_stop_the_first_lines_tell_how_the_last_turn_ended() {
    let told = |stop: Option<TurnStop>| {
        let mut memory = Memory { sessions: CALM.memory().sessions, turns: CALM.memory().turns, ..Memory::default() };
        memory.turns.truncate(1);
        (memory.turns[0].stop, memory.turns[0].abort_id) = (stop, None);
        brief(&story_of(&memory)).join(" / ")
    };
    assert_eq!(
        told(Some(TurnStop::EndTurn)),
        "The turn ended by itself: the model had finished. / Nobody: no stop is recorded. / Nothing."
    );
    assert!(told(Some(TurnStop::MaxTokens)).ends_with(" / Tell the model to go on."));
    assert!(told(Some(TurnStop::Refusal)).ends_with(" / The model. / Ask in other words."));
    assert!(told(Some(TurnStop::Cancelled)).starts_with("The turn was stopped, and the record of the stop is not in this export. / "));
    assert!(told(None).starts_with("The turn was still running when this was written; it was begun 2"), "{}", told(None));
}

#[test]
fn one_turn_is_told_of_alone() {
    let mut memory = CALM.memory();
    let mut other = memory.turns[0].clone();
    (other.turn_id, other.stop, other.abort_id) = (TurnId::new("calm"), Some(TurnStop::EndTurn), None);
    memory.turns.push(other);
    memory.turn_times.push(TurnTime { turn_id: TurnId::new("calm"), ..memory.turn_times[0].clone() });
    let export = memory.export(Sanitize::No, &[]);
    let of = |turn: &str| explain(&export, Reading { width: 10_000, turn: Some(turn) }).expect("a story");
    let stopped = of(memory.aborts[0].turn_id.as_str());
    assert!(stopped.contains("\nStop 1 of 1: x_abort_turn\n"), "{stopped}");
    let calm = of("calm");
    assert!(calm.starts_with("What happened:  The turn ended by itself") && !calm.contains("x_turn"), "{calm}");
    assert!(
        calm.contains("\nTurn calm ended by itself: the model had finished\n") && fact(&calm, "time").starts_with("4.253 s: "),
        "{calm}"
    );
}

#[test]
fn a_retry_is_safe_when_nothing_was_shown_and_nothing_changed() {
    let safe = "safe: nothing had been shown, and no tool had changed anything";
    let quiet = Partial { text_bytes: 0, reasoning_bytes: 0, updates_sent: 0, persisted_bytes: 0, ..Partial::default() };
    let untouched = stopped(|memory| {
        memory.aborts[0].partial = quiet.clone();
        memory.aborts[0].phase = Phase::Queued;
        memory.aborts[0].tools_in_flight.clear();
        memory.messages.truncate(1);
    });
    assert_eq!(fact(&untouched, "retry"), safe);
    let withdrawn = stopped(|memory| {
        memory.aborts[0].partial = quiet.clone();
        memory.aborts[0].tools_in_flight[0].outcome = ToolOutcome::Withdrawn;
        // What is left are a call that was withdrawn and one that was denied.
        memory.messages[1].1.parts.drain(1..3);
    });
    assert_eq!(fact(&withdrawn, "retry"), safe);
    let written = stopped(|memory| {
        memory.aborts[0].partial = quiet.clone();
        memory.aborts[0].tools_in_flight.clear();
    });
    let expected = "it may repeat a change: x_deploy (completed), x_write_file (interrupted), so look at the result first";
    assert_eq!(fact(&written, "retry"), format!("not without a look: {expected}"));
    let recorded = stopped(|memory| {
        memory.aborts[0].partial = quiet.clone();
        memory.aborts[0].tools_in_flight.clear();
        let call = |call_id: &str| ToolRun { call_id: call_id.into(), effect: Effect::Read, ..memory.tool_runs[0].clone() };
        memory.tool_runs = vec![call("x_call_1"), call("x_call_2")];
    });
    assert_eq!(fact(&recorded, "retry"), safe, "the record of a call says what it could do, whatever its name");
    let read = stopped(|memory| {
        memory.aborts[0].partial = quiet;
        memory.aborts[0].tools_in_flight.clear();
        memory.tool_runs.clear();
        for part in &mut memory.messages[1].1.parts {
            part.tool = part.tool.as_ref().map(|_| "read_file".into());
        }
    });
    assert_eq!(fact(&read, "retry"), safe);
}

#[test]
fn what_cannot_succeed_unchanged_is_told_and_what_will_be_met_again() {
    let http = |http_status| Cause::ProviderHttp { http_status };
    let budget = Cause::Budget { limit: 3, unit: BudgetUnit::ModelCalls, setting: "budget.model_calls".into() };
    let key = "cannot succeed unchanged: the provider does not accept the key";
    let model = "cannot succeed unchanged: the provider has no such model";
    let window = "cannot succeed unchanged: the conversation is longer than the model's window";
    let money = "cannot succeed unchanged: the account has nothing left to spend";
    let cases = [
        (http(401), "http_401", "", key),
        (http(403), "http_403", "", key),
        (http(404), "http_404", "", model),
        (http(400), "http_400", "model_not_found", model),
        (http(400), "http_400", "context_length_exceeded", window),
        (http(413), "http_413", "", window),
        (Cause::ProviderProtocol, "context_window", "", window),
        (Cause::ContextOverflow, "http_400", "", window),
        (http(429), "http_429", "insufficient_quota", money),
        (http(400), "http_400", "", "cannot succeed unchanged: the provider refuses the request as it is"),
        (http(422), "http_422", "", "cannot succeed unchanged: the provider refuses the request as it is"),
        (http(429), "http_429", "", "may succeed later"),
        (http(503), "http_503", "", "may succeed later"),
        (Cause::ProviderProtocol, "provider_error", "529", "may succeed later"),
        (Cause::ProviderProtocol, "provider_error", "401", key),
        (Cause::ProviderProtocol, "not_a_stream", "", "cannot succeed unchanged: what answers at the base URL"),
        (Cause::ProviderTransport, "tls", "", "cannot succeed unchanged: no connection can be made"),
        (budget, "", "", "the same will be met again: budget.model_calls"),
        (CALM.repeated(), "", "", "the same will be met again: loop_guard.identical_calls"),
        (Cause::TurnTimeout { limit_ms: 1 }, "", "", "the same will be met again: watchdog.turn_seconds"),
        (Cause::StoreFailure, "store_failure", "", "not before the store can be written again"),
        (Cause::ProviderTransport, "connection_reset", "", "not without a look"),
        (Cause::ClientCancel, "", "", "not without a look"),
    ];
    for (cause, kind, code, expected) in cases {
        let story = stopped(|memory| {
            let failure = memory.traces[0].failure.as_mut().expect("a failure");
            (failure.cause, failure.kind, failure.code) = (cause.clone(), kind.into(), Some(code.into()));
            memory.aborts[0].error_name = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
            memory.aborts[0].cause = cause.clone();
        });
        let retry = fact(&story, "retry");
        assert!(retry.starts_with(expected) && retry.contains("not without a look: it may repeat a change"), "{cause:?} {code}: {retry}");
    }
}

#[test]
fn nobody_is_told_to_have_asked_for_what_nobody_asks_for() {
    for (cause, who, when) in [
        (Cause::ProviderTransport, "nobody asked for it", "noticed 2025-12-31T23:59:50.000Z"),
        (Cause::TurnTimeout { limit_ms: 1 }, "nobody asked for it", "noticed 2025-12-31T23:59:50.000Z"),
        (Cause::ClientEof, "no request asked for it; initiator not declared", "seen 2025-12-31T23:59:50.000Z"),
    ] {
        // As it is recorded now, and as it was recorded before.
        for before in [false, true] {
            let story = stopped(|memory| {
                let abort = &mut memory.aborts[0];
                (abort.cause, abort.request, abort.source, abort.initiator) = (cause.clone(), None, None, None);
                (abort.requested_at, abort.noticed_at) = (abort.requested_at.filter(|_| before), abort.noticed_at.filter(|_| !before));
            });
            assert_eq!(fact(&story, "who"), who);
            let told = fact(&story, "when");
            let word = when.split(' ').next().unwrap_or_default();
            assert!(told.starts_with(when) && told.contains(&format!("after it was {word}")) && !told.contains("mode"), "{told}");
        }
    }
}

#[test]
fn what_a_stop_came_down_from_is_told() {
    use crate::protocol::abort::Scope;
    for (scope, cause, from) in [
        (Some(Scope::Session), Cause::SessionClosed, "the session"),
        (Some(Scope::Connection), Cause::ClientEof, "the connection"),
        (Some(Scope::Process), Cause::Signal { signal_name: "SIGTERM".into() }, "the process"),
        // A record of before leaves it to the cause.
        (None, Cause::SessionDeleted, "the session"),
        (None, Cause::ShutdownRequest, "the connection"),
    ] {
        let story = stopped(|memory| {
            let abort = &mut memory.aborts[0];
            (abort.cause, abort.via_ctx_abort, abort.came_down_from) = (cause.clone(), true, scope);
        });
        assert!(fact(&story, "when").ends_with(&format!("; it came down from {from}")), "{story}");
    }
}

#[test]
fn every_call_of_the_turn_is_told_with_its_end_and_on_whose_word() {
    let story = stopped(|memory| {
        let ran = ToolRun { rule: None, exit_code: None, signal: None, abort_id: None, ..memory.tool_runs[0].clone() };
        let run = |outcome, permission| ToolRun { outcome, permission, ..ran.clone() };
        let elsewhere = ToolRun { turn_id: crate::protocol::ids::TurnId::new("x_other"), ..ran.clone() };
        memory.tool_runs = vec![
            run(Some(ResultStatus::Completed), Some(Permission::Remembered)),
            ToolRun { exit_code: Some(2), ..run(Some(ResultStatus::Failed), Some(Permission::Mode)) },
            ToolRun { duration_us: None, rule: Some("edit(a)".into()), ..run(Some(ResultStatus::Denied), Some(Permission::WorkspaceRule)) },
            ToolRun { duration_us: None, ..run(Some(ResultStatus::NotStarted), Some(Permission::Withdrawn)) },
            ToolRun { duration_us: None, ended_at: None, ..run(Some(ResultStatus::Interrupted), Some(Permission::Default)) },
            ToolRun { duration_us: None, ..run(Some(ResultStatus::UnknownOutcome), Some(Permission::Rule)) },
            ToolRun { duration_us: None, ..run(None, None) },
            elsewhere,
        ];
    });
    let calls: Vec<_> = story.lines().filter_map(|line| line.strip_prefix("  call       write_file (write, x_call_2): ")).collect();
    assert_eq!(
        calls,
        [
            "completed after 2.000 s; by what the client had answered for the session",
            "failed (exit code 2) after 2.000 s; by the session's mode",
            "was not run; by a rule of the workspace, rule edit(a)",
            "had not started when the turn was stopped; the question was withdrawn",
            "was running when the turn was stopped, and did not return; nobody's word was needed",
            "was running when the process died; how far it came is not known; by a rule of the settings",
            "was under way when this was exported; it was being asked about",
        ]
    );
}

#[test]
fn a_call_is_told_with_what_it_is_about_as_far_as_a_line_goes() {
    for (input, about) in [
        (json!({ "command": "cargo test", "path": "src" }), " \"cargo test\"".to_owned()),
        (json!({ "argv": ["git", "commit"] }), " \"git commit\"".into()),
        (json!({ "pattern": "a.*b" }), " \"a.*b\"".into()),
        (json!({ "path": "src/a.rs" }), " \"src/a.rs\"".into()),
        (json!({ "command": "é".repeat(101) }), format!(" \"{}...\"", "é".repeat(100))),
        (json!({ "command": "a\n\u{1b}[2J\u{202e}b" }), " \"a\\n\\u{1b}[2J\\u{202e}b\"".into()),
        (json!({ "entries": [] }), String::new()),
        (json!("no object"), String::new()),
    ] {
        let story = stopped(|memory| {
            for part in &mut memory.messages[1].1.parts {
                part.input = part.input.as_ref().map(|_| input.clone());
            }
        });
        let call = fact(&story, "call");
        assert!(call.starts_with(&format!("write_file (write, x_call_2){about}: ")), "{call}");
    }
}

#[test]
fn every_cause_is_told_and_an_unknown_one_keeps_its_word() {
    for cause in [Cause::ClientEof, Cause::CrashRecovered, Cause::StoreFailure, Cause::ProviderHttp { http_status: 429 }] {
        let story = stopped(|memory| memory.aborts[0].cause = cause.clone());
        let expected = format!("{} [{}]", cause.sentence(Initiator::User, Some("x_keymap")), cause.name());
        assert_eq!(fact(&story, "what"), expected);
    }
    let mut document = parsed(&CALM.memory().export(Sanitize::Yes, &[]));
    document["diagnostics"]["aborts"][0]["cause"] = json!("eclipse");
    let story = told(&document.to_string()).expect("a story");
    assert_eq!(fact(&story, "what"), "The cause of the stop is not one that this version knows. [unknown: eclipse]");
}

#[test]
fn what_a_model_repeated_is_told_as_far_as_a_line_goes() {
    let story = stopped(|memory| memory.aborts[0].cause = CALM.repeated());
    assert_eq!(fact(&story, "input"), r#"{"some words":["some words",1]}"#);
    let long = Repetition { limit: 1, setting: "s".into(), tool: "t".into(), calls: 2, input: json!("é".repeat(1_000)) };
    let story = stopped(|memory| memory.aborts[0].cause = Cause::LoopGuard(Box::new(long)));
    assert_eq!(fact(&story, "input"), format!("\"{}... (2002 bytes in all)", "é".repeat(299)));
}

#[test]
fn an_older_export_is_told_as_far_as_it_goes() {
    let story = told(include_str!("tests/export-v0.json")).expect("a story");
    assert_eq!(story, include_str!("tests/story-v0.txt"), "\n{story}");
}

#[test]
fn a_newer_export_is_refused_with_what_to_do() {
    let mut document = parsed(&CALM.memory().export(Sanitize::Yes, &[]));
    document["schema_version"] = json!(SCHEMA_VERSION + 1);
    let refusal = told(&document.to_string()).expect_err("too new").to_string();
    assert!(refusal.contains("schema version 2") && refusal.contains("up to 1") && refusal.contains("a newer one"), "{refusal}");
}

#[test]
fn what_is_no_export_is_refused_with_what_to_give() {
    for document in ["", "{", "[]", "{}", r#"{"schema":"other","schema_version":1}"#, r#"{"schema":"pillion-session-export"}"#] {
        let refusal = told(document).expect_err("no export").to_string();
        assert!(refusal.ends_with("give it the output of `pillion export`"), "{refusal}");
    }
}

#[test]
fn hostile_text_cannot_forge_a_line_or_move_the_cursor() {
    let hostile = "x\n\nStop 9 of 9: forged\r\u{1b}[2J\u{202e}";
    let story = stopped(|memory| {
        memory.sessions[0].title = Some(hostile.into());
        memory.aborts[0].reason = Some(hostile.into());
        memory.aborts[0].source = Some(hostile.into());
        memory.aborts[0].tools_in_flight[0].tool = hostile.into();
        memory.incidents[0].name = hostile.into();
    });
    assert!(!story.lines().any(|line| line.starts_with("Stop 9")), "{story}");
    assert!(!story.contains(['\r', '\u{1b}', '\u{202e}']));
    assert_eq!(story.matches("\\n\\nStop 9 of 9: forged\\r\\u{1b}[2J\\u{202e}").count(), 10, "{story}");
}

#[test]
fn fields_of_the_wrong_type_are_told_as_not_recorded() {
    let mut document = parsed(&CALM.memory().export(Sanitize::Yes, &[]));
    let abort = document["diagnostics"]["aborts"][0].as_object_mut().expect("an abort");
    for (_, value) in abort.iter_mut() {
        *value = json!([{"x": 1}]);
    }
    document["session"] = json!(7);
    let story = told(&document.to_string()).expect("a story");
    assert!(story.contains("\nSession (not recorded)\n"), "{story}");
    assert_eq!(fact(&story, "what"), "The cause of the stop is not one that this version knows. [unknown]");
}

#[test]
fn a_stopped_turn_without_a_record_is_named() {
    let story = stopped(|memory| memory.aborts.clear());
    assert!(story.contains("Turn x_turn ended as cancelled, and its record is not in this export"), "{story}");
}

#[test]
fn of_a_turn_that_goes_on_the_last_thing_on_record_is_told() {
    let told = |change: fn(&mut Memory)| {
        let mut memory = Memory { sessions: CALM.memory().sessions, turns: CALM.memory().turns, ..Memory::default() };
        (memory.turns[0].stop, memory.turns[0].ended_at, memory.turns[0].abort_id) = (None, None, None);
        memory.lifecycle = CALM.memory().lifecycle;
        memory.lifecycle.truncate(1);
        change(&mut memory);
        fact(&story_of(&memory), "time").to_owned()
    };
    let before =
        |what: &str, at: &str, ago: &str| format!("not recorded; the last thing that is: {what} at {at}, {ago} before this was written");
    assert_eq!(told(|_| {}), before("the turn was accepted", "2025-12-31T23:59:46.000Z", "14.000 s"));
    assert_eq!(
        told(|memory| memory.traces = vec![StreamTrace { state: StreamState::Open, ..CALM.memory().traces.remove(0) }]),
        before("a model call was begun (x_att, now open)", "2025-12-31T23:59:49.000Z", "11.000 s")
    );
    assert_eq!(
        told(|memory| memory.tool_runs =
            vec![ToolRun { answered_at: None, started_at: None, ended_at: None, ..CALM.memory().tool_runs.remove(0) }]),
        before("the client was asked about write_file (x_call_2)", "2025-12-31T23:59:47.000Z", "13.000 s")
    );
    assert_eq!(told(|memory| memory.lifecycle.clear()), "(not recorded)");
}
