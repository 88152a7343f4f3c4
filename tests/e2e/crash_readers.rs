//! Whoever reads after a death finds it out: each reader of the command line and of the wire, two of them at once, and one that
//! cannot write. Whoever reads beside a living turn disturbs nothing.
//!
//! Invariant: what a dead process left open is told by the first one who looks, and recorded once.

use crate::support::journey::{UNTITLED, fields, full_export, pointed_at};
use crate::support::model_server::{Exchange, ModelServer};
use crate::support::resolved::assert_resolved;
use crate::support::{Editor, Home};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

/// A command line that was run to its end.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// On paper so wide that what is told of something is one line.
fn ran(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.env("COLUMNS", "100000").stdin(Stdio::null()).output().expect("pillion runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn cli(home: &Home, arguments: &[&str]) -> String {
    let said = ran(home.command().args(arguments));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    said.stdout
}

fn exported(home: &Home, session: &str) -> Value {
    let export = serde_json::from_str(&cli(home, &["export", "--full", session])).expect("an export");
    assert_resolved(&export);
    export
}

/// A turn that has said a word, which is stored, and goes on.
async fn streaming(server: &mut ModelServer, home: &Home) -> (Editor, String, Exchange) {
    let mut editor = pointed_at(server, home, &UNTITLED).await;
    let session = editor.new_session(home).await;
    editor.prompt(&session, "go").await;
    let mut exchange = server.next_request().await;
    exchange.text("Going").await;
    editor.next_update("agent_message_chunk").await;
    while full_export(&mut editor, &session).await["session"]["messages"][1]["parts"] == json!([]) {}
    (editor, session, exchange)
}

/// The same, whose process was killed.
async fn killed(server: &mut ModelServer, home: &Home) -> (u32, String) {
    let (mut editor, session, exchange) = streaming(server, home).await;
    let pid = editor.pid();
    editor.kill();
    editor.exited().await;
    drop(exchange);
    (pid, session)
}

/// What each record of such a death says.
fn assert_told(export: &Value, pid: u32) {
    let [abort] = export["diagnostics"]["aborts"].as_array().expect("aborts").as_slice() else { panic!("one abort in {export:#}") };
    let turn = &export["session"]["turns"][0];
    assert_eq!((&turn["stop"], &turn["abort_id"]), (&json!("cancelled"), &abort["abort_id"]));
    assert_eq!(
        fields(abort, &["cause", "phase", "tools_in_flight", "ruled_out"]),
        json!({ "cause": "crash_recovered", "phase": "text", "tools_in_flight": [], "ruled_out": [] })
    );
    let crash = &abort["crash"];
    assert_eq!((&crash["pid"], &crash["last_sign"]), (&json!(pid), &json!("output_kept")));
    let [last_sign, found] = ["last_sign_at", "found_at"].map(|at| crash[at].as_u64().expect("a time"));
    assert!(turn["started_at"].as_u64() <= Some(last_sign) && last_sign <= found && Some(found) <= abort["settled_at"].as_u64(), "{crash}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_reader_of_the_command_line_tells_and_records_a_death() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    for reader in ["explain", "export", "sessions", "doctor"] {
        let (pid, session) = killed(&mut server, &home).await;
        let said = match reader {
            "explain" | "export" => cli(&home, &[reader, &session]),
            reader => cli(&home, &[reader]),
        };
        match reader {
            "explain" => {
                for told in
                    ["[crash_recovered]", &format!("last sign of life of process {pid} "), "(a piece of the answer was kept), found dead "]
                {
                    assert!(said.contains(told), "{told} is not in\n{said}");
                }
                for invented in ["No stop of a turn is recorded", "asked 2", "mode hard", "after it was asked", "has no end yet"] {
                    assert!(!said.contains(invented), "{invented} is in\n{said}");
                }
            }
            "export" => {
                let export: Value = serde_json::from_str(&said).expect("an export");
                assert_resolved(&export);
                assert_told(&export, pid);
            }
            "sessions" => assert!(said.contains(&session) && !said.contains("process"), "{said}"),
            _ => assert!(said.contains("0 of them open") && said.contains(&format!("{session} ")), "{said}"),
        }
        // Whatever it was, the record is there, and stays.
        let export = exported(&home, &session);
        assert_told(&export, pid);
        assert_eq!(export["completeness"], "complete");
        assert_eq!(exported(&home, &session)["diagnostics"], export["diagnostics"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_for_a_list_or_an_export_has_looked_first() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let mut reader = pointed_at(&server, &home, &UNTITLED).await;
    for method in ["session/list", "session/export", "session/load"] {
        let (mut victim, session, exchange) = streaming(&mut server, &home).await;
        let pid = victim.pid();
        let listed = reader.call("session/list", json!({})).await;
        let running = &listed["sessions"][0]["_meta"]["pillion"]["openTurns"][0];
        assert_eq!((&running["pid"], &running["isRunning"]), (&json!(pid), &json!(true)));
        if method == "session/load" {
            // Open here before it is dead there.
            reader.call("session/resume", json!({ "sessionId": session })).await;
        }
        victim.kill();
        victim.exited().await;
        drop(exchange);
        let answer = match method {
            "session/list" => reader.call(method, json!({})).await,
            _ => reader.call(method, json!({ "sessionId": session })).await,
        };
        reader.ignore_updates();
        match method {
            "session/list" => {
                let entry = answer["sessions"].as_array().expect("sessions").iter().find(|entry| entry["sessionId"] == *session);
                assert_eq!(entry.expect("it is listed").get("_meta"), None);
            }
            "session/export" => assert_eq!(answer["export"]["diagnostics"]["aborts"][0]["cause"], "crash_recovered"),
            _ => assert_eq!(answer["stops"][0]["cause"], "crash_recovered"),
        }
        assert_told(&full_export(&mut reader, &session).await, pid);
    }
    reader.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_come_at_once_tell_the_same_record() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (pid, session) = killed(&mut server, &home).await;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            home.command().args(["export", "--full", &session]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("pillion runs")
        })
        .collect();
    // A server opens it meanwhile.
    let mut editor = pointed_at(&server, &home, &UNTITLED).await;
    let opened = editor.call("session/load", json!({ "sessionId": session })).await;
    editor.ignore_updates();
    let mut told = vec![full_export(&mut editor, &session).await];
    for reader in readers {
        let said = reader.wait_with_output().expect("it ends").stdout;
        told.push(serde_json::from_slice(&said).expect("an export"));
    }
    for export in &told {
        assert_told(export, pid);
        assert_eq!(export["diagnostics"]["aborts"], told[0]["diagnostics"]["aborts"]);
    }
    assert_eq!(opened["stops"][0]["abortId"], told[0]["diagnostics"]["aborts"][0]["abort_id"]);
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_turn_is_told_with_its_process_and_not_disturbed() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (mut editor, session, mut exchange) = streaming(&mut server, &home).await;
    let runs = format!("runs in process {} since 20", editor.pid());
    for arguments in [&["explain", &session][..], &["sessions"], &["doctor"]] {
        let said = cli(&home, arguments);
        assert!(said.contains(&runs), "{runs} is not in\n{said}");
    }
    let listed: Value = serde_json::from_str(&cli(&home, &["sessions", "--json"])).expect("one session");
    assert_eq!(listed["_meta"]["pillion"]["openTurns"][0]["pid"], editor.pid());
    let said = ran(home.command().args(["export", &session]));
    let export: Value = serde_json::from_str(&said.stdout).expect("an export");
    assert_resolved(&export);
    let turn = &export["session"]["turns"][0];
    assert_eq!((&turn["running_in"]["pid"], turn.get("stop"), &export["completeness"]), (&json!(editor.pid()), None, &json!("partial")));
    assert_eq!((said.code, export["diagnostics"]["aborts"].clone()), (Some(0), json!([])));

    exchange.text(" on").await;
    exchange.finish("stop").await;
    exchange.done().await;
    // Its prompt was the second request, behind the session that it is of; the exports came later.
    editor.next_update("agent_message_chunk").await;
    let export = loop {
        let export = full_export(&mut editor, &session).await;
        if export["completeness"] == "complete" {
            break export;
        }
    };
    assert_eq!(fields(&export["session"]["turns"][0], &["stop", "running_in"]), json!({ "stop": "end_turn" }));
    editor.claim("the prompt's answer", |message| message["result"]["stopReason"] == "end_turn").await;
    editor.ignore_updates();
    editor.finish().await;
}

/// The store as something that cannot be written; as it was again when this is dropped.
struct Locked<'h>(&'h Home);

impl<'h> Locked<'h> {
    fn of(home: &'h Home) -> Self {
        Self::set(home, 0o400, 0o500);
        Self(home)
    }

    fn set(home: &Home, file: u32, directory: u32) {
        for entry in fs::read_dir(home.data_dir()).expect("a directory") {
            let path = entry.expect("an entry").path();
            let mode = if path.is_dir() { directory } else { file };
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        }
        fs::set_permissions(home.data_dir(), Permissions::from_mode(directory)).expect("ours");
    }

    /// pillion without root's right to write to whatever it likes, if it is root's.
    fn cli(&self, arguments: &[&str]) -> Said {
        let pillion = self.0.command();
        if !rustix::process::geteuid().is_root() {
            return ran(self.0.command().args(arguments));
        }
        let mut command = self.0.command_of("setpriv");
        ran(command.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(pillion.get_program()).args(arguments))
    }

    fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let names = ["pillion.db", "pillion.db-wal"].map(str::to_owned);
        names.into_iter().map(|name| (name.clone(), fs::read(self.0.data_dir().join(name)).unwrap_or_default())).collect()
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        Self::set(self.0, 0o600, 0o700);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_written_tells_the_same_story_as_not_yet_recorded() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (pid, session) = killed(&mut server, &home).await;
    let locked = Locked::of(&home);
    let before = locked.contents();
    let said = locked.cli(&["export", "--full", &session]);
    let partial =
        "pillion: the export is partial: a turn still runs, its end could not be stored, or something in the store could not be read\n";
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), partial));
    let export: Value = serde_json::from_str(&said.stdout).expect("an export");
    assert_resolved(&export);
    assert_told(&export, pid);
    let missing = &export["diagnostics"]["aborts"][0]["missing"];
    assert!(missing.as_array().expect("words").contains(&json!("not_durable")), "{missing}");
    assert_eq!((&export["completeness"], &export["session"]["messages"][1]["parts"][0]["text"]), (&json!("partial"), &json!("Going")));

    let story = locked.cli(&["explain", &session]).stdout;
    assert!(story.contains("[crash_recovered]") && story.contains("not yet: the store could not be written"), "{story}");
    let died = format!("ran in process {pid} since 20");
    let listed = locked.cli(&["sessions"]);
    assert!(listed.code == Some(0) && listed.stdout.contains(&died), "{}{}", listed.stdout, listed.stderr);
    let doctor = locked.cli(&["doctor"]);
    assert!(doctor.stdout.contains(&died) && doctor.stdout.contains("is read-only; make it"), "{}", doctor.stdout);
    assert_eq!(doctor.code, Some(1), "nothing can be kept");
    assert_eq!(locked.contents(), before);
    drop(locked);

    let export = exported(&home, &session);
    assert_told(&export, pid);
    let missing = &export["diagnostics"]["aborts"][0]["missing"];
    assert_eq!((missing.as_array().expect("words").contains(&json!("not_durable")), &export["completeness"]), (false, &json!("complete")));

    // Nobody has it open any more, so there is no log beside it.
    let locked = Locked::of(&home);
    let again = locked.cli(&["export", "--full", &session]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    let again: Value = serde_json::from_str(&again.stdout).expect("an export");
    assert_eq!((&again["diagnostics"], &again["session"]), (&export["diagnostics"], &export["session"]));
}
