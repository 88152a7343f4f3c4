//! Sessions whose own task panics: what was asked is answered, what ran is told, and the session goes on.

use super::rig::{Rig, end, open_params, soon};
use crate::config::TitleModel;
use crate::protocol::abort::{Abort, CancelOutcome, Phase};
use crate::protocol::cause::{Cause, Place};
use crate::protocol::diagnostics::StreamState;
use crate::protocol::export::{Incident, TurnStop};
use crate::protocol::model::FinishReason;
use crate::protocol::params::SetConfigOptionParams;
use crate::protocol::results::{PromptResult, StopReason};
use crate::protocol::update::SessionUpdate;
use crate::session::Refusal;
use crate::session::service::SessionService;

/// The place of a panic that the editor of a rig makes.
fn in_the_editor(place: Option<&Place>) -> bool {
    place.is_some_and(|place| place.file.ends_with("session/tests/fakes.rs") && place.line > 0)
}

fn is_replayed(update: &SessionUpdate) -> bool {
    matches!(update, SessionUpdate::UserMessageChunk { .. })
}

fn is_title(update: &SessionUpdate) -> bool {
    matches!(update, SessionUpdate::SessionInfoUpdate { .. })
}

/// The abort of a turn that failed with the panic's place.
fn broken(answer: Result<PromptResult, Refusal>) -> Abort {
    let Err(Refusal::TurnFailed { cause, diagnostics, .. }) = answer else { panic!("it did not fail: {answer:?}") };
    let Cause::InternalPanic { panicked_at } = &cause else { panic!("another cause: {cause:?}") };
    assert!(panicked_at.is_some());
    let abort = diagnostics.abort.expect("an abort");
    assert_eq!((&abort.cause, &abort.initiator, abort.requested_at), (&cause, &None, None));
    abort
}

fn names(incidents: &[Incident]) -> Vec<&str> {
    incidents.iter().map(|incident| incident.name.as_str()).collect()
}

#[tokio::test]
async fn a_runner_that_breaks_ends_its_turns_and_answers_everything_once() {
    let rig = Rig::new();
    let (session, other) = (rig.session().await, rig.session().await);
    rig.turn(&session, "one").await;
    let (elsewhere, their_call) = rig.running(&other, "elsewhere").await;
    let (running, call) = rig.running(&session, "two").await;
    call.text("Once");
    rig.desk.update(|update| matches!(update, SessionUpdate::AgentMessageChunk { .. })).await;
    let queued = rig.prompt(&session, "three");
    rig.desk.break_at(is_replayed);
    let (loaded, behind, cancelled) = (rig.load(&session), rig.prompt(&session, "four"), rig.cancel(&session));
    assert!(matches!(loaded.await, Err(Refusal::Broke)), "the request that broke it");

    let aborts = [broken(running.answer().await), broken(queued.answer().await)];
    assert!(aborts.iter().all(|abort| matches!(&abort.cause, Cause::InternalPanic { panicked_at } if in_the_editor(panicked_at.as_ref()))));
    let told: Vec<_> = aborts.iter().map(|abort| (abort.phase, abort.partial.text_bytes, abort.propagation_point.as_str())).collect();
    assert_eq!(told, [(Phase::Text, 4, "panic.contained"), (Phase::Queued, 0, "panic.contained")]);
    call.dropped().await;
    assert!(matches!(behind.answer().await, Err(Refusal::NotOpen(_))), "it was never taken");
    assert_eq!(cancelled.await.expect("an answer").outcome, CancelOutcome::AlreadySettled);

    // It opens again, with all that was said; nothing has touched the other session.
    rig.load(&session).await.expect("loaded");
    assert_eq!(rig.turn(&session, "five").await.stop_reason, StopReason::EndTurn);
    their_call.finish(FinishReason::EndTurn);
    assert_eq!(elsewhere.answer().await.expect("a result").stop_reason, StopReason::EndTurn);
    let told = rig.told(&session).await;
    let stops: Vec<_> = told.turns.iter().map(|turn| turn.stop).collect();
    assert_eq!(stops, [Some(TurnStop::EndTurn), Some(TurnStop::Failed), Some(TurnStop::Failed), Some(TurnStop::EndTurn)]);
    let [running, queued] = aborts;
    assert_eq!(running.noticed_at, queued.noticed_at);
    assert_eq!(told.aborts, [queued, running], "what had not begun has nothing to end");
    assert_eq!(told.traces.iter().filter(|trace| trace.state == StreamState::Aborted).count(), 1);
    assert_eq!(names(&told.incidents), ["runner_panic"]);
    assert!(in_the_editor(told.incidents[0].panicked_at.as_ref()));
    assert_eq!(rig.told(&other).await.incidents, []);
}

#[tokio::test]
async fn a_turn_that_a_stop_was_told_to_before_keeps_that_cause() {
    let rig = Rig::with(|settings| settings.grace.hard = std::time::Duration::from_secs(15));
    let session = rig.session().await;
    rig.turn(&session, "one").await;
    let (running, call) = rig.running(&session, "two").await;
    let cancelled = rig.cancel(&session);
    rig.desk.break_at(is_replayed);
    assert!(matches!(rig.load(&session).await, Err(Refusal::Broke)));
    let abort = running.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    assert_eq!((&abort.cause, abort.forced), (&Cause::ClientCancel, false));
    assert_eq!(cancelled.await.expect("an answer").abort.as_deref(), Some(&abort));
    call.dropped().await;
    assert_eq!(rig.told(&session).await.aborts, [abort]);
}

#[tokio::test]
async fn a_tool_that_ignores_the_end_of_a_broken_runner_is_given_up_after_the_grace() {
    let rig = Rig::new();
    let session = rig.session().await;
    rig.turn(&session, "one").await;
    let (running, call) = rig.running(&session, "two").await;
    call.tool("c1", "open");
    call.finish(FinishReason::ToolCalls);
    let _tool = rig.tool().await;
    rig.desk.break_at(is_replayed);
    assert!(matches!(rig.load(&session).await, Err(Refusal::Broke)));
    let abort = broken(running.answer().await);
    assert_eq!((abort.phase, abort.forced), (Phase::ToolRunning, true));
    rig.load(&session).await.expect("loaded");
}

#[tokio::test]
async fn a_prompt_that_breaks_the_runner_when_it_starts_has_its_record() {
    let rig = Rig::new();
    let session = rig.session().await;
    let params = SetConfigOptionParams { session_id: session.clone(), config_id: "model".into(), value: "openai:panics".into() };
    soon(rig.sessions.set_config_option(params)).await.expect("chosen");
    let (prompt, closed) = (rig.prompt(&session, "one"), rig.close(&session));
    let abort = broken(prompt.answer().await);
    assert_eq!((abort.phase, &abort.attempt_id), (Phase::BeforeRequest, &None));
    closed.await.expect("closed");
    let told = rig.told(&session).await;
    assert_eq!((told.aborts, names(&told.incidents)), (vec![abort], vec!["runner_panic"]));
    assert_eq!(told.turns.iter().map(|turn| turn.stop).collect::<Vec<_>>(), [Some(TurnStop::Failed)]);
    let stored = rig.store.session(&session).await.expect("readable").expect("there");
    assert!(stored.info.closed_at.is_some());
}

#[tokio::test]
async fn the_end_of_everything_waits_for_a_runner_that_breaks() {
    let rig = Rig::new();
    let session = rig.session().await;
    rig.turn(&session, "one").await;
    let (running, _call) = rig.running(&session, "two").await;
    rig.desk.break_at(is_replayed);
    let (loaded, ended) = (rig.load(&session), rig.sessions.stop_all(end(Cause::ClientEof, "wire.eof")));
    let answer = tokio::spawn(running.answer());
    soon(ended).await;
    let told = rig.told(&session).await;
    assert_eq!(told.aborts, [broken(answer.await.expect("no panic"))]);
    assert!(matches!(loaded.await, Err(Refusal::Broke)));
}

#[tokio::test]
async fn an_opening_that_breaks_is_answered_and_the_next_one_goes_on() {
    let rig = Rig::new();
    let session = rig.session().await;
    rig.turn(&session, "one").await;
    rig.close(&session).await.expect("closed");
    rig.desk.break_at(is_replayed);
    let loaded = rig.load(&session);
    let (prompt, cancelled, again) = (rig.prompt(&session, "two"), rig.cancel(&session), rig.sessions.resume(open_params(&session)));
    assert!(matches!(loaded.await, Err(Refusal::Broke)));
    assert!(matches!(prompt.answer().await, Err(Refusal::NotOpen(_))));
    assert_eq!(cancelled.await.expect("an answer").outcome, CancelOutcome::AlreadySettled);
    assert!(matches!(soon(again).await, Err(Refusal::NotOpen(_))));
    rig.load(&session).await.expect("loaded");
    assert_eq!(rig.turn(&session, "three").await.stop_reason, StopReason::EndTurn);
    let told = rig.told(&session).await;
    assert_eq!((names(&told.incidents), told.aborts.as_slice()), (vec!["opening_panic"], &[][..]));
    assert!(in_the_editor(told.incidents[0].panicked_at.as_ref()));
}

#[tokio::test]
async fn a_title_that_breaks_at_its_very_end_holds_up_nothing() {
    let rig = Rig::with(|settings| settings.title_model = TitleModel::Session);
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "name me").await;
    call.begins();
    let title = rig.title_call().await;
    rig.desk.break_at(is_title);
    title.text("A name");
    title.finish(FinishReason::EndTurn);
    call.finish(FinishReason::EndTurn);
    prompt.answer().await.expect("a result");
    rig.close(&session).await.expect("closed");
    let told = rig.told(&session).await;
    assert_eq!(names(&told.incidents), ["title_panic"]);
    assert_eq!((told.titles.len(), told.titles.last().and_then(|title| title.success)), (1, Some(true)), "it was made");
}

#[tokio::test]
async fn a_title_goes_with_a_runner_that_breaks() {
    let rig = Rig::with(|settings| settings.title_model = TitleModel::Session);
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "name me").await;
    call.begins();
    let title = rig.title_call().await;
    rig.desk.break_at(is_replayed);
    call.finish(FinishReason::EndTurn);
    prompt.answer().await.expect("a result");
    assert!(matches!(rig.load(&session).await, Err(Refusal::Broke)));
    title.dropped().await;
    rig.load(&session).await.expect("loaded");
    let told = rig.told(&session).await;
    let demand = told.cancels.last().expect("a demand");
    assert!(matches!(demand.cause, Cause::InternalPanic { .. }));
    assert_eq!((told.titles[0].cancel_id.as_ref(), told.titles[0].abort_id.as_ref()), (Some(&demand.cancel_id), None));
    assert_eq!(told.aborts, []);
}
