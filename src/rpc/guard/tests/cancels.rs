//! Everything that stops something.

use crate::config::{Framing, Limits};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::ids::TurnId;
use crate::rpc::test_server::{FRAMINGS, acp, greeted, lsp, note, open_with, prompt, request};
use crate::session::demand::CancelScope;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_prompt_is_answered_before_the_cancel_that_ended_it() {
    for framing in FRAMINGS {
        let (mut peer, server) = lsp(framing).await;
        for round in 0..50 {
            let said = json!({"sessionId": "s", "source": "test.stop", "reason": "enough", "initiator": "user", "mode": "soft"});
            peer.send(&[prompt(json!(round), "s", "hang"), request(json!("stop-7"), "session/cancel", said)]).await;
            let ended = peer.next().await;
            assert_eq!((&ended["id"], &ended["result"]["stopReason"]), (&json!(round), &json!("cancelled")));
            let cancel = peer.next().await;
            assert_eq!((&cancel["id"], &cancel["result"]["outcome"]), (&json!("stop-7"), &json!("cancelled")));
        }
        let demand = &server.sessions.demands()[0];
        assert_eq!((demand.source.as_deref(), demand.reason.as_deref()), (Some("test.stop"), Some("enough")));
        assert_eq!((demand.initiator, demand.mode, &demand.scope), (Initiator::User, CancelMode::Soft, &CancelScope::Session));
        assert_eq!((&demand.cause, demand.point, demand.via_ctx_abort), (&Cause::ClientCancel, "rpc.session/cancel", false));
        let asked = demand.request.as_ref().expect("a request");
        assert_eq!((asked.method.as_str(), asked.id.as_json()), ("session/cancel", "\"stop-7\""));
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_bad_field_refuses_a_cancel_request_and_is_dropped_from_a_notification() {
    for framing in FRAMINGS {
        let (mut peer, server) = lsp(framing).await;
        peer.send(&[prompt(json!(1), "s", "hang")]).await;
        let long = "x".repeat(501);
        for (field, value) in [("source", json!("two words")), ("reason", json!(long)), ("initiator", json!("boss")), ("mode", json!(7))] {
            let refused = peer.call(json!(2), "session/cancel", json!({"sessionId": "s", field: value})).await["error"].take();
            assert_eq!((&refused["code"], &refused["data"]), (&json!(-32602), &json!({ "field": field })), "{refused}");
        }
        assert!(server.sessions.demands().is_empty(), "nothing was cancelled");

        peer.notify("session/cancel", json!({"source": "stop"})).await;
        let bad = json!({"sessionId": "s", "turnId": null, "source": 7, "reason": "a\nb", "initiator": "boss", "mode": "gentle"});
        peer.notify("session/cancel", bad).await;
        assert_eq!(peer.next().await["result"]["stopReason"], "cancelled");
        let demands = server.sessions.demands();
        let [demand] = &demands[..] else { panic!("{demands:?}") };
        assert_eq!(demand.missing, ["source", "reason", "initiator", "mode"]);
        assert_eq!((&demand.source, &demand.reason, demand.initiator, demand.mode), (&None, &None, Initiator::Unknown, CancelMode::Hard));
        assert!(demand.request.as_ref().is_some_and(|request| request.id.is_null() && request.method == "session/cancel"));
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_cancel_by_request_id_ends_that_prompt_alone_with_a_result() {
    for framing in FRAMINGS {
        for (method, key, point) in
            [("$/cancelRequest", "id", "rpc.$/cancelRequest"), ("$/cancel_request", "requestId", "rpc.$/cancel_request")]
        {
            let (mut peer, server) = lsp(framing).await;
            let big = json!(9_007_199_254_740_993_u64);
            peer.send(&[prompt(big.clone(), "s", "hang"), prompt(json!("9007199254740993"), "s", "hang")]).await;
            peer.notify(method, json!({ key: "no such id" })).await;
            peer.notify(method, json!({})).await;
            peer.notify(method, json!({ key: big })).await;
            let ended = peer.next().await;
            assert_eq!((&ended["id"], &ended["result"]["stopReason"]), (&big, &json!("cancelled")));
            let demands = server.sessions.demands();
            let [demand] = &demands[..] else { panic!("{demands:?}") };
            assert_eq!(demand.scope, CancelScope::Turn(TurnId::new("turn_1")));
            assert_eq!((&demand.cause, demand.point), (&Cause::RpcCancel, point));
            assert!(demand.request.as_ref().is_some_and(|request| request.id.is_null() && request.method == method));
            peer.notify("session/cancel", json!({"sessionId": "s"})).await;
            assert_eq!(peer.next().await["id"], "9007199254740993");
            peer.finish().await;
        }
    }
}

#[tokio::test]
async fn other_requests_that_are_cancelled_by_id_answer_with_the_record() {
    for framing in FRAMINGS {
        let (mut peer, _server) = lsp(framing).await;
        peer.send(&[request(json!(1), "session/list", json!({"cursor": "hang"})), note("$/cancelRequest", json!({"id": 1}))]).await;
        let cancelled = peer.next().await;
        assert_eq!((&cancelled["id"], &cancelled["error"]["code"]), (&json!(1), &json!(-32800)));
        let record = &cancelled["error"]["data"];
        assert_eq!((&record["cause"], &record["method"]), (&json!("rpc_cancel"), &json!("session/list")));
        assert_eq!((&record["request"]["method"], &record["request"]["id"]), (&json!("$/cancelRequest"), &json!(null)));
        // Answered is answered.
        peer.notify("$/cancelRequest", json!({"id": 1})).await;
        assert!(peer.call(json!(1), "session/list", json!({})).await["result"].is_object());
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_shutdown_cannot_be_cancelled() {
    let (mut peer, _server) = lsp(Framing::Headers).await;
    peer.send(&[prompt(json!(1), "s", "hang"), request(json!(2), "shutdown", json!(null)), note("$/cancelRequest", json!({"id": 2}))])
        .await;
    assert_eq!(peer.next().await["id"], 1);
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 2, "result": null}));
    peer.finish().await;
}

#[tokio::test]
async fn an_acp_client_may_put_the_fields_of_a_cancel_into_meta() {
    let (mut peer, server) = acp(Framing::Lines).await;
    let said = json!({"sessionId": "s", "_meta": {"pillion": {"source": "zed.stop"}}});
    let unknown = peer.call(json!(1), "session/cancel", json!({"sessionId": "nowhere"})).await;
    assert_eq!(unknown["error"]["code"], -32002);
    let idle = peer.call(json!(2), "session/cancel", said.clone()).await;
    assert_eq!(idle["result"], json!({"_meta": {"pillion": {"outcome": "idle"}}}));
    peer.notify("session/cancel", said).await;
    peer.call(json!(3), "session/list", json!({})).await;
    let sources: Vec<_> = server.sessions.demands().into_iter().map(|demand| demand.source).collect();
    assert_eq!(sources, [None, Some("zed.stop".to_owned()), Some("zed.stop".to_owned())]);
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_is_answered_while_a_thousand_prompts_hang() {
    for framing in FRAMINGS {
        let (mut peer, server) = lsp(framing).await;
        let prompts: Vec<_> = (0..1000).map(|n| prompt(json!(n), &format!("s{n}"), "hang")).collect();
        peer.send(&prompts).await;
        let asked = Instant::now();
        peer.send(&[request(json!("stop"), "session/cancel", json!({"sessionId": "s500"}))]).await;
        assert_eq!(peer.next().await["id"], 500);
        assert_eq!(peer.next().await["id"], "stop");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert_eq!(server.sessions.origins().len(), 1000);
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_can_still_stop() {
    for framing in FRAMINGS {
        let limits = Limits { outbox: 1 << 20, ..Limits::default() };
        let (mut peer, server) = greeted(open_with(framing, limits), json!({"capabilities": {}})).await;
        peer.send(&[prompt(json!(1), "s", "pour")]).await;
        let held_up_then_stopped = async {
            while !server.sessions.is_held_up() {
                tokio::task::yield_now().await;
            }
            peer.notify("session/cancel", json!({"sessionId": "s"})).await;
            while server.sessions.demands().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), held_up_then_stopped).await.expect("stopped in time");
    }
}
