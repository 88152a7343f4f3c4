//! `session/shell`: the user's own command as a run of the session. It ends with everything it started, whatever stops it, and
//! the record says what became of it.

use crate::support::fifo::{Fifo, all_gone};
use crate::support::journey::{
    UNTITLED, configured, explained_export, export, fields, full_export, pointed_at, pointed_by, turn_and_title,
};
use crate::support::model_server::ModelServer;
use crate::support::process::{LEAVES_WITHIN, exported};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A command that heeds no SIGTERM, with a child that has left its group and its session; both tell their numbers.
const STUBBORN: &str = "trap '' TERM; setsid sleep 1000 & echo $$ $! > fifo; wait";

/// What of an answer is the same in every run.
fn steady(answer: &Value) -> Value {
    fields(answer, &["stopReason", "exitCode", "signal", "failure", "output", "outputBytes", "sentence"])
}

/// A session without titles whose updates nobody looks at.
async fn opened() -> (Home, ModelServer, Editor, String) {
    let home = Home::new();
    let server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.ignore_updates();
    (home, server, editor, session)
}

async fn shell(editor: &mut Editor, session: &str, command: &str) -> Value {
    editor.request("session/shell", json!({ "sessionId": session, "command": command })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_run_shown_kept_and_told_to_the_model_with_the_next_prompt() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &[]).await;
    let session = editor.new_session(&home).await;
    let command = "echo out; echo err >&2; pwd; exit 3";
    let asked = shell(&mut editor, &session, command).await;
    let said = format!("out\nerr\n{}\n", home.workspace().display());
    let mut told = editor.all_until(&asked).await;
    let answer = told.pop().expect("the answer")["result"].take();
    let call_id = told[0]["params"]["update"]["toolCallId"].clone();
    let updates: Vec<_> = told.iter().map(|update| update["params"]["update"].clone()).collect();
    assert_eq!(
        updates,
        [
            json!({ "sessionUpdate": "tool_call", "toolCallId": call_id, "title": command, "kind": "execute", "status": "pending", "rawInput": { "command": command } }),
            json!({ "sessionUpdate": "tool_call_update", "toolCallId": call_id, "status": "in_progress" }),
            json!({ "sessionUpdate": "tool_call_update", "toolCallId": call_id, "status": "failed",
                "content": [{ "type": "content", "content": { "type": "text", "text": said } }] }),
        ]
    );
    assert_eq!(steady(&answer), json!({ "stopReason": "end_turn", "exitCode": 3, "output": said, "outputBytes": said.len() }));
    assert_eq!((&answer["lastUpdate"], &answer["diagnostics"]), (&json!(3), &json!({})));

    let prompt = editor.prompt(&session, "Well?").await;
    // It is still the session's first prompt: the title is made of it.
    let (turn, title) = turn_and_title(&mut server).await;
    let messages = turn.body["messages"].as_array().expect("messages").clone();
    assert_eq!(messages.len(), 2, "the system prompt and one message of the user: {messages:#?}");
    let seen = messages[1]["content"].to_string();
    for part in [command, "It ended with exit code 3. It wrote:", "Well?"] {
        let part = serde_json::to_string(part).expect("a text");
        assert!(seen.contains(part.trim_matches('"')), "{part} in {seen}");
    }
    title.answer("Trying a shell").await;
    turn.answer("I see.").await;
    editor.result(&prompt).await;

    let export = full_export(&mut editor, &session).await;
    let turns: Vec<_> = export["session"]["turns"].as_array().expect("turns").iter().map(|turn| fields(turn, &["kind", "stop"])).collect();
    assert_eq!(turns, [json!({ "kind": "shell", "stop": "end_turn" }), json!({ "kind": "prompt", "stop": "end_turn" })]);
    let parts: Vec<_> =
        export["session"]["messages"].as_array().expect("messages")[..2].iter().map(|message| message["parts"].clone()).collect();
    assert_eq!(
        parts,
        [
            json!([{ "kind": "command", "text": command }]),
            json!([
                { "kind": "tool_call", "call_id": call_id, "tool": "session/shell", "input": { "command": command } },
                { "kind": "tool_result", "call_id": call_id, "status": "failed", "exit_code": 3, "text": said },
            ]),
        ]
    );
    assert_eq!(export["diagnostics"]["aborts"], json!([]));
    editor.ignore_updates();
    editor.finish().await;

    // Another client sees it as it was.
    let mut editor = Editor::ready(&home, Framing::Lines, Dialect::Acp, &[]).await;
    let load = editor.request("session/load", json!({ "sessionId": session, "cwd": home.workspace(), "mcpServers": [] })).await;
    let replayed = editor.all_until(&load).await;
    let shown: Vec<_> = replayed[..3]
        .iter()
        .map(|update| fields(&update["params"]["update"], &["sessionUpdate", "content", "title", "kind", "status"]))
        .collect();
    assert_eq!(
        shown,
        [
            json!({ "sessionUpdate": "user_message_chunk", "content": { "type": "text", "text": command } }),
            json!({ "sessionUpdate": "tool_call", "title": command, "kind": "execute", "status": "pending" }),
            json!({ "sessionUpdate": "tool_call_update", "status": "failed", "content": [{ "type": "content", "content": { "type": "text", "text": said } }] }),
        ]
    );
    editor.ignore_updates();
    // ACP's name of it.
    let answer = editor.call("_pillion/session/shell", json!({ "sessionId": session, "command": "kill -9 $$" })).await;
    let answer = &answer["_meta"]["pillion"];
    assert_eq!(steady(answer), json!({ "stopReason": "end_turn", "signal": "SIGKILL", "output": "", "outputBytes": 0 }));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_run_is_told_and_nothing_waits_for_what_a_command_left_behind() {
    let (home, _server, mut editor, session) = opened().await;
    for bad in ["", "  ", "a\0b"] {
        let asked = shell(&mut editor, &session, bad).await;
        assert_eq!(editor.error(&asked).await["data"], json!({ "field": "command" }), "{bad:?}");
    }
    let asked = shell(&mut editor, "ses_nowhere", "true").await;
    assert_eq!(editor.error(&asked).await["data"]["sessionId"], "ses_nowhere");

    // A child of another session holds stdout and heeds no SIGTERM; the answer comes all the same, and the child goes.
    let fifo = Fifo::new(&home);
    let command = "setsid sh -c 'trap \"\" TERM; sleep 1000; true' & echo $! > fifo; read -r go < fifo";
    let asked = shell(&mut editor, &session, command).await;
    let left_behind = fifo.watched().await;
    fifo.write("go on\n");
    let answer = editor.result(&asked).await;
    assert_eq!((&answer["stopReason"], &answer["exitCode"]), (&json!("end_turn"), &json!(0)));
    all_gone(left_behind, Duration::ZERO).await;

    // Of much output the two ends are kept.
    let asked = shell(&mut editor, &session, "seq 100000; echo end").await;
    let answer = editor.result(&asked).await;
    let output = answer["output"].as_str().expect("a text");
    assert!(output.starts_with("1\n2\n3\n") && output.ends_with("99999\n100000\nend\n") && output.contains(" bytes left out]\n"));
    assert_eq!((&answer["outputBytes"], output.len() < 66_000), (&json!(588_899), true));

    std::fs::remove_dir_all(home.workspace()).expect("the workspace goes");
    let asked = shell(&mut editor, &session, "true").await;
    let answer = editor.result(&asked).await;
    let failure = answer["failure"].as_str().expect("a failure");
    assert!(failure.starts_with("/bin/sh could not be started in ") && failure.contains("No such file"), "{failure}");
    assert_eq!((answer.get("exitCode"), &answer["stopReason"]), (None, &json!("end_turn")));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_does_not_wait_and_prompts_wait_behind_it() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.ignore_updates();
    let prompt = editor.prompt(&session, "first").await;
    let first = server.next_request().await;
    let asked = shell(&mut editor, &session, "true").await;
    let refused = editor.error(&asked).await;
    assert_eq!((&refused["code"], &refused["data"]["sessionId"]), (&json!(-32803), &json!(session)));
    assert!(refused["message"].as_str().expect("a text").contains("a command does not wait"), "{refused}");
    first.answer("one").await;
    editor.result(&prompt).await;

    let fifo = Fifo::new(&home);
    let asked = shell(&mut editor, &session, "echo $$ > fifo; read -r go < fifo; echo $go").await;
    fifo.pids().await;
    let reject = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "now" }], "whenBusy": "reject" });
    let rejected = editor.request("session/prompt", reject).await;
    assert_eq!(editor.error(&rejected).await["code"], -32803);
    let supersede = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "behind" }], "whenBusy": "supersede" });
    let behind = editor.request("session/prompt", supersede).await;
    fifo.write("go on\n");
    assert_eq!(
        steady(&editor.result(&asked).await),
        json!({ "stopReason": "end_turn", "exitCode": 0, "output": "go on\n", "outputBytes": 6 })
    );
    server.next_request().await.answer("two").await;
    assert_eq!(editor.result(&behind).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_behind_a_command_ends_it_and_every_prompt_that_waits_each_with_its_own_record() {
    let (home, _server, mut editor, session) = opened().await;
    let fifo = Fifo::new(&home);
    let asked = shell(&mut editor, &session, STUBBORN).await;
    let processes = fifo.watched().await;
    let waiting = [editor.prompt(&session, "one").await, editor.prompt(&session, "two").await];
    let at = Instant::now();
    let cancel = editor.request("session/cancel", json!({ "sessionId": session, "source": "nvim.keymap", "initiator": "user" })).await;
    let answer = editor.result(&asked).await;
    let took = at.elapsed();
    all_gone(processes, Duration::ZERO).await;
    assert!(took >= Duration::from_millis(250), "not before the grace was over: {took:?}");
    assert_eq!(
        steady(&answer),
        json!({ "stopReason": "cancelled", "signal": "SIGKILL", "output": "", "outputBytes": 0,
            "sentence": "The turn was cancelled by the user (nvim.keymap)." })
    );
    let mut abort_ids = vec![answer["diagnostics"]["abort"]["abort_id"].clone()];
    for prompt in &waiting {
        let answer = editor.result(prompt).await;
        assert_eq!((&answer["stopReason"], &answer["diagnostics"]["abort"]["phase"]), (&json!("cancelled"), &json!("queued")));
        abort_ids.push(answer["diagnostics"]["abort"]["abort_id"].clone());
    }
    let cancelled = editor.result(&cancel).await;
    assert_eq!((&cancelled["outcome"], &cancelled["abortId"]), (&json!("cancelled"), &abort_ids[0]));

    // The sanitized export alone tells it all.
    let export = export(&mut editor, &session).await;
    let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
    let ids: std::collections::HashSet<_> = aborts.iter().map(|abort| abort["abort_id"].to_string()).collect();
    assert_eq!(ids, abort_ids.iter().map(Value::to_string).collect());
    let of_the_command = aborts.iter().find(|abort| abort["abort_id"] == abort_ids[0]).expect("its record");
    assert_eq!(
        fields(of_the_command, &["cause", "phase", "forced", "source", "propagation_point", "title_generation_state", "prompt_request"]),
        json!({ "cause": "client_cancel", "phase": "tool_running", "forced": false, "source": "nvim.keymap", "propagation_point": "process.gone",
            "title_generation_state": "disabled", "prompt_request": { "id": asked, "connection_id": of_the_command["prompt_request"]["connection_id"],
                "method": "session/shell", "client": of_the_command["request"]["client"], "transport": "stdio_lsp" } })
    );
    let tools = of_the_command["tools_in_flight"].as_array().expect("tools");
    assert_eq!(
        (tools.len(), fields(&tools[0], &["tool", "effect", "outcome"])),
        (1, json!({ "tool": "session/shell", "effect": "process", "outcome": "killed" }))
    );
    let hops: Vec<_> =
        of_the_command["propagation"].as_array().expect("hops").iter().map(|hop| hop["point"].as_str().expect("a point")).collect();
    assert_eq!(
        hops,
        ["rpc.session/cancel", "runner.stopping", "process.terminated", "process.killed", "process.gone", "turn.settled", "turn.answered"]
    );
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_hide_how_the_command_itself_ended() {
    let (home, _server, mut editor, session) = opened().await;
    let fifo = Fifo::new(&home);
    let asked = shell(&mut editor, &session, "trap 'echo tidied up; exit 7' TERM; echo $$ > fifo; while :; do sleep 0.01; done").await;
    fifo.pids().await;
    editor.notify("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&asked).await;
    assert_eq!(fields(&answer, &["stopReason", "exitCode", "signal"]), json!({ "stopReason": "cancelled", "exitCode": 7 }));
    assert!(answer["output"].as_str().expect("a text").ends_with("tidied up\n"), "{answer}");
    let abort = &answer["diagnostics"]["abort"];
    assert_eq!((&abort["tools_in_flight"][0]["outcome"], &abort["forced"]), (&json!("stopped"), &json!(false)));
    let export = export(&mut editor, &session).await;
    let result = &export["session"]["messages"][1]["parts"][1];
    assert_eq!(fields(result, &["kind", "status", "exit_code"]), json!({ "kind": "tool_result", "status": "interrupted", "exit_code": 7 }));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hard_cancel_does_not_wait_for_the_patience_of_a_soft_one() {
    let home = Home::new();
    let server = ModelServer::start().await;
    let mut editor = pointed_by(configured(&home, "[grace]\nsoft_ms = 60000\n"), &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.ignore_updates();
    let fifo = Fifo::new(&home);
    let asked = shell(&mut editor, &session, STUBBORN).await;
    let processes = fifo.watched().await;
    let soft = editor.request("session/cancel", json!({ "sessionId": session, "mode": "soft" })).await;
    let hard = editor.request("session/cancel", json!({ "sessionId": session, "mode": "hard" })).await;
    let answer = editor.result(&asked).await;
    all_gone(processes, Duration::ZERO).await;
    let abort = &answer["diagnostics"]["abort"];
    assert_eq!(
        fields(abort, &["mode", "forced", "propagation_point"]),
        json!({ "mode": "soft", "forced": false, "propagation_point": "process.gone" })
    );
    assert_eq!(abort["tools_in_flight"][0]["outcome"], "killed");
    assert_eq!(editor.result(&soft).await["outcome"], "cancelled");
    let hard = editor.result(&hard).await;
    assert_eq!((&hard["outcome"], &hard["abortId"]), (&json!("already_stopping"), &abort["abort_id"]));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_the_session_ends_its_command_with_its_own_cause() {
    for (method, cause) in [("session/close", "session_closed"), ("session/delete", "session_deleted"), ("shutdown", "shutdown_request")] {
        let (home, _server, mut editor, session) = opened().await;
        let fifo = Fifo::new(&home);
        let asked = shell(&mut editor, &session, STUBBORN).await;
        let processes = fifo.watched().await;
        let params = if method == "shutdown" { Value::Null } else { json!({ "sessionId": session }) };
        let end = editor.request(method, params).await;
        let answer = editor.result(&asked).await;
        assert_eq!(answer["diagnostics"]["abort"]["cause"], cause);
        all_gone(processes, Duration::ZERO).await;
        editor.result(&end).await;
        editor.kill();
        editor.exited().await;
    }
    // The connection ends, and pillion itself is killed: nothing is left, and the next process tells it.
    for (killed, cause, outcome) in [(false, "client_eof", "killed"), (true, "crash_recovered", "unknown")] {
        let home = Home::new();
        let server = ModelServer::start().await;
        let mut editor = pointed_at(&server, &home, &UNTITLED).await;
        let session = editor.new_session(&home).await;
        let fifo = Fifo::new(&home);
        shell(&mut editor, &session, STUBBORN).await;
        let processes = fifo.watched().await;
        if killed {
            editor.kill()
        } else {
            editor.hang_up()
        }
        editor.exited().await;
        all_gone(processes, LEAVES_WITHIN).await;
        let export = exported(&home, &session).await;
        let aborts = export["diagnostics"]["aborts"].as_array().expect("aborts");
        assert_eq!(aborts.len(), 1);
        assert_eq!(fields(&aborts[0], &["cause", "phase"]), json!({ "cause": cause, "phase": "tool_running" }));
        assert_eq!(
            fields(&aborts[0]["tools_in_flight"][0], &["tool", "effect", "outcome"]),
            json!({ "tool": "session/shell", "effect": "process", "outcome": outcome })
        );
        let status = &export["session"]["messages"][1]["parts"][1]["status"];
        assert_eq!(status, if killed { "unknown_outcome" } else { "interrupted" });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_may_take_as_long_as_a_turn() {
    let home = Home::new();
    let server = ModelServer::start().await;
    let mut editor = pointed_by(configured(&home, "[watchdog]\nturn_seconds = 1\n"), &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.ignore_updates();
    let asked = shell(&mut editor, &session, "echo begun; sleep 1000").await;
    let answer = editor.answer(&asked).await;
    let abort = answer.pointer("/result/diagnostics/abort").or(answer.pointer("/error/data/diagnostics/abort")).expect("an abort");
    assert_eq!(
        fields(abort, &["cause", "limit_ms", "initiator", "phase"]),
        json!({ "cause": "turn_timeout", "limit_ms": 1000, "phase": "tool_running" })
    );
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_sees_no_secret_and_one_that_it_finds_is_not_shown() {
    let home = Home::new();
    let server = ModelServer::start().await;
    let mut command = home.command();
    command.env("VENDOR_API_KEY", "sk-not-for-your-eyes").env("EDITOR_COLOUR", "green");
    let mut editor = pointed_by(command, &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.ignore_updates();
    home.file(".env", "KEY=sk-not-for-your-eyes\n");
    let asked = shell(&mut editor, &session, "echo $VENDOR_API_KEY $EDITOR_COLOUR $TERM; cat .env").await;
    let answer = editor.result(&asked).await;
    assert_eq!(answer["output"], "green dumb\nKEY=[redacted:known_key]\n");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stopped_command_had_written_is_told_as_far_as_it_is_kept_and_as_lost() {
    let home = Home::new();
    let mut editor = Editor::lsp(&home, &[]).await;
    let session = editor.new_session(&home).await;
    for (bytes, kept) in [(12_u64, 12), (200_000, 64 * 1024)] {
        let ready = Fifo::new(&home);
        let command = format!("head -c {bytes} /dev/zero | tr '\\0' a; echo $$ > fifo; sleep 1000");
        let asked = editor.request("session/shell", json!({ "sessionId": session, "command": command })).await;
        ready.pids().await;
        editor.notify("session/cancel", json!({ "sessionId": session })).await;
        let abort = editor.result(&asked).await["diagnostics"]["abort"].take();
        let call = format!("shell_{}", abort["turn_id"].as_str().expect("an id"));
        let [output] = abort["partial"]["command_outputs"].as_array().expect("outputs").as_slice() else { panic!("one: {abort:#}") };
        assert_eq!(*output, json!({ "call_id": call, "bytes": bytes, "kept_bytes": kept }));
        let story = explained_export(&home, &export(&mut editor, &session).await);
        let lost = if kept == bytes { "nothing was lost".into() } else { format!("lost: {} bytes that {call} had written", bytes - kept) };
        let told = format!("0 bytes kept, and {kept} bytes that {call} had written; {lost}");
        assert!(story.contains(&told), "{told} is not in\n{story}");
        std::fs::remove_file(home.workspace().join("fifo")).expect("removed");
    }
    editor.ignore_updates();
    editor.finish().await;
}
