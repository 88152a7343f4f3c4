//! The scenarios: each plays one situation and measures the rows that it shows.

pub(crate) mod growth;

mod burst;
mod busy;
mod cancels;
mod conversation;
mod crowd;
mod ends;
mod startup;
mod turns;

use crate::rows::Row;
use crate::stage::Stage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Startup,
    Turns,
    Cancels,
    Busy,
    Ends,
    Burst,
    Conversation,
    Crowd,
    Growth,
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] =
        [Self::Startup, Self::Turns, Self::Cancels, Self::Busy, Self::Ends, Self::Burst, Self::Conversation, Self::Crowd, Self::Growth];

    /// The rows that it measures.
    pub(crate) fn rows(self) -> &'static [Row] {
        match self {
            Self::Startup => startup::ROWS,
            Self::Turns => turns::ROWS,
            Self::Cancels => cancels::ROWS,
            Self::Busy => busy::ROWS,
            Self::Ends => ends::ROWS,
            Self::Burst => burst::ROWS,
            Self::Conversation => conversation::ROWS,
            Self::Crowd => crowd::ROWS,
            Self::Growth => growth::ROWS,
        }
    }

    /// In which rounds it is played: every first, every second ...
    pub(crate) fn every(self) -> usize {
        match self {
            Self::Crowd => 4,
            Self::Growth => 2,
            _ => 1,
        }
    }

    pub(crate) async fn play(self, stage: &mut Stage) -> anyhow::Result<()> {
        match self {
            Self::Startup => startup::play(stage).await,
            Self::Turns => turns::play(stage).await,
            Self::Cancels => cancels::play(stage).await,
            Self::Busy => busy::play(stage).await,
            Self::Ends => ends::play(stage).await,
            Self::Burst => burst::play(stage).await,
            Self::Conversation => conversation::play(stage).await,
            Self::Crowd => crowd::play(stage).await,
            Self::Growth => growth::play(stage).await,
        }
    }
}
