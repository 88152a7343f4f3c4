//! Many writers on one store, and what a burst costs.

use super::*;
use std::sync::{Arc, Barrier};

const HANDLES: usize = 16;
const TURNS: usize = 8;

#[test]
fn sixteen_handles_open_and_write_one_new_store_at_once_and_none_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let barrier = Arc::new(Barrier::new(HANDLES));
    let writers: Vec<_> = (0..HANDLES)
        .map(|number| {
            let (path, barrier) = (dir.path().join("data"), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                runtime.block_on(conversation(Store::open(path), &format!("s{number}")));
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("no writer failed");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let health = runtime.block_on(Store::open(dir.path().join("data")).health()).expect("healthy");
    assert_eq!((health.sessions, health.turns, health.open_turns), (HANDLES as u64, (HANDLES * TURNS) as u64, 0));
    assert_eq!(health.damage, Vec::<String>::new());
}

async fn conversation(store: Store, name: &str) {
    store.create_session(session(name)).await.expect("created");
    for number in 0..TURNS {
        let id = format!("{name}-{number}");
        store.begin_turn(turn(name, &id)).await.expect("begun");
        store.add_part(&answer_of(&id), 0, Part::text("")).await.expect("added");
        for _ in 0..10 {
            store.extend_part(&answer_of(&id), 0, "piece ".into()).await.expect("extended");
        }
        store.end_turn(aborted(name, &id)).await.expect("ended");
    }
    let history = store.history(&session_id(name)).await.expect("read").messages;
    assert_eq!(history.len(), 2 * TURNS);
    assert!(history.iter().filter(|message| message.role == Role::Assistant).all(|m| m.parts == [Part::text("piece ".repeat(10))]));
    store.close().await.expect("closed");
}

#[tokio::test]
async fn a_thousand_turns_that_end_at_once_share_their_commits() {
    let rig = Rig::new();
    for number in 0..1000 {
        let name = format!("s{number}");
        drop(rig.store.create_session(session(&name)));
        drop(rig.store.begin_turn(turn(&name, &format!("{name}-turn"))));
    }
    rig.store.ready().await.expect("begun");
    let ends: Vec<_> = (0..1000).map(|number| rig.store.end_turn(aborted(&format!("s{number}"), &format!("s{number}-turn")))).collect();
    for end in ends {
        end.await.expect("ended");
    }
    assert_eq!(rig.store.recent_aborts(2000).await.expect("read").len(), 1000);
}

#[tokio::test]
async fn without_a_pause_the_log_is_moved_into_the_database_before_it_grows_large() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    for ordinal in 0..300 {
        rig.store.add_part(&answer_of("t"), ordinal, Part::text("x".repeat(100_000))).await.expect("added");
    }
    let log = std::fs::metadata(rig.dir.path().join("data/pillion.db-wal")).expect("a log").len();
    assert!(log < 16 << 20, "30 MB were written and the log has {log} bytes");
}

#[tokio::test]
async fn jobs_happen_in_the_order_of_the_calls_whoever_waits() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    drop(rig.store.add_part(&answer_of("t"), 0, Part::text("")));
    for number in 0..1500 {
        drop(rig.store.extend_part(&answer_of("t"), 0, format!("{number} ")));
    }
    // Queued before the later pieces: it must not see them.
    let in_between = rig.store.history(&session_id("s"));
    drop(rig.store.extend_part(&answer_of("t"), 0, "later".into()));
    let text: String = (0..1500).map(|number| format!("{number} ")).collect();
    assert_eq!(in_between.await.expect("read").messages[1].parts, [Part::text(&text)]);
    assert_eq!(rig.store.history(&session_id("s")).await.expect("read").messages[1].parts, [Part::text(text + "later")]);
}

#[tokio::test]
async fn a_job_that_fails_does_not_touch_its_neighbours() {
    let rig = Rig::with_session().await;
    let jobs = [rig.store.create_session(session("a")), rig.store.create_session(session("s")), rig.store.create_session(session("b"))];
    let mut answers = Vec::new();
    for job in jobs {
        answers.push(job.await);
    }
    assert_eq!(answers, [Ok(()), Err(StoreError::SessionTaken), Ok(())]);
    assert!(rig.store.session(&session_id("b")).await.expect("read").is_some());
}
