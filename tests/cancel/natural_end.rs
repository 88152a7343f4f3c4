//! A cancel that races the end of the turn, and a cancel that races another one: whoever wins, all records agree.

use crate::support::Home;
use crate::support::journey::{UNTITLED, pointed_at};
use crate::support::model_server::ModelServer;
use crate::told::Told;
use serde_json::{Value, json};

/// Enough that both orders come up on any machine; which of them does is not the test's to say.
const RACES: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_and_the_natural_end_agree_on_who_was_first() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let mut answers = Vec::new();
    for race in 0..RACES {
        let prompt = editor.prompt(&session, "go").await;
        let mut exchange = server.next_request().await;
        exchange.text("Gone").await;
        editor.next_update("agent_message_chunk").await;
        let ends = async {
            exchange.finish("stop").await;
            exchange.done().await;
        };
        let stop = json!(format!("stop-{race}"));
        let cancels = editor.request_as(stop.clone(), "session/cancel", json!({ "sessionId": session }));
        // The one that is polled first is sent first; what arrives first is another matter.
        if race % 2 == 0 {
            tokio::join!(ends, cancels)
        } else {
            tokio::join!(cancels, ends)
        };
        answers.push((stop.clone(), editor.answer(&prompt).await, editor.result(&stop).await));
    }
    let told = Told::by(&mut editor, &session).await;
    assert_eq!((told.turns().len(), told.cancels().len()), (RACES, RACES));
    for (stop, answer, cancelled) in &answers {
        let turn = told.agrees_with(answer);
        told.agrees_with_cancel(stop, cancelled);
        let (reason, abort) = (&answer["result"]["stopReason"], answer["result"]["diagnostics"].get("abort"));
        assert_eq!(cancelled["turnId"], turn);
        match cancelled["outcome"].as_str() {
            Some("cancelled") => assert_eq!((reason, abort), (&json!("cancelled"), cancelled.get("abort"))),
            Some("already_settled") => assert_eq!((reason, abort, cancelled.get("abortId")), (&json!("end_turn"), None, None)),
            other => panic!("{other:?} is no outcome of this race"),
        }
    }
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_cancels_both_are_answered_and_name_the_first_ones_abort() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    for round in 0..20 {
        let prompt = editor.prompt(&session, "go").await;
        let mut exchange = server.next_request().await;
        exchange.text("Gone").await;
        editor.next_update("agent_message_chunk").await;
        let ids = [json!(format!("first-{round}")), json!(format!("second-{round}"))];
        let cancel = |id: &Value| json!({ "jsonrpc": "2.0", "id": id, "method": "session/cancel", "params": { "sessionId": session } });
        // In one write, and in two of which the second may find the turn settled.
        if round % 2 == 0 {
            editor.send_all(&[cancel(&ids[0]), cancel(&ids[1])]).await;
        } else {
            editor.send(&cancel(&ids[0])).await;
            editor.send(&cancel(&ids[1])).await;
        }
        let answer = editor.answer(&prompt).await;
        let [first, second] = [editor.result(&ids[0]).await, editor.result(&ids[1]).await];
        exchange.closed_by_client().await;
        let abort = &answer["result"]["diagnostics"]["abort"];
        assert_eq!((&first["outcome"], &abort["request"]["id"]), (&json!("cancelled"), &ids[0]));
        assert!(["already_stopping", "already_settled"].map(Value::from).contains(&second["outcome"]), "{second}");
        assert_eq!((&first["abortId"], &second["abortId"]), (&abort["abort_id"], &abort["abort_id"]));
        assert_eq!((&first["turnId"], &second["turnId"]), (&abort["turn_id"], &abort["turn_id"]));
        let told = Told::by(&mut editor, &session).await;
        told.agrees_with(&answer);
        told.agrees_with_cancel(&ids[0], &first);
        told.agrees_with_cancel(&ids[1], &second);
        let late = told.cancels().last().expect("the second")["cancel_id"].clone();
        assert_eq!(told.aborts().last().expect("an abort")["late_cancels"], json!([late]));
    }
    editor.ignore_updates();
    editor.finish().await;
}
