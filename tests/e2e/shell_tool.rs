//! `shell`: a command of the model's. It runs as it was shown, confined, and ends with everything that it has started.

use crate::support::fifo::{Fifo, all_gone};
use crate::support::journey::{configured, fields, full_export};
use crate::support::process::Watched;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::time::Duration;

/// A model that calls `shell` with each of these, one a step, and then ends.
fn commands(inputs: &[Value]) -> Value {
    let call = |(at, input): (usize, &Value)| json!([{ "tool_call": { "id": format!("run{at}"), "name": "shell", "input": input } }]);
    let steps: Vec<_> = inputs.iter().enumerate().map(call).chain([json!([{ "text": "Done." }])]).collect();
    json!({ "steps": steps })
}

async fn opened(home: &Home, config: &str, inputs: &[Value]) -> (Editor, String) {
    let model = home.script(&commands(inputs));
    let config = format!("[title]\nmodel = \"none\"\n{config}");
    let mut editor = Editor::spawn(configured(home, &config), Framing::Lines, Dialect::Lsp, &["--model", &model]);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    (editor, session)
}

/// A key that pillion knows from its environment.
const KEY: &str = "sk-0123456789abcdefghijklmnopqrstuvwxyz";

/// A session of a pillion that knows [`KEY`], with a model that runs this.
async fn opened_with_key(home: &Home, input: &Value) -> (Editor, String) {
    let model = home.script(&commands(std::slice::from_ref(input)));
    let mut command = home.command();
    command.env("OPENAI_API_KEY", KEY);
    let mut editor = Editor::spawn(command, Framing::Lines, Dialect::Lsp, &["--model", &model, "--title-model", "none"]);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    (editor, session)
}

/// The results that the model was given, as they are on record.
async fn results(editor: &mut Editor, session: &str) -> Vec<Value> {
    let export = full_export(editor, session).await;
    let messages = export["session"]["messages"].as_array().expect("messages");
    let parts = messages.iter().flat_map(|message| message["parts"].as_array().expect("parts"));
    let of_a_result = |part: &Value| fields(part, &["status", "exit_code", "signal", "text"]);
    parts.filter(|part| part["kind"] == "tool_result").map(of_a_result).collect()
}

async fn ended(editor: &mut Editor, prompt: &Value) {
    assert_eq!(editor.result(prompt).await["stopReason"], "end_turn");
}

async fn leave(mut editor: Editor) {
    editor.ignore_updates();
    editor.finish().await;
}

async fn trust(editor: &mut Editor, session: &str) {
    editor.call("session/set_config_option", json!({ "sessionId": session, "configId": "trust", "value": "trusted" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_asked_about_as_it_is_and_its_end_is_told() {
    let home = Home::new();
    std::fs::create_dir(home.workspace().join("sub")).expect("a directory");
    let script = "echo out; echo err >&2\npwd; exit 3";
    let model = home.script(&commands(&[
        json!({ "command": script, "directory": "sub", "timeout_seconds": 7 }),
        json!({ "argv": ["printf", "%s|", "a b", "$HOME"] }),
        json!({ "command": "touch made" }),
    ]));
    let mut editor = Editor::lsp(&home, &["--model", &model, "--title-model", "none"]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "Run").await;
    let question = editor.answers("allow_once").await;
    let sub = home.workspace().join("sub").display().to_string();
    let shown = format!(
        "A script for /bin/sh:\n\n```sh\necho out; echo err >&2\npwd; exit 3\n```\n\n- Directory: {sub}\n- Time limit: 7 s\n\
         - Writes: in the workspace, a scratch directory; nowhere else, but modes, owners and times of your files can be changed anywhere\n- Network: off"
    );
    assert_eq!(
        question["params"]["toolCall"],
        json!({ "toolCallId": "run0", "title": "Run `echo out; echo err >&2⟨U+000A⟩pwd; exit 3`", "kind": "execute", "status": "pending",
            "rawInput": { "command": script, "directory": "sub", "timeout_seconds": 7 }, "locations": [{ "path": sub }],
            "content": [{ "type": "content", "content": { "type": "text", "text": shown } }] })
    );
    editor.answers("allow_once").await;
    editor.answers("reject_once").await;
    let told = editor.all_until(&prompt).await;
    let of_the_first: Vec<_> =
        told.iter().map(|update| &update["params"]["update"]).filter(|update| update["toolCallId"] == "run0").collect();
    let said = format!("out\nerr\n{sub}\n[exit code 3]\n");
    assert_eq!(
        of_the_first[1..],
        [
            &json!({ "sessionUpdate": "tool_call_update", "toolCallId": "run0", "status": "in_progress" }),
            &json!({ "sessionUpdate": "tool_call_update", "toolCallId": "run0", "status": "failed",
                "content": [{ "type": "content", "content": { "type": "text", "text": said } }] }),
        ]
    );
    assert_eq!(
        results(&mut editor, &session).await,
        [
            json!({ "status": "failed", "exit_code": 3, "text": said }),
            json!({ "status": "completed", "exit_code": 0, "text": "a b|$HOME|\n[exit code 0]\n" }),
            json!({ "status": "denied", "text": "The call was rejected and not run." }),
        ]
    );
    assert!(!home.workspace().join("made").exists());
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_writes_where_it_may_and_has_a_network_only_if_it_asked_for_it() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let connect = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{} && echo connected'", listener.local_addr().expect("an address").port());
    let beside = home.temporary().join("beside");
    let write = format!("echo a > inside && echo b > \"$TMPDIR/scratch\" && echo \"$TMPDIR\" && echo c > {}", beside.display());
    let inputs = [json!({ "command": write }), json!({ "command": connect }), json!({ "command": connect, "network": true })];
    let (mut editor, session) = opened(&home, "", &inputs).await;
    let prompt = editor.prompt(&session, "Run").await;
    let mut network = Vec::new();
    for _ in 0..3 {
        let question = editor.answers("allow_once").await;
        let shown = question["params"]["toolCall"]["content"][0]["content"]["text"].as_str().expect("a text").to_owned();
        network.push(shown.lines().last().expect("a line").to_owned());
    }
    ended(&mut editor, &prompt).await;
    assert_eq!(network, ["- Network: off", "- Network: off", "- Network: ON, as the call asks"]);
    let results = results(&mut editor, &session).await;
    let text = results[0]["text"].as_str().expect("a text");
    let scratch = std::path::PathBuf::from(text.lines().next().expect("its TMPDIR"));
    assert!(text.contains("Permission denied") && !beside.exists(), "{text}");
    assert_eq!(std::fs::read_to_string(home.workspace().join("inside")).expect("written"), "a\n");
    assert_eq!(std::fs::read_to_string(scratch.join("scratch")).expect("written"), "b\n");
    assert_eq!((&results[1]["status"], &results[2]["text"]), (&json!("failed"), &json!("connected\n[exit code 0]\n")));
    leave(editor).await;
    assert!(!scratch.exists(), "the scratch directory goes with its session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_loaded_right_behind_its_close_while_what_its_commands_left_goes() {
    let home = Home::new();
    let fill = "cd \"$TMPDIR\" && for d in 1 2 3 4 5 6 7 8 9; do mkdir $d && (cd $d && seq 500 | xargs touch); done; echo filled";
    let (mut editor, session) = opened(&home, "", &[json!({ "command": fill })]).await;
    let prompt = editor.prompt(&session, "Run").await;
    editor.answers("allow_once").await;
    ended(&mut editor, &prompt).await;
    assert_eq!(results(&mut editor, &session).await[0]["text"], "filled\n[exit code 0]\n");
    editor.call("session/close", json!({ "sessionId": session })).await;
    let loaded = editor.call("session/load", json!({ "sessionId": session, "cwd": home.workspace() })).await;
    assert!(loaded["modes"].is_object(), "{loaded}");
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_takes_too_long_is_ended_with_all_it_started_and_the_model_goes_on() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let stubborn = json!({ "command": "setsid sleep 1000 & echo $$ $! > fifo; echo began; wait", "timeout_seconds": 1 });
    let (mut editor, session) = opened(&home, "", &[stubborn]).await;
    let prompt = editor.prompt(&session, "Run").await;
    editor.answers("allow_once").await;
    let processes = fifo.watched().await;
    ended(&mut editor, &prompt).await;
    all_gone(processes, Duration::ZERO).await;
    let text = "began\n[it was ended: it took longer than 1 s (timeout_seconds)]\n[ended by SIGTERM]\n";
    assert_eq!(results(&mut editor, &session).await, [json!({ "status": "failed", "signal": "SIGTERM", "text": text })]);
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_long_output_the_ends_are_told_and_the_rest_can_be_read() {
    let home = Home::new();
    home.file("key", KEY);
    let (mut editor, session) = opened_with_key(&home, &json!({ "command": "seq 30000; cat key" })).await;
    let prompt = editor.prompt(&session, "Run").await;
    editor.answers("allow_once").await;
    ended(&mut editor, &prompt).await;
    let result = results(&mut editor, &session).await.remove(0);
    let text = result["text"].as_str().expect("a text");
    let path =
        text.lines().find_map(|line| line.strip_prefix("[all 168933 bytes of the output are in ")?.strip_suffix(']')).expect("where it is");
    assert!(text.starts_with("1\n2\n3\n") && text.contains("bytes left out]\n") && text.len() < 33_500, "{} bytes", text.len());
    let kept = std::fs::read_to_string(path).expect("the whole");
    assert!(kept.contains("\n15000\n") && !kept.contains(KEY) && !text.contains(KEY), "the known key is gone");
    leave(editor).await;

    // What is kept can be read by its session, and nothing beside it; it goes with the session.
    let outside = home.file("../data/outputs/secret.txt", "secret");
    let read = |id: &str, path: &str| json!({ "tool_call": { "id": id, "name": "read_file", "input": { "path": path, "offset": 15000, "limit": 1 } } });
    let model =
        home.script(&json!({ "steps": [[read("kept", path), read("beside", outside.to_str().expect("text"))], [{ "text": "Read." }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    editor.call("session/resume", json!({ "sessionId": session, "cwd": home.workspace() })).await;
    editor.ignore_updates();
    let prompt = editor.prompt(&session, "Read").await;
    ended(&mut editor, &prompt).await;
    let read = self::results(&mut editor, &session).await.split_off(1);
    assert_eq!(read[0]["text"], "15000\n[lines 15000-15000 of 30001; go on with offset 15001]\n");
    assert_eq!(
        (&read[1]["status"], read[1]["text"].as_str().expect("a text").contains("is outside the workspace")),
        (&json!("failed"), true)
    );
    editor.call("session/delete", json!({ "sessionId": session })).await;
    assert!(!std::path::Path::new(path).exists());
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_text_are_replaced_where_they_are_shown_and_kept_as_they_are() {
    let home = Home::new();
    home.file("key", KEY);
    let script = "printf 'caf\\351 '; cat key; echo \" ${OPENAI_API_KEY-unset}\"; printf '\\377'";
    let (mut editor, session) = opened_with_key(&home, &json!({ "command": script })).await;
    let prompt = editor.prompt(&session, "Run").await;
    editor.allows().await;
    ended(&mut editor, &prompt).await;
    let text = results(&mut editor, &session).await.remove(0)["text"].as_str().expect("a text").to_owned();
    let (shown, notes) = text.split_once("\n[").expect("notes");
    assert_eq!(shown, "caf\u{fffd} [redacted:known_key] unset\n\u{fffd}");
    let path = notes.strip_prefix("the output has bytes that are no text; all 52 bytes of it are in ").expect("where it is");
    let path = path.strip_suffix("]\n[exit code 0]\n").expect("the end");
    assert_eq!(std::fs::read(path).expect("the whole"), b"caf\xe9 [redacted:known_key] unset\n\xff");
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_ends_it_with_all_it_started_and_the_record_says_what_became_of_it() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let polite = json!({ "command": "setsid sleep 1000 & echo $$ $! > fifo; wait" });
    let stubborn = json!({ "command": "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000; true' & echo $$ $! > fifo; wait; wait" });
    for (input, outcome, signal, hops) in [
        (polite, "stopped", "SIGTERM", vec!["process.terminated", "process.gone", "tool.stopped"]),
        (stubborn, "killed", "SIGKILL", vec!["process.terminated", "process.killed", "process.gone", "tool.stopped"]),
    ] {
        let (mut editor, session) = opened(&home, "", &[input]).await;
        let prompt = editor.prompt(&session, "Run").await;
        editor.answers("allow_once").await;
        let processes: Vec<Watched> = fifo.watched().await;
        editor.call("session/cancel", json!({ "sessionId": session, "source": "nvim.keymap", "initiator": "user" })).await;
        all_gone(processes, Duration::ZERO).await;
        let result = editor.result(&prompt).await;
        let abort = &result["diagnostics"]["abort"];
        assert_eq!(
            fields(abort, &["cause", "source", "phase", "forced", "tools_in_flight"]),
            json!({ "cause": "client_cancel", "source": "nvim.keymap", "phase": "tool_running", "forced": false,
                "tools_in_flight": [{ "call_id": "run0", "tool": "shell", "effect": "process", "outcome": outcome }] })
        );
        let points: Vec<_> =
            abort["propagation"].as_array().expect("hops").iter().map(|hop| hop["point"].as_str().expect("a name")).collect();
        for hop in hops {
            assert!(points.contains(&hop), "{hop} in {points:?}");
        }
        let told = results(&mut editor, &session).await;
        assert_eq!(told, [json!({ "status": "interrupted", "signal": signal, "text": format!("[ended by {signal}]\n") })]);
        leave(editor).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_deny_ask_and_allow_and_allow_only_where_the_user_trusts() {
    let home = Home::new();
    let config = "[permission]\ndeny = [\"shell(git push *)\"]\nask = [\"shell(echo ask *)\"]\nallow = [\"shell(echo *)\"]\n";
    let command = |text: &str| json!({ "command": text });
    let inputs = [
        command("echo one"),
        command("echo one"),
        command("true && sudo git push origin"),
        command("echo ask me"),
        command("echo two; rm -rf x"),
        command("echo \"$(id)\""),
    ];
    let (mut editor, session) = opened(&home, config, &inputs).await;
    let prompt = editor.prompt(&session, "Run").await;
    let why = |question: &Value| question["params"]["toolCall"]["content"][1]["content"]["text"].clone();
    // Not trusted: the rule that allows does not count yet.
    let question = editor.next("session/request_permission").await;
    assert_eq!(why(&question), "Asked because this workspace is not trusted: its own programs would run.");
    trust(&mut editor, &session).await;
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "reject_once" } })).await;
    // Trust counts from the next turn on.
    let mut reasons = Vec::new();
    for _ in 0..4 {
        reasons.push(why(&editor.answers("reject_once").await));
    }
    ended(&mut editor, &prompt).await;
    assert_eq!(reasons[1], "Asked because of the rule `shell(echo ask *)` in the settings.");
    let denied = &results(&mut editor, &session).await[2];
    let text = "The call was not run: the user's settings deny it (rule shell(git push *)).";
    assert_eq!(*denied, json!({ "status": "denied", "text": text }));
    leave(editor).await;

    let model = home.script(&commands(&inputs));
    let mut editor = Editor::spawn(configured(&home, config), Framing::Lines, Dialect::Lsp, &["--model", &model]);
    editor.initialize().await;
    let loaded = editor.call("session/resume", json!({ "sessionId": session, "cwd": home.workspace() })).await;
    assert_eq!(loaded["configOptions"][1]["currentValue"], "trusted");
    editor.ignore_updates();
    let prompt = editor.prompt(&session, "Again").await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(editor.answers("reject_once").await["params"]["toolCall"]["rawInput"]["command"].clone());
    }
    ended(&mut editor, &prompt).await;
    assert_eq!(asked, ["echo ask me", "echo two; rm -rf x", "echo \"$(id)\""]);
    let again = results(&mut editor, &session).await.split_off(6);
    assert_eq!(again[..2], [json!({ "status": "completed", "exit_code": 0, "text": "one\n[exit code 0]\n" }), again[0].clone()]);
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_about_a_command_that_cannot_be_shown_whole() {
    let home = Home::new();
    let command = |bytes: usize| format!("true {}", "x".repeat(bytes - "true ".len()));
    // The title has the word "Run " before it.
    let most = (4 << 10) - "Run ".len();
    let (mut editor, session) =
        opened(&home, "", &[json!({ "command": command(most) }), json!({ "command": command(most + 1) }), json!({ "command": "true" })])
            .await;
    let prompt = editor.prompt(&session, "Run").await;
    let question = editor.answers("allow_once").await;
    assert_eq!(question["params"]["toolCall"]["title"], format!("Run {}", command(most)), "for clients that show the title alone");
    assert_eq!(editor.answers("allow_once").await["params"]["toolCall"]["title"], "Run true", "the long one was not asked about");
    ended(&mut editor, &prompt).await;
    let told = results(&mut editor, &session).await;
    let why = "The call is too long to be shown whole, so nobody was asked and it was not run; make it in smaller parts.";
    assert_eq!(told[1], json!({ "status": "denied", "text": why }));
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_allowed_for_the_session_is_that_command_and_no_other() {
    let home = Home::new();
    let inputs = [
        json!({ "command": "echo a" }),
        json!({ "command": "echo a" }),
        json!({ "command": "echo a", "network": true }),
        json!({ "argv": ["echo", "a"] }),
        json!({ "command": "echo b" }),
        json!({ "command": "echo b" }),
    ];
    let (mut editor, session) = opened(&home, "", &inputs).await;
    let prompt = editor.prompt(&session, "Run").await;
    for option in ["allow_always", "reject_once", "reject_once", "reject_always"] {
        editor.answers(option).await;
    }
    ended(&mut editor, &prompt).await;
    let statuses: Vec<_> = results(&mut editor, &session).await.iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, ["completed", "completed", "denied", "denied", "denied", "denied"]);
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_sandbox_off_the_question_says_so_and_nothing_is_confined() {
    let home = Home::new();
    let beside = home.temporary().join("beside");
    let (mut editor, session) =
        opened(&home, "[sandbox]\nmode = \"off\"\n", &[json!({ "command": format!("echo x > {}", beside.display()) })]).await;
    let prompt = editor.prompt(&session, "Run").await;
    let question = editor.answers("allow_once").await;
    let shown = question["params"]["toolCall"]["content"][0]["content"]["text"].as_str().expect("a text").to_owned();
    let last: Vec<_> = shown.lines().rev().take(2).collect();
    assert_eq!(last, ["- Network: on; the sandbox is off", "- Writes: wherever you may; the sandbox is off (sandbox.mode)"]);
    ended(&mut editor, &prompt).await;
    assert_eq!(std::fs::read_to_string(beside).expect("written"), "x\n");
    leave(editor).await;
}
