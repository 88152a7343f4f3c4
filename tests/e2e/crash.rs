//! A process that dies in the middle of a turn, and several processes on one store.
//!
//! Invariant: whatever dies when, the next process finds a history that every provider accepts, and says what happened.

use crate::support::journey::{UNTITLED, export, fields, full_export, full_export_when, pointed_at};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// The fields of a recovered abort that do not change from run to run.
const RECOVERED: [&str; 8] =
    ["cause", "forced", "phase", "title_generation_state", "tools_in_flight", "propagation_point", "partial", "ruled_out"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_text_streams_the_turn_is_recovered_with_its_text() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "tell me a story").await;
    let mut exchange = server.next_request().await;
    exchange.text("Once upon").await;
    let running =
        full_export_when(&mut editor, &session, |export| export["session"]["messages"][1]["parts"][0]["text"] == "Once upon").await;
    assert_eq!((&running["completeness"], &running["session"]["turns"][0].get("stop")), (&json!("partial"), &None));
    editor.kill();
    assert!(!editor.exited().await.success());
    exchange.closed_by_client().await;

    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let load = editor.request("session/load", json!({ "sessionId": session, "cwd": home.workspace() })).await;
    let replayed: Vec<_> = editor.all_until(&load).await.iter().map(shown).collect();
    assert_eq!(replayed, ["user_message_chunk: tell me a story", "agent_message_chunk: Once upon", "answer"]);

    let export = full_export(&mut editor, &session).await;
    let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
    assert_eq!((aborts.len(), &export["completeness"]), (1, &json!("complete")));
    assert_eq!(
        fields(&aborts[0], &RECOVERED),
        json!({
            "cause": "crash_recovered", "forced": false, "phase": "text",
            "title_generation_state": "disabled", "tools_in_flight": [], "propagation_point": "recovery.found", "ruled_out": [],
            "partial": { "text_bytes": 9, "reasoning_bytes": 0, "updates_sent": 0, "persisted_bytes": 9 },
        })
    );
    assert_eq!(aborts[0]["prompt_request"]["id"], prompt);
    let turn = &export["session"]["turns"][0];
    assert_eq!((&turn["stop"], &turn["abort_id"]), (&json!("cancelled"), &aborts[0]["abort_id"]));
    let trace = &export["diagnostics"]["stream_traces"][0];
    assert_eq!((&trace["state"], &trace["abort_id"]), (&json!("aborted"), &aborts[0]["abort_id"]));

    // The conversation goes on where it broke off, and the record stays what it is.
    let prompt = editor.prompt(&session, "go on").await;
    let exchange = server.next_request().await;
    assert_eq!(said(&exchange.body), [("user", "tell me a story"), ("assistant", "Once upon"), ("user", "go on")].map(words));
    exchange.answer(" a time").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    let later = full_export(&mut editor, &session).await;
    assert_eq!(later["diagnostics"]["aborts"], export["diagnostics"]["aborts"]);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_permission_is_pending_each_call_has_one_result() {
    let home = Home::new();
    home.file("there.txt", "something\n");
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.prompt(&session, "read and write").await;
    let mut exchange = server.next_request().await;
    exchange.tool_call(0, "r", "read_file", &json!({ "path": "there.txt" })).await;
    exchange.tool_call(1, "w", "write_file", &json!({ "path": "never.txt", "content": "x" })).await;
    exchange.finish("tool_calls").await;
    exchange.done().await;
    editor.next("session/request_permission").await;
    editor.kill();
    editor.exited().await;

    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    editor.call("session/load", json!({ "sessionId": session })).await;
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    let abort = &export["diagnostics"]["aborts"][0];
    assert_eq!((&abort["cause"], &abort["phase"]), (&json!("crash_recovered"), &json!("awaiting_permission")));
    let in_flight = abort["tools_in_flight"].as_array().expect("tools");
    assert!(
        in_flight.contains(&json!({ "call_id": "w", "tool": "write_file", "effect": "write", "outcome": "withdrawn" })),
        "{in_flight:?}"
    );
    let parts = export["session"]["messages"][1]["parts"].as_array().expect("parts");
    let of_kind = |kind: &str, field: &str| -> Vec<_> {
        parts.iter().filter(|part| part["kind"] == kind).map(|part| json!([part["call_id"], part[field]])).collect()
    };
    assert_eq!(of_kind("tool_call", "tool"), [json!(["r", "read_file"]), json!(["w", "write_file"])]);
    let results = of_kind("tool_result", "status");
    // How far the read had come is nobody's business here; what was never allowed never started.
    assert_eq!((results.len(), &results[1]), (2, &json!(["w", "not_started"])));
    let asked = export["diagnostics"]["tool_runs"].as_array().expect("runs").iter().find(|run| run["call_id"] == "w").expect("its record");
    assert_eq!((asked.get("permission"), &asked["outcome"], &asked["abort_id"]), (None, &json!("not_started"), &abort["abort_id"]));
    assert!(!home.workspace().join("never.txt").exists());

    let prompt = editor.prompt(&session, "what now?").await;
    let exchange = server.next_request().await;
    let roles: Vec<_> = exchange.body["messages"].as_array().expect("messages").iter().map(|message| message["role"].clone()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"]);
    exchange.answer("I do not know").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_the_history_is_one_that_a_provider_takes() {
    let read = |path: &str| json!({ "tool_call": { "name": "read_file", "input": { "path": path } } });
    let words = json!({ "text": { "text": "and on ", "repeat": 8 } });
    let script = json!({ "steps": [[words, read("a.txt"), read("b.txt")], [read("a.txt"), read("missing.txt")], [words], [words]] });
    // The turn has 24 updates and then an answer.
    for moment in [1, 5, 8, 9, 10, 11, 12, 13, 14, 16, 20, 24, 25] {
        let home = Home::new();
        home.file("a.txt", "one\n");
        home.file("b.txt", "two\n");
        let model = home.script(&script);
        let mut editor = Editor::lsp(&home, &["--model", &model]).await;
        let session = editor.new_session(&home).await;
        editor.prompt(&session, "go on").await;
        for _ in 0..moment {
            editor.next_message().await;
        }
        editor.kill();
        editor.exited().await;

        let mut editor = Editor::lsp(&home, &["--model", &model]).await;
        editor.call("session/load", json!({ "sessionId": session })).await;
        // The scripted model refuses a call without its one result, as a vendor would.
        let prompt = editor.prompt(&session, "and now?").await;
        assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn", "killed after {moment} messages");
        editor.ignore_updates();
        let export = full_export(&mut editor, &session).await;
        let stops: Vec<_> = export["session"]["turns"].as_array().expect("turns").iter().map(|turn| turn["stop"].clone()).collect();
        assert!(stops == ["cancelled", "end_turn"] || stops == ["end_turn", "end_turn"], "{stops:?}");
        assert_eq!(export["completeness"], "complete");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_another_process_runs_can_be_read_but_not_prompted_or_cancelled() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut owner = pointed_at(&server, &home, &UNTITLED).await;
    let session = owner.new_session(&home).await;
    let running = owner.prompt(&session, "mine").await;
    let mut exchange = server.next_request().await;
    exchange.text("working").await;
    owner.next_update("agent_message_chunk").await;

    let mut other = pointed_at(&server, &home, &UNTITLED).await;
    // Before it is open there, and behind that.
    refused_for(&owner, &mut other, "session/cancel", json!({ "sessionId": session })).await;
    other.call("session/resume", json!({ "sessionId": session })).await;
    let prompt = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "no, mine" }] });
    refused_for(&owner, &mut other, "session/prompt", prompt).await;
    refused_for(&owner, &mut other, "session/cancel", json!({ "sessionId": session, "source": "test.other" })).await;
    refused_for(&owner, &mut other, "session/delete", json!({ "sessionId": session })).await;
    let listed = other.call("session/list", json!({})).await;
    assert_eq!(listed["sessions"][0]["sessionId"], session);
    let seen = export(&mut other, &session).await;
    assert_eq!((&seen["completeness"], &seen["diagnostics"]["aborts"]), (&json!("partial"), &json!([])));
    let recorded: Vec<_> =
        seen["diagnostics"]["cancel_requests"].as_array().expect("cancels").iter().map(|c| c["outcome"].clone()).collect();
    assert_eq!(recorded, ["not_owner", "not_owner"]);

    // The owner has noticed nothing.
    exchange.text(" hard").await;
    exchange.finish("stop").await;
    exchange.done().await;
    let answer = owner.result(&running).await;
    assert_eq!((&answer["stopReason"], answer["diagnostics"].get("abort")), (&json!("end_turn"), None));

    // Its turn is part of what the other one goes on with.
    other.call("session/resume", json!({ "sessionId": session })).await;
    let next = other.prompt(&session, "and now?").await;
    let exchange = server.next_request().await;
    assert_eq!(said(&exchange.body), [("user", "mine"), ("assistant", "working hard"), ("user", "and now?")].map(words));
    exchange.answer("mine now").await;
    let answer = other.result(&next).await;
    assert_eq!(answer["stopReason"], "end_turn");
    let back = owner.prompt(&session, "back").await;
    let exchange = server.next_request().await;
    let before = [("user", "mine"), ("assistant", "working hard"), ("user", "and now?"), ("assistant", "mine now"), ("user", "back")];
    assert_eq!(said(&exchange.body), before.map(words));
    exchange.answer("and back").await;
    assert_eq!(owner.result(&back).await["stopReason"], "end_turn");
    let settled = owner.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(settled["outcome"], "already_settled");
    for mut editor in [owner, other] {
        editor.ignore_updates();
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_there_before_the_crash_recovers_it_as_well() {
    for opened_before in [false, true] {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let mut victim = pointed_at(&server, &home, &UNTITLED).await;
        let session = victim.new_session(&home).await;
        let mut heir = pointed_at(&server, &home, &UNTITLED).await;
        if opened_before {
            heir.call("session/resume", json!({ "sessionId": session })).await;
        } else {
            full_export(&mut heir, &session).await;
        }
        victim.prompt(&session, "write it").await;
        let mut exchange = server.next_request().await;
        exchange.tool_call(0, "w", "write_file", &json!({ "path": "x.txt", "content": "x" })).await;
        exchange.finish("tool_calls").await;
        exchange.done().await;
        victim.next("session/request_permission").await;
        victim.kill();
        victim.exited().await;

        if !opened_before {
            heir.call("session/load", json!({ "sessionId": session })).await;
        }
        let prompt = heir.prompt(&session, "and?").await;
        let exchange = server.next_request().await;
        let roles: Vec<_> = exchange.body["messages"].as_array().expect("messages").iter().map(|message| message["role"].clone()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
        exchange.answer("gone").await;
        assert_eq!(heir.result(&prompt).await["stopReason"], "end_turn");
        heir.ignore_updates();
        let export = export(&mut heir, &session).await;
        let aborts: Vec<_> =
            export["diagnostics"]["aborts"].as_array().expect("aborts").iter().map(|abort| abort["cause"].clone()).collect();
        assert_eq!((aborts, &export["completeness"]), (vec![json!("crash_recovered")], &json!("complete")));
        heir.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_write_to_one_store_at_once() {
    const PROCESSES: usize = 8;
    const PROMPTS: usize = 5;
    let home = Home::new();
    let steps = vec![json!([{ "text": { "text": "word ", "repeat": 50 } }]); PROMPTS];
    let model = home.script(&json!({ "steps": steps, "title": "One of eight" }));
    let start = |_| Editor::start(&home, Framing::Headers, Dialect::Lsp, &["--model", &model]);
    let mut editors: Vec<_> = (0..PROCESSES).map(start).collect();
    // All of them set the store up at once, and then write at once.
    let work = editors.iter_mut().map(async |editor| {
        editor.initialize().await;
        let session = editor.new_session(&home).await;
        for n in 0..PROMPTS {
            let prompt = editor.prompt(&session, &format!("prompt {n}")).await;
            assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
            editor.ignore_updates();
        }
        session
    });
    let sessions = futures_util::future::join_all(work).await;
    for (editor, other) in editors.iter_mut().zip(sessions.iter().rev()) {
        let whole = export(editor, other).await;
        let turns = whole["session"]["turns"].as_array().map(Vec::len);
        assert_eq!((turns, &whole["completeness"], &whole["diagnostics"]["aborts"]), (Some(PROMPTS), &json!("complete"), &json!([])));
        assert_eq!(whole["diagnostics"]["stream_traces"].as_array().map(Vec::len), Some(PROMPTS));
    }
    for mut editor in editors {
        editor.ignore_updates();
        editor.finish().await;
    }
    let log = std::fs::read_to_string(home.log_file()).expect("a log");
    assert!(!log.contains("\"ERROR\"") && !log.contains("\"WARN\""), "{log}");
}

/// A request that another process's hold on the session refuses, naming that process.
async fn refused_for(owner: &Editor, editor: &mut Editor, method: &str, params: Value) {
    let session = params["sessionId"].clone();
    let request = editor.request(method, params).await;
    let error = editor.error(&request).await;
    let pid = owner.pid();
    assert_eq!((&error["code"], &error["data"]), (&json!(-32803), &json!({ "sessionId": session, "owner": { "pid": pid } })));
    assert!(error["message"].as_str().expect("a message").contains(&pid.to_string()), "{error}");
}

/// What an update shows, in short.
fn shown(message: &Value) -> String {
    let update = &message["params"]["update"];
    match (update["sessionUpdate"].as_str(), update["content"]["text"].as_str()) {
        (Some(kind), Some(text)) => format!("{kind}: {text}"),
        (Some(kind), None) => kind.to_owned(),
        (None, _) => "answer".to_owned(),
    }
}

/// The conversation as a provider was sent it, without the system prompt.
fn said(body: &Value) -> Vec<(String, String)> {
    let messages = body["messages"].as_array().expect("messages").iter().filter(|message| message["role"] != "system");
    messages.map(|message| words((message["role"].as_str().expect("a role"), message["content"].as_str().expect("a text")))).collect()
}

fn words((role, text): (&str, &str)) -> (String, String) {
    (role.to_owned(), text.to_owned())
}
