//! One command under its keeper, from the start until nothing of it is left: its output, its end, and how it was stopped.
//!
//! Invariant: a stop is handed on at once, and what became of the processes is what was seen: they are gone, or may go on.

use super::outputs::Outputs;
use super::scratch::Scratch;
use crate::config::{Sandbox, Settings};
use crate::process::{Capture, Captured, Command, Directory, Enforced, Exit, Keeper, Kept, Output, Word};
use crate::protocol::abort::ToolOutcome;
use crate::protocol::cause::CancelMode;
use crate::protocol::message::ResultStatus;
use crate::provenance::{CancelToken, Grace, KnownKeys};
use futures_util::future::{Either, pending};
use std::ffi::OsString;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How much longer than the grace a run may take that has a process to end: the keeper kills when the grace is over, and
/// waits a moment for what it killed.
pub const KILLED_WITHIN: Duration = Duration::from_millis(400);

/// How long a command of the model's may take: it is ended before the watchdog ends its turn.
pub fn longest_command(settings: &Settings) -> Duration {
    settings.watchdogs.tool.saturating_sub(settings.grace.soft + KILLED_WITHIN)
}

/// What the commands of a session run with.
pub struct Commands {
    pub keeper: Keeper,
    /// The whole of it, without secrets.
    pub environment: Arc<[(OsString, OsString)]>,
    pub grace: Grace,
    /// What the model's commands are held to.
    pub sandbox: Sandbox,
    /// The directories of the sandbox, as they were when the session was opened.
    pub writable: Vec<Directory>,
    /// The longest that one of the model's may take.
    pub longest: Duration,
    pub scratch: Scratch,
    pub outputs: Outputs,
    /// What must not stand in an output.
    pub keys: Arc<KnownKeys>,
}

/// How a command fails whose keeper somebody has ended: as a rule it was the command itself.
const LOST: &str = "the process that kept the command was ended from outside";

/// A piece of output, in bytes.
const PIECE: usize = 16 * 1024;

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    /// How its own process ended, if that is known.
    pub exit: Option<Exit>,
    /// Why it was not started, or what became of it when its keeper was lost.
    pub failure: Option<String>,
    pub captured: Captured,
    /// What became of the processes that were running when it was stopped.
    pub fate: ToolOutcome,
    /// Its own time limit was over before anybody stopped it.
    pub timed_out: bool,
    /// A stop ended it: it had neither ended by itself before, nor been ended by its own time limit.
    pub by_stop: bool,
    /// What it was held to; absent: to nothing, or it is not known.
    pub held: Option<Enforced>,
}

impl Ran {
    /// What it came to, as its one result says it.
    pub fn status(&self) -> ResultStatus {
        match self.exit {
            _ if self.by_stop => ResultStatus::Interrupted,
            _ if self.fate == ToolOutcome::Escaped => ResultStatus::UnknownOutcome,
            Some(Exit::Code(0)) if self.failure.is_none() => ResultStatus::Completed,
            _ => ResultStatus::Failed,
        }
    }
}

/// What there is to a command beside itself.
pub struct Terms<'t> {
    pub token: &'t CancelToken,
    pub grace: &'t Grace,
    /// Takes what it writes.
    pub capture: Capture,
    /// How long it may take.
    pub limit: Option<Duration>,
    /// Takes the hops of a stop.
    pub hop: &'t (dyn Fn(&'static str) + Sync),
}

pub async fn run(keeper: &Keeper, command: &Command, terms: Terms<'_>) -> Ran {
    match keeper.keep(command) {
        Ok((kept, output)) => {
            Watch {
                kept,
                output,
                terms,
                exit: None,
                failure: None,
                lost: false,
                killed: false,
                timed_out: false,
                by_stop: false,
                held: None,
            }
            .follow()
            .await
        }
        Err(error) => {
            let failure =
                Some(format!("{} could not be started in {}: {error}", command.program.display(), command.directory.path().display()));
            let captured = terms.capture.captured();
            Ran { exit: None, failure, captured, fate: ToolOutcome::Stopped, timed_out: false, by_stop: false, held: None }
        }
    }
}

struct Watch<'t> {
    kept: Kept,
    output: Output,
    terms: Terms<'t>,
    exit: Option<Exit>,
    failure: Option<String>,
    /// The keeper did not live to its last word.
    lost: bool,
    killed: bool,
    timed_out: bool,
    by_stop: bool,
    held: Option<Enforced>,
}

/// How far the stop has come.
#[derive(PartialEq, Eq)]
enum Asked {
    Nothing,
    ToEnd,
    ToHurry,
}

impl Watch<'_> {
    async fn follow(mut self) -> Ran {
        let (token, grace) = (self.terms.token, self.terms.grace);
        let mut buffer = vec![0; PIECE];
        let (mut writes, mut asked) = (true, Asked::Nothing);
        let mut limit = pin!(self.terms.limit.map_or_else(|| Either::Left(pending()), |limit| Either::Right(tokio::time::sleep(limit))));
        let left = loop {
            tokio::select! {
                biased;
                stopped = token.stopped(), if asked == Asked::Nothing => {
                    let (grace, now) = match stopped.0.mode {
                        CancelMode::Soft => (grace.soft, Asked::ToEnd),
                        CancelMode::Hard => (grace.hard, Asked::ToHurry),
                    };
                    asked = now;
                    self.by_stop = self.exit.is_none() && !self.timed_out;
                    self.kept.end(grace).await;
                }
                () = token.hardened(), if asked == Asked::ToEnd => {
                    asked = Asked::ToHurry;
                    self.kept.end(grace.hard).await;
                }
                () = &mut limit, if asked == Asked::Nothing && !self.timed_out => {
                    self.timed_out = true;
                    self.kept.end(grace.soft).await;
                }
                word = self.kept.next() => match word {
                    Some(Word::Gone { left }) => break Some(left),
                    Some(word) => self.heard(word),
                    None => break None,
                },
                read = self.output.read(&mut buffer), if writes => match read {
                    Ok(0) | Err(_) => writes = false,
                    Ok(read) => self.terms.capture.take(&buffer[..read]),
                },
            }
        };
        // What the keeper could not end may hold the pipe for ever: only what is there is taken.
        while let read @ 1.. = self.output.read_ready(&mut buffer) {
            self.terms.capture.take(&buffer[..read]);
        }
        let fate = match left {
            Some(0) if self.killed => ToolOutcome::Killed,
            Some(0) => ToolOutcome::Stopped,
            None if self.failure.is_some() => ToolOutcome::Stopped,
            Some(_) | None => ToolOutcome::Escaped,
        };
        if self.lost {
            self.failure = Some(match fate {
                ToolOutcome::Escaped => format!("{LOST}; not all of what it kept could be ended, and that may go on"),
                _ => format!("{LOST}; the command and everything that it had started were ended"),
            });
        }
        if left == Some(0) {
            self.hop("process.gone");
        }
        let Self { exit, failure, timed_out, by_stop, held, .. } = self;
        Ran { exit, failure, captured: self.terms.capture.captured(), fate, timed_out, by_stop, held }
    }

    fn heard(&mut self, word: Word) {
        match word {
            Word::Exited(exit) => self.exit = Some(exit),
            Word::NotStarted { why } => self.failure = Some(why),
            Word::Lost => self.lost = true,
            Word::Terminated { .. } => self.hop("process.terminated"),
            Word::Killed { .. } => {
                if !self.killed {
                    self.hop("process.killed");
                }
                self.killed = true;
            }
            Word::Confined(held) => self.held = Some(held),
            Word::Started | Word::Gone { .. } => {}
        }
    }

    /// What happens to a command that nobody stopped is no hop of a stop.
    fn hop(&self, point: &'static str) {
        if self.terms.token.is_stopped() {
            (self.terms.hop)(point);
        }
    }
}
