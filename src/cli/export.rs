//! `pillion export`: a session as one JSON document, whole through any pipe.

use super::exit::{Exit, tell};
use super::file::{Existing, WholeFile};
use super::options::Options;
use super::output::Output;
use super::which;
use crate::export::Sanitize;
use crate::host::Host;
use crate::protocol::export::Completeness;
use crate::protocol::ids::SessionId;
use anyhow::Context as _;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Write a session and everything recorded about it as JSON.
///
/// Texts, paths and names are replaced with placeholders, so that the export can go into a bug report.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The session's id or a unique prefix (see `pillion sessions`), or `last` for the most recent one
    #[arg(value_name = "SESSION")]
    session: String,
    /// Keep texts as they are; only known keys are removed
    #[arg(long)]
    full: bool,
    /// Write to this file, which must not exist; `-` is stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

impl ExportArgs {
    pub(super) async fn run(self, options: Options) -> anyhow::Result<Exit> {
        let host = Host::of_what_is_stored(options.settings()?).with_context(|| which::nothing_stored(&self.session))?;
        let exported = self.export(&host).await;
        host.close().await;
        exported
    }

    async fn export(self, host: &Host) -> anyhow::Result<Exit> {
        let session = which::session(&host.parts.store, &self.session).await?;
        let completeness = match self.output.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => {
                anyhow::ensure!(
                    !host.is_own_place(path),
                    "{} is in pillion's data directory; write the export somewhere else",
                    path.display()
                );
                let existing = if self.force { Existing::Replace } else { Existing::Keep };
                let (mut file, completeness) = self.write(host, &session, WholeFile::create(path, existing)?).await?;
                file.write_all(b"\n")?;
                file.publish()?;
                completeness
            }
            None => {
                let (mut out, completeness) = self.write(host, &session, Output::stdout()).await?;
                out.write_all(b"\n")?;
                out.flush()?;
                completeness
            }
        };
        if completeness == Completeness::Partial {
            tell("the export is partial: a turn still runs, its end could not be stored, or something in the store could not be read");
        }
        Ok(Exit::Done)
    }

    async fn write<W: Write + Send + 'static>(&self, host: &Host, session: &SessionId, out: W) -> anyhow::Result<(W, Completeness)> {
        let sanitize = if self.full { Sanitize::No } else { Sanitize::Yes };
        let written = host.export(session, sanitize, out).await?;
        written.with_context(|| which::unknown_session(session.as_str()))
    }
}
