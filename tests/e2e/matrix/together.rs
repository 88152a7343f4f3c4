//! Stops that meet others, or what stands beside a turn: what the first three lines and the facts make of them, read from the
//! sanitized export alone.

use super::maintainer::Read;
use crate::support::fifo::Fifo;
use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, explained_export, export, fields, pointed_by};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use regex::Regex;
use serde_json::{Value, json};
use std::process::Stdio;

/// The first three lines, without their labels.
fn brief(story: &str) -> Vec<&str> {
    story.lines().take(3).map(|line| line[16..].trim_start()).collect()
}

/// The sanitized export of a session whose process is gone, and its story.
fn told_of(home: &Home, session: &str) -> (Value, String) {
    let out = home.command().args(["export", session]).stdin(Stdio::null()).output().expect("pillion runs");
    let export: Value = serde_json::from_slice(&out.stdout).expect("an export");
    let story = explained_export(home, &export);
    (export, story)
}

async fn editor(home: &Home, config: &str, script: &Value, args: &[&str]) -> Editor {
    let model = home.script(script);
    let args: Vec<_> = ["--model", &model].into_iter().chain(args.iter().copied()).collect();
    let mut editor = Editor::spawn(configured(home, config), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    editor
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_death_that_ended_several_turns_the_one_that_ran_is_told_first() {
    let home = Home::new();
    let mut editor = editor(&home, "", &json!({ "steps": [[{ "text": "Once" }, "stall"], [{ "text": "two" }]] }), &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let running = editor.prompt(&session, "one").await;
    editor.next_update("agent_message_chunk").await;
    editor.prompt(&session, "two").await;
    // Behind this answer the prompt that waits is with the store.
    export(&mut editor, &session).await;
    editor.kill();
    editor.exited().await;
    let (export, story) = told_of(&home, &session);
    assert_eq!(export["diagnostics"]["aborts"].as_array().map(Vec::len), Some(2), "{story}");
    assert!(brief(&story)[0].ends_with(" A prompt that waited behind it was stopped, too. 2 stops are told below."), "{story}");
    let ran = Read::new(&story, &running);
    assert!(ran.fact("hops").starts_with("recovery.found +0 us -> turn.settled +"), "{story}");
    assert!(ran.fact("hops").ends_with(", counted from when it was found"), "{story}");
    assert!(ran.fact("title").starts_with("disabled: "), "{story}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_behind_an_accepted_stop_is_told_beside_it() {
    let home = Home::new();
    let ready = Fifo::new(&home);
    let command =
        json!({ "tool_call": { "name": "shell", "input": { "command": "trap '' TERM; echo $$ > fifo; while true; do sleep 1; done" } } });
    let mut editor = editor(&home, "[grace]\nhard_ms = 1000\n", &json!({ "steps": [[command]] }), &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.prompt(&session, "run").await;
    editor.allows().await;
    ready.pids().await;
    editor.notify("session/cancel", json!({ "sessionId": session, "initiator": "user", "source": "nvim.keymap" })).await;
    // Behind this answer the stop is on record.
    export(&mut editor, &session).await;
    editor.kill();
    editor.exited().await;
    let (export, story) = told_of(&home, &session);
    let abort = &export["diagnostics"]["aborts"][0];
    assert_eq!(
        fields(abort, &["cause", "initiator", "source"]),
        json!({ "cause": "client_cancel", "initiator": "user", "source": "nvim.keymap" })
    );
    let what = "The turn was cancelled by the user (nvim.keymap). A tool was running. Before the turn had ended, its process died.";
    assert_eq!(brief(&story)[0], what, "{story}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_died_with_its_process_is_told() {
    let home = Home::new();
    let script = json!({ "steps": [[{ "text": "done" }]], "title": ["headers", "stall"] });
    let mut editor = editor(&home, "", &script, &[]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "name me").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    export(&mut editor, &session).await;
    editor.kill();
    editor.exited().await;
    let (_, story) = told_of(&home, &session);
    let what = "The turn ended by itself: the model had finished. Its title was still being made when the process died.";
    let who = "Nobody is known to have asked for it: a process that dies can say nothing of it.";
    assert_eq!(brief(&story), [what, who, "Nothing."], "{story}");
    assert!(story.contains("; when it ended is not known") && story.contains("not recorded: the process that served it died"), "{story}");
}

/// Nothing but a title is left to stop: what stopped it, who asked, and who closed its connection to the model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_outlives_its_turn_is_told_with_what_stopped_it() {
    for cause in ["client_cancel", "session_closed", "shutdown_request", "client_eof"] {
        let home = Home::new();
        let script = json!({ "steps": [[{ "text": "done" }]], "title": ["headers", "stall"] });
        let mut editor = editor(&home, "[title]\non_cancel = \"cancel\"\n", &script, &[]).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "name me").await;
        assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
        editor.ignore_updates();
        let who = match cause {
            "client_cancel" => {
                editor.call("session/cancel", json!({ "sessionId": session, "initiator": "user", "source": "nvim.keymap" })).await;
                "The user (nvim.keymap), through e2e 1.2.3 over LSP on stdio, with session/cancel, its request "
            }
            "session_closed" => {
                editor.call("session/close", json!({ "sessionId": session })).await;
                "e2e 1.2.3 over LSP on stdio, with session/close, its request "
            }
            "shutdown_request" => "e2e 1.2.3 over LSP on stdio, with shutdown, its request ",
            _ => "e2e 1.2.3 over LSP on stdio, without a request to stop: it closed its end of the connection.",
        };
        if cause == "shutdown_request" {
            editor.call("shutdown", Value::Null).await;
            editor.notify("exit", Value::Null).await;
        }
        editor.hang_up();
        editor.exited().await;
        let (export, story) = told_of(&home, &session);
        let what = "The turn ended by itself: the model had finished. Its title was still being made, and that was stopped.";
        let lines = brief(&story);
        assert_eq!((lines[0], lines[2]), (what, "Nothing."), "{cause}\n{story}");
        assert!(lines[1].starts_with(who), "{cause}\n{story}");
        let (title, demand) = (&export["diagnostics"]["title_generations"][0], &export["diagnostics"]["cancel_requests"][0]);
        assert_eq!((&demand["cause"], &title["cancel_id"]), (&json!(cause), &demand["cancel_id"]), "{story}");
        for told in [format!("stopped: {cause}"), "upstream   closed by pillion at +".into()] {
            assert!(story.contains(&told), "{cause}: {told} in\n{story}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_came_with_its_prompt_says_that_no_model_was_asked() {
    let home = Home::new();
    let mut editor = editor(&home, "", &json!({ "steps": [[{ "text": "Once" }, "stall"]] }), &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let text = json!([{ "type": "text", "text": "tell me" }]);
    let prompt = json!({ "jsonrpc": "2.0", "id": "p", "method": "session/prompt", "params": { "sessionId": session, "prompt": text } });
    let cancel = json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": session } });
    editor.send_all(&[prompt, cancel]).await;
    editor.result(&json!("p")).await;
    let story = explained_export(&home, &export(&mut editor, &session).await);
    let read = Read::new(&story, &json!("p"));
    let told = [read.fact("phase"), read.fact("model")];
    let none = "no call of it is recorded, so nothing was open to it";
    assert_eq!(told, ["before_request: no request to the model had been made", none], "{story}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_spent_says_that_the_next_request_was_not_made() {
    let home = Home::new();
    let look = json!({ "tool_call": { "name": "list_directory", "input": { "path": "." } } });
    let mut editor = editor(&home, "[budget]\nmodel_calls = 1\n", &json!({ "steps": [[look]] }), &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "look").await;
    editor.answer(&prompt).await;
    let story = explained_export(&home, &export(&mut editor, &session).await);
    let read = Read::new(&story, &prompt);
    assert_eq!(read.fact("phase"), "before_request: the next request to the model had not been made", "{story}");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_hidden_in_a_sentence_that_is_kept() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_by(configured(&home, ONE_ATTEMPT), &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let mut exchange = server.next_request().await;
    exchange.text("half").await;
    exchange.end_body().await;
    editor.error(&prompt).await;
    let told = export(&mut editor, &session).await;
    let (abort, trace) = (&told["diagnostics"]["aborts"][0], &told["diagnostics"]["stream_traces"][0]);
    let hidden = Regex::new(r"^http://\[path:[0-9]+\] ended the stream before the model had finished$").expect("a pattern");
    assert!(hidden.is_match(abort["error_message"].as_str().expect("a message")), "{abort:#}");
    assert_eq!(trace["failure"]["message"], abort["error_message"]);
    editor.ignore_updates();
    editor.finish().await;
}
