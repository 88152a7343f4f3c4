//! What the client sends: the parameters of every request and notification, with the rules that each field must keep.

use super::cause::{CancelMode, Initiator};
use super::content::ContentBlock;
use super::ids::{SessionId, TurnId, is_plain_name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest `reason`, in characters.
pub const MAX_REASON_CHARS: usize = 500;

/// The longest title that a client gives, in characters.
pub const MAX_TITLE_CHARS: usize = 200;

/// The longest command of the user's own, in bytes.
pub const MAX_COMMAND_BYTES: usize = 64 << 10;

/// `session/new`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NewSessionParams {
    /// The workspace: an absolute path of a directory that exists.
    pub cwd: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Chosen by the client, 1-80 characters of `[A-Za-z0-9._:-]`; refused if it is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// `session/load` and `session/resume`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenSessionParams {
    pub session_id: SessionId,
    /// Must be the session's own directory when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<Value>,
}

/// `session/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListSessionsParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// `nextCursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `session/close` and `session/delete`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionParams {
    pub session_id: SessionId,
}

/// `session/prompt`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptParams {
    pub session_id: SessionId,
    pub prompt: Vec<ContentBlock>,
    #[serde(default)]
    pub when_busy: WhenBusy,
}

/// `session/shell`: the user's own command, run by `/bin/sh -c` in the session's directory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShellParams {
    pub session_id: SessionId,
    pub command: String,
}

/// What a prompt does when its session is running something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenBusy {
    #[default]
    Queue,
    Reject,
    Supersede,
}

/// `session/cancel`, as a request or as a notification.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelParams {
    pub session_id: SessionId,
    /// Only this turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default)]
    pub initiator: Initiator,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default)]
    pub mode: CancelMode,
}

/// `session/export`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportParams {
    pub session_id: SessionId,
    /// Off: the full texts. Known keys are left out all the same.
    #[serde(default = "yes")]
    pub sanitize: bool,
    /// Write to this absolute path, which must not exist, instead of answering with the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

fn yes() -> bool {
    true
}

/// `session/set_config_option`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetConfigOptionParams {
    pub session_id: SessionId,
    pub config_id: String,
    pub value: String,
}

/// `session/set_mode`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetModeParams {
    pub session_id: SessionId,
    /// One of `availableModes`.
    pub mode_id: String,
}

/// A parameter that cannot be accepted: which one, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {must}")]
pub struct BadField {
    pub field: &'static str,
    pub must: String,
}

impl BadField {
    pub fn new(field: &'static str, must: impl Into<String>) -> Self {
        Self { field, must: must.into() }
    }
}

/// `source`: 1-80 characters of `[A-Za-z0-9._:-]`.
///
/// # Errors
/// Names the field and the rule.
pub fn check_source(source: &str) -> Result<(), BadField> {
    if is_plain_name(source) { Ok(()) } else { Err(BadField::new("source", "must be 1-80 characters of [A-Za-z0-9._:-]")) }
}

/// `reason`: at most [`MAX_REASON_CHARS`] characters, no control characters.
///
/// # Errors
/// Names the field and the rule.
pub fn check_reason(reason: &str) -> Result<(), BadField> {
    if reason.chars().nth(MAX_REASON_CHARS).is_none() && !reason.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(BadField::new("reason", format!("must be at most {MAX_REASON_CHARS} characters, none of them a control character")))
    }
}

/// `command`: something to run of at most [`MAX_COMMAND_BYTES`], and no NUL, which ends every argument.
///
/// # Errors
/// Names the field and the rule.
pub fn check_command(command: &str) -> Result<(), BadField> {
    if command.trim().is_empty() || command.contains('\0') {
        return Err(BadField::new("command", "must be a shell command, without NUL characters"));
    }
    if command.len() > MAX_COMMAND_BYTES {
        return Err(BadField::new("command", format!("must have at most {MAX_COMMAND_BYTES} bytes; put it into a file")));
    }
    Ok(())
}

/// `title`: at most [`MAX_TITLE_CHARS`] characters.
///
/// # Errors
/// Names the field and the rule.
pub fn check_title(title: &str) -> Result<(), BadField> {
    if title.chars().nth(MAX_TITLE_CHARS).is_some() {
        return Err(BadField::new("title", format!("must have at most {MAX_TITLE_CHARS} characters")));
    }
    Ok(())
}

/// An id that a client chose.
///
/// # Errors
/// Names the field and the rule.
pub fn check_session_id(id: &SessionId) -> Result<(), BadField> {
    if is_plain_name(id.as_str()) { Ok(()) } else { Err(BadField::new("sessionId", "must be 1-80 characters of [A-Za-z0-9._:-]")) }
}
