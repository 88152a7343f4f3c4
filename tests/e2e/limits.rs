//! Every limit of the wire at one below, at it, and one above; and header blocks in all their spellings.

use crate::support::process::status;
use crate::support::raw::{Raw, fine, framed};
use crate::support::{Framing, Home};
use serde_json::{Value, json};

const FRAMINGS: [Framing; 2] = [Framing::Headers, Framing::Lines];
const MESSAGE: usize = 16 << 20;

fn error(id: &str, code: i32, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{}}}}}"#, Value::from(message))
}

fn no_method() -> String {
    error("1", -32601, "there is no method x here")
}

/// A request of exactly this many bytes.
fn request_of(bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"fill":""#, r#""}}"#);
    [head.as_bytes(), &vec![b'a'; bytes - head.len() - tail.len()], tail.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_16_mib_is_taken_and_one_byte_more_is_skipped() {
    for framing in FRAMINGS {
        let home = Home::new();
        let mut raw = Raw::ready(&home, framing, &["--model", &fine(&home)]).await;
        let too_large = match framing {
            Framing::Headers => format!("the message has {} bytes and the limit is {MESSAGE}", MESSAGE + 1),
            Framing::Lines => format!("the message has more than {MESSAGE} bytes, the limit"),
        };
        let too_large = error("null", -32600, &(too_large + "; it was skipped, send it in smaller parts"));
        for (bytes, answer) in [(MESSAGE - 1, no_method()), (MESSAGE, no_method()), (MESSAGE + 1, too_large)] {
            raw.send(request_of(bytes)).await;
            assert_eq!(raw.next().await, answer, "{framing:?}, {bytes} bytes");
        }
        raw.still_serves(&home).await;
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_skipped_takes_no_memory_and_neither_does_what_was_only_declared() {
    for framing in FRAMINGS {
        let home = Home::new();
        let mut raw = Raw::ready(&home, framing, &["--model", &fine(&home)]).await;
        let before = status(raw.pid(), "VmHWM");
        // 256 MiB, sent in pieces.
        let piece = vec![b'{'; 1 << 20];
        if framing == Framing::Headers {
            raw.bytes(format!("Content-Length: {}\r\n\r\n", 256 << 20).as_bytes()).await;
        }
        for _ in 0..256 {
            raw.bytes(&piece).await;
        }
        if framing == Framing::Lines {
            raw.bytes(b"\n").await;
        }
        assert!(raw.next().await.starts_with(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"#));
        raw.still_serves(&home).await;
        // A line is kept until it is known to be too long; a body that declares its length is never kept.
        let (grown, allowed) = (status(raw.pid(), "VmHWM") - before, if framing == Framing::Lines { 64 << 10 } else { 16 << 10 });
        assert!(grown < allowed, "{framing:?}: {grown} KiB more");
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
    let home = Home::new();
    let mut raw = Raw::ready(&home, Framing::Headers, &[]).await;
    let before = status(raw.pid(), "VmHWM");
    raw.bytes(format!("Content-Length: {}\r\n\r\n{{", u64::MAX).as_bytes()).await;
    let message = format!("the message has {} bytes and the limit is {MESSAGE}; it was skipped, send it in smaller parts", u64::MAX);
    assert_eq!(raw.next().await, error("null", -32600, &message));
    assert!(status(raw.pid(), "VmHWM") - before < 16 << 10);
    assert_eq!(raw.end().await, (Some(0), vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nesting_ends_at_128_levels() {
    let too_deep = error("null", -32600, "the message nests arrays and objects deeper than 128 levels; send it flatter");
    // The message itself is the first level.
    let request = |levels: usize, open: &str, close: &str| {
        let nested = format!("{}0{}", open.repeat(levels - 1), close.repeat(levels - 1));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{nested}}}"#)
    };
    for framing in FRAMINGS {
        let home = Home::new();
        let mut raw = Raw::ready(&home, framing, &["--model", &fine(&home)]).await;
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for (levels, answer) in [(127, no_method()), (128, no_method()), (129, too_deep.clone()), (1_000_000, too_deep.clone())] {
                raw.send(request(levels, open, close)).await;
                assert_eq!(raw.next().await, answer, "{framing:?}, {levels} levels of {open}");
            }
        }
        // Never closed, closed too often, and brackets that are text.
        raw.send("[".repeat(1_000_000)).await;
        assert_eq!(raw.next().await, too_deep);
        raw.send(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":["{}\"["]}}"#, "[".repeat(1000))).await;
        assert_eq!(raw.next().await, no_method());
        raw.still_serves(&home).await;
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_1025th_request_is_refused_and_a_cancel_still_works() {
    for framing in FRAMINGS {
        let home = Home::new();
        let model = home.script(&json!({ "steps": [["stall"], [{ "text": "fine" }]] }));
        let mut raw = Raw::ready(&home, framing, &["--model", &model]).await;
        let new =
            json!({ "jsonrpc": "2.0", "id": "new", "method": "session/new", "params": { "cwd": home.workspace(), "sessionId": "s" } });
        raw.send(new.to_string()).await;
        assert!(raw.next().await.starts_with(r#"{"jsonrpc":"2.0","id":"new","result":{"#));
        let prompt = |id: usize| {
            let params = json!({ "sessionId": "s", "prompt": [{ "type": "text", "text": "x" }] });
            json!({ "jsonrpc": "2.0", "id": id, "method": "session/prompt", "params": params }).to_string()
        };
        let refused = |id: usize| {
            let message = "1024 requests are running, which is the most at once; wait for some of the answers";
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32803, "message": message, "data": { "limit": 1024 } } })
        };
        let parsed = |body: String| serde_json::from_str::<Value>(&body).expect("JSON");
        let all: Vec<u8> = (1..=1026).flat_map(|id| framed(framing, prompt(id).as_bytes())).collect();
        raw.bytes(&all).await;
        for id in [1025, 1026] {
            assert_eq!(parsed(raw.next().await), refused(id));
        }
        // One is taken out of the queue: there is room for one.
        raw.send(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1024}}"#).await;
        let withdrawn = parsed(raw.next().await);
        assert_eq!((&withdrawn["id"], &withdrawn["result"]["stopReason"]), (&json!(1024), &json!("cancelled")));
        for id in [1025, 1026] {
            raw.send(prompt(id)).await;
        }
        assert_eq!(parsed(raw.next().await), refused(1026));
        raw.send(r#"{"jsonrpc":"2.0","id":"stop","method":"session/cancel","params":{"sessionId":"s"}}"#).await;
        let mut answered = Vec::new();
        loop {
            let answer = parsed(raw.next().await);
            if answer["id"] == "stop" {
                assert_eq!(answer["result"]["outcome"], "cancelled");
                break;
            }
            assert_eq!(answer["result"]["stopReason"], "cancelled");
            answered.push(answer["id"].as_u64().expect("a prompt's id"));
        }
        answered.sort_unstable();
        assert_eq!(answered, (1..=1023).chain([1025]).collect::<Vec<_>>());
        raw.still_answers("s").await;
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}

/// A header line of exactly this many bytes, without its end.
fn line_of(bytes: usize) -> String {
    format!("X-Fill: {}", "a".repeat(bytes - "X-Fill: ".len()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_blocks_are_read_in_every_spelling_up_to_their_limits() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#;
    let length = format!("Content-Length: {}\r\n", body.len());
    // Four lines of 900 bytes with their ends leave the rest to a fifth, the length and the blank line.
    let fill = |bytes: usize| format!("{}\r\n", line_of(898)).repeat(4) + &line_of(bytes - 3600 - length.len() - 4) + "\r\n";
    let n = body.len();
    let blocks = [
        length.clone() + "\r\n",
        format!("content-length: {n}\r\n\r\n"),
        format!("CONTENT-LENGTH:{n}\r\n\r\n"),
        format!("Content-Length:   {n}  \r\n\r\n"),
        format!("Content-Length: 000{n}\r\n\r\n"),
        format!("Content-Length: {n}\n\n"),
        format!("Content-Length: {n}\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n"),
        format!("Content-Type: application/vscode-jsonrpc; charset=utf8\r\nContent-Length: {n}\r\n\r\n"),
        format!("Content-Type: x\r\nContent-Length: {n}\r\nX-More:\r\n\r\n"),
        format!("Content-Length: {n}\r\nContent-Length: {n}\r\n\r\n"),
        format!("\r\n\r\nContent-Length: {n}\r\n\r\n"),
        format!("{}\r\n{length}\r\n", line_of(1023)),
        format!("{}\r\n{length}\r\n", line_of(1024)),
        fill(4095) + &length + "\r\n",
        fill(4096) + &length + "\r\n",
    ];
    let home = Home::new();
    let mut raw = Raw::ready(&home, Framing::Headers, &["--model", &fine(&home)]).await;
    for block in &blocks {
        raw.bytes(&[block.as_bytes(), body.as_bytes()].concat()).await;
        assert_eq!(raw.next().await, no_method(), "{block:?}");
    }
    raw.still_serves(&home).await;
    assert_eq!(raw.end().await, (Some(0), vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_header_block_is_told_and_ends_with_2() {
    let send = "; send `Content-Length: <bytes>`, an empty line and the message";
    let too_long = "a header line has more than 1024 bytes".to_owned() + send;
    let block_too_long = "the header block has more than 4096 bytes".to_owned() + send;
    let no_header =
        "a header line is not `Name: value`; send `Content-Length: <bytes>` before each message, or one JSON message a line".to_owned();
    let no_length = "the header block has no Content-Length; send it before each message".to_owned();
    let bad_length = "Content-Length is not a count of bytes; send decimal digits only".to_owned();
    let two_lengths = "Content-Length appears twice with different values; send it once".to_owned();
    let full = format!("{}\r\n", line_of(998)).repeat(4) + &line_of(4097 - 4000 - 4) + "\r\n\r\n";
    let table = [
        (line_of(1025) + "\r\n", too_long.clone()),
        ("a".repeat(100_000), too_long),
        (full, block_too_long),
        ("Content-Length 5\r\n\r\n".to_owned(), no_header.clone()),
        ("Content Length: 5\r\n\r\n".to_owned(), no_header.clone()),
        (": 5\r\n\r\n".to_owned(), no_header.clone()),
        ("\0: 5\r\n\r\n".to_owned(), no_header),
        ("Content-Type: x\r\n\r\n".to_owned(), no_length),
        ("Content-Length: -5\r\n\r\n".to_owned(), bad_length.clone()),
        ("Content-Length: +5\r\n\r\n".to_owned(), bad_length.clone()),
        ("Content-Length: 5.0\r\n\r\n".to_owned(), bad_length.clone()),
        ("Content-Length: 0x5\r\n\r\n".to_owned(), bad_length.clone()),
        ("Content-Length:\r\n\r\n".to_owned(), bad_length.clone()),
        ("Content-Length: 18446744073709551616\r\n\r\n".to_owned(), bad_length),
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\n".to_owned(), two_lengths),
    ];
    for (block, told) in table {
        let home = Home::new();
        let mut raw = Raw::ready(&home, Framing::Headers, &[]).await;
        // stdin stays open until pillion is gone: `end` closes it only after the answer was read.
        raw.bytes(block.as_bytes()).await;
        assert_eq!(raw.next().await, error("null", -32700, &told), "{block:?}");
        assert_eq!(raw.next_or_end().await, None);
        assert_eq!(raw.end().await, (Some(2), vec![]));
    }
}
