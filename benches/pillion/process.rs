//! A process seen from outside, through `/proc`: memory, processor time, sockets.

use anyhow::Context as _;
use std::collections::HashSet;
use std::fs;
use std::time::Duration;

/// What is resident now, in MiB.
pub(crate) fn memory(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmRSS")
}

/// What of it is the process's own, in MiB: no page of a file.
pub(crate) fn own_memory(pid: u32) -> anyhow::Result<f64> {
    status(pid, "RssAnon")
}

/// The most that ever was resident, in MiB.
pub(crate) fn peak_memory(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmHWM")
}

/// What the threads that live now have run so far.
pub(crate) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while it is looked at.
        let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let ran = schedstat.split_whitespace().next().context("the kernel keeps schedstat")?;
        total += ran.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

/// How many sockets of the process lead to a network.
pub(crate) fn connections(pid: u32) -> anyhow::Result<usize> {
    let mut own = HashSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(link) = fs::read_link(entry?.path()) else { continue };
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned));
        own.extend(inode);
    }
    let tables = ["tcp", "tcp6", "udp", "udp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let inodes = tables.iter().flat_map(|table| table.lines()).filter_map(|line| line.split_whitespace().nth(9));
    Ok(inodes.filter(|inode| own.contains(*inode)).count())
}

#[expect(clippy::cast_precision_loss, reason = "a process of ours has no petabytes")]
fn status(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()).context("the kernel tells the memory")?.parse()?;
    Ok(kib as f64 / 1024.0)
}
