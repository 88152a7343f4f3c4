//! Commands against the process that keeps them and against pillion: whatever they do to either, the record says what was seen of
//! their end, and they learn no secret.

use crate::support::fifo::{Fifo, all_gone};
use crate::support::journey::{UNTITLED, configured, export, fields, pointed_by};
use crate::support::model_server::ModelServer;
use crate::support::process::{LEAVES_WITHIN, Watched, signal};
use crate::support::{Dialect, Editor, Framing, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// A key that pillion is given.
const KEY: &str = "sk-0123456789abcdefghijklmnopqrstuvwxyz";

/// A session of a pillion that was started by this.
async fn opened(home: &Home, command: Command, args: &[&str]) -> (Editor, String) {
    let mut editor = Editor::spawn(command, Framing::Lines, Dialect::Lsp, &[args, &UNTITLED].concat());
    editor.initialize().await;
    let session = editor.new_session(home).await;
    editor.ignore_updates();
    (editor, session)
}

async fn shell(editor: &mut Editor, session: &str, command: &str) -> Value {
    editor.request("session/shell", json!({ "sessionId": session, "command": command })).await
}

async fn ran(editor: &mut Editor, session: &str, command: &str) -> Value {
    let asked = shell(editor, session, command).await;
    fields(&editor.result(&asked).await, &["exitCode", "signal", "output", "failure"])
}

async fn leave(mut editor: Editor) {
    editor.ignore_updates();
    editor.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_kills_its_keeper_ends_with_it_and_the_record_says_so() {
    let home = Home::new();
    let (mut editor, session) = opened(&home, home.command(), &[]).await;
    let fifo = Fifo::new(&home);
    // One of them has left its group and its session.
    let asked =
        shell(&mut editor, &session, "setsid sleep 1000 & echo $$ $! > fifo; read -r go < fifo; kill -9 $PPID; exec sleep 1000").await;
    let processes = fifo.watched().await;
    fifo.write("go on\n");
    let answer = editor.result(&asked).await;
    all_gone(processes, Duration::ZERO).await;
    let failure = "the process that kept the command was ended from outside; the command and everything that it had started were ended";
    assert_eq!(
        fields(&answer, &["stopReason", "exitCode", "signal", "failure", "output"]),
        json!({ "stopReason": "end_turn", "signal": "SIGKILL", "failure": failure, "output": "" })
    );
    let export = export(&mut editor, &session).await;
    let result = &export["session"]["messages"][1]["parts"][1];
    assert_eq!(fields(result, &["status", "exit_code", "signal"]), json!({ "status": "failed", "signal": "SIGKILL" }));
    assert_eq!(export["diagnostics"]["tool_runs"][0]["outcome"], "failed");
    // The next one is kept as ever.
    assert_eq!(ran(&mut editor, &session, "echo on").await, json!({ "exitCode": 0, "output": "on\n" }));
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_container_a_command_that_kills_its_keeper_ends_with_it_too() {
    let home = Home::new();
    let (mut editor, session) = opened(&home, home.contained(), &[]).await;
    let fifo = Fifo::new(&home);
    // The second holds the output open as long as it lives.
    let script = "echo ends; echo $$ > fifo; read -r go < fifo; setsid sleep 1000 & kill -9 $PPID; exec sleep 1000";
    let asked = shell(&mut editor, &session, script).await;
    fifo.pids().await;
    fifo.write("go on\n");
    let answer = editor.result(&asked).await;
    assert_eq!(
        fields(&answer, &["stopReason", "signal", "output"]),
        json!({ "stopReason": "end_turn", "signal": "SIGKILL", "output": "ends\n" })
    );
    assert_eq!(ran(&mut editor, &session, "echo on").await, json!({ "exitCode": 0, "output": "on\n" }));
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finds_a_command_whose_keeper_was_stopped() {
    let home = Home::new();
    let (mut editor, session) = opened(&home, configured(&home, "[grace]\nhard_ms = 900\n"), &[]).await;
    let fifo = Fifo::new(&home);
    let asked = shell(&mut editor, &session, "echo $PPID $$ > fifo; exec sleep 1000").await;
    let pids = fifo.pids().await;
    let processes: Vec<_> = pids.iter().copied().map(Watched::open).collect();
    signal(pids[0], Signal::STOP);
    editor.notify("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&asked).await;
    all_gone(processes, Duration::ZERO).await;
    let abort = &answer["diagnostics"]["abort"];
    assert_eq!(
        (&abort["forced"], &abort["propagation_point"], &answer["stopReason"]),
        (&json!(false), &json!("process.gone"), &json!("cancelled"))
    );

    // Nor does it help to do so again and again: if the keeper cannot end it, pillion does.
    let asked = shell(&mut editor, &session, "trap '' TERM; echo $$ > fifo; while :; do kill -STOP $PPID; done").await;
    let processes = fifo.watched().await;
    editor.notify("session/cancel", json!({ "sessionId": session })).await;
    let answer = editor.result(&asked).await;
    let abort = &answer["diagnostics"]["abort"];
    let outcome = &abort["tools_in_flight"][0]["outcome"];
    // A machine that is too busy for that in time is not believed to have done it.
    let (within, expected) = if abort["forced"] == true { (LEAVES_WITHIN, "escaped") } else { (Duration::ZERO, "killed") };
    assert_eq!(outcome, expected);
    all_gone(processes, within).await;
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_limit_holds_whatever_the_keeper_does() {
    let home = Home::new();
    let server = ModelServer::start().await;
    let config = configured(&home, "[watchdog]\nturn_seconds = 1\n");
    let mut editor = pointed_by(config, &server, &UNTITLED).await;
    let session = editor.new_session(&home).await;
    editor.ignore_updates();
    let fifo = Fifo::new(&home);
    let asked = shell(&mut editor, &session, "trap '' TERM; echo $$ > fifo; while :; do kill -STOP $PPID; done").await;
    let processes = fifo.watched().await;
    let error = editor.error(&asked).await;
    assert_eq!(error["data"]["cause"], "turn_timeout", "{error}");
    all_gone(processes, LEAVES_WITHIN).await;
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_finds_no_key_in_the_environment_that_pillion_was_given() {
    let home = Home::new();
    // One whose name does not say what it is, either.
    let provider = "[provider.own]\nprotocol = \"openai\"\nbase_url = \"https://own.example/v1\"\napi_key_env = \"OWN\"\n";
    let mut command = configured(&home, provider);
    command.env("PILLION_API_KEY", KEY).env("ANTHROPIC_API_KEY", KEY).env("OWN", KEY);
    let (mut editor, session) = opened(&home, command, &[]).await;
    // As whoever runs the tests, which may be root, who reads the environment of every process.
    let look = format!("tr '\\0' '\\n' 2>/dev/null </proc/{}/environ | grep -cE '^(OWN|.*_KEY)=.'", editor.pid());
    assert_eq!(ran(&mut editor, &session, &look).await, json!({ "exitCode": 1, "output": "0\n" }));
    // They are not forgotten: where one is said it is still recognized.
    let said = ran(&mut editor, &session, &format!("echo {KEY}")).await;
    assert!(!said.to_string().contains(KEY) && said["exitCode"] == 0, "{said}");
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_the_same_user_cannot_look_into_pillion_or_its_keeper() {
    let home = Home::new();
    // Root without the rights of root is as any user is to his own processes.
    let command = if rustix::process::geteuid().is_root() {
        let mut command = home.command_of("setpriv");
        command.args(["--bounding-set=-all", env!("CARGO_BIN_EXE_pillion")]);
        command
    } else {
        home.command()
    };
    let (mut editor, session) = opened(&home, command, &[]).await;
    let look = format!(
        "for p in {} $PPID $$; do for f in environ mem maps fd/0; do (: <\"/proc/$p/$f\") 2>/dev/null && echo $f; done; echo; done",
        editor.pid()
    );
    // Only into itself.
    assert_eq!(ran(&mut editor, &session, &look).await, json!({ "exitCode": 0, "output": "\n\nenviron\nmem\nmaps\nfd/0\n\n" }));
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_has_its_three_descriptors_and_the_signals_of_a_fresh_process() {
    let home = Home::new();
    // A parent that leaves something open and ignores the signal of a file that is too large.
    let mut command = home.command_of("sh");
    command.args(["-c", "trap '' XFSZ; exec 7</dev/null 9>/dev/null; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_pillion")]);
    let (mut editor, session) = opened(&home, command, &[]).await;
    // Of the signals that POSIX names; the two behind them are the C library's own.
    let look = "ls /proc/$$/fd; for s in Blk Ign; do echo $s $((0x$(sed -n \"s/^Sig$s:.//p\" /proc/$$/status) & 0x7fffffff)); done";
    let nothing = "0\n1\n2\nBlk 0\nIgn 0\n";
    assert_eq!(ran(&mut editor, &session, look).await, json!({ "exitCode": 0, "output": nothing }));
    assert_eq!(ran(&mut editor, &session, "ulimit -f 0; echo x >file").await, json!({ "signal": "SIGXFSZ", "output": "" }));
    leave(editor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_the_size_of_files_does_not_end_pillion() {
    let home = Home::new();
    let mut command = home.command_of("sh");
    command.args(["-c", "ulimit -f 1024; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_pillion")]);
    let model = home.script(&json!({ "steps": [[{ "text": "Well." }]] }));
    let (mut editor, session) = opened(&home, command, &["--model", &model]).await;
    // What it says of a store that cannot grow is told elsewhere; here it lives on and says something.
    let prompt = editor.prompt(&session, &"much ".repeat(400_000)).await;
    editor.claim("an answer", |message| message["id"] == prompt).await;
    editor.call("session/list", json!({})).await;
    leave(editor).await;
}
