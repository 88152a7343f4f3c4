//! A command under the keeper of the real binary, and what it says and writes.

use pillion::process::{Command, Keeper, Kept, Output, Word};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Far more than anything here takes, far less than a sleep of the commands.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A command that is not confined.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    Command {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        directory: "/".into(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("COLOUR".into(), "green".into())],
        confinement: None,
    }
}

pub(crate) fn keep(command: &Command) -> (Kept, Output) {
    Keeper::at(env!("CARGO_BIN_EXE_pillion")).keep(command).expect("a keeper")
}

pub(crate) async fn word(kept: &mut Kept) -> Option<Word> {
    tokio::time::timeout(SOON, kept.next()).await.expect("a word in time")
}

pub(crate) async fn words(kept: &mut Kept) -> Vec<Word> {
    let mut words = Vec::new();
    while let Some(word) = word(kept).await {
        words.push(word);
    }
    words
}

/// The next line that the command writes.
pub(crate) async fn line(output: &mut Output) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while tokio::time::timeout(SOON, output.read(&mut byte)).await.expect("output in time").expect("readable") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text")
}

pub(crate) async fn all(output: &mut Output) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match tokio::time::timeout(SOON, output.read(&mut buffer)).await.expect("output in time").expect("readable") {
            0 => return String::from_utf8(text).expect("text"),
            read => text.extend_from_slice(&buffer[..read]),
        }
    }
}

/// A process whose number the command has written.
pub(crate) struct Seen(OwnedFd);

impl Seen {
    pub(crate) async fn next(output: &mut Output) -> Self {
        Self::of(line(output).await.trim().parse().expect("a process id"))
    }

    pub(crate) fn of(pid: i32) -> Self {
        Self(pidfd_open(Pid::from_raw(pid).expect("a process id"), PidfdFlags::empty()).expect("a running process"))
    }

    pub(crate) fn is_gone(&self, within: Duration) -> bool {
        let within = Timespec { tv_sec: within.as_secs().try_into().expect("seconds"), tv_nsec: within.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&within)).expect("a pidfd can be polled") > 0
    }
}
