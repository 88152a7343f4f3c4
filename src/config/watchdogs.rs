//! How long the waits of a turn may last.

use std::time::Duration;

/// The time limits, as they are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watchdogs {
    /// From the beginning of a model call until its request is on the way.
    pub connect: Duration,
    /// From there until the first event of the answer.
    pub first_byte: Duration,
    /// Between two events of an answer.
    pub idle: Duration,
    /// Takes the place of `first_byte` and `idle` for models that think before they write, if it is longer; and the longest
    /// that an answer may only be kept alive without saying anything.
    pub reasoning: Duration,
    /// One tool call, its permission question not counted.
    pub tool: Duration,
    /// A whole turn; zero: no limit.
    pub turn: Duration,
}

impl Default for Watchdogs {
    fn default() -> Self {
        let (short, long) = (Duration::from_secs(120), Duration::from_secs(600));
        Self {
            connect: Duration::from_secs(20),
            first_byte: short,
            idle: short,
            reasoning: long,
            tool: Duration::from_secs(900),
            turn: Duration::ZERO,
        }
    }
}
