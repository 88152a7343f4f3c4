//! The beginning and the end of a connection.

use crate::config::Framing;
use crate::protocol::cause::Cause;
use crate::protocol::mode::{Mode, SessionModes};
use crate::rpc::test_server::{FRAMINGS, acp, greeted, lsp, note, open, prompt, request};
use crate::rpc::watch::EndReason;
use serde_json::{Value, json};

#[tokio::test]
async fn requests_before_initialize_are_refused_by_the_framings_own_code() {
    for (framing, code) in [(Framing::Headers, -32002), (Framing::Lines, -32600)] {
        let (mut peer, server) = open(framing);
        peer.notify("session/cancel", json!({"sessionId": "s"})).await;
        for method in ["session/list", "shutdown", "no/such"] {
            assert_eq!(peer.call(json!(1), method, json!({})).await["error"]["code"], code, "{method}");
        }
        let neither = peer.call(json!(2), "initialize", json!({})).await;
        assert_eq!(neither["error"]["code"], -32602);
        let (mut peer, server) = greeted((peer, server), json!({"capabilities": {}})).await;
        assert_eq!(peer.call(json!(3), "initialize", json!({"capabilities": {}})).await["error"]["code"], -32600);
        assert!(server.sessions.demands().is_empty());
        peer.finish().await;
    }
}

#[tokio::test]
async fn what_is_sent_behind_initialize_in_the_same_write_works() {
    for framing in FRAMINGS {
        let (mut peer, _server) = open(framing);
        peer.send(&[
            request(json!(0), "initialize", json!({"capabilities": {}})),
            note("initialized", json!({})),
            request(json!(1), "session/new", json!({"cwd": "/", "sessionId": "mine"})),
            prompt(json!(2), "mine", "say 2"),
        ])
        .await;
        assert_eq!(peer.next().await["result"]["serverInfo"], json!({"name": "pillion", "version": "1.2.3"}));
        assert_eq!(peer.next().await["result"]["sessionId"], "mine");
        assert_eq!(peer.next().await["params"]["_meta"]["pillion"]["seq"], 1);
        assert_eq!(peer.next().await["params"]["_meta"]["pillion"]["seq"], 2);
        assert_eq!(peer.next().await["result"]["stopReason"], "end_turn");
        peer.finish().await;
    }
}

#[tokio::test]
async fn the_editor_process_and_the_trace_level_are_handed_on() {
    let hello = json!({"capabilities": {}, "processId": 4242, "trace": "messages"});
    let (mut peer, server) = greeted(open(Framing::Headers), hello).await;
    peer.notify("$/setTrace", json!({"value": "verbose"})).await;
    peer.notify("$/setTrace", json!({"value": 7})).await;
    peer.call(json!(1), "session/list", json!({})).await;
    let heard = server.heard();
    assert_eq!((heard.pids, heard.traces), (vec![4242], vec!["messages".to_owned(), "verbose".to_owned()]));
    peer.finish().await;
}

#[tokio::test]
async fn an_acp_client_gets_its_own_shapes_and_codes() {
    for framing in FRAMINGS {
        let (mut peer, server) = acp(framing).await;
        let modes = json!(SessionModes::at(Mode::Ask));
        let params = json!({"cwd": "/", "_meta": {"pillion": {"sessionId": "mine"}}});
        let made = peer.call(json!(1), "session/new", params).await;
        assert_eq!(made["result"], json!({"sessionId": "mine", "modes": modes, "configOptions": []}));
        assert_eq!(server.sessions.origins()[0].client.as_ref().expect("a client").name, "test");
        let loaded = peer.call(json!(2), "session/resume", json!({"sessionId": "mine"})).await;
        assert_eq!(loaded["result"], json!({"modes": modes, "configOptions": [], "_meta": {"pillion": {"notices": ["a notice"]}}}));
        let unknown = peer.call(json!(3), "session/resume", json!({"sessionId": "nowhere"})).await;
        assert_eq!((&unknown["error"]["code"], &unknown["error"]["data"]["sessionId"]), (&json!(-32002), &json!("nowhere")));
        peer.send(&[prompt(json!(4), "mine", "fail")]).await;
        let failed = peer.next().await["error"].take();
        assert_eq!((&failed["code"], &failed["data"]["cause"]), (&json!(-32603), &json!("provider_transport")));
        let exported = peer.call(json!(5), "_pillion/session/export", json!({"sessionId": "5"})).await;
        assert_eq!(exported["result"], json!({"_meta": {"pillion": {"export": "xxx"}}}));
        peer.finish().await;
    }
}

#[tokio::test]
async fn shutdown_answers_after_the_prompts_that_it_stopped() {
    for framing in FRAMINGS {
        let (mut peer, server) = lsp(framing).await;
        peer.send(&[prompt(json!(1), "a", "hang"), prompt(json!(2), "b", "hang"), request(json!("bye"), "shutdown", Value::Null)]).await;
        for id in [1, 2] {
            let stopped = peer.next().await;
            assert_eq!((&stopped["id"], &stopped["result"]["stopReason"]), (&json!(id), &json!("cancelled")));
        }
        assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": "bye", "result": null}));
        let stops = server.sessions.stops();
        let [(Cause::ShutdownRequest, "rpc.shutdown", Some(request))] = &stops[..] else { panic!("{stops:?}") };
        assert_eq!((request.method.as_str(), request.id.as_json()), ("shutdown", "\"bye\""));
        for method in ["session/list", "shutdown", "initialize"] {
            assert_eq!(peer.call(json!(3), method, json!({})).await["error"]["code"], -32600, "{method}");
        }
        peer.send(&[note("exit", Value::Null)]).await;
        assert_eq!(server.ended.await.expect("ended"), EndReason::ExitAfterShutdown);
    }
}

#[tokio::test]
async fn exit_ends_the_connection_while_stdin_is_open_and_a_prompt_runs() {
    for framing in FRAMINGS {
        let (mut peer, server) = open(framing);
        peer.notify("exit", Value::Null).await;
        assert_eq!(server.ended.await.expect("ended"), EndReason::ExitWithoutShutdown);

        let (mut peer, server) = lsp(framing).await;
        peer.send(&[prompt(json!(1), "a", "hang"), note("exit", Value::Null)]).await;
        assert_eq!(server.ended.await.expect("ended"), EndReason::ExitWithoutShutdown);
        assert_eq!(server.sessions.origins().len(), 1);
    }
}
