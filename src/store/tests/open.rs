//! Opening and closing: permissions, links, foreign, newer and damaged files, full disks, and what is said of them.

use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn the_directory_and_the_files_are_for_nobody_else() {
    let rig = Rig::with_session().await;
    let dir = rig.dir.path().join("data");
    assert_eq!(mode(&dir), 0o700);
    for name in ["pillion.db", "pillion.db-wal", "pillion.db-shm", "pillion.lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    rig.store.close().await.expect("closed");
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("opened up");
    fs::set_permissions(rig.file(), Permissions::from_mode(0o644)).expect("opened up");
    rig.open_again().ready().await.expect("opened");
    assert_eq!((mode(&dir), mode(&rig.file())), (0o700, 0o600));
}

#[tokio::test]
async fn a_directory_with_other_things_in_it_is_left_as_it_is_and_warned_of() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("thesis.txt"), "mine").expect("written");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("opened up");
    let store = Store::open(dir.path().to_owned());
    let health = store.health().await.expect("healthy");
    assert_eq!(mode(dir.path()), 0o755);
    assert!(health.warnings.iter().any(|warning| warning.contains("mode 755")), "{:?}", health.warnings);
}

#[tokio::test]
async fn a_symbolic_link_is_refused_wherever_it_stands() {
    let rig = Rig::with_session().await;
    rig.store.close().await.expect("closed");
    let data = rig.dir.path().join("data");

    let linked_dir = rig.dir.path().join("linked");
    symlink(&data, &linked_dir).expect("linked");
    assert_eq!(Store::open(linked_dir.clone()).ready().await, Err(StoreError::Symlink { path: linked_dir }));

    for name in ["pillion.db", "pillion.db-wal", "pillion.lock"] {
        let other = tempfile::tempdir().expect("a directory");
        let link = other.path().join(name);
        symlink(rig.file(), &link).expect("linked");
        let refused = Store::open(other.path().to_owned()).ready().await;
        assert_eq!(refused, Err(StoreError::Symlink { path: link.canonicalize().map(|_| link).expect("a target") }), "{name}");
    }
}

#[tokio::test]
async fn an_existing_store_is_opened_without_writing_to_it() {
    let rig = Rig::with_session().await;
    rig.store.close().await.expect("closed");
    let before = fs::read(rig.file()).expect("read");
    let again = rig.open_again();
    assert!(again.session(&session_id("s")).await.expect("read").is_some());
    again.close().await.expect("closed");
    assert_eq!(fs::read(rig.file()).expect("read"), before);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let rig = Rig::with_session().await;
    rig.store.close().await.expect("closed");
    rusqlite::Connection::open(rig.file()).and_then(|conn| conn.pragma_update(None, "user_version", 99)).expect("made newer");
    let before = fs::read(rig.file()).expect("read");
    let store = rig.open_again();
    let refused = StoreError::NewerSchema { file: rig.file(), found: 99, known: super::super::open::SCHEMA };
    assert!(refused.to_string().contains("pillion.db has schema 99"), "{refused}");
    // Told to everybody, whatever they want.
    assert_eq!(store.ready().await, Err(refused.clone()));
    assert_eq!(store.create_session(session("x")).await, Err(refused.clone()));
    assert_eq!(store.end_turn(end("s", "t")).await, Err(refused.clone()));
    assert_eq!(store.snapshot(&session_id("s"), |_| ()).await, Err(refused.clone()));
    assert_eq!(store.health().await, Err(refused));
    assert_eq!(store.close().await, Ok(()));
    assert_eq!(store.ready().await, Err(StoreError::Closed));
    assert_eq!(fs::read(rig.file()).expect("read"), before);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pillion.db");
    fs::write(&file, "this is no database at all ".repeat(200)).expect("written");
    let refused = Store::open(dir.path().to_owned()).ready().await.expect_err("refused");
    assert!(matches!(&refused, StoreError::Corrupt { file: named, .. } if *named == file), "{refused}");
    assert!(fs::read_to_string(&file).expect("kept").starts_with("this is no database"));

    fs::remove_file(&file).expect("removed");
    rusqlite::Connection::open(&file).and_then(|conn| conn.execute_batch("CREATE TABLE recipes (x)")).expect("made");
    let before = fs::read(&file).expect("read");
    assert_eq!(Store::open(dir.path().to_owned()).ready().await, Err(StoreError::NotOurs { file: file.clone() }));
    assert_eq!(fs::read(&file).expect("read"), before);
}

#[tokio::test]
async fn a_damaged_page_is_told_by_the_health_and_by_what_reads_it() {
    let rig = Rig::with_session().await;
    for name in 0..200 {
        drop(rig.store.create_session(session(&format!("session-{name}"))));
    }
    rig.store.close().await.expect("closed");
    let mut bytes = fs::read(rig.file()).expect("read");
    // Everything behind the schema's first page.
    bytes[4096..].fill(0xAA);
    fs::write(rig.file(), &bytes).expect("damaged");
    let store = rig.open_again();
    let told = store.list_sessions(ListQuery { cwd: None, cursor: None, limit: 500 }).await.expect_err("told");
    assert!(matches!(&told, StoreError::Corrupt { file, .. } if *file == rig.file()), "{told}");
    let health = store.health().await;
    assert!(!matches!(&health, Ok(health) if health.damage.is_empty()), "{health:?}");
    store.close().await.expect("closed");
    assert_eq!(fs::read(rig.file()).expect("kept"), bytes);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("file"), "").expect("written");
    for path in [dir.path().join("file"), dir.path().join("file/data")] {
        let refused = Store::open(path.clone()).ready().await.expect_err("refused");
        assert!(matches!(&refused, StoreError::Directory { dir, .. } if *dir == path), "{refused}");
        assert!(refused.to_string().contains("--data-dir"));
    }
}

#[tokio::test]
async fn a_store_that_is_deleted_under_way_is_told_at_once() {
    let rig = Rig::with_session().await;
    fs::remove_file(rig.file()).expect("removed");
    let gone = Err(StoreError::Vanished { file: rig.file() });
    assert_eq!(rig.store.create_session(session("lost")).await, gone);
    assert_eq!(rig.store.end_turn(end("s", "t")).await, gone.clone().map(|()| 0));
    assert_eq!(rig.store.close().await, gone);
}

#[tokio::test]
async fn a_full_disk_is_told_and_what_was_there_before_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    let store = Store::start(Holds::of(dir.path()), move || {
        let opened = Opened::open(&path)?;
        // SQLite fails in the same way when the disk has no more pages to give.
        opened.conn.pragma_update(None, "max_page_count", 60).expect("limited");
        Ok(opened)
    });
    store.create_session(session("s")).await.expect("created");
    drop(store.begin_turn(turn("s", "t")));
    let big = || Part::text("x".repeat(1 << 20));
    // A neighbour in the same batch must not be answered "done" when its transaction is lost.
    let answers = [store.add_part(&answer_of("t"), 0, Part::text("small")), store.add_part(&answer_of("t"), 1, big())];
    let [small, full] = answers;
    let (small, full) = (small.await, full.await);
    assert_eq!(full, Err(StoreError::DiskFull { file: dir.path().join("pillion.db") }));
    let parts = store.history(&session_id("s")).await.expect("read").messages.into_iter().nth(1).map(|answer| answer.parts);
    assert_eq!(parts.is_some_and(|parts| parts == [Part::text("small")]), small.is_ok(), "answered as it is stored");
    // As soon as there is space, it goes on.
    store.change_session(&session_id("s"), SessionChange::Touched(9)).await.expect("small things still fit");
}

#[tokio::test]
async fn a_closed_store_has_done_everything_and_does_nothing_more() {
    let rig = Rig::with_session().await;
    for ordinal in 0..100 {
        drop(rig.store.record(Diagnostic::Cancel(cancel("s", &ordinal.to_string(), CancelOutcome::Idle))));
    }
    rig.store.clone().close().await.expect("closed");
    assert_eq!(rig.store.create_session(session("late")).await, Err(StoreError::Closed));
    assert_eq!(rig.store.close().await, Err(StoreError::Closed));
    assert!(!rig.dir.path().join("data/pillion.db-wal").exists(), "the log is moved into the database");
    let health = rig.open_again().health().await.expect("healthy");
    assert_eq!((health.sessions, health.turns, health.open_turns), (1, 0, 0));
    assert_eq!((health.damage, health.journal_mode.as_str(), health.schema_version), (Vec::new(), "wal", 8));
    assert_eq!(health.path, rig.file());
    assert!(health.bytes > 4096);
    let counted = rusqlite::Connection::open(rig.file())
        .and_then(|conn| conn.query_row("SELECT count(*) FROM diagnostic", [], |row| row.get::<_, i64>(0)));
    assert_eq!(counted, Ok(100));
}

/// A released migration never changes: a store that has run it would be different from one that runs it now.
#[test]
fn migrations_are_only_ever_added() {
    use sha2::{Digest, Sha256};
    let released = [
        (include_bytes!("../migrations/0001_first.sql").as_slice(), "b8010f24d645f08195890501cd1839c33f50be5d2aad5297ddfc1551223799b8"),
        (include_bytes!("../migrations/0002_turn_kind.sql").as_slice(), "3f09b4f936fd777fafbb6c5363cdf2b0c4342f11b55b191ef26c85e78d3f4f68"),
        (include_bytes!("../migrations/0003_trust.sql").as_slice(), "2fd59d7489bf123d1d6b2d68586c3a862ce46c98780ab5a7c2b1779a4606b4c3"),
        (
            include_bytes!("../migrations/0004_owner_lock.sql").as_slice(),
            "97a0b25b56a69fd5d53d9a8fed5f5900a0da54ed92080b6c7ebacb189da32a59",
        ),
        (
            include_bytes!("../migrations/0005_connection.sql").as_slice(),
            "80fe2604efa93ce855316f93552c08f2ec132643041ae564b49959cc3db93bdc",
        ),
        (include_bytes!("../migrations/0006_waiting.sql").as_slice(), "558062cdb3366401655f83e4fda99c28c8a29e9b57df40b69acfefb6761d99c8"),
        (include_bytes!("../migrations/0007_mark.sql").as_slice(), "d69056b2806e55427aa9b74b3a7bc1f56cf0f947c4e9fc12b51e6c103a7f6eab"),
        (
            include_bytes!("../migrations/0008_titles_off.sql").as_slice(),
            "2cb8597620609e03444a4e59b611de7cb1acd44677178e0a595d583a80a388c8",
        ),
    ];
    assert_eq!(released.len(), usize::try_from(super::super::open::SCHEMA).expect("a count"), "name the new migration here as well");
    for (number, (sql, digest)) in (1..).zip(released) {
        let found: String = Sha256::digest(sql).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "migration {number} has changed; write a new one instead");
    }
}
