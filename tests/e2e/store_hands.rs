//! The store under odd hands: logs without their database, things in the place of files, what killed processes have left.
//!
//! Invariant: it is told at once and in plain words, nothing is answered as kept that is not, and nothing is deleted.

use crate::support::journey::{UNTITLED, pointed_at};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

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

fn doctor(home: &Home) -> String {
    let output = home.command().arg("doctor").output().expect("pillion runs");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_its_database_is_put_aside_and_not_adopted() {
    for becomes_of_it in ["gone", "empty"] {
        let home = Home::new();
        let mut server = ModelServer::start().await;
        let database = home.data_dir().join("pillion.db");
        let old = killed(&home, &mut server).await;
        let log = fs::read(home.data_dir().join("pillion.db-wal")).expect("a log");
        match becomes_of_it {
            "gone" => fs::remove_file(&database).expect("removed"),
            _ => fs::write(&database, "").expect("emptied"),
        }
        let mut editor = pointed_at(&server, &home, &UNTITLED).await;
        let session = editor.new_session(&home).await;
        answered(&mut editor, &mut server, &session, "new").await;
        let listed = editor.call("session/list", json!({})).await["sessions"].as_array().expect("sessions").len();
        assert_eq!(listed, 1, "{becomes_of_it}");
        editor.finish().await;
        assert_eq!(fs::read(home.data_dir().join("pillion.db-wal.aside-1")).expect("put aside"), log, "{becomes_of_it}");
        let told = doctor(&home);
        assert!(told.contains("pillion.db-wal.aside-1 is a log without its database"), "{told}");
        let mut editor = pointed_at(&server, &home, &UNTITLED).await;
        let unknown = editor.request("session/load", json!({ "sessionId": old })).await;
        assert_eq!(editor.error(&unknown).await["code"], -32602);
        editor.call("session/load", json!({ "sessionId": session })).await;
        editor.ignore_updates();
        editor.finish().await;
    }
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
        let expected = format!("{name} cannot be opened: it is no regular file; move it away, or choose another directory with --data-dir");
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
