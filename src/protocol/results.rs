//! What pillion answers: the results of every request, in the domain's own shape (`rpc::dialect` fits it to the client).

use super::abort::{Abort, CancelOutcome};
use super::cause::{Cause, EndsAs, Initiator};
use super::diagnostics::{Diagnostics, Usage, UsageSource};
use super::ids::{AbortId, MessageId, SessionId, TurnId};
use super::mode::SessionModes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What `initialize` says of pillion itself: under `capabilities.experimental.pillion` in LSP, under
/// `agentCapabilities._meta.pillion` in ACP.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities<'a> {
    pub protocol_version: u32,
    /// The methods that can be called besides those of the dialect itself.
    pub methods: &'a [&'a str],
}

/// `session/new`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewSessionResult {
    pub session_id: SessionId,
    pub modes: SessionModes,
    pub config_options: Vec<ConfigOption>,
    /// What was sent but has no effect, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// `session/load`, `session/resume`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenSessionResult {
    pub modes: SessionModes,
    pub config_options: Vec<ConfigOption>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The turns of the session that the model did not end, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<StopEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// How an earlier turn was ended, to be shown where that turn stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StopEntry {
    pub turn_id: TurnId,
    /// The assistant's message of the turn.
    pub message_id: MessageId,
    pub stop: Stopped,
    /// The cause's name, as in the abort record.
    pub cause: String,
    /// Absent for a fault or a limit, which nobody asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<Initiator>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why, in one plain sentence to show.
    pub sentence: String,
    pub abort_id: AbortId,
    /// Wall clock, milliseconds since 1970, when the turn had ended.
    pub at: u64,
}

/// How a turn ended that the model did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    Cancelled,
    /// It had had what a turn is allowed.
    MaxTurnRequests,
    Failed,
}

impl From<&Abort> for StopEntry {
    fn from(abort: &Abort) -> Self {
        Self {
            turn_id: abort.turn_id.clone(),
            message_id: abort.message_id.clone(),
            stop: match abort.cause.ends_as() {
                EndsAs::Cancelled => Stopped::Cancelled,
                EndsAs::MaxTurnRequests => Stopped::MaxTurnRequests,
                EndsAs::Fault => Stopped::Failed,
            },
            cause: abort.cause.name().into(),
            initiator: abort.initiator,
            source: abort.source.clone(),
            sentence: abort.sentence(),
            abort_id: abort.abort_id.clone(),
            at: abort.settled_at,
        }
    }
}

/// `session/set_config_option`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigResult {
    pub config_options: Vec<ConfigOption>,
}

/// A setting of one session that the client can show as a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigOption {
    pub id: String,
    pub name: String,
    pub description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub r#type: ConfigOptionType,
    pub current_value: String,
    pub options: Vec<ConfigChoice>,
}

/// How a setting is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigOptionType {
    Select,
}

/// One value of a [`ConfigOption`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChoice {
    pub value: String,
    pub name: String,
}

/// `session/list`: newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSessionsResult {
    pub sessions: Vec<SessionEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One row of [`ListSessionsResult`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEntry {
    pub session_id: SessionId,
    pub cwd: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// RFC 3339, UTC.
    pub updated_at: String,
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<EntryMeta>,
}

/// The `_meta` of a [`SessionEntry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryMeta {
    pub pillion: EntryExtras,
}

/// What pillion tells of a listed session beyond ACP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryExtras {
    /// The turns that have begun and have no end, the oldest first.
    pub open_turns: Vec<OpenTurnEntry>,
}

/// A turn without an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenTurnEntry {
    pub turn_id: TurnId,
    /// The process that runs it, or ran it.
    pub pid: u32,
    /// When it began: RFC 3339, UTC.
    pub since: String,
    /// `false`: the process has died, and the end of the turn could not be recorded.
    pub is_running: bool,
}

/// `session/close`, `session/delete`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// How a turn ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    EndTurn,
    MaxTokens,
    /// The turn had had what it is allowed: a budget was used up, or the model repeated itself.
    MaxTurnRequests,
    Refusal,
    Cancelled,
}

/// `session/prompt`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptResult {
    pub stop_reason: StopReason,
    pub turn_id: TurnId,
    pub message_id: MessageId,
    /// The `seq` of the turn's last update; 0 if it sent none.
    pub last_update: u64,
    pub usage: PromptUsage,
    /// The model that answered, as `provider:model`; absent when none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why the turn was stopped, in one plain sentence to show; absent when the model ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    pub diagnostics: Diagnostics,
}

/// `session/shell`. How the command itself ended is told whether it was stopped or not.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShellResult {
    /// `end_turn`, or `cancelled`.
    pub stop_reason: StopReason,
    pub turn_id: TurnId,
    pub message_id: MessageId,
    /// The `seq` of the turn's last update.
    pub last_update: u64,
    #[serde(flatten)]
    pub ran: ShellRan,
    /// Why the command was stopped, in one plain sentence to show; absent when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    pub diagnostics: Diagnostics,
}

/// What came of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShellRan {
    /// Absent when a signal ended the command, when it was not started, and when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The name of the signal that ended the command, such as `SIGTERM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Why the command was not started, or why nobody knows how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it wrote to stdout and stderr, in the order in which it came; of more than 64 KiB the beginning and the end.
    pub output: String,
    /// Everything that it wrote, in bytes.
    pub output_bytes: u64,
}

/// The `data` of the error that answers a `session/prompt` whose turn failed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnFailure<'a> {
    #[serde(flatten)]
    pub cause: &'a Cause,
    pub turn_id: &'a TurnId,
    pub diagnostics: &'a Diagnostics,
}

/// Tokens of a turn. What nobody counted is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptUsage {
    pub source: UsageSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_input_tokens: Option<u64>,
}

impl From<Usage> for PromptUsage {
    fn from(usage: Usage) -> Self {
        Self {
            source: usage.source,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cache_write_input_tokens: usage.cache_write_input_tokens,
        }
    }
}

/// `session/cancel` with an id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelResult {
    pub outcome: CancelOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_id: Option<AbortId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Box<Abort>>,
}

/// `session/export`: the document itself, or (with `path`) where it was written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ExportResult {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::export::SessionExport>")]
    pub export: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
