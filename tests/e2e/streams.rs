//! Answers as real servers give them, byte for byte, through the real binary: what a turn makes of each, as a whole.

use crate::support::journey::{UNTITLED, configured, full_export};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

/// How many cases run side by side; most of them only wait.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_completions_as_servers_stream_them() {
    all("openai:m", include_str!("../fixtures/streams/chat_completions.json")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_as_servers_stream_them() {
    all("openai-responses:m", include_str!("../fixtures/streams/responses.json")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_as_servers_stream_them() {
    all("anthropic:m", include_str!("../fixtures/streams/messages.json")).await;
}

/// Plays every case and tells of all that came out differently.
async fn all(model: &str, cases: &str) {
    let cases: Vec<Value> = serde_json::from_str(cases).expect("a list of cases");
    let played = stream::iter(&cases).map(|case| async move { (case, play(model, case).await) }).buffered(AT_ONCE);
    let played: Vec<_> = played.collect().await;
    let wrong: Vec<_> = played
        .iter()
        .filter(|(case, came)| *came != case["right"])
        .map(|(case, came)| format!("{}\n  right: {}\n  came:  {came}", case["name"], case["right"]))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What a turn makes of a case: the fields that the case wants to know of.
async fn play(model: &str, case: &Value) -> Value {
    let home = Home::new();
    home.file("a.txt", "alpha\n");
    home.file("b.txt", "beta\n");
    let mut server = ModelServer::start().await;
    let url = server.base_url();
    let args: Vec<&str> = ["--model", model, "--base-url", &url].into_iter().chain(UNTITLED).collect();
    let config = format!("[retry]\nfirst_delay_ms = 1\n{}", case["config"].as_str().unwrap_or_default());
    let mut editor = Editor::spawn(configured(&home, &config), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let answers = case["answers"].as_array().expect("answers").clone();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let times = std::sync::Arc::clone(&asked);
    let serving = tokio::spawn(async move {
        for n in 0.. {
            let mut exchange = server.next_request().await;
            times.lock().expect("times").push(Instant::now());
            let answer = answers[n.min(answers.len() - 1)].as_array().expect("an answer");
            let mut is_begun = false;
            for piece in answer {
                match piece.as_str() {
                    Some(bytes) => {
                        if !std::mem::replace(&mut is_begun, true) && !bytes.starts_with("HTTP/") {
                            exchange.socket_bytes(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await;
                        }
                        exchange.socket_bytes(bytes.as_bytes()).await;
                    }
                    None if piece.is_object() => exchange.socket_bytes(&gzip(piece["gzip"].as_str().expect("text"))).await,
                    None => tokio::time::sleep(Duration::from_secs_f64(piece.as_f64().expect("a pause"))).await,
                }
            }
            exchange.hang_up();
        }
    });
    let wants_wait = case["right"].get("wait").is_some();
    let (shown, answer) = watch(&mut editor, &prompt, &session, wants_wait).await;
    serving.abort();
    let times = asked.lock().expect("times").clone();
    editor.ignore_updates();
    let export = full_export(&mut editor, &session).await;
    let came = outcome(&case["right"], &answer, shown, &export, &times);
    editor.finish().await;
    came
}

/// What the person saw.
#[derive(Default)]
struct Shown {
    text: String,
    thoughts: String,
    /// Notes about the answer.
    told: Vec<Value>,
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// Allows what the turn asks for, and collects what it shows until it is answered. Whoever only wants to see that a call is made
/// again does not wait for that.
async fn watch(editor: &mut Editor, prompt: &Value, session: &str, stops_at_wait: bool) -> (Shown, Value) {
    let mut shown = Shown::default();
    loop {
        let message = editor.next_message().await;
        if message["method"] == "session/request_permission" {
            editor.respond(&message["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;
        } else if message.get("method").is_none() && message["id"] == *prompt {
            return (shown, message);
        }
        let update = &message["params"]["update"];
        let words = update["content"]["text"].as_str().unwrap_or_default();
        match update["sessionUpdate"].as_str() {
            Some("agent_message_chunk") => shown.text.push_str(words),
            Some("agent_thought_chunk") => shown.thoughts.push_str(words),
            Some("session_info_update") if update["_meta"]["pillion"]["note"].is_object() => {
                shown.told.push(update["_meta"]["pillion"]["note"]["kind"].clone());
            }
            Some("session_info_update") if stops_at_wait => editor.notify("session/cancel", json!({ "sessionId": session })).await,
            _ => {}
        }
    }
}

/// Of everything that is known of the turn, what `right` names.
fn outcome(right: &Value, answer: &Value, shown: Shown, export: &Value, asked: &[Instant]) -> Value {
    let error = answer.get("error").map(|error| &error["data"]);
    let diagnostics = error.map_or(&answer["result"]["diagnostics"], |error| &error["diagnostics"]);
    let traces = diagnostics["stream_traces"].as_array().cloned().unwrap_or_default();
    let last = traces.last().cloned().unwrap_or_default();
    let failure = &last["failure"];
    let says = |words: &Value| {
        let message = failure["message"].as_str().unwrap_or_default();
        if words.as_str().is_some_and(|words| message.contains(words)) { words.clone() } else { json!(message) }
    };
    let mut came = serde_json::Map::new();
    for (field, wanted) in right.as_object().expect("what is right") {
        let value = match field.as_str() {
            "text" => json!(shown.text),
            "thoughts" => json!(shown.thoughts),
            "told" => json!(shown.told),
            "stop" => answer["result"]["stopReason"].clone(),
            "fault" if right.get("wait").is_some() => failure["cause"].clone(),
            "fault" => error.map_or(Value::Null, |error| error["cause"].clone()),
            "kind" | "code" | "meaning" | "retry_after_ms" => failure[field].clone(),
            "says" => says(wanted),
            "finish" => last["finish_reason"].clone(),
            "notes" => last["notes"].as_array().into_iter().flatten().map(|note| note["kind"].clone()).collect(),
            "usage" => json!([last["usage"]["input_tokens"], last["usage"]["output_tokens"]]),
            "requests" => json!(asked.len()),
            "wait" => json!(last["retry"]["verdict"] == "again"),
            "waited_ms" => {
                let waited = asked.last().expect("a request").duration_since(asked[0]).as_millis();
                if waited >= u128::from(wanted.as_u64().expect("a time")) { wanted.clone() } else { json!(waited) }
            }
            "calls" => calls(export),
            other => panic!("a case wants to know of {other}"),
        };
        came.insert(field.clone(), value);
    }
    Value::Object(came)
}

/// The calls that ran to their end, each with its input; of one that did not, what became of it.
fn calls(export: &Value) -> Value {
    let runs = export["diagnostics"]["tool_runs"].as_array().cloned().unwrap_or_default();
    let messages = export["session"]["messages"].as_array().expect("messages");
    let parts = messages.iter().flat_map(|message| message["parts"].as_array().expect("parts"));
    let run = |part: &Value| {
        let of_call: Vec<_> = runs.iter().filter(|run| run["call_id"] == part["call_id"]).map(|run| run["outcome"].clone()).collect();
        if of_call == ["completed"] { json!([part["tool"], part["input"]]) } else { json!([part["tool"], part["input"], of_call]) }
    };
    parts.filter(|part| part["kind"] == "tool_call").map(run).collect()
}
