//! The paper that the story is written on, and how times are written.

use crate::text::plain;
use std::fmt::Write;

/// Lines of plain text. What goes in may hold anything; what comes out cannot deceive a reader.
#[derive(Debug, Default)]
pub(super) struct Story(String);

/// The width of the labels.
const LABEL: usize = 11;

impl Story {
    /// A heading, with an empty line before it unless it is the first.
    pub(super) fn head(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(&plain(text));
        self.0.push('\n');
    }

    /// One thing that is known.
    pub(super) fn fact(&mut self, label: &str, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "  {label:LABEL$}{}", plain(text));
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A wall-clock time in UTC.
pub(super) fn wall(at: Option<u64>) -> String {
    let at = at.and_then(|ms| i64::try_from(ms).ok()).and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "at an unrecorded time".into(), |at| format!("{at:.3}"))
}

/// A monotonic duration in the unit that people can picture.
pub(super) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{}.{:03} ms", us / 1_000, us % 1_000),
        _ => format!("{}.{:03} s", us / 1_000_000, us / 1_000 % 1_000),
    }
}

/// `1 update`, `2 updates`.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
