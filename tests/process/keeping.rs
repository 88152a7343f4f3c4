//! Commands under their keeper: how they end, what they leave behind, what becomes of them when pillion is gone.

use super::support::{SOON, Seen, all, command, keep, line, word, words};
use pillion::process::{Command, Exit, Keeper, Kept, Output, Word};
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

fn shell(script: &str) -> (Kept, Output) {
    keep(&command("/bin/sh", &["-c", script]))
}

#[tokio::test]
async fn a_command_tells_how_it_ended_and_writes_in_order_with_the_environment_it_was_given() {
    let (mut kept, mut output) = shell("echo one; echo two >&2; env | grep -v ^_= | sort; exit 3");
    assert_eq!(words(&mut kept).await, [Word::Started, Word::Exited(Exit::Code(3)), Word::Gone { left: 0 }]);
    assert_eq!(all(&mut output).await, "one\ntwo\nCOLOUR=green\nPATH=/usr/bin:/bin\nPWD=/\n");
}

#[tokio::test]
async fn a_command_reads_nothing_and_belongs_to_no_terminal() {
    let (mut kept, mut output) = shell("cat; ps -o tty= -p $$; (: </dev/tty) 2>/dev/null || echo no terminal");
    assert_eq!(words(&mut kept).await, [Word::Started, Word::Exited(Exit::Code(0)), Word::Gone { left: 0 }]);
    let said = all(&mut output).await;
    assert!(said.ends_with("no terminal\n"), "{said}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    let (mut kept, _output) = keep(&command("/nowhere/program", &[]));
    assert_eq!(words(&mut kept).await, [Word::NotStarted { why: "No such file or directory (os error 2)".into() }]);
    let nowhere = Command { directory: "/nowhere".into(), ..command("true", &[]) };
    assert!(Keeper::at(env!("CARGO_BIN_EXE_pillion")).keep(&nowhere).is_err());
}

#[tokio::test]
async fn a_command_that_heeds_sigterm_ends_by_it() {
    let (mut kept, mut output) = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(line(&mut output).await, "ready");
    kept.end(SOON).await;
    let words = words(&mut kept).await;
    assert!(
        matches!(words[..], [Word::Started, Word::Terminated { .. }, Word::Exited(Exit::Code(7)), Word::Gone { left: 0 }]),
        "{words:?}"
    );
    // A shell may tell of its own children that have had the signal too.
    let said = all(&mut output).await;
    assert!(said.ends_with("bye\n"), "{said}");
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed_after_the_grace() {
    let (mut kept, mut output) = shell("trap '' TERM; sleep 1000 & echo ready; wait");
    assert_eq!(line(&mut output).await, "ready");
    let asked = Instant::now();
    kept.end(Duration::from_millis(100)).await;
    let words = words(&mut kept).await;
    let (killed, took) = (Word::Exited(Exit::Signal(9)), asked.elapsed());
    assert!(
        matches!(&words[..], [Word::Started, Word::Terminated { processes: 2 }, Word::Killed { processes: 2 }, exited, Word::Gone { left: 0 }] if *exited == killed),
        "{words:?}"
    );
    assert!(took >= Duration::from_millis(100), "after {took:?}");
}

#[tokio::test]
async fn a_shorter_grace_replaces_a_longer_one() {
    let (mut kept, mut output) = shell("trap '' TERM; sleep 1000 & echo ready; wait");
    assert_eq!(line(&mut output).await, "ready");
    kept.end(Duration::from_secs(1000)).await;
    assert_eq!(word(&mut kept).await, Some(Word::Started));
    assert_eq!(word(&mut kept).await, Some(Word::Terminated { processes: 2 }));
    kept.end(Duration::from_millis(1)).await;
    assert_eq!(words(&mut kept).await.last(), Some(&Word::Gone { left: 0 }));
}

/// A process that left its group, its session and its parent, and heeds no SIGTERM.
const DAEMON: &str = "setsid sh -c 'trap \"\" TERM; (trap \"\" TERM; sleep 1000) & echo $!' & wait";

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it_though_it_holds_the_pipe() {
    let (mut kept, mut output) = shell(DAEMON);
    let daemon = Seen::next(&mut output).await;
    let words = words(&mut kept).await;
    assert!(
        matches!(
            words[..],
            [
                Word::Started,
                Word::Exited(Exit::Code(0)),
                Word::Terminated { processes: 1.. },
                Word::Killed { processes: 1.. },
                Word::Gone { left: 0 }
            ]
        ),
        "{words:?}"
    );
    assert!(daemon.is_gone(Duration::ZERO), "it was gone before that was said");
    assert_eq!(all(&mut output).await, "");
}

#[tokio::test]
async fn processes_that_go_on_making_others_are_all_ended() {
    // One after the other, and never more than a hundred: a test must not be able to flood the machine.
    let script = "trap '' TERM; echo $$; i=0; while [ $i -lt 100 ]; do i=$((i+1)); sleep 1000 & done; wait";
    let (mut kept, mut output) = shell(script);
    let shell = Seen::next(&mut output).await;
    kept.end(Duration::from_millis(50)).await;
    let words = words(&mut kept).await;
    assert_eq!(words.last(), Some(&Word::Gone { left: 0 }), "{words:?}");
    assert!(shell.is_gone(Duration::ZERO));
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_any_more_is_killed_with_everything_it_started() {
    let (kept, mut output) = shell(&format!("trap '' TERM; echo $$; {DAEMON}; sleep 1000"));
    let (shell, daemon) = (Seen::next(&mut output).await, Seen::next(&mut output).await);
    drop(kept);
    assert!(shell.is_gone(SOON) && daemon.is_gone(SOON));
}

#[tokio::test]
async fn a_keeper_is_deaf_to_what_is_meant_for_pillion() {
    let (mut kept, mut output) = shell("echo $PPID; read -r line; sleep 1000");
    let keeper: i32 = line(&mut output).await.parse().expect("a process id");
    let pid = Pid::from_raw(keeper).expect("a process id");
    assert_eq!(std::fs::read_to_string(format!("/proc/{keeper}/comm")).expect("a running process"), "pillion-keeper\n");
    for meant_for_pillion in [Signal::TERM, Signal::INT, Signal::HUP] {
        kill_process(pid, meant_for_pillion).expect("a process of ours");
    }
    kept.end(SOON).await;
    let heard = words(&mut kept).await;
    assert_eq!(heard.last(), Some(&Word::Gone { left: 0 }), "{heard:?}");
}

#[tokio::test]
async fn a_command_has_the_limit_of_open_files_that_pillion_began_with() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.expect("a limit");
    pillion::process::raise_limit().expect("a higher limit");
    let (mut kept, mut output) = shell("ulimit -n");
    words(&mut kept).await;
    assert_eq!(all(&mut output).await, format!("{before}\n"));
}

#[test]
fn a_keeper_that_is_started_by_hand_says_what_it_is() {
    let by_hand = std::process::Command::new(env!("CARGO_BIN_EXE_pillion"))
        .args(["keep", "-", "-", "true"])
        .stdin(std::process::Stdio::null())
        .output();
    let by_hand = by_hand.expect("pillion runs");
    let said = String::from_utf8_lossy(&by_hand.stderr).into_owned();
    assert_eq!((by_hand.status.code(), by_hand.stdout.len()), (Some(1), 0));
    assert!(said.contains("nothing to run by hand"), "{said}");
}
