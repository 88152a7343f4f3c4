//! The way of a confined command: its process is this program first, which confines itself, says how far, and becomes the command.
//!
//! Invariant: the keeper is not confined with it. So a confined command can neither trace its keeper nor, where it has no network,
//! send it a signal, whoever its user is.

use super::confine::{self, Confinement};
use super::words::Word;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// What stands in the place of a keeper's first argument; behind it stand the confinement, the program and its arguments.
pub(super) const ARGUMENT: &str = "confined";

/// Becomes the command; returns if it cannot, which it has said then. Its stdin is a socket to the keeper, and no other copy of
/// that survives the change.
///
/// # Errors
/// There is nobody to tell, or nobody knows what the command may do.
pub(super) fn enter(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    let mut say = |word: &Word| -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        socket.write_all(&line)
    };
    let (Some(confinement), Some(program)) = (Confinement::read(&mut arguments)?, arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no confinement or no program was given"));
    };
    let enforced = confine::enforce(&confinement);
    let refusal = confinement.strictness.refuses(&enforced);
    say(&Word::Confined(enforced))?;
    let why = refusal.unwrap_or_else(|| Command::new(program).args(arguments).stdin(Stdio::null()).exec().to_string());
    say(&Word::NotStarted { why })
}
