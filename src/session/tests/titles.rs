//! Title generation beside its turn: what it is stopped by, and what its records say then.

use super::rig::{Rig, end, soon};
use crate::config::TitleModel;
use crate::protocol::abort::TitleState;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::TitleSource;
use crate::protocol::model::{FinishReason, ModelEvent};
use crate::session::service::SessionService;
use crate::store::SessionChange;

fn with_titles() -> Rig {
    Rig::with(|settings| settings.title_model = TitleModel::Session)
}

#[tokio::test]
async fn a_title_that_ends_with_its_turn_names_the_abort_of_that_turn() {
    let rig = with_titles();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "name me").await;
    call.begins();
    let title = rig.title_call().await;
    let ended = rig.sessions.stop_all(end(Cause::ClientEof, "wire.eof"));
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    soon(ended).await;
    title.dropped().await;
    let told = rig.told(&session).await;
    assert_eq!(told.titles[0].abort_id, Some(abort.abort_id));
    assert_eq!(abort.title_generation_state, TitleState::InFlight);
}

#[tokio::test]
async fn a_title_that_outlives_its_turn_names_the_demand_that_ends_it() {
    let rig = with_titles();
    let session = rig.session().await;
    let result = rig.turn(&session, "name me").await;
    assert!(result.diagnostics.title_generation.is_some_and(|title| title.completed_at.is_none()));
    let title = rig.title_call().await;
    soon(rig.sessions.stop_all(end(Cause::ClientEof, "wire.eof"))).await;
    title.dropped().await;
    let told = rig.told(&session).await;
    assert_eq!(told.aborts, []);
    assert_eq!(told.titles[0].error_name.as_deref(), Some("cancelled"));
    assert!(told.titles[0].error_message.is_some(), "it says why");
    assert_eq!((&told.cancels[0].cause, &told.cancels[0].abort_id), (&Cause::ClientEof, &told.titles[0].abort_id));
}

#[tokio::test]
async fn a_title_model_that_panics_holds_up_nothing() {
    let rig = with_titles();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "name me").await;
    call.begins();
    let title = rig.title_call().await;
    title.panic();
    call.finish(FinishReason::EndTurn);
    prompt.answer().await.expect("a result");
    rig.close(&session).await.expect("closed");
    let told = rig.told(&session).await;
    assert_eq!((told.titles[0].success, told.titles[0].error_name.as_deref()), (Some(false), Some("title_panic")));
}

/// No method of the wire sets a title while one is made; the store lets the user's win whoever sets it.
#[tokio::test]
async fn a_title_that_the_user_sets_meanwhile_wins_and_the_record_says_so() {
    let rig = with_titles();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "name me").await;
    call.begins();
    let title = rig.title_call().await;
    let users = SessionChange::Title { title: "Mine".into(), source: TitleSource::User };
    assert_eq!(rig.store.change_session(&session, users).await, Ok(true));
    title.event(ModelEvent::Text("A name".into()));
    title.finish(FinishReason::EndTurn);
    call.finish(FinishReason::EndTurn);
    prompt.answer().await.expect("a result");
    rig.close(&session).await.expect("closed");
    let told = rig.told(&session).await;
    let ended = &told.titles[0];
    assert_eq!((ended.success, ended.applied, ended.error_name.as_deref()), (Some(true), false, Some("not_wanted")));
    let stored = rig.store.session(&session).await.expect("readable").expect("there");
    assert_eq!((stored.info.title.as_deref(), stored.info.title_source), (Some("Mine"), Some(TitleSource::User)));
}

#[tokio::test]
async fn a_title_is_applied_and_told() {
    let rig = with_titles();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "name me").await;
    call.begins();
    let title = rig.title_call().await;
    title.event(ModelEvent::Text("A name".into()));
    title.finish(FinishReason::EndTurn);
    rig.desk.update(|update| matches!(update, crate::protocol::update::SessionUpdate::SessionInfoUpdate { .. })).await;
    call.finish(FinishReason::EndTurn);
    prompt.answer().await.expect("a result");
    rig.close(&session).await.expect("closed");
    let stored = rig.store.session(&session).await.expect("readable").expect("there");
    assert_eq!(stored.info.title.as_deref(), Some("A name"));
}
