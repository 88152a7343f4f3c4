//! A cancel while the end of the turn is on its way into a store that another writer holds up.

use crate::support::journey::{UNTITLED, pointed_at};
use crate::support::model_server::ModelServer;
use crate::support::{Editor, Home};
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
    // The cancel may be read before the end of the stream; both are told as what they were.
    for _ in 0..50 {
        let prompt = editor.prompt(&session, "go").await;
        let mut exchange = server.next_request().await;
        exchange.text("Gone").await;
        editor.next_update("agent_message_chunk").await;
        let held = HeldUp::store_of(&home);
        exchange.finish("stop").await;
        exchange.done().await;
        let stop = editor.request("session/cancel", json!({ "sessionId": session })).await;
        let at_once = answered_at_once(&mut editor, &session, &stop).await;
        held.let_go();
        let answer = editor.answer(&prompt).await;
        let was_settled = at_once.is_some();
        let cancelled = match at_once {
            Some(cancelled) => cancelled,
            None => editor.result(&stop).await,
        };
        let told = Told::by(&mut editor, &session).await;
        told.agrees_with_cancel(&stop, &cancelled);
        assert_eq!(cancelled["turnId"], told.agrees_with(&answer));
        if was_settled {
            assert_eq!((&cancelled["outcome"], cancelled.get("abortId")), (&json!("already_settled"), None));
            assert_eq!(answer["result"]["stopReason"], "end_turn");
            return editor.finish().await;
        }
        assert_eq!((&cancelled["outcome"], &answer["result"]["stopReason"]), (&json!("cancelled"), &json!("cancelled")));
    }
    panic!("the cancel was always faster than the end of the stream");
}

/// The answer of a cancel that ended nothing: it comes before that of a second one, which ends nothing in any case.
async fn answered_at_once(editor: &mut Editor, session: &str, stop: &Value) -> Option<Value> {
    let behind = editor.request("session/cancel", json!({ "sessionId": session })).await;
    let mut seen = editor.all_until(&behind).await;
    Some(seen.iter_mut().find(|message| message["id"] == *stop)?["result"].take())
}
