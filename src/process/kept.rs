//! pillion's end of a kept command: started, told to end, listened to, its output read.
//!
//! Invariant: dropping [`Kept`] ends the command and everything it started, at once.

use super::confine::Confinement;
use super::guard::Guard;
use super::keeper::{ARGUMENT, AS_IT_IS};
use super::words::{Order, Word};
use super::{descriptors, orphans};
use std::ffi::OsString;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
#[cfg(target_os = "macos")]
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedWriteHalf, pipe};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// The program that keeps commands: a pillion.
#[derive(Debug, Clone)]
pub struct Keeper(PathBuf);

/// What to run. The environment is the whole of it: nothing is added from pillion's own.
#[derive(Debug, Clone)]
pub struct Command {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub directory: StartIn,
    pub environment: Vec<(OsString, OsString)>,
    /// What it and everything it starts is held to; absent: it may do whatever its user may.
    pub confinement: Option<Confinement>,
}

/// Where a command starts: by a path, or in a directory that was opened, wherever its path leads by now.
#[derive(Debug, Clone)]
pub struct StartIn {
    /// For people too.
    path: PathBuf,
    opened: Option<Arc<OwnedFd>>,
}

impl StartIn {
    pub fn opened(path: PathBuf, handle: OwnedFd) -> Self {
        Self { path, opened: Some(Arc::new(handle)) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path by which a child of this process comes there.
    fn way(&self) -> io::Result<PathBuf> {
        match &self.opened {
            None => Ok(self.path.clone()),
            #[cfg(target_os = "linux")]
            Some(handle) => Ok(format!("/proc/self/fd/{}", handle.as_raw_fd()).into()),
            #[cfg(target_os = "macos")]
            Some(handle) => Ok(OsString::from_vec(rustix::fs::getpath(handle)?.into_bytes()).into()),
            #[cfg(not(any(target_os = "linux", target_os = "macos")))]
            Some(_) => Ok(self.path.clone()),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for StartIn {
    fn from(path: P) -> Self {
        Self { path: path.into(), opened: None }
    }
}

/// A command under its keeper.
#[derive(Debug)]
pub struct Kept {
    words: mpsc::UnboundedReceiver<Word>,
    orders: OwnedWriteHalf,
    /// To the watch over the keeper: the grace of each order.
    asks: mpsc::UnboundedSender<Duration>,
}

/// What the command writes, to stdout and stderr, in the order in which it comes.
#[derive(Debug)]
pub struct Output(pipe::Receiver);

impl Keeper {
    /// The running program itself; on Linux also if its file has been replaced since.
    pub fn this_program() -> Self {
        if cfg!(target_os = "linux") {
            Self::at("/proc/self/exe")
        } else {
            std::env::current_exe().map_or_else(|_| Self::at("pillion"), Self)
        }
    }

    pub fn at(program: impl AsRef<Path>) -> Self {
        Self(program.as_ref().to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Starts a keeper for the command. Whether the command itself could be started is the first word to come.
    ///
    /// # Errors
    /// There is no such directory, the system has no more processes or descriptors to give, or does not let this process know
    /// what becomes of them.
    pub fn keep(&self, command: &Command) -> io::Result<(Kept, Output)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (words, orders) = UnixStream::from_std(ours)?.into_split();
        let (output, writer) = io::pipe()?;
        let limit = descriptors::earlier().map_or_else(|| AS_IT_IS.to_owned(), |soft| soft.to_string());
        // Before the keeper is there: whatever becomes of it is heard of.
        let children = signal(SignalKind::child())?;
        let mut command_line = tokio::process::Command::new(&self.0);
        command_line
            .args([ARGUMENT, &limit])
            .args(Confinement::write(command.confinement.as_ref())?)
            .arg(&command.program)
            .args(&command.arguments)
            .current_dir(command.directory.way()?)
            .env_clear()
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let (child, keeper) = orphans::start(&mut command_line)?;
        // It holds the other ends, whose closing tells of the keeper's death and the end of the output.
        drop(command_line);
        let ((asks, asked), (told, heard)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        tokio::spawn(Guard { keeper, child, lines: BufReader::new(words).lines(), asked, told, children, leader: None }.watch());
        let output = Output(pipe::Receiver::from_owned_fd(output.into())?);
        Ok((Kept { words: heard, orders, asks }, output))
    }
}

impl Kept {
    /// The next word; `None` after the last one. The last one comes whatever becomes of the keeper, and after [`Kept::end`] no
    /// later than a moment after the grace.
    pub async fn next(&mut self) -> Option<Word> {
        self.words.recv().await
    }

    /// Asks everything to end (SIGTERM), and kills what is left after the grace. A second call can only shorten it.
    pub async fn end(&mut self, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let Ok(mut line) = serde_json::to_vec(&Order::End { grace_ms }) else { return };
        line.push(b'\n');
        // The time runs also for a keeper that does not listen; what is left by one that is gone is ended already.
        let _ = self.asks.send(grace);
        let _ = self.orders.write_all(&line).await;
    }
}

impl Output {
    /// Reads what there is, waiting for the first byte; 0 at the end.
    ///
    /// # Errors
    /// The pipe could not be read.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).await
    }

    /// Reads what there is without waiting; 0 if there is nothing. For a pipe whose other end somebody may hold for ever.
    pub fn read_ready(&mut self, buffer: &mut [u8]) -> usize {
        // The system is asked itself: the runtime may not have heard yet of what came last.
        rustix::io::read(&self.0, buffer).unwrap_or(0)
    }
}
