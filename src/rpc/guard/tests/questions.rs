//! Questions to the editor: asked in order, answered in any, taken back, answered late or never.

use crate::rpc::test_server::{FRAMINGS, acp, lsp, prompt};
use serde_json::{Value, json};

fn answer(question: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": question["id"], "result": result})
}

fn missing(question: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32601, "message": "no such method"}})
}

fn selected(option: &str) -> Value {
    json!({"outcome": {"outcome": "selected", "optionId": option}})
}

#[tokio::test]
async fn a_question_has_one_shape_and_only_a_clear_yes_is_one() {
    for framing in FRAMINGS {
        let (mut peer, _server) = lsp(framing).await;
        let replies = [
            (json!({"result": selected("allow_once")}), "Chosen(AllowOnce)"),
            (json!({"result": selected("reject_once")}), "Chosen(RejectOnce)"),
            (json!({"result": {"outcome": {"outcome": "cancelled"}}}), "Cancelled"),
            (json!({"result": selected("allow_always")}), "Chosen(AllowAlways)"),
            (json!({"result": selected("allow_sometimes")}), "Unanswerable"),
            (json!({"result": null}), "Unanswerable"),
            (json!({"result": [1, "x"]}), "Unanswerable"),
            (json!({"error": {"code": -32603, "message": "no window", "extra": 1}}), "Unanswerable"),
            (json!({"error": "nonsense"}), "Unanswerable"),
        ];
        for (n, (reply, meaning)) in replies.into_iter().enumerate() {
            peer.send(&[prompt(json!(n), "s", "ask")]).await;
            let mut question = peer.next().await;
            let id = question["id"].take();
            assert!(id.is_i64(), "{id}");
            let turn = format!("turn_{}", n + 1);
            assert_eq!(
                question,
                json!({"jsonrpc": "2.0", "id": null, "method": "session/request_permission", "params": {
                    "sessionId": "s",
                    "toolCall": {"toolCallId": format!("call of {turn}"), "title": "Write a.txt", "kind": "edit", "status": "pending",
                                 "rawInput": {"path": "a.txt"}},
                    "options": [{"optionId": "allow_once", "name": "Allow once", "kind": "allow_once"},
                                {"optionId": "reject_once", "name": "Reject once", "kind": "reject_once"}],
                    "_meta": {"pillion": {"requestId": id, "turnId": turn, "messageId": "msg_1"}}}})
            );
            let mut message = reply;
            message["jsonrpc"] = json!("2.0");
            message["id"] = id;
            peer.send(&[message]).await;
            assert_eq!(peer.next().await["result"]["model"], format!("Ok({meaning})"));
        }
        peer.finish().await;
    }
}

#[tokio::test]
async fn an_lsp_editor_without_cards_is_asked_by_a_message_from_then_on() {
    let (mut peer, _server) = lsp(FRAMINGS[0]).await;
    peer.send(&[prompt(json!(0), "s", "ask")]).await;
    let card = peer.next().await;
    assert_eq!(card["method"], "session/request_permission");
    peer.send(&[missing(&card)]).await;
    let (title, nothing) = (|title: &str| json!({"result": {"title": title}}), json!({"result": null}));
    let replies = [
        (title("Allow once"), "Chosen(AllowOnce)"),
        (title("Reject once"), "Chosen(RejectOnce)"),
        (nothing, "Cancelled"),
        (title("Perhaps"), "Unanswerable"),
        (json!({"error": {"code": -32603, "message": "no window"}}), "Unanswerable"),
        (json!({"error": {"code": -32601, "message": "no such method"}}), "Unanswerable"),
    ];
    for (n, (mut reply, meaning)) in replies.into_iter().enumerate() {
        if n > 0 {
            peer.send(&[prompt(json!(n), "s", "ask")]).await;
        }
        let mut message = peer.next().await;
        let id = message["id"].take();
        let actions = json!([{"title": "Allow once"}, {"title": "Reject once"}]);
        assert_eq!(
            message,
            json!({"jsonrpc": "2.0", "id": null, "method": "window/showMessageRequest",
                   "params": {"type": 2, "message": "pillion asks: Write a.txt", "actions": actions}})
        );
        (reply["jsonrpc"], reply["id"]) = (json!("2.0"), id);
        peer.send(&[reply]).await;
        assert_eq!(peer.next().await["result"]["model"], format!("Ok({meaning})"));
    }
    // It has neither, and is not asked any more.
    let answer = peer.call(json!("last"), "session/prompt", prompt(json!(0), "s", "ask")["params"].take()).await;
    assert_eq!(answer["result"]["model"], "Ok(Unanswerable)");
    peer.finish().await;
}

#[tokio::test]
async fn an_acp_client_without_cards_cannot_be_asked() {
    let (mut peer, _server) = acp(FRAMINGS[1]).await;
    peer.send(&[prompt(json!(0), "s", "ask")]).await;
    let card = peer.next().await;
    peer.send(&[missing(&card)]).await;
    assert_eq!(peer.next().await["result"]["_meta"]["pillion"]["model"], "Ok(Unanswerable)");
    peer.finish().await;
}

#[tokio::test]
async fn a_question_is_taken_back_in_the_editors_own_words_and_a_late_answer_is_ignored() {
    for framing in FRAMINGS {
        for (dialect, method, key) in [("lsp", "$/cancelRequest", "id"), ("acp", "$/cancel_request", "requestId")] {
            let (mut peer, _server) = if dialect == "lsp" { lsp(framing).await } else { acp(framing).await };
            peer.send(&[prompt(json!(1), "s", "unask")]).await;
            let (mut question, mut ended, mut withdrawal) = (Value::Null, Value::Null, Value::Null);
            for _ in 0..3 {
                let message = peer.next().await;
                match message["method"].as_str() {
                    Some("session/request_permission") => question = message,
                    Some(_) => {
                        assert!(question.is_object(), "taken back before it was asked");
                        withdrawal = message;
                    }
                    None => ended = message,
                }
            }
            assert_eq!((&ended["id"], withdrawal["method"].as_str()), (&json!(1), Some(method)));
            assert_eq!(withdrawal["params"], json!({ key: question["id"] }));
            for _ in 0..2 {
                peer.send(&[answer(&question, selected("allow_once"))]).await;
            }
            peer.send(&[json!({"jsonrpc": "2.0", "id": "unknown", "result": 1}), json!({"jsonrpc": "2.0", "id": 500, "result": 1})]).await;
            assert!(peer.call(json!(2), "session/list", json!({})).await["result"].is_object());
            peer.finish().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_questions_at_once_between_five_hundred_updates() {
    for framing in FRAMINGS {
        let (mut peer, _server) = lsp(framing).await;
        let mut prompts: Vec<Value> = (0..64).map(|n| prompt(json!(n), &format!("s{n}"), "ask")).collect();
        prompts.push(prompt(json!("talk"), "t", "say 500"));
        peer.send(&prompts).await;
        let (mut questions, mut updates) = (Vec::new(), 0);
        while questions.len() < 64 || updates < 500 {
            let message = peer.next().await;
            match message["method"].as_str() {
                Some("session/request_permission") => questions.push(message),
                Some("session/update") => updates += 1,
                _ => panic!("an answer too early: {message}"),
            }
        }
        assert_eq!(peer.next().await["id"], "talk");
        // Answered in the reverse order.
        let answers: Vec<Value> = questions.iter().rev().map(|question| answer(question, selected("allow_once"))).collect();
        peer.send(&answers).await;
        let mut answered = Vec::new();
        for _ in 0..64 {
            let message = peer.next().await;
            assert_eq!(message["result"]["model"], "Ok(Chosen(AllowOnce))");
            answered.push(message["id"].as_u64().expect("an id"));
        }
        answered.sort_unstable();
        assert_eq!(answered, (0..64).collect::<Vec<_>>());
        peer.finish().await;
    }
}
