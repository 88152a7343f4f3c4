//! The command line: one file for each subcommand, one place for exit codes, one for what is printed.
//!
//! Invariant: stdout carries what was asked for and nothing else; everything said to the person goes to stderr.

mod doctor;
mod exit;
mod explain;
mod export;
mod file;
mod options;
mod output;
mod prompt;
mod server;
mod sessions;
mod trust;
mod which;

use crate::provenance::names_a_secret;
use crate::{build_info, process};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use exit::Exit;
use options::Options;
use std::ffi::OsString;

/// The sidecar an editor starts to run AI coding sessions, and the flight recorder of those sessions.
///
/// Without a command it serves JSON-RPC on stdin and stdout: LSP headers or JSON lines, as the first byte says.
#[derive(Debug, Parser)]
#[command(name = "pillion", version = build_info::version_line(), max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Prompt(prompt::PromptArgs),
    Export(export::ExportArgs),
    Sessions(sessions::SessionsArgs),
    Explain(explain::ExplainArgs),
    Trust(trust::TrustArgs),
    /// Check paths, settings, models, sandboxing and the store, and show the latest stops
    Doctor,
}

/// Runs the program and gives its exit code.
pub fn run(arguments: impl Iterator<Item = OsString>) -> i32 {
    let mut arguments = arguments.peekable();
    let program = arguments.next();
    if arguments.next_if(|first| *first == process::ARGUMENT).is_some() {
        // This program in another role, which begins before everything that belongs to this one.
        let by_hand = "`pillion keep` is how pillion runs a session's commands, and nothing to run by hand";
        return exit::conclude(process::run(arguments).context(by_hand).map(|()| Exit::Done));
    }
    process::close_to_others(names_a_secret);
    let arguments = program.into_iter().chain(arguments);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that is gone before it has read the help is no failure.
            let _ = error.print();
            return if error.use_stderr() { Exit::Failed.code() } else { Exit::Done.code() };
        }
    };
    // Two workers: a handler that blocks delays nobody, and an idle server stays small.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let outcome = runtime.block_on(async {
            process::outlive_the_limit_of_a_file()?;
            cli.execute().await
        });
        runtime.shutdown_background();
        outcome
    });
    exit::conclude(outcome)
}

impl Cli {
    async fn execute(self) -> anyhow::Result<Exit> {
        let options = self.options;
        match self.command {
            None => server::run(options).await,
            Some(Command::Prompt(prompt)) => prompt.run(options).await,
            Some(Command::Export(export)) => export.run(options).await,
            Some(Command::Sessions(sessions)) => sessions.run(options).await,
            Some(Command::Explain(explain)) => explain.run(options).await,
            Some(Command::Trust(trust)) => trust.run(options).await,
            Some(Command::Doctor) => doctor::run(options).await,
        }
    }
}

/// A wall-clock time as RFC 3339 in UTC, without fractions.
fn when(ms: u64) -> String {
    let time = i64::try_from(ms / 1000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_utc_and_never_fail() {
        assert_eq!(when(1_767_225_600_999), "2026-01-01T00:00:00Z");
        assert_eq!(when(u64::MAX), u64::MAX.to_string());
    }
}
