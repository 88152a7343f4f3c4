//! `pillion prompt`: one turn from the command line, through the same server and wire that an editor talks to.

mod ask;
mod show;
mod signals;
mod turn;

use super::exit::{Exit, tell};
use super::options::Options;
use super::output::Output;
use super::which;
use crate::protocol::abort::Client;
use crate::rpc::client;
use crate::serve;
use crate::store::Store;
use anyhow::{Context as _, bail};
use ask::{Person, Policy};
use show::{Show, Style};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Run one turn: the model's text on stdout, progress and questions on stderr when it is a terminal.
///
/// Exit codes: 0 the model ended, 3 token limit, 4 a limit of the turn's own, 5 refusal, 6 the provider failed, 7 no model
/// chosen, 130 cancelled, 141 nobody reads stdout any more, 1 anything else. Ctrl-C cancels the turn and says what was recorded; a second Ctrl-C leaves at once.
#[derive(Debug, clap::Args)]
pub(super) struct PromptArgs {
    /// The prompt; `-` reads it from stdin
    text: String,
    /// Continue this session: its id or a unique prefix; `last` for the most recent one in any directory
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    session: Option<String>,
    /// Continue the most recent session of the directory
    #[arg(long = "continue")]
    last: bool,
    /// The workspace [default: the current directory]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Cancel the turn after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    timeout: Option<u64>,
    /// Allow every tool that asks
    #[arg(long, conflicts_with = "deny")]
    allow: bool,
    /// Refuse every tool that asks (the default where there is no terminal)
    #[arg(long)]
    deny: bool,
    /// Print each update as a line of JSON, and the result as the last line
    #[arg(long)]
    json: bool,
}

impl PromptArgs {
    /// Runs the turn on a server of its own.
    pub(super) async fn run(self, options: Options) -> anyhow::Result<Exit> {
        let settings = options.settings()?;
        let prompt = self.prompt()?;
        let cwd = std::path::absolute(self.cwd.clone().unwrap_or_else(|| ".".into())).context("the current directory is gone")?;
        let is_stored = Store::is_made(&settings.data_dir);
        let session = match (&self.session, self.last) {
            (Some(named), _) if !is_stored => bail!(which::nothing_stored(named)),
            (None, true) if !is_stored => bail!(turn::none_in(&cwd.to_string_lossy())),
            (Some(named), _) => {
                let store = Store::open(settings.data_dir.clone());
                turn::Session::Named { id: which::session(&store, named).await?, cwd: self.cwd.is_some().then_some(cwd) }
            }
            (None, true) => turn::Session::Newest { cwd },
            (None, false) => turn::Session::New { cwd },
        };
        let policy = self.policy()?;
        let (editor, server) = tokio::io::duplex(64 << 10);
        let (read, write) = tokio::io::split(server);
        let serving = tokio::spawn(serve::in_process(read, write, settings));
        let (read, write) = tokio::io::split(editor);
        let info = Client { name: "pillion-prompt".into(), version: Some(crate::build_info::runtime_version().into()) };
        let connected = client::connect(read, write, info, Arc::new(policy)).await.context("the session server did not start")?;
        let exit = turn::run(connected, turn::Order { session, prompt, timeout: self.timeout.map(Duration::from_secs) }, self.show()).await;
        // The end of its input has ended the server; it writes the last records and goes.
        let _ = serving.await;
        exit
    }

    fn prompt(&self) -> anyhow::Result<String> {
        let mut prompt = self.text.clone();
        if prompt == "-" {
            if io::stdin().is_terminal() {
                tell("reading the prompt from the terminal; Ctrl-D ends it");
            }
            prompt.clear();
            io::stdin().read_to_string(&mut prompt).context("the prompt on stdin could not be read")?;
        }
        anyhow::ensure!(!prompt.trim().is_empty(), "the prompt is empty; say something to the model");
        Ok(prompt)
    }

    fn policy(&self) -> anyhow::Result<Policy> {
        let has_person = self.text != "-" && io::stdin().is_terminal() && io::stderr().is_terminal();
        Ok(match (self.allow, self.deny) {
            (true, _) => Policy::Allow,
            (false, false) if has_person => Policy::Ask(Person::at_the_terminal()?),
            _ => Policy::Deny,
        })
    }

    fn show(&self) -> Show<Output, io::Stderr> {
        let style = match (self.json, io::stdout().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Text,
        };
        let progress = io::stderr().is_terminal().then(io::stderr);
        Show::new(style, Output::stdout(), progress)
    }
}
