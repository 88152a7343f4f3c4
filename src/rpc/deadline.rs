//! The last resort of a process that was told to end: a thread of its own, which needs nothing that the rest of it may be busy with.
//!
//! Invariant: a process that has a signal to end is gone two seconds later, whatever its workers do.

use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::io;
use std::thread;
use std::time::Duration;

/// The orderly end takes less: what is left after this time does not come to one.
const DEADLINE: Duration = Duration::from_millis(1_900);

/// Watches for SIGTERM and SIGHUP beside whoever else does.
///
/// # Errors
/// The system refuses a handler or a thread.
pub fn after_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP])?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            thread::sleep(DEADLINE);
            low_level::exit(128 + signal);
        }
    };
    thread::Builder::new().name("deadline".into()).spawn(wait).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};

    /// Set in the process that is to be told to end.
    const BUSY: &str = "PILLION_TEST_BUSY";
    const READY: &str = "ready to be ended";

    /// A child that does not outlive the test.
    struct Ours(Child);

    impl Drop for Ours {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A runtime whose workers all do something that never ends.
    fn be_busy() {
        after_signals().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for _ in 0..2 {
            runtime.spawn(async {
                writeln!(io::stdout(), "{READY}").unwrap();
                loop {
                    thread::park();
                }
            });
        }
        loop {
            thread::park();
        }
    }

    #[test]
    fn a_process_whose_workers_are_all_busy_ends_when_it_is_told_to() {
        if crate::process::variable(BUSY).is_some() {
            be_busy();
        }
        let name = "rpc::deadline::tests::a_process_whose_workers_are_all_busy_ends_when_it_is_told_to";
        for signal in [Signal::TERM, Signal::HUP] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let child = command.args(["--exact", name, "--nocapture"]).env(BUSY, "1").stdout(Stdio::piped()).spawn().unwrap();
            let mut child = Ours(child);
            let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
            assert_eq!(lines.filter(|line| line.ends_with(READY)).take(2).count(), 2);
            kill_process(Pid::from_child(&child.0), signal).unwrap();
            assert_eq!(child.0.wait().unwrap().code(), Some(128 + signal.as_raw()));
        }
    }
}
