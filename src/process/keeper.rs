//! The keeper: a process between pillion and a command. Everything that the command starts is its descent, also what
//! detaches itself, and it ends all of it when the command has ended, when it is told to, and when pillion is gone.
//!
//! Invariant: "gone" is said when the system says that there is no child left to wait for, not before.

use super::confine::Confinement;
use super::kept::Keeper as Program;
use super::tree::Signalled;
use super::words::{Exit, Order, Said, Word};
use super::{descriptors, entry, own, tree};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, wait};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
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

/// Runs a keeper to its end, or becomes the confined command of one.
///
/// # Errors
/// Nobody holds the other end of stdin, or the system refuses what a keeper needs: nothing was started.
pub fn run(arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    // Whatever was open where it was started would else be open in the command.
    close_fds::set_fds_cloexec(3, &[]);
    let mut arguments = arguments.peekable();
    if arguments.next_if(|first| *first == entry::ARGUMENT).is_some() {
        return entry::enter(arguments);
    }
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
    match keeper.start(program, arguments, confinement).await? {
        Start::Runs => keeper.say(Word::Started).await?,
        Start::Refused { why } => return keeper.say(Word::NotStarted { why }).await,
    }
    let mut orders = BufReader::new(orders).lines();
    loop {
        tokio::select! {
            _ = children.recv() => {
                if keeper.reap().await? == Left::Nothing {
                    return keeper.say(Word::Gone { left: 0 }).await;
                }
            }
            order = order(&mut orders), if !matches!(keeper.ending, Ending::Killed { .. }) => match order {
                Some(Order::End { grace_ms }) => keeper.terminate(Duration::from_millis(grace_ms)).await?,
                None => keeper.kill().await?,
            },
            () = keeper.ending.is_due() => match keeper.ending {
                // The system knows better than any list whether something is left.
                Ending::Killed { .. } => {
                    let left = if keeper.reap().await? == Left::Nothing { 0 } else { keeper.count().max(1) };
                    return keeper.say(Word::Gone { left }).await;
                }
                _ => keeper.kill().await?,
            },
        }
    }
}

/// Away from pillion's terminal and name, out of reach of its own descent, and there for every orphan.
fn apart() -> io::Result<()> {
    // It fails only for a process that leads a group already.
    let _ = rustix::process::setsid();
    // So that `killall pillion` does not mean it. It is a name and nothing more: without it everything works as well.
    let _ = std::fs::write("/proc/self/comm", "pillion-keeper");
    own::is_not_traced();
    // If its descent has stopped it when pillion ends, it goes on and ends its descent. To one that runs, it means nothing.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
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

/// What came of the start.
enum Start {
    Runs,
    Refused { why: String },
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
    /// Starts the command in a group of its own, as a shell would.
    async fn start(
        &mut self,
        program: OsString,
        arguments: impl Iterator<Item = OsString>,
        confinement: Option<Confinement>,
    ) -> io::Result<Start> {
        let Some(confinement) = confinement else {
            return self.spawn(Command::new(program).args(arguments).stdin(Stdio::null())).await;
        };
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut way = Command::new(Program::this_program().path());
        way.args([ARGUMENT, entry::ARGUMENT]).args(Confinement::write(Some(&confinement))?).arg(program).args(arguments);
        let start = self.spawn(way.stdin(OwnedFd::from(theirs))).await?;
        // Else a copy of the other end would stay open here.
        drop(way);
        match start {
            Start::Runs => self.entered(UnixStream::from_std(ours)?).await,
            refused @ Start::Refused { .. } => Ok(refused),
        }
    }

    async fn spawn(&mut self, command: &mut Command) -> io::Result<Start> {
        match command.process_group(0).spawn().map(|child| i32::try_from(child.id()).ok()) {
            Ok(Some(pid)) => {
                self.leader = Pid::from_raw(pid);
                self.tell(&Said::Leader(pid)).await?;
                Ok(Start::Runs)
            }
            Ok(None) => Err(io::ErrorKind::InvalidData.into()),
            Err(error) => Ok(Start::Refused { why: error.to_string() }),
        }
    }

    /// Passes on what a confined command's process says until it is the command, which closes the socket.
    async fn entered(&mut self, way: UnixStream) -> io::Result<Start> {
        let mut lines = BufReader::new(way).lines();
        let mut start = Start::Refused { why: "it ended before it was confined".into() };
        while let Some(word) = lines.next_line().await.ok().flatten().and_then(|line| serde_json::from_str(&line).ok()) {
            match word {
                Word::NotStarted { why } => return Ok(Start::Refused { why }),
                word => {
                    self.say(word).await?;
                    start = Start::Runs;
                }
            }
        }
        Ok(start)
    }

    /// Takes in everything that has ended.
    async fn reap(&mut self) -> io::Result<Left> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.leader => {
                    let exit = status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal));
                    if let Some(exit) = exit {
                        self.say(Word::Exited(exit)).await?;
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
            word => self.say(word).await,
        }
    }

    fn count(&self) -> usize {
        self.leader.map_or(0, tree::count)
    }

    async fn say(&mut self, word: Word) -> io::Result<()> {
        self.tell(&Said::Word(word)).await
    }

    /// Tells pillion. If it is gone, there is nobody to tell, and all the more to end.
    async fn tell(&mut self, said: &Said) -> io::Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        let _ = self.words.write_all(&line).await;
        Ok(())
    }
}
