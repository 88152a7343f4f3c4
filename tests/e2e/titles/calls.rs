//! The model calls of a title: what leaves, what is made again, and what stands in where no title comes.

use super::{Begun, begun, ended, says};
use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, export, fields, full_export, full_export_when, turn_and_title};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// What stands in for the title of [`begun`]'s prompt.
const FIRST_WORDS: &str = "explain this parser to me, please";

/// The attempts of a generation, in order: number, state, and what was decided.
fn attempts(title: &Value) -> Vec<(Value, Value, Value)> {
    let earlier = title["earlier_attempts"].as_array().into_iter().flatten();
    let told = |trace: &Value| (trace["attempt"].clone(), trace["state"].clone(), trace["retry"]["verdict"].clone());
    earlier.chain([&title["attempt"]]).map(told).collect()
}

fn attempt(number: u64, state: &str, verdict: Option<&str>) -> (Value, Value, Value) {
    (json!(number), json!(state), json!(verdict))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_in_passing_is_made_again_and_the_client_is_not_told() {
    let Begun { home: _home, mut server, mut editor, session, prompt, turn, title } = begun("[retry]\nfirst_delay_ms = 1\n").await;
    title.error(429, &[("retry-after-ms", "20")], r#"{"error":{"message":"slow down"}}"#).await;
    let again = server.next_request().await;
    let first_body = again.body.clone();
    again.hang_up();
    let mut last = server.next_request().await;
    assert_eq!(last.body, first_body, "the same is asked again");
    last.usage(9, 3).await;
    says(last, "The parser").await;
    let update = editor.next_update("session_info_update").await["params"]["update"].clone();
    assert_eq!(fields(&update, &["title", "_meta"]), json!({ "title": "The parser" }), "the first that the client hears of the title");
    turn.answer(" then").await;
    editor.result(&prompt).await;

    let exported = full_export(&mut editor, &session).await;
    let title = &exported["diagnostics"]["title_generations"][0];
    assert_eq!(ended(title), json!({ "source": "model", "success": true, "applied": true }));
    let (again, done) = (Some("again"), None);
    assert_eq!(attempts(title), [attempt(1, "failed", again), attempt(2, "failed", again), attempt(3, "completed", done)]);
    let waits = [&title["earlier_attempts"][0], &title["earlier_attempts"][1]].map(|trace| trace["retry"]["delay_ms"].clone());
    assert_eq!(waits, [json!(20), json!(2)]);
    assert_eq!(title["usage"], json!({ "source": "provider", "input_tokens": 9, "output_tokens": 3 }));
    assert_eq!(exported["diagnostics"]["stream_traces"].as_array().map(Vec::len), Some(1), "a turn's traces are the turn's own");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_last_attempt_the_first_words_stand_in() {
    let unfinished = "a part of the answer had come";
    let lasting = "the failure is not of a kind that passes by itself";
    let exhausted = "retry.max_attempts allows no further attempt";
    let no_time = "the time limit leaves no room for a further attempt";
    // Two attempts; one that would pass on with no attempt left, one that is refused for good, one cut in the middle, and one
    // that would have to wait for longer than titles may take.
    for (config, status, why, tried) in [
        ("[retry]\nmax_attempts = 2\nfirst_delay_ms = 1\n", 503, exhausted, 2),
        ("", 401, lasting, 1),
        ("", 200, unfinished, 1),
        ("[title]\ntimeout_seconds = 20\n[retry]\nfirst_delay_ms = 25000\n", 503, no_time, 1),
    ] {
        let Begun { home: _home, mut server, mut editor, session, prompt, turn, title } = begun(config).await;
        let mut next = Some(title);
        for _ in 0..tried {
            let mut exchange = match next.take() {
                Some(first) => first,
                None => server.next_request().await,
            };
            if status == 200 {
                exchange.text("Half a ti").await;
                exchange.hang_up();
            } else {
                exchange.error(status, &[], r#"{"error":{"message":"no titles today"}}"#).await;
            }
        }
        assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], FIRST_WORDS);
        turn.answer(" then").await;
        editor.result(&prompt).await;
        let exported = full_export(&mut editor, &session).await;
        let title = &exported["diagnostics"]["title_generations"][0];
        assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": "provider_failure" }));
        assert_eq!(title["error_message"], title["attempt"]["failure"]["message"]);
        let last = &title["attempt"];
        assert_eq!((&last["attempt"], &last["retry"]), (&json!(tried), &json!({ "verdict": "given_up", "reasons": [why] })));
        assert_eq!(title["earlier_attempts"].as_array().map_or(1, |earlier| earlier.len() + 1), tried);
        let info = fields(&exported["session"]["info"], &["title", "title_source"]);
        assert_eq!(info, json!({ "title": FIRST_WORDS, "title_source": "heuristic" }));
        editor.ignore_updates();
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_silent_is_given_the_time_of_titles_and_no_second_call() {
    let Begun { home: _home, server: _server, mut editor, session, prompt, turn, mut title } =
        begun("[title]\ntimeout_seconds = 1\n").await;
    title.closed_by_client().await;
    assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], FIRST_WORDS);
    turn.answer(" then").await;
    editor.result(&prompt).await;
    let exported = full_export(&mut editor, &session).await;
    let title = &exported["diagnostics"]["title_generations"][0];
    assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": "timeout" }));
    assert_eq!(title["error_message"], "the title model had not answered after 1 s");
    let reasons = json!(["the time limit leaves no room for a further attempt"]);
    assert_eq!(title["attempt"]["retry"], json!({ "verdict": "given_up", "reasons": reasons }));
    let failure = fields(&title["attempt"]["failure"], &["boundary", "kind"]);
    assert_eq!(failure, json!({ "boundary": "watchdog", "kind": "title_timeout" }));
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_the_wait_and_no_further_request_leaves() {
    for at_the_end in [false, true] {
        let config = "[title]\non_cancel = \"cancel\"\n[retry]\nfirst_delay_ms = 15000\n";
        let Begun { home, mut server, mut editor, session, prompt, mut turn, title } = begun(config).await;
        title.error(503, &[], "").await;
        // The attempt that failed is on record before the wait.
        let waiting = |export: &Value| export["diagnostics"]["title_generations"][0]["attempt"]["retry"]["verdict"] == "again";
        full_export_when(&mut editor, &session, waiting).await;
        let connections = server.connections();
        let abort = if at_the_end {
            editor.hang_up();
            let abort = editor.result(&prompt).await["diagnostics"]["abort"].clone();
            assert_eq!(editor.exited().await.code(), Some(0));
            editor = Editor::lsp(&home, &[]).await;
            abort
        } else {
            let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
            let abort = editor.result(&prompt).await["diagnostics"]["abort"].clone();
            editor.result(&stop).await;
            assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], FIRST_WORDS);
            abort
        };
        turn.closed_by_client().await;
        let exported = full_export(&mut editor, &session).await;
        let title = &exported["diagnostics"]["title_generations"][0];
        assert_eq!(ended(title), json!({ "source": "model", "success": false, "applied": false, "error_name": "cancelled" }));
        assert_eq!(attempts(title), [attempt(1, "failed", Some("again"))]);
        assert_eq!((&title["abort_id"], &abort["title_generation_state"]), (&abort["abort_id"], &json!("in_flight")));
        assert_eq!(exported["diagnostics"]["aborts"][0]["title_generation_state"], "cancelled");
        assert_eq!(server.connections(), connections, "the next attempt never left");
        if !at_the_end {
            let next = editor.prompt(&session, "and now?").await;
            let turn = server.next_request().await;
            assert!(turn.body.get("tools").is_some(), "what leaves next is the next turn's");
            turn.answer("Yes").await;
            editor.result(&next).await;
        }
        editor.ignore_updates();
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_asks_the_small_model_for_words_alone_and_no_record_tells_where_or_with_which_key() {
    const KEY: &str = "k-title-0123456789";
    // Both models would think in a turn, where the vendor has to be asked for it.
    for (vendor, turns, path, header, wanted) in [
        ("openai", "o3", "/v1/chat/completions", "authorization", &["messages", "model", "stream", "stream_options"][..]),
        ("openai-responses", "o3", "/v1/responses", "authorization", &["input", "instructions", "model", "store", "stream"]),
        ("anthropic", "claude-opus-5", "/v1/messages", "x-api-key", &["max_tokens", "messages", "model", "stream", "system"]),
    ] {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let mut command = configured(&home, ONE_ATTEMPT);
        command.env("PILLION_API_KEY", KEY);
        let (url, model, small) = (server.base_url(), format!("{vendor}:{turns}"), format!("{vendor}:claude-haiku-5"));
        let args = ["--model", &model, "--base-url", &url, "--title-model", &small];
        let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
        editor.initialize().await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "name me").await;
        let (turn, title) = turn_and_title(&mut server).await;
        assert_eq!((&turn.body["model"], &title.body["model"]), (&json!(turns), &json!("claude-haiku-5")));
        assert_eq!((turn.path.as_str(), title.path.as_str()), (path, path));
        assert_eq!(turn.body.get("thinking").is_some(), vendor == "anthropic");
        let names: Vec<_> = title.body.as_object().expect("a body").keys().map(String::as_str).collect();
        assert_eq!(names, wanted);
        assert!(title.header(header).is_some_and(|value| value.ends_with(KEY)), "{:?}", title.headers);
        assert_eq!(title.header(header), turn.header(header));
        title.error(400, &[], "").await;
        assert_eq!(editor.next_update("session_info_update").await["params"]["update"]["title"], "name me");
        let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
        let answer = editor.result(&prompt).await;
        editor.result(&stop).await;
        drop(turn);
        let full = full_export(&mut editor, &session).await;
        let title = &full["diagnostics"]["title_generations"][0];
        assert_eq!(
            fields(&title["attempt"], &["provider", "model", "http_status"]),
            json!({ "provider": vendor, "model": "claude-haiku-5", "http_status": 400 })
        );
        let sanitized = export(&mut editor, &session).await;
        editor.finish().await;
        let log = std::fs::read_to_string(home.log_file()).expect("a log");
        let shown = [("inline", answer.to_string()), ("full", full.to_string()), ("sanitized", sanitized.to_string()), ("log", log)];
        for (place, text) in shown {
            assert!(!text.contains(KEY) && !text.contains(&url), "{place} of {vendor}");
            // Only the words of a failure name the server that it came from, as a turn's do.
            assert!(!text.contains("127.0.0.1") || matches!(place, "inline" | "full"), "{place} of {vendor}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_titles_are_off_no_request_leaves() {
    let off = "[title]\nmodel = \"none\"\n";
    for (config, variable, flags) in [("", false, &UNTITLED[..]), (off, false, &[]), ("", true, &[])] {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let mut command = configured(&home, config);
        if variable {
            command.env("PILLION_TITLE_MODEL", "none");
        }
        let url = server.base_url();
        let args: Vec<_> = ["--model", "openai:test-model", "--base-url", &url].iter().chain(flags).copied().collect();
        let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
        editor.initialize().await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "hello").await;
        let mut turn = server.next_request().await;
        assert!(turn.body.get("tools").is_some(), "only the turn asks");
        turn.text("Hi").await;
        editor.next_update("agent_message_chunk").await;
        let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
        let answer = editor.result(&prompt).await;
        editor.result(&stop).await;
        assert_eq!(answer["diagnostics"]["abort"]["title_generation_state"], "disabled");
        assert_eq!((answer["diagnostics"].get("title_generation"), answer["diagnostics"]["abort"].get("title_run_id")), (None, None));
        let exported = full_export(&mut editor, &session).await;
        assert_eq!(exported["diagnostics"]["title_generations"], json!([]));
        assert_eq!(exported["session"]["info"].get("title"), None);
        assert_eq!(server.connections(), 1);
        editor.finish().await;
    }
}
