//! The command line: one file for each subcommand, one place for exit codes, one for what is printed.
//!
//! Invariant: stdout carries what was asked for and nothing else; everything said to the person goes to stderr.

mod complete;
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
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use exit::Exit;
use options::{Options, Shown};
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
    Completions(complete::CompletionsArgs),
    Man(complete::ManArgs),
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
    let arguments: Vec<_> = program.into_iter().chain(arguments).collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) => {
            let shorter = command().try_get_matches_from(&arguments).err();
            // A reader that is gone before it has read the help is no failure.
            let _ = shorter.unwrap_or(error).print();
            return Exit::Done.code();
        }
        Err(error) => {
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
            Some(Command::Completions(completions)) => completions.run(),
            Some(Command::Man(man)) => man.run(),
            Some(Command::Doctor) => doctor::run(options).await,
        }
    }
}

/// The command line as it is shown: each subcommand with those settings that mean something to it. No server waits for that.
fn command() -> clap::Command {
    let mut command = Cli::command();
    // Only then do the subcommands have the flags that are everywhere.
    command.build();
    let names: Vec<_> = command.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let shown = if matches!(&*name, "prompt" | "doctor") { Shown::Models } else { Shown::Places };
        command.mut_subcommand(name, |subcommand| options::showing(subcommand, shown))
    })
}

/// A wall-clock time as RFC 3339 in UTC, without fractions.
fn when(ms: u64) -> String {
    let time = i64::try_from(ms / 1000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_shows_the_flags_that_mean_something_to_a_subcommand() {
        let long_help = |name: &str| {
            let mut command = command();
            command.find_subcommand_mut(name).expect("a subcommand").render_long_help().to_string()
        };
        for (name, shown, hidden) in [
            ("prompt", &["--model", "--data-dir"][..], &["--stdio", "--drain", "--deterministic"][..]),
            ("doctor", &["--model", "--data-dir"], &["--stdio", "--drain"]),
            ("sessions", &["--data-dir", "--config"], &["--model", "--base-url", "--stdio", "--drain"]),
        ] {
            let help = long_help(name);
            assert!(shown.iter().all(|flag| help.contains(flag)), "{name}: {help}");
            assert!(!hidden.iter().any(|flag| help.contains(flag)), "{name}: {help}");
        }
        let hidden_but_known = command().try_get_matches_from(["pillion", "sessions", "--model", "openai:m"]);
        assert!(hidden_but_known.is_ok(), "a flag that is not shown is no error");
    }

    #[test]
    fn times_are_utc_and_never_fail() {
        assert_eq!(when(1_767_225_600_999), "2026-01-01T00:00:00Z");
        assert_eq!(when(u64::MAX), u64::MAX.to_string());
    }
}
