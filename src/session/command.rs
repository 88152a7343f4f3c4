//! One command under its keeper, from the start until nothing of it is left: its output, its end, and how it was stopped.
//!
//! Invariant: a stop is handed to the keeper at once, and what became of the processes is what the keeper said, or "nobody
//! knows" if it said nothing.

use crate::process::{Capture, Captured, Command, Exit, Keeper, Kept, Output, Word};
use crate::protocol::abort::ToolOutcome;
use crate::protocol::cause::CancelMode;
use crate::provenance::{CancelToken, Grace};
use std::time::Duration;

/// How much longer than the grace a run may take that has a process to end: the keeper kills when the grace is over, and
/// waits a moment for what it killed.
pub(super) const KILLED_WITHIN: Duration = Duration::from_millis(400);

/// A piece of output, in bytes.
const PIECE: usize = 16 * 1024;

/// What came of a command.
#[derive(Debug)]
pub(super) struct Ran {
    /// How its own process ended, if that is known.
    pub(super) exit: Option<Exit>,
    /// Why it was not started, or why nobody knows.
    pub(super) failure: Option<String>,
    pub(super) captured: Captured,
    /// What became of the processes that were running when it was stopped.
    pub(super) fate: ToolOutcome,
}

/// What there is to a command beside itself.
pub(super) struct Terms<'t> {
    pub(super) token: &'t CancelToken,
    pub(super) grace: &'t Grace,
    /// The most output that is kept, in bytes.
    pub(super) keep: usize,
    /// Takes the hops of a stop.
    pub(super) hop: &'t (dyn Fn(&'static str) + Sync),
}

pub(super) async fn run(keeper: &Keeper, command: &Command, terms: &Terms<'_>) -> Ran {
    let captured = Capture::new(terms.keep);
    match keeper.keep(command) {
        Ok((kept, output)) => Watch { kept, output, capture: captured, terms, exit: None, failure: None, killed: false }.follow().await,
        Err(error) => {
            let failure = Some(format!("{} could not be started in {}: {error}", command.program.display(), command.directory.display()));
            Ran { exit: None, failure, captured: captured.captured(), fate: ToolOutcome::Stopped }
        }
    }
}

struct Watch<'t> {
    kept: Kept,
    output: Output,
    capture: Capture,
    terms: &'t Terms<'t>,
    exit: Option<Exit>,
    failure: Option<String>,
    killed: bool,
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
        let left = loop {
            tokio::select! {
                biased;
                stopped = token.stopped(), if asked == Asked::Nothing => {
                    let (grace, now) = match stopped.0.mode {
                        CancelMode::Soft => (grace.soft, Asked::ToEnd),
                        CancelMode::Hard => (grace.hard, Asked::ToHurry),
                    };
                    asked = now;
                    self.kept.end(grace).await;
                }
                () = token.hardened(), if asked == Asked::ToEnd => {
                    asked = Asked::ToHurry;
                    self.kept.end(grace.hard).await;
                }
                word = self.kept.next() => match word {
                    Some(Word::Gone { left }) => break Some(left),
                    Some(word) => self.heard(word),
                    None => break None,
                },
                read = self.output.read(&mut buffer), if writes => match read {
                    Ok(0) | Err(_) => writes = false,
                    Ok(read) => self.capture.take(&buffer[..read]),
                },
            }
        };
        // What the keeper could not end may hold the pipe for ever: only what is there is taken.
        while let read @ 1.. = self.output.read_ready(&mut buffer) {
            self.capture.take(&buffer[..read]);
        }
        let fate = match left {
            Some(0) if self.killed => ToolOutcome::Killed,
            Some(0) => ToolOutcome::Stopped,
            Some(_) => ToolOutcome::Escaped,
            None if self.failure.is_some() => ToolOutcome::Stopped,
            None => {
                self.failure = Some("the process that kept the command was killed; what became of the command is not known".to_owned());
                ToolOutcome::Escaped
            }
        };
        if left == Some(0) {
            self.hop("process.gone");
        }
        Ran { exit: self.exit, failure: self.failure, captured: self.capture.captured(), fate }
    }

    fn heard(&mut self, word: Word) {
        match word {
            Word::Exited(exit) => self.exit = Some(exit),
            Word::NotStarted { why } => self.failure = Some(why),
            Word::Terminated { .. } => self.hop("process.terminated"),
            Word::Killed { .. } => {
                if !self.killed {
                    self.hop("process.killed");
                }
                self.killed = true;
            }
            Word::Confined(_) | Word::Started | Word::Gone { .. } => {}
        }
    }

    /// What happens to a command that nobody stopped is no hop of a stop.
    fn hop(&self, point: &'static str) {
        if self.terms.token.is_stopped() {
            (self.terms.hop)(point);
        }
    }
}
