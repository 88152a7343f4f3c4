//! A conversation of fifty small prompts in one process: how long it takes, what memory it leaves, and how long another
//! process takes to load and to export it.

use crate::disk;
use crate::model_server::{Exchange, ModelServer};
use crate::peer::{Home, Pillion};
use crate::process;
use crate::rows::Row;
use crate::stage::Stage;
use anyhow::ensure;
use serde_json::json;
use std::time::{Duration, Instant};

pub(super) const ROWS: &[Row] = &[
    Row::MemoryAtStart,
    Row::OwnMemoryAtStart,
    Row::MemoryAfterPrompts,
    Row::OwnMemoryAfterPrompts,
    Row::SmallPrompts,
    Row::LoadPrompts,
    Row::ExportPrompts,
];

/// What the program still does by itself is done after this time.
const IDLE: Duration = Duration::from_millis(100);

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let prompts = stage.effort.conversation;
    let server = ModelServer::auto(said).await;
    let home = stage.home()?;
    let mut pillion = stage.asking(&server, &home).await?;
    tokio::time::sleep(IDLE).await;
    stage.book.subject(Row::MemoryAtStart, process::memory(pillion.pid()?)?);
    stage.book.subject(Row::OwnMemoryAtStart, process::own_memory(pillion.pid()?)?);
    let (session, took) = talk(&mut pillion, &home, prompts).await?;
    stage.book.took(Row::SmallPrompts, took);
    tokio::time::sleep(IDLE).await;
    stage.book.subject(Row::MemoryAfterPrompts, process::memory(pillion.pid()?)?);
    stage.book.subject(Row::OwnMemoryAfterPrompts, process::own_memory(pillion.pid()?)?);
    pillion.end().await?;
    let since = Instant::now();
    for _ in 1..prompts {
        stage.disk.commit()?;
    }
    stage.book.floor_took(Row::SmallPrompts, since.elapsed());

    for _ in 0..stage.effort.readings {
        let loaded = load(stage, &home, &session, 2 * prompts).await?;
        stage.book.took(Row::LoadPrompts, loaded);
        stage.book.floor_took(Row::LoadPrompts, disk::read_all(&home.store())?);
        let exported = export(stage, &home, &session, 2 * prompts).await?;
        stage.book.took(Row::ExportPrompts, exported);
        stage.book.floor_took(Row::ExportPrompts, disk::read_all(&home.store())?);
    }
    Ok(())
}

/// What the model says to each prompt.
pub(super) fn said(exchange: Exchange) -> impl Future<Output = ()> + Send {
    exchange.answer("It parses the header and returns what is left.")
}

/// So many prompts on a new session; how long all but the first took.
pub(super) async fn talk(pillion: &mut Pillion, home: &Home, prompts: usize) -> anyhow::Result<(String, Duration)> {
    let (session, mut since) = pillion.new_session(home).await?;
    for n in 0..prompts {
        if n == 1 {
            since = Instant::now();
        }
        let prompt = pillion.prompt(&session).await?;
        pillion.answer(prompt).await?;
    }
    Ok((session, since.elapsed()))
}

/// How long a new process takes to show the session.
pub(super) async fn load(stage: &Stage, home: &Home, session: &str, messages: usize) -> anyhow::Result<Duration> {
    let mut pillion = Pillion::ready(&stage.binary, home, &[]).await?;
    let since = Instant::now();
    let loaded = pillion.call("session/load", json!({ "sessionId": session })).await?;
    ensure!(pillion.updates == messages, "{messages} messages were to be shown, not {}", pillion.updates);
    pillion.end().await?;
    Ok(loaded.at - since)
}

/// How long a new process takes to export the session, through its pipe.
pub(super) async fn export(stage: &Stage, home: &Home, session: &str, messages: usize) -> anyhow::Result<Duration> {
    let mut pillion = Pillion::ready(&stage.binary, home, &[]).await?;
    let since = Instant::now();
    let exported = pillion.call("session/export", json!({ "sessionId": session })).await?;
    let found = exported.result["export"]["session"]["messages"].as_array().map(Vec::len);
    ensure!(found == Some(messages), "{messages} messages were to be exported, not {found:?}");
    pillion.end().await?;
    Ok(exported.at - since)
}
