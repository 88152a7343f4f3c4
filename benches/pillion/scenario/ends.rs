//! The end of a client while the model streams: when the model's connection is closed.

use crate::model_server::ModelServer;
use crate::peer::Pillion;
use crate::rows::Row;
use crate::stage::Stage;
use anyhow::Context as _;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

pub(super) const ROWS: &[Row] = &[Row::CloseAtEof, Row::CloseAtStdout, Row::CloseAtDeath];

/// The model sends a token this often.
const PACE: Duration = Duration::from_millis(1);

/// How the client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Eof,
    Stdout,
    Death,
}

impl Way {
    const ALL: [(Self, Row); 3] = [(Self::Eof, Row::CloseAtEof), (Self::Stdout, Row::CloseAtStdout), (Self::Death, Row::CloseAtDeath)];
}

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let mut server = ModelServer::start().await;
    let home = stage.home()?;
    for _ in 0..stage.effort.cancels {
        for (way, row) in Way::ALL {
            let mut client = Command::new("sleep").arg("600").stdin(Stdio::null()).kill_on_drop(true).spawn()?;
            let url = server.base_url();
            let flags = ["--model", "openai:bench", "--title-model", "none", "--base-url", &url];
            let mut pillion = Pillion::spawn(&stage.binary, &home, &flags)?;
            pillion.initialize_for(Some(client.id().context("the client runs")?)).await?;
            let (session, _) = pillion.new_session(&home).await?;
            pillion.prompt(&session).await?;
            let mut exchange = server.next_request().await;
            let closed = tokio::spawn(async move {
                loop {
                    exchange.text("word").await;
                    tokio::select! {
                        closed = exchange.closed_by_client() => return closed,
                        () = tokio::time::sleep(PACE) => {}
                    }
                }
            });
            pillion.update().await?;
            let (mut child, stdin, stdout) = pillion.into_parts();
            let (mut stdin, mut stdout) = (Some(stdin), Some(stdout));
            let since = Instant::now();
            match way {
                Way::Eof => drop(stdin.take()),
                Way::Stdout => drop(stdout.take()),
                Way::Death => client.start_kill()?,
            }
            stage.book.took(row, closed.await?.at - since);
            child.wait().await?;
        }
    }
    Ok(())
}
