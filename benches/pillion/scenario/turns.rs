//! A small prompt in slow motion: when the model hears of it, when the client sees a token, when it is answered.

use crate::model_server::ModelServer;
use crate::rows::Row;
use crate::stage::{Stage, relay_to};
use std::time::Instant;

pub(super) const ROWS: &[Row] = &[Row::PromptToRequest, Row::TokenToUpdate, Row::EndToAnswer];

/// Prompts that go ahead unmeasured: pillion and the floor each open their one connection.
const WARM_UP: usize = 2;

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
        exchange.done().await;
        relay.hear(&mut line).await?;
        // Before the turn and not right behind it: a disk that has just been at work is faster.
        let committed = stage.disk.commit()?;

        let asked = Instant::now();
        let prompt = pillion.prompt(&session).await?;
        let mut exchange = server.next_request().await;
        let requested = exchange.received - asked;
        exchange.head().await;
        let sent = Instant::now();
        exchange.text("word").await;
        let updated = pillion.update().await? - sent;
        exchange.finish("stop").await;
        exchange.usage(1, 1).await;
        let ended = Instant::now();
        exchange.done().await;
        let answered = pillion.answer(prompt).await?.at - ended;

        if n >= WARM_UP {
            let book = &mut stage.book;
            book.floor_took(Row::PromptToRequest, relay_requested);
            book.floor_took(Row::TokenToUpdate, relay_updated);
            book.floor_took(Row::EndToAnswer, committed);
            book.took(Row::PromptToRequest, requested);
            book.took(Row::TokenToUpdate, updated);
            book.took(Row::EndToAnswer, answered);
        }
    }
    relay.end().await?;
    pillion.end().await
}
