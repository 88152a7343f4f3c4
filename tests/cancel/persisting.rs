//! A cancel while the end of the turn is on its way into a store that another writer holds up.

use crate::support::Home;
use crate::support::journey::{UNTITLED, pointed_at};
use crate::support::model_server::ModelServer;
use crate::told::Told;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Another program in the middle of a write; pillion's own waits for it.
struct HeldUp(Connection);

impl HeldUp {
    fn store_of(home: &Home) -> Self {
        let connection = Connection::open(home.data_dir().join("pillion.db")).expect("the store");
        connection.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        Self(connection)
    }

    fn let_go(self) {
        self.0.execute_batch("ROLLBACK").expect("it was held");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_cancel_is_answered_while_the_record_of_the_first_is_being_stored() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    let mut exchange = server.next_request().await;
    exchange.text("Gone").await;
    editor.next_update("agent_message_chunk").await;

    let held = HeldUp::store_of(&home);
    let first = editor.request("session/cancel", json!({ "sessionId": session })).await;
    // The turn has stopped, and its record waits.
    exchange.closed_by_client().await;
    let second = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let mut seen = editor.all_until(&second).await;
    let late = seen.pop().expect("the answer")["result"].take();
    assert_eq!(seen, [Value::Null; 0], "nothing is answered before its record is stored");
    held.let_go();
    let answer = editor.answer(&prompt).await;
    let cancelled = editor.result(&first).await;
    let abort_id = &answer["result"]["diagnostics"]["abort"]["abort_id"];
    assert_eq!((&cancelled["outcome"], &cancelled["abortId"]), (&json!("cancelled"), abort_id));
    assert_eq!((&late["outcome"], &late["abortId"]), (&json!("already_stopping"), abort_id));

    let told = Told::by(&mut editor, &session).await;
    told.agrees_with(&answer);
    told.agrees_with_cancel(&first, &cancelled);
    told.agrees_with_cancel(&second, &late);
    assert_eq!(told.aborts()[0]["late_cancels"], json!([told.cancels()[1]["cancel_id"]]));
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_has_ended_is_past_stopping_although_its_record_is_not_stored_yet() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    // The first cancel may be read before the end of the stream. What it came to shows in the second, which ends nothing.
    for _ in 0..50 {
        let prompt = editor.prompt(&session, "go").await;
        let mut exchange = server.next_request().await;
        exchange.text("Gone").await;
        editor.next_update("agent_message_chunk").await;
        let held = HeldUp::store_of(&home);
        exchange.finish("stop").await;
        exchange.done().await;
        let first = editor.request("session/cancel", json!({ "sessionId": session })).await;
        let second = editor.request("session/cancel", json!({ "sessionId": session })).await;
        let late = editor.result(&second).await;
        if late["outcome"] != "already_settled" {
            held.let_go();
            assert_eq!((&late["outcome"], &editor.result(&prompt).await["stopReason"]), (&json!("already_stopping"), &json!("cancelled")));
            assert_eq!(editor.result(&first).await["outcome"], "cancelled");
            continue;
        }
        // It ended nothing either, so its answer waits for no record.
        let settled = editor.result(&first).await;
        held.let_go();
        let answer = editor.answer(&prompt).await;
        assert_eq!((&settled["outcome"], settled.get("abortId")), (&json!("already_settled"), None));
        assert_eq!(answer["result"]["stopReason"], "end_turn");
        let told = Told::by(&mut editor, &session).await;
        assert_eq!(settled["turnId"], told.agrees_with(&answer));
        told.agrees_with_cancel(&first, &settled);
        told.agrees_with_cancel(&second, &late);
        return editor.finish().await;
    }
    panic!("the cancel was always faster than the end of the stream");
}
