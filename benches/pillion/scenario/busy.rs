//! The same ends, stops and small prompts while another process keeps the disk busy.

use super::cancels::{self, Moment};
use super::{conversation, turns};
use crate::model_server::ModelServer;
use crate::peer::Peer;
use crate::rows::Row;
use crate::stage::Stage;
use std::time::Instant;

pub(super) const ROWS: &[Row] = &[Row::BusyEnd, Row::BusyCancel, Row::BusyPrompts];

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let hog = Peer::hog(&stage.root().join("hog")).await?;
    let mut server = ModelServer::start().await;
    let home = stage.home()?;
    let mut pillion = stage.asking(&server, &home).await?;
    let (session, _) = pillion.new_session(&home).await?;
    for _ in 0..stage.effort.cancels {
        stage.book.floor_took(Row::BusyEnd, stage.disk.commit()?);
        let times = turns::turn(&mut pillion, &mut server, &session, 0).await?;
        stage.book.took(Row::BusyEnd, times.answered);
        stage.book.floor_took(Row::BusyCancel, stage.disk.commit()?);
        let (answered, _) = cancels::stopped(&mut pillion, &mut server, &session, Moment::Streaming).await?;
        stage.book.took(Row::BusyCancel, answered);
    }
    pillion.end().await?;

    let server = ModelServer::auto(conversation::said).await;
    let home = stage.home()?;
    let mut pillion = stage.asking(&server, &home).await?;
    let (_, took) = conversation::talk(&mut pillion, &home, stage.effort.conversation).await?;
    stage.book.took(Row::BusyPrompts, took);
    pillion.end().await?;
    let since = Instant::now();
    for _ in 1..stage.effort.conversation {
        stage.disk.commit()?;
    }
    stage.book.floor_took(Row::BusyPrompts, since.elapsed());
    hog.end().await
}
