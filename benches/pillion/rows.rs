//! The rows of the table: what each measures, against which floor, and what it must reach.

use std::time::Duration;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Row {
    SpawnToInitialize,
    FirstSession,
    FirstSessionEver,
    Connections,
    ProgramSize,
    PromptToRequest,
    TokenToUpdate,
    LaterToken,
    EndToAnswer,
    SmallPrompts,
    BurstRate,
    BurstCpu,
    BurstMemory,
    CancelStreaming,
    CancelStalled,
    CancelUnanswered,
    CloseStreaming,
    CloseStalled,
    CloseUnanswered,
    BusyEnd,
    BusyCancel,
    BusyPrompts,
    CloseAtEof,
    CloseAtStdout,
    CloseAtDeath,
    CrowdCancel,
    CrowdMemory,
    MemoryAtStart,
    OwnMemoryAtStart,
    MemoryAfterPrompts,
    OwnMemoryAfterPrompts,
    LoadPrompts,
    ExportPrompts,
    LoadSmall,
    LoadMiddle,
    LoadLarge,
    LoadGrowth,
    ExportSmall,
    ExportMiddle,
    ExportLarge,
    ExportGrowth,
}

/// A row of the table.
pub(crate) struct Spec {
    pub(crate) row: Row,
    /// What the command line and the history call it.
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
    pub(crate) goal: Goal,
    /// What the floor is; empty where there is none.
    pub(crate) floor: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Mebibytes,
    ThousandPerSecond,
    Count,
    Times,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// What the median is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    None,
    Fixed(f64),
    /// So much more than the floor of the same run: rows that wait for the disk.
    OverFloor(f64),
}

impl Row {
    pub(crate) fn spec(self) -> &'static Spec {
        ROWS.iter().find(|spec| spec.row == self).expect("every row stands in the table")
    }
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::ThousandPerSecond => "k/s",
            Self::Count => "",
            Self::Times => "x",
        }
    }

    /// A time in this unit.
    pub(crate) fn of(self, time: Duration) -> f64 {
        match self {
            Self::Milliseconds => time.as_secs_f64() * 1e3,
            _ => time.as_secs_f64(),
        }
    }
}

/// All names, for a message.
pub(crate) fn ids() -> String {
    ROWS.iter().map(|spec| spec.id).collect::<Vec<_>>().join(", ")
}

const PROCESS: &str = "a process that echoes a line";
const RELAY: &str = "a process that passes the bytes on";
const COMMIT: &str = "a raw SQLite commit that waits for the disk";
const COMMITS: &str = "49 such commits";
const ROWS_READ: &str = "SQLite reads every row";

/// The table, in its order.
pub(crate) const ROWS: &[Spec] = &[
    below(Row::SpawnToInitialize, "spawn", "spawn to `initialize` answer", Unit::Milliseconds, 8.0, PROCESS),
    below(Row::FirstSession, "session-new", "first `session/new`", Unit::Milliseconds, 3.0, "SQLite opens the file and adds a row"),
    over(
        Row::FirstSessionEver,
        "session-new-ever",
        "first `session/new` of all, store made",
        1.0,
        "SQLite makes the file, a table and a row",
    ),
    below(Row::Connections, "connections", "connections opened at start", Unit::Count, 0.0, ""),
    below(Row::ProgramSize, "size", "program size", Unit::Mebibytes, 15.0, ""),
    below(Row::PromptToRequest, "prompt", "prompt sent to HTTP request at the model", Unit::Milliseconds, 1.5, RELAY),
    below(Row::TokenToUpdate, "token", "model's first token to client's update", Unit::Milliseconds, 0.4, RELAY),
    below(Row::LaterToken, "token-later", "a later token, 200 a second", Unit::Milliseconds, 0.4, RELAY),
    over(Row::EndToAnswer, "end", "end of stream to answer, committed", 1.0, COMMIT),
    Spec { unit: Unit::Seconds, ..over(Row::SmallPrompts, "prompts", "49 small prompts", 0.049, COMMITS) },
    Spec { better: Better::Higher, ..below(Row::BurstRate, "burst", "burst of 20,000 tokens", Unit::ThousandPerSecond, 150.0, RELAY) },
    below(Row::BurstCpu, "burst-cpu", "the same: processor time", Unit::Seconds, 0.15, RELAY),
    below(Row::BurstMemory, "burst-memory", "the same: peak memory", Unit::Mebibytes, 25.0, RELAY),
    over(Row::CancelStreaming, "cancel-streaming", "cancel to answer, streaming", 1.0, COMMIT),
    over(Row::CancelStalled, "cancel-stalled", "cancel to answer, stalled", 1.0, COMMIT),
    over(Row::CancelUnanswered, "cancel-unanswered", "cancel to answer, before headers", 1.0, COMMIT),
    below(Row::CloseStreaming, "close-streaming", "cancel to connection closed, streaming", Unit::Milliseconds, 0.7, RELAY),
    below(Row::CloseStalled, "close-stalled", "cancel to connection closed, stalled", Unit::Milliseconds, 0.7, RELAY),
    below(Row::CloseUnanswered, "close-unanswered", "cancel to connection closed, before headers", Unit::Milliseconds, 0.7, RELAY),
    below(Row::BusyEnd, "busy-end", "end of stream to answer, the disk busy", Unit::Milliseconds, 2.0, COMMIT),
    below(Row::BusyCancel, "busy-cancel", "cancel to answer, streaming, the disk busy", Unit::Milliseconds, 2.0, COMMIT),
    below(Row::BusyPrompts, "busy-prompts", "49 small prompts, the disk busy", Unit::Seconds, 0.15, COMMITS),
    below(Row::CloseAtEof, "close-eof", "EOF to connection closed, streaming", Unit::Milliseconds, 5.0, ""),
    below(Row::CloseAtStdout, "close-stdout", "stdout closed to connection closed, streaming", Unit::Milliseconds, 5.0, ""),
    below(Row::CloseAtDeath, "close-death", "editor's death to connection closed, streaming", Unit::Milliseconds, 5.0, ""),
    over(Row::CrowdCancel, "crowd-cancel", "cancel to answer, 1000 sessions hanging", 1.0, COMMIT),
    below(Row::CrowdMemory, "crowd-memory", "memory, 1000 sessions hanging", Unit::Mebibytes, 120.0, ""),
    below(Row::MemoryAtStart, "memory", "memory after `initialize`", Unit::Mebibytes, 10.0, ""),
    own(Row::OwnMemoryAtStart, "memory-own", "of it no page of a file"),
    below(Row::MemoryAfterPrompts, "memory-prompts", "memory after 50 prompts", Unit::Mebibytes, 16.0, ""),
    own(Row::OwnMemoryAfterPrompts, "memory-prompts-own", "of it no page of a file"),
    below(Row::LoadPrompts, "load", "load of those 50 prompts", Unit::Milliseconds, 5.0, ROWS_READ),
    below(Row::ExportPrompts, "export", "export of those 50 prompts", Unit::Milliseconds, 15.0, ROWS_READ),
    free(Row::LoadSmall, "load-50", "load of 50 messages"),
    free(Row::LoadMiddle, "load-1000", "load of 1,000 messages"),
    free(Row::LoadLarge, "load-10000", "load of 10,000 messages"),
    growth(Row::LoadGrowth, "load-growth", "load, a message of 10,000 to one of 1,000"),
    free(Row::ExportSmall, "export-50", "export of 50 messages"),
    free(Row::ExportMiddle, "export-1000", "export of 1,000 messages"),
    free(Row::ExportLarge, "export-10000", "export of 10,000 messages"),
    growth(Row::ExportGrowth, "export-growth", "export, a message of 10,000 to one of 1,000"),
];

const fn below(row: Row, id: &'static str, what: &'static str, unit: Unit, goal: f64, floor: &'static str) -> Spec {
    Spec { row, id, what, unit, better: Better::Lower, goal: Goal::Fixed(goal), floor }
}

/// Milliseconds on top of the floor.
const fn over(row: Row, id: &'static str, what: &'static str, extra: f64, floor: &'static str) -> Spec {
    Spec { row, id, what, unit: Unit::Milliseconds, better: Better::Lower, goal: Goal::OverFloor(extra), floor }
}

/// Explains the row above it.
const fn own(row: Row, id: &'static str, what: &'static str) -> Spec {
    Spec { row, id, what, unit: Unit::Mebibytes, better: Better::Lower, goal: Goal::None, floor: "" }
}

/// Judged by its growth alone.
const fn free(row: Row, id: &'static str, what: &'static str) -> Spec {
    Spec { row, id, what, unit: Unit::Milliseconds, better: Better::Lower, goal: Goal::None, floor: ROWS_READ }
}

/// 1 is linear.
const fn growth(row: Row, id: &'static str, what: &'static str) -> Spec {
    Spec { row, id, what, unit: Unit::Times, better: Better::Lower, goal: Goal::Fixed(1.25), floor: "" }
}
