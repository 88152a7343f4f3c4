//! What a shell and `man` want to know of the command line, made from its own description.

use super::exit::Exit;
use super::output::Output;
use anyhow::Context as _;
use clap_complete::Shell;
use std::io::Write as _;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "pillion", &mut script);
        Output::stdout().write_all(&script)?;
        Ok(Exit::Done)
    }
}

/// Print the manual page of pillion, or of one of its subcommands
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    subcommand: Option<String>,
}

impl ManArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let whole = super::command();
        let command = match &self.subcommand {
            None => &whole,
            Some(name) => {
                whole.find_subcommand(name).with_context(|| format!("there is no subcommand {name}; `pillion --help` lists them"))?
            }
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page)?;
        Output::stdout().write_all(&page)?;
        Ok(Exit::Done)
    }
}
