//! Two pillions on one store: each stops what it runs, and of the other's it stops nothing.

use crate::support::journey::{UNTITLED, full_export, full_export_when, pointed_at, pointed_by};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::{Editor, Home};
use crate::told::Told;
use serde_json::{Value, json};

/// A turn that has said a word and goes on.
async fn streaming(server: &mut ModelServer, home: &Home) -> (Editor, String, Value, Exchange) {
    let editor = pointed_at(server, home, &UNTITLED).await;
    goes_on(editor, server, home).await
}

/// The same of an editor that is there already.
async fn goes_on(mut editor: Editor, server: &mut ModelServer, home: &Home) -> (Editor, String, Value, Exchange) {
    let session = editor.new_session(home).await;
    let prompt = editor.prompt(&session, "go").await;
    let mut exchange = server.next_request().await;
    exchange.text("Going").await;
    editor.next_update("agent_message_chunk").await;
    (editor, session, prompt, exchange)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_does_not_run_the_turn_stops_nothing_and_it_is_recorded_that_it_tried() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (mut owner, session, prompt, exchange) = streaming(&mut server, &home).await;
    let mut other = pointed_at(&server, &home, &UNTITLED).await;
    other.notify("session/cancel", json!({ "sessionId": session })).await;
    for params in [json!({ "sessionId": session }), json!({ "sessionId": session, "mode": "soft", "source": "other.window" })] {
        let refused = other.request("session/cancel", params).await;
        let error = other.error(&refused).await;
        assert_eq!(error["code"], -32803, "{error}");
        let names_the_owner = error["message"].as_str().is_some_and(|message| message.contains(&owner.pid().to_string()));
        assert!(names_the_owner, "{error}");
    }
    exchange.answer(" on").await;
    let answer = owner.answer(&prompt).await;
    assert_eq!(answer["result"]["stopReason"], "end_turn");
    owner.ignore_updates();
    // What the other one has recorded is stored when it has left.
    other.finish().await;

    let told = Told::by(&mut owner, &session).await;
    told.agrees_with(&answer);
    assert_eq!((told.outcomes(), told.aborts().len()), (vec!["not_owner"; 3], 0));
    owner.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pillions_cancel_side_by_side_and_each_can_tell_the_others_story() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut sides = [streaming(&mut server, &home).await, streaming(&mut server, &home).await];
    let mut stops = Vec::new();
    for (editor, session, ..) in &mut sides {
        stops.push(editor.request("session/cancel", json!({ "sessionId": session })).await);
    }
    let mut answers = Vec::new();
    for ((editor, _, prompt, exchange), stop) in sides.iter_mut().zip(&stops) {
        answers.push((editor.answer(prompt).await, editor.result(stop).await));
        exchange.closed_by_client().await;
    }
    assert_ne!(answers[0].1["abortId"], answers[1].1["abortId"]);
    let sessions = [sides[0].1.clone(), sides[1].1.clone()];
    for (teller, ..) in &mut sides {
        for ((session, stop), (answer, cancelled)) in sessions.iter().zip(&stops).zip(&answers) {
            let told = Told::by(teller, session).await;
            told.agrees_with(answer);
            told.agrees_with_cancel(stop, cancelled);
            assert_eq!((told.turns().len(), told.outcomes()), (1, vec!["cancelled"]));
        }
    }
    for (editor, ..) in sides {
        editor.finish().await;
    }
}

/// The locks of processes that run turns, as far as they have files.
fn locks(home: &Home) -> usize {
    std::fs::read_dir(home.data_dir().join("pillion-owners")).expect("a directory").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_of_another_container_lives_as_long_as_its_process() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let away = pointed_by(home.contained(), &server, &UNTITLED).await;
    let (mut away, session, prompt, mut exchange) = goes_on(away, &mut server, &home).await;
    let mut here = pointed_at(&server, &home, &UNTITLED).await;
    here.call("session/load", json!({ "sessionId": session })).await;
    here.ignore_updates();
    let refused = here.prompt(&session, "mine").await;
    assert_eq!(here.error(&refused).await["code"], -32803);
    let seen = full_export(&mut here, &session).await;
    assert_eq!((&seen["completeness"], &seen["diagnostics"]["aborts"]), (&json!("partial"), &json!([])));
    exchange.text(" on").await;
    exchange.finish("stop").await;
    exchange.done().await;
    let answer = away.answer(&prompt).await;
    assert_eq!(answer["result"]["stopReason"], "end_turn");
    away.ignore_updates();
    let told = Told::by(&mut here, &session).await;
    told.agrees_with(&answer);
    assert_eq!(told.aborts(), [] as [Value; 0]);

    away.prompt(&session, "and more").await;
    let mut exchange = server.next_request().await;
    exchange.text("More").await;
    away.next_update("agent_message_chunk").await;
    away.kill();
    away.exited().await;
    exchange.closed_by_client().await;
    // Its connection closes a moment before its lock is given back.
    full_export_when(&mut here, &session, |export| export["diagnostics"]["aborts"] != json!([])).await;
    let told = Told::by(&mut here, &session).await;
    assert_eq!(told.aborts().iter().map(|abort| &abort["cause"]).collect::<Vec<_>>(), ["crash_recovered"]);
    here.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_inherited_by_nobody_and_goes_with_its_process() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (mut editor, session, _, exchange) = streaming(&mut server, &home).await;
    assert_eq!(locks(&home), 1);
    editor.kill();
    editor.exited().await;
    drop(exchange);
    assert_eq!(locks(&home), 1, "nobody has looked yet");

    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    editor.call("session/load", json!({ "sessionId": session })).await;
    editor.ignore_updates();
    let shell = editor.request("session/shell", json!({ "sessionId": session, "command": "ls -l /proc/self/fd" })).await;
    let output = editor.result(&shell).await["output"].as_str().expect("an output").to_owned();
    assert!(output.contains("/proc/") && !output.contains("pillion-owners"), "{output}");
    editor.ignore_updates();
    assert_eq!(locks(&home), 1, "that of this process");
    editor.finish().await;
    assert_eq!(locks(&home), 0);
}
