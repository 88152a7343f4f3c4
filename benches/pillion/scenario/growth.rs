//! Stored sessions of several sizes: what a load and an export of ten times as many messages cost.

use super::conversation::{export, load};
use crate::disk;
use crate::peer::{Home, Pillion};
use crate::rows::Row;
use crate::stage::Stage;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

pub(super) const ROWS: &[Row] = &[
    Row::LoadSmall,
    Row::LoadMiddle,
    Row::LoadLarge,
    Row::LoadGrowth,
    Row::ExportSmall,
    Row::ExportMiddle,
    Row::ExportLarge,
    Row::ExportGrowth,
];

/// How many prompts wait at once while a session is made.
const AHEAD: usize = 200;

/// A session for each size, kept for the whole run.
pub(crate) struct Seeds([Seed; 3]);

struct Seed {
    home: Home,
    session: String,
    messages: usize,
}

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let seeds = match stage.seeds.take() {
        Some(seeds) => seeds,
        None => {
            let [small, middle, large] = stage.effort.stored;
            Seeds([sow(stage, small).await?, sow(stage, middle).await?, sow(stage, large).await?])
        }
    };
    let rows = [(Row::LoadSmall, Row::ExportSmall), (Row::LoadMiddle, Row::ExportMiddle), (Row::LoadLarge, Row::ExportLarge)];
    let (mut loads, mut exports) = (Vec::new(), Vec::new());
    for (seed, (load_row, export_row)) in seeds.0.iter().zip(rows) {
        let Seed { home, session, messages } = seed;
        let loaded = load(stage, home, session, *messages).await?;
        stage.book.took(load_row, loaded);
        stage.book.floor_took(load_row, disk::read_all(&home.store())?);
        let exported = export(stage, home, session, *messages).await?;
        stage.book.took(export_row, exported);
        stage.book.floor_took(export_row, disk::read_all(&home.store())?);
        loads.push(a_message(loaded, *messages));
        exports.push(a_message(exported, *messages));
    }
    stage.book.subject(Row::LoadGrowth, loads[2] / loads[1]);
    stage.book.subject(Row::ExportGrowth, exports[2] / exports[1]);
    stage.seeds = Some(seeds);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand messages")]
fn a_message(time: Duration, messages: usize) -> f64 {
    time.as_secs_f64() / messages as f64
}

/// Makes a session with so many messages, by real turns of the scripted model.
async fn sow(stage: &Stage, messages: usize) -> anyhow::Result<Seed> {
    let (home, prompts) = (stage.home()?, messages / 2);
    let answer = json!([{ "text": { "text": "It parses the header and returns what is left. ", "chunks": 4, "repeat": 4 } }]);
    let script = home.path().join("script.json");
    std::fs::write(&script, json!({ "steps": vec![answer; prompts] }).to_string())?;
    let model = format!("scripted:{}", script.display());
    let mut pillion = Pillion::ready(&stage.binary, &home, &["--model", &model]).await?;
    let (session, _) = pillion.new_session(&home).await?;
    let mut asked = VecDeque::new();
    for _ in 0..prompts {
        asked.push_back(pillion.prompt(&session).await?);
        if asked.len() == AHEAD {
            pillion.answer(asked.pop_front().context("it was just asked")?).await?;
        }
    }
    for prompt in asked {
        let answer: Value = pillion.answer(prompt).await?.result;
        anyhow::ensure!(answer["stopReason"] == "end_turn", "a scripted turn ends by itself: {answer}");
    }
    pillion.end().await?;
    Ok(Seed { home, session, messages })
}
