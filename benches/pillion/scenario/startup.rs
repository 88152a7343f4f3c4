//! The start: from the spawn to the first answer, and to the first session; what is opened and how large the program is.

use crate::disk;
use crate::peer::{Peer, Pillion};
use crate::process;
use crate::rows::Row;
use crate::stage::Stage;
use std::time::Instant;

pub(super) const ROWS: &[Row] = &[Row::SpawnToInitialize, Row::FirstSession, Row::FirstSessionEver, Row::Connections, Row::ProgramSize];

/// A model on a network, at an address that nothing answers (RFC 5737): a start must not even try.
const FLAGS: [&str; 4] = ["--model", "openai:bench", "--base-url", "http://192.0.2.1:9/v1"];

#[expect(clippy::cast_precision_loss, reason = "a program has no petabytes")]
pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let size = std::fs::metadata(&stage.binary)?.len();
    stage.book.subject(Row::ProgramSize, size as f64 / f64::from(1 << 20));
    let used = stage.home()?;
    let mut first = Pillion::ready(&stage.binary, &used, &FLAGS).await?;
    first.new_session(&used).await?;
    first.end().await?;
    let raw = used.path().join("floor.db");
    disk::make(&raw)?;

    for _ in 0..stage.effort.starts {
        let since = Instant::now();
        let mut echo = Peer::relay("nobody")?;
        echo.say("hello").await?;
        let heard = echo.hear(&mut Vec::new()).await?;
        stage.book.floor_took(Row::SpawnToInitialize, heard - since);
        echo.end().await?;

        let since = Instant::now();
        let mut pillion = Pillion::spawn(&stage.binary, &used, &FLAGS)?;
        let initialized = pillion.initialize().await?;
        let (_, opened) = pillion.new_session(&used).await?;
        stage.book.took(Row::SpawnToInitialize, initialized - since);
        stage.book.took(Row::FirstSession, opened - initialized);
        stage.book.subject(Row::Connections, process::connections(pillion.pid()?)? as f64);
        pillion.end().await?;
        stage.book.floor_took(Row::FirstSession, disk::reopen(&raw)?);

        let new = stage.home()?;
        let mut pillion = Pillion::spawn(&stage.binary, &new, &FLAGS)?;
        let initialized = pillion.initialize().await?;
        let (_, opened) = pillion.new_session(&new).await?;
        stage.book.took(Row::FirstSessionEver, opened - initialized);
        pillion.end().await?;
        stage.book.floor_took(Row::FirstSessionEver, disk::make(&new.path().join("floor.db"))?);
    }
    Ok(())
}
