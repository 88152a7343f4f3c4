//! Snapshots: whole trees, one instant, also while the store is written to, and with rows that cannot be read.

use super::*;
use std::sync::mpsc::channel;

#[tokio::test]
async fn a_snapshot_does_not_see_what_is_written_while_it_is_read() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    drop(rig.store.add_part(&answer_of("t"), 0, Part::text("before")));
    let (started, has_started) = channel();
    let (go_on, may_go_on) = channel();
    let reading = rig.store.snapshot(&session_id("s"), move |snapshot| {
        started.send(()).expect("the test waits");
        may_go_on.recv().expect("the test writes first");
        read(snapshot, "s")
    });
    has_started.recv().expect("the snapshot is taken");
    // Not held up by the reader, and not seen by it.
    drop(rig.store.extend_part(&answer_of("t"), 0, " and after".into()));
    rig.store.end_turn(aborted("s", "t")).await.expect("ended");
    go_on.send(()).expect("the snapshot waits");

    let (turns, messages, at_seq) = reading.await.expect("taken").expect("a session");
    assert_eq!((turns, at_seq), (vec![turn("s", "t").turn], 0));
    assert_eq!(messages[1].parts, [Part::text("before")]);

    let now = rig.store.snapshot(&session_id("s"), |snapshot| read(snapshot, "s")).await.expect("taken").expect("a session");
    assert_eq!(now.0[0].abort_id, Some(AbortId::new("t.abort")));
    assert_eq!(now.0[0].usage.as_ref().and_then(|usage| usage.input_tokens), Some(3));
    assert_eq!(now.1[1].parts, [Part::text("before and after")]);
    assert!(now.2 > 0);
}

fn read(snapshot: &mut Snapshot, session: &str) -> (Vec<TurnInfo>, Vec<Message>, u64) {
    let (mut turns, mut messages) = (Vec::new(), Vec::new());
    let id = session_id(session);
    let walked: Result<(), StoreError> = snapshot
        .for_each_turn(&id, |turn| {
            turns.push(turn);
            Ok(())
        })
        .and_then(|()| {
            snapshot.for_each_message(&id, |message| {
                messages.push(message);
                Ok(())
            })
        });
    walked.expect("read");
    (turns, messages, snapshot.at_seq())
}

#[tokio::test]
async fn a_child_shows_its_whole_tree_depth_first() {
    let rig = Rig::with_session().await;
    for (name, parent) in [("a", "s"), ("b", "s"), ("a1", "a"), ("b1", "b"), ("a2", "a"), ("a1x", "a1")] {
        drop(rig.store.create_session(SessionInfo { parent_session_id: Some(session_id(parent)), ..session(name) }));
    }
    drop(rig.store.create_session(session("stranger")));
    drop(rig.store.record(Diagnostic::Cancel(cancel("a1", "c1", CancelOutcome::Idle))));
    drop(rig.store.record(Diagnostic::Cancel(cancel("stranger", "c2", CancelOutcome::Idle))));
    drop(rig.store.record(Diagnostic::Cancel(cancel("s", "c3", CancelOutcome::Idle))));
    drop(rig.store.record(Diagnostic::Cancel(cancel("stranger", "c4", CancelOutcome::Idle))));
    for id in ["s", "a1", "b1"] {
        let (names, cancels, at_seq) = rig
            .store
            .snapshot(&session_id(id), |snapshot| {
                let names: Vec<_> = snapshot.sessions().iter().map(|session| session.session_id.to_string()).collect();
                let mut cancels = Vec::new();
                let walked = snapshot.for_each_diagnostic(&RecordKind::ALL, |row| {
                    let Recorded::Diagnostic(Diagnostic::Cancel(cancel)) = row.record else { panic!("only cancels") };
                    cancels.push(cancel.cancel_id.to_string());
                    Ok::<_, StoreError>(())
                });
                walked.expect("read");
                (names, cancels, snapshot.at_seq())
            })
            .await
            .expect("taken")
            .expect("a session");
        assert_eq!(names, ["s", "a", "a1", "a1x", "a2", "b", "b1"]);
        assert_eq!((cancels, at_seq), (vec!["c1".to_owned(), "c3".to_owned()], 3), "another session's records do not count");
    }
}

#[tokio::test]
async fn an_unknown_session_has_no_snapshot_and_a_visitors_error_ends_the_walk() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    assert_eq!(rig.store.snapshot(&session_id("nobody"), |_| ()).await, Ok(None));

    #[derive(Debug, PartialEq)]
    enum Told {
        Store(StoreError),
        Mine,
    }
    impl From<StoreError> for Told {
        fn from(error: StoreError) -> Self {
            Self::Store(error)
        }
    }
    let mut seen = 0;
    let walk = rig.store.snapshot(&session_id("s"), move |snapshot| {
        let ended = snapshot.for_each_message(&session_id("s"), |_| {
            seen += 1;
            Err(Told::Mine)
        });
        (ended, seen)
    });
    assert_eq!(walk.await, Ok(Some((Err(Told::Mine), 1))));
}

#[tokio::test]
async fn a_panic_of_the_visitor_is_an_error_and_the_store_goes_on() {
    let rig = Rig::with_session().await;
    let visited = rig.store.snapshot(&session_id("s"), |_| -> () { panic!("a defect of the exporter") }).await;
    assert!(matches!(visited, Err(StoreError::Internal { .. })), "{visited:?}");
    rig.store.ready().await.expect("still there");
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_in_a_snapshot_and_refused_in_a_history() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    drop(rig.store.record(Diagnostic::Cancel(cancel("s", "c", CancelOutcome::Idle))));
    rig.store.ready().await.expect("written");
    rusqlite::Connection::open(rig.file())
        .and_then(|conn| {
            conn.execute_batch(
                "UPDATE part SET body = '{\"kind\":\"from_the_future\"}' WHERE ordinal = 0;
                 INSERT INTO diagnostic (session_id, kind, body) VALUES ('s', 'from_the_future', '{}');",
            )
        })
        .expect("changed by hand");
    let (messages, rows, unreadable) = rig
        .store
        .snapshot(&session_id("s"), |snapshot| {
            let (_, messages, _) = read(snapshot, "s");
            let mut rows = 0;
            let walked = snapshot.for_each_diagnostic(&RecordKind::ALL, |_| {
                rows += 1;
                Ok::<_, StoreError>(())
            });
            walked.expect("read");
            (messages, rows, snapshot.unreadable())
        })
        .await
        .expect("taken")
        .expect("a session");
    assert_eq!(messages[0].parts, [Part::text("world")]);
    assert_eq!((rows, unreadable), (1, 2));
    let history = rig.store.history(&session_id("s")).await;
    assert!(matches!(&history, Err(StoreError::Unreadable { file, .. }) if *file == rig.file()), "{history:?}");
}
