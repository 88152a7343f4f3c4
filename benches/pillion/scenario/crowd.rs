//! A thousand sessions whose models hang: what they take, and how long one of them takes to be stopped.

use crate::model_server::ModelServer;
use crate::process;
use crate::rows::Row;
use crate::stage::Stage;
use serde_json::json;
use std::time::Instant;

pub(super) const ROWS: &[Row] = &[Row::CrowdCancel, Row::CrowdMemory];

/// How many of them are stopped.
const STOPPED: usize = 10;

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let crowd = stage.effort.crowd;
    let mut server = ModelServer::start().await;
    let home = stage.home()?;
    let mut pillion = stage.asking(&server, &home).await?;
    let name = |n: usize| format!("session-{n}");
    for n in 0..crowd {
        pillion.request("session/new", json!({ "cwd": home.workspace(), "sessionId": name(n) })).await?;
    }
    pillion.any_answers(crowd).await?;
    let (mut prompts, mut held) = (Vec::new(), Vec::new());
    for n in 0..crowd {
        prompts.push(pillion.prompt(&name(n)).await?);
    }
    for _ in 0..crowd {
        let mut exchange = server.next_request().await;
        exchange.text("word").await;
        held.push(exchange);
    }
    for _ in 0..crowd {
        pillion.update().await?;
    }
    stage.book.subject(Row::CrowdMemory, process::memory(pillion.pid()?)?);
    for (n, prompt) in prompts.into_iter().enumerate().take(STOPPED) {
        stage.book.floor_took(Row::CrowdCancel, stage.disk.commit()?);
        let since = Instant::now();
        let cancel = pillion.cancel(&name(n)).await?;
        pillion.answer(prompt).await?;
        let cancelled = pillion.answer(cancel).await?;
        stage.book.took(Row::CrowdCancel, cancelled.at - since);
    }
    pillion.end().await
}
