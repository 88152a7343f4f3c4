//! `editors/recordings`: what a client sees of some sessions, recorded from the real binary. The plugins' reducers are tested
//! over these files, so a change of the wire shows here first.
//!
//! One line is one event of a client's life: `prompted`, `updated`, `asked`, `decided`, `answered`, `failed`, `opened`, `lost`.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// What stands for the workspace in the files.
const WORKSPACE: &str = "/workspace";
const SESSION: &str = "ses_1";

/// A pillion with a script, and what its client has seen.
struct Recorder {
    room: TempDir,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    events: Vec<Value>,
}

impl Recorder {
    /// A fresh session whose model follows `script`.
    fn new(script: &Value) -> Self {
        Self::configured(script, "")
    }

    /// The same under this `config.toml`.
    fn configured(script: &Value, config: &str) -> Self {
        let room = tempfile::Builder::new().prefix("pillion-recording-").tempdir().expect("a directory of our own");
        fs::create_dir(room.path().join("work")).expect("a directory");
        fs::write(room.path().join("script.json"), script.to_string()).expect("a script");
        fs::write(room.path().join("config.toml"), config).expect("a configuration");
        let (child, stdin, stdout) = start(&room, &["--deterministic"]);
        let mut recorder = Self { room, child, stdin, stdout, events: Vec::new() };
        recorder.initialize();
        let new = json!({ "cwd": recorder.workspace(), "sessionId": SESSION });
        recorder.call("session/new", &new);
        recorder
    }

    /// Another process opens the session; what this one shows is recorded instead.
    fn reopened(mut self) -> Self {
        self.child.kill().expect("pillion was running");
        self.child.wait().expect("an end");
        (self.child, self.stdin, self.stdout) = start(&self.room, &[]);
        self.events.clear();
        self.initialize();
        let opened = self.call("session/load", &json!({ "sessionId": SESSION }));
        self.events.push(json!({ "type": "opened", "result": opened }));
        self
    }

    fn workspace(&self) -> PathBuf {
        self.room.path().join("work")
    }

    fn initialize(&mut self) {
        self.call("initialize", &json!({ "capabilities": {} }));
    }

    fn prompt(&mut self, key: &str, text: &str) {
        let content = json!([{ "type": "text", "text": text }]);
        self.events.push(json!({ "type": "prompted", "key": key, "content": content }));
        self.send(&json!({ "id": key, "method": "session/prompt", "params": { "sessionId": SESSION, "prompt": content } }));
    }

    /// What a person does who presses Stop.
    fn stop(&mut self) {
        let params = json!({ "sessionId": SESSION, "source": "nvim.keymap", "initiator": "user" });
        self.send(&json!({ "id": "stop", "method": "session/cancel", "params": params }));
    }

    fn decide(&mut self, decision: &str) {
        let asked = self.until("a question", |event| event["type"] == "asked");
        let outcome = json!({ "outcome": { "outcome": "selected", "optionId": decision } });
        self.send(&json!({ "id": asked["key"], "result": outcome }));
        self.events.push(json!({ "type": "decided", "key": asked["key"], "decision": decision }));
    }

    fn ended(&mut self, key: &str) {
        self.until(key, |event| matches!(event["type"].as_str(), Some("answered" | "failed")) && event["key"] == key);
    }

    fn text(&mut self, text: &str) {
        self.until(text, |event| event["params"]["update"]["content"]["text"] == text);
    }

    fn lose(&mut self) {
        self.child.kill().expect("pillion was running");
        self.child.wait().expect("an end");
        self.events.push(json!({ "type": "lost", "sentence": "pillion ended unexpectedly (signal 9)." }));
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.send(&json!({ "id": method, "method": method, "params": params }));
        loop {
            let mut message = self.read(method);
            if message.get("method").is_none() && message["id"] == method {
                assert!(message.get("error").is_none(), "{message}");
                return message["result"].take();
            }
            self.events.extend(event(message));
        }
    }

    fn send(&mut self, message: &Value) {
        let mut message = message.clone();
        message["jsonrpc"] = "2.0".into();
        writeln!(self.stdin, "{message}").expect("pillion reads");
    }

    fn read(&mut self, what: &str) -> Value {
        let mut line = String::new();
        assert_ne!(self.stdout.read_line(&mut line).expect("a line"), 0, "pillion ended before {what}: {:#?}", self.events);
        serde_json::from_str(&line).expect("JSON")
    }

    /// Records what comes until `wanted` came.
    fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let Some(event) = event(self.read(what)) else { continue };
            self.events.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Records two events of which nobody promises which comes first; the file has them in this order.
    fn in_either_order(&mut self, first: impl Fn(&Value) -> bool, second: impl Fn(&Value) -> bool) {
        let came = self.events.len();
        self.until("the first of two", |event| first(event) || second(event));
        self.until("the second of two", |event| first(event) || second(event));
        self.events[came..].sort_by_key(|event| second(event));
    }

    /// Compares with the committed file, or writes it.
    fn matches(mut self, story: &str) {
        let _ = self.child.kill();
        self.child.wait().expect("an end");
        let workspace = self.workspace();
        let workspace = fs::canonicalize(&workspace).unwrap_or(workspace);
        let lines: String = self.events.iter().map(|event| format!("{event}\n")).collect();
        let lines = lines.replace(workspace.to_str().expect("UTF-8"), WORKSPACE);
        let recorded = lines.replace(self.room.path().to_str().expect("UTF-8"), "");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/recordings").join(format!("{story}.events.jsonl"));
        if std::env::var_os("UPDATE_RECORDINGS").is_some() {
            fs::write(&path, &recorded).expect("editors/recordings is writable");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            recorded, committed,
            "the wire shows another {story}; if that is right, `UPDATE_RECORDINGS=1 cargo test --test recordings` records it anew, \
             and {story}.conversation.json must say what a client makes of it"
        );
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(room: &TempDir, args: &[&str]) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let at = |name: &str| room.path().join(name);
    let model = format!("scripted:{}", at("script.json").display());
    let mut child = Command::new(env!("CARGO_BIN_EXE_pillion"))
        .env_clear()
        .env("HOME", room.path())
        .env("PILLION_DATA_DIR", at("data"))
        .env("PILLION_LOG", at("pillion.log"))
        .env("PILLION_MODEL", model)
        .env("PILLION_CONFIG", at("config.toml"))
        .args(["--stdio=jsonl"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("pillion starts");
    let (stdin, stdout) = (child.stdin.take().expect("a stdin"), child.stdout.take().expect("a stdout"));
    (child, stdin, BufReader::new(stdout))
}

/// A message as the event that it is for a client; nothing for what concerns no conversation.
fn event(mut message: Value) -> Option<Value> {
    let key = message["id"].take();
    Some(match message["method"].as_str() {
        Some("session/update") => json!({ "type": "updated", "params": message["params"] }),
        Some("session/request_permission") => json!({ "type": "asked", "key": key, "params": message["params"] }),
        Some("$/cancelRequest") => json!({ "type": "decided", "key": message["params"]["id"], "decision": "withdrawn" }),
        Some(other) => panic!("nothing else is sent: {other}"),
        None if key == "stop" => return None,
        None if message.get("error").is_some() => json!({ "type": "failed", "key": key, "error": message["error"] }),
        None => json!({ "type": "answered", "key": key, "result": message["result"] }),
    })
}

#[test]
fn an_answer_with_thoughts_and_a_title() {
    let mut recorder = Recorder::new(&json!({
        "title": [{ "delay_ms": 400 }, { "text": "Greetings" }],
        "steps": [[
            { "reasoning": { "text": "They greet me.", "chunks": 2 } },
            { "text": { "text": "Hello! **How** can I help?", "chunks": 4 } },
            { "usage": { "input_tokens": 12, "output_tokens": 7 } },
        ]],
    }));
    recorder.prompt("p1", "Hello");
    recorder.ended("p1");
    recorder.until("the title", |event| event["params"]["update"]["title"] == "Greetings");
    recorder.matches("answer");
}

#[test]
fn tools_that_run_and_tools_that_are_asked_for() {
    let write =
        |id: &str, path: &str| json!({ "tool_call": { "id": id, "name": "write_file", "input": { "path": path, "content": "new\n" } } });
    let mut recorder = Recorder::new(&json!({ "steps": [
        [{ "text": "Let me look." }, { "tool_call": { "id": "read", "name": "read_file", "input": { "path": "a.txt" } } }],
        [write("yes", "b.txt")],
        [write("no", "c.txt")],
        [{ "tool_call": { "id": "odd", "name": "make_coffee", "input": {} } }],
        [{ "text": "Done." }],
    ] }));
    fs::write(recorder.workspace().join("a.txt"), "one\ntwo\n").expect("a file");
    recorder.prompt("p1", "Copy a.txt");
    recorder.decide("allow_once");
    recorder.decide("reject_once");
    recorder.ended("p1");
    recorder.matches("tools");
}

/// A plan in two versions, and a picture between them.
fn planned() -> Recorder {
    let plan = |id: &str, done: &str, next: &str| {
        let entries = json!([
            { "content": "Look at the picture", "priority": "high", "status": done },
            { "content": "Tell what it shows", "status": next },
        ]);
        json!({ "tool_call": { "id": id, "name": "update_plan", "input": { "entries": entries } } })
    };
    let look = json!({ "tool_call": { "id": "look", "name": "read_file", "input": { "path": "dot.gif" } } });
    let mut recorder = Recorder::new(&json!({ "steps": [
        [plan("plan-1", "in_progress", "pending"), look],
        [plan("plan-2", "completed", "in_progress")],
        [{ "text": "A dot." }],
    ] }));
    fs::write(recorder.workspace().join("dot.gif"), b"GIF89a\x01\0\x01\0\0\0\0;").expect("a file");
    recorder.prompt("p1", "What is in dot.gif?");
    recorder.ended("p1");
    recorder
}

#[test]
fn a_plan_that_is_shown_and_a_picture_that_is_read() {
    planned().matches("planned");
}

#[test]
fn a_plan_that_comes_back_with_its_history() {
    planned().reopened().matches("planned-replayed");
}

#[test]
fn a_turn_that_is_stopped_in_the_middle() {
    let mut recorder = Recorder::new(&json!({ "steps": [[{ "text": "half of " }, "stall"], [{ "text": "the other half" }]] }));
    recorder.prompt("p1", "Tell me everything");
    recorder.text("half of ");
    recorder.stop();
    recorder.ended("p1");
    recorder.prompt("p2", "Go on");
    recorder.ended("p2");
    recorder.matches("stopped");
}

#[test]
fn a_question_that_is_withdrawn_by_a_stop() {
    let call = json!({ "tool_call": { "id": "write", "name": "write_file", "input": { "path": "b.txt", "content": "x" } } });
    let mut recorder = Recorder::new(&json!({ "steps": [[call]] }));
    recorder.prompt("p1", "Write it");
    recorder.until("a question", |event| event["type"] == "asked");
    recorder.stop();
    recorder.in_either_order(|event| event["type"] == "decided", |event| event["type"] == "answered");
    recorder.matches("withdrawn");
}

#[test]
fn a_turn_that_waits_and_is_stopped_with_the_one_before() {
    let mut recorder = Recorder::new(&json!({ "steps": [[{ "text": "first" }, "stall"]] }));
    recorder.prompt("p1", "One");
    recorder.text("first");
    recorder.prompt("p2", "Two");
    recorder.stop();
    recorder.in_either_order(|event| event["key"] == "p2", |event| event["key"] == "p1");
    recorder.matches("queued");
}

#[test]
fn a_turn_that_has_had_what_it_is_allowed() {
    let read = |id: &str| json!({ "tool_call": { "id": id, "name": "read_file", "input": { "path": "a.txt" } } });
    let limited = || {
        let mut recorder = Recorder::configured(&json!({ "steps": [[read("first"), read("second")]] }), "[budget]\ntool_calls = 1\n");
        fs::write(recorder.workspace().join("a.txt"), "one\n").expect("a file");
        recorder.prompt("p1", "Read it twice");
        recorder.ended("p1");
        recorder
    };
    limited().matches("limited");
    limited().reopened().matches("limited-replayed");
}

#[test]
fn a_model_that_fails() {
    let broken = json!({ "protocol_error": { "kind": "provider_error", "message": "overloaded", "code": "529" } });
    let mut recorder = Recorder::new(&json!({ "steps": [[{ "text": "All is " }, broken]] }));
    recorder.prompt("p1", "How are you?");
    recorder.ended("p1");
    recorder.matches("failed");
}

#[test]
fn a_pillion_that_dies() {
    let mut recorder = Recorder::new(&json!({ "steps": [[{ "text": "I am about to" }, "stall"]] }));
    recorder.prompt("p1", "What now?");
    recorder.text("I am about to");
    recorder.lose();
    recorder.matches("lost");
}

#[test]
fn a_history_that_is_loaded_with_what_was_stopped_in_it() {
    let read = json!({ "tool_call": { "id": "read", "name": "read_file", "input": { "path": "a.txt" } } });
    let mut recorder = Recorder::new(&json!({ "steps": [
        [{ "reasoning": "A file." }, read],
        [{ "text": "It says one." }],
        [{ "text": "half of " }, "stall"],
    ] }));
    fs::write(recorder.workspace().join("a.txt"), "one\n").expect("a file");
    recorder.prompt("p1", "Read a.txt");
    recorder.ended("p1");
    recorder.prompt("p2", "Tell me everything");
    recorder.text("half of ");
    recorder.stop();
    recorder.ended("p2");
    recorder.reopened().matches("replayed");
}
