//! The export document: a consistent snapshot of a session tree with its diagnostics.

use super::abort::{Abort, CancelRequest, PromptRequest};
use super::cause::Place;
use super::connection::ConnectionRecord;
use super::diagnostics::{StreamTrace, TitleGeneration, TitleSource, Usage};
use super::ids::{MessageId, SessionId, TurnId};
use super::message::Message;
use super::record::record;
use super::tool_run::ToolRun;
use super::turn::{TurnBasis, TurnTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `schema` of every export.
pub const SCHEMA: &str = "pillion-session-export";
/// The `schema_version` that this version writes, and the newest that it reads.
pub const SCHEMA_VERSION: u64 = 1;

record! {
    /// The whole document.
    pub struct SessionExport {
        required {
            schema: String => Structure,
            schema_version: u64 => Number,
            /// Wall clock, milliseconds since 1970.
            exported_at: u64 => Time,
            completeness: Completeness => Enum,
            /// The newest diagnostics row that the snapshot saw.
            at_seq: u64 => Number,
            sanitized: bool => Structure,
            runtime: Runtime => Record,
            stats: Stats => Record,
            session: SessionTree => Record,
            diagnostics: ExportDiagnostics => Record,
            redaction: RedactionReport => Record,
        }
    }
}

/// Whether anything was still running, unreadable or not yet recorded when the snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    Complete,
    Partial,
}

record! {
    /// The program that wrote the export.
    pub struct Runtime {
        required {
            app_version: String => Structure,
            channel: String => Structure,
            target: String => Structure,
            os: String => Structure,
            /// SHA-256 of the effective settings, keys left out.
            config_digest: String => Structure,
        }
        optional {
            commit: String => Structure,
        }
    }
}

record! {
    /// Sizes, to see at a glance what the export holds.
    pub struct Stats {
        required {
            sessions: u64 => Number,
            turns: u64 => Number,
            messages: u64 => Number,
            parts: u64 => Number,
        }
    }
}

record! {
    /// Every diagnostic record of the tree, in the store's order.
    pub struct ExportDiagnostics {
        required {
            aborts: Vec<Abort> => Record,
            cancel_requests: Vec<CancelRequest> => Record,
            title_generations: Vec<TitleGeneration> => Record,
            stream_traces: Vec<StreamTrace> => Record,
            tool_runs: Vec<ToolRun> => Record,
            /// Absent for a turn whose process died in it.
            turn_times: Vec<TurnTime> => Record,
            turn_bases: Vec<TurnBasis> => Record,
            lifecycle: Vec<LifecycleEvent> => Record,
            incidents: Vec<Incident> => Record,
            /// The connections that the aborts and the cancel requests name.
            connections: Vec<ConnectionRecord> => Record,
        }
    }
}

record! {
    /// A point in a turn's life: accepted, started, answered.
    pub struct LifecycleEvent {
        required {
            event: LifecyclePoint => Enum,
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            /// Wall clock, milliseconds since 1970.
            at: u64 => Time,
        }
        optional {
            /// Microseconds since the stop was asked for; only where an abort ended the turn.
            at_us: u64 => Time,
            seq: u64 => Number,
        }
    }
}

/// The points that are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LifecyclePoint {
    /// The prompt was taken; the turn may have to wait.
    Accepted,
    Started,
    /// The prompt's answer was given to the connection.
    Answered,
}

record! {
    /// Something went wrong that is no turn's abort: a record that was unreadable, a panic that was contained.
    pub struct Incident {
        required {
            name: String => Structure,
            message: String => Said,
            at: u64 => Time,
        }
        optional {
            /// Absent if it was of no session; such a one is in no export.
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            /// `handler_panic`: the method of the request that broke.
            method: String => Structure,
            /// `unreadable_row`: which row of the store, by its table and its number there.
            row: String => Structure,
            /// Of a panic: where in pillion's code it was.
            panicked_at: Place => Record,
            seq: u64 => Number,
        }
    }
}

record! {
    /// One session with everything in it.
    pub struct SessionTree {
        required {
            info: SessionInfo => Record,
            turns: Vec<TurnInfo> => Record,
            messages: Vec<Message> => Record,
            children: Vec<SessionTree> => Record,
        }
    }
}

record! {
    /// What is known of a session itself.
    pub struct SessionInfo {
        required {
            session_id: SessionId => Id,
            cwd: String => Path,
            created_at: u64 => Time,
            updated_at: u64 => Time,
        }
        optional {
            parent_session_id: SessionId => Id,
            title: String => Text,
            title_source: TitleSource => Enum,
            /// `provider:model` of the next turn.
            model: String => Model,
            closed_at: u64 => Time,
        }
    }
}

record! {
    /// One turn: what it answered and how it ended.
    pub struct TurnInfo {
        required {
            turn_id: TurnId => Id,
            session_id: SessionId => Id,
            message_id: MessageId => Id,
            parent_id: MessageId => Id,
            started_at: u64 => Time,
        }
        optional {
            /// The request that asked for it; absent if its row could not be read.
            prompt_request: PromptRequest => Record,
            /// What that was; absent in records of versions that knew only prompts.
            kind: TurnKind => Enum,
            ended_at: u64 => Time,
            /// Absent while the turn runs.
            stop: TurnStop => Enum,
            abort_id: super::ids::AbortId => Id,
            model: String => Name,
            usage: Usage => Record,
            last_update: u64 => Number,
            /// The process that runs it, while it has no end and its process lives.
            running_in: RunsIn => Record,
        }
    }
}

record! {
    /// A process that runs a turn.
    pub struct RunsIn {
        required {
            /// As the process itself is told; one in another container has numbers of its own.
            pid: u32 => Number,
            boot_id: String => Id,
        }
    }
}

/// What a turn is the answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnKind {
    /// `session/prompt`.
    Prompt,
    /// `session/shell`.
    Shell,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnStop {
    EndTurn,
    MaxTokens,
    /// A limit of the turn's own: the abort says which.
    MaxTurnRequests,
    Refusal,
    Cancelled,
    /// A fault: the abort says which.
    Failed,
}

record! {
    /// What the sanitizing took out.
    #[derive(Default)]
    pub struct RedactionReport {
        required {
            rules: Vec<RuleCount> => Record,
            /// Stored fields that no shape of this version names; they were left out.
            unknown_fields: u64 => Number,
        }
    }
}

record! {
    /// How often one rule replaced something.
    pub struct RuleCount {
        required {
            rule: String => Structure,
            count: u64 => Number,
        }
    }
}
