//! Requests: ids, order, limits, panics, and everything that is refused.

use crate::config::{Framing, Limits};
use crate::protocol::ids::SessionId;
use crate::provenance::panics;
use crate::rpc::test_server::{FRAMINGS, greeted, lsp, note, open_with, prompt, request};
use serde_json::{Value, json};

#[tokio::test]
async fn ids_come_back_and_are_seen_as_they_were_sent() {
    const IDS: [&str; 11] =
        ["7", "\"abc\"", "2147483653", "9007199254740992", "-4", "null", "\"\"", "0", "\"0\"", "1.0", "18446744073709551616"];
    for framing in FRAMINGS {
        let (mut peer, server) = lsp(framing).await;
        for id in IDS {
            peer.send_raw(&[&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"session/new","params":{{"cwd":"/"}}}}"#)]).await;
            let answer = peer.next_raw().await;
            assert!(answer.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"#)), "{answer}");
        }
        let seen: Vec<String> = server.sessions.origins().iter().map(|origin| origin.id.as_json().to_owned()).collect();
        assert_eq!(seen, IDS);
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_request_knows_where_it_came_from() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (framing, transport) in [(Framing::Headers, "stdio_lsp"), (Framing::Lines, "stdio_jsonl")] {
        let (mut peer, server) = lsp(framing).await;
        peer.call(json!(5), "session/close", json!({"sessionId": "s", "_meta": {"traceparent": trace}})).await;
        assert_eq!(
            json!(server.sessions.origins()[0]),
            json!({"method": "session/close", "id": 5, "connection_id": "conn_1", "client": {"name": "test", "version": "0.1"},
                   "transport": transport, "traceparent": trace})
        );
        peer.finish().await;
    }
}

#[tokio::test]
async fn updates_come_before_their_answer_at_odd_and_even_counts() {
    for framing in FRAMINGS {
        let (mut peer, _server) = lsp(framing).await;
        for round in 0..240_u64 {
            let count = round % 9;
            peer.send(&[prompt(json!(round), "s", &format!("say {count}"))]).await;
            for seq in 1..=count {
                let update = peer.next().await;
                assert_eq!((&update["method"], &update["params"]["_meta"]["pillion"]["seq"]), (&json!("session/update"), &json!(seq)));
            }
            assert_eq!(peer.next().await["id"], round);
        }
        peer.send(&[request(json!("load"), "session/load", json!({"sessionId": "s"}))]).await;
        for _ in 0..3 {
            assert_eq!(peer.next().await["method"], "session/update");
        }
        assert_eq!(peer.next().await["id"], "load");
        peer.finish().await;
    }
}

#[tokio::test]
async fn an_update_is_written_in_its_whole_shape() {
    let (mut peer, _server) = lsp(Framing::Lines).await;
    peer.send(&[prompt(json!(1), "s", "say 1")]).await;
    assert_eq!(
        peer.next().await,
        json!({"jsonrpc": "2.0", "method": "session/update", "params": {
            "sessionId": "s",
            "update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "word 1"}},
            "_meta": {"pillion": {"seq": 1, "turnId": "turn_1"}}}})
    );
    let answer = peer.next().await;
    assert_eq!(
        answer["result"],
        json!({"stopReason": "end_turn", "turnId": "turn_1", "messageId": "msg_2", "lastUpdate": 0, "usage": {"source": "absent"}, "diagnostics": {}})
    );
    peer.finish().await;
}

#[tokio::test]
async fn a_live_id_is_refused_to_a_second_request_and_the_first_goes_on() {
    for framing in FRAMINGS {
        let (mut peer, _server) = lsp(framing).await;
        peer.send(&[prompt(json!(7), "s", "hang")]).await;
        for method in ["session/list", "no/such", "session/cancel"] {
            let refused = peer.call(json!(7), method, json!({"sessionId": "s"})).await;
            assert_eq!(refused["error"]["code"], -32600, "{method}");
            assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("session/prompt")));
        }
        // The text "7" is another id.
        assert_eq!(peer.call(json!("7"), "session/list", json!({})).await["result"], json!({"sessions": []}));
        peer.notify("session/cancel", json!({"sessionId": "s"})).await;
        assert_eq!(peer.next().await["result"]["stopReason"], "cancelled");
        assert_eq!(peer.call(json!(7), "session/list", json!({})).await["result"], json!({"sessions": []}));
        peer.finish().await;
    }
}

#[tokio::test]
async fn too_many_requests_are_refused_but_cancels_get_through() {
    for framing in FRAMINGS {
        let limits = Limits { in_flight: 3, ..Limits::default() };
        let (mut peer, _server) = greeted(open_with(framing, limits), json!({"capabilities": {}})).await;
        peer.send(&[prompt(json!(1), "a", "hang"), prompt(json!(2), "b", "hang")]).await;
        assert!(peer.call(json!(3), "session/list", json!({})).await["result"].is_object());
        peer.send(&[prompt(json!(3), "c", "hang")]).await;
        let refused = peer.call(json!(4), "session/list", json!({})).await["error"].take();
        assert_eq!((&refused["code"], &refused["data"]), (&json!(-32803), &json!({"limit": 3})));
        peer.send(&[request(json!(5), "session/cancel", json!({"sessionId": "b"}))]).await;
        assert_eq!(peer.next().await["id"], 2);
        assert_eq!(peer.next().await["result"]["outcome"], "cancelled");
        assert!(peer.call(json!(4), "session/list", json!({})).await["result"].is_object());
        peer.notify("$/cancelRequest", json!({"id": 1})).await;
        peer.notify("$/cancelRequest", json!({"id": 3})).await;
        let mut ids = [peer.next().await["id"].take(), peer.next().await["id"].take()];
        ids.sort_by_key(Value::as_u64);
        assert_eq!(ids, [json!(1), json!(3)]);
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_panic_is_the_answer_of_its_own_request_and_an_incident_and_nobody_elses_trouble() {
    panics::watch();
    for framing in FRAMINGS {
        let (mut peer, server) = lsp(framing).await;
        peer.send(&[prompt(json!("now"), "s", "panic")]).await;
        let broken = peer.next().await;
        assert_eq!((&broken["id"], &broken["error"]["code"]), (&json!("now"), &json!(-32603)));
        let later = peer.call(json!("later"), "session/list", json!({"cursor": "panic"})).await;
        assert_eq!(later["error"]["code"], -32603);
        let document = json!({"uri": "file:///panic", "languageId": "text", "version": 1, "text": ""});
        peer.notify("textDocument/didOpen", json!({ "textDocument": document })).await;
        peer.notify("session/cancel", json!({"sessionId": "panic"})).await;
        assert!(peer.call(json!(1), "session/list", json!({})).await["result"].is_object());
        assert!(!server.ended.is_finished());
        let broken = server.sessions.broken();
        let told: Vec<_> = broken
            .iter()
            .map(|it| {
                (
                    it.name.as_str(),
                    it.session_id.as_ref().map(SessionId::as_str),
                    it.method.as_deref(),
                    it.message.lines().next().unwrap_or_default(),
                )
            })
            .collect();
        let breaks = [
            "a handler that breaks at once",
            "a handler that breaks later",
            "a document that breaks",
            "assertion `left != right` failed: a session that breaks",
        ];
        let expected = [
            ("handler_panic", Some("s"), Some("session/prompt"), breaks[0]),
            ("handler_panic", None, Some("session/list"), breaks[1]),
            ("intake_panic", None, None, breaks[2]),
            ("intake_panic", None, None, breaks[3]),
        ];
        assert_eq!(told, expected);
        let at: Vec<_> = broken.iter().filter_map(|it| it.panicked_at.as_ref()).map(|at| (at.file.as_str(), at.line > 0)).collect();
        assert_eq!(at, [("src/rpc/test_server/fake.rs", true); 4]);
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_result_may_have_the_limit_and_not_one_byte_more() {
    // {"export":"xxx"} is 11 bytes around the document.
    let limits = Limits { result: 1011, ..Limits::default() };
    let (mut peer, _server) = greeted(open_with(Framing::Lines, limits), json!({"capabilities": {}})).await;
    for (bytes, fits) in [(999, true), (1000, true), (1001, false), (1060, false), (2000, false)] {
        let answer = peer.call(json!(bytes), "session/export", json!({"sessionId": bytes.to_string()})).await;
        assert_eq!(answer["result"].is_object(), fits, "{bytes}");
        if !fits {
            assert_eq!((&answer["error"]["code"], &answer["error"]["data"]), (&json!(-32803), &json!({"limit": 1011})));
            assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("`path`")));
        }
    }
    peer.finish().await;
}

#[tokio::test]
async fn unknown_requests_are_named_and_unknown_notifications_are_ignored() {
    for framing in FRAMINGS {
        let (mut peer, server) = lsp(framing).await;
        for method in ["textDocument/hover", "session/fork", "$/unknown", "_pillion/session/export", "exit"] {
            let refused = peer.call(json!(1), method, json!({})).await["error"].take();
            assert_eq!(refused["code"], -32601);
            assert!(refused["message"].as_str().is_some_and(|text| text.contains(method)));
        }
        // Nothing but a cancel may come without an id.
        peer.send(&[
            note("session/new", json!({"cwd": "/"})),
            note("session/prompt", json!({"sessionId": "s", "prompt": [{"type": "text", "text": "hang"}]})),
            note("shutdown", Value::Null),
            note("initialize", json!({})),
            note("$/whatever", json!([1])),
            note("workspace/didChangeConfiguration", json!({})),
        ])
        .await;
        assert!(peer.call(json!(2), "session/list", Value::Null).await["result"].is_object());
        assert!(server.sessions.origins().is_empty() && server.sessions.stops().is_empty());
        peer.finish().await;
    }
}

#[tokio::test]
async fn bad_parameters_are_told_with_method_and_field() {
    for framing in FRAMINGS {
        let (mut peer, _server) = lsp(framing).await;
        let mut refusal = async |params: Value| peer.call(json!(1), "session/prompt", params).await["error"].take();
        let missing = refusal(json!({})).await;
        assert_eq!(missing["message"], "session/prompt: missing field `sessionId`");
        assert_eq!((&missing["code"], &missing["data"]), (&json!(-32602), &json!({"field": "sessionId"})));
        let wrong = refusal(json!({"sessionId": "s", "prompt": [{"type": "text", "text": 7}]})).await;
        assert_eq!(wrong["data"], json!({"field": "prompt"}), "{wrong}");
        assert!(wrong["message"].as_str().is_some_and(|text| text.starts_with("session/prompt: `prompt`: ")), "{wrong}");
        let busy = refusal(json!({"sessionId": "s", "prompt": [], "whenBusy": "panic"})).await;
        assert_eq!(busy["data"], json!({"field": "whenBusy"}), "{busy}");
        assert_eq!(refusal(json!([1, 2])).await["message"], "session/prompt: params must be one object");
        peer.finish().await;
    }
}

#[tokio::test]
async fn document_texts_go_to_the_documents() {
    let (mut peer, server) = lsp(Framing::Headers).await;
    let name = |version: i32| json!({"uri": "file:///a", "version": version, "languageId": "text", "text": "one"});
    peer.notify("textDocument/didOpen", json!({"textDocument": name(1)})).await;
    peer.notify("textDocument/didChange", json!({"textDocument": name(2), "contentChanges": [{"text": "x"}, {"text": "two"}]})).await;
    peer.notify("textDocument/didSave", json!({"textDocument": name(2)})).await;
    peer.notify("textDocument/didChange", json!({"textDocument": 7})).await;
    peer.notify("textDocument/didClose", json!({"textDocument": name(2)})).await;
    peer.call(json!(1), "session/list", json!({})).await;
    assert_eq!(server.documents.told(), ["open file:///a 1 one", "change file:///a 2 two", "close file:///a"]);
    peer.finish().await;
}
