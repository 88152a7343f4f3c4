//! A model that is faster than any: twenty thousand tokens as fast as the socket takes them.

use crate::model_server::{Exchange, ModelServer};
use crate::peer::Pillion;
use crate::process;
use crate::rows::Row;
use crate::stage::{Stage, relay_to};
use serde_json::json;
use std::time::{Duration, Instant};

pub(super) const ROWS: &[Row] = &[Row::BurstRate, Row::BurstCpu, Row::BurstMemory];

const TOKEN: &str = "token ";

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let tokens = stage.effort.burst;
    let body = body(tokens);
    let mut server = ModelServer::start().await;

    let mut relay = relay_to(&server)?;
    relay.say(crate::relay::ASK).await?;
    let mut exchange = server.next_request().await;
    let (before, since) = (process::processor_time(relay.pid()?)?, Instant::now());
    let mut last = since;
    let (_, heard) = tokio::join!(burst(&mut exchange, &body), async {
        let mut line = Vec::new();
        for _ in 0..tokens {
            line.clear();
            last = relay.hear(&mut line).await?;
        }
        anyhow::Ok(())
    });
    heard?;
    let cpu = process::processor_time(relay.pid()?)? - before;
    stage.book.floor(Row::BurstRate, rate(tokens, last - since));
    stage.book.floor_took(Row::BurstCpu, cpu);
    stage.book.floor(Row::BurstMemory, process::peak_memory(relay.pid()?)?);
    exchange.hang_up();
    relay.end().await?;

    let home = stage.home()?;
    let mut pillion = stage.asking(&server, &home).await?;
    let (session, _) = pillion.new_session(&home).await?;
    let prompt = pillion.prompt(&session).await?;
    let mut exchange = server.next_request().await;
    let (before, since) = (process::processor_time(pillion.pid()?)?, Instant::now());
    let (_, last) = tokio::join!(burst(&mut exchange, &body), updates_with(&mut pillion, tokens));
    let last = last?;
    exchange.finish("stop").await;
    exchange.done().await;
    pillion.answer(prompt).await?;
    let cpu = process::processor_time(pillion.pid()?)? - before;
    stage.book.subject(Row::BurstRate, rate(tokens, last - since));
    stage.book.took(Row::BurstCpu, cpu);
    stage.book.subject(Row::BurstMemory, process::peak_memory(pillion.pid()?)?);
    pillion.end().await
}

async fn burst(exchange: &mut Exchange, body: &[u8]) {
    exchange.head().await;
    exchange.socket_bytes(body).await;
}

/// Reads updates until they have carried so many tokens, however these are put together.
async fn updates_with(pillion: &mut Pillion, tokens: usize) -> anyhow::Result<Instant> {
    let (mut heard, mut last) = (0, Instant::now());
    while heard < tokens {
        last = pillion.update().await?;
        heard += memchr::memmem::find_iter(pillion.line(), TOKEN).count();
    }
    Ok(last)
}

/// The events as they stand on the wire, each in a chunk of its own.
fn body(tokens: usize) -> Vec<u8> {
    let choice = json!({ "index": 0, "delta": { "content": TOKEN }, "logprobs": null, "finish_reason": null });
    let chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench", "choices": [choice] });
    let event = format!("data: {chunk}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).repeat(tokens).into_bytes()
}

/// Thousands a second.
#[expect(clippy::cast_precision_loss, reason = "a few thousand tokens")]
fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64() / 1e3
}
