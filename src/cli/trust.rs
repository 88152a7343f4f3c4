//! `pillion trust`: which workspaces the user trusts, said without an editor.

use super::exit::{Exit, tell};
use super::options::Options;
use super::output::Output;
use super::when;
use crate::config::WORKSPACE_FILE;
use crate::provenance::Provenance;
use crate::session::trust::trusted;
use crate::store::{Store, TrustedPath};
use crate::text::plain;
use crate::tool::Instructions;
use crate::tool::workspace::Workspace;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Trust a workspace; `--remove` revokes.
///
/// In a trusted workspace the model is given its AGENTS.md, and commands that your rules allow run without a question. The
/// trust ends when AGENTS.md or .pillion.toml changes.
#[derive(Debug, clap::Args)]
pub(super) struct TrustArgs {
    /// The workspace's directory
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Revoke its trust
    #[arg(long)]
    remove: bool,
    /// List what is trusted, instead
    #[arg(long, conflicts_with_all = ["directory", "remove"])]
    list: bool,
}

impl TrustArgs {
    pub(super) async fn run(self, options: Options) -> anyhow::Result<Exit> {
        let data_dir = options.settings()?.data_dir;
        if self.list && !Store::is_made(&data_dir) {
            return Ok(Exit::Done);
        }
        let store = Store::open(data_dir);
        if self.list {
            let mut out = BufWriter::new(Output::stdout());
            for trusted in store.all_trusted().await? {
                out.write_all(line(&trusted).as_bytes())?;
            }
            out.flush()?;
            return Ok(Exit::Done);
        }
        let directory = std::path::absolute(&self.directory)?;
        if self.remove {
            let path = directory.canonicalize().unwrap_or(directory).to_string_lossy().into_owned();
            let was = if store.distrust(&path).await? { "is no longer trusted" } else { "was not trusted" };
            store.close().await?;
            tell(&format!("{path} {was}"));
            return Ok(Exit::Done);
        }
        let workspace = Workspace::open(&directory)?;
        let found = Instructions::of(&workspace, WORKSPACE_FILE);
        store.trust(trusted(&workspace, &found, Provenance::real().clock.wall_ms())).await?;
        store.close().await?;
        let told = match &found.agents {
            Some(agents) => format!("the model is given its AGENTS.md ({} lines)", agents.lines().count()),
            None => "it has no AGENTS.md".to_owned(),
        };
        tell(&format!(
            "{} is trusted as it is now: {told}, and commands that your rules allow run in it without a question. \
             That ends when its AGENTS.md or {WORKSPACE_FILE} changes.",
            workspace.real()
        ));
        Ok(Exit::Done)
    }
}

/// Whether the trust holds, since when, where.
fn line(trusted: &TrustedPath) -> String {
    let state = match Workspace::open(Path::new(&trusted.path)) {
        Err(_) => "gone",
        Ok(workspace) if Instructions::of(&workspace, WORKSPACE_FILE).digest == trusted.digest => "trusted",
        Ok(_) => "changed",
    };
    format!("{state:<7}  {}  {}\n", when(trusted.at), plain(&trusted.path))
}
