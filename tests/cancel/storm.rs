//! A thousand rounds of prompts and cancels in one process, drawn by dice.
//!
//! Invariant: a failure prints its seed, and `PILLION_STORM_SEED` throws the same dice again; the timing stays the machine's.

use crate::support::journey::configured;
use crate::support::{Dialect, Editor, Framing, Home};
use crate::told::Told;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

const ROUNDS: usize = 1_000;
/// Each has one first turn, in which a title races.
const SESSIONS: usize = 40;

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let limit = u64::try_from(limit).expect("a small number");
        usize::try_from((mixed ^ (mixed >> 31)) % limit).expect("below the limit")
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Says which storm it was if the test fails in it.
struct Seed(u64);

impl Seed {
    fn choose() -> Self {
        let given = std::env::var("PILLION_STORM_SEED").ok();
        Self(given.map_or_else(|| RandomState::new().hash_one("storm"), |seed| seed.parse().expect("PILLION_STORM_SEED is a number")))
    }
}

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "whoever reads the failure needs it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same dice again: PILLION_STORM_SEED={}", self.0);
        }
    }
}

/// What was sent to one session and how it was answered.
#[derive(Default)]
struct Log {
    session: String,
    /// Each prompt's answer.
    prompts: Vec<Value>,
    /// Each `session/cancel` with an id, and its result; none if its request was itself cancelled by id.
    cancels: Vec<(Value, Option<Value>)>,
    /// How many `session/cancel` had no id.
    notifications: usize,
    /// How many cancels by request id were sent.
    by_id: usize,
    /// The turn that an update came from last.
    newest_turn: Option<Value>,
}

/// What an answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Prompt,
    Cancel,
}

struct Storm {
    dice: Dice,
    editor: Editor,
    logs: Vec<Log>,
    /// Every request of this round that is not answered: its session, and what it is.
    open: BTreeMap<String, (usize, Asked)>,
    /// How many of them were sent.
    due: usize,
    numbered: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_thousand_rounds_every_answer_and_every_record_agree() {
    let seed = Seed::choose();
    let home = Home::new();
    let mut command = configured(&home, "[retry]\nfirst_delay_ms = 1\n");
    command.env("PILLION_LOG_LEVEL", "off");
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &["--model", &home.script(&script())]);
    editor.initialize().await;
    let mut logs = Vec::new();
    for at in 0..SESSIONS {
        // A file that is there would have to be read before it is written, and nobody would be asked.
        let cwd = home.workspace().join(at.to_string());
        std::fs::create_dir(&cwd).expect("a directory");
        std::fs::write(cwd.join("a.txt"), "one\n").expect("a file");
        let session = editor.call("session/new", json!({ "cwd": cwd })).await["sessionId"].as_str().expect("an id").to_owned();
        logs.push(Log { session, ..Log::default() });
    }
    let mut storm = Storm { dice: Dice(seed.0), editor, logs, open: BTreeMap::new(), due: 0, numbered: 0 };
    for _ in 0..ROUNDS {
        storm.round().await;
    }
    let Storm { mut editor, logs, .. } = storm;
    for log in &logs {
        log.agrees_with(&Told::by(&mut editor, &log.session).await);
    }
    editor.ignore_updates();
    editor.finish().await;
}

/// Everything that a model can do in a few milliseconds, over and over.
fn script() -> Value {
    let call = |name: &str, input: Value| json!([{ "text": "Let me." }, { "tool_call": { "name": name, "input": input } }]);
    let step = |n: usize| match n % 11 {
        0 => json!([{ "text": "short" }]),
        1 => json!([{ "text": { "text": "in five pieces", "chunks": 5, "every_ms": 1 } }]),
        2 => json!([{ "delay_ms": 3 }, { "text": "late" }]),
        3 => json!([{ "reasoning": "hm" }, { "text": "thought" }, { "usage": { "input_tokens": 3, "output_tokens": 2 } }]),
        4 => call("read_file", json!({ "path": "a.txt" })),
        5 => call("write_file", json!({ "path": format!("b{n}.txt"), "content": "two\n" })),
        6 => json!([{ "text": { "text": "burst ", "repeat": 200 } }]),
        7 => json!([{ "http_error": { "status": 503 } }]),
        8 => json!([{ "text": "half" }, "hang_up"]),
        9 => json!([{ "text": "no" }, { "finish": "refusal" }]),
        _ => json!([{ "delay_ms": 1 }, { "finish": "max_tokens" }]),
    };
    let steps: Vec<_> = (0..400).map(step).collect();
    json!({ "title": [{ "delay_ms": 5 }, { "text": "A storm" }], "steps": steps })
}

impl Storm {
    /// A handful of messages to one session, in one write or in several, until everything is answered.
    async fn round(&mut self) {
        let at = self.dice.below(SESSIONS);
        let mut messages = vec![self.prompt(at)];
        for _ in 0..self.dice.below(5) {
            let message = match self.dice.below(10) {
                0..4 => self.prompt(at),
                4..7 => self.cancel(at),
                7 => self.cancel_without_an_id(at),
                _ => self.cancel_by_id(at),
            };
            messages.push(message);
        }
        if self.dice.coin() {
            self.due = self.open.len();
            self.editor.send_all(&messages).await;
        } else {
            for message in &messages {
                self.due += usize::from(message.get("id").is_some());
                self.editor.send(message).await;
                if self.due > 0 && self.dice.coin() {
                    self.hear().await;
                }
            }
        }
        while self.due > 0 {
            self.hear().await;
        }
    }

    fn prompt(&mut self, at: usize) -> Value {
        let when_busy = self.dice.of(&["queue", "queue", "supersede", "reject"]);
        let text = json!([{ "type": "text", "text": "go on" }]);
        let params = json!({ "sessionId": self.logs[at].session, "prompt": text, "whenBusy": when_busy });
        self.request(at, Asked::Prompt, "session/prompt", &params)
    }

    fn cancel(&mut self, at: usize) -> Value {
        let params = self.cancel_params(at);
        self.request(at, Asked::Cancel, "session/cancel", &params)
    }

    fn cancel_without_an_id(&mut self, at: usize) -> Value {
        self.logs[at].notifications += 1;
        json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": self.cancel_params(at) })
    }

    /// Of any request of this round so far. A cancel whose request is cancelled has its effect all the same.
    fn cancel_by_id(&mut self, at: usize) -> Value {
        self.logs[at].by_id += 1;
        let ids: Vec<_> = self.open.keys().cloned().collect();
        json!({ "jsonrpc": "2.0", "method": "$/cancelRequest", "params": { "id": self.dice.of(&ids) } })
    }

    /// Of what runs, or of the turn that was heard of last, which may be over.
    fn cancel_params(&mut self, at: usize) -> Value {
        let mut params = json!({ "sessionId": self.logs[at].session, "mode": self.dice.of(&["soft", "hard"]) });
        if self.dice.coin() {
            params["source"] = json!("storm");
            params["initiator"] = json!(self.dice.of(&["user", "program"]));
        }
        if let (0, Some(turn)) = (self.dice.below(3), &self.logs[at].newest_turn) {
            params["turnId"] = turn.clone();
        }
        params
    }

    fn request(&mut self, at: usize, asked: Asked, method: &str, params: &Value) -> Value {
        self.numbered += 1;
        let id = format!("r{}", self.numbered);
        self.open.insert(id.clone(), (at, asked));
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    /// The session that a message is about.
    fn at(&self, message: &Value) -> usize {
        self.logs.iter().position(|log| message["params"]["sessionId"] == log.session).expect("one of ours")
    }

    /// Takes the next message, and answers it if it asks.
    async fn hear(&mut self) {
        let mut message = self.editor.next_message().await;
        match message["method"].as_str() {
            Some("session/update") => {
                let turn = &message["params"]["_meta"]["pillion"]["turnId"];
                if turn.is_string() {
                    let at = self.at(&message);
                    self.logs[at].newest_turn = Some(turn.clone());
                }
            }
            Some("session/request_permission") => {
                // Before it decides, the client may cancel: a soft one waits for the decision, a hard one makes it too late.
                if self.dice.coin() {
                    let stop = self.cancel_without_an_id(self.at(&message));
                    self.editor.send(&stop).await;
                }
                let option = self.dice.of(&["allow_once", "reject_once"]);
                let outcome = json!({ "outcome": { "outcome": "selected", "optionId": option } });
                self.editor.respond(&message["id"], outcome).await;
            }
            Some("$/cancelRequest") => {}
            Some(other) => panic!("nothing else is sent: {other}"),
            None => {
                let id = message["id"].as_str().expect("an id of ours").to_owned();
                let (at, asked) = self.open.remove(&id).unwrap_or_else(|| panic!("answered twice or never asked: {message}"));
                self.due -= 1;
                match asked {
                    Asked::Prompt => self.logs[at].prompts.push(message),
                    Asked::Cancel => {
                        let result = message.get_mut("result").map(Value::take);
                        assert!(result.is_some() || message["error"]["code"] == -32800, "{message}");
                        self.logs[at].cancels.push((json!(id), result));
                    }
                }
            }
        }
    }
}

impl Log {
    /// Everything that was answered stands in the export, and nothing else.
    fn agrees_with(&self, told: &Told) {
        let is_refused = |answer: &&Value| answer["error"].is_object() && answer["error"]["data"].get("turnId").is_none();
        let (refused, run): (Vec<_>, Vec<_>) = self.prompts.iter().partition(is_refused);
        assert!(refused.iter().all(|answer| answer["error"]["code"] == -32803), "{refused:?}");
        let mut answered: Vec<_> = run.into_iter().map(|answer| told.agrees_with(answer)).collect();
        let mut turns: Vec<_> = told.turns().iter().map(|turn| turn["turn_id"].as_str().expect("an id")).collect();
        answered.sort_unstable();
        turns.sort_unstable();
        assert_eq!(answered, turns, "one turn for each prompt that was not refused");
        for (id, result) in self.cancels.iter().filter_map(|(id, result)| Some((id, result.as_ref()?))) {
            told.agrees_with_cancel(id, result);
        }
        let by = |method: &str, is_request: bool| {
            let requests = told.cancels().iter().map(|cancel| &cancel["request"]);
            requests.filter(|request| request["method"] == method && request["id"].is_null() != is_request).count()
        };
        assert_eq!((by("session/cancel", true), by("session/cancel", false)), (self.cancels.len(), self.notifications));
        assert!(by("$/cancelRequest", false) <= self.by_id, "a cancel of what is over finds nothing to record");
        assert!(told.cancels().iter().all(|cancel| cancel["outcome"].is_string()));
    }
}
