//! The limit of open files: raised for this process, given back to every command.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::sync::OnceLock;

/// As many files as this process may need to have open.
const WANTED: u64 = 65_536;

/// The soft limit that this process began with.
static EARLIER: OnceLock<u64> = OnceLock::new();

/// Each session holds its workspace open and each running turn a connection, so a thousand of them need more descriptors
/// than the 1024 that many systems begin with.
///
/// # Errors
/// The system refuses; the limit is what it was.
pub fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(WANTED).min(WANTED);
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return Ok(()) };
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    EARLIER.get_or_init(|| current);
    Ok(())
}

/// The soft limit that commands are to have; `None`: the one that there is.
pub(super) fn earlier() -> Option<u64> {
    EARLIER.get().copied()
}

/// Sets the soft limit of this process, a keeper's, for what it runs. Programs that close every descriptor up to the limit
/// before they start something would be slow with a high one, and those that use `select` would break.
pub(super) fn restore(soft: u64) -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum })?)
}
