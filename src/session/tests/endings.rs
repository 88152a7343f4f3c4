//! How turns end that do not end by themselves: forced, failed, without a store.

use super::rig::{Rig, end, soon};
use crate::protocol::abort::{ArrivingCall, CancelOutcome, Phase, ToolOutcome};
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::StreamState;
use crate::protocol::message::{PartKind, ResultStatus};
use crate::protocol::model::{FinishReason, ModelEvent};
use crate::protocol::permission::PermissionChoice;
use crate::protocol::results::StopReason;
use crate::protocol::update::SessionUpdate;
use crate::session::Refusal;
use crate::session::demand::{End, Explained};
use crate::session::editor::PermissionAnswer;
use crate::session::service::SessionService;
use futures_util::FutureExt;
use std::time::Instant;
use tokio::sync::oneshot;

fn is_text(update: &SessionUpdate) -> bool {
    matches!(update, SessionUpdate::AgentMessageChunk { .. })
}

#[tokio::test]
async fn a_tool_that_ignores_the_stop_is_given_up_after_the_grace() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.tool("c1", "open");
    call.tool("c2", "gated");
    call.finish(FinishReason::ToolCalls);
    let (tool, question) = (rig.tool().await, rig.desk.question().await);
    let cancelled = rig.cancel(&session);
    let result = prompt.answer().await.expect("a result");
    assert_eq!(result.stop_reason, StopReason::Cancelled);
    let abort = result.diagnostics.abort.expect("an abort");
    assert!(abort.forced);
    assert_eq!(abort.propagation_point, "turn.forced");
    let outcomes: Vec<_> = abort.tools_in_flight.iter().map(|tool| (tool.call_id.as_str(), tool.outcome)).collect();
    assert_eq!(outcomes, [("c2", ToolOutcome::Withdrawn), ("c1", ToolOutcome::Escaped)]);
    assert_eq!(cancelled.await.expect("an answer").outcome, CancelOutcome::Cancelled);
    assert!(question.is_closed());
    // What it still does changes nothing that is told.
    let numbers = rig.desk.numbers();
    tool.done("too late");
    let told = rig.told(&session).await;
    let results: Vec<_> =
        told.messages.iter().flat_map(|message| &message.parts).filter(|part| part.kind == PartKind::ToolResult).collect();
    assert_eq!(
        results.iter().map(|part| (part.call_id.as_deref(), part.status)).collect::<Vec<_>>(),
        [(Some("c1"), Some(ResultStatus::Interrupted)), (Some("c2"), Some(ResultStatus::NotStarted))]
    );
    assert_eq!(rig.desk.numbers(), numbers);
    assert_eq!(rig.turn(&session, "two").await.stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn no_question_is_asked_and_no_tool_is_started_after_a_stop() {
    let rig = Rig::with(|settings| settings.grace.hard = std::time::Duration::from_secs(15));
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.text("Once");
    rig.desk.update(is_text).await;
    let cancelled = rig.cancel(&session);
    // On this test's one thread nothing has run since: stop and calls reach the turn together.
    call.tool("c1", "gated");
    call.tool("c2", "open");
    call.finish(FinishReason::ToolCalls);
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    assert_eq!((abort.phase, abort.forced, abort.tools_in_flight.as_slice()), (Phase::Text, false, &[][..]));
    cancelled.await.expect("an answer");
    assert_eq!(rig.desk.asked(), 0);
}

#[tokio::test]
async fn a_stream_that_ends_without_an_end_has_failed_and_was_not_aborted() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.text("Once");
    drop(call);
    let Err(Refusal::TurnFailed { cause, diagnostics, .. }) = prompt.answer().await else { panic!("it did not fail") };
    assert_eq!(cause, Cause::ProviderTransport);
    let trace = &diagnostics.stream_traces.expect("a trace")[0];
    assert_eq!((trace.state, &trace.abort_id), (StreamState::Failed, &None));
    assert_eq!(trace.failure.as_ref().map(|failure| failure.kind.as_str()), Some("unexpected_eof"));
}

#[tokio::test]
async fn usage_that_a_provider_reports_again_is_not_counted_twice() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    let usage = |tokens| {
        let source = crate::protocol::diagnostics::UsageSource::Provider;
        ModelEvent::Usage(crate::protocol::diagnostics::Usage {
            source,
            output_tokens: Some(tokens),
            ..crate::protocol::diagnostics::Usage::absent()
        })
    };
    call.event(usage(3));
    call.event(usage(7));
    call.tool("c1", "open");
    call.finish(FinishReason::ToolCalls);
    rig.tool().await.done("done");
    let call = rig.call().await;
    call.event(usage(5));
    call.finish(FinishReason::EndTurn);
    assert_eq!(prompt.answer().await.expect("a result").usage.output_tokens, Some(12));
}

#[tokio::test]
async fn a_record_that_could_not_be_stored_does_not_claim_that_the_text_was() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.text("Once");
    rig.desk.update(is_text).await;
    std::fs::remove_dir_all(rig.data_dir()).expect("the store is gone");
    let cancelled = rig.cancel(&session);
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    assert_eq!(abort.missing, ["not_durable"]);
    assert_eq!((abort.partial.text_bytes, abort.partial.persisted_bytes), (4, 0));
    cancelled.await.expect("an answer");
    call.dropped().await;
}

#[tokio::test]
async fn a_turn_that_ended_well_and_was_not_stored_has_failed() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    std::fs::remove_dir_all(rig.data_dir()).expect("the store is gone");
    call.text("Once");
    call.finish(FinishReason::EndTurn);
    let Err(Refusal::TurnFailed { cause, diagnostics, .. }) = prompt.answer().await else { panic!("it did not fail") };
    assert_eq!(cause, Cause::StoreFailure);
    let abort = diagnostics.abort.expect("an abort");
    assert_eq!((abort.phase, abort.propagation_point.as_str()), (Phase::Persisting, "store.failed"));
    assert_eq!((abort.partial.persisted_bytes, abort.missing.as_slice()), (0, &["not_durable".to_owned()][..]));
    assert!(abort.attempt_id.is_some());
}

#[tokio::test]
async fn a_save_that_fails_ends_the_turn_while_the_model_is_silent() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    std::fs::remove_dir_all(rig.data_dir()).expect("the store is gone");
    // Enough for one save, and then nothing more.
    call.text(&"x".repeat(64 * 1024));
    let Err(Refusal::TurnFailed { cause, diagnostics, .. }) = soon(prompt.answer()).await else { panic!("it did not fail") };
    assert_eq!(cause, Cause::StoreFailure);
    assert_eq!(diagnostics.abort.expect("an abort").partial.persisted_bytes, 0);
    call.dropped().await;
}

#[tokio::test]
async fn a_tool_that_takes_too_long_stops_the_turn_and_is_accounted_for() {
    let rig = Rig::with(|settings| settings.watchdogs.tool = std::time::Duration::from_millis(50));
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.tool("c1", "open");
    call.finish(FinishReason::ToolCalls);
    let _tool = rig.tool().await;
    let Err(Refusal::TurnFailed { cause, message, diagnostics, .. }) = prompt.answer().await else { panic!("it did not fail") };
    assert_eq!(cause, Cause::ToolTimeout { limit_ms: 50 });
    assert_eq!(message, "A tool call took longer than 0.05 s, its time limit.");
    let abort = diagnostics.abort.expect("an abort");
    assert_eq!((abort.phase, abort.forced, abort.initiator), (Phase::ToolRunning, true, None));
    assert_eq!(abort.tools_in_flight[0].outcome, ToolOutcome::Escaped);
    assert_eq!(abort.propagation[0].point, "watchdog.tool");
    let asked: Vec<_> =
        diagnostics.cancel_requests.expect("a demand").iter().map(|cancel| (cancel.cause.clone(), cancel.outcome)).collect();
    assert_eq!(asked, [(Cause::ToolTimeout { limit_ms: 50 }, CancelOutcome::Cancelled)]);
    assert_eq!(rig.turn(&session, "two").await.stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn a_question_does_not_count_as_a_tool_that_runs() {
    let rig = Rig::with(|settings| settings.watchdogs.tool = std::time::Duration::from_millis(50));
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.tool("c1", "gated");
    call.finish(FinishReason::ToolCalls);
    let question = rig.desk.question().await;
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    question.send(PermissionAnswer::Chosen(PermissionChoice::AllowOnce)).expect("it waits");
    rig.tool().await.done("done");
    rig.call().await.finish(FinishReason::EndTurn);
    assert_eq!(prompt.answer().await.expect("a result").stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn a_call_that_the_model_had_begun_to_write_is_told_as_lost() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.event(ModelEvent::ToolBegins { nth: 0, call_id: "c1".into(), tool: "open".into() });
    call.event(ModelEvent::ToolInput { bytes: 626 });
    call.text("Once");
    rig.desk.update(is_text).await;
    let cancelled = rig.cancel(&session);
    let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
    let lost = ArrivingCall { bytes: 626, tool: Some("open".into()), call_id: Some("c1".into()) };
    assert_eq!(abort.partial.tool_inputs, Some(vec![lost]));
    assert_eq!(cancelled.await.expect("an answer").outcome, CancelOutcome::Cancelled);
}

#[tokio::test]
async fn the_work_stops_at_once_and_its_records_wait_for_the_cause() {
    for died in [true, false] {
        let rig = Rig::new();
        let session = rig.session().await;
        let (prompt, call) = rig.running(&session, "one").await;
        call.text("Once");
        rig.desk.update(is_text).await;
        let (explain, explained) = oneshot::channel();
        let explanation = async move { explained.await.ok() }.boxed().shared();
        let ended = rig.sessions.stop_all(End { explanation: Some(explanation), ..end(Cause::ClientEof, "wire.eof") });
        // The stream is gone, and nobody has said yet why the pipe was closed.
        call.dropped().await;
        let better = Explained { cause: Cause::ClientProcessDied { pid: 7 }, point: "process.died", at: Instant::now() };
        if died {
            explain.send(better).expect("somebody waits for it");
        } else {
            drop(explain);
        }
        let abort = prompt.answer().await.expect("a result").diagnostics.abort.expect("an abort");
        soon(ended).await;
        let cause = if died { Cause::ClientProcessDied { pid: 7 } } else { Cause::ClientEof };
        let mut hops = vec!["wire.eof", "runner.stopping", "turn.stream_dropped", "turn.settled"];
        if died {
            hops.insert(3, "process.died");
        }
        assert_eq!((&abort.cause, abort.propagation_point.as_str()), (&cause, "turn.stream_dropped"));
        assert_eq!(abort.propagation.iter().map(|hop| hop.point.as_str()).collect::<Vec<_>>(), hops);
        let told = rig.told(&session).await;
        let rows: Vec<_> = told.cancels.iter().map(|row| (&row.cause, row.outcome)).collect();
        assert_eq!(rows, [(&cause, CancelOutcome::Cancelled)]);
    }
}

#[tokio::test]
async fn an_end_that_came_while_the_last_turn_was_ending_is_told_as_too_late() {
    for stopped in [true, false] {
        let rig = Rig::new();
        let session = rig.session().await;
        let (prompt, call) = rig.running(&session, "one").await;
        let before = Instant::now();
        let cancelled = stopped.then(|| rig.cancel(&session));
        if !stopped {
            call.finish(FinishReason::EndTurn);
        }
        let answer = prompt.answer().await.expect("a result");
        if let Some(cancelled) = cancelled {
            cancelled.await.expect("an answer");
        }
        // Heard of only now.
        soon(rig.sessions.stop_all(End { requested: before.into(), ..end(Cause::ClientEof, "wire.eof") })).await;
        let told = rig.told(&session).await;
        let last = told.cancels.last().expect("a row");
        let outcome = if stopped { CancelOutcome::AlreadyStopping } else { CancelOutcome::AlreadySettled };
        assert_eq!((&last.cause, last.outcome, last.turn_id.as_ref()), (&Cause::ClientEof, outcome, Some(&answer.turn_id)));
    }
    let rig = Rig::new();
    let session = rig.session().await;
    rig.turn(&session, "one").await;
    soon(rig.sessions.stop_all(end(Cause::ClientEof, "wire.eof"))).await;
    assert_eq!(rig.told(&session).await.cancels, [], "the end of a session that runs nothing is no demand");
}
