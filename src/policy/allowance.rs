//! Which rule allows a command: one that fits it, and for everything that it runs in its turn one as well.
//!
//! Invariant: a rule for a runner allows what is run only if it spells that out.

use super::access::{Invocation, RunAccess};
use super::command::{Script, Simple};
use super::judge::Why;
use super::rule::Rule;
use super::runner::{self, DEEPEST, What};
use super::words::Words;

pub(super) struct Allowance<'r> {
    rules: &'r [Rule],
    is_away: bool,
}

impl<'r> Allowance<'r> {
    /// The rule that allows the command, or the last of those that allow its parts.
    pub(super) fn of(rules: &'r [Rule], run: &RunAccess) -> Result<&'r Rule, Why> {
        let allowance = Self { rules, is_away: run.is_away() };
        match &run.command {
            Invocation::Program(words) => allowance.command(words, None, 0),
            Invocation::Script(text) => allowance.text(text, None, 0),
        }
    }

    fn text(&self, text: &str, fed: Option<&[Simple]>, depth: usize) -> Result<&'r Rule, Why> {
        let commands = match Script::read(text) {
            Script::Plain(commands) => commands,
            Script::Opaque(why) => return Err(Why::NotUnderstood(why)),
        };
        let mut last = Err(Why::NoRule);
        for (at, command) in commands.iter().enumerate() {
            last = Ok(self.command(&command.words, runner::fed(&commands, at).or(fed), depth)?);
        }
        last
    }

    fn command(&self, command: &[String], fed: Option<&[Simple]>, depth: usize) -> Result<&'r Rule, Why> {
        let mut why = Why::NoRule;
        for rule in self.rules.iter().filter(|rule| rule.allows_command(command, self.is_away)) {
            match self.runs(rule.words(), command, fed, depth) {
                Ok(()) => return Ok(rule),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// Whether what the command runs is allowed, too. `pattern` is what the rule that fits it says, which may spell it out.
    fn runs(&self, pattern: Option<&Words>, command: &[String], fed: Option<&[Simple]>, depth: usize) -> Result<(), Why> {
        if pattern.is_some_and(Words::is_exact) && fed.is_none() {
            return Ok(());
        }
        if depth == DEEPEST {
            return Err(Why::NotUnderstood("it has too many commands inside of each other"));
        }
        for run in runner::runs(command, fed) {
            let spelled = pattern.filter(|pattern| pattern.spells(run.at));
            match (run.what, spelled) {
                (What::Command(words), Some(pattern)) => self.runs(Some(&pattern.behind(run.at)), &words, fed, depth + 1)?,
                (What::Command(words), None) => drop(self.command(&words, fed, depth + 1)?),
                (What::Text(text), None) => drop(self.text(&text, fed, depth + 1)?),
                (What::Input(why), _) | (What::Unclear(_, why), None) => return Err(Why::NotUnderstood(why)),
                (What::Text(_) | What::Unclear(..), Some(_)) | (What::File(_) | What::Perhaps(_), _) => {}
            }
        }
        Ok(())
    }
}
