//! What a shell and `man` want to know of the command line, made from its own description.

use super::exit::Exit;
use super::output::Output;
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

/// Prints the manual page.
pub(super) fn manual() -> anyhow::Result<Exit> {
    let mut page = Vec::new();
    clap_mangen::Man::new(super::command()).render(&mut page)?;
    Output::stdout().write_all(&page)?;
    Ok(Exit::Done)
}
