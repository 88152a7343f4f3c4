//! Sessions: one runner each, turns that stream, and the one road on which everything stops.
//!
//! In reading order: `service` is what can be asked, `sessions` posts it, `table` knows whom to, `opening` brings a runner
//! to life, `step` decides, `runner` and `road` act, `turn` works, `settle` ends.

mod arriving;
mod attempt;
mod basis;
mod breaking;
mod channel;
mod consent;
mod context;
mod delivery;
pub mod demand;
pub mod editor;
pub mod error;
mod files;
mod held;
mod history;
mod joining;
mod ledger;
mod model_choice;
mod opening;
mod parts;
mod permission;
mod recovery;
mod retry;
mod road;
mod run;
mod runner;
mod saver;
pub mod service;
mod sessions;
mod settle;
mod shell;
mod spending;
mod step;
mod stopwatch;
mod table;
#[cfg(test)]
mod tests;
mod title;
mod toolbook;
mod toolcalls;
mod trace;
pub mod trust;
mod turn;
mod verdict;
mod watchdog;

pub use context::{Parts, ProviderFactory};
pub use error::Refusal;
pub use recovery::recover;
pub use sessions::{Exporter, Sessions, list_entry, remove};
pub use title::SingleFile;

/// Wall-clock milliseconds as RFC 3339, UTC.
pub fn rfc3339(wall_ms: u64) -> String {
    let ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| wall_ms.to_string(), |at| at.to_string())
}
