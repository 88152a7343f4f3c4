//! What was answered is there, whatever becomes of the process that answered.
//!
//! Invariant: a process that is killed right behind an answer loses nothing of it, and the store stays well-formed.

use crate::support::journey::full_export;
use crate::support::raw::Raw;
use crate::support::{Editor, Framing, Home};
use serde_json::{Value, json};

/// Homes whose processes are killed side by side, each with a store of its own.
const LANES: usize = 4;
/// Processes that are killed in each, one after the other on the same store.
const KILLS: usize = 125;

/// What an answer said of the end of its turn.
type Ended = (Value, Value, Value);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_right_behind_an_answer_five_hundred_times_nothing_that_was_answered_is_lost() {
    let lanes = (0..LANES).map(|_| tokio::spawn(lane()));
    for lane in futures_util::future::join_all(lanes).await {
        lane.expect("a lane");
    }
}

async fn lane() {
    let home = Home::new();
    let steps = |entries: Value| json!({ "steps": [entries] }).to_string();
    home.file("fine.json", &steps(json!([{ "text": "fine" }])));
    home.file("stalls.json", &steps(json!([{ "text": "well" }, "stall"])));
    let mut answered = Vec::new();
    for number in 0..KILLS {
        let session = format!("s{number}");
        answered.push(if number % 2 == 0 {
            killed_behind_a_prompt(&home, &session).await
        } else {
            killed_behind_a_cancel(&home, &session).await
        });
    }

    let mut editor = Editor::lsp(&home, &[]).await;
    let mut found = Vec::new();
    for number in 0..KILLS {
        let export = full_export(&mut editor, &format!("s{number}")).await;
        let (turn, completeness) = (&export["session"]["turns"][0], &export["completeness"]);
        assert_eq!(completeness, "complete", "{number}: {export}");
        let abort = export["diagnostics"]["aborts"][0]["abort_id"].clone();
        found.push((turn["turn_id"].clone(), turn["stop"].clone(), abort));
    }
    assert_eq!(found, answered);
    editor.finish().await;
    let health = home.command().arg("doctor").output().expect("doctor runs");
    let health = String::from_utf8_lossy(&health.stdout).into_owned();
    assert!(!health.contains("damage"), "{health}");
}

async fn killed_behind_a_prompt(home: &Home, session: &str) -> Ended {
    let mut pillion = prompted(home, session, "fine.json").await;
    let answer = answer(&mut pillion, "p").await;
    pillion.kill().await;
    (answer["turnId"].clone(), answer["stopReason"].clone(), Value::Null)
}

async fn killed_behind_a_cancel(home: &Home, session: &str) -> Ended {
    let mut pillion = prompted(home, session, "stalls.json").await;
    while !pillion.next().await.contains("agent_message_chunk") {}
    pillion.send(json!({ "jsonrpc": "2.0", "id": "c", "method": "session/cancel", "params": { "sessionId": session } }).to_string()).await;
    let answer = answer(&mut pillion, "c").await;
    pillion.kill().await;
    (answer["turnId"].clone(), json!("cancelled"), answer["abort"]["abort_id"].clone())
}

/// A process with a new session and a prompt on its way.
async fn prompted(home: &Home, session: &str, script: &str) -> Raw {
    let model = format!("scripted:{}", home.workspace().join(script).display());
    let mut pillion = Raw::start(home, Framing::Lines, &["--model", &model]);
    let prompt = json!([{ "type": "text", "text": "how are you?" }]);
    let all = [
        ("i", "initialize", json!({ "capabilities": {} })),
        ("n", "session/new", json!({ "cwd": home.workspace(), "sessionId": session })),
        ("p", "session/prompt", json!({ "sessionId": session, "prompt": prompt })),
    ];
    for (id, method, params) in all {
        pillion.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()).await;
    }
    pillion
}

async fn answer(pillion: &mut Raw, id: &str) -> Value {
    loop {
        let mut answer: Value = serde_json::from_str(&pillion.next_answer().await).expect("JSON");
        if answer["id"] == id {
            assert!(answer.get("error").is_none(), "{answer}");
            return answer["result"].take();
        }
    }
}
