//! The limits of a turn's own: what is over a budget never leaves and never starts, a model that repeats itself is stopped, and
//! the answer is a result that says which limit it was.

use crate::support::journey::{UNTITLED, configured, explained_export, export, fields, full_export};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// A session with this model, under this `config.toml`.
async fn opened(home: &Home, model: &[&str], config: &str) -> (Editor, String) {
    let args: Vec<&str> = model.iter().copied().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(configured(home, config), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    (editor, session)
}

/// An answer of the server's that asks for these calls.
async fn ask_for(mut exchange: Exchange, calls: &[(&str, Value)]) -> Exchange {
    for (index, (name, input)) in (0_u64..).zip(calls) {
        exchange.tool_call(index, &format!("call_{index}"), name, input).await;
    }
    exchange.finish("tool_calls").await;
    exchange
}

fn list(path: &str) -> (&'static str, Value) {
    ("list_directory", json!({ "path": path }))
}

/// A step of a script that asks for these calls.
fn step(calls: &[(&str, Value)]) -> Value {
    calls.iter().map(|(name, input)| json!({ "tool_call": { "name": name, "input": input } })).collect()
}

/// What the last message of a request says, and whose it is.
fn last_words(exchange: &Exchange) -> (Value, Value) {
    let last = exchange.body["messages"].as_array().and_then(|messages| messages.last()).expect("a message");
    (last["role"].clone(), last["content"].clone())
}

/// How each call of a message ended, after a check that each has exactly one result.
fn results(export: &Value, message: usize) -> Vec<Value> {
    let parts = export["session"]["messages"][message]["parts"].as_array().expect("parts");
    let of = |kind: &str| parts.iter().filter(|part| part["kind"] == kind).collect::<Vec<_>>();
    let (calls, results) = (of("tool_call"), of("tool_result"));
    assert_eq!(calls.len(), results.len(), "{parts:#?}");
    let result = |call: &&Value| {
        let mut own = results.iter().filter(|result| result["call_id"] == call["call_id"]);
        let status = own.next().expect("a result")["status"].clone();
        assert!(own.next().is_none(), "one result for each call: {parts:#?}");
        status
    };
    calls.iter().map(result).collect()
}

/// An abort without its hops: the export knows one more, that the prompt was answered.
fn settled(abort: &Value) -> Value {
    let mut abort = abort.clone();
    abort.as_object_mut().expect("an abort").remove("propagation");
    abort
}

/// What an answer says of the limit that ended its turn.
fn limit(answer: &Value) -> Value {
    assert_eq!(answer["stopReason"], "max_turn_requests", "{answer:#}");
    let abort = &answer["diagnostics"]["abort"];
    assert_eq!(
        fields(abort, &["initiator", "mode", "requested_at", "forced", "via_ctx_abort", "tools_in_flight"]),
        json!({ "forced": false, "via_ctx_abort": false, "tools_in_flight": [] })
    );
    for absent in ["request", "source", "reason", "error_name", "error_message"] {
        assert_eq!(abort.get(absent), None, "nobody asked and nothing went wrong");
    }
    assert_eq!(answer["diagnostics"].get("cancel_requests"), None);
    assert!(!abort["ruled_out"].to_string().contains("turn_limit"), "{abort}");
    fields(abort, &["cause", "limit", "unit", "setting", "tool", "calls", "input", "phase", "propagation_point"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_model_calls_leave_than_a_turn_may_make() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let (mut editor, session) = opened(&home, &["--model", "openai:m", "--base-url", &url], "[budget]\nmodel_calls = 2\n").await;
    let prompt = editor.prompt(&session, "go").await;
    for path in [".", "sub"] {
        let exchange = server.next_request().await;
        ask_for(exchange, &[list(path)]).await.done().await;
    }
    let answer = editor.result(&prompt).await;
    assert_eq!(
        limit(&answer),
        json!({
            "cause": "budget", "limit": 2, "unit": "model_calls", "setting": "budget.model_calls", "phase": "before_request",
            "propagation_point": "budget.spent",
        })
    );
    assert_eq!(answer["sentence"], "The turn was stopped because it had used up its budget of 2 model calls (budget.model_calls).");
    assert_eq!(answer["diagnostics"]["stream_traces"].as_array().map(Vec::len), Some(2));
    editor.ignore_updates();

    // The next request of all is the next prompt's, which has a budget of its own.
    let prompt = editor.prompt(&session, "and now?").await;
    let exchange = server.next_request().await;
    assert_eq!(last_words(&exchange), (json!("user"), json!("and now?")));
    exchange.answer("this is the third request").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    assert_eq!(export["session"]["turns"][0]["stop"], "max_turn_requests");
    assert_eq!(settled(&export["diagnostics"]["aborts"][0]), settled(&answer["diagnostics"]["abort"]), "inline and export agree");
    assert_eq!(results(&export, 1), ["completed", "failed"], "what the last answer asked for has run: there is no `sub`");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_tool_calls_start_than_a_turn_may_ask_for() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let (mut editor, session) = opened(&home, &["--model", "openai:m", "--base-url", &url], "[budget]\ntool_calls = 2\n").await;
    let prompt = editor.prompt(&session, "go").await;
    let write = ("write_file", json!({ "path": "never.txt", "content": "no" }));
    let exchange = server.next_request().await;
    ask_for(exchange, &[list("."), list("sub"), write, list("..")]).await.done().await;
    let answer = editor.result(&prompt).await;
    let told = limit(&answer);
    assert_eq!(
        fields(&told, &["cause", "limit", "unit", "setting", "propagation_point"]),
        json!({
            "cause": "budget", "limit": 2, "unit": "tool_calls", "setting": "budget.tool_calls", "propagation_point": "budget.spent",
        })
    );
    assert_eq!(answer["sentence"], "The turn was stopped because it had used up its budget of 2 tool calls (budget.tool_calls).");
    let refused = |run: &Value| fields(run, &["call_id", "tool", "effect", "permission", "outcome", "started_at", "asked_at"]);
    let kept = [("call_2", "write_file", "write"), ("call_3", "list_directory", "read")].map(
        |(id, tool, effect)| json!({ "call_id": id, "tool": tool, "effect": effect, "permission": "limit", "outcome": "not_started" }),
    );
    let runs = answer["diagnostics"]["tool_runs"].as_array().expect("records");
    assert_eq!(runs.iter().map(refused).collect::<Vec<_>>(), kept);
    assert!(runs.iter().all(|run| run["abort_id"] == answer["diagnostics"]["abort"]["abort_id"]), "{runs:#?}");
    assert_eq!(told["phase"], "before_tool");
    // Nobody was asked about the third call: a question would be left unclaimed.
    assert!(!home.workspace().join("never.txt").exists());
    editor.ignore_updates();
    let exported = full_export(&mut editor, &session).await;
    assert_eq!(results(&exported, 1), ["completed", "failed", "not_started", "not_started"]);
    let story = explained_export(&home, &exported);
    let call =
        r#"call       write_file (write, call_2) "never.txt": was not started; a limit of the turn's was over before it could start"#;
    assert!(story.contains(call), "{story}");
    assert!(story.contains("retry      the same will be met again: budget.tool_calls"), "{story}");

    let prompt = editor.prompt(&session, "and now?").await;
    let exchange = server.next_request().await;
    assert_eq!(last_words(&exchange), (json!("user"), json!("and now?")));
    exchange.answer("the history is whole").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_model_call_leaves_when_the_tokens_are_used_up() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let (mut editor, session) = opened(&home, &["--model", "openai:m", "--base-url", &url], "[budget]\noutput_tokens = 10\n").await;
    let prompt = editor.prompt(&session, "go").await;
    // What nobody counted is not counted, and the input never is.
    for (path, tokens) in [(".", None), ("a", Some(9)), ("b", Some(1))] {
        let mut exchange = ask_for(server.next_request().await, &[list(path)]).await;
        if let Some(tokens) = tokens {
            exchange.usage(1_000, tokens).await;
        }
        exchange.done().await;
    }
    let answer = editor.result(&prompt).await;
    assert_eq!(
        limit(&answer),
        json!({
            "cause": "budget", "limit": 10, "unit": "output_tokens", "setting": "budget.output_tokens", "phase": "before_request",
            "propagation_point": "budget.spent",
        })
    );
    assert_eq!(answer["sentence"], "The turn was stopped because it had used up its budget of 10 output tokens (budget.output_tokens).");
    assert_eq!(answer["usage"]["outputTokens"], 10);
    editor.ignore_updates();
    let prompt = editor.prompt(&session, "and now?").await;
    let exchange = server.next_request().await;
    assert_eq!(last_words(&exchange), (json!("user"), json!("and now?")));
    exchange.answer("this is the fourth request").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_asks_for_the_same_again_and_again_is_stopped_and_its_input_is_shown_to_those_alone_who_may_see_it() {
    const KEY: &str = "known-key-12345678";
    let home = Home::new();
    home.file("diary.txt", "dear diary\n");
    let input = |key: &str| json!({ "path": "diary.txt", "because": format!("a secret place {key}") });
    let again = step(&[("read_file", input(KEY))]);
    let model = home.script(&json!({ "steps": [again, again, again, [{ "text": "good" }]] }));
    let mut command = configured(&home, "[loop_guard]\nidentical_calls = 2\n");
    command.env("PILLION_API_KEY", KEY);
    let args: Vec<&str> = ["--model", &model].into_iter().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let answer = editor.result(&prompt).await;
    let told = limit(&answer);
    assert_eq!(
        fields(&told, &["cause", "limit", "setting", "tool", "calls", "input", "propagation_point"]),
        json!({
            "cause": "loop_guard", "limit": 2, "setting": "loop_guard.identical_calls", "tool": "read_file", "calls": 3,
            "input": input("[redacted:known_key]"), "propagation_point": "loop_guard.fired",
        })
    );
    let sentence = "The turn was stopped because the model asked for read_file with the same input 3 times in a row \
                    (loop_guard.identical_calls = 2).";
    assert_eq!(answer["sentence"], sentence);
    editor.ignore_updates();

    let full = full_export(&mut editor, &session).await;
    assert_eq!(settled(&full["diagnostics"]["aborts"][0]), settled(&answer["diagnostics"]["abort"]), "inline and export agree");
    assert_eq!(results(&full, 1)[2], "not_started");
    let sanitized = export(&mut editor, &session).await;
    let hidden = &sanitized["diagnostics"]["aborts"][0];
    assert_eq!((&hidden["tool"], &hidden["calls"]), (&json!("read_file"), &json!(3)));
    assert!(hidden["input"].as_str().is_some_and(|input| input.starts_with("[redacted:json:")), "{hidden}");
    assert!(!sanitized.to_string().contains("diary") && !sanitized.to_string().contains("secret place"));
    for (document, shows_input) in [(full, true), (sanitized, false)] {
        assert!(!document.to_string().contains(KEY));
        let story = explained_export(&home, &document);
        assert!(story.contains(&format!("what       {sentence} [loop_guard]\n")), "{story}");
        assert!(story.contains("who        nobody asked for it\n"), "{story}");
        assert!(story.contains("phase      before_tool: a tool call was wanted and had not started\n"), "{story}");
        assert_eq!(story.contains("(read, call_3_1) \"diary.txt\": was not started; a limit of the turn's"), shows_input, "{story}");
        assert_eq!(story.contains("a secret place"), shows_input, "{story}");
    }

    // The count begins anew with the turn.
    let prompt = editor.prompt(&session, "and now?").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

/// How a turn by this script ended, under this configuration.
async fn ended(steps: &Value, config: &str) -> Value {
    let home = Home::new();
    let model = home.script(&json!({ "steps": steps }));
    let (mut editor, session) = opened(&home, &["--model", &model], config).await;
    let prompt = editor.prompt(&session, "go").await;
    let answer = editor.result(&prompt).await;
    editor.ignore_updates();
    editor.finish().await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_call_in_between_begins_the_count_anew() {
    let (a, b) = (|| list("."), list("sub"));
    let text = json!([{ "text": "done" }]);
    let steps = [step(&[a(), a(), b]), step(&[a()]), step(&[a()]), text.clone()];
    let answer = ended(&json!(steps), "[loop_guard]\nidentical_calls = 2\n").await;
    assert_eq!((&answer["stopReason"], answer["diagnostics"].get("abort")), (&json!("end_turn"), None));
    // What the model says in between does not.
    let said = json!([{ "text": "once more" }, { "tool_call": { "name": a().0, "input": a().1 } }]);
    let answer = ended(&json!([said, said, said, text]), "[loop_guard]\nidentical_calls = 2\n").await;
    assert_eq!(limit(&answer)["calls"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_defaults_are_generous_and_zero_is_no_limit() {
    let a = || list(".");
    let identical = json!([step(&vec![a(); 12]), [{ "text": "done" }]]);
    let told = limit(&ended(&identical, "").await);
    assert_eq!((&told["cause"], &told["limit"], &told["calls"]), (&json!("loop_guard"), &json!(10), &json!(12)));
    assert_eq!(ended(&identical, "[loop_guard]\nidentical_calls = 0\n").await["stopReason"], "end_turn");

    let mut steps: Vec<_> = (0..101).map(|n| step(&[list(if n % 2 == 0 { "." } else { "sub" })])).collect();
    steps.push(json!([{ "text": "done" }]));
    let answer = ended(&json!(steps), "").await;
    assert_eq!(fields(&limit(&answer), &["cause", "limit", "unit"]), json!({ "cause": "budget", "limit": 100, "unit": "model_calls" }));
    assert_eq!(answer["diagnostics"]["stream_traces"].as_array().map(Vec::len), Some(100));
    let off = "[budget]\nmodel_calls = 0\ntool_calls = 0\noutput_tokens = 0\n";
    assert_eq!(ended(&json!(steps), off).await["stopReason"], "end_turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_made_again_after_a_failure_is_one_call() {
    let busy = json!([{ "http_error": { "status": 503, "message": "down" } }]);
    let steps = json!([busy, step(&[list(".")]), busy, [{ "text": "done" }]]);
    let answer = ended(&steps, "[budget]\nmodel_calls = 2\n[retry]\nfirst_delay_ms = 0\n").await;
    assert_eq!(answer["stopReason"], "end_turn");
    assert_eq!(answer["diagnostics"]["stream_traces"].as_array().map(Vec::len), Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_came_first_stays_the_cause() {
    let home = Home::new();
    let write = ("write_file", json!({ "path": "a.txt", "content": "x" }));
    let model = home.script(&json!({ "steps": [step(&[write, list(".")]), [{ "text": "fine" }]] }));
    let (mut editor, session) = opened(&home, &["--model", &model], "[budget]\ntool_calls = 1\n").await;
    let prompt = editor.prompt(&session, "go").await;
    let question = editor.next("session/request_permission").await;
    let cancel = editor.request("session/cancel", json!({ "sessionId": session, "source": "test.stop", "initiator": "user" })).await;
    let answer = editor.result(&prompt).await;
    assert_eq!(editor.result(&cancel).await["outcome"], "cancelled");
    assert_eq!(editor.next("$/cancelRequest").await["params"]["id"], question["id"]);
    assert_eq!((&answer["stopReason"], &answer["diagnostics"]["abort"]["cause"]), (&json!("cancelled"), &json!("client_cancel")));
    editor.ignore_updates();
    assert_eq!(results(&full_export(&mut editor, &session).await, 1), ["not_started", "not_started"]);
    let prompt = editor.prompt(&session, "again").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acp_client_gets_the_stop_reason_that_it_knows_and_a_session_that_is_loaded_tells_the_stop() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [step(&[list(".")])] }));
    let args: Vec<&str> = ["--model", &model].into_iter().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(configured(&home, "[budget]\nmodel_calls = 1\n"), Framing::Lines, Dialect::Acp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let answer = editor.result(&prompt).await;
    let sentence = "The turn was stopped because it had used up its budget of 1 model call (budget.model_calls).";
    assert_eq!((&answer["stopReason"], &answer["_meta"]["pillion"]["sentence"]), (&json!("max_turn_requests"), &json!(sentence)));
    editor.ignore_updates();
    let loaded = editor.call("session/resume", json!({ "sessionId": session, "cwd": home.workspace() })).await;
    assert_eq!(
        fields(&loaded["_meta"]["pillion"]["stops"][0], &["stop", "cause", "initiator", "sentence"]),
        json!({ "stop": "max_turn_requests", "cause": "budget", "sentence": sentence })
    );
    editor.finish().await;
}
