//! A prompt and what stops it in one write: the cancel finds that prompt, in every form and in both dialects.

use crate::support::{Dialect, Editor, Framing, Home};
use crate::told::Told;
use serde_json::{Value, json};

/// What a cancel can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Request,
    Notification,
    ById,
}

impl Form {
    const ALL: [Self; 3] = [Self::Request, Self::Notification, Self::ById];

    fn cause(self) -> &'static str {
        match self {
            Self::Request | Self::Notification => "client_cancel",
            Self::ById => "rpc_cancel",
        }
    }

    /// The cancel of prompt `p`; a request has the id `c`.
    fn message(self, dialect: Dialect, session: &str) -> Value {
        let session = json!({ "sessionId": session });
        match (self, dialect) {
            (Self::Request, _) => json!({ "jsonrpc": "2.0", "id": "c", "method": "session/cancel", "params": session }),
            (Self::Notification, _) => json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": session }),
            (Self::ById, Dialect::Lsp) => json!({ "jsonrpc": "2.0", "method": "$/cancelRequest", "params": { "id": "p" } }),
            (Self::ById, Dialect::Acp) => json!({ "jsonrpc": "2.0", "method": "$/cancel_request", "params": { "requestId": "p" } }),
        }
    }
}

fn prompt(session: &str) -> Value {
    let params = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "go" }] });
    json!({ "jsonrpc": "2.0", "id": "p", "method": "session/prompt", "params": params })
}

fn ours(dialect: Dialect, result: &Value) -> &Value {
    if dialect == Dialect::Acp { &result["_meta"]["pillion"] } else { result }
}

/// A model that never says anything; each prompt that gets as far takes a step.
fn silent(home: &Home) -> String {
    home.script(&json!({ "steps": [["stall"], ["stall"], ["stall"]] }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompt_and_cancel_in_one_write() {
    for (framing, dialect) in [(Framing::Headers, Dialect::Lsp), (Framing::Lines, Dialect::Acp)] {
        let home = Home::new();
        let mut editor = Editor::ready(&home, framing, dialect, &["--model", &silent(&home)]).await;
        let session = editor.new_session(&home).await;
        for form in Form::ALL {
            editor.send_all(&[prompt(&session), form.message(dialect, &session)]).await;
            let answer = editor.result(&json!("p")).await;
            let abort = &ours(dialect, &answer)["diagnostics"]["abort"];
            assert_eq!((&answer["stopReason"], &abort["cause"]), (&json!("cancelled"), &json!(form.cause())), "{form:?}");
            let id = if form == Form::Request { json!("c") } else { Value::Null };
            assert_eq!((&abort["prompt_request"]["id"], &abort["request"]["id"]), (&json!("p"), &id), "{form:?}");
            if form == Form::Request {
                let cancelled = editor.result(&json!("c")).await;
                let cancelled = ours(dialect, &cancelled);
                assert_eq!((&cancelled["outcome"], &cancelled["turnId"]), (&json!("cancelled"), &abort["turn_id"]));
            }
        }
        editor.finish().await;

        let mut editor = Editor::lsp(&home, &[]).await;
        let told = Told::by(&mut editor, &session).await;
        assert_eq!(told.outcomes(), ["cancelled"; 3]);
        assert_eq!((told.turns().len(), told.aborts().len()), (3, 3));
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompt_cancel_and_eof_in_one_write() {
    for form in Form::ALL {
        let home = Home::new();
        let mut editor = Editor::lsp(&home, &["--model", &silent(&home)]).await;
        let session = editor.new_session(&home).await;
        editor.send_all(&[prompt(&session), form.message(Dialect::Lsp, &session)]).await;
        editor.hang_up();
        let answer = editor.answer(&json!("p")).await;
        assert_eq!(answer["result"]["diagnostics"]["abort"]["cause"], form.cause(), "the cancel came first");
        let cancelled = if form == Form::Request { Some(editor.result(&json!("c")).await) } else { None };
        editor.finish().await;

        let mut editor = Editor::lsp(&home, &[]).await;
        let told = Told::by(&mut editor, &session).await;
        told.agrees_with(&answer);
        if let Some(cancelled) = cancelled {
            told.agrees_with_cancel(&json!("c"), &cancelled);
        }
        // The end of the connection stops nothing more; it is a demand only if the turn had not settled yet.
        assert_eq!((told.aborts().len(), told.outcomes()[0]), (1, "cancelled"));
        let later: Vec<_> = told.cancels()[1..].iter().map(|late| (&late["cause"], &late["outcome"], &late["abort_id"])).collect();
        let abort_id = &told.aborts()[0]["abort_id"];
        assert!(later.iter().all(|late| *late == (&json!("client_eof"), &json!("already_stopping"), abort_id)), "{later:?}");
        let is_ruled_out = told.aborts()[0]["ruled_out"].as_array().expect("families").contains(&json!("client_gone"));
        assert_eq!(is_ruled_out, later.is_empty(), "{form:?}: what is on record is not ruled out");
        editor.finish().await;
    }
}
