//! The keeper: a process between pillion and a command. Everything that the command starts is its descent, also what
//! detaches itself, and it ends all of it when the command has ended, when it is told to, and when pillion is gone.
//!
//! Invariant: "gone" is said when the system says that there is no child left to wait for, not before.

use super::confine::{self, Confinement};
use super::tree::Signalled;
use super::words::{Exit, Order, Word};
use super::{descriptors, tree};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, wait};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// The first argument of a keeper; behind it stand the limit of open files, the confinement, the program and its arguments.
pub const ARGUMENT: &str = "keep";

/// What the limit of open files is called when it stays as it is.
pub(super) const AS_IT_IS: &str = "-";

/// How long what a command has left behind may take to end when it is asked to.
const LEFTOVERS_GRACE: Duration = Duration::from_millis(250);

/// How long killed processes are waited for: what a signal cannot end (another user's, stuck in the kernel) is given up.
const GIVE_UP_AFTER: Duration = Duration::from_millis(300);

/// Runs a keeper to its end.
///
/// # Errors
/// Nobody holds the other end of stdin, or the system refuses what a keeper needs: nothing was started.
pub fn run(arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(keep(arguments))
}

async fn keep(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let socket = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let (orders, words) = UnixStream::from_std(socket)?.into_split();
    // Proof that it is a socket with somebody at its other end.
    words.peer_addr()?;
    let mut children = signal(SignalKind::child())?;
    // What is sent to pillion and everything like it must not take the keeper away from its descent: pillion itself tells.
    let _deaf = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()].map(signal);
    apart()?;
    let limit = arguments.next().unwrap_or_default();
    if let Some(soft) = limit.to_str().filter(|limit| *limit != AS_IT_IS).and_then(|limit| limit.parse().ok()) {
        descriptors::restore(soft)?;
    }
    let confinement = Confinement::read(&mut arguments)?;
    let program = arguments.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program was given"))?;
    let mut keeper = Keeper { words, leader: None, ending: Ending::NotYet };
    if let Some(confinement) = confinement {
        // The keeper itself is held too, and has all that it still needs: its socket, `/proc` to read, signals to its descent.
        let enforced = confine::enforce(&confinement);
        let refusal = confinement.strictness.refuses(&enforced);
        keeper.say(&Word::Confined(enforced)).await?;
        if let Some(why) = refusal {
            return keeper.say(&Word::NotStarted { why }).await;
        }
    }
    // In a group of its own, as a shell would start it.
    let spawned = Command::new(program).args(arguments).stdin(Stdio::null()).process_group(0).spawn();
    match spawned.map(|child| i32::try_from(child.id()).ok().and_then(Pid::from_raw)) {
        Ok(leader) => keeper.leader = leader,
        Err(error) => return keeper.say(&Word::NotStarted { why: error.to_string() }).await,
    }
    keeper.say(&Word::Started).await?;
    let mut orders = BufReader::new(orders).lines();
    loop {
        tokio::select! {
            _ = children.recv() => {
                if keeper.reap().await? == Left::Nothing {
                    return keeper.say(&Word::Gone { left: 0 }).await;
                }
            }
            order = order(&mut orders), if !matches!(keeper.ending, Ending::Killed { .. }) => match order {
                Some(Order::End { grace_ms }) => keeper.terminate(Duration::from_millis(grace_ms)).await?,
                None => keeper.kill().await?,
            },
            () = keeper.ending.is_due() => match keeper.ending {
                Ending::Killed { .. } => return keeper.say(&Word::Gone { left: keeper.count() }).await,
                _ => keeper.kill().await?,
            },
        }
    }
}

/// Away from pillion's terminal and name, and there for every orphan.
fn apart() -> io::Result<()> {
    // It fails only for a process that leads a group already.
    let _ = rustix::process::setsid();
    // So that `killall pillion` does not mean it. It is a name and nothing more: without it everything works as well.
    let _ = std::fs::write("/proc/self/comm", "pillion-keeper");
    tree::adopt_orphans()
}

/// The next order; `None`: there is nobody any more who could give one.
async fn order(orders: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Order> {
    let line = orders.next_line().await.ok().flatten()?;
    serde_json::from_str(&line).ok()
}

struct Keeper {
    words: OwnedWriteHalf,
    /// The command's own process.
    leader: Option<Pid>,
    ending: Ending,
}

/// How far the end has come.
enum Ending {
    NotYet,
    Terminated { until: Instant, had: Signalled },
    Killed { until: Instant, had: Signalled },
}

/// Whether there is still something to wait for.
#[derive(PartialEq, Eq)]
enum Left {
    Something,
    Nothing,
}

impl Ending {
    async fn is_due(&self) {
        match self {
            Self::NotYet => std::future::pending().await,
            Self::Terminated { until, .. } | Self::Killed { until, .. } => tokio::time::sleep_until(*until).await,
        }
    }
}

impl Keeper {
    /// Takes in everything that has ended.
    async fn reap(&mut self) -> io::Result<Left> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.leader => {
                    let exit = status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal));
                    if let Some(exit) = exit {
                        self.say(&Word::Exited(exit)).await?;
                    }
                    self.leader_ended().await?;
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Errno::CHILD) => return Ok(Left::Nothing),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // A process that was not there when the others got their signal is the child of one of them, and one of them has
        // just ended.
        self.signal().await?;
        Ok(Left::Something)
    }

    /// What a command leaves behind ends with it.
    async fn leader_ended(&mut self) -> io::Result<()> {
        match self.ending {
            Ending::NotYet if self.count() > 0 => self.terminate(LEFTOVERS_GRACE).await,
            _ => Ok(()),
        }
    }

    async fn terminate(&mut self, grace: Duration) -> io::Result<()> {
        let ends = Instant::now() + grace;
        match &mut self.ending {
            Ending::NotYet => self.ending = Ending::Terminated { until: ends, had: Signalled::default() },
            Ending::Terminated { until, .. } => *until = ends.min(*until),
            Ending::Killed { .. } => {}
        }
        self.signal().await
    }

    async fn kill(&mut self) -> io::Result<()> {
        self.ending = Ending::Killed { until: Instant::now() + GIVE_UP_AFTER, had: Signalled::default() };
        self.signal().await
    }

    /// Gives the signal that is due to whoever has not had it.
    async fn signal(&mut self) -> io::Result<()> {
        let Some(leader) = self.leader else { return Ok(()) };
        let word = match &mut self.ending {
            Ending::NotYet => return Ok(()),
            Ending::Terminated { had, .. } => Word::Terminated { processes: tree::signal_all(leader, Signal::TERM, had) },
            Ending::Killed { had, .. } => Word::Killed { processes: tree::signal_all(leader, Signal::KILL, had) },
        };
        match word {
            Word::Terminated { processes: 0 } | Word::Killed { processes: 0 } => Ok(()),
            word => self.say(&word).await,
        }
    }

    fn count(&self) -> usize {
        self.leader.map_or(0, tree::count)
    }

    /// Tells pillion. If it is gone, there is nobody to tell, and all the more to end.
    async fn say(&mut self, word: &Word) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        let _ = self.words.write_all(&line).await;
        Ok(())
    }
}
