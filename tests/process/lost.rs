//! Commands that turn against their keeper: they end it, stop it, speak in its place. None of them outlives what is told of it.

use super::support::{SOON, Seen, command, keep, line, word, words};
use pillion::process::{Exit, Kept, Output, Word};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

fn shell(script: &str) -> (Kept, Output) {
    keep(&command("/bin/sh", &["-c", script]))
}

/// What was told, and how many were killed: the list of processes may be read while they are being handed on.
async fn told(kept: &mut Kept) -> (Vec<Word>, usize) {
    let all = words(kept).await;
    let killed = all.iter().filter_map(|word| if let Word::Killed { processes } = word { Some(processes) } else { None }).sum();
    (all.into_iter().filter(|word| !matches!(word, Word::Killed { .. })).collect(), killed)
}

/// For a process that may be gone before anybody could hold on to it.
fn is_there(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

#[tokio::test]
async fn what_a_keeper_loses_when_it_is_killed_is_ended_before_that_is_told() {
    // One of them has left its group, its session and its parent, and none heeds SIGTERM.
    let daemon = "setsid sh -c '(trap \"\" TERM; sleep 1000; true) & echo $!' & wait";
    let (mut kept, mut output) = shell(&format!("trap '' TERM; {daemon}; echo $$; echo $PPID; sleep 1000; true"));
    let (daemon, leader) = (Seen::next(&mut output).await, Seen::next(&mut output).await);
    let keeper = line(&mut output).await.parse().ok().and_then(Pid::from_raw).expect("a process id");
    assert_eq!(word(&mut kept).await, Some(Word::Started));
    kill_process(keeper, Signal::KILL).expect("a process of ours");
    let (told, killed) = told(&mut kept).await;
    assert!(daemon.is_gone(Duration::ZERO) && leader.is_gone(Duration::ZERO), "they were gone before that was said");
    assert_eq!(told, [Word::Lost, Word::Exited(Exit::Signal(9)), Word::Gone { left: 0 }]);
    // Each of the two has a sleep of its own, if it came so far.
    assert!((2..=4).contains(&killed), "{killed}");
}

#[tokio::test]
async fn a_command_that_kills_its_keeper_and_leaves_is_told_as_lost_and_leaves_nothing() {
    let (mut kept, mut output) = shell("(trap '' TERM HUP; sleep 1000; true) & echo $!; kill -9 $PPID");
    let child = line(&mut output).await;
    let (told, _) = told(&mut kept).await;
    assert!(!is_there(&child));
    // It may be so quick that its keeper has not said yet that it runs, nor which process it is.
    assert!(
        matches!(told[..], [.., Word::Lost, Word::Gone { left: 0 }] | [.., Word::Lost, Word::Exited(_), Word::Gone { left: 0 }]),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_keeper_that_its_command_has_stopped_goes_on() {
    let (mut kept, _output) = shell("kill -STOP $PPID; exit 3");
    assert_eq!(words(&mut kept).await, [Word::Started, Word::Exited(Exit::Code(3)), Word::Gone { left: 0 }]);
}

#[tokio::test]
async fn a_keeper_that_is_stopped_again_and_again_holds_up_no_end() {
    let (mut kept, mut output) = shell("trap '' TERM; echo $$; while :; do kill -STOP $PPID; done");
    let shell = Seen::next(&mut output).await;
    kept.end(Duration::from_millis(50)).await;
    let (told, _) = told(&mut kept).await;
    assert!(shell.is_gone(Duration::ZERO));
    assert_eq!(told.last(), Some(&Word::Gone { left: 0 }), "{told:?}");
    assert!(!told.contains(&Word::Lost), "it was pillion that ended it: {told:?}");
}

/// Takes a copy of the keeper's socket, as only who may trace it can, and says that all is over; else it ends as it will be ended.
const FORGER: &str = r#"
    my $keeper = syscall(434, getppid(), 0);
    my $socket = syscall(438, $keeper, 0, 0);
    if ($socket < 0) { kill 9, $$ }
    open(my $stolen, ">&=", $socket);
    syswrite($stolen, "{\"word\":{\"exited\":{\"code\":0}}}\n{\"word\":{\"gone\":{\"left\":0}}}\n");
    sleep 1000;
"#;

#[tokio::test]
async fn who_speaks_in_the_place_of_a_keeper_is_not_believed() {
    let (mut kept, mut output) = shell(&format!("echo $$; exec perl -e '{FORGER}'"));
    let forger = line(&mut output).await;
    let (told, _) = told(&mut kept).await;
    assert!(!is_there(&forger));
    let spoke = told.contains(&Word::Exited(Exit::Code(0)));
    assert_eq!((told.contains(&Word::Lost), told.last()), (spoke, Some(&Word::Gone { left: 0 })), "{told:?}");
}

#[tokio::test]
async fn two_commands_that_lose_their_keepers_at_once_are_both_ended() {
    let (mut one, mut its) = shell("echo $$ $PPID; exec sleep 1000");
    let (mut two, mut others) = shell("echo $$ $PPID; exec sleep 1000");
    let (mut seen, mut keepers) = (Vec::new(), Vec::new());
    for output in [&mut its, &mut others] {
        let pids: Vec<i32> = line(output).await.split(' ').map(|pid| pid.parse().expect("a process id")).collect();
        seen.push(Seen::of(pids[0]));
        keepers.push(Pid::from_raw(pids[1]).expect("a process id"));
    }
    for kept in [&mut one, &mut two] {
        assert_eq!(word(kept).await, Some(Word::Started));
    }
    for keeper in keepers {
        kill_process(keeper, Signal::KILL).expect("a process of ours");
    }
    for kept in [&mut one, &mut two] {
        let (told, _) = told(kept).await;
        assert_eq!(told, [Word::Lost, Word::Exited(Exit::Signal(9)), Word::Gone { left: 0 }]);
    }
    assert!(seen.iter().all(|process| process.is_gone(Duration::ZERO)));
}

#[tokio::test]
async fn what_runs_beside_a_command_and_is_no_command_is_left_alone() {
    let mut beside = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    let (mut kept, _output) = shell("kill -9 $PPID");
    assert!(told(&mut kept).await.0.ends_with(&[Word::Gone { left: 0 }]));
    assert!(beside.try_wait().expect("its state").is_none(), "it lives");
    beside.kill().expect("a child of ours");
    // Its end is still there to be had by who started it.
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&beside.wait().expect("its end")), Some(9));
    let (mut kept, _output) = shell("true");
    tokio::time::timeout(SOON, async { while kept.next().await.is_some() {} }).await.expect("the runtime still hears of its own");
}
