//! The record of one tool call: on whose word it ran or did not, when, and what it came to.

use super::abort::Effect;
use super::ids::{AbortId, SessionId, TurnId};
use super::message::ResultStatus;
use super::record::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a command of the user's own is called where tools are: no model can write it, since a tool's name has no slash.
pub const OWN_COMMAND: &str = "session/shell";

record! {
    /// A tool call that could run: stored when it is asked about, when it starts and when it ends; or one that a limit kept from that. Times without a unit are wall
    /// clock, milliseconds since 1970.
    pub struct ToolRun {
        required {
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            call_id: String => Name,
            tool: String => Tool,
            effect: Effect => Enum,
        }
        optional {
            /// Absent while it is asked about, and for good if the process died before an answer was on record.
            permission: Permission => Enum,
            /// The rule that decided, or that had it asked about.
            rule: String => Text,
            asked_at: u64 => Time,
            /// When the question was over, whichever way.
            answered_at: u64 => Time,
            started_at: u64 => Time,
            /// When it returned; absent for one that never did.
            ended_at: u64 => Time,
            /// From its start to its end, monotonic.
            duration_us: u64 => Time,
            /// Absent while it is under way.
            outcome: ResultStatus => Enum,
            /// Of a command.
            exit_code: i64 => Number,
            signal: String => Structure,
            /// The abort that ended it, or kept it from starting.
            abort_id: AbortId => Id,
        }
    }
}

/// On whose word a call ran, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Nobody's is needed.
    Default,
    /// A rule of the user's settings.
    Rule,
    /// A rule of the workspace's own.
    WorkspaceRule,
    /// The session's mode.
    Mode,
    /// The client's answer, given before for the whole session.
    Remembered,
    /// The client answered yes; whether a person did is not known.
    Allowed,
    /// The client answered no.
    Rejected,
    /// The client put the question away without an answer.
    Dismissed,
    /// The client cannot ask.
    Unanswerable,
    /// Nobody answered in time.
    TimedOut,
    /// The turn was stopped before there was an answer.
    Withdrawn,
    /// A limit of the turn's own: it was over before the call could start.
    Limit,
}

impl ToolRun {
    /// What tells it from every other call.
    pub fn key(&self) -> String {
        format!("{}/{}", self.turn_id, self.call_id)
    }

    /// Whether it can still change.
    pub fn is_open(&self) -> bool {
        self.outcome.is_none()
    }
}
