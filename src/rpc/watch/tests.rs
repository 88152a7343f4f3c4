//! Exit codes, first reason wins, and real processes that end.

use super::process::Watched;
use super::*;
use rustix::process::Pid;
use std::process::{Child, Command, Stdio};

fn sleeper() -> Child {
    Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep")
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

#[test]
fn every_reason_has_its_exit_code_and_its_cause() {
    let codes = [
        (EndReason::Eof, 0, "client_eof"),
        (EndReason::ExitAfterShutdown, 0, "shutdown_request"),
        (EndReason::ExitWithoutShutdown, 1, "exit_without_shutdown"),
        (EndReason::BrokenFraming { what: BrokenHeaders::NoLength }, 2, "client_framing_broken"),
        (EndReason::WriteFailed, 3, "client_write_failed"),
        (EndReason::ProcessDied { pid: 7 }, 3, "client_process_died"),
        (by_signal("SIGTERM", SignalKind::terminate()), 143, "signal"),
        (by_signal("SIGHUP", SignalKind::hangup()), 129, "signal"),
        (by_signal("SIGINT", SignalKind::interrupt()), 130, "signal"),
        (EndReason::Panicked { at: None }, 101, "internal_panic"),
    ];
    for (reason, code, cause) in codes {
        assert_eq!((reason.exit_code(), reason.cause().name()), (code, cause));
    }
    assert_eq!(EndReason::ProcessDied { pid: 7 }.cause(), Cause::ClientProcessDied { pid: 7 });
}

#[tokio::test]
async fn the_first_reason_wins_and_everybody_hears_of_it() {
    let ending = Ending::new();
    let waiting = tokio::spawn({
        let ending = ending.clone();
        async move { ending.ended().await }
    });
    ending.end(EndReason::WriteFailed);
    ending.end(EndReason::Eof);
    assert_eq!(within(waiting).await.expect("task").reason, EndReason::WriteFailed);
    assert_eq!(within(ending.explained()).await, within(ending.ended()).await);
}

#[tokio::test]
async fn a_killed_client_is_told_as_such_although_its_pipe_closes_first() {
    let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("sleep");
    let ending = Ending::new();
    ending.watch_process(child.id());
    let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(child.stdout.take().expect("a pipe").into()).expect("a pipe");
    child.kill().expect("kill");
    within(pipe.readable()).await.expect("closed");
    ending.end(EndReason::Eof);
    let first = within(ending.ended()).await;
    let (one, other) = tokio::join!(within(ending.explained()), within(ending.explained()));
    assert_eq!((&one, &one.reason), (&other, &EndReason::ProcessDied { pid: child.id() }));
    // What showed first is what the work stops for, without waiting for the rest; the death may have been as fast.
    assert!(first.at.instant() <= one.at.instant() && (first.reason.is_closed_pipe() || first == one), "{first:?}");
    child.wait().expect("reaped");
}

#[tokio::test(start_paused = true)]
async fn a_closed_pipe_waits_for_an_explanation_only_if_there_can_be_one() {
    let begin = tokio::time::Instant::now();
    let ending = Ending::new();
    ending.end(EndReason::Eof);
    assert_eq!(ending.explained().await.reason, EndReason::Eof);
    assert_eq!(begin.elapsed(), Duration::ZERO);

    let ending = Ending::new();
    ending.watch_process(std::process::id());
    ending.end(EndReason::WriteFailed);
    assert_eq!(ending.ended().await.reason, EndReason::WriteFailed);
    assert_eq!(begin.elapsed(), Duration::ZERO, "the end itself waits for nothing");
    assert_eq!(ending.explained().await.reason, EndReason::WriteFailed);
    assert_eq!(begin.elapsed().as_millis(), EXPLANATION.as_millis());
    ending.end(EndReason::ProcessDied { pid: 7 });
    assert_eq!(ending.explained().await.reason, EndReason::WriteFailed, "what was told stays");

    let ending = Ending::new();
    ending.watch_process(std::process::id());
    ending.end(EndReason::ExitAfterShutdown);
    ending.end(EndReason::ProcessDied { pid: 7 });
    assert_eq!(ending.explained().await.reason, EndReason::ExitAfterShutdown, "the death of a client that has said goodbye is nothing");
}

#[tokio::test(start_paused = true)]
async fn what_a_process_had_said_is_heard_before_its_death() {
    let died = EndReason::ProcessDied { pid: u32::MAX };
    let ending = Ending::new();
    ending.watch_process(u32::MAX);
    tokio::task::yield_now().await;
    ending.end(EndReason::ExitAfterShutdown);
    assert_eq!(ending.explained().await.reason, EndReason::ExitAfterShutdown);

    // Nothing more is in its pipe.
    let (begin, ending) = (tokio::time::Instant::now(), Ending::new());
    ending.watch_process(u32::MAX);
    ending.dying().await;
    ending.heard_out();
    assert_eq!((ending.ended().await.reason, begin.elapsed()), (died.clone(), Duration::ZERO));

    // Behind its last words its pipe ends: that is no other reason.
    let ending = Ending::new();
    ending.watch_process(u32::MAX);
    ending.dying().await;
    ending.end(EndReason::Eof);
    assert_eq!(ending.ended().await.reason, died);

    // Somebody else goes on to write into it.
    let (begin, ending) = (tokio::time::Instant::now(), Ending::new());
    ending.watch_process(u32::MAX);
    assert_eq!(ending.ended().await.reason, died);
    assert_eq!(begin.elapsed().as_millis(), LAST_WORDS.as_millis());
}

#[tokio::test]
async fn signals_beside_an_end_and_those_that_are_not_meant_for_us_are_kept() {
    let ending = Ending::new();
    let (interrupt, terminate) = (by_signal("SIGINT", SignalKind::interrupt()), by_signal("SIGTERM", SignalKind::terminate()));
    ending.ignore(interrupt.clone());
    ending.end(EndReason::Eof);
    ending.end(terminate.clone());
    ending.end(EndReason::WriteFailed);
    let first = within(ending.beside()).await;
    let second = within(ending.beside()).await;
    assert_eq!(((first.0.reason, first.1), (second.0.reason, second.1)), ((interrupt, Heed::Ignore), (terminate, Heed::Stop)));
    assert!(tokio::time::timeout(Duration::from_millis(10), ending.beside()).await.is_err(), "a closed pipe is the same end");
    assert_eq!(within(ending.ended()).await.reason, EndReason::Eof);
}

#[tokio::test]
async fn the_end_of_a_process_is_told_even_before_it_is_reaped() {
    let mut child = sleeper();
    let gone = tokio::spawn(process_gone(child.id()));
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    child.kill().expect("kill");
    assert_eq!(within(gone).await.expect("task"), EndReason::ProcessDied { pid: child.id() });
    child.wait().expect("reaped");
    assert_eq!(within(process_gone(child.id())).await, EndReason::ProcessDied { pid: child.id() });
}

#[tokio::test]
async fn a_process_that_must_be_looked_at_is_found_gone_too() {
    let mut child = sleeper();
    let process = Pid::from_child(&child);
    let gone = tokio::spawn(Watched::LookAt(process).gone());
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    child.kill().expect("kill");
    child.wait().expect("reaped");
    within(gone).await.expect("task");
}

#[tokio::test]
async fn impossible_process_ids_are_gone_and_zero_is_nobody() {
    assert_eq!(within(process_gone(u32::MAX)).await, EndReason::ProcessDied { pid: u32::MAX });
    let zero = tokio::time::timeout(Duration::from_millis(10), process_gone(0));
    assert!(zero.await.is_err());
}

#[tokio::test]
async fn a_living_parent_is_waited_for() {
    let waited = tokio::time::timeout(Duration::from_millis(10), parent_gone());
    assert!(waited.await.is_err());
}

/// Signals belong to the whole process; nextest and this one test keep them apart.
#[tokio::test]
async fn sigint_is_not_meant_for_us_or_ends_and_sigterm_always_ends() {
    let raise = |signal| rustix::process::kill_process(rustix::process::getpid(), signal).expect("kill");
    let mut piped = Signals::catch(Interrupt::Ignore).expect("handlers");
    let mut terminal = Signals::catch(Interrupt::End).expect("handlers");
    raise(rustix::process::Signal::INT);
    let interrupt = EndReason::Signal { name: "SIGINT", number: 2 };
    assert_eq!(within(terminal.next()).await, (interrupt.clone(), Heed::Stop));
    assert_eq!(within(piped.next()).await, (interrupt, Heed::Ignore));
    raise(rustix::process::Signal::TERM);
    assert_eq!(within(piped.next()).await, (EndReason::Signal { name: "SIGTERM", number: 15 }, Heed::Stop));
    raise(rustix::process::Signal::HUP);
    assert_eq!(within(piped.next()).await, (EndReason::Signal { name: "SIGHUP", number: 1 }, Heed::Stop));
}
