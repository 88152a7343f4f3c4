//! A title whose process ends: it goes with its turn, or by itself, and nobody waits for it.

use super::{Begun, begun, ended};
use crate::support::Editor;
use crate::support::journey::{export, fields, full_export_when, pointed_at};
use crate::support::process::left;
use serde_json::{Value, json};
use std::time::Instant;

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    Shutdown,
    Eof,
    ExitWithoutShutdown,
}

impl Leaving {
    const ALL: [Self; 3] = [Self::Shutdown, Self::Eof, Self::ExitWithoutShutdown];

    fn cause(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown_request",
            Self::Eof => "client_eof",
            Self::ExitWithoutShutdown => "exit_without_shutdown",
        }
    }

    /// Leaves, with everything that is still unanswered as pillion's to answer, and sees pillion leave in time.
    async fn leave(self, editor: &mut Editor) {
        let since = Instant::now();
        let code = match self {
            Self::Shutdown => {
                editor.call("shutdown", Value::Null).await;
                editor.notify("exit", Value::Null).await;
                0
            }
            Self::Eof => {
                editor.hang_up();
                0
            }
            Self::ExitWithoutShutdown => {
                editor.notify("exit", Value::Null).await;
                1
            }
        };
        assert_eq!(left(editor, since).await, Some(code), "{self:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turn_and_title_end_by_one_abort() {
    for leaving in Leaving::ALL {
        let Begun { home, server, mut editor, session, prompt, mut turn, mut title } = begun("").await;
        leaving.leave(&mut editor).await;
        let inline = editor.result(&prompt).await["diagnostics"]["abort"].clone();
        turn.closed_by_client().await;
        title.closed_by_client().await;

        let mut editor = pointed_at(&server, &home, &[]).await;
        let export = export(&mut editor, &session).await;
        let abort = &export["diagnostics"]["aborts"][0];
        assert_eq!((&abort["cause"], &abort["abort_id"]), (&json!(leaving.cause()), &inline["abort_id"]));
        assert_eq!((&abort["title_generation_state"], &abort["via_ctx_abort"]), (&json!("cancelled"), &json!(true)));
        let title = &export["diagnostics"]["title_generations"][0];
        assert_eq!((&title["abort_id"], &title["attempt"]["abort_id"]), (&inline["abort_id"], &inline["abort_id"]));
        assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": "cancelled" }));
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_outlives_its_turn_holds_up_neither_the_answer_nor_the_end() {
    for leaving in Leaving::ALL {
        let Begun { home, server, mut editor, session, prompt, mut turn, mut title } = begun("").await;
        turn.finish("stop").await;
        turn.done().await;
        let answer = editor.result(&prompt).await;
        assert_eq!(answer["stopReason"], "end_turn");
        assert_eq!(fields(&answer["diagnostics"]["title_generation"], &["completed_at", "success"]), json!({}), "it is still running");
        leaving.leave(&mut editor).await;
        title.closed_by_client().await;

        let mut editor = pointed_at(&server, &home, &[]).await;
        let export = export(&mut editor, &session).await;
        assert_eq!(export["diagnostics"]["aborts"], json!([]), "no turn was stopped");
        let title = &export["diagnostics"]["title_generations"][0];
        assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": "cancelled" }));
        // What its abort id means is told by the demand that ended it, and by nothing else.
        assert_eq!(export["diagnostics"]["cancel_requests"].as_array().map(Vec::len), Some(1), "{leaving:?}");
        let demand = &export["diagnostics"]["cancel_requests"][0];
        assert_eq!((&demand["abort_id"], &demand["turn_id"]), (&title["abort_id"], &title["turn_id"]));
        assert_eq!((&demand["cause"], &demand["outcome"]), (&json!(leaving.cause()), &json!("cancelled")));
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_died_with_its_process_is_closed_with_its_turn() {
    let Begun { home, server, mut editor, session, mut turn, mut title, .. } = begun("").await;
    full_export_when(&mut editor, &session, |export| export["diagnostics"]["title_generations"][0].is_object()).await;
    editor.kill();
    editor.exited().await;
    turn.closed_by_client().await;
    title.closed_by_client().await;
    let mut editor = pointed_at(&server, &home, &[]).await;
    let export = export(&mut editor, &session).await;
    let (abort, title) = (&export["diagnostics"]["aborts"][0], &export["diagnostics"]["title_generations"][0]);
    assert_eq!((&abort["cause"], &abort["title_generation_state"]), (&json!("crash_recovered"), &json!("cancelled")));
    assert_eq!((&abort["title_run_id"], &title["abort_id"]), (&title["title_run_id"], &abort["abort_id"]));
    assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": "process_died" }));
    assert_eq!(export["session"]["info"].get("title"), None);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_behind_the_turn_leaves_a_title_alone_or_ends_it_as_the_setting_says() {
    for (config, outcome) in [("", "already_settled"), ("[title]\non_cancel = \"cancel\"\n", "cancelled")] {
        let Begun { home: _home, server: _server, mut editor, session, prompt, mut turn, mut title } = begun(config).await;
        turn.finish("stop").await;
        turn.done().await;
        let turn_id = editor.result(&prompt).await["turnId"].clone();
        let cancel = editor.call("session/cancel", json!({ "sessionId": session, "initiator": "user" })).await;
        assert_eq!((&cancel["outcome"], &cancel["turnId"]), (&json!(outcome), &turn_id));
        if outcome == "cancelled" {
            title.closed_by_client().await;
        } else {
            title.text("All of it").await;
            title.finish("stop").await;
            title.done().await;
            assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], "All of it");
        }
        editor.ignore_updates();
        let diagnostics = export(&mut editor, &session).await["diagnostics"].take();
        let (title, demand) = (&diagnostics["title_generations"][0], &diagnostics["cancel_requests"][0]);
        assert_eq!((&demand["outcome"], &demand["initiator"]), (&json!(outcome), &json!("user")));
        assert_eq!((title.get("abort_id"), title["success"] == true), (demand.get("abort_id"), outcome != "cancelled"));
        if outcome == "cancelled" {
            let upstream = &title["attempt"]["upstream"]["closed_by"];
            assert_eq!((upstream, &title["error_message"]), (&json!("us"), &json!("the generation was stopped: client_cancel")));
        }
        editor.finish().await;
    }
}
