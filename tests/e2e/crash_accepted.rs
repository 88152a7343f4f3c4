//! A stop that was accepted before the process died, prompts that waited when it died, and titles that outlived their turns: what
//! the next one who looks says of them.
//!
//! Invariant: whatever had been accepted has an end that names it.

use crate::support::journey::{UNTITLED, configured, explained, fields, full_export, pointed_at, pointed_by, turn_and_title};
use crate::support::model_server::ModelServer;
use crate::support::process::signal;
use crate::support::{Editor, Home};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Nothing that is cancelled softly is ended by force while a test looks.
const PATIENT: &str = "[grace]\nsoft_ms = 60000\nhard_ms = 1000\n";

/// A command that does not care about SIGTERM and has begun.
async fn stubborn(home: &Home, server: &ModelServer) -> (Editor, String) {
    let mut editor = pointed_by(configured(home, PATIENT), server, &UNTITLED).await;
    let session = editor.new_session(home).await;
    let began = home.workspace().join("began");
    let command = "trap '' TERM; touch began; while :; do sleep 1; done";
    editor.request("session/shell", json!({ "sessionId": session, "command": command })).await;
    while !began.exists() {
        tokio::task::yield_now().await;
    }
    (editor, session)
}

/// The demands of a session once there are so many, as another process reads them.
async fn demands(reader: &mut Editor, session: &str, count: usize) -> Value {
    loop {
        let export = full_export(reader, session).await;
        if export["diagnostics"]["cancel_requests"].as_array().map(Vec::len) == Some(count) {
            return export["diagnostics"]["cancel_requests"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_was_accepted_is_what_stopped_the_turn_although_its_process_died() {
    let home = Home::new();
    let server = ModelServer::start().await;
    let (mut editor, session) = stubborn(&home, &server).await;
    let mut reader = pointed_at(&server, &home, &UNTITLED).await;
    let params = json!({ "sessionId": session, "source": "test.stop", "initiator": "user", "reason": "enough", "mode": "soft" });
    let stop = editor.request("session/cancel", params.clone()).await;
    let accepted = demands(&mut reader, &session, 1).await[0].clone();
    assert_eq!((&accepted["outcome"], &accepted["request"]["id"]), (&json!("cancelled"), &stop));
    // A second one finds the first.
    editor.request("session/cancel", params).await;
    let late = demands(&mut reader, &session, 2).await[1].clone();
    assert_eq!((&late["outcome"], &late["abort_id"]), (&json!("already_stopping"), &accepted["abort_id"]));
    let pid = editor.pid();
    editor.kill();
    editor.exited().await;

    let export = full_export(&mut reader, &session).await;
    let [abort] = export["diagnostics"]["aborts"].as_array().expect("aborts").as_slice() else { panic!("one abort in {export:#}") };
    let said = ["cause", "abort_id", "initiator", "source", "reason", "request", "mode", "late_cancels"];
    let mut expected = fields(&accepted, &said);
    expected["late_cancels"] = json!([late["cancel_id"]]);
    assert_eq!(fields(abort, &said), expected);
    assert_eq!((&abort["requested_at"], &abort["crash"]["pid"]), (&accepted["at"], &json!(pid)));
    assert_eq!((&abort["via_ctx_abort"], &abort["ruled_out"]), (&json!(false), &json!([])));
    assert_eq!((&abort["crash"]["last_sign"], &abort["tools_in_flight"][0]["outcome"]), (&json!("stop_accepted"), &json!("unknown")));
    assert_eq!(export["diagnostics"]["tool_runs"][0]["outcome"], "unknown_outcome");
    let turn = &export["session"]["turns"][0];
    assert_eq!((&turn["stop"], &turn["abort_id"]), (&json!("cancelled"), &abort["abort_id"]));

    let story = explained(&home, &session);
    for told in [
        "The turn was cancelled by the user (test.stop). [client_cancel]",
        "and accepted; before the turn had ended, its process died: last sign of life of process",
        "was running when the process died; what became of it is not known",
    ] {
        assert!(story.contains(told), "{told} is not in\n{story}");
    }
    reader.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_of_the_whole_process_that_was_accepted_is_what_stopped_the_turn() {
    // pillion leaves within two seconds of such an end, so it can be faster than the test: then the record is its own.
    for end in ["SIGTERM", "eof"] {
        let mut died = false;
        while !died {
            let home = Home::new();
            let server = ModelServer::start().await;
            let (mut editor, session) = stubborn(&home, &server).await;
            let mut reader = pointed_at(&server, &home, &UNTITLED).await;
            match end {
                "eof" => editor.hang_up(),
                _ => signal(editor.pid(), Signal::TERM),
            }
            let accepted = demands(&mut reader, &session, 1).await[0].clone();
            editor.kill();
            editor.exited().await;
            let export = full_export(&mut reader, &session).await;
            let abort = &export["diagnostics"]["aborts"][0];
            let said = ["cause", "signal_name", "abort_id", "initiator"];
            assert_eq!(fields(abort, &said), fields(&accepted, &said), "{end}");
            assert_eq!(abort["via_ctx_abort"], true);
            died = abort.get("crash").is_some();
            reader.finish().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_that_waited_when_the_process_died_are_found_with_their_words() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let mut prompts = vec![editor.prompt(&session, "first").await];
    let exchange = server.next_request().await;
    for text in ["second", "third"] {
        prompts.push(editor.prompt(&session, text).await);
    }
    // What was posted before it is stored when it is answered.
    let running = full_export(&mut editor, &session).await;
    assert_eq!(running["session"]["turns"].as_array().map(Vec::len), Some(1));
    let pid = editor.pid();
    editor.kill();
    editor.exited().await;
    drop(exchange);

    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let opened = editor.call("session/load", json!({ "sessionId": session })).await;
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
    let told: Vec<_> = aborts
        .iter()
        .map(|abort| {
            json!([abort["cause"], abort["phase"], abort["prompt_request"]["id"], abort["crash"]["last_sign"], abort["crash"]["pid"]])
        })
        .collect();
    let of = |number: usize, phase, sign| json!(["crash_recovered", phase, prompts[number], sign, pid]);
    assert_eq!(told[1..], [of(1, "queued", "prompt_accepted"), of(2, "queued", "prompt_accepted")]);
    assert_eq!((told.len(), opened["stops"].as_array().map(Vec::len)), (3, Some(3)));
    let of_users = export["session"]["messages"].as_array().expect("messages").iter().filter(|message| message["role"] == "user");
    assert_eq!(of_users.map(|message| &message["parts"][0]["text"]).collect::<Vec<_>>(), ["first", "second", "third"]);
    let accepted: Vec<_> =
        export["diagnostics"]["lifecycle"].as_array().expect("events").iter().filter(|event| event["event"] == "accepted").collect();
    let turns = export["session"]["turns"].as_array().expect("turns");
    assert_eq!(
        accepted.iter().map(|event| &event["turn_id"]).collect::<Vec<_>>(),
        turns.iter().map(|turn| &turn["turn_id"]).collect::<Vec<_>>()
    );

    // The conversation goes on behind all of them.
    let next = editor.prompt(&session, "fourth").await;
    server.next_request().await.answer("yes").await;
    assert_eq!(editor.result(&next).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_outlived_its_turn_and_died_with_the_process_has_an_end() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &[]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let (mut turn, title) = turn_and_title(&mut server).await;
    turn.text("Gone").await;
    editor.next_update("agent_message_chunk").await;
    let stop = editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    editor.ignore_updates();
    full_export(&mut editor, &session).await;
    editor.kill();
    editor.exited().await;
    drop((turn, title));

    let mut reader = pointed_at(&server, &home, &[]).await;
    let export = full_export(&mut reader, &session).await;
    let title = &export["diagnostics"]["title_generations"][0];
    assert_eq!(
        fields(title, &["success", "applied", "error_name", "completed_at", "abort_id", "cancel_id"]),
        json!({ "success": false, "applied": false, "error_name": "process_died" })
    );
    let abort = &export["diagnostics"]["aborts"][0];
    assert_eq!((&abort["abort_id"], &abort["title_generation_state"]), (&stop["abortId"], &json!("failed")));
    let again = full_export(&mut reader, &session).await;
    assert_eq!(again["diagnostics"], export["diagnostics"]);
    reader.finish().await;
}
