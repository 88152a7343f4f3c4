//! The three axes of the matrix, each value with what the record must say of it.

use serde_json::{Value, json};

/// What a run is doing when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Queued,
    /// The connection to the model has not come about.
    BeforeRequest,
    WaitingForModel,
    Reasoning,
    Text,
    /// The model writes the arguments of a tool call.
    ToolInput,
    /// The model asked for two tools, and a person for neither.
    AwaitingPermission,
    /// The first of two tools that a person has allowed.
    ToolRunning,
    /// A command of the user's own.
    CommandRunning,
    RetryBackoff,
}

/// A test for each of them, which runs this.
macro_rules! whatever_it_does {
    ($run:ident) => {
        whatever_it_does! {
            $run:
            queued: Queued,
            before_the_request: BeforeRequest,
            waiting_for_the_model: WaitingForModel,
            reasoning: Reasoning,
            text: Text,
            tool_input: ToolInput,
            awaiting_permission: AwaitingPermission,
            tool_running: ToolRunning,
            command_running: CommandRunning,
            retry_backoff: RetryBackoff,
        }
    };
    ($run:ident: $($name:ident: $doing:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run(Doing::$doing).await;
        }
    )*};
}

pub(super) use whatever_it_does;

impl Doing {
    pub(super) fn phase(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::BeforeRequest => "before_request",
            Self::WaitingForModel => "waiting_for_model",
            Self::Reasoning => "reasoning",
            Self::Text => "text",
            Self::ToolInput => "tool_input",
            Self::AwaitingPermission => "awaiting_permission",
            Self::ToolRunning | Self::CommandRunning => "tool_running",
            Self::RetryBackoff => "retry_backoff",
        }
    }

    /// Some clients do not say who they are.
    pub(super) fn names_its_client(self) -> bool {
        !matches!(self, Self::Queued | Self::Reasoning | Self::RetryBackoff)
    }

    pub(super) fn client(self) -> &'static str {
        if self.names_its_client() { "An Editor 1.0+2" } else { "a client that gave no name" }
    }

    /// The model has begun to answer, or to answer the prompt before: only then is a title asked for.
    pub(super) fn is_answered(self) -> bool {
        !matches!(self, Self::BeforeRequest | Self::WaitingForModel | Self::CommandRunning | Self::RetryBackoff)
    }

    /// The tools in flight and what becomes of them.
    pub(super) fn tools(self) -> Value {
        match self {
            Self::AwaitingPermission => json!([
                { "call_id": "call_1", "tool": "shell", "effect": "process", "outcome": "withdrawn" },
                { "call_id": "call_2", "tool": "write_file", "effect": "write", "outcome": "withdrawn" },
            ]),
            Self::ToolRunning => json!([
                { "call_id": "call_1", "tool": "shell", "effect": "process", "outcome": "stopped" },
                { "call_id": "call_2", "tool": "write_file", "effect": "write", "outcome": "withdrawn" },
            ]),
            Self::CommandRunning => json!([{ "call_id": "shell", "tool": "session/shell", "effect": "process", "outcome": "stopped" }]),
            _ => json!([]),
        }
    }

    /// What the records of its calls say: on whose word, and what they came to.
    pub(super) fn calls(self) -> Value {
        match self {
            Self::AwaitingPermission => json!([
                { "call_id": "call_1", "permission": "withdrawn", "outcome": "not_started" },
                { "call_id": "call_2", "permission": "withdrawn", "outcome": "not_started" },
            ]),
            Self::ToolRunning => json!([
                { "call_id": "call_1", "permission": "allowed", "outcome": "interrupted", "signal": "SIGTERM" },
                { "call_id": "call_2", "permission": "allowed", "outcome": "not_started" },
            ]),
            Self::CommandRunning => {
                json!([{ "call_id": "shell", "permission": "default", "outcome": "interrupted", "signal": "SIGTERM" }])
            }
            _ => json!([]),
        }
    }

    /// Hops that only such a run has.
    pub(super) fn hops(self) -> &'static [&'static str] {
        match self {
            Self::Queued => &[],
            Self::BeforeRequest | Self::WaitingForModel | Self::Reasoning | Self::Text | Self::ToolInput => &["turn.stream_dropped"],
            Self::AwaitingPermission => &["permission.withdrawn", "permission.withdrawn"],
            Self::ToolRunning => &["process.terminated", "process.gone", "tool.stopped"],
            Self::CommandRunning => &["process.terminated", "process.gone"],
            Self::RetryBackoff => &["turn.backoff_ended"],
        }
    }

    /// Bytes of text, bytes of reasoning, updates.
    pub(super) fn produced(self) -> (u64, u64, u64) {
        match self {
            Self::Queued | Self::BeforeRequest | Self::WaitingForModel | Self::RetryBackoff => (0, 0, 0),
            Self::Reasoning => (0, 2, 1),
            Self::Text | Self::ToolInput => (4, 0, 1),
            Self::AwaitingPermission => (0, 0, 2),
            Self::ToolRunning => (0, 0, 4),
            Self::CommandRunning => (0, 0, 3),
        }
    }

    pub(super) fn retry(self) -> &'static str {
        match self {
            Self::Queued | Self::BeforeRequest | Self::WaitingForModel | Self::RetryBackoff => "safe:",
            Self::Reasoning | Self::Text | Self::ToolInput | Self::AwaitingPermission => "it shows output again",
            Self::ToolRunning => "it may repeat a change: shell (stopped)",
            Self::CommandRunning => "it may repeat a change: session/shell (stopped)",
        }
    }
}

/// What stops it. A command has a limit of its own that ends before the one for tools: for `tool_timeout` see `watchdogs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    ClientCancel,
    RpcCancel,
    Superseded,
    SessionClosed,
    TurnTimeout,
    Shutdown,
    Eof,
    ExitWithoutShutdown,
    BrokenFraming,
    WriteFailed,
    ProcessDied,
    Signal,
    ProviderHttp,
    ContextOverflow,
    ProviderTransport,
    ProviderProtocol,
    ConnectTimeout,
    FirstByteTimeout,
    IdleStreamTimeout,
}

pub(super) const STOPS: [Stop; 19] = [
    Stop::ClientCancel,
    Stop::RpcCancel,
    Stop::Superseded,
    Stop::SessionClosed,
    Stop::TurnTimeout,
    Stop::Shutdown,
    Stop::Eof,
    Stop::ExitWithoutShutdown,
    Stop::BrokenFraming,
    Stop::WriteFailed,
    Stop::ProcessDied,
    Stop::Signal,
    Stop::ProviderHttp,
    Stop::ContextOverflow,
    Stop::ProviderTransport,
    Stop::ProviderProtocol,
    Stop::ConnectTimeout,
    Stop::FirstByteTimeout,
    Stop::IdleStreamTimeout,
];

impl Stop {
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::ClientCancel => "client_cancel",
            Self::RpcCancel => "rpc_cancel",
            Self::Superseded => "superseded_by_prompt",
            Self::SessionClosed => "session_closed",
            Self::TurnTimeout => "turn_timeout",
            Self::Shutdown => "shutdown_request",
            Self::Eof => "client_eof",
            Self::ExitWithoutShutdown => "exit_without_shutdown",
            Self::BrokenFraming => "client_framing_broken",
            Self::WriteFailed => "client_write_failed",
            Self::ProcessDied => "client_process_died",
            Self::Signal => "signal",
            Self::ProviderHttp => "provider_http",
            Self::ContextOverflow => "context_overflow",
            Self::ProviderTransport => "provider_transport",
            Self::ProviderProtocol => "provider_protocol",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleStreamTimeout => "idle_stream_timeout",
        }
    }

    /// The hop at which it comes in.
    pub(super) fn point(self) -> &'static str {
        match self {
            Self::ClientCancel => "rpc.session/cancel",
            Self::RpcCancel => "rpc.$/cancelRequest",
            Self::Superseded => "rpc.session/prompt",
            Self::SessionClosed => "rpc.session/close",
            Self::TurnTimeout => "watchdog.turn",
            Self::Shutdown => "rpc.shutdown",
            Self::Eof => "wire.eof",
            Self::ExitWithoutShutdown => "rpc.exit",
            Self::BrokenFraming => "wire.framing_broken",
            Self::WriteFailed => "wire.write_failed",
            Self::ProcessDied => "process.died",
            Self::Signal => "process.signal",
            Self::ProviderHttp | Self::ContextOverflow | Self::ProviderTransport | Self::ProviderProtocol => "provider.stream_failed",
            Self::ConnectTimeout | Self::FirstByteTimeout | Self::IdleStreamTimeout => "watchdog.fired",
        }
    }

    /// The method of the request that asked.
    pub(super) fn method(self) -> Option<&'static str> {
        match self {
            Self::ClientCancel => Some("session/cancel"),
            Self::RpcCancel => Some("$/cancelRequest"),
            Self::Superseded => Some("session/prompt"),
            Self::SessionClosed => Some("session/close"),
            Self::Shutdown => Some("shutdown"),
            Self::ExitWithoutShutdown => Some("exit"),
            _ => None,
        }
    }

    /// It takes more than the one run with it.
    pub(super) fn encloses(self) -> bool {
        !matches!(self, Self::ClientCancel | Self::RpcCancel | Self::Superseded | Self::TurnTimeout) && !self.is_fault()
    }

    /// The model call failed: nobody had to be told to stop.
    pub(super) fn is_fault(self) -> bool {
        matches!(
            self,
            Self::ProviderHttp
                | Self::ContextOverflow
                | Self::ProviderTransport
                | Self::ProviderProtocol
                | Self::ConnectTimeout
                | Self::FirstByteTimeout
                | Self::IdleStreamTimeout
        )
    }

    /// The settings under which it happens.
    pub(super) fn settings(self, doing: Doing) -> &'static str {
        match self {
            // Such a run has a way to go before it is there.
            Self::TurnTimeout if doing == Doing::ToolRunning => "[watchdog]\nturn_seconds = 4\n",
            Self::TurnTimeout => "[watchdog]\nturn_seconds = 1\n",
            Self::ConnectTimeout => "[retry]\nmax_attempts = 1\n[watchdog]\nconnect_seconds = 1\n",
            Self::FirstByteTimeout => "[retry]\nmax_attempts = 1\n[watchdog]\nfirst_byte_seconds = 1\n",
            Self::IdleStreamTimeout => "[retry]\nmax_attempts = 1\n[watchdog]\nidle_seconds = 1\nreasoning_seconds = 1\n",
            _ if self.is_fault() => "[retry]\nmax_attempts = 1\n",
            _ => "",
        }
    }

    /// Who asked, as far as anybody said; of a limit or a fault nobody.
    pub(super) fn initiator(self) -> Option<&'static str> {
        match self {
            Self::ClientCancel => Some("user"),
            Self::TurnTimeout => None,
            _ => (!self.is_fault()).then_some("unknown"),
        }
    }

    /// What it came down from, if it was more than the run.
    pub(super) fn came_down_from(self) -> Option<&'static str> {
        match self {
            Self::SessionClosed => Some("session"),
            Self::Signal => Some("process"),
            _ => self.encloses().then_some("connection"),
        }
    }

    /// Hops of a fault behind the one at which it came in: what pillion itself let go of.
    pub(super) fn fault_hops(self) -> &'static [&'static str] {
        match self {
            Self::ProviderHttp | Self::ContextOverflow | Self::ProviderTransport => &[],
            _ => &["turn.stream_dropped"],
        }
    }

    /// Who closed the connection to the model, where the run had an attempt.
    pub(super) fn closed_by(self, doing: Doing) -> Option<&'static str> {
        match (self, doing) {
            (_, Doing::Queued | Doing::CommandRunning) => None,
            (_, Doing::BeforeRequest) => Some("not_open"),
            // The answer had come to its end.
            (_, Doing::AwaitingPermission | Doing::ToolRunning | Doing::RetryBackoff) => Some("provider"),
            (Self::ProviderHttp | Self::ContextOverflow | Self::ProviderTransport, _) => Some("provider"),
            _ => Some("us"),
        }
    }

    /// Whether it can meet such a run: only a prompt that runs can be superseded, and the time of a turn begins when it does.
    pub(super) fn meets(self, doing: Doing) -> bool {
        match self {
            Self::Superseded => !matches!(doing, Doing::Queued | Doing::CommandRunning),
            Self::TurnTimeout => doing != Doing::Queued,
            Self::ProviderHttp | Self::ContextOverflow | Self::FirstByteTimeout => doing == Doing::WaitingForModel,
            Self::ConnectTimeout => doing == Doing::BeforeRequest,
            Self::IdleStreamTimeout => matches!(doing, Doing::Reasoning | Doing::Text | Doing::ToolInput),
            Self::ProviderTransport | Self::ProviderProtocol => {
                matches!(doing, Doing::WaitingForModel | Doing::Reasoning | Doing::Text | Doing::ToolInput)
            }
            _ => true,
        }
    }
}

/// What became of the session's title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Titled {
    Disabled,
    /// The session was given one.
    ByTheUser,
    InFlight,
    Before,
}

impl Titled {
    /// The state that the export joins to the record.
    pub(super) fn state(self, doing: Doing, stop: Stop) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::ByTheUser => "not_applicable",
            // A command starts no title, and a prompt that waits is not the first one: its title belongs to the turn before it.
            _ if doing == Doing::CommandRunning => "not_applicable",
            _ if !doing.is_answered() => "not_started",
            Self::Before if doing == Doing::Queued => "not_applicable",
            Self::Before => "completed_before_abort",
            Self::InFlight if stop.encloses() => "cancelled",
            Self::InFlight => "in_flight",
        }
    }
}
