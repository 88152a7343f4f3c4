//! The question that pillion asks its client: may this tool call run (ACP `session/request_permission`).

use super::ids::{MessageId, SessionId, TurnId};
use super::update::{ToolCall, ToolCallContent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `session/request_permission`, a request of pillion's.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionParams<'a> {
    pub session_id: &'a SessionId,
    pub tool_call: AskedCall<'a>,
    pub options: &'a [PermissionOption],
    #[serde(rename = "_meta")]
    pub meta: PermissionMeta<'a>,
}

/// The call that wants to run, with what it would change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AskedCall<'a> {
    #[serde(flatten)]
    pub call: &'a ToolCall,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub content: &'a [ToolCallContent],
}

/// One answer that can be chosen.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionOption {
    pub option_id: PermissionChoice,
    pub name: &'static str,
    pub kind: PermissionChoice,
}

/// What can be chosen; ACP's kinds of options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermissionChoice {
    AllowOnce,
    /// The same call need not be asked about again while the session is open.
    AllowAlways,
    RejectOnce,
    /// The same call is refused while the session is open.
    RejectAlways,
}

/// The `_meta` of [`PermissionParams`].
#[derive(Debug, Serialize, JsonSchema)]
pub struct PermissionMeta<'a> {
    pub pillion: PermissionPlace<'a>,
}

/// The turn that asks.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionPlace<'a> {
    /// The id of this very request, for clients whose library hides it: a withdrawal names it.
    pub request_id: i64,
    pub turn_id: &'a TurnId,
    pub message_id: &'a MessageId,
}

/// The client's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionResult {
    pub outcome: PermissionOutcome,
}

/// What came of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PermissionOutcome {
    Selected {
        option_id: PermissionChoice,
    },
    /// The turn was stopped before anybody chose.
    Cancelled,
}

impl PermissionOption {
    /// The options of a question, in the order in which they are shown.
    pub const ALL: [Self; 4] = [
        Self::of(PermissionChoice::AllowOnce, "Allow once"),
        Self::of(PermissionChoice::AllowAlways, "Allow this in the whole session"),
        Self::of(PermissionChoice::RejectOnce, "Reject once"),
        Self::of(PermissionChoice::RejectAlways, "Reject this in the whole session"),
    ];

    /// Those of a question that is asked each time.
    pub const ONCE: [Self; 2] = [Self::ALL[0], Self::ALL[2]];

    const fn of(choice: PermissionChoice, name: &'static str) -> Self {
        Self { option_id: choice, name, kind: choice }
    }
}
