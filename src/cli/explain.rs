//! `pillion explain`: the story of every stop, told from an export or straight from the store.

use super::exit::Exit;
use super::export::unknown_session;
use super::options::Options;
use super::output::Output;
use crate::export::{Sanitize, explain};
use crate::host::Host;
use crate::protocol::ids::{SessionId, is_plain_name};
use anyhow::Context as _;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Tells what stopped the turns of a session: who, when, what was running, what was lost, what was ruled out.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// A session's id, an exported file, or `-` for an export on stdin
    #[arg(value_name = "SESSION|FILE")]
    what: String,
}

impl ExplainArgs {
    /// An export is explained without any settings: it may come from another machine.
    pub(super) async fn run(self, options: Options) -> anyhow::Result<Exit> {
        let path = Path::new(&self.what);
        let export = if self.what == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("the export on stdin could not be read")?;
            text
        } else if path.is_file() || !is_plain_name(&self.what) {
            std::fs::read_to_string(path).with_context(|| format!("{} could not be read", self.what))?
        } else {
            stored(&Host::new(options.settings()?), &self.what).await?
        };
        Output::stdout().write_all(explain(&export)?.as_bytes())?;
        Ok(Exit::Done)
    }
}

/// The full export of a session of this machine: its own user may read its texts.
async fn stored(host: &Host, id: &str) -> anyhow::Result<String> {
    let written = host.export(&SessionId::new(id), Sanitize::No, Vec::new()).await?;
    let (bytes, _) = written.with_context(|| unknown_session(id))?;
    String::from_utf8(bytes).context("the export is not text")
}
