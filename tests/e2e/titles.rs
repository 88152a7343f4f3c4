//! Titles: made in the background, never in anybody's way, and their state stands in every abort.

mod calls;
mod ends;
mod waits;

use crate::support::journey::{ONE_ATTEMPT, configured, fields, full_export, pointed_at, turn_and_title};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// A session whose first turn streams and whose title has been asked for.
struct Begun {
    home: Home,
    server: ModelServer,
    editor: Editor,
    session: String,
    prompt: Value,
    turn: Exchange,
    title: Exchange,
}

async fn begun(config: &str) -> Begun {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let args = ["--model", "openai:test-model", "--base-url", &url];
    let mut editor = Editor::spawn(configured(&home, config), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "  explain\nthis   parser to me, please").await;
    let (mut turn, title) = turn_and_title(&mut server).await;
    assert_eq!((title.body.get("tools"), title.body.get("reasoning_effort")), (None, None), "{}", title.body);
    turn.text("Well").await;
    editor.next_update("agent_message_chunk").await;
    Begun { home, server, editor, session, prompt, turn, title }
}

impl Begun {
    /// Cancels the turn and gives its abort as it was answered.
    async fn cancel(&mut self) -> Value {
        let stop = self.editor.request("session/cancel", json!({ "sessionId": self.session })).await;
        let answer = self.editor.result(&self.prompt).await;
        assert_eq!(self.editor.result(&stop).await["outcome"], "cancelled");
        self.turn.closed_by_client().await;
        answer["diagnostics"]["abort"].clone()
    }

    /// What the export says of the abort's title and of the generation.
    async fn exported(&mut self) -> (Value, Value) {
        let export = full_export(&mut self.editor, &self.session).await;
        let diagnostics = &export["diagnostics"];
        assert_eq!(diagnostics["title_generations"].as_array().map(Vec::len), Some(1));
        (diagnostics["aborts"][0].clone(), diagnostics["title_generations"][0].clone())
    }

    async fn title_update(&mut self) -> Value {
        self.editor.next_update("session_info_update").await["params"]["update"]["title"].clone()
    }
}

async fn says(mut exchange: Exchange, title: &str) {
    exchange.text(title).await;
    exchange.finish("stop").await;
    exchange.done().await;
}

/// How a generation ended, without what differs from run to run.
fn ended(title: &Value) -> Value {
    fields(title, &["source", "success", "applied", "error_name"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_comes_after_the_cancel_is_told_apart_in_the_export() {
    let mut it = begun("").await;
    let inline = it.cancel().await;
    assert_eq!(inline["title_generation_state"], "in_flight");
    let Begun { title, .. } = &mut it;
    title.text("<think>They want\na title.</think>\n\n  \"Explain the").await;
    title.text(" parser\"\nmore").await;
    title.finish("stop").await;
    title.usage(9, 3).await;
    title.raw(b"data: [DONE]\n\n").await;
    assert_eq!(it.title_update().await, "Explain the parser");
    let (abort, title) = it.exported().await;
    assert_eq!((&abort["title_generation_state"], &abort["title_run_id"]), (&json!("completed_after_abort"), &title["title_run_id"]));
    assert_eq!(inline["title_run_id"], title["title_run_id"]);
    assert_eq!(ended(&title), json!({ "source": "model", "success": true, "applied": true }));
    assert_eq!(title["usage"], json!({ "source": "provider", "input_tokens": 9, "output_tokens": 3 }));
    assert_eq!((&title["turn_id"], &title["attempt"]["state"]), (&abort["turn_id"], &json!("completed")));
    // But for the later state and the answered hop the committed record is what was answered.
    let mut expected = inline;
    expected["title_generation_state"] = json!("completed_after_abort");
    expected["propagation"].as_array_mut().expect("hops").push(abort["propagation"].as_array().expect("hops")[4].clone());
    assert_eq!(abort, expected);
    it.editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_came_or_failed_before_the_cancel_stays_so() {
    let Begun { home: _home, server: _server, mut editor, session, prompt, turn, title } = begun("").await;
    says(title, "A parser").await;
    assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], "A parser");
    let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&prompt).await;
    editor.result(&stop).await;
    drop(turn);
    let diagnostics = &answer["diagnostics"];
    assert_eq!(diagnostics["abort"]["title_generation_state"], "completed_before_abort");
    assert_eq!(ended(&diagnostics["title_generation"]), json!({ "source": "model", "success": true, "applied": true }));
    let exported = full_export(&mut editor, &session).await["diagnostics"].take();
    assert_eq!(exported["aborts"][0]["title_generation_state"], "completed_before_abort");
    assert_eq!(exported["title_generations"], json!([diagnostics["title_generation"]]));
    editor.finish().await;

    // The prompt's first words stand in, and the reason is said.
    for (status, text, name) in [(500, "", "provider_failure"), (200, "<think>I do not know</think>", "empty_title")] {
        let Begun { home: _home, server: _server, mut editor, session, prompt, turn, title } = begun(ONE_ATTEMPT).await;
        match status {
            500 => title.error(500, &[], r#"{"error":{"message":"no titles today"}}"#).await,
            _ => says(title, text).await,
        }
        assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], "explain this parser to me, please");
        let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
        assert_eq!(editor.result(&prompt).await["diagnostics"]["abort"]["title_generation_state"], "failed");
        editor.result(&stop).await;
        drop(turn);
        let exported = full_export(&mut editor, &session).await;
        let title = &exported["diagnostics"]["title_generations"][0];
        assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": name }));
        assert!(title["error_message"].as_str().is_some_and(|message| !message.is_empty()), "{title}");
        let info = &exported["session"]["info"];
        assert_eq!((&info["title"], &info["title_source"]), (&json!("explain this parser to me, please"), &json!("heuristic")));
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_fails_after_the_cancel_is_told_as_failed() {
    let mut it = begun(ONE_ATTEMPT).await;
    let inline = it.cancel().await;
    let Begun { home: _home, server: _server, mut editor, session, prompt: _, turn: _turn, title } = it;
    title.error(500, &[], r#"{"error":{"message":"no titles today"}}"#).await;
    let update = editor.next_update("session_info_update").await;
    assert_eq!(update["params"]["update"]["title"], "explain this parser to me, please");
    let exported = full_export(&mut editor, &session).await;
    let (abort, title) = (&exported["diagnostics"]["aborts"][0], &exported["diagnostics"]["title_generations"][0]);
    assert_eq!((&inline["title_generation_state"], &abort["title_generation_state"]), (&json!("in_flight"), &json!("failed")));
    assert_eq!((&inline["title_run_id"], &abort["title_run_id"]), (&title["title_run_id"], &title["title_run_id"]));
    assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": "provider_failure" }));
    assert_eq!(title.get("abort_id"), None, "the stop has not ended it");
    assert!(title["error_message"].as_str().is_some_and(|message| message.ends_with("no titles today")), "{title}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_is_cancelled_with_its_turn_if_the_setting_says_so() {
    let mut it = begun("[title]\non_cancel = \"cancel\"\n").await;
    let inline = it.cancel().await;
    it.title.closed_by_client().await;
    assert_eq!(it.title_update().await, "explain this parser to me, please");
    let (abort, title) = it.exported().await;
    assert_eq!((&inline["title_generation_state"], &abort["title_generation_state"]), (&json!("in_flight"), &json!("cancelled")));
    assert_eq!((&title["abort_id"], &title["attempt"]["abort_id"]), (&abort["abort_id"], &abort["abort_id"]));
    assert_eq!(ended(&title), json!({ "source": "model", "success": false, "applied": false, "error_name": "cancelled" }));
    it.editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_of_the_users_leaves_none_to_be_made() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &[]).await;
    let new = editor.call("session/new", json!({ "cwd": home.workspace(), "title": "Mine" })).await;
    let session = new["sessionId"].as_str().expect("an id").to_owned();
    let prompt = editor.prompt(&session, "hello").await;
    let mut turn = server.next_request().await;
    assert!(turn.body.get("tools").is_some(), "only the turn asks");
    turn.text("Hi").await;
    editor.next_update("agent_message_chunk").await;
    let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&prompt).await;
    editor.result(&stop).await;
    assert_eq!(answer["diagnostics"]["abort"]["title_generation_state"], "not_applicable");
    assert_eq!(answer["diagnostics"].get("title_generation"), None);
    let export = full_export(&mut editor, &session).await;
    let info = fields(&export["session"]["info"], &["title", "title_source"]);
    assert_eq!(info, json!({ "title": "Mine", "title_source": "user" }));
    assert_eq!((&export["diagnostics"]["title_generations"], server.connections()), (&json!([]), 1));
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_turn_has_no_title_to_make_and_tells_of_one_that_still_runs() {
    for is_over in [true, false] {
        // Another turn does not take the title's place.
        let Begun { home: _home, mut server, mut editor, session, prompt, turn, title } =
            begun("[title]\nbegins = \"with_answer\"\n").await;
        let mut running = Some(title);
        if is_over && let Some(title) = running.take() {
            says(title, "A parser").await;
            editor.next_update("session_info_update").await;
        }
        turn.answer(" then").await;
        let title_run_id = editor.result(&prompt).await["diagnostics"]["title_generation"]["title_run_id"].clone();
        let prompt = editor.prompt(&session, "and then?").await;
        let mut turn = server.next_request().await;
        assert!(turn.body.get("tools").is_some(), "no second title is asked for");
        turn.text("Then").await;
        while editor.next_update("agent_message_chunk").await["params"]["update"]["content"]["text"] != "Then" {}
        let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
        let diagnostics = editor.result(&prompt).await["diagnostics"].take();
        editor.result(&stop).await;
        assert_eq!(diagnostics.get("title_generation"), None, "it belongs to the first turn");
        let state = fields(&diagnostics["abort"], &["title_generation_state", "title_run_id"]);
        let later = if let Some(title) = running {
            assert_eq!(state, json!({ "title_generation_state": "in_flight", "title_run_id": title_run_id }));
            says(title, "A parser").await;
            editor.next_update("session_info_update").await;
            "completed_after_abort"
        } else {
            assert_eq!(state, json!({ "title_generation_state": "not_applicable" }));
            "not_applicable"
        };
        let exported = full_export(&mut editor, &session).await["diagnostics"].take();
        assert_eq!(exported["aborts"][0]["title_generation_state"], later);
        assert_eq!(exported["title_generations"].as_array().map(Vec::len), Some(1));
        editor.ignore_updates();
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_is_cancelled_before_it_could_start_leaves_the_title_to_the_next_one() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &[]).await;
    // All of it waits for the session to open, so the cancel is there before the turn is.
    let request = |id: &str, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let text = json!([{ "type": "text", "text": "never mind" }]);
    editor
        .send_all(&[
            request("n", "session/new", json!({ "cwd": home.workspace(), "sessionId": "mine" })),
            request("p", "session/prompt", json!({ "sessionId": "mine", "prompt": text })),
            request("q", "session/prompt", json!({ "sessionId": "mine", "prompt": text })),
            request("c", "session/cancel", json!({ "sessionId": "mine" })),
        ])
        .await;
    editor.result(&json!("n")).await;
    for (id, phase) in [("p", "before_request"), ("q", "queued")] {
        let abort = editor.result(&json!(id)).await["diagnostics"]["abort"].clone();
        assert_eq!((&abort["title_generation_state"], &abort["phase"]), (&json!("not_started"), &json!(phase)));
        assert_eq!(abort.get("title_run_id"), None);
    }
    editor.result(&json!("c")).await;
    let prompt = editor.prompt("mine", "this one counts").await;
    let (turn, title) = turn_and_title(&mut server).await;
    says(title, "Counting").await;
    assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], "Counting");
    turn.answer("yes").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_prompt_has_the_title_in_whichever_process_it_was() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (mut first, mut second) = (pointed_at(&server, &home, &[]).await, pointed_at(&server, &home, &[]).await);
    let session = first.new_session(&home).await;
    second.call("session/resume", json!({ "sessionId": session })).await;
    let prompt = first.prompt(&session, "hello").await;
    let (turn, title) = turn_and_title(&mut server).await;
    says(title, "A greeting").await;
    turn.answer("Hi").await;
    first.result(&prompt).await;
    first.next_update("session_info_update").await;
    let prompt = second.prompt(&session, "and again").await;
    let turn = server.next_request().await;
    assert!(turn.body.get("tools").is_some(), "no second title is asked for");
    turn.answer("Hi again").await;
    assert_eq!(second.result(&prompt).await["diagnostics"].get("title_generation"), None);
    let listed = second.call("session/list", json!({})).await;
    assert_eq!(listed["sessions"][0]["title"], "A greeting");
    for mut editor in [first, second] {
        editor.ignore_updates();
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_counts_on_behind_a_title_and_behind_a_history() {
    let home = Home::new();
    let steps = json!([[{ "text": "one" }], [{ "text": "two" }]]);
    let model = home.script(&json!({ "title": [{ "delay_ms": 200 }, { "text": "Counting" }], "steps": steps }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "count").await;
    let last = editor.result(&prompt).await["lastUpdate"].clone();
    let title = editor.next_update("session_info_update").await;
    assert_eq!((&last, &title["params"]["_meta"]["pillion"]["seq"]), (&json!(1), &json!(2)));
    editor.ignore_updates();
    editor.finish().await;

    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let loaded = editor.call("session/load", json!({ "sessionId": session })).await;
    assert_eq!(loaded["title"], "Counting");
    let replayed = [editor.next("session/update").await, editor.next("session/update").await];
    assert_eq!(replayed.map(|update| update["params"]["_meta"]["pillion"]["seq"].clone()), [3, 4].map(Value::from));
    editor.finish().await;

    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let resumed = editor.call("session/resume", json!({ "sessionId": session })).await;
    assert_eq!(resumed["title"], "Counting");
    let prompt = editor.prompt(&session, "again").await;
    assert_eq!(editor.result(&prompt).await["lastUpdate"], 5);
    editor.ignore_updates();
    editor.finish().await;
}
