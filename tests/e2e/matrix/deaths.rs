//! The same maintainer, and the stops that nobody lived to record: pillion is killed in every phase, or the machine with it. The first
//! who looks is the command line.

use super::axes::{Doing, Stop, Titled, whatever_it_does};
use super::maintainer::{Answers, Read};
use super::{LONG, Scene, scene};
use crate::support::fifo::Fifo;
use crate::support::journey::{UNTITLED, configured, explained_export, full_export_when, pointed_at, pointed_by, turn_and_title};
use crate::support::model_server::ModelServer;
use crate::support::resolved::assert_resolved;
use crate::support::{Editor, Home};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::SystemTime;

/// The sanitized export, as the command line writes it.
fn exported(home: &Home, session: &str) -> Value {
    let out = home.command().args(["export", session]).stdin(Stdio::null()).output().expect("pillion runs");
    let export = serde_json::from_slice(&out.stdout).expect("an export");
    assert_resolved(&export);
    export
}

/// Whether as much of the turn is stored as is to be found again.
fn is_stored(export: &Value, doing: Doing) -> bool {
    let diagnostics = &export["diagnostics"];
    let any = |list: &str, is_it: &dyn Fn(&Value) -> bool| diagnostics[list].as_array().expect("records").iter().any(is_it);
    match doing {
        // Whether it waits is seen when it is closed.
        Doing::Queued => true,
        Doing::BeforeRequest | Doing::WaitingForModel => any("stream_traces", &|trace| trace["state"] == "open"),
        Doing::Reasoning | Doing::Text | Doing::ToolInput => export["session"]["messages"][1]["parts"][0]["text"].is_string(),
        Doing::AwaitingPermission => any("tool_runs", &|run| run["call_id"] == "call_2" && run["asked_at"].is_u64()),
        Doing::ToolRunning | Doing::CommandRunning => any("tool_runs", &|run| run["started_at"].is_u64()),
        Doing::RetryBackoff => any("stream_traces", &|trace| trace["state"] == "failed"),
    }
}

/// What the store had of it, which is what anybody can know.
fn known(scene: &Scene, doing: Doing, retry: &str) -> Answers {
    let (text, reasoning, _) = doing.produced();
    let bytes = |count: u64| if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") };
    let unknown = "was running when the process died; what became of it is not known";
    let withdrawn = "had not started, was withdrawn";
    let (tools, of_the_command) = match doing {
        Doing::AwaitingPermission => {
            (vec![format!("shell (process, call_1) {withdrawn}"), format!("write_file (write, call_2) {withdrawn}")], "")
        }
        Doing::ToolRunning => {
            (vec![format!("shell (process, call_1) {unknown}"), format!("write_file (write, call_2) {withdrawn}")], COMMAND)
        }
        Doing::CommandRunning => (vec![format!("session/shell (process, shell) {unknown}")], COMMAND),
        _ => (Vec::new(), ""),
    };
    Answers {
        what: "crash_recovered".into(),
        who: "nobody",
        request: None,
        turn: format!("request {}", scene.asked),
        client: doing.client().into(),
        connection: true,
        when: 2,
        phase: match doing {
            // Of a call that was still coming nothing is stored.
            Doing::ToolInput => "text",
            Doing::BeforeRequest => "waiting_for_model",
            doing => doing.phase(),
        }
        .into(),
        hops: vec!["recovery.found".into(), "turn.settled".into()],
        tools,
        title: "disabled".into(),
        upstream: match doing {
            Doing::Queued | Doing::CommandRunning => None,
            Doing::AwaitingPermission | Doing::ToolRunning | Doing::RetryBackoff => Some("provider"),
            _ => Some("unknown"),
        },
        lost: format!(
            "{} of text and {} of reasoning, an unrecorded number of updates sent; {} kept; lost: what had not been saved yet, and nobody \
             knows how much that was{of_the_command}",
            bytes(text),
            bytes(reasoning),
            bytes(text + reasoning)
        ),
        others: Vec::new(),
        retry: retry.to_owned(),
    }
}

const COMMAND: &str = ", what the command had written, and nobody knows how much that was";

async fn found(doing: Doing) {
    let before = SystemTime::now();
    let mut scene = scene(doing, Stop::ClientCancel, Titled::Disabled).await;
    let (pid, session) = (scene.editor.pid(), scene.session.clone());
    full_export_when(&mut scene.editor, &session, |export| is_stored(export, doing)).await;
    scene.editor.kill();
    scene.editor.exited().await;
    let export = exported(&scene.home, &session);
    let after = SystemTime::now();
    let story = explained_export(&scene.home, &export);
    let read = Read::new(&story, &scene.asked);
    let mut answers = read.answers(before, after);
    let turn = read.fact("turn").split(',').next().unwrap_or_default();
    for tool in &mut answers.tools {
        *tool = tool.replace(&format!("shell_{turn}"), "shell");
    }
    let retry = answers.retry.clone();
    assert_eq!(answers, known(&scene, doing, &retry), "{doing:?}\n{story}");
    assert!(retry.contains("how much had been shown is not recorded"), "{doing:?}: {retry}");
    let may_repeat = matches!(doing, Doing::ToolRunning | Doing::CommandRunning);
    assert_eq!(retry.contains("it may repeat a change: "), may_repeat, "{doing:?}: {retry}");
    for told in [
        "Who did it:     Nobody is known to have asked for it: a process that dies can say nothing of it. The turn had been asked for by ",
        &format!("closed     not recorded: process {pid}, which served it, died"),
        &format!("last sign of life of process {pid} "),
    ] {
        assert!(story.contains(told), "{doing:?}: {told} is not in\n{story}");
    }
    assert!(!story.contains("(ended the work)") && !story.contains("after it was asked"), "{doing:?}: nobody saw it\n{story}");
}

whatever_it_does!(found);

/// The machine went down: its boot has another id, and no process of it is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_boot_is_told() {
    let mut scene = scene(Doing::Text, Stop::ClientCancel, Titled::Disabled).await;
    let session = scene.session.clone();
    full_export_when(&mut scene.editor, &session, |export| is_stored(export, Doing::Text)).await;
    scene.editor.kill();
    scene.editor.exited().await;
    let earlier = "0b1c0a57-2f5e-4c43-9a44-6b8d3a7f1e10";
    let store = rusqlite::Connection::open(scene.home.data_dir().join("pillion.db")).expect("the store");
    store.execute("UPDATE turn SET owner_boot = ?1", [earlier]).expect("changed by hand");
    drop(store);
    let export = exported(&scene.home, &session);
    assert_eq!(export["diagnostics"]["aborts"][0]["crash"]["boot_id"], earlier);
    let story = explained_export(&scene.home, &export);
    assert!(Read::new(&story, &scene.asked).fact("when").contains(", in another boot or on another machine; when it died"), "{story}");
}

/// A stop was accepted, and its turn had no end yet: looked at then, and after the process had died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_accepted_is_told_before_and_after_the_death() {
    let home = Home::new();
    let server = ModelServer::start().await;
    let config = configured(&home, "[grace]\nsoft_ms = 60000\n");
    let mut editor = pointed_by(config, &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let ready = Fifo::new(&home);
    let command = format!("trap '' TERM; {LONG}; wait; wait");
    let asked = editor.request("session/shell", json!({ "sessionId": session, "command": command })).await;
    ready.pids().await;
    let params = json!({ "sessionId": session, "source": "nvim.keymap", "initiator": "user", "mode": "soft" });
    let stop = editor.request("session/cancel", params).await;
    let accepted = |export: &Value| export["diagnostics"]["cancel_requests"][0]["outcome"] == "cancelled";
    let mut reader = pointed_at(&server, &home, &UNTITLED).await;
    full_export_when(&mut reader, &session, accepted).await;
    let story = explained_export(&home, &exported(&home, &session));
    for told in [
        "What happened:  The turn was cancelled by the user (nvim.keymap). It had not ended when this was written.",
        "Who did it:     The user (nvim.keymap), through ",
        "why        cancelled: it was accepted, and the turn has no end yet",
        "has no end yet",
    ] {
        assert!(story.contains(told), "{told} is not in\n{story}");
    }
    editor.kill();
    editor.exited().await;
    let story = explained_export(&home, &exported(&home, &session));
    let read = Read::new(&story, &asked);
    let answers = read.answers(SystemTime::UNIX_EPOCH, SystemTime::now());
    assert_eq!(
        (answers.what.as_str(), answers.who, answers.request, answers.when),
        ("client_cancel", "user", Some(("session/cancel".into(), format!("request {stop}"))), 3)
    );
    assert!(read.fact("when").contains("mode soft, and accepted; before the turn had ended, its process died"), "{story}");
    reader.finish().await;
}

/// A title that outlived its turn is stopped: by whom is told, although no turn was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_was_stopped_behind_its_turn_is_told_with_whoever_did_it() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor: Editor = pointed_at(&server, &home, &[]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let (turn, title) = turn_and_title(&mut server).await;
    turn.answer("Gone").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.hang_up();
    editor.exited().await;
    drop(title);
    let export = exported(&home, &session);
    let cancel = export["diagnostics"]["cancel_requests"][0]["cancel_id"].as_str().expect("a demand");
    let story = explained_export(&home, &export);
    for told in [
        "What happened:  The turn ended by itself: the model had finished. Its title was still being made, and that was stopped.",
        ", without a request to stop: it closed its end of the connection.",
        "why        cancelled: the generation was stopped: client_eof",
        &format!("ended by   the cancel request {cancel}"),
        "why        cancelled: no turn was left to stop, but its title was still being made, and that was stopped",
        &format!("turn       asked by request {prompt} (session/prompt) of "),
        "closed     ",
    ] {
        assert!(story.contains(told), "{told} is not in\n{story}");
    }
}
