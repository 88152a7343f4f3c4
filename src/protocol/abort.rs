//! The abort record: what ended a run, who asked, through which hops, what was running, what was lost.

use super::cause::{CancelMode, Cause, Initiator};
use super::ids::{AbortId, AttemptId, CancelId, ConnectionId, MessageId, RequestId, SessionId, TitleRunId, TurnId};
use super::record::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

record! {
    /// Exactly one for each run that did not end by itself. The committed row never changes; `late_cancels`, the
    /// answered hop and a later title state are rows of their own, joined when the record is exported.
    pub struct Abort {
        flattened {
            cause: Cause,
        }
        required {
            abort_id: AbortId => Id,
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            /// The assistant's message of the turn.
            message_id: MessageId => Id,
            /// The user's message that the turn answers.
            parent_id: MessageId => Id,
            /// The run did not stop within the grace and was ended from outside.
            forced: bool => Structure,
            phase: Phase => Enum,
            title_generation_state: TitleState => Enum,
            tools_in_flight: Vec<ToolInFlight> => Record,
            /// Hops in the order in which they happened.
            propagation: Vec<Hop> => Record,
            /// The hop that ended the work.
            propagation_point: String => Structure,
            /// It came down through an enclosing scope (`came_down_from`), not as a request to this run.
            via_ctx_abort: bool => Structure,
            /// Wall clock when the runner recorded it.
            recorded_at: u64 => Time,
            /// Wall clock when the run had ended.
            settled_at: u64 => Time,
            /// Monotonic microseconds to the end of the run from when the stop was asked for, or noticed.
            settle_us: u64 => Time,
            boot_id: String => Id,
            /// What this abort was not, as far as the facts show.
            ruled_out: Vec<String> => Structure,
            /// What could not be known or was dropped as invalid.
            missing: Vec<String> => Structure,
            /// Cancels that came after this one had won.
            late_cancels: Vec<CancelId> => Id,
            partial: Partial => Record,
        }
        optional {
            /// The request whose answer this abort shaped; absent if its row could not be read.
            prompt_request: PromptRequest => Record,
            attempt_id: AttemptId => Id,
            /// Who asked, how hard, and when (wall clock, milliseconds since 1970). Absent where nobody did: a fault, a limit.
            initiator: Initiator => Enum,
            mode: CancelMode => Enum,
            requested_at: u64 => Time,
            /// Wall clock when that was noticed for which nobody had asked.
            noticed_at: u64 => Time,
            came_down_from: Scope => Enum,
            source: String => Name,
            reason: String => Said,
            request: RequestRef => Record,
            title_run_id: TitleRunId => Id,
            /// The process that ran the turn died before the turn had ended. If nobody had asked for a stop, that is the cause.
            crash: Crash => Record,
            error_name: String => Structure,
            error_message: String => Said,
        }
    }
}

impl Abort {
    /// One plain sentence for a person; see [`Cause::sentence`].
    pub fn sentence(&self) -> String {
        self.cause.sentence(self.initiator.unwrap_or_default(), self.source.as_deref())
    }

    /// When it was asked for, or noticed.
    pub fn began_at(&self) -> u64 {
        self.requested_at.or(self.noticed_at).unwrap_or(self.recorded_at)
    }
}

record! {
    /// The editor's request (or the notification) that asked for something.
    pub struct RequestRef {
        required {
            /// One of the methods that pillion serves.
            method: String => Structure,
            /// As it arrived; null for a notification.
            id: RequestId => Name,
            connection_id: ConnectionId => Id,
            transport: Transport => Enum,
        }
        optional {
            /// Absent if it did not say who it is.
            client: Client => Record,
            traceparent: String => Name,
        }
    }
}

record! {
    /// The program at the other end of the connection, as it named itself in `initialize`.
    pub struct Client {
        required {
            name: String => Name,
        }
        optional {
            version: String => Name,
        }
    }
}

record! {
    /// The death of a process. Nobody saw it: it came between the last sign of life and the moment in which it was found.
    pub struct Crash {
        required {
            /// The process that died, and the boot that it ran in.
            pid: u32 => Number,
            boot_id: String => Id,
            /// What the newest row of the turn that has a time is of, and that time: wall clock, milliseconds since 1970.
            last_sign: SignOfLife => Enum,
            last_sign_at: u64 => Time,
            /// When and by which process it was found; the boot of that one is the record's own `boot_id`.
            found_at: u64 => Time,
            found_by: u32 => Number,
        }
    }
}

/// What a process had stored of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignOfLife {
    /// The prompt was taken, and waited.
    PromptAccepted,
    TurnStarted,
    ModelCalled,
    ToolCallRecorded,
    TitleRecorded,
    /// A piece of the answer.
    OutputKept,
    StopAccepted,
}

record! {
    /// The `session/prompt` or `session/shell` that started the turn.
    pub struct PromptRequest {
        required {
            id: RequestId => Name,
            connection_id: ConnectionId => Id,
        }
        optional {
            /// As the client wrote it; absent in records of earlier versions, as is `transport`.
            method: String => Structure,
            /// Absent if it did not say who it is.
            client: Client => Record,
            transport: Transport => Enum,
        }
    }
}

/// How the messages of a connection travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// LSP base protocol headers on stdio.
    StdioLsp,
    /// One JSON message a line on stdio.
    StdioJsonl,
    /// The same server inside this process (`pillion prompt`).
    InProcess,
}

/// What a stop encloses that comes down to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The session was closed or deleted.
    Session,
    /// The connection to the client is over, or its client ends it.
    Connection,
    /// The process itself was told to end, or died.
    Process,
}

/// What the run was doing when the stop was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Queued,
    BeforeRequest,
    /// The model had asked for a tool call, or a person for a command, and it had not started.
    BeforeTool,
    WaitingForModel,
    Reasoning,
    Text,
    ToolInput,
    AwaitingPermission,
    ToolRunning,
    /// A model call had failed and was to be made again after a wait.
    RetryBackoff,
    Persisting,
}

/// What the title generation of the session was doing when the stop was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TitleState {
    NotStarted,
    InFlight,
    CompletedBeforeAbort,
    CompletedAfterAbort,
    Failed,
    Cancelled,
    Disabled,
    /// The session has a title, or is no root session, or this is not its first turn.
    NotApplicable,
}

record! {
    /// A tool call that had not returned when the run was stopped, and what became of it.
    pub struct ToolInFlight {
        required {
            call_id: String => Name,
            tool: String => Structure,
            effect: Effect => Enum,
            outcome: ToolOutcome => Enum,
        }
    }
}

/// What a tool can do to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing outside of the conversation.
    None,
    Read,
    Write,
    /// It runs a program.
    Process,
    /// It runs a program that may reach the network.
    Network,
}

/// How a tool call that was in flight ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// It had not started: it was waiting for an answer, which is no longer wanted, or for its turn.
    Withdrawn,
    /// It returned within the grace; its result says what it came to.
    Stopped,
    /// It was ended from outside: its process died.
    Killed,
    /// It had not returned when the grace was over, and may have gone on by itself.
    Escaped,
    /// It was running when the process of pillion's died: nobody saw what became of it.
    Unknown,
}

record! {
    /// One hop of a stop on its way to the work.
    pub struct Hop {
        required {
            point: String => Structure,
            /// Monotonic microseconds since the stop was asked for, or noticed.
            at_us: u64 => Time,
        }
    }
}

record! {
    /// How much of the turn's output existed, and how much of it is kept.
    #[derive(Default)]
    pub struct Partial {
        required {
            text_bytes: u64 => Number,
            reasoning_bytes: u64 => Number,
            /// Updates that were written to the client's pipe, to the last byte.
            updates_sent: u64 => Number,
            persisted_bytes: u64 => Number,
        }
        optional {
            /// Updates that were waiting to be written when the turn had ended, if any were.
            updates_unsent: u64 => Number,
            bytes_unsent: u64 => Number,
            /// Wall clock of the last byte that the client's pipe had taken; only if no more went into it.
            not_read_since: u64 => Time,
            /// Tool calls that the model had begun to write and that were never made, if there were any.
            tool_inputs: Vec<ArrivingCall> => Record,
            /// How many more of them there were than are listed, if there were more.
            tool_inputs_not_listed: u64 => Number,
            /// What the commands had written that ran when the turn was stopped; absent if none had written anything.
            command_outputs: Vec<CommandOutput> => Record,
        }
    }
}

record! {
    /// The output of a command that the stop ended.
    #[derive(Eq)]
    pub struct CommandOutput {
        required {
            call_id: String => Name,
            /// All that pillion had read of it.
            bytes: u64 => Number,
            /// What of that can still be read: in the call's result, or in the file that it names.
            kept_bytes: u64 => Number,
        }
    }
}

record! {
    /// A tool call that the model had begun to write; nothing of it is kept.
    #[derive(Eq)]
    pub struct ArrivingCall {
        required {
            /// Of its input, as far as it had arrived.
            bytes: u64 => Number,
        }
        optional {
            /// As the model wrote it; absent if it had not named it yet.
            tool: String => Tool,
            call_id: String => Id,
        }
    }
}

record! {
    /// Any demand to stop, effective or not.
    pub struct CancelRequest {
        flattened {
            cause: Cause,
        }
        required {
            cancel_id: CancelId => Id,
            session_id: SessionId => Id,
            outcome: CancelOutcome => Enum,
            /// Wall clock, milliseconds since 1970.
            at: u64 => Time,
            missing: Vec<String> => Structure,
        }
        optional {
            /// The turn that it came to be about.
            turn_id: TurnId => Id,
            /// The `turnId` that was asked for, as the client wrote it, when that is not the turn that it came to be about:
            /// it may name nothing.
            asked_turn_id: String => Id,
            request: RequestRef => Record,
            /// Who demands it, and how hard. Absent for a limit, which nobody asks for.
            initiator: Initiator => Enum,
            mode: CancelMode => Enum,
            source: String => Name,
            reason: String => Said,
            abort_id: AbortId => Id,
            /// The store's order; set when the record is read back.
            seq: u64 => Number,
        }
    }
}

/// What a demand to stop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    Cancelled,
    AlreadyStopping,
    AlreadySettled,
    Idle,
    IgnoredAwaitingAnswer,
    NotOwner,
    UnknownSession,
    /// A signal that is not meant for pillion: SIGINT, while its client is a program.
    IgnoredSignal,
}
