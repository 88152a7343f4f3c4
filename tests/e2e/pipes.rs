//! The pipes: a client that stops reading, half a frame, updates and answers that must not overtake each other.

use crate::support::process::{exported, left, status};
use crate::support::raw::Raw;
use crate::support::{Dialect, Editor, Framing, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FRAMINGS: [Framing; 2] = [Framing::Headers, Framing::Lines];

/// What may wait to be written: the outbox' limit.
const OUTBOX: u64 = 8 << 20;

/// 20,000 updates of 10 kB each, in one burst.
fn burst(home: &Home) -> String {
    let line = "A line of text that is neither short nor long, again and again. ".repeat(157);
    home.script(&json!({ "steps": [[{ "text": { "text": line, "repeat": 20_000 } }], [{ "text": "fine" }]] }))
}

/// A burst into the pipe of a client that has stopped to read; the outbox is full.
async fn blocked(home: &Home, framing: Framing) -> (Editor, String, Value) {
    let mut editor = Editor::ready(home, framing, Dialect::Lsp, &["--model", &burst(home)]).await;
    let session = editor.new_session(home).await;
    editor.read_on(false);
    let prompt = editor.prompt(&session, "read it to me").await;
    // It is full when the turn writes nothing to its store any more: text is saved as it is sent.
    let (mut before, mut quiet) = (0, 0);
    while quiet < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stored = stored_bytes(home);
        quiet = if stored == before && stored > OUTBOX { quiet + 1 } else { 0 };
        before = stored;
    }
    (editor, session, prompt)
}

/// The size of the store's files.
fn stored_bytes(home: &Home) -> u64 {
    let files = std::fs::read_dir(home.data_dir()).expect("a directory");
    files.filter_map(|file| file.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The first abort of the session, as soon as another process finds one.
async fn recorded(home: &Home, session: &str) -> Value {
    let since = Instant::now();
    loop {
        let export = exported(home, session).await;
        match &export["diagnostics"]["aborts"][0] {
            Value::Null => assert!(since.elapsed() < Duration::from_secs(20), "no abort was recorded"),
            abort => return abort.clone(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_can_cancel_and_costs_little_memory() {
    for framing in FRAMINGS {
        let home = Home::new();
        let (mut editor, session, prompt) = blocked(&home, framing).await;
        let peak = status(editor.pid(), "VmHWM");
        assert!(peak < 80 << 10, "200 MB of updates took {peak} KiB");
        editor.request_as(json!("stop"), "session/cancel", json!({ "sessionId": session })).await;
        let abort = recorded(&home, &session).await;
        assert_eq!((&abort["cause"], &abort["request"]["id"]), (&json!("client_cancel"), &json!("stop")));
        assert_eq!(abort["forced"], false, "a turn that waits for room hears the cancel: {abort:#}");
        let bytes = abort["partial"]["text_bytes"].as_u64().expect("a count");
        assert!((OUTBOX * 9 / 10..OUTBOX * 11 / 10).contains(&bytes), "the turn waited for room at {bytes} bytes");
        let (sent, unsent) = sent_and_unsent(&abort);
        assert!(sent < 50 && unsent > 500, "the pipe took {sent} updates of 10 kB, and {unsent} waited");
        assert!(abort["partial"]["not_read_since"].as_u64() < abort["requested_at"].as_u64(), "{abort:#}");

        editor.read_on(true);
        let all = editor.all_until(&json!("stop")).await;
        let (answers, updates) = (&all[all.len() - 2..], &all[..all.len() - 2]);
        assert_eq!((&answers[0]["id"], &answers[0]["result"]["stopReason"]), (&prompt, &json!("cancelled")));
        assert_eq!((&answers[0]["result"]["lastUpdate"], sent + unsent), (&json!(updates.len()), updates.len() as u64));
        assert_eq!(answers[1]["result"]["outcome"], "cancelled");
        let seqs: Vec<_> = updates.iter().map(|update| update["params"]["_meta"]["pillion"]["seq"].as_u64().expect("a seq")).collect();
        assert_eq!(seqs, (1..=updates.len() as u64).collect::<Vec<_>>());
        let again = editor.prompt(&session, "and now?").await;
        assert_eq!(editor.all_until(&again).await.len(), 2, "one update and the answer");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_again_holds_up_no_end() {
    // Each end, while more waits to be written than the pipe takes.
    type End = fn(&mut Editor);
    let ends: [(End, i32, &str); 3] = [
        (Editor::hang_up, 0, "client_eof"),
        (|editor| crate::support::process::signal(editor.pid(), Signal::TERM), 143, "signal"),
        (|editor| editor.close_stdout(), 3, "client_write_failed"),
    ];
    for (end, code, cause) in ends {
        let home = Home::new();
        let (mut editor, session, _prompt) = blocked(&home, Framing::Headers).await;
        let since = Instant::now();
        end(&mut editor);
        assert_eq!(left(&mut editor, since).await, Some(code), "{cause}");
        let abort = recorded(&home, &session).await;
        assert_eq!((&abort["cause"], &abort["forced"]), (&json!(cause), &json!(false)));
        let (sent, unsent) = sent_and_unsent(&abort);
        assert!(sent < 50 && unsent > 500, "{cause}: the pipe took {sent} updates of 10 kB, and {unsent} waited");
        let bytes = abort["partial"]["text_bytes"].as_u64().expect("a count");
        assert!(bytes < OUTBOX * 11 / 10, "{cause}: the model went on to {bytes} bytes");
        let hops = abort["propagation"].as_array().expect("hops");
        assert!(hops.iter().all(|hop| hop["point"] != "turn.answered"), "{cause}: nobody read an answer: {hops:#?}");
    }
}

/// The updates that were written to the client's pipe, and those that were not.
fn sent_and_unsent(abort: &Value) -> (u64, u64) {
    let count = |field: &str| abort["partial"][field].as_u64().unwrap_or_else(|| panic!("{field} is missing in {abort:#}"));
    (count("updates_sent"), count("updates_unsent"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_frame_then_silence_then_eof_is_an_orderly_end() {
    for (framing, half) in [
        (Framing::Headers, &b"Content-Len"[..]),
        (Framing::Headers, b"Content-Length: 500\r\n"),
        (Framing::Headers, b"Content-Length: 500\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session/list\"}"),
        (Framing::Lines, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session/li"),
    ] {
        let home = Home::new();
        let mut raw = Raw::ready(&home, framing, &[]).await;
        raw.bytes(half).await;
        falls_still(raw.pid()).await;
        assert_eq!(raw.end().await, (Some(0), vec![]), "{framing:?}");
    }
    // A last line that only lacks its end is whole.
    let home = Home::new();
    let mut raw = Raw::ready(&home, Framing::Lines, &[]).await;
    raw.bytes(br#"{"jsonrpc":"2.0","id":1,"method":"session/list"}"#).await;
    assert_eq!(raw.end().await, (Some(0), vec![r#"{"jsonrpc":"2.0","id":1,"result":{"sessions":[]}}"#.to_owned()]));
}

/// Silence costs nothing: once it has started, a pillion that waits is never put on a processor.
async fn falls_still(pid: u32) {
    let since = Instant::now();
    loop {
        let before = switches(pid);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let woke = switches(pid) - before;
        if woke == 0 {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{woke} wake-ups in half a second of silence");
    }
}

/// How often the threads of a process have been put on a processor.
fn switches(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let of_thread = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let numbers = status.lines().filter_map(|line| line.split_once("ctxt_switches:")?.1.trim().parse::<u64>().ok());
        numbers.sum::<u64>()
    };
    threads.filter_map(Result::ok).map(of_thread).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_overtakes_its_updates_at_any_count() {
    for framing in FRAMINGS {
        let home = Home::new();
        let steps: Vec<_> = (1..=40).map(|count| json!([{ "text": { "text": "word ", "repeat": count } }])).collect();
        let model = home.script(&json!({ "steps": steps }));
        let mut editor = Editor::ready(&home, framing, Dialect::Acp, &["--model", &model]).await;
        let session = editor.new_session(&home).await;
        let mut last = 0;
        for count in 1..=40_u64 {
            let prompt = editor.prompt(&session, "count").await;
            let all = editor.all_until(&prompt).await;
            let (answer, updates) = all.split_last().expect("an answer");
            let seqs: Vec<_> = updates.iter().map(|update| update["params"]["_meta"]["pillion"]["seq"].as_u64().expect("a seq")).collect();
            assert_eq!(seqs, (last + 1..=last + count).collect::<Vec<_>>());
            last += count;
            assert_eq!(answer["result"]["_meta"]["pillion"]["lastUpdate"], last);
        }
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_and_its_cancel_in_one_write_are_answered_in_that_order_every_time() {
    const ROUNDS: usize = 150;
    for framing in FRAMINGS {
        let home = Home::new();
        let model = home.script(&json!({ "steps": vec![json!([{ "text": "word" }, "stall"]); ROUNDS] }));
        let mut editor = Editor::ready(&home, framing, Dialect::Lsp, &["--model", &model]).await;
        let session = editor.new_session(&home).await;
        for round in 0..ROUNDS {
            let (asked, stop) = (json!(format!("p{round}")), json!(format!("c{round}")));
            let params = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "two" }] });
            let prompt = json!({ "jsonrpc": "2.0", "id": asked, "method": "session/prompt", "params": params });
            let cancel = json!({ "jsonrpc": "2.0", "id": stop, "method": "session/cancel", "params": { "sessionId": session } });
            editor.send_all(&[prompt, cancel]).await;
            let all = editor.all_until(&stop).await;
            let (answer, cancelled) = (&all[all.len() - 2], &all[all.len() - 1]);
            assert_eq!((&answer["id"], &answer["result"]["stopReason"]), (&asked, &json!("cancelled")));
            let abort = &answer["result"]["diagnostics"]["abort"];
            assert_eq!((&abort["request"]["id"], &abort["prompt_request"]["id"]), (&stop, &asked));
            assert_eq!(&cancelled["result"]["abort"], abort);
            assert!(all.len() <= 3, "at most one word was said: {all:#?}");
        }
        let export = editor.call("session/export", json!({ "sessionId": session })).await;
        assert_eq!(export["export"]["diagnostics"]["aborts"].as_array().map(Vec::len), Some(ROUNDS));
        editor.finish().await;
    }
}
