//! `pillion` without a command: the server on stdin and stdout.

use super::exit::{Exit, tell};
use super::options::Options;
use crate::serve;
use anyhow::Context as _;
use std::io::IsTerminal as _;

pub(super) async fn run(options: Options) -> anyhow::Result<Exit> {
    let settings = options.settings()?;
    if std::io::stdin().is_terminal() {
        tell(
            "this waits for an editor's JSON-RPC on stdin; for one turn from here try `pillion prompt \"...\"`, for help `pillion --help`",
        );
    }
    let ended = serve::on_stdio(settings).await.context("stdin and stdout cannot be served")?;
    Ok(Exit::Server(ended.exit_code()))
}
