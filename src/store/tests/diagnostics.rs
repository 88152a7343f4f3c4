//! Diagnostic records: kept in order, read back equal, also for sessions that do not exist.

use super::*;
use crate::protocol::export::{Incident, LifecycleEvent, LifecyclePoint};
use crate::protocol::mode::Mode;
use crate::protocol::turn::{EditorSkills, Instruction, InstructionKind, Lane, QuestionForm, Spent, TurnBasis, TurnTime};

#[tokio::test]
async fn every_kind_is_read_back_as_it_was_recorded_in_the_order_of_the_calls() {
    let rig = Rig::with_session().await;
    let (session_id, turn_id, abort_id) = (session_id("s"), TurnId::new("t"), AbortId::new("t.abort"));
    let lifecycle = LifecycleEvent {
        event: LifecyclePoint::Answered,
        session_id: session_id.clone(),
        turn_id: turn_id.clone(),
        at: 1,
        at_us: Some(2),
        seq: None,
    };
    let incident = Incident {
        session_id: Some(session_id.clone()),
        name: "panic".into(),
        message: "m".into(),
        at: 3,
        turn_id: None,
        row: None,
        method: None,
        panicked_at: None,
        seq: None,
    };
    let state = TitleState::CompletedAfterAbort;
    let spent = Spent { on: Lane::Tools, us: 7, times: 1, longest_us: 7, longest_at_us: 0 };
    let basis = TurnBasis {
        session_id: session_id.clone(),
        turn_id: turn_id.clone(),
        model_asked: "m".into(),
        model: "p:m".into(),
        instructions: vec![Instruction {
            kind: InstructionKind::Workspace,
            sha256: "0a".into(),
            bytes: 3,
            path: Some("/w/AGENTS.md".into()),
        }],
        tools: vec!["shell".into()],
        rules_digest: "0b".into(),
        mode: Mode::Ask,
        trusted: true,
        editor: EditorSkills { questions: QuestionForm::Nobody, edits: false, reads: true, writes: false },
    };
    let records = [
        Diagnostic::Cancel(cancel("s", "c1", CancelOutcome::Idle)),
        Diagnostic::LateCancel {
            session_id: session_id.clone(),
            turn_id: turn_id.clone(),
            abort_id: abort_id.clone(),
            cancel_id: CancelId::new("c2"),
        },
        Diagnostic::TitleState { session_id: session_id.clone(), turn_id: turn_id.clone(), abort_id, state },
        Diagnostic::Title(title("s", "t", "run", true)),
        Diagnostic::Trace(trace("s", "t", "a", StreamState::Open)),
        Diagnostic::ToolRun(tool_run("s", "t", "call", None)),
        Diagnostic::TurnTime(TurnTime { session_id: session_id.clone(), turn_id: turn_id.clone(), total_us: 7, spent: vec![spent] }),
        Diagnostic::TurnBasis(basis),
        Diagnostic::Lifecycle(lifecycle.clone()),
        Diagnostic::Incident(incident.clone()),
    ];
    // All are queued before the first is awaited.
    let pending: Vec<_> = records.iter().map(|record| rig.store.record(record.clone())).collect();
    let mut seqs = Vec::new();
    for answer in pending {
        seqs.push(answer.await.expect("recorded"));
    }
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");

    let mut expected = records.to_vec();
    expected[0] = Diagnostic::Cancel(CancelRequest { seq: Some(seqs[0]), ..cancel("s", "c1", CancelOutcome::Idle) });
    expected[8] = Diagnostic::Lifecycle(LifecycleEvent { seq: Some(seqs[8]), ..lifecycle });
    expected[9] = Diagnostic::Incident(Incident { seq: Some(seqs[9]), ..incident });
    let expected: Vec<_> =
        seqs.iter().zip(expected).map(|(seq, record)| DiagnosticRow { seq: *seq, record: Recorded::Diagnostic(record) }).collect();
    assert_eq!(rows(&rig.store, "s").await, expected);
}

#[tokio::test]
async fn the_newest_state_of_a_record_is_the_record() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    drop(rig.store.record(Diagnostic::Trace(trace("s", "t", "a", StreamState::Open))));
    drop(rig.store.record(Diagnostic::Title(title("s", "t", "run", false))));
    drop(rig.store.record(Diagnostic::Trace(trace("s", "t", "b", StreamState::Open))));
    drop(rig.store.record(Diagnostic::ToolRun(tool_run("s", "t", "call", None))));
    let ended = EndTurn {
        traces: vec![trace("s", "t", "a", StreamState::Failed)],
        tool_runs: vec![tool_run("s", "t", "call", Some(ResultStatus::Interrupted))],
        ..aborted("s", "t")
    };
    let at_end = rig.store.end_turn(ended).await.expect("ended");
    drop(rig.store.record(Diagnostic::Title(title("s", "t", "run", true))));

    let rows = rows(&rig.store, "s").await;
    let records: Vec<_> = rows.iter().map(|row| row.record.clone()).collect();
    assert_eq!(
        records,
        [
            Recorded::Diagnostic(Diagnostic::Lifecycle(LifecycleEvent {
                event: LifecyclePoint::Accepted,
                session_id: session_id("s"),
                turn_id: TurnId::new("t"),
                at: 99,
                at_us: None,
                seq: Some(1),
            })),
            Recorded::Diagnostic(Diagnostic::Trace(trace("s", "t", "b", StreamState::Open))),
            Recorded::Diagnostic(Diagnostic::ToolRun(tool_run("s", "t", "call", Some(ResultStatus::Interrupted)))),
            Recorded::Diagnostic(Diagnostic::Trace(trace("s", "t", "a", StreamState::Failed))),
            Recorded::Abort(Box::new(abort("s", "t"))),
            Recorded::Diagnostic(Diagnostic::Title(title("s", "t", "run", true))),
        ]
    );
    assert_eq!(rows[4].seq, at_end, "the end of the turn gave the number of its abort");
}

#[tokio::test]
async fn a_cancel_of_an_unknown_session_is_kept() {
    let rig = Rig::new();
    rig.store.record(Diagnostic::Cancel(cancel("nobody", "c", CancelOutcome::UnknownSession))).await.expect("recorded");
    let kept: String = rusqlite::Connection::open(rig.file())
        .and_then(|conn| conn.query_row("SELECT body FROM diagnostic WHERE session_id = 'nobody'", [], |row| row.get(0)))
        .expect("read");
    assert_eq!(serde_json::from_str::<CancelRequest>(&kept).expect("json"), cancel("nobody", "c", CancelOutcome::UnknownSession));
}

#[tokio::test]
async fn the_newest_aborts_of_all_sessions_come_first() {
    let rig = Rig::new();
    for name in ["a", "b", "c"] {
        drop(rig.store.create_session(session(name)));
        drop(rig.store.begin_turn(turn(name, &format!("{name}-turn"))));
        drop(rig.store.end_turn(aborted(name, &format!("{name}-turn"))));
    }
    assert_eq!(rig.store.recent_aborts(2).await, Ok(vec![abort("c", "c-turn"), abort("b", "b-turn")]));
}

#[tokio::test]
async fn the_aborts_of_a_session_come_in_the_order_of_its_turns() {
    let rig = Rig::new();
    drop(rig.store.create_session(session("a")));
    drop(rig.store.create_session(session("b")));
    for (session, turn_id) in [("a", "second-by-name"), ("b", "other"), ("a", "first-by-name")] {
        drop(rig.store.begin_turn(turn(session, turn_id)));
        drop(rig.store.end_turn(aborted(session, turn_id)));
    }
    drop(rig.store.begin_turn(turn("a", "still-running")));
    let expected = vec![abort("a", "second-by-name"), abort("a", "first-by-name")];
    assert_eq!(rig.store.aborts_of(&session_id("a")).await, Ok(expected));
    assert_eq!(rig.store.aborts_of(&session_id("nobody")).await, Ok(Vec::new()));
}

async fn rows(store: &Store, session: &str) -> Vec<DiagnosticRow> {
    store
        .snapshot(&session_id(session), |snapshot| {
            let mut rows = Vec::new();
            snapshot.for_each_diagnostic(&RecordKind::ALL, |row| {
                rows.push(row);
                Ok::<_, StoreError>(())
            })?;
            assert_eq!(rows.last().map(|row| row.seq), Some(snapshot.at_seq()));
            Ok::<_, StoreError>(rows)
        })
        .await
        .expect("taken")
        .expect("a session")
        .expect("read")
}
