//! Sessions that come and go: opening, closing, deleting and ending, in every order that a pipe can hold.

use super::fakes::ModelCall;
use super::rig::{Rig, demand, end, open_params, origin, soon};
use crate::protocol::cause::Cause;
use crate::protocol::ids::SessionId;
use crate::protocol::message::PartKind;
use crate::protocol::model::FinishReason;
use crate::protocol::params::{NewSessionParams, SessionParams};
use crate::protocol::results::StopReason;
use crate::session::Refusal;
use crate::session::demand::{CancelDemand, CancelScope};
use crate::session::service::SessionService;

#[tokio::test]
async fn a_load_behind_a_close_waits_for_it_and_the_session_is_open() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    let (closed, loaded) = (rig.close(&session), rig.load(&session));
    let second = rig.prompt(&session, "two");
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    assert_eq!(abort.cause, Cause::SessionClosed);
    closed.await.expect("closed");
    loaded.await.expect("loaded");
    call.dropped().await;
    let call = rig.call().await;
    assert_eq!(call.request.messages.first().map(|message| &message.turn_id), Some(&Some(abort.turn_id)), "the history is whole");
    call.text("Yes.");
    call.finish(FinishReason::EndTurn);
    assert_eq!(second.answer().await.expect("a result").stop_reason, StopReason::EndTurn);
    let stored = rig.store.session(&session).await.expect("readable").expect("there");
    assert_eq!(stored.info.closed_at, None);
    let numbers = rig.desk.numbers();
    assert!(numbers.is_sorted_by(|a, b| a < b), "no number is used twice: {numbers:?}");
}

#[tokio::test]
async fn a_cancel_behind_a_close_finds_the_turn_that_is_stopping() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, _call) = rig.running(&session, "one").await;
    let (closed, late) = (rig.close(&session), rig.cancel(&session));
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    let late = late.await.expect("an answer");
    assert_eq!((late.outcome, late.abort_id), (crate::protocol::abort::CancelOutcome::AlreadyStopping, Some(abort.abort_id)));
    closed.await.expect("closed");
}

#[tokio::test]
async fn the_end_of_everything_waits_for_a_session_that_is_being_closed() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, _call) = rig.running(&session, "one").await;
    let closed = rig.close(&session);
    let ended = rig.sessions.stop_all(end(Cause::ClientEof, "wire.eof"));
    let answer = tokio::spawn(prompt.answer());
    soon(ended).await;
    let told = rig.told(&session).await;
    assert_eq!(told.aborts.iter().map(|abort| abort.cause.clone()).collect::<Vec<_>>(), [Cause::SessionClosed]);
    closed.await.expect("closed");
    assert_eq!(answer.await.expect("no panic").expect("a result").stop_reason, StopReason::Cancelled);
}

#[tokio::test]
async fn what_was_sent_behind_an_opening_that_fails_is_answered_truly() {
    let rig = Rig::new();
    let session = rig.session().await;
    rig.close(&session).await.expect("closed");
    let taken =
        NewSessionParams { cwd: rig.dir.path().display().to_string(), session_id: Some(session.clone()), ..NewSessionParams::default() };
    let created = rig.sessions.create(origin("session/new"), taken);
    let (prompt, loaded, cancelled) = (rig.prompt(&session, "one"), rig.load(&session), rig.cancel(&session));
    assert!(matches!(soon(created).await, Err(Refusal::SessionTaken(_))));
    let refusal = prompt.answer().await;
    assert!(matches!(refusal, Err(Refusal::NotOpen(_))), "{refusal:?}");
    let refusal = loaded.await;
    assert!(matches!(refusal, Err(Refusal::NotOpen(_))), "{refusal:?}");
    assert_eq!(cancelled.await.expect("an answer").outcome, crate::protocol::abort::CancelOutcome::Idle);

    let nowhere = SessionId::new("nowhere");
    let (loaded, prompt) = (rig.sessions.load(open_params(&nowhere)), rig.prompt(&nowhere, "one"));
    assert!(matches!(soon(loaded).await, Err(Refusal::UnknownSession(_))));
    assert!(matches!(prompt.answer().await, Err(Refusal::UnknownSession(_))));
}

#[tokio::test]
async fn a_session_that_is_deleted_while_it_runs_is_gone_whole() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    let deleted = rig.sessions.delete(origin("session/delete"), SessionParams { session_id: session.clone() });
    let loaded = rig.load(&session);
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    assert_eq!(abort.cause, Cause::SessionDeleted);
    soon(deleted).await.expect("deleted");
    assert!(matches!(loaded.await, Err(Refusal::UnknownSession(_))));
    assert!(rig.store.session(&session).await.expect("readable").is_none());
    call.dropped().await;
}

#[tokio::test]
async fn a_stop_of_everything_reaches_a_session_that_is_still_opening() {
    let rig = Rig::new();
    let params = NewSessionParams { cwd: rig.dir.path().display().to_string(), ..NewSessionParams::default() };
    let created = rig.sessions.create(origin("session/new"), params.clone());
    let ended = rig.sessions.stop_all(end(Cause::ShutdownRequest, "rpc.shutdown"));
    soon(created).await.expect("made");
    soon(ended).await;
    assert!(matches!(soon(rig.sessions.create(origin("session/new"), params)).await, Err(Refusal::ShuttingDown)));
}

#[tokio::test]
async fn what_another_process_did_stands_before_the_turn_and_what_was_withdrawn_behind_it() {
    let rig = Rig::new();
    let session = rig.session().await;
    rig.turn(&session, "ours").await;
    rig.turn_of_another_process(&session, "theirs").await;
    // All of it is posted before the turn can have looked at what the others did.
    let (first, withdrawn) = (rig.prompt(&session, "one"), rig.prompt(&session, "withdrawn"));
    let scope = CancelScope::Turn(withdrawn.turn());
    let cancelled = rig.cancel_as(CancelDemand { session_id: session.clone(), scope, ..demand() });
    withdrawn.answer().await.expect("a result");
    cancelled.await.expect("an answer");
    let call = rig.call().await;
    assert_eq!(texts(&call), ["ours", "Yes.", "theirs", "one"]);
    call.text("Sure.");
    call.finish(FinishReason::EndTurn);
    first.answer().await.expect("a result");
    let (second, call) = rig.running(&session, "two").await;
    assert_eq!(texts(&call), ["ours", "Yes.", "theirs", "one", "Sure.", "withdrawn", "two"]);
    call.finish(FinishReason::EndTurn);
    second.answer().await.expect("a result");
}

#[tokio::test]
async fn a_turn_that_another_process_died_in_is_closed_whenever_it_is_met() {
    let rig = Rig::new();
    let session = rig.session().await;
    rig.turn(&session, "ours").await;
    rig.turn_of_a_dead_process(&session, "met by a turn").await;
    let (prompt, call) = rig.running(&session, "go on").await;
    let parts: Vec<_> = call.request.messages.iter().flat_map(|message| &message.parts).map(|part| part.kind).collect();
    use PartKind::{Text, ToolCall, ToolResult};
    assert_eq!(parts, [Text, Text, Text, ToolCall, ToolResult, Text]);
    call.finish(FinishReason::EndTurn);
    prompt.answer().await.expect("a result");
    rig.close(&session).await.expect("closed");
    rig.turn_of_a_dead_process(&session, "met by a load").await;
    rig.load(&session).await.expect("loaded");
    let told = rig.told(&session).await;
    assert_eq!(told.aborts.iter().map(|abort| abort.cause.clone()).collect::<Vec<_>>(), [Cause::CrashRecovered, Cause::CrashRecovered]);
    assert!(told.turns.iter().all(|turn| turn.stop.is_some()));
}

/// What the model is told, as far as it is text.
fn texts(call: &ModelCall) -> Vec<String> {
    call.request.messages.iter().flat_map(|message| &message.parts).filter_map(|part| part.text.clone()).collect()
}
