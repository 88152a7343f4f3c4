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
    let me = this_process();
    let prompt_request = Some(turn("s", "t").prompt_request);
    let running_in = Some(RunsIn { pid: me.pid, boot_id: me.boot_id });
    assert_eq!((turns, at_seq), (vec![TurnInfo { running_in, prompt_request, ..turn("s", "t").turn }], 1));
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
async fn what_cannot_be_read_is_told_and_hides_nothing_else() {
    let rig = Rig::with_session().await;
    drop(rig.store.create_session(session("other")));
    drop(rig.store.begin_turn(turn("s", "t")));
    drop(rig.store.add_part(&answer_of("t"), 0, Part::text("answer")));
    drop(rig.store.extend_part(&answer_of("t"), 0, " lost".into()));
    drop(rig.store.extend_part(&answer_of("t"), 0, " kept".into()));
    drop(rig.store.end_turn(aborted("s", "t")));
    drop(rig.store.record(Diagnostic::Cancel(cancel("s", "c", CancelOutcome::Idle))));
    drop(rig.store.begin_turn(turn("s", "u")));
    rig.store.end_turn(aborted("s", "u")).await.expect("ended");
    let before = rig.store.session(&session_id("s")).await.expect("read").expect("there");
    by_hand(
        &rig,
        "DROP TRIGGER turn_is_final;
         DROP TRIGGER diagnostic_is_final;
         UPDATE session SET title_source = 'future', closed_at = -1 WHERE session_id = 's';
         UPDATE turn SET usage = '{', stop = 'future' WHERE turn_id = 't';
         UPDATE part SET body = '{\"kind\":\"from_the_future\"}' WHERE ordinal = 0 AND message_seq = 1;
         UPDATE part_text SET text = CAST(x'ff' AS TEXT) WHERE text = ' lost';
         UPDATE message SET role = 'future' WHERE seq = 3;
         UPDATE diagnostic SET body = '[' WHERE kind = 'abort' AND turn_id = 't';
         INSERT INTO diagnostic (session_id, kind, body) VALUES ('s', 'from_the_future', '{}');",
    );
    let (turns, messages, aborts, newest, unreadable) = rig
        .store
        .snapshot(&session_id("s"), |snapshot| {
            let (turns, messages, newest) = read(snapshot, "s");
            let mut aborts = Vec::new();
            for _ in 0..2 {
                aborts.clear();
                let walked = snapshot.for_each_diagnostic(&RecordKind::ALL, |row| {
                    if let Recorded::Abort(abort) = row.record {
                        aborts.push(abort.turn_id.to_string());
                    }
                    Ok::<_, StoreError>(())
                });
                walked.expect("read");
            }
            (turns, messages, aborts, newest, snapshot.unreadable().clone())
        })
        .await
        .expect("taken")
        .expect("a session");
    assert_eq!((turns.len(), &turns[0].usage, turns[0].stop, turns[0].ended_at), (2, &None, None, Some(200)));
    let shown: Vec<_> = messages.iter().map(|message| (message.message_id.as_str(), message.parts.clone())).collect();
    let expected = [("t.user", vec![Part::text("world")]), ("t.answer", vec![Part::text("answer kept")]), ("u.answer", vec![])];
    assert_eq!(shown, expected);
    assert_eq!((aborts, newest), (vec!["u".to_owned()], 6));
    let mut rows: Vec<_> = unreadable.rows.iter().map(|row| row.row.as_str()).collect();
    rows.sort_unstable();
    let expected = [
        "diagnostic 2",
        "diagnostic 6",
        "message 3",
        "part 0 of message 1",
        "part_text 1 of message 2",
        "session 1, its end",
        "session 1, its title's source",
        "turn 1, its stop",
        "turn 1, its usage",
    ];
    assert_eq!((rows, unreadable.count), (expected.to_vec(), 9));

    let history = rig.store.history(&session_id("s")).await.expect("read");
    assert_eq!((history.messages, history.unreadable.count), (messages, 3));
    let session = rig.store.session(&session_id("s")).await.expect("read").expect("there");
    assert_eq!(session.info, before.info);
    let page = rig.store.list_sessions(ListQuery { cwd: None, cursor: None, limit: 10 }).await.expect("listed");
    assert_eq!(page.sessions.len(), 2);
    for aborts in [rig.store.recent_aborts(10), rig.store.aborts_of(&session_id("s"))] {
        assert_eq!(aborts.await.expect("read").iter().map(|abort| abort.turn_id.as_str()).collect::<Vec<_>>(), ["u"]);
    }
}

#[tokio::test]
async fn a_turn_of_a_dead_process_is_found_whatever_of_it_cannot_be_read() {
    let rig = Rig::with_session().await;
    for name in ["t", "u"] {
        drop(rig.store.begin_turn_as(dead_process(), turn("s", name)));
        drop(rig.store.write_parts(
            &answer_of(name),
            vec![PartWrite::Put { ordinal: 0, part: Part::text("kept") }, PartWrite::Put { ordinal: 1, part: Part::text("lost") }],
        ));
    }
    rig.store.ready().await.expect("written");
    by_hand(
        &rig,
        "UPDATE part SET body = '{' WHERE ordinal = 1 AND message_seq = 2;
         UPDATE turn SET prompt_request = '{}', kind = 'future' WHERE turn_id = 't';
         INSERT INTO diagnostic (session_id, turn_id, kind, record_key, body) VALUES ('s', 't', 'tool_run', 'k', '{}');",
    );
    let abandoned = rig.store.abandoned().await.expect("found").turns;
    let found = abandoned.iter().map(|it| {
        let request = it.turn.prompt_request.as_ref().map(|request| request.id.as_json());
        (it.turn.turn_id.as_str(), it.parts.len(), it.next_part, request)
    });
    assert_eq!(found.collect::<Vec<_>>(), [("t", 1, 2, None), ("u", 2, 2, Some("\"p-1\""))]);
}

#[tokio::test]
async fn a_panic_while_it_is_read_is_an_error_with_its_place_and_an_incident_of_the_session() {
    crate::provenance::panics::watch();
    let rig = Rig::with_session().await;
    let read = rig.store.snapshot(&session_id("s"), |_| -> () { panic!("hunter2") }).await;
    let Err(StoreError::Internal { detail, .. }) = read else { panic!("{read:?}") };
    assert!(detail.starts_with("reading the store panicked at src/store/tests/snapshot.rs:"), "{detail}");
    let incidents = rig.store.recent_incidents(9).await.expect("read");
    let told: Vec<_> = incidents.iter().map(|it| (it.name.as_str(), it.session_id.as_ref(), it.message.as_str())).collect();
    assert_eq!(told, [("reader_panic", Some(&session_id("s")), "reading the store panicked")]);
    let at = incidents[0].panicked_at.as_ref().expect("a place");
    assert_eq!((at.file.as_str(), detail.ends_with(&format!(":{}", at.line))), ("src/store/tests/snapshot.rs", true));
}

#[tokio::test]
async fn an_incident_of_no_session_is_kept_and_stands_in_no_export() {
    let rig = Rig::with_session().await;
    let incident = crate::provenance::panics::Panicked::default().incident("handler_panic", None, 7);
    rig.store.record(Diagnostic::Incident(incident)).await.expect("stored");
    let incidents = rig.store.recent_incidents(9).await.expect("read");
    assert_eq!(incidents.iter().map(|it| (it.session_id.as_ref(), it.at)).collect::<Vec<_>>(), [(None, 7)]);
    let walked = rig.store.snapshot(&session_id("s"), |snapshot| snapshot.at_seq()).await;
    assert_eq!(walked, Ok(Some(0)));
}

/// Changes rows behind the store's back.
fn by_hand(rig: &Rig, sql: &str) {
    rusqlite::Connection::open(rig.file()).and_then(|conn| conn.execute_batch(sql)).expect("changed by hand");
}
