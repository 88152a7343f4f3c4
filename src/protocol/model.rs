//! What is said between a turn and a model, whoever the vendor is.

pub use super::diagnostics::NoteKind;

use super::diagnostics::{ClosedBy, Usage};
use super::ids::AttemptId;
use super::message::Message;
use serde_json::Value;
use std::sync::Arc;

/// One model call.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    pub attempt_id: AttemptId,
    pub purpose: Purpose,
    pub system: String,
    /// The history, valid: every tool call has exactly one result, and it ends with what the model must answer. An
    /// assistant's message holds its whole turn in order (text, tool calls, their results, more text); the vendor's
    /// request builder splits it as the vendor wants.
    pub messages: Vec<Arc<Message>>,
    /// The same list for every call of a session; it is shared.
    pub tools: Arc<[ToolSpec]>,
}

/// What a model call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Turn,
    Title,
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    pub name: &'static str,
    pub description: &'static str,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
}

/// What a model's stream delivers, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// The request has been handed to the network (or the model has begun to read it).
    RequestSent,
    /// The answer's head arrived.
    Headers {
        http_status: u16,
        request_id: Option<String>,
    },
    /// Bytes of the answer came that say nothing: a ping, a comment, a piece of an event.
    KeptAlive,
    /// The provider's own id of the answer.
    ResponseId(String),
    Text(String),
    Reasoning(String),
    /// A tool call begins, or goes on after another one: the arguments that follow are its. What the model has not named yet is
    /// empty.
    ToolBegins {
        /// Which call of the answer, counted from 0 in the order in which they begin.
        nth: usize,
        call_id: String,
        tool: String,
    },
    /// More bytes of a tool call's arguments arrived.
    ToolInput {
        bytes: usize,
    },
    /// A tool call is complete. Arguments that are no JSON object, or nest too deep, are handed on as a JSON string
    /// of the raw text.
    ToolCall {
        call_id: String,
        tool: String,
        input: Value,
        /// What the provider wants back with the call; JSON.
        state: Option<String>,
    },
    /// What the provider wants back with this step, where it stands among the step's words and calls; JSON.
    State(String),
    Usage(Usage),
    /// The connection is over, or is free for another request: comes before the finish or the failure. The first one counts.
    UpstreamClosed(ClosedBy),
    /// Something about the answer that does not fail it.
    Note {
        kind: NoteKind,
        message: String,
    },
    /// The model has ended; nothing but the end of the stream follows.
    Finish {
        reason: FinishReason,
        raw: String,
    },
}

/// Why a model ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    EndTurn,
    ToolCalls,
    MaxTokens,
    Refusal,
}
