//! The store under odd hands: logs without their database, files that are cut, written over or taken away while they are open,
//! things in the place of files, what killed processes have left.
//!
//! Invariant: it is told at once and in plain words, nothing is answered as kept that is not, and nothing is deleted.

use crate::support::journey::{UNTITLED, full_export, full_export_when, pointed_at};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

async fn answered(editor: &mut Editor, server: &mut ModelServer, session: &str, asked: &str) {
    let prompt = editor.prompt(session, asked).await;
    server.next_request().await.answer(asked).await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "end_turn");
    editor.ignore_updates();
}

/// A store whose process was killed: its log holds the session.
async fn killed(home: &Home, server: &mut ModelServer) -> String {
    let mut editor = pointed_at(server, home, &UNTITLED).await;
    let session = editor.new_session(home).await;
    answered(&mut editor, server, &session, "old").await;
    editor.kill();
    editor.exited().await;
    session
}

/// The texts of a session, as a full export has them.
async fn texts(editor: &mut Editor, session: &str) -> Vec<String> {
    let export = full_export(editor, session).await;
    let messages = export["session"]["messages"].as_array().expect("messages");
    messages.iter().map(|message| message["parts"][0]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

fn doctor(home: &Home) -> String {
    let output = home.command().arg("doctor").output().expect("pillion runs");
    String::from_utf8(output.stdout).expect("text")
}

/// A store with so many sessions, closed in order.
async fn closed(home: &Home, server: &ModelServer, sessions: usize) {
    let mut editor = pointed_at(server, home, &UNTITLED).await;
    for _ in 0..sessions {
        editor.new_session(home).await;
    }
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_its_database_is_put_aside_and_not_adopted() {
    for (becomes_of_it, sessions_left) in [("gone", 0), ("empty", 0), ("another", 40), ("older", 3)] {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let database = home.data_dir().join("pillion.db");
        closed(&home, &server, 3).await;
        let older = fs::read(&database).expect("a database");
        closed(&home, &server, 2).await;
        let old = killed(&home, &mut server).await;
        let log = fs::read(home.data_dir().join("pillion.db-wal")).expect("a log");
        match becomes_of_it {
            "gone" => fs::remove_file(&database).expect("removed"),
            "empty" => fs::write(&database, "").expect("emptied"),
            "older" => fs::write(&database, older).expect("written"),
            _ => {
                let other = Home::new();
                closed(&other, &server, 40).await;
                fs::copy(other.data_dir().join("pillion.db"), &database).expect("copied");
            }
        }
        let mut editor = pointed_at(&server, &home, &UNTITLED).await;
        let session = editor.new_session(&home).await;
        answered(&mut editor, &mut server, &session, "new").await;
        let listed = editor.call("session/list", json!({})).await["sessions"].as_array().expect("sessions").len();
        assert_eq!(listed, sessions_left + 1, "{becomes_of_it}");
        editor.finish().await;
        assert_eq!(fs::read(home.data_dir().join("pillion.db-wal.aside-1")).expect("put aside"), log, "{becomes_of_it}");
        let told = doctor(&home);
        assert!(told.contains("pillion.db-wal.aside-1 is a log of another database"), "{told}");
        let mut editor = pointed_at(&server, &home, &UNTITLED).await;
        let unknown = editor.request("session/load", json!({ "sessionId": old })).await;
        assert_eq!(editor.error(&unknown).await["code"], -32602);
        editor.call("session/load", json!({ "sessionId": session })).await;
        editor.ignore_updates();
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_beside_the_database_is_put_aside_and_not_played_back() {
    let (home, other) = (Home::new(), Home::new());
    let mut server = ModelServer::start().await;
    closed(&other, &server, 40).await;
    let killed = killed(&home, &mut server).await;
    let conn = rusqlite::Connection::open(other.data_dir().join("pillion.db")).expect("opened");
    let spilled = "PRAGMA journal_mode = delete; PRAGMA cache_size = 1; BEGIN; DELETE FROM session; CREATE TABLE t (x);
        INSERT INTO t VALUES (zeroblob(90000));";
    conn.execute_batch(spilled).expect("begun");
    let journal = home.data_dir().join("pillion.db-journal");
    fs::copy(other.data_dir().join("pillion.db-journal"), &journal).expect("copied");
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    assert_eq!(texts(&mut editor, &killed).await, ["old", "old"]);
    editor.finish().await;
    assert!(!journal.exists() && doctor(&home).contains("pillion.db-journal.aside-1 is a log of another database"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_killed_process_is_adopted_with_its_own_database() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(killed(&home, &mut server).await);
        closed(&home, &server, 1).await;
        sessions.push(killed(&home, &mut server).await);
    }
    // Moved into the database as a whole or in part, begun anew, copied: it is the same store.
    let elsewhere = Home::new();
    for name in ["pillion.db", "pillion.db-wal"] {
        fs::copy(home.data_dir().join(name), elsewhere.data_dir().join(name)).expect("copied");
    }
    for home in [&home, &elsewhere] {
        let mut editor = pointed_at(&server, home, &UNTITLED).await;
        for session in &sessions {
            assert_eq!(texts(&mut editor, session).await, ["old", "old"]);
        }
        editor.finish().await;
        assert!(!doctor(home).contains("aside"));
    }
}

/// What is done to a file of a store that is open.
type Hand = fn(&Path);

fn over(path: &Path, from: u64, bytes: usize) {
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.write_all_at(&vec![0xAA; bytes], from).expect("written over");
}

fn cut(path: &Path, to: u64) {
    fs::File::options().write(true).open(path).expect("a file").set_len(to).expect("cut");
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("removed");
}

fn bytes(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_cut_written_over_or_taken_away_while_it_is_open_is_told_with_the_next_answer() {
    const DAMAGED: &str = "is damaged";
    const VANISHED: &str = "was deleted or replaced while pillion was running";
    let hands: [(&str, &str, Hand); 15] = [
        ("pillion.db", DAMAGED, |path| over(path, 0, bytes(path) as usize)),
        ("pillion.db", DAMAGED, |path| over(path, 0, 100)),
        ("pillion.db", DAMAGED, |path| over(path, 8192, bytes(path) as usize - 8192)),
        ("pillion.db", DAMAGED, |path| cut(path, 100)),
        ("pillion.db", DAMAGED, |path| cut(path, 0)),
        ("pillion.db", VANISHED, remove),
        ("pillion.db-wal", DAMAGED, |path| over(path, 0, bytes(path) as usize)),
        ("pillion.db-wal", DAMAGED, |path| over(path, 10_000, 1)),
        ("pillion.db-wal", DAMAGED, |path| cut(path, bytes(path) - 1)),
        ("pillion.db-wal", DAMAGED, |path| cut(path, 0)),
        ("pillion.db-wal", VANISHED, remove),
        ("pillion.db-shm", DAMAGED, |path| cut(path, 100)),
        ("pillion.db-shm", DAMAGED, |path| over(path, 136, bytes(path) as usize - 136)),
        ("pillion.db-shm", DAMAGED, |path| over(path, 96, 40)),
        ("pillion.db-shm", VANISHED, remove),
    ];
    for (number, (name, says, hand)) in hands.into_iter().enumerate() {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        closed(&home, &server, 3).await;
        let mut editor = pointed_at(&server, &home, &UNTITLED).await;
        let session = editor.new_session(&home).await;
        answered(&mut editor, &mut server, &session, "before").await;
        // Nothing more is written then.
        full_export_when(&mut editor, &session, |export| export["diagnostics"]["turn_times"] != json!([])).await;
        let path = home.data_dir().join(name);
        hand(&path);
        let left = fs::read(&path).ok();
        for _ in 0..2 {
            let prompt = editor.prompt(&session, "after").await;
            let error = editor.error(&prompt).await;
            let message = error["message"].as_str().expect("a message");
            assert_eq!((&error["code"], &error["data"]["cause"]), (&json!(-32803), &json!("store_failure")), "{number} {name}: {error}");
            assert!(message.contains(says), "{number} {name}: {message}");
        }
        editor.hang_up();
        assert_eq!(editor.exited().await.code(), Some(0), "{number} {name}");
        if name != "pillion.db-shm" {
            assert!(fs::read(&path).ok() == left, "{number} {name} is left as it was found");
        }
        if name == "pillion.db-shm" || (says, name) == (VANISHED, "pillion.db-wal") {
            let mut editor = pointed_at(&server, &home, &UNTITLED).await;
            assert_eq!(texts(&mut editor, &session).await[..2], ["before", "before"], "{name}: what was answered is still there");
            editor.finish().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_touched_read_copied_or_written_to_by_another_program_is_not_called_damaged() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    let database = home.data_dir().join("pillion.db");
    let execute = |sql: &str| {
        let other = rusqlite::Connection::open(&database).expect("opened");
        other.execute_batch(sql).expect("executed");
    };
    let hands: [&dyn Fn(); 6] = [
        &|| {
            ["pillion.db", "pillion.db-wal", "pillion.db-shm"].into_iter().for_each(|name| {
                let file = fs::File::options().append(true).open(home.data_dir().join(name)).expect("a file");
                file.set_modified(std::time::SystemTime::now()).expect("touched");
            })
        },
        &|| assert!(fs::copy(&database, home.workspace().join("copy.db")).is_ok()),
        &|| execute("SELECT count(*) FROM session; PRAGMA wal_checkpoint(TRUNCATE)"),
        &|| execute("UPDATE session SET title = 'theirs'; VACUUM; PRAGMA wal_checkpoint(RESTART)"),
        &|| execute("CREATE TABLE theirs (x); PRAGMA wal_checkpoint(PASSIVE)"),
        &|| drop(doctor(&home)),
    ];
    let mut expected = Vec::new();
    for (number, hand) in hands.iter().enumerate() {
        hand();
        let asked = number.to_string();
        answered(&mut editor, &mut server, &session, &asked).await;
        expected.extend([asked.clone(), asked]);
    }
    assert_eq!(texts(&mut editor, &session).await, expected);
    editor.finish().await;
    assert!(!home.data_dir().join("pillion.db-wal").exists(), "the last one moves all of the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_place_of_a_file_is_named_and_not_waited_for() {
    for name in ["pillion.lock", "pillion.db", "pillion.db-wal"] {
        let home = Home::new();
        let path = home.data_dir().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("a pipe");
        let mut editor = Editor::lsp(&home, &[]).await;
        let request = editor.request("session/new", json!({ "cwd": home.workspace() })).await;
        let message = editor.error(&request).await["message"].as_str().expect("a message").to_owned();
        let expected =
            format!("{name} cannot be opened: it is not a regular file; move it away, or choose another directory with --data-dir");
        assert!(message.ends_with(&expected), "{message}");
        editor.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_not_written_among_the_stores_own_files() {
    let home = Home::new();
    let model = home.script(&json!({ "steps": [[{ "text": "done" }]] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let link = home.workspace().join("link");
    std::os::unix::fs::symlink(home.data_dir(), &link).expect("a link");
    for path in [home.data_dir().join("pillion.db-journal"), link.join("export.json"), home.data_dir().join("./export.json")] {
        let request = editor.request("session/export", json!({ "sessionId": session, "path": path })).await;
        let error = editor.error(&request).await;
        assert_eq!(error["code"], -32602);
        assert!(error["message"].as_str().is_some_and(|it| it.contains("`path` must be outside of pillion's data directory")), "{error}");
        let output = home.command().args(["export", &session, "--output"]).arg(&path).output().expect("pillion runs");
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("is in pillion's data directory"));
        assert!(!path.exists());
    }
    let beside = home.workspace().join("export.json");
    let written = editor.call("session/export", json!({ "sessionId": session, "path": beside })).await;
    assert_eq!(written["path"], json!(beside));
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scratch_directory_of_a_killed_process_is_gone_after_the_next_start() {
    let home = Home::new();
    let temporary = home.workspace().join("tmp");
    let left = temporary.join("pillion-0199f3a5c0de7abc8def0123456789ab");
    fs::create_dir_all(left.join("closed")).expect("a directory");
    fs::write(left.join("closed/file"), "left behind").expect("a file");
    fs::set_permissions(left.join("closed"), fs::Permissions::from_mode(0o500)).expect("closed");
    fs::create_dir(temporary.join("pillion-notes")).expect("a directory");
    let mut command = home.command();
    command.env("TMPDIR", &temporary);
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &[]);
    editor.initialize().await;
    while left.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(temporary.join("pillion-notes").exists());
    editor.finish().await;
}
