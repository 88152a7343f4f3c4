//! The other records of the flight recorder (title generations, stream traces, incidents) and the bundle of them that an answer carries.

use super::abort::{Abort, CancelRequest};
use super::cause::Cause;
use super::ids::{AbortId, AttemptId, MessageId, SessionId, TitleRunId, TurnId};
use super::record::record;
use super::tool_run::ToolRun;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

record! {
    /// One background title generation: stored when it starts and again when it ends.
    pub struct TitleGeneration {
        required {
            title_run_id: TitleRunId => Id,
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            message_id: MessageId => Id,
            parent_id: MessageId => Id,
            /// Where the title comes from.
            source: TitleSource => Enum,
            started_at: u64 => Time,
            /// The title was really stored on the session.
            applied: bool => Structure,
        }
        optional {
            completed_at: u64 => Time,
            success: bool => Structure,
            /// The abort of the stop that cancelled the generation with its turn.
            abort_id: AbortId => Id,
            /// The demand that cancelled the generation when no turn was left to stop.
            cancel_id: super::ids::CancelId => Id,
            error_name: String => Structure,
            error_message: String => Said,
            /// Of all attempts.
            usage: Usage => Record,
            /// The last attempt of the model call; its number tells how many there were.
            attempt: StreamTrace => Record,
            /// The attempts before it, in order; each says in `retry` why it was made again.
            earlier_attempts: Vec<StreamTrace> => Record,
        }
    }
}

/// Who wrote a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TitleSource {
    Model,
    /// The first words of the prompt: the fallback, and the rule where no model is asked.
    Heuristic,
    User,
}

record! {
    /// What happened on one attempt's stream. Times are monotonic microseconds since `created`.
    pub struct StreamTrace {
        required {
            attempt_id: AttemptId => Id,
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            step: u64 => Number,
            attempt: u64 => Number,
            provider: String => Structure,
            model: String => Name,
            state: StreamState => Enum,
            /// Wall clock, milliseconds since 1970.
            created_at: u64 => Time,
            timeline: Timeline => Record,
            counters: StreamCounters => Record,
            usage: Usage => Record,
        }
        optional {
            request_id: String => Name,
            response_id: String => Name,
            http_status: u16 => Number,
            finish_reason: String => Name,
            abort_id: AbortId => Id,
            /// The connection to the provider, once the attempt has ended.
            upstream: Upstream => Record,
            /// Of a title that outlived its turn: the demand that ended it.
            cancel_id: super::ids::CancelId => Id,
            failure: StreamFailure => Record,
            /// The time limits that held, in the order in which they are armed.
            watchdogs: Vec<Watchdog> => Record,
            /// Whether the call is made again; stands where it failed.
            retry: RetryDecision => Record,
            /// What about the answer was out of the ordinary and did not fail it.
            notes: Vec<AnswerNote> => Record,
        }
    }
}

record! {
    /// How an attempt's answer, and with it its hold on the connection, came to its end.
    pub struct Upstream {
        required {
            closed_by: ClosedBy => Enum,
        }
        optional {
            /// Microseconds since the attempt was created.
            at_us: u64 => Time,
        }
    }
}

/// Who closed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// pillion let go of it before the provider had ended it.
    Us,
    /// The provider: by the end of the answer, or by closing the connection.
    Provider,
    /// It broke, and nobody can tell at which end.
    Unknown,
    /// The request had not been handed to a connection, or there is none to a model in this process.
    NotOpen,
}

record! {
    /// Something about an answer that did not fail it.
    #[derive(Eq)]
    pub struct AnswerNote {
        required {
            kind: NoteKind => Enum,
            /// The provider's words, or the names of calls.
            message: String => Text,
        }
    }
}

/// What about an answer was out of the ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// An error came behind the end of an answer that had finished.
    LateError,
    /// The finish reason is none that pillion knows.
    UnknownFinishReason,
    /// The answer was cut off or refused: its tool calls did not run.
    CallNotRun,
    /// The model ended in order to call tools, and no call had come.
    CallMissing,
    /// The model takes no tools: it is asked without them.
    WithoutTools,
    /// The server does not take something else of the request, which is left out or written otherwise.
    LeftOut,
    /// Something came that no protocol knows.
    PassedOver,
    /// The provider does not say how much the model writes, so `budget.output_tokens` cannot be enforced.
    BudgetNotCounted,
}

record! {
    /// A time limit on an attempt.
    pub struct Watchdog {
        required {
            name: WatchdogName => Enum,
            limit_ms: u64 => Number,
            /// It was over, and ended the attempt.
            fired: bool => Structure,
        }
    }
}

record! {
    /// Whether a model call that failed is made again, and what that rests on.
    pub struct RetryDecision {
        required {
            verdict: RetryVerdict => Enum,
            reasons: Vec<String> => Structure,
        }
        optional {
            /// The wait before it is made again.
            delay_ms: u64 => Number,
        }
    }
}

/// What becomes of a model call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryVerdict {
    /// It is made again after a wait, unless what it is for is stopped first.
    Again,
    GivenUp,
}

/// What a watchdog waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WatchdogName {
    /// The request to be on its way.
    Connect,
    /// The first event of the answer; its head alone is none.
    FirstByte,
    /// The next event of the answer.
    IdleStream,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// Begun; the end was never recorded if an export of a finished turn still shows this.
    Open,
    Completed,
    Failed,
    /// A local abort dropped the stream; `abort_id` names it, or `cancel_id` the demand.
    Aborted,
}

record! {
    /// When an attempt reached each point, in microseconds since it was created.
    pub struct Timeline {
        required {}
        optional {
            request_sent_us: u64 => Time,
            headers_us: u64 => Time,
            first_event_us: u64 => Time,
            first_progress_us: u64 => Time,
            last_progress_us: u64 => Time,
            last_event_us: u64 => Time,
            ended_us: u64 => Time,
        }
    }
}

record! {
    /// How many events of each kind arrived.
    #[derive(Default)]
    pub struct StreamCounters {
        required {
            text: u64 => Number,
            reasoning: u64 => Number,
            tool_input: u64 => Number,
            usage: u64 => Number,
            text_bytes: u64 => Number,
            reasoning_bytes: u64 => Number,
        }
    }
}

record! {
    /// Why a stream failed, how sure that is, and what it rests on.
    pub struct StreamFailure {
        flattened {
            cause: Cause,
        }
        required {
            boundary: Boundary => Enum,
            confidence: Confidence => Enum,
            evidence: Vec<String> => Structure,
            /// A stable class of the message, such as `connection_refused`.
            kind: String => Structure,
            message: String => Said,
        }
        optional {
            /// The operating system's error number.
            os_error: i32 => Number,
            /// The provider's own error code.
            code: String => Name,
            /// How long the provider asked to be left alone.
            retry_after_ms: u64 => Number,
            /// What the provider means by it, where pillion acts upon that.
            meaning: Meaning => Enum,
        }
    }
}

/// What a provider means by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Too much was asked in too short a time.
    RateLimited,
    /// The account has nothing left.
    QuotaExhausted,
    /// The server has too much to do.
    Overloaded,
    /// The server is still loading the model.
    Loading,
    /// It does not take a part of the request, and is asked without it.
    Unsupported,
}

/// Which side of the stream a failure came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// A time limit of pillion's own was over.
    Watchdog,
    ProviderError,
    Transport,
    Protocol,
}

/// How sure the classification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Certain,
    Likely,
}

record! {
    /// Tokens, as far as anybody said; a field that nobody reported is absent, never a false 0.
    pub struct Usage {
        required {
            source: UsageSource => Enum,
        }
        optional {
            input_tokens: u64 => Number,
            output_tokens: u64 => Number,
            reasoning_tokens: u64 => Number,
            /// Of the input, what was read from the vendor's cache.
            cached_input_tokens: u64 => Number,
            /// Of the input, what was written to the vendor's cache.
            cache_write_input_tokens: u64 => Number,
        }
    }
}

/// Who counted the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    Provider,
    Absent,
}

impl Usage {
    /// Nobody reported anything.
    pub fn absent() -> Self {
        Self {
            source: UsageSource::Absent,
            input_tokens: None,
            output_tokens: None,
            reasoning_tokens: None,
            cached_input_tokens: None,
            cache_write_input_tokens: None,
        }
    }

    /// The sum of two counts; what only one of them knows stays known.
    pub fn plus(&self, other: &Self) -> Self {
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        };
        let source = if self.source == UsageSource::Provider { self.source } else { other.source };
        Self {
            source,
            input_tokens: add(self.input_tokens, other.input_tokens),
            output_tokens: add(self.output_tokens, other.output_tokens),
            reasoning_tokens: add(self.reasoning_tokens, other.reasoning_tokens),
            cached_input_tokens: add(self.cached_input_tokens, other.cached_input_tokens),
            cache_write_input_tokens: add(self.cache_write_input_tokens, other.cache_write_input_tokens),
        }
    }
}

impl Timeline {
    pub fn new() -> Self {
        Self {
            request_sent_us: None,
            headers_us: None,
            first_event_us: None,
            first_progress_us: None,
            last_progress_us: None,
            last_event_us: None,
            ended_us: None,
        }
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

record! {
    /// What an answer says about its own turn; the export says the same and more.
    #[derive(Default)]
    pub struct Diagnostics {
        required {}
        optional {
            abort: Abort => Record,
            title_generation: TitleGeneration => Record,
            stream_traces: Vec<StreamTrace> => Record,
            /// The calls that the abort ended or kept from starting.
            tool_runs: Vec<ToolRun> => Record,
            cancel_requests: Vec<CancelRequest> => Record,
        }
    }
}
