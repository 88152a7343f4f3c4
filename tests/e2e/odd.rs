//! Odd content: arguments of any depth, rows that cannot be read, ids that name nothing. None of it costs a record.

use crate::support::journey::{UNTITLED, configured, export, fields, full_export, pointed_by};
use crate::support::model_server::ModelServer;
use crate::support::{Editor, Home};
use serde_json::{Value, json};

/// Arguments of so many levels.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({ "path": {} }), |inner, _| json!({ "path": inner }))["path"].clone()
}

fn told_by(home: &Home, args: &[&str]) -> String {
    let output = home.command().args(args).output().expect("pillion runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_of_any_depth_are_kept_and_the_session_goes_on() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let config = "[loop_guard]\nidentical_calls = 1\n";
    let mut editor = pointed_by(configured(&home, config), &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let mut exchange = server.next_request().await;
    let levels = [31, 32, 33, 126];
    for (index, levels) in (0..).zip(levels) {
        exchange.tool_call(index, &format!("call_{levels}"), "read_file", &nested(levels)).await;
    }
    exchange.finish("tool_calls").await;
    let mut exchange = server.next_request().await;
    let results: Vec<_> =
        exchange.body["messages"].as_array().expect("messages").iter().filter(|it| it["role"] == "tool").cloned().collect();
    let says = |nth: usize| results[nth]["content"].as_str().expect("text").to_owned();
    assert!(says(0).contains("`path`") || says(0).contains("path must be a string"), "{}", says(0));
    assert_eq!(says(2), "the arguments nest arrays and objects deeper than 32 levels; send them flatter");
    exchange.tool_call(0, "call_again", "read_file", &nested(126)).await;
    exchange.finish("tool_calls").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "max_turn_requests");
    editor.ignore_updates();

    let kept = |levels: usize| if levels > 32 { Value::from(nested(levels).to_string()) } else { nested(levels) };
    let export = full_export(&mut editor, &session).await;
    let parts = export["session"]["messages"][1]["parts"].as_array().expect("parts").clone();
    let inputs: Vec<_> = parts.iter().filter(|part| part["kind"] == "tool_call").map(|part| part["input"].clone()).collect();
    assert_eq!(inputs, [31, 32, 33, 126, 126].map(kept));
    let abort = &export["diagnostics"]["aborts"][0];
    assert_eq!((&abort["cause"], &abort["input"]), (&json!("loop_guard"), &kept(126)));
    editor.finish().await;

    // Another process reads all of it again.
    for args in [&["export", &session][..], &["export", "--full", &session]] {
        let file = home.file("export.json", &told_by(&home, args));
        assert!(told_by(&home, &["explain", file.to_str().expect("UTF-8")]).contains("loop_guard"), "{args:?}");
    }
    assert!(told_by(&home, &["explain", &session]).contains("loop_guard"));
    let mut editor = pointed_by(home.command(), &server, &UNTITLED).await;
    let loaded = editor.call("session/load", json!({ "sessionId": session })).await;
    assert_eq!((&loaded["stops"][0]["cause"], loaded.get("notices")), (&json!("loop_guard"), None), "{loaded}");
    let prompt = editor.prompt(&session, "and on").await;
    let exchange = server.next_request().await;
    assert!(exchange.body.to_string().contains("unreadable_arguments"));
    exchange.answer("yes").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_is_told_and_hides_nothing_else() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_by(home.command(), &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    for (asked, answered) in [("first question", "first answer"), ("second question", "second answer")] {
        let prompt = editor.prompt(&session, asked).await;
        server.next_request().await.answer(answered).await;
        assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
        editor.ignore_updates();
    }
    editor.finish().await;
    let database = home.data_dir().join("pillion.db");
    let bytes = std::fs::read(&database).expect("a database");
    std::fs::write(
        &database,
        replaced(bytes, br#"{"kind":"text","text":"first question"}"#, br#"{'kind':'text','text':"first question"}"#),
    )
    .expect("changed by hand");

    let full: Value = serde_json::from_str(&told_by(&home, &["export", "--full", &session])).expect("JSON");
    assert_eq!(full["completeness"], "partial");
    let incident = fields(&full["diagnostics"]["incidents"][0], &["session_id", "name", "row", "at"]);
    let expected = json!({ "session_id": session, "name": "unreadable_row", "row": "part 0 of message 1", "at": full["exported_at"] });
    assert_eq!(incident, expected);
    let texts: Vec<_> = full["session"]["messages"].as_array().expect("messages").iter().map(|it| it["parts"][0]["text"].clone()).collect();
    assert_eq!(texts, [json!(null), json!("first answer"), json!("second question"), json!("second answer")]);
    let story = told_by(&home, &["explain", &session]);
    assert!(story.contains("Incident: unreadable_row") && story.contains("part 0 of message 1"), "{story}");
    assert!(told_by(&home, &["sessions"]).contains(&session));

    let mut editor = pointed_by(home.command(), &server, &UNTITLED).await;
    let loaded = editor.call("session/load", json!({ "sessionId": session })).await;
    let notice = "1 row of this session cannot be read any more and is left out; `pillion export` tells which";
    assert_eq!(loaded["notices"], json!([notice]));
    let prompt = editor.prompt(&session, "third question").await;
    let exchange = server.next_request().await;
    assert!(exchange.body.to_string().contains("second answer"));
    exchange.answer("third answer").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_of_a_turn_that_is_not_there_keeps_what_was_asked_for() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "done" }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model, "--title-model", "none"]).await;
    let session = editor.new_session(&home).await;
    let stranger = "turn_of_nobody".to_owned();
    let long = "x".repeat(300);
    let idle = editor.call("session/cancel", json!({ "sessionId": session, "turnId": stranger })).await;
    assert_eq!((&idle["outcome"], idle.get("turnId")), (&json!("idle"), None));
    let prompt = editor.prompt(&session, "go").await;
    let turn = editor.result(&prompt).await["turnId"].clone();
    editor.ignore_updates();
    for asked in [&stranger, &long, turn.as_str().expect("a turn")] {
        let settled = editor.call("session/cancel", json!({ "sessionId": session, "turnId": asked })).await;
        assert_eq!(settled["outcome"], "already_settled");
    }
    let export = export(&mut editor, &session).await;
    let requests = export["diagnostics"]["cancel_requests"].as_array().expect("cancel requests");
    let told: Vec<_> =
        requests.iter().map(|request| (request["outcome"].clone(), request["turn_id"].clone(), request["asked_turn_id"].clone())).collect();
    let (none, settled) = (Value::Null, json!("already_settled"));
    assert_eq!(
        told,
        [
            (json!("idle"), none.clone(), json!(stranger)),
            (settled.clone(), none.clone(), json!(stranger)),
            (settled.clone(), none.clone(), requests[2]["asked_turn_id"].clone()),
            (settled, turn, none),
        ]
    );
    assert!(requests[2]["asked_turn_id"].as_str().is_some_and(|asked| asked.starts_with("[redacted:id:") && asked.ends_with("len=200]")));
    editor.finish().await;
    let asked = "asked for  turn turn_of_nobody, which it found neither running nor waiting here";
    assert!(told_by(&home, &["explain", &session]).contains(asked));
}

/// `bytes` with the one `old` in them as `new`, which is as long.
fn replaced(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at: Vec<_> = bytes.windows(old.len()).enumerate().filter(|(_, window)| *window == old).map(|(at, _)| at).collect();
    let [at] = at[..] else { panic!("it stands there {} times", at.len()) };
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}
