//! Every tool call is on record: on whose word it ran or did not, when, and what it came to.

use crate::support::fifo::Fifo;
use crate::support::journey::{configured, explained, export, full_export, full_export_when};
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};

fn call(id: &str, tool: &str, input: Value) -> Value {
    json!({ "tool_call": { "id": id, "name": tool, "input": input } })
}

fn write(id: &str) -> Value {
    call(id, "write_file", json!({ "path": format!("{id}.txt"), "content": "new\n" }))
}

async fn opened(home: &Home, config: &str, steps: &Value) -> (Editor, String) {
    let model = home.script(&json!({ "steps": steps }));
    let config = format!("[title]\nmodel = \"none\"\n{config}");
    let mut editor = Editor::spawn(configured(home, &config), Framing::Lines, Dialect::Lsp, &["--model", &model]);
    editor.initialize().await;
    let session = editor.new_session(home).await;
    (editor, session)
}

/// Waits for the question about this call and answers it.
async fn answer(editor: &mut Editor, call: &str, answer: Value) {
    let question = editor.next("session/request_permission").await;
    assert_eq!(question["params"]["toolCall"]["toolCallId"], call, "{question}");
    editor.respond(&question["id"], answer).await;
}

fn selected(option: &str) -> Value {
    json!({ "outcome": { "outcome": "selected", "optionId": option } })
}

async fn leave(mut editor: Editor) {
    editor.ignore_updates();
    editor.finish().await;
}

/// The records with a word for each time, so that they can be compared as a whole.
fn steady(runs: &Value) -> Vec<Value> {
    let one = |run: &Value| {
        let mut run = run.clone();
        let fields = run.as_object_mut().expect("a record");
        for id in ["session_id", "turn_id"] {
            assert!(fields.remove(id).is_some_and(|id| id.is_string()), "{id}");
        }
        let at = |name: &str| fields.get(name).map(|time| time.as_u64().expect("a time"));
        let times = ["asked_at", "answered_at", "started_at", "ended_at"].map(at);
        let known: Vec<_> = times.into_iter().flatten().collect();
        assert!(known.is_sorted(), "{fields:?}");
        assert_eq!(fields.remove("duration_us").is_some(), times[2].is_some() && times[3].is_some(), "{fields:?}");
        for name in ["asked_at", "answered_at", "started_at", "ended_at"] {
            fields.entry(name).and_modify(|time| *time = json!("T"));
        }
        run
    };
    runs.as_array().expect("records").iter().map(one).collect()
}

async fn runs(editor: &mut Editor, session: &str) -> Vec<Value> {
    let full = full_export(editor, session).await;
    let sanitized = export(editor, session).await;
    let [full, sanitized] = [full, sanitized].map(|export| steady(&export["diagnostics"]["tool_runs"]));
    let unruled = |runs: &[Value]| -> Vec<Value> {
        let mut runs = runs.to_vec();
        runs.iter_mut().filter_map(Value::as_object_mut).for_each(|run| drop(run.remove("rule")));
        runs
    };
    assert_eq!(unruled(&full), unruled(&sanitized), "only the words of a rule are hidden");
    full
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_says_on_whose_word_it_ran_or_did_not() {
    let home = Home::new();
    home.file("there.txt", "something\n");
    home.file(".pillion.toml", "[permission]\ndeny = [\"edit(theirs.txt)\"]\n");
    let config = "[permission]\ndeny = [\"edit(never.txt)\"]\nallow = [\"edit(ours.txt)\"]\nask = [\"edit(asked.txt)\"]\n";
    let steps = json!([
        [call("read", "read_file", json!({ "path": "there.txt" })), write("never"), write("theirs"), write("ours")],
        [write("asked")],
        [write("yes")],
        [write("always")],
        [call("again", "write_file", json!({ "path": "always.txt", "content": "more\n" }))],
        [write("no")],
        [write("away")],
        [write("odd")],
        [call("fails", "shell", json!({ "command": "exit 3" }))],
        [{ "text": "Done." }],
        [write("mode")],
        [{ "text": "Done." }],
    ]);
    let (mut editor, session) = opened(&home, config, &steps).await;
    let prompt = editor.prompt(&session, "Go").await;
    for (call, option) in [("asked", "allow_once"), ("yes", "allow_once"), ("always", "allow_always"), ("no", "reject_once")] {
        answer(&mut editor, call, selected(option)).await;
    }
    answer(&mut editor, "away", json!({ "outcome": { "outcome": "cancelled" } })).await;
    answer(&mut editor, "odd", json!("nonsense")).await;
    answer(&mut editor, "fails", selected("allow_once")).await;
    let result = editor.result(&prompt).await;
    assert_eq!((&result["stopReason"], result["diagnostics"].get("tool_runs")), (&json!("end_turn"), None));
    editor.call("session/set_mode", json!({ "sessionId": session, "modeId": "auto_edit" })).await;
    let prompt = editor.prompt(&session, "Go on").await;
    editor.result(&prompt).await;

    let run = |id: &str, permission: &str, outcome: &str| json!({ "call_id": id, "tool": "write_file", "effect": "write", "permission": permission, "outcome": outcome });
    let with = |mut run: Value, more: Value| {
        run.as_object_mut().expect("a record").extend(more.as_object().expect("fields").clone());
        run
    };
    let ran = || json!({ "started_at": "T", "ended_at": "T" });
    let asked = || json!({ "asked_at": "T", "answered_at": "T" });
    let asked_and_ran = |run| with(with(run, asked()), ran());
    assert_eq!(
        runs(&mut editor, &session).await,
        [
            with(run("read", "default", "completed"), with(ran(), json!({ "tool": "read_file", "effect": "read" }))),
            with(run("never", "rule", "denied"), json!({ "rule": "edit(never.txt)" })),
            with(run("theirs", "workspace_rule", "denied"), json!({ "rule": "edit(theirs.txt)" })),
            with(run("ours", "rule", "completed"), with(ran(), json!({ "rule": "edit(ours.txt)" }))),
            asked_and_ran(with(run("asked", "allowed", "completed"), json!({ "rule": "edit(asked.txt)" }))),
            asked_and_ran(run("yes", "allowed", "completed")),
            asked_and_ran(run("always", "allowed", "completed")),
            with(run("again", "remembered", "completed"), ran()),
            with(run("no", "rejected", "denied"), asked()),
            with(run("away", "dismissed", "denied"), asked()),
            with(run("odd", "unanswerable", "denied"), asked()),
            asked_and_ran(with(run("fails", "allowed", "failed"), json!({ "tool": "shell", "effect": "process", "exit_code": 3 }))),
            with(run("mode", "mode", "completed"), ran()),
        ]
    );
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_nobody_answers_and_those_that_a_stop_takes_back() {
    let home = Home::new();
    let steps = json!([[write("late")], [write("first"), write("second")]]);
    let (mut editor, session) = opened(&home, "[permission]\ndeadline_seconds = 1\n", &steps).await;
    let prompt = editor.prompt(&session, "Go").await;
    for _ in 0..2 {
        editor.next("session/request_permission").await;
    }
    editor.next("session/request_permission").await;
    let cancel = json!({ "sessionId": session, "source": "nvim.keymap", "initiator": "user" });
    editor.call("session/cancel", cancel).await;
    let result = editor.result(&prompt).await;
    let abort = &result["diagnostics"]["abort"];
    assert_eq!(abort["phase"], "awaiting_permission");
    let run = |id: &str, permission: &str, outcome: &str| {
        json!({ "call_id": id, "tool": "write_file", "effect": "write", "permission": permission, "outcome": outcome,
            "asked_at": "T", "answered_at": "T" })
    };
    let taken_back = ["first", "second"].map(|id| {
        let mut run = run(id, "withdrawn", "not_started");
        run["abort_id"] = abort["abort_id"].clone();
        run
    });
    assert_eq!(steady(&result["diagnostics"]["tool_runs"]), taken_back);
    let [first, second] = taken_back;
    assert_eq!(runs(&mut editor, &session).await, [run("late", "timed_out", "denied"), first, second]);
    for _ in 0..3 {
        editor.next("$/cancelRequest").await;
    }
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_a_stop_ends_and_one_that_it_keeps_from_starting() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let steps = json!([[call("runs", "shell", json!({ "command": "echo $$ > fifo; exec sleep 1000" })), write("waits")]]);
    let (mut editor, session) = opened(&home, "", &steps).await;
    let prompt = editor.prompt(&session, "Go").await;
    for _ in 0..2 {
        let question = editor.next("session/request_permission").await;
        editor.respond(&question["id"], selected("allow_once")).await;
    }
    fifo.pids().await;
    editor.call("session/cancel", json!({ "sessionId": session })).await;
    let result = editor.result(&prompt).await;
    let abort = &result["diagnostics"]["abort"];
    let fates = json!([
        { "call_id": "runs", "tool": "shell", "effect": "process", "outcome": "stopped" },
        { "call_id": "waits", "tool": "write_file", "effect": "write", "outcome": "withdrawn" },
    ]);
    assert_eq!(abort["tools_in_flight"], fates);
    let expected = [
        json!({ "call_id": "runs", "tool": "shell", "effect": "process", "permission": "allowed", "outcome": "interrupted", "signal": "SIGTERM",
            "asked_at": "T", "answered_at": "T", "started_at": "T", "ended_at": "T", "abort_id": abort["abort_id"] }),
        json!({ "call_id": "waits", "tool": "write_file", "effect": "write", "permission": "allowed", "outcome": "not_started",
            "asked_at": "T", "answered_at": "T", "abort_id": abort["abort_id"] }),
    ];
    assert_eq!(steady(&result["diagnostics"]["tool_runs"]), expected);
    assert_eq!(runs(&mut editor, &session).await, expected);
    assert!(!home.workspace().join("waits.txt").exists());
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_is_on_record_when_it_is_given_whatever_runs_before_it() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let steps = json!([[call("runs", "shell", json!({ "command": "echo $$ > fifo; exec sleep 1000" })), write("no")]]);
    let (mut editor, session) = opened(&home, "", &steps).await;
    let prompt = editor.prompt(&session, "Go").await;
    answer(&mut editor, "runs", selected("allow_once")).await;
    answer(&mut editor, "no", selected("reject_once")).await;
    fifo.pids().await;
    let is_denied = |export: &Value| {
        export["diagnostics"]["tool_runs"].as_array().is_some_and(|runs| runs.iter().any(|run| run["outcome"] == "denied"))
    };
    full_export_when(&mut editor, &session, is_denied).await;
    // No question is open, so that a soft stop is one.
    let cancelled = editor.call("session/cancel", json!({ "sessionId": session, "mode": "soft" })).await;
    assert_eq!((&cancelled["outcome"], &cancelled["abort"]["phase"]), (&json!("cancelled"), &json!("tool_running")));
    assert_eq!(cancelled["abort"]["tools_in_flight"].as_array().expect("tools").len(), 1);
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    let told: Vec<_> =
        runs(&mut editor, &session).await.iter().map(|run| json!([run["call_id"], run["permission"], run["outcome"]])).collect();
    assert_eq!(told, [json!(["runs", "allowed", "interrupted"]), json!(["no", "rejected", "denied"])]);
    let export = full_export(&mut editor, &session).await.to_string();
    assert!(export.contains("The call was rejected and not run."), "{export}");
    leave(editor).await;
}

/// The same change in two steps.
fn twice() -> Value {
    let write = |id: &str| call(id, "write_file", json!({ "path": "a.txt", "content": "new\n" }));
    json!([[write("asked")], [write("again")], [{ "text": "Done." }]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_answer_and_a_stop_in_one_write_the_first_one_counts() {
    for _ in 0..4 {
        for (option, permission, outcome) in
            [("reject_once", "rejected", "denied"), ("reject_always", "rejected", "denied"), ("allow_always", "allowed", "not_started")]
        {
            let home = Home::new();
            let (mut editor, session) = opened(&home, "", &twice()).await;
            let prompt = editor.prompt(&session, "Go").await;
            let question = editor.next("session/request_permission").await;
            let yes = json!({ "jsonrpc": "2.0", "id": question["id"], "result": selected(option) });
            let stop = json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": session } });
            editor.send_all(&[yes, stop]).await;
            assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
            let run = runs(&mut editor, &session).await.remove(0);
            // A yes may have begun before the stop was heard of.
            let fits = run["outcome"] == outcome || (option == "allow_always" && run["outcome"] == "completed");
            assert!(run["permission"] == permission && fits, "{option}: {run}");
            leave(editor).await;
        }
        for option in ["allow_once", "allow_always", "reject_always"] {
            let home = Home::new();
            let (mut editor, session) = opened(&home, "", &twice()).await;
            let prompt = editor.prompt(&session, "Go").await;
            let question = editor.next("session/request_permission").await;
            let late = json!({ "jsonrpc": "2.0", "id": question["id"], "result": selected(option) });
            let stop = json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": session } });
            editor.send_all(&[stop, late]).await;
            assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
            let run = runs(&mut editor, &session).await.remove(0);
            assert_eq!((&run["permission"], &run["outcome"]), (&json!("withdrawn"), &json!("not_started")), "{option}: {run}");
            // And it is not remembered.
            let again = editor.prompt(&session, "Again").await;
            answer(&mut editor, "again", selected("reject_once")).await;
            editor.result(&again).await;
            leave(editor).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_a_stop_ended_is_told_as_that_whatever_its_exit_code_says() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let clean = "trap 'exit 0' TERM; echo $$ > fifo; while :; do sleep 0.05; done";
    let (mut editor, session) = opened(&home, "", &json!([[call("clean", "shell", json!({ "command": clean }))]])).await;
    let prompt = editor.prompt(&session, "Go").await;
    answer(&mut editor, "clean", selected("allow_once")).await;
    fifo.pids().await;
    let cancelled = editor.call("session/cancel", json!({ "sessionId": session })).await;
    editor.result(&prompt).await;
    let run = runs(&mut editor, &session).await.remove(0);
    assert_eq!((&run["outcome"], &run["exit_code"], &run["abort_id"]), (&json!("interrupted"), &json!(0), &cancelled["abortId"]));
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_finished_calls_are_told_as_they_had_ended() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let steps = json!([[write("done"), write("no"), call("runs", "shell", json!({ "command": "echo $$ > fifo; exec sleep 1000" }))]]);
    let (mut editor, session) = opened(&home, "[permission]\nallow = [\"edit(done.txt)\"]\n", &steps).await;
    editor.prompt(&session, "Go").await;
    answer(&mut editor, "no", selected("reject_once")).await;
    answer(&mut editor, "runs", selected("allow_once")).await;
    fifo.pids().await;
    let statuses = |export: &Value| -> Vec<Value> {
        let parts = export["session"]["messages"][1]["parts"].as_array().expect("parts").iter();
        let mut results: Vec<_> =
            parts.filter(|part| part["kind"] == "tool_result").map(|part| json!([part["call_id"], part["status"]])).collect();
        results.sort_by_key(Value::to_string);
        results
    };
    let both = [json!(["done", "completed"]), json!(["no", "denied"])];
    // What a call came to is stored while the next one runs.
    full_export_when(&mut editor, &session, |export| statuses(export) == both).await;
    editor.kill();
    editor.exited().await;
    let mut editor = Editor::lsp(&home, &[]).await;
    editor.call("session/load", json!({ "sessionId": session })).await;
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    assert_eq!(statuses(&export), [&both[..], &[json!(["runs", "unknown_outcome"])]].concat());
    leave(editor).await;

    assert_eq!(export["diagnostics"]["aborts"][0]["phase"], "tool_running");
    let told = explained(&home, &session);
    for line in ["an unrecorded number of updates sent", "lost: what had not been saved yet", "how much had been shown is not recorded"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_it_is_known_which_call_had_started() {
    let home = Home::new();
    let fifo = Fifo::new(&home);
    let steps = json!([[call("ran", "shell", json!({ "command": "echo $$ > fifo; exec sleep 1000" })), write("waits")]]);
    let (mut editor, session) = opened(&home, "", &steps).await;
    editor.prompt(&session, "Go").await;
    for _ in 0..2 {
        let question = editor.next("session/request_permission").await;
        editor.respond(&question["id"], selected("allow_once")).await;
    }
    fifo.pids().await;
    editor.kill();
    editor.exited().await;

    let mut editor = Editor::lsp(&home, &[]).await;
    editor.call("session/load", json!({ "sessionId": session })).await;
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    let abort = &export["diagnostics"]["aborts"][0];
    let mut ended: Vec<_> = steady(&export["diagnostics"]["tool_runs"])
        .iter()
        .map(|run| {
            json!([run["call_id"], run["permission"], run["outcome"], run.get("started_at").is_some(), run.get("ended_at").is_some()])
        })
        .collect();
    ended.sort_by_key(Value::to_string);
    assert_eq!(ended[0], json!(["ran", "allowed", "unknown_outcome", true, false]));
    // Whether the answer to the second question came before the crash is a matter of luck.
    assert_eq!((&ended[1][0], &ended[1][2], &ended[1][3]), (&json!("waits"), &json!("not_started"), &json!(false)));
    let mut fates: Vec<_> =
        abort["tools_in_flight"].as_array().expect("tools").iter().map(|tool| json!([tool["call_id"], tool["outcome"]])).collect();
    fates.sort_by_key(Value::to_string);
    assert_eq!(fates, [json!(["ran", "unknown"]), json!(["waits", "withdrawn"])]);
    let statuses: Vec<_> = export["session"]["messages"][1]["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .filter(|part| part["kind"] == "tool_result")
        .map(|part| json!([part["call_id"], part["status"]]))
        .collect();
    assert_eq!(statuses, [json!(["ran", "unknown_outcome"]), json!(["waits", "not_started"])]);
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_allowed_by_a_mode_is_asked_about_if_the_mode_has_changed() {
    let home = Home::new();
    let steps = json!([[call("first", "shell", json!({ "command": "true" })), write("then")], [{ "text": "Done." }]]);
    let (mut editor, session) = opened(&home, "[permission]\nmode = \"auto_edit\"\n", &steps).await;
    let prompt = editor.prompt(&session, "Go").await;
    let question = editor.next("session/request_permission").await;
    editor.call("session/set_mode", json!({ "sessionId": session, "modeId": "ask" })).await;
    editor.respond(&question["id"], selected("reject_once")).await;
    answer(&mut editor, "then", selected("reject_once")).await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    assert!(!home.workspace().join("then.txt").exists());
    let decided: Vec<_> = runs(&mut editor, &session).await.iter().map(|run| json!([run["call_id"], run["permission"]])).collect();
    assert_eq!(decided, [json!(["first", "rejected"]), json!(["then", "rejected"])]);
    leave(editor).await;
}
