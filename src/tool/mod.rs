//! Tools: what a model can do in the workspace. One tool a file; `workspace` is the only opener of paths.

use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::{ToolCallContent, ToolKind, ToolLocation};
use crate::provenance::CancelToken;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

/// Something that a model can call.
pub trait Tool: Send + Sync {
    fn spec(&self) -> ToolSpec;

    fn effect(&self) -> Effect;

    fn kind(&self) -> ToolKind;

    /// Validates the arguments and says what the call would do, without doing it.
    ///
    /// # Errors
    /// A sentence for the model: which argument is wrong and what it must be.
    fn plan(&self, input: &Value, context: &ToolContext) -> Result<ToolPlan, ToolError>;

    /// Does it. Long work watches `context.token`.
    fn run(&self, input: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>>;
}

/// What a call would do: shown to the client, and asked about when `asks` is set.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolPlan {
    /// One line, such as `Read src/main.rs`.
    pub title: String,
    pub locations: Vec<ToolLocation>,
    /// Shown with the permission question: for a write, the diff.
    pub content: Vec<ToolCallContent>,
    pub gate: Gate,
}

/// Whether a call may run without a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    Ask,
}

/// What a tool gave back.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    /// For the model.
    pub text: String,
    /// For the client, when it is not just the text.
    pub content: Vec<ToolCallContent>,
}

/// What a tool works with.
#[derive(Clone)]
pub struct ToolContext {
    pub workspace: Arc<workspace::Workspace>,
    pub documents: documents::Documents,
    pub token: CancelToken,
}

/// Why a tool did not do it: a sentence that the model reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);
