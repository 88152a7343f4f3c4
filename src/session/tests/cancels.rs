//! Demands to stop: on which turn they land, what is recorded of them, and what the next turn makes of it.

use super::rig::{Rig, demand, soon};
use crate::protocol::abort::{CancelOutcome, Phase};
use crate::protocol::cause::CancelMode;
use crate::protocol::export::{LifecyclePoint, TurnStop};
use crate::protocol::message::PartKind;
use crate::protocol::model::FinishReason;
use crate::protocol::params::WhenBusy;
use crate::protocol::permission::PermissionChoice;
use crate::protocol::results::StopReason;
use crate::session::Refusal;
use crate::session::demand::{CancelDemand, CancelScope};
use crate::session::editor::PermissionAnswer;

#[tokio::test]
async fn a_cancel_of_an_older_turn_is_not_pinned_on_the_last_one() {
    let rig = Rig::new();
    let session = rig.session().await;
    let older = rig.turn(&session, "one").await.turn_id;
    let (prompt, _call) = rig.running(&session, "two").await;
    let cancelled = rig.cancel(&session);
    let last = prompt.answer().await.expect("a result");
    cancelled.await.expect("an answer");

    let late = rig.cancel_as(CancelDemand { session_id: session.clone(), scope: CancelScope::Turn(older), ..demand() });
    let late = late.await.expect("an answer");
    assert_eq!((late.outcome, late.turn_id, late.abort_id), (CancelOutcome::AlreadySettled, None, None));
    let told = rig.told(&session).await;
    assert_eq!(told.late, [], "the abort of {} had no late cancel", last.turn_id);
    assert_eq!((&told.cancels[1].turn_id, &told.cancels[1].abort_id), (&None, &None));
}

#[tokio::test]
async fn a_late_cancel_of_the_last_turn_names_its_abort_also_while_another_runs() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, _call) = rig.running(&session, "one").await;
    let cancelled = rig.cancel(&session);
    let first = prompt.answer().await.expect("a result");
    let abort = cancelled.await.expect("an answer").abort_id;
    let (running, call) = rig.running(&session, "two").await;
    let scope = CancelScope::Turn(first.turn_id.clone());
    let late = rig.cancel_as(CancelDemand { session_id: session.clone(), scope, ..demand() }).await.expect("an answer");
    assert_eq!((late.outcome, late.turn_id, late.abort_id.clone()), (CancelOutcome::AlreadySettled, Some(first.turn_id), abort));
    call.finish(FinishReason::EndTurn);
    assert_eq!(running.answer().await.expect("a result").stop_reason, StopReason::EndTurn);
    let told = rig.told(&session).await;
    assert_eq!(told.late, [(late.abort_id.expect("an abort"), told.cancels[1].cancel_id.clone())]);
}

#[tokio::test]
async fn a_cancel_of_a_turn_that_nobody_knows_does_not_call_a_busy_session_idle() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    let scope = CancelScope::Turn(crate::protocol::ids::TurnId::new("turn_of_nobody"));
    let answer = rig.cancel_as(CancelDemand { session_id: session.clone(), scope, ..demand() }).await.expect("an answer");
    assert_eq!((answer.outcome, answer.turn_id), (CancelOutcome::AlreadySettled, None));
    call.finish(FinishReason::EndTurn);
    assert_eq!(prompt.answer().await.expect("a result").stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn a_prompt_that_was_refused_was_never_accepted() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    let refused = rig.prompt_when(&session, "two", WhenBusy::Reject);
    let turn = refused.turn();
    assert!(matches!(refused.answer().await, Err(Refusal::Busy(_))));
    call.finish(FinishReason::EndTurn);
    let first = prompt.answer().await.expect("a result").turn_id;
    let told = rig.told(&session).await;
    assert!(told.lives.iter().all(|(of, _)| *of != turn), "{:?}", told.lives);
    assert_eq!(told.lives[..2], [(first.clone(), LifecyclePoint::Accepted), (first, LifecyclePoint::Started)]);
}

#[tokio::test]
async fn a_cancel_before_a_model_was_found_missing_ends_the_turn_as_any_other() {
    let rig = Rig::with(|settings| settings.model = None);
    let session = rig.session().await;
    let prompt = rig.prompt(&session, "one");
    let cancelled = rig.cancel(&session);
    let result = prompt.answer().await.expect("a result");
    assert_eq!((result.stop_reason, &result.model), (StopReason::Cancelled, &None));
    let abort = result.diagnostics.abort.expect("an abort");
    assert_eq!((abort.phase, abort.missing.as_slice()), (Phase::BeforeRequest, &[][..]));
    assert_eq!(cancelled.await.expect("an answer").abort.as_deref(), Some(&abort));
    let told = rig.told(&session).await;
    assert_eq!(told.turns.iter().map(|turn| turn.stop).collect::<Vec<_>>(), [Some(TurnStop::Cancelled)]);
    assert_eq!(told.aborts, [abort]);
}

#[tokio::test]
async fn without_a_model_a_prompt_is_refused_and_leaves_nothing() {
    let rig = Rig::with(|settings| settings.model = None);
    let session = rig.session().await;
    assert!(matches!(rig.prompt(&session, "one").answer().await, Err(Refusal::NoModel(_))));
    let idle = rig.cancel(&session).await.expect("an answer");
    assert_eq!((idle.outcome, idle.turn_id), (CancelOutcome::Idle, None));
    let told = rig.told(&session).await;
    assert_eq!((told.turns.len(), told.messages.len()), (0, 0));
    assert!(told.lives.iter().all(|(_, point)| *point != LifecyclePoint::Started), "{:?}", told.lives);
}

#[tokio::test]
async fn withdrawn_prompts_stand_behind_the_turn_that_they_waited_for() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (first, call) = rig.running(&session, "one").await;
    let second = rig.prompt(&session, "two");
    let scope = CancelScope::Turn(second.turn());
    let only = rig.cancel_as(CancelDemand { session_id: session.clone(), scope, ..demand() });
    let withdrawn = second.answer().await.expect("a result");
    assert_eq!(withdrawn.diagnostics.abort.expect("an abort").phase, Phase::Queued);
    assert_eq!(only.await.expect("an answer").outcome, CancelOutcome::Cancelled);
    call.text("Yes.");
    call.finish(FinishReason::EndTurn);
    first.answer().await.expect("a result");
    let (third, call) = rig.running(&session, "three").await;
    let texts: Vec<_> = call.request.messages.iter().flat_map(|message| &message.parts).filter_map(|part| part.text.clone()).collect();
    assert_eq!(texts, ["one", "Yes.", "two", "three"], "the order in which they were said, which is the store's too");
    call.finish(FinishReason::EndTurn);
    third.answer().await.expect("a result");
    let told = rig.told(&session).await;
    let stored: Vec<_> = told.messages.iter().flat_map(|message| &message.parts).filter_map(|part| part.text.clone()).collect();
    assert_eq!(stored, texts);
}

#[tokio::test]
async fn the_first_cancel_wins_and_the_second_is_late() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, _call) = rig.running(&session, "one").await;
    let (first, second) = (rig.cancel(&session), rig.cancel(&session));
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort").abort_id;
    let (first, second) = (first.await.expect("an answer"), second.await.expect("an answer"));
    assert_eq!((first.outcome, second.outcome), (CancelOutcome::Cancelled, CancelOutcome::AlreadyStopping));
    assert_eq!((first.abort_id, second.abort_id), (Some(abort.clone()), Some(abort.clone())));
    let told = rig.told(&session).await;
    assert_eq!(told.late, [(abort, told.cancels[1].cancel_id.clone())]);
}

#[tokio::test]
async fn a_soft_cancel_leaves_a_question_and_a_hard_one_takes_it_back() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.tool("c1", "gated");
    call.finish(FinishReason::ToolCalls);
    let question = rig.desk.question().await;
    let soft = rig.cancel_as(CancelDemand { session_id: session.clone(), mode: CancelMode::Soft, ..demand() }).await;
    assert_eq!(soft.expect("an answer").outcome, CancelOutcome::IgnoredAwaitingAnswer);
    assert!(!question.is_closed());
    let hard = rig.cancel(&session);
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    assert_eq!(hard.await.expect("an answer").outcome, CancelOutcome::Cancelled);
    assert!(question.is_closed(), "the question is withdrawn");
    assert_eq!((abort.phase, abort.propagation_point.as_str()), (Phase::AwaitingPermission, "permission.withdrawn"));
}

#[tokio::test]
async fn what_is_no_answer_to_a_question_is_a_no() {
    let rig = Rig::with(|settings| settings.permission_deadline = std::time::Duration::from_millis(20));
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    for id in ["never", "gone", "cannot", "cancelled", "no"] {
        call.tool(id, "gated");
    }
    call.finish(FinishReason::ToolCalls);
    let never = rig.desk.question().await;
    drop(rig.desk.question().await);
    for answer in [PermissionAnswer::Unanswerable, PermissionAnswer::Cancelled, PermissionAnswer::Chosen(PermissionChoice::RejectOnce)] {
        rig.desk.question().await.send(answer).expect("it is awaited");
    }
    let next = rig.call().await;
    assert!(never.is_closed(), "the deadline withdraws the question");
    let answer = next.request.messages.last().expect("the turn so far");
    let results: Vec<_> = answer.parts.iter().filter(|part| part.kind == PartKind::ToolResult).collect();
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|part| part.status == Some(crate::protocol::message::ResultStatus::Denied)), "{results:?}");
    next.finish(FinishReason::EndTurn);
    soon(prompt.answer()).await.expect("a result");
}

#[tokio::test]
async fn one_demand_was_asked_at_one_time_whatever_names_it() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (running, _call) = rig.running(&session, "first").await;
    let queued: Vec<_> = (0..40).map(|n| rig.prompt(&session, &format!("behind {n}"))).collect();
    let cancelled = rig.cancel(&session);
    for prompt in std::iter::once(running).chain(queued) {
        prompt.answer().await.expect("a result");
    }
    cancelled.await.expect("an answer");
    let told = rig.told(&session).await;
    let at = Some(told.cancels[0].at);
    assert_eq!(told.aborts.iter().map(|abort| abort.requested_at).collect::<Vec<_>>(), vec![at; 41]);
}
