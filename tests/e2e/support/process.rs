//! A process seen from outside: its end, its memory, its sockets, and the records that another process finds of it.

use crate::support::{Editor, Home};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Within this time pillion has left, whatever ends it and however busy the machine is. Its own deadlines are much shorter.
pub const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// Sends a signal.
pub fn signal(pid: u32, signal: Signal) {
    kill_process(named(pid), signal).expect("a process of ours");
}

/// A process that need not be our child.
pub struct Watched(OwnedFd);

impl Watched {
    pub fn open(pid: u32) -> Self {
        Self(pidfd_open(named(pid), PidfdFlags::empty()).expect("a running process"))
    }

    /// Waits for its end; says whether that came in time.
    pub async fn gone_within(self, time: Duration) -> bool {
        let wait = move || {
            let time = Timespec { tv_sec: time.as_secs().try_into().expect("some seconds"), tv_nsec: time.subsec_nanos().into() };
            poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&time)).expect("a pidfd can be polled") > 0
        };
        tokio::task::spawn_blocking(wait).await.expect("the wait ends")
    }
}

/// The only child of a process.
pub fn only_child(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("a running process");
    children.trim().parse().unwrap_or_else(|_| panic!("{pid} has these children: {children:?}"))
}

/// A number of `/proc/<pid>/status`, such as `VmRSS` or `VmHWM` (its peak) in KiB.
pub fn status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the field");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// The inodes of the sockets that a process has open.
pub fn sockets(pid: u32) -> HashSet<String> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process");
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// What the session's export says, as a second process writes it. Its `exit` code is checked as well.
pub async fn exported(home: &Home, session: &str) -> Value {
    let mut editor = Editor::lsp(home, &[]).await;
    let mut answer = editor.call("session/export", json!({ "sessionId": session, "sanitize": false })).await;
    editor.finish().await;
    answer["export"].take()
}

/// Waits for the end of pillion and gives its exit code; it must come within [`LEAVES_WITHIN`] from `since`.
pub async fn left(editor: &mut Editor, since: Instant) -> Option<i32> {
    let status = editor.exited().await;
    let took = since.elapsed();
    assert!(took < LEAVES_WITHIN, "pillion left after {took:?}");
    status.code()
}

fn named(pid: u32) -> Pid {
    pid.try_into().ok().and_then(Pid::from_raw).expect("a process id")
}
