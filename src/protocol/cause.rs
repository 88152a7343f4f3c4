//! Causes: the closed list of what can stop a run, what each does to the answer, and what it is called.
//!
//! A value stands here because something in pillion produces it and a test shows it.

use super::abort::Scope;
use super::ids::is_plain_name;
use super::record::{Class, Field, Shape, Shaped, Texts, record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What stopped a run, with the data that belongs to it. On the wire: `"cause": "signal", "signal_name": "SIGTERM"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// `session/cancel`, as a request or as a notification.
    ClientCancel,
    /// `$/cancelRequest` or `$/cancel_request` named the prompt.
    RpcCancel,
    /// A prompt with `whenBusy: supersede` took its place.
    SupersededByPrompt {
        superseding_turn_id: super::ids::TurnId,
    },
    /// The editor closed its end of stdin.
    ClientEof,
    /// A header block of the editor's made no sense, so nobody can tell where its next message begins.
    ClientFramingBroken,
    /// Writing to the editor failed.
    ClientWriteFailed,
    /// The process that the editor named, or our parent, is gone.
    ClientProcessDied {
        pid: u32,
    },
    ShutdownRequest,
    ExitWithoutShutdown,
    Signal {
        signal_name: String,
    },
    /// A time limit: no connection to the provider came about.
    ConnectTimeout {
        limit_ms: u64,
    },
    /// A time limit: the request was sent, and no answer began.
    FirstByteTimeout {
        limit_ms: u64,
    },
    /// A time limit: an answer had begun, and nothing more of it came.
    IdleStreamTimeout {
        limit_ms: u64,
    },
    /// A time limit: the whole turn took too long.
    TurnTimeout {
        limit_ms: u64,
    },
    /// A time limit: a tool call took too long.
    ToolTimeout {
        limit_ms: u64,
    },
    /// The provider answered with an HTTP status that is an error.
    ProviderHttp {
        http_status: u16,
    },
    /// The connection to the provider failed or broke.
    ProviderTransport,
    /// The conversation is longer than the model's context holds.
    ContextOverflow,
    /// The provider's bytes made no sense, or it reported an error inside the stream.
    ProviderProtocol,
    /// The turn had used up what it is allowed; what would have come next did not begin.
    Budget {
        limit: u64,
        unit: BudgetUnit,
        /// The setting that allows it.
        setting: String,
    },
    /// The model asked for the same tool call again and again; the calls beyond the limit did not start.
    LoopGuard(Box<Repetition>),
    /// The store could not keep the turn.
    StoreFailure,
    SessionClosed,
    SessionDeleted,
    /// A defect of pillion's own, contained.
    InternalPanic {
        /// Where in pillion's code it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        panicked_at: Option<Place>,
    },
    /// The process that ran the turn died; another one found it later.
    CrashRecovered,
    /// Read from a foreign or newer record; never written by this version.
    #[serde(other)]
    Unknown,
}

record! {
    /// A line of pillion's code.
    #[derive(Eq)]
    pub struct Place {
        required {
            file: String => Structure,
            line: u64 => Number,
        }
    }
}

record! {
    /// What a model asked for again and again.
    #[derive(Eq)]
    pub struct Repetition {
        required {
            /// How many such calls in a row may start.
            limit: u64 => Number,
            /// The setting that says so.
            setting: String => Structure,
            /// The tool's name as the model wrote it.
            tool: String => Tool,
            /// How many times in a row the model had asked for it.
            calls: u64 => Number,
            /// The arguments of each of them.
            input: Value => Secret,
        }
    }
}

/// What a turn can use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetUnit {
    /// Calls of the model; a call with all its attempts is one.
    ModelCalls,
    /// Calls that the model asked for, whatever came of them.
    ToolCalls,
    /// Tokens that the provider said the model had written.
    OutputTokens,
}

impl BudgetUnit {
    /// The setting that limits it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::ModelCalls => "budget.model_calls",
            Self::ToolCalls => "budget.tool_calls",
            Self::OutputTokens => "budget.output_tokens",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::ModelCalls => "model call",
            Self::ToolCalls => "tool call",
            Self::OutputTokens => "output token",
        }
    }
}

/// The setting of a [`Repetition`].
pub const LOOP_GUARD_SETTING: &str = "loop_guard.identical_calls";

/// How a run that a cause ended is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsAs {
    /// A result with `stopReason: cancelled`.
    Cancelled,
    /// A result with `stopReason: max_turn_requests`: the turn has had what it is allowed.
    MaxTurnRequests,
    /// An error answer; the turn failed.
    Fault,
}

impl Cause {
    pub fn ends_as(&self) -> EndsAs {
        match self {
            Self::ClientCancel
            | Self::RpcCancel
            | Self::SupersededByPrompt { .. }
            | Self::ClientEof
            | Self::ClientFramingBroken
            | Self::ClientWriteFailed
            | Self::ClientProcessDied { .. }
            | Self::ShutdownRequest
            | Self::ExitWithoutShutdown
            | Self::Signal { .. }
            | Self::SessionClosed
            | Self::SessionDeleted
            | Self::CrashRecovered
            | Self::Unknown => EndsAs::Cancelled,
            Self::Budget { .. } | Self::LoopGuard(_) => EndsAs::MaxTurnRequests,
            Self::ConnectTimeout { .. }
            | Self::FirstByteTimeout { .. }
            | Self::IdleStreamTimeout { .. }
            | Self::TurnTimeout { .. }
            | Self::ToolTimeout { .. }
            | Self::ProviderHttp { .. }
            | Self::ProviderTransport
            | Self::ContextOverflow
            | Self::ProviderProtocol
            | Self::StoreFailure
            | Self::InternalPanic { .. } => EndsAs::Fault,
        }
    }

    /// Whether somebody can have asked for such a stop, by a message, a signal or by leaving. Nobody asks for a fault or a limit.
    pub fn is_asked_for(&self) -> bool {
        match self {
            Self::ClientCancel
            | Self::RpcCancel
            | Self::SupersededByPrompt { .. }
            | Self::ClientEof
            | Self::ClientFramingBroken
            | Self::ClientWriteFailed
            | Self::ClientProcessDied { .. }
            | Self::ShutdownRequest
            | Self::ExitWithoutShutdown
            | Self::Signal { .. }
            | Self::SessionClosed
            | Self::SessionDeleted => true,
            Self::ConnectTimeout { .. }
            | Self::FirstByteTimeout { .. }
            | Self::IdleStreamTimeout { .. }
            | Self::TurnTimeout { .. }
            | Self::ToolTimeout { .. }
            | Self::ProviderHttp { .. }
            | Self::ProviderTransport
            | Self::ContextOverflow
            | Self::ProviderProtocol
            | Self::Budget { .. }
            | Self::LoopGuard(_)
            | Self::StoreFailure
            | Self::InternalPanic { .. }
            | Self::CrashRecovered
            | Self::Unknown => false,
        }
    }

    /// What a stop of this cause encloses where it comes down to a run from above.
    pub fn scope(&self) -> Scope {
        match self {
            Self::SessionClosed | Self::SessionDeleted => Scope::Session,
            Self::Signal { .. } | Self::CrashRecovered => Scope::Process,
            _ => Scope::Connection,
        }
    }

    /// Every cause, as it is written on the wire.
    pub const NAMES: [&str; 27] = [
        "client_cancel",
        "rpc_cancel",
        "superseded_by_prompt",
        "client_eof",
        "client_framing_broken",
        "client_write_failed",
        "client_process_died",
        "shutdown_request",
        "exit_without_shutdown",
        "signal",
        "connect_timeout",
        "first_byte_timeout",
        "idle_stream_timeout",
        "turn_timeout",
        "tool_timeout",
        "provider_http",
        "provider_transport",
        "context_overflow",
        "provider_protocol",
        "budget",
        "loop_guard",
        "store_failure",
        "session_closed",
        "session_deleted",
        "internal_panic",
        "crash_recovered",
        "unknown",
    ];

    /// The cause as it is written on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCancel => "client_cancel",
            Self::RpcCancel => "rpc_cancel",
            Self::SupersededByPrompt { .. } => "superseded_by_prompt",
            Self::ClientEof => "client_eof",
            Self::ClientFramingBroken => "client_framing_broken",
            Self::ClientWriteFailed => "client_write_failed",
            Self::ClientProcessDied { .. } => "client_process_died",
            Self::ShutdownRequest => "shutdown_request",
            Self::ExitWithoutShutdown => "exit_without_shutdown",
            Self::Signal { .. } => "signal",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::FirstByteTimeout { .. } => "first_byte_timeout",
            Self::IdleStreamTimeout { .. } => "idle_stream_timeout",
            Self::TurnTimeout { .. } => "turn_timeout",
            Self::ToolTimeout { .. } => "tool_timeout",
            Self::ProviderHttp { .. } => "provider_http",
            Self::ProviderTransport => "provider_transport",
            Self::ContextOverflow => "context_overflow",
            Self::ProviderProtocol => "provider_protocol",
            Self::Budget { .. } => "budget",
            Self::LoopGuard(_) => "loop_guard",
            Self::StoreFailure => "store_failure",
            Self::SessionClosed => "session_closed",
            Self::SessionDeleted => "session_deleted",
            Self::InternalPanic { .. } => "internal_panic",
            Self::CrashRecovered => "crash_recovered",
            Self::Unknown => "unknown",
        }
    }

    /// One plain sentence for a person. It claims no more than the record knows: only a declared user is called one.
    pub fn sentence(&self, initiator: Initiator, source: Option<&str>) -> String {
        let by = |what: &str| match (initiator, source) {
            (Initiator::User, Some(source)) => format!("{what} by the user ({source})."),
            (Initiator::User, None) => format!("{what} by the user."),
            (Initiator::Program, Some(source)) => format!("{what} by a program ({source})."),
            (Initiator::Program, None) => format!("{what} by a program."),
            (Initiator::Unknown, Some(source)) => format!("{what} by the client ({source})."),
            (Initiator::Unknown, None) => format!("{what} by the client."),
        };
        match self {
            Self::ClientCancel => by("The turn was cancelled"),
            Self::RpcCancel => by("The prompt request was cancelled"),
            Self::SupersededByPrompt { .. } => by("The turn was replaced by a newer prompt, sent"),
            Self::ClientEof => "The editor closed the connection before the turn had ended.".into(),
            Self::ClientFramingBroken => "The editor sent bytes that are no message before the turn had ended.".into(),
            Self::ClientWriteFailed => "The editor stopped accepting output before the turn had ended.".into(),
            Self::ClientProcessDied { pid } => format!("The editor's process ({pid}) ended before the turn had ended."),
            Self::ShutdownRequest => "The editor asked pillion to shut down before the turn had ended.".into(),
            Self::ExitWithoutShutdown => "The editor told pillion to exit, without a shutdown, before the turn had ended.".into(),
            Self::Signal { signal_name } if initiator == Initiator::User => format!("You stopped the turn ({signal_name})."),
            Self::Signal { signal_name } => format!("pillion received {signal_name} before the turn had ended."),
            Self::ConnectTimeout { limit_ms } => format!("No connection to the model provider came about within {}.", seconds(*limit_ms)),
            Self::FirstByteTimeout { limit_ms } => format!("The model provider did not begin to answer within {}.", seconds(*limit_ms)),
            Self::IdleStreamTimeout { limit_ms } => format!("Nothing more of the model's answer came for {}.", seconds(*limit_ms)),
            Self::TurnTimeout { limit_ms } => format!("The turn took longer than {}, its time limit.", seconds(*limit_ms)),
            Self::ToolTimeout { limit_ms } => format!("A tool call took longer than {}, its time limit.", seconds(*limit_ms)),
            Self::ProviderHttp { http_status } => format!("The model provider refused the request with HTTP status {http_status}."),
            Self::ProviderTransport => "The connection to the model provider failed.".into(),
            Self::ContextOverflow => "The conversation is longer than the model's context holds.".into(),
            Self::ProviderProtocol => "The model provider's answer was not understood or reported an error.".into(),
            Self::Budget { limit, unit, setting } => {
                let many = if *limit == 1 { "" } else { "s" };
                format!("The turn was stopped because it had used up its budget of {limit} {}{many} ({setting}).", unit.word())
            }
            Self::LoopGuard(repetition) => {
                let Repetition { limit, setting, tool, calls, input: _ } = &**repetition;
                // A name that a model made up can hold anything.
                let tool = if is_plain_name(tool) { tool } else { "a tool" };
                format!(
                    "The turn was stopped because the model asked for {tool} with the same input {calls} times in a row ({setting} = {limit})."
                )
            }
            Self::StoreFailure => "The turn could not be stored, so it was stopped.".into(),
            Self::SessionClosed => by("The session was closed"),
            Self::SessionDeleted => by("The session was deleted"),
            Self::InternalPanic { panicked_at: Some(Place { file, line }) } => {
                format!("A bug in pillion stopped the turn ({file}:{line}).")
            }
            Self::InternalPanic { panicked_at: None } => "A bug in pillion stopped the turn.".into(),
            Self::CrashRecovered => "The process that ran the turn ended without finishing it; the turn was found and closed later.".into(),
            Self::Unknown => "The cause of the stop is not one that this version knows.".into(),
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{} s", std::time::Duration::from_millis(ms).as_secs_f64())
}

impl Shaped for Cause {
    const SHAPE: Shape = &[
        Field::Named("cause", Class::Enum),
        Field::Named("superseding_turn_id", Class::Id),
        Field::Named("pid", Class::Number),
        Field::Named("signal_name", Class::Structure),
        Field::Named("limit_ms", Class::Number),
        Field::Named("http_status", Class::Number),
        Field::Named("unit", Class::Enum),
        Field::Named("panicked_at", Class::Record(|| Place::SHAPE)),
        // A budget's limit and setting are of the same classes.
        Field::Flattened(Repetition::SHAPE),
    ];
}

impl Texts for Cause {
    fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        match self {
            Self::LoopGuard(repetition) => repetition.change_texts(change),
            // All of it is ours, the signal's name too.
            Self::ClientCancel
            | Self::RpcCancel
            | Self::SupersededByPrompt { .. }
            | Self::ClientEof
            | Self::ClientFramingBroken
            | Self::ClientWriteFailed
            | Self::ClientProcessDied { .. }
            | Self::ShutdownRequest
            | Self::ExitWithoutShutdown
            | Self::Signal { .. }
            | Self::ConnectTimeout { .. }
            | Self::FirstByteTimeout { .. }
            | Self::IdleStreamTimeout { .. }
            | Self::TurnTimeout { .. }
            | Self::ToolTimeout { .. }
            | Self::ProviderHttp { .. }
            | Self::ProviderTransport
            | Self::ContextOverflow
            | Self::ProviderProtocol
            | Self::Budget { .. }
            | Self::StoreFailure
            | Self::SessionClosed
            | Self::SessionDeleted
            | Self::InternalPanic { .. }
            | Self::CrashRecovered
            | Self::Unknown => {}
        }
    }
}

/// Who asked, as the client declared it; `unknown` when it declared nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Initiator {
    User,
    Program,
    #[default]
    Unknown,
}

/// How hard to stop: soft waits for a question that the user is being asked, hard withdraws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelMode {
    Soft,
    #[default]
    Hard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_declared_user_is_called_one() {
        for cause in [Cause::ClientCancel, Cause::RpcCancel, Cause::SessionClosed, Cause::Signal { signal_name: "SIGTERM".into() }] {
            for initiator in [Initiator::Program, Initiator::Unknown] {
                let sentence = cause.sentence(initiator, None).to_lowercase();
                assert!(!sentence.contains("user") && !sentence.contains("you"), "{sentence}");
            }
        }
        assert_eq!(Cause::ClientCancel.sentence(Initiator::User, Some("nvim.keymap")), "The turn was cancelled by the user (nvim.keymap).");
    }

    #[test]
    fn a_limit_of_the_turn_is_told_with_its_setting_and_blamed_on_nobody() {
        let budget = |limit, unit: BudgetUnit| Cause::Budget { limit, unit, setting: unit.setting().into() };
        let repeated = |tool: &str| {
            let (setting, tool) = (LOOP_GUARD_SETTING.into(), tool.into());
            Cause::LoopGuard(Box::new(Repetition { limit: 10, setting, tool, calls: 11, input: Value::Null }))
        };
        let told = [
            (budget(1, BudgetUnit::ModelCalls), "it had used up its budget of 1 model call (budget.model_calls)."),
            (budget(20, BudgetUnit::ToolCalls), "it had used up its budget of 20 tool calls (budget.tool_calls)."),
            (budget(9, BudgetUnit::OutputTokens), "it had used up its budget of 9 output tokens (budget.output_tokens)."),
            (
                repeated("read_file"),
                "the model asked for read_file with the same input 11 times in a row (loop_guard.identical_calls = 10).",
            ),
            (repeated("read\nfile"), "the model asked for a tool with the same input 11 times in a row (loop_guard.identical_calls = 10)."),
        ];
        for (cause, why) in told {
            for initiator in [Initiator::User, Initiator::Program, Initiator::Unknown] {
                assert_eq!(cause.sentence(initiator, Some("test.stop")), format!("The turn was stopped because {why}"));
            }
        }
    }

    #[test]
    fn the_list_of_names_has_every_cause_that_the_schema_has() {
        let schema = serde_json::to_value(schemars::schema_for!(Cause)).expect("a schema");
        let variants = schema["oneOf"].as_array().expect("variants").iter();
        let names: Vec<_> = variants.map(|variant| variant["properties"]["cause"]["const"].as_str().expect("a name")).collect();
        assert_eq!(names, Cause::NAMES);
    }

    #[test]
    fn a_cause_is_written_with_its_data_and_newer_ones_are_read_as_unknown() {
        let signal = Cause::Signal { signal_name: "SIGTERM".into() };
        assert_eq!(serde_json::to_string(&signal).expect("json"), r#"{"cause":"signal","signal_name":"SIGTERM"}"#);
        let panicked = Cause::InternalPanic { panicked_at: Some(Place { file: "src/a.rs".into(), line: 7 }) };
        assert_eq!(
            serde_json::to_string(&panicked).expect("json"),
            r#"{"cause":"internal_panic","panicked_at":{"file":"src/a.rs","line":7}}"#
        );
        let of_before = serde_json::from_str::<Cause>(r#"{"cause":"internal_panic"}"#).expect("cause");
        assert_eq!(of_before, Cause::InternalPanic { panicked_at: None });
        assert_eq!(serde_json::from_str::<Cause>(r#"{"cause":"from_the_future","x":1}"#).expect("cause"), Cause::Unknown);
    }
}
