//! Files that are changed from outside while a transaction runs, and what is not that.

use super::*;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[tokio::test]
async fn a_log_that_is_cut_or_written_over_in_a_transaction_is_told_to_that_transaction() {
    let hands: [fn(&File); 3] = [
        |log| log.set_len(0).expect("cut"),
        |log| log.set_len(100).expect("cut"),
        |log| log.write_all_at(&[0xAA; 100], 0).expect("written over"),
    ];
    for hand in hands {
        let rig = Rig::with_session().await;
        let log = File::options().write(true).open(rig.dir.path().join("data/pillion.db-wal")).expect("a log");
        let told = rig
            .store
            .write(move |conn| {
                hand(&log);
                crate::store::sessions::create(conn, &session("t"))
            })
            .await;
        assert!(matches!(&told, Err(StoreError::Corrupt { detail, .. }) if detail.contains("write-ahead log was cut")), "{told:?}");
        assert_eq!(rig.store.create_session(session("u")).await, told, "and to all that come behind it");
        assert_eq!(rig.store.close().await, told);
    }
}

#[tokio::test]
async fn what_others_commit_and_move_meanwhile_is_theirs() {
    let rig = Rig::with_session().await;
    let other = rig.open_again();
    for number in 0..40 {
        for (name, store) in [("one", &rig.store), ("two", &other)] {
            let sql = if number % 7 == 3 { "PRAGMA wal_checkpoint(PASSIVE)" } else { "PRAGMA wal_checkpoint(TRUNCATE)" };
            let third = Connection::open(rig.file()).expect("a connection");
            if number % 3 == 0 {
                third.query_row(sql, [], |_| Ok(())).expect("moved");
            }
            store.create_session(session(&format!("{name}-{number}"))).await.expect("created");
        }
    }
    rig.store.close().await.expect("closed");
    other.close().await.expect("closed");
    let store = rig.open_again();
    assert_eq!(store.list_sessions(ListQuery { cwd: None, cursor: None, limit: 500 }).await.expect("listed").sessions.len(), 81);
}
