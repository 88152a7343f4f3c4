//! Hostile and unusual input in both framings: one exact answer each, and the server goes on as if nothing had happened.

use crate::support::raw::{Raw, fine, framed};
use crate::support::{Framing, Home};
use serde_json::{Value, json};

const FRAMINGS: [Framing; 2] = [Framing::Headers, Framing::Lines];

/// An error answer as it stands on the wire.
fn error(id: &str, code: i32, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{}}}}}"#, Value::from(message))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_gets_one_answer_and_harms_nothing() {
    let not_json = |what: &str| error("null", -32700, &format!("the message is not valid JSON: {what}"));
    let not_utf8 = |at: u32| error("null", -32700, &format!("the message is not valid UTF-8: the first bad byte is at offset {at}"));
    let batch = error("null", -32600, "batches are not supported; send each message by itself");
    let no_object = error("null", -32600, "a message must be a JSON object");
    let bad_id = |what: &str| error("null", -32600, &format!("a request id must be a string, a number or null, not {what}"));
    let bad_version = |id: &str| error(id, -32600, "`jsonrpc` must be \"2.0\"");
    let bad_params = error("5", -32602, "`params` must be an object or an array");
    let table: Vec<(&[u8], String)> = vec![
        (br#"{"jsonrpc":"2.0","id":1,"method":"#, not_json("EOF while parsing a value at line 1 column 33")),
        (br#"{"jsonrpc":"2.0","id":1,"method":"x"}}"#, not_json("trailing characters at line 1 column 38")),
        (b"{]", not_json("key must be a string at line 1 column 2")),
        (b"nul", not_json("EOF while parsing a value at line 1 column 3")),
        (b"NaN", not_json("expected value at line 1 column 1")),
        (b"\xEF\xBB\xBF{}", not_json("expected value at line 1 column 1")),
        (br#"{"jsonrpc":"2.0","id":01,"method":"x"}"#, not_json("invalid number at line 1 column 24")),
        (b"\xFF\xFE{}", not_utf8(0)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xC3\x28\"}", not_utf8(34)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xED\xA0\x80\"}", not_utf8(34)),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\0b\"}",
            not_json("control character (\\u0000-\\u001F) found while parsing a string at line 1 column 35"),
        ),
        (b"{\"jsonrpc\":\"2.0\",\0\"id\":1}", not_json("key must be a string at line 1 column 18")),
        (b"\0", not_json("expected value at line 1 column 1")),
        (br#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, error("1", -32600, "`method` must be a string")),
        (br#"{"jsonrpc":"2.0","id":"\ud800","method":"x"}"#, bad_id("a broken string")),
        (b"[]", batch.clone()),
        (b"[1]", batch.clone()),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"session/list"},{"jsonrpc":"2.0","id":2,"method":"session/list"}]"#, batch),
        (b"1", no_object.clone()),
        (br#""session/list""#, no_object.clone()),
        (b"null", no_object),
        (b"{}", bad_version("null")),
        (br#"{"jsonrpc":"1.0","id":5,"method":"x"}"#, bad_version("5")),
        (br#"{"id":5,"method":"x"}"#, bad_version("5")),
        (br#"{"jsonrpc":"2.0"}"#, error("null", -32600, "a message needs `method`, `result` or `error`")),
        (br#"{"jsonrpc":"2.0","id":5,"method":5}"#, error("5", -32600, "`method` must be a string")),
        (
            br#"{"jsonrpc":"2.0","id":5,"method":"x","result":1}"#,
            error("5", -32600, "a message has either `method`, or `result` or `error`, not both"),
        ),
        (
            br#"{"jsonrpc":"2.0","id":5,"id":6,"method":"x"}"#,
            error("null", -32600, "the message is ambiguous: duplicate field `id` at line 1 column 28"),
        ),
        (br#"{"jsonrpc":"2.0","id":5,"result":1,"error":{}}"#, error("null", -32600, "an answer has either `result` or `error`, not both")),
        (br#"{"jsonrpc":"2.0","result":1}"#, error("null", -32600, "an answer needs the `id` of its request")),
        (br#"{"jsonrpc":"2.0","id":5,"method":"session/list","params":5}"#, bad_params.clone()),
        (br#"{"jsonrpc":"2.0","id":5,"method":"session/list","params":"s"}"#, bad_params),
        (br#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, bad_id("an object")),
        (br#"{"jsonrpc":"2.0","id":[1],"method":"x"}"#, bad_id("an array")),
        (br#"{"jsonrpc":"2.0","id":true,"method":"x"}"#, bad_id("a boolean")),
    ];
    for framing in FRAMINGS {
        let home = Home::new();
        let mut raw = Raw::ready(&home, framing, &["--model", &fine(&home)]).await;
        for (body, answer) in &table {
            raw.send(body).await;
            assert_eq!(raw.next().await, *answer, "{framing:?} {}", String::from_utf8_lossy(body));
        }
        // All at once, in one write.
        raw.bytes(&table.iter().flat_map(|(body, _)| framed(framing, body)).collect::<Vec<_>>()).await;
        for (_, answer) in &table {
            assert_eq!(raw.next().await, *answer);
        }
        raw.still_serves(&home).await;
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_come_back_to_the_letter_and_live_ones_are_refused_a_second_time() {
    const IDS: [&str; 12] =
        ["0", "\"0\"", "1.0", "1", "9007199254740992", "18446744073709551616", "null", "\"\"", "-4", "1e400", "-0", r#""\u00e9\"\\""#];
    for framing in FRAMINGS {
        let home = Home::new();
        let model = home.script(&json!({ "steps": [["stall"]] }));
        let mut raw = Raw::ready(&home, framing, &["--model", &model]).await;
        // All of them live at once, each on a session of its own.
        let spelled = |id: &str| id.replace(r"\u00e9", "é");
        for (n, id) in IDS.iter().enumerate() {
            raw.send(format!(
                r#"{{"jsonrpc":"2.0","id":"new","method":"session/new","params":{{"cwd":{},"sessionId":"s{n}"}}}}"#,
                json!(home.workspace())
            ))
            .await;
            assert!(raw.next().await.starts_with(r#"{"jsonrpc":"2.0","id":"new","result":{"#));
            let prompt = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"session/prompt","params":{{"sessionId":"s{n}","prompt":[{{"type":"text","text":"x"}}]}}}}"#
            );
            raw.send(&prompt).await;
            raw.send(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"session/list"}}"#)).await;
            let id = spelled(id);
            let refused = format!("the id {id} belongs to a session/prompt that is still running; use another id");
            assert_eq!(raw.next().await, error(&id, -32600, &refused));
        }
        // Each is cancelled by its own id and by no other.
        for id in IDS {
            raw.send(format!(r#"{{"jsonrpc":"2.0","method":"$/cancelRequest","params":{{"id":{id}}}}}"#)).await;
            let answer = raw.next().await;
            let id = spelled(id);
            assert!(answer.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"stopReason":"cancelled","#)), "{id}: {answer}");
        }
        // An answered id is free again, and its cancel has nothing to stop.
        raw.send(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":0}}"#).await;
        raw.send(r#"{"jsonrpc":"2.0","id":0,"method":"session/cancel","params":{"sessionId":"s0"}}"#).await;
        assert!(raw.next().await.starts_with(r#"{"jsonrpc":"2.0","id":0,"result":{"outcome":"already_settled","#));
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_meaning_here_is_refused_or_passed_over() {
    for framing in FRAMINGS {
        let home = Home::new();
        let mut raw = Raw::ready(&home, framing, &["--model", &fine(&home)]).await;
        for method in ["", "x", "session/fork", "session/unknown", "initialized", "rpc.discover", "$/cancelRequest"] {
            raw.send(json!({ "jsonrpc": "2.0", "id": 1, "method": method }).to_string()).await;
            assert_eq!(raw.next().await, error("1", -32601, &format!("there is no method {method} here")));
        }
        // What is said of a name is readable and short, whatever the name is.
        raw.send(json!({ "jsonrpc": "2.0", "id": 1, "method": format!("a\u{0}\u{202E}{}", "é".repeat(100_000)) }).to_string()).await;
        let shown = format!("there is no method a⟨U+0000⟩⟨U+202E⟩{}… here", "é".repeat(76));
        assert_eq!(raw.next().await, error("1", -32601, &shown));
        let twice = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "capabilities": {} } });
        raw.send(twice.to_string()).await;
        assert_eq!(raw.next().await, error("1", -32600, "already initialized; a connection has one `initialize`"));
        for method in ["x", "$/progress", "session/list", "initialize", "textDocument/didOpen", "session/cancel", "$/setTrace"] {
            for params in ["null", "[]", "{}", "[1,2]", r#"{"sessionId":7,"value":1}"#] {
                raw.send(format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)).await;
            }
        }
        // Answers to questions that nobody asked.
        for id in ["7", "null", r#""ask-7""#] {
            raw.send(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":null}}"#)).await;
            raw.send(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":7}}"#)).await;
        }
        raw.still_serves(&home).await;
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_params_are_written_in_four_ways_and_one_object_in_two() {
    for framing in FRAMINGS {
        let home = Home::new();
        let mut raw = Raw::ready(&home, framing, &["--model", &fine(&home)]).await;
        for params in ["", r#","params":null"#, r#","params":[]"#, r#","params":{}"#, r#","params":[{}]"#] {
            raw.send(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"session/list"{params}}}"#)).await;
            assert_eq!(raw.next().await, r#"{"jsonrpc":"2.0","id":1,"result":{"sessions":[]}}"#);
        }
        for params in ["[1]", "[[]]", "[{},{}]"] {
            raw.send(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"session/list","params":{params}}}"#)).await;
            assert_eq!(raw.next().await, error("1", -32602, "session/list: params must be one object"));
        }
        raw.send(r#"{"jsonrpc":"2.0","id":1,"method":"session/new"}"#).await;
        let missing = error("1", -32602, "session/new: `cwd` must be an absolute path of a directory");
        assert_eq!(raw.next().await, missing.replace("\"}}", r#"","data":{"field":"cwd"}}}"#));
        raw.still_serves(&home).await;
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_works_before_initialize_and_everything_behind_it_in_the_same_write() {
    for (framing, code) in [(Framing::Headers, -32002), (Framing::Lines, -32600)] {
        let home = Home::new();
        let mut raw = Raw::start(&home, framing, &["--model", &fine(&home)]);
        for method in ["session/list", "shutdown", "no/such"] {
            raw.send(json!({ "jsonrpc": "2.0", "id": 1, "method": method }).to_string()).await;
            assert_eq!(raw.next().await, error("1", code, &format!("{method} came before initialize; send initialize first")));
        }
        raw.send(r#"{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":"s"}}"#).await;
        raw.send(r#"{"jsonrpc":"2.0","method":"initialized","params":{}}"#).await;
        for params in ["null", "{}", r#"{"protocolVersion":"1"}"#, r#"{"capabilities":null}"#] {
            raw.send(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#)).await;
            let neither =
                "initialize: `protocolVersion` must be a number (an ACP client), or `capabilities` must be an object (an LSP client)";
            assert_eq!(raw.next().await, error("1", -32602, neither));
        }
        let together = [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"session/list"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"no/such"}"#,
        ];
        raw.bytes(&together.iter().flat_map(|body| framed(framing, body.as_bytes())).collect::<Vec<_>>()).await;
        assert!(raw.next().await.starts_with(r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":"#));
        let mut answers = [raw.next().await, raw.next().await];
        answers.sort();
        let list = r#"{"jsonrpc":"2.0","id":2,"result":{"sessions":[]}}"#.to_owned();
        assert_eq!(answers, [list, error("3", -32601, "there is no method no/such here")]);
        raw.still_serves(&home).await;
        assert_eq!(raw.end().await, (Some(0), vec![]));

        let mut raw = Raw::start(&home, framing, &[]);
        raw.send(r#"{"jsonrpc":"2.0","method":"exit"}"#).await;
        assert_eq!(raw.end().await, (Some(1), vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dialect_follows_initialize_and_gives_errors_their_code() {
    let both = r#"{"protocolVersion":1,"capabilities":{}}"#;
    let table = [
        (Framing::Headers, r#"{"capabilities":{}}"#, "LSP"),
        (Framing::Lines, r#"{"capabilities":{}}"#, "LSP"),
        (Framing::Headers, r#"{"protocolVersion":1}"#, "ACP"),
        (Framing::Lines, r#"{"protocolVersion":99}"#, "ACP"),
        (Framing::Headers, both, "LSP"),
        (Framing::Lines, both, "ACP"),
    ];
    for (framing, params, dialect) in table {
        let home = Home::new();
        let model = home.script(&json!({ "steps": [[{ "http_error": { "status": 400 } }]] }));
        let mut raw = Raw::start(&home, framing, &["--model", &model]);
        raw.send(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#)).await;
        let greeting = if dialect == "LSP" { r#"{"capabilities":"# } else { r#"{"agentCapabilities":"# };
        let answer = raw.next().await;
        assert!(answer.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{greeting}"#)), "{dialect}: {answer}");
        raw.send(r#"{"jsonrpc":"2.0","id":2,"method":"session/resume","params":{"sessionId":"none"}}"#).await;
        let code = if dialect == "LSP" { -32602 } else { -32002 };
        let unknown: Value = serde_json::from_str(&raw.next().await).expect("JSON");
        assert_eq!((&unknown["error"]["code"], &unknown["error"]["data"]), (&json!(code), &json!({ "sessionId": "none" })));
        let new = json!({ "cwd": home.workspace(), "sessionId": "s" });
        raw.send(json!({ "jsonrpc": "2.0", "id": 3, "method": "session/new", "params": new }).to_string()).await;
        assert!(raw.next().await.starts_with(r#"{"jsonrpc":"2.0","id":3,"result":{"#));
        let prompt = json!({ "sessionId": "s", "prompt": [{ "type": "text", "text": "x" }] });
        raw.send(json!({ "jsonrpc": "2.0", "id": 4, "method": "session/prompt", "params": prompt }).to_string()).await;
        let failed: Value = serde_json::from_str(&raw.next_answer().await).expect("JSON");
        let code = if dialect == "LSP" { -32803 } else { -32603 };
        assert_eq!((&failed["id"], &failed["error"]["code"]), (&json!(4), &json!(code)), "{failed}");
        assert_eq!((&failed["error"]["data"]["cause"], &failed["error"]["data"]["http_status"]), (&json!("provider_http"), &json!(400)));
        assert_eq!(raw.end().await, (Some(0), vec![]));
    }
}
