//! `pillion explain`: the story of every stop, told from an export or straight from the store.

use super::exit::Exit;
use super::options::Options;
use super::output::{self, Output};
use super::which::{self, LAST};
use crate::export::{Reading, Sanitize, explain};
use crate::host::Host;
use crate::protocol::ids::{SessionId, TurnId, is_plain_name};
use anyhow::Context as _;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Explain what stopped the turns of a session: who, when, what was running, what was lost, what was ruled out.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The id or unique prefix of a session, turn or stop; an exported file, or `-` for an export on stdin; `last` for the
    /// most recent session
    #[arg(value_name = "ID|FILE", default_value = LAST)]
    what: String,
}

impl ExplainArgs {
    /// An export is explained without any settings: it may come from another machine.
    pub(super) async fn run(self, options: Options) -> anyhow::Result<Exit> {
        let path = Path::new(&self.what);
        let (export, turn) = if self.what == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("the export on stdin could not be read")?;
            (text, None)
        } else if self.what != LAST && (path.is_file() || !is_plain_name(&self.what)) {
            (std::fs::read_to_string(path).with_context(|| format!("{} could not be read", self.what))?, None)
        } else {
            let host = Host::of_what_is_stored(options.settings()?).with_context(|| which::nothing_stored(&self.what))?;
            let found = self.found(&host).await;
            host.close().await;
            found?
        };
        let reading = Reading { width: output::width(), turn: turn.as_ref().map(TurnId::as_str) };
        Output::stdout().write_all(explain(&export, reading)?.as_bytes())?;
        Ok(Exit::Done)
    }

    async fn found(&self, host: &Host) -> anyhow::Result<(String, Option<TurnId>)> {
        let (session, turn) = self.meant(host).await?;
        Ok((stored(host, &session).await?, turn))
    }

    async fn meant(&self, host: &Host) -> anyhow::Result<(SessionId, Option<TurnId>)> {
        let store = &host.parts.store;
        if self.what == LAST {
            return Ok((which::last(store).await?, None));
        }
        let named = which::session_or_turn(store, &self.what).await?;
        Ok((named.session.session_id, named.turn_id))
    }
}

/// The full export of a session of this machine: its own user may read its texts.
async fn stored(host: &Host, id: &SessionId) -> anyhow::Result<String> {
    let written = host.export(id, Sanitize::No, Vec::new()).await?;
    let (bytes, _) = written.with_context(|| which::unknown_session(id.as_str()))?;
    String::from_utf8(bytes).context("the export is not text")
}
