//! The last resort of a process that was told to end: a thread of its own, which needs nothing that the rest of it may be busy with.
//!
//! Invariant: a process that has a signal to end is gone two seconds later, whatever its workers do.

use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::low_level;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// The orderly end takes less: what is left after this time does not come to one.
const DEADLINE: Duration = Duration::from_millis(1_900);

/// Watches for SIGTERM and SIGHUP beside whoever else does.
///
/// # Errors
/// The system refuses a handler, a socket or a thread.
pub fn after_signals() -> io::Result<()> {
    for signal in [SIGTERM, SIGHUP] {
        let (mut heard, tell) = UnixStream::pair()?;
        low_level::pipe::register(signal, tell)?;
        let wait = move || {
            if heard.read_exact(&mut [0]).is_ok() {
                thread::sleep(DEADLINE);
                low_level::exit(128 + signal);
            }
        };
        thread::Builder::new().name("deadline".into()).spawn(wait)?;
    }
    Ok(())
}
