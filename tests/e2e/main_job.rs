//! The main job: spawn, open a session, prompt a model server, watch it stream, export what happened.

use crate::support::journey::turn_and_title;
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

/// Settings that point at a model server.
pub fn at(server: &ModelServer) -> Vec<String> {
    vec!["--model".into(), "openai:test-model".into(), "--base-url".into(), server.base_url()]
}

fn refs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_streams_in_order_and_its_answer_stands_behind_the_last_update() {
    for (framing, dialect) in [(Framing::Headers, Dialect::Lsp), (Framing::Lines, Dialect::Acp), (Framing::Lines, Dialect::Lsp)] {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let args = at(&server);
        let mut editor = Editor::ready(&home, framing, dialect, &refs(&args)).await;
        let session = editor.new_session(&home).await;
        let prompt = editor.prompt(&session, "Say hello").await;

        let (mut turn, mut title) = turn_and_title(&mut server).await;
        title.text("A greeting").await;
        title.finish("stop").await;
        title.usage(5, 2).await;
        title.done().await;
        let titled = editor.next_update("session_info_update").await;
        assert_eq!(titled["params"]["update"]["title"], "A greeting");
        assert_eq!(turn.body["messages"].as_array().and_then(|m| m.last()).map(|m| &m["role"]), Some(&json!("user")));
        for word in ["Hel", "lo ", "the", "re"] {
            turn.text(word).await;
        }
        turn.finish("stop").await;
        turn.usage(11, 4).await;
        turn.done().await;

        let all = editor.all_until(&prompt).await;
        let (answer, updates) = all.split_last().expect("an answer");
        let words: String = updates.iter().map(|u| u["params"]["update"]["content"]["text"].as_str().expect("text")).collect();
        assert_eq!(words, "Hello there");
        let seqs: Vec<_> = updates.iter().map(|u| u["params"]["_meta"]["pillion"]["seq"].as_u64().expect("a seq")).collect();
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
        let result = &answer["result"];
        let ours = if dialect == Dialect::Acp { &result["_meta"]["pillion"] } else { result };
        assert_eq!(result["stopReason"], "end_turn");
        assert_eq!(ours["lastUpdate"], *seqs.last().expect("an update"));
        assert_eq!(ours["model"], "openai:test-model");
        assert_eq!(ours["usage"], json!({ "source": "provider", "inputTokens": 11, "outputTokens": 4 }));

        let method = if dialect == Dialect::Acp { "_pillion/session/export" } else { "session/export" };
        let exported = editor.call(method, json!({ "sessionId": session })).await;
        let export = if dialect == Dialect::Acp { &exported["_meta"]["pillion"]["export"] } else { &exported["export"] };
        check_export(export, ours);
        editor.finish().await;
    }
}

fn check_export(export: &Value, answer: &Value) {
    assert_eq!(export["schema"], "pillion-session-export");
    assert_eq!(export["sanitized"], true);
    assert_eq!(export["completeness"], "complete");
    let traces = export["diagnostics"]["stream_traces"].as_array().expect("traces");
    assert_eq!(traces.len(), 1, "{traces:#?}");
    assert_eq!(traces[0], answer["diagnostics"]["stream_traces"][0], "inline and export agree");
    assert_eq!(traces[0]["state"], "completed");
    assert_eq!(traces[0]["counters"]["text"], 4);
    let titles = export["diagnostics"]["title_generations"].as_array().expect("titles");
    assert_eq!(titles.len(), 1, "{titles:#?}");
    assert_eq!((&titles[0]["applied"], &titles[0]["success"]), (&json!(true), &json!(true)));
    assert_eq!(titles[0]["turn_id"], answer["turnId"]);
    assert_eq!(export["session"]["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(export["session"]["turns"][0]["stop"], "end_turn");
    let text = export.to_string();
    assert!(!text.contains("Hello there") && !text.contains("greeting"), "sanitized: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_read_ask_and_write_and_the_model_hears_each_result_once() {
    let home = Home::new();
    home.file("notes.txt", "first line\nsecond line\n");
    let model = home.script(&json!({ "steps": [
        [{ "tool_call": { "id": "c1", "name": "read_file", "input": { "path": "notes.txt" } } }],
        [{ "tool_call": { "id": "c2", "name": "write_file", "input": { "path": "out.txt", "content": "written\n" } } },
         { "tool_call": { "id": "c3", "name": "write_file", "input": { "path": "denied.txt", "content": "no\n" } } }],
        [{ "text": "done" }],
    ] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "copy the notes").await;
    // Two questions at once, answered in the other order.
    let first = editor.next("session/request_permission").await;
    let second = editor.next("session/request_permission").await;
    for question in [&second, &first] {
        let allow = question["params"]["toolCall"]["rawInput"]["path"] == "out.txt";
        let option = if allow { "allow_once" } else { "reject_once" };
        editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": option } })).await;
    }
    let result = editor.result(&prompt).await;
    assert_eq!(result["stopReason"], "end_turn");
    assert_eq!(std::fs::read_to_string(home.workspace().join("out.txt")).expect("written"), "written\n");
    assert!(!home.workspace().join("denied.txt").exists());
    editor.ignore_updates();
    let full = editor.call("session/export", json!({ "sessionId": session, "sanitize": false })).await;
    let parts = full["export"]["session"]["messages"][1]["parts"].as_array().expect("parts").clone();
    let results: Vec<_> =
        parts.iter().filter(|p| p["kind"] == "tool_result").map(|p| (p["call_id"].clone(), p["status"].clone())).collect();
    assert_eq!(results.len(), 3, "{parts:#?}");
    assert!(results.contains(&(json!("c2"), json!("completed"))) && results.contains(&(json!("c3"), json!("denied"))), "{results:?}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_says_one_version_everywhere() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "hi" }]] }));
    let printed = home.command().arg("--version").output().expect("pillion runs");
    let printed = String::from_utf8(printed.stdout).expect("text");
    let mut editor = Editor::start(&home, Framing::Headers, Dialect::Lsp, &["--model", &model]);
    let initialized = editor.initialize().await;
    let session = editor.new_session(&home).await;
    let export = editor.call("session/export", json!({ "sessionId": session })).await;
    let runtime = &export["export"]["runtime"];
    let version = runtime["app_version"].as_str().expect("a version");
    assert_eq!(initialized["serverInfo"]["version"], version);
    assert!(printed.contains(version), "{printed}");
    if let Some(commit) = runtime["commit"].as_str() {
        assert!(printed.contains(commit), "{printed}");
    }
    assert!(printed.contains(runtime["channel"].as_str().expect("a channel")), "{printed}");
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_loaded_with_its_history_resumed_without_listed_closed_and_deleted() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "reasoning": "hm" }, { "text": "one" }]], "title": "Counting" }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "count").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.next_update("session_info_update").await;
    editor.ignore_updates();
    editor.finish().await;

    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let listed = editor.call("session/list", json!({})).await;
    assert_eq!(listed["sessions"][0]["title"], "Counting");
    let refused = editor.prompt(&session, "too early").await;
    let error = editor.error(&refused).await;
    assert!(error["message"].as_str().expect("a message").contains("session/load"), "{error}");
    let load = editor.request("session/load", json!({ "sessionId": session, "cwd": home.workspace(), "mcpServers": [] })).await;
    let all = editor.all_until(&load).await;
    let kinds: Vec<_> = all.iter().map(|m| m["params"]["update"]["sessionUpdate"].as_str().unwrap_or("answer")).collect();
    assert_eq!(kinds, ["user_message_chunk", "agent_thought_chunk", "agent_message_chunk", "answer"]);
    editor.call("session/resume", json!({ "sessionId": session })).await;
    editor.call("session/close", json!({ "sessionId": session })).await;
    let late = editor.call("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(late["outcome"], "already_settled");
    editor.call("session/delete", json!({ "sessionId": session })).await;
    let gone = editor.request("session/export", json!({ "sessionId": session })).await;
    let error = editor.error(&gone).await;
    assert_eq!((&error["code"], &error["data"]["sessionId"]), (&json!(-32602), &json!(session)));
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_conversation_is_piped_without_reading() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "one" }], [{ "text": "two" }]] }));
    let mut editor = Editor::start(&home, Framing::Lines, Dialect::Lsp, &["--model", &model]);
    let prompt = |id: &str| {
        let params = json!({ "sessionId": "mine", "prompt": [{ "type": "text", "text": id }] });
        json!({ "jsonrpc": "2.0", "id": id, "method": "session/prompt", "params": params })
    };
    editor
        .send_all(&[
            json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "capabilities": {} } }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "session/new", "params": { "cwd": home.workspace(), "sessionId": "mine" } }),
            prompt("a"),
            prompt("b"),
        ])
        .await;
    for id in [json!(0), json!(1), json!("a"), json!("b")] {
        assert!(editor.answer(&id).await.get("error").is_none());
    }
    editor.ignore_updates();
    editor.finish().await;
}
