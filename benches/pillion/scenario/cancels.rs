//! A stop while the model streams, while it is silent, and before it has said anything: when the stop is answered with
//! its record committed, and when the model's connection is closed.

use crate::model_server::{Closed, Exchange, ModelServer};
use crate::peer::Pillion;
use crate::relay::{ASK, STOP};
use crate::rows::Row;
use crate::stage::{Stage, relay_to};
use anyhow::ensure;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

pub(super) const ROWS: &[Row] =
    &[Row::CancelStreaming, Row::CancelStalled, Row::CancelUnanswered, Row::CloseStreaming, Row::CloseStalled, Row::CloseUnanswered];

/// A model that streams sends a token this often.
const PACE: Duration = Duration::from_millis(1);

/// What the model is doing when the stop comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Streaming,
    Stalled,
    Unanswered,
}

impl Moment {
    const ALL: [Self; 3] = [Self::Streaming, Self::Stalled, Self::Unanswered];

    /// The rows of the answer and of the connection's end.
    fn rows(self) -> (Row, Row) {
        match self {
            Self::Streaming => (Row::CancelStreaming, Row::CloseStreaming),
            Self::Stalled => (Row::CancelStalled, Row::CloseStalled),
            Self::Unanswered => (Row::CancelUnanswered, Row::CloseUnanswered),
        }
    }
}

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let mut server = ModelServer::start().await;
    let home = stage.home()?;
    let mut pillion = stage.asking(&server, &home).await?;
    let (session, _) = pillion.new_session(&home).await?;
    for _ in 0..stage.effort.cancels {
        for moment in Moment::ALL {
            let (answer, close) = moment.rows();
            let closed = relay_stopped(&mut server, moment).await?;
            stage.book.floor_took(close, closed);
            stage.book.floor_took(answer, stage.disk.commit()?);
            let (answered, closed) = stopped(&mut pillion, &mut server, &session, moment).await?;
            stage.book.took(answer, answered);
            stage.book.took(close, closed);
        }
    }
    pillion.end().await
}

/// How long the answer took, and the end of the connection.
pub(super) async fn stopped(
    pillion: &mut Pillion,
    server: &mut ModelServer,
    session: &str,
    moment: Moment,
) -> anyhow::Result<(Duration, Duration)> {
    let prompt = pillion.prompt(session).await?;
    let closed = until_closed(server.next_request().await, moment);
    if moment != Moment::Unanswered {
        pillion.update().await?;
    }
    let since = Instant::now();
    let cancel = pillion.cancel(session).await?;
    let prompted = pillion.answer(prompt).await?;
    let cancelled = pillion.answer(cancel).await?;
    ensure!(prompted.result["stopReason"] == "cancelled", "the prompt was to be cancelled: {}", prompted.result);
    Ok((cancelled.at - since, closed.await?.at - since))
}

/// How long the floor's process takes to close the connection.
async fn relay_stopped(server: &mut ModelServer, moment: Moment) -> anyhow::Result<Duration> {
    let mut relay = relay_to(server)?;
    relay.say(ASK).await?;
    let closed = until_closed(server.next_request().await, moment);
    if moment != Moment::Unanswered {
        relay.hear(&mut Vec::new()).await?;
    }
    let since = Instant::now();
    relay.say(STOP).await?;
    let closed = closed.await?;
    relay.end().await?;
    Ok(closed.at - since)
}

/// Plays the model until its client leaves.
fn until_closed(mut exchange: Exchange, moment: Moment) -> JoinHandle<Closed> {
    tokio::spawn(async move {
        if moment != Moment::Unanswered {
            exchange.text("word").await;
        }
        if moment != Moment::Streaming {
            return exchange.closed_by_client().await;
        }
        loop {
            tokio::select! {
                closed = exchange.closed_by_client() => return closed,
                () = tokio::time::sleep(PACE) => exchange.text("word").await,
            }
        }
    })
}
