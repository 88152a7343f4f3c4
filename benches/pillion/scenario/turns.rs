//! A small prompt in slow motion: when the model hears of it, when the client sees a token, when it is answered.

use crate::model_server::ModelServer;
use crate::peer::Pillion;
use crate::rows::Row;
use crate::stage::{Stage, relay_to};
use std::time::{Duration, Instant};

pub(super) const ROWS: &[Row] = &[Row::PromptToRequest, Row::TokenToUpdate, Row::LaterToken, Row::EndToAnswer];

/// Prompts that go ahead unmeasured: pillion and the floor each open their one connection.
const WARM_UP: usize = 2;

/// The pause before each later token: long enough for everything to have fallen asleep.
const PACE: Duration = Duration::from_millis(5);

/// How long each step of a turn took.
pub(super) struct Times {
    requested: Duration,
    updated: Duration,
    later: Vec<Duration>,
    pub(super) answered: Duration,
}

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let mut server = ModelServer::start().await;
    let mut relay = relay_to(&server)?;
    let home = stage.home()?;
    let mut pillion = stage.asking(&server, &home).await?;
    let (session, _) = pillion.new_session(&home).await?;
    let mut line = Vec::new();
    for n in 0..WARM_UP + stage.effort.prompts {
        let asked = Instant::now();
        relay.say(crate::relay::ASK).await?;
        let mut exchange = server.next_request().await;
        let relay_requested = exchange.received - asked;
        exchange.head().await;
        let sent = Instant::now();
        exchange.text("word").await;
        let relay_updated = relay.hear(&mut line).await? - sent;
        tokio::time::sleep(PACE).await;
        let sent = Instant::now();
        exchange.text("word").await;
        let relay_later = relay.hear(&mut line).await? - sent;
        exchange.done().await;
        relay.hear(&mut line).await?;
        // Before the turn and not right behind it: a disk that has just been at work is faster.
        let committed = stage.disk.commit()?;

        let times = turn(&mut pillion, &mut server, &session, stage.effort.later).await?;
        if n >= WARM_UP {
            let book = &mut stage.book;
            book.floor_took(Row::PromptToRequest, relay_requested);
            book.floor_took(Row::TokenToUpdate, relay_updated);
            book.floor_took(Row::LaterToken, relay_later);
            book.floor_took(Row::EndToAnswer, committed);
            book.took(Row::PromptToRequest, times.requested);
            book.took(Row::TokenToUpdate, times.updated);
            times.later.into_iter().for_each(|later| book.took(Row::LaterToken, later));
            book.took(Row::EndToAnswer, times.answered);
        }
    }
    relay.end().await?;
    pillion.end().await
}

/// One prompt: a token right behind the head of the answer, so many later ones at a pace, and the end.
pub(super) async fn turn(pillion: &mut Pillion, server: &mut ModelServer, session: &str, later: usize) -> anyhow::Result<Times> {
    let asked = Instant::now();
    let prompt = pillion.prompt(session).await?;
    let mut exchange = server.next_request().await;
    let requested = exchange.received - asked;
    exchange.head().await;
    let sent = Instant::now();
    exchange.text("word").await;
    let updated = pillion.update().await? - sent;
    let mut times = Times { requested, updated, later: Vec::with_capacity(later), answered: Duration::ZERO };
    for _ in 0..later {
        tokio::time::sleep(PACE).await;
        let sent = Instant::now();
        exchange.text("word").await;
        times.later.push(pillion.update().await? - sent);
    }
    exchange.finish("stop").await;
    exchange.usage(1, 1).await;
    let ended = Instant::now();
    exchange.done().await;
    times.answered = pillion.answer(prompt).await?.at - ended;
    Ok(times)
}
