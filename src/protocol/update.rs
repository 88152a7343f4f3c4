//! What pillion tells the client while a turn runs: the `session/update` variants of ACP, no others.

use super::content::ContentBlock;
use super::diagnostics::NoteKind;
use super::ids::{MessageId, SessionId, TurnId};
use super::results::ConfigOption;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// `session/update`, a notification.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateParams<'a> {
    pub session_id: &'a SessionId,
    pub update: &'a SessionUpdate,
    #[serde(rename = "_meta")]
    pub meta: UpdateMeta<'a>,
}

/// The `_meta` of [`UpdateParams`].
#[derive(Debug, Serialize, JsonSchema)]
pub struct UpdateMeta<'a> {
    pub pillion: UpdatePlace<'a>,
}

/// Where in its session an update belongs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePlace<'a> {
    /// Counts per session from 1.
    pub seq: u64,
    /// Absent outside of a turn (a title that arrives later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<&'a TurnId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a MessageId>,
}

/// The `update` object of a `session/update` notification.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "sessionUpdate", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SessionUpdate {
    UserMessageChunk {
        content: ContentBlock,
    },
    AgentMessageChunk {
        content: ContentBlock,
    },
    AgentThoughtChunk {
        content: ContentBlock,
    },
    ToolCall(ToolCall),
    ToolCallUpdate(ToolCallUpdate),
    /// What the model says that it is going to do; it replaces the plan before it.
    Plan {
        entries: Vec<PlanEntry>,
    },
    /// A setting of the session is another one now, and the client has not set it.
    ConfigOptionUpdate {
        /// All of them.
        config_options: Vec<ConfigOption>,
    },
    SessionInfoUpdate {
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        updated_at: Option<String>,
        #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
        meta: Option<InfoMeta>,
    },
}

/// The `_meta` of a `session_info_update`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct InfoMeta {
    pub pillion: InfoExtras,
}

/// What pillion tells of a session beyond ACP.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InfoExtras {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryNotice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<NoteNotice>,
}

/// Something about the model's answer that did not fail it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoteNotice {
    /// As the stream trace names it.
    pub kind: NoteKind,
    /// The same for a person.
    pub sentence: String,
}

/// A model call has failed and will be made again.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryNotice {
    /// The number of the attempt to come, the first being 1.
    pub attempt: u64,
    pub max_attempts: u64,
    /// The wait before it.
    pub delay_ms: u64,
    /// What stopped the attempt that failed, as a turn's `cause` is written.
    pub cause: String,
    /// The same for a person.
    pub sentence: String,
}

/// A tool call as it is first shown.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    pub tool_call_id: String,
    pub title: String,
    pub kind: ToolKind,
    pub status: ToolCallStatus,
    pub raw_input: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<ToolLocation>,
}

/// A change of a tool call that was shown before.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallUpdate {
    pub tool_call_id: String,
    pub status: ToolCallStatus,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<ToolCallContent>,
}

/// What a tool call shows of its result.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ToolCallContent {
    Content {
        content: ContentBlock,
    },
    Diff {
        path: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        old_text: Option<String>,
        new_text: String,
    },
}

/// A file that a tool call touches.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ToolLocation {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlanEntry {
    pub content: String,
    pub priority: PlanPriority,
    pub status: PlanStatus,
}

/// How much a step of a plan matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanPriority {
    High,
    Medium,
    Low,
}

/// How far a step of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    Pending,
    InProgress,
    Completed,
}

/// ACP's kinds of tools, as far as pillion has such tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    Read,
    Edit,
    Search,
    Execute,
    Think,
    /// A name the model made up.
    Other,
}

/// Where a tool call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolCallStatus {
    Pending,
    InProgress,
    Completed,
    Failed,
}
