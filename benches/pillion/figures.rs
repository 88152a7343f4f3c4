//! What was measured: samples of each row and of its floor, and what they come to.
//!
//! Invariant: a row's figures and its floor's come from the same rounds, so that noise hits both.

use crate::rows::{Better, Goal, ROWS, Row, Spec};
use std::collections::HashMap;
use std::time::Duration;

/// Everything that was measured in one run.
#[derive(Default)]
pub(crate) struct Book {
    subject: HashMap<Row, Vec<f64>>,
    floor: HashMap<Row, Vec<f64>>,
}

/// One row of the table.
pub(crate) struct Figures {
    pub(crate) spec: &'static Spec,
    pub(crate) samples: usize,
    pub(crate) median: f64,
    /// Nine of ten samples were at least this good.
    pub(crate) p90: f64,
    pub(crate) best: f64,
    /// The median of the floor, where there is one.
    pub(crate) floor: Option<f64>,
    /// What the median is judged by, as a number of the row's unit.
    pub(crate) goal: Option<f64>,
}

impl Book {
    pub(crate) fn subject(&mut self, row: Row, value: f64) {
        self.subject.entry(row).or_default().push(value);
    }

    pub(crate) fn floor(&mut self, row: Row, value: f64) {
        self.floor.entry(row).or_default().push(value);
    }

    /// A time, in the row's unit.
    pub(crate) fn took(&mut self, row: Row, time: Duration) {
        self.subject(row, row.spec().unit.of(time));
    }

    /// A time of the floor, in the row's unit.
    pub(crate) fn floor_took(&mut self, row: Row, time: Duration) {
        self.floor(row, row.spec().unit.of(time));
    }

    /// Forgets the rows that nobody asked for: a scenario measures all of its own.
    pub(crate) fn keep(&mut self, wanted: impl Fn(&Spec) -> bool) {
        self.subject.retain(|row, _| wanted(row.spec()));
    }

    /// The rows that were measured, in the order of the table.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        ROWS.iter().filter_map(|spec| self.figures_of(spec)).collect()
    }

    fn figures_of(&self, spec: &'static Spec) -> Option<Figures> {
        let samples = self.subject.get(&spec.row)?;
        let floor = self.floor.get(&spec.row).map(|floor| quantile(floor, 0.5));
        let (p90, best) = match spec.better {
            Better::Lower => (quantile(samples, 0.9), quantile(samples, 0.0)),
            Better::Higher => (quantile(samples, 0.1), quantile(samples, 1.0)),
        };
        let goal = match spec.goal {
            Goal::None => None,
            Goal::Fixed(goal) => Some(goal),
            Goal::OverFloor(extra) => floor.map(|floor| floor + extra),
        };
        Some(Figures { spec, samples: samples.len(), median: quantile(samples, 0.5), p90, best, floor, goal })
    }
}

impl Figures {
    /// How many times the floor it costs.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let floor = self.floor.filter(|floor| *floor > 0.0)?;
        Some(match self.spec.better {
            Better::Lower => self.median / floor,
            Better::Higher => floor / self.median,
        })
    }

    /// Whether the median reaches the goal; `None` where there is none.
    pub(crate) fn met(&self) -> Option<bool> {
        let goal = self.goal?;
        Some(match self.spec.better {
            Better::Lower => self.median <= goal,
            Better::Higher => self.median >= goal,
        })
    }
}

/// The sample that stands at `share` of the way from the smallest to the largest.
fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few thousand samples")]
    let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
