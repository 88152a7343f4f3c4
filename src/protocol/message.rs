//! Messages and their parts, as they are stored, replayed, sent to providers and exported.

use super::content::{ContentBlock, EmbeddedResource};
use super::ids::{MessageId, TurnId};
use super::record::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

record! {
    /// One message of a conversation.
    pub struct Message {
        required {
            message_id: MessageId => Id,
            role: Role => Enum,
            /// Wall clock, milliseconds since 1970.
            created_at: u64 => Time,
            parts: Vec<Part> => Record,
        }
        optional {
            turn_id: TurnId => Id,
            /// The model that wrote it, as `provider:model`.
            model: String => Name,
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
}

record! {
    /// A piece of a message. Which optional fields stand depends on `kind`.
    #[derive(Default)]
    pub struct Part {
        required {
            kind: PartKind => Enum,
        }
        optional {
            /// `text`, `reasoning`, a `command`, a `tool_result`'s output, an embedded `resource`'s text.
            text: String => Text,
            /// `tool_call`, `tool_result`.
            call_id: String => Name,
            /// `tool_call`: the name as the model wrote it.
            tool: String => Tool,
            /// `tool_call`: the arguments as the model wrote them; text, if they are no JSON object or nest too deep.
            input: Value => Secret,
            /// `tool_result`: how the call ended.
            status: ResultStatus => Enum,
            /// `tool_result` of a process: its exit code.
            exit_code: i64 => Number,
            /// `tool_result` of a process that a signal ended: the signal's name.
            signal: String => Structure,
            /// `resource`, `resource_link`.
            uri: String => Path,
            /// `resource_link`.
            name: String => Text,
            mime_type: String => Name,
            /// `tool_result` that is a picture, of this `mime_type`: its bytes in base64.
            data: String => Secret,
            /// `state`, `tool_call`: what the provider gave with the step or the call, and wants back unchanged. JSON.
            state: String => Text,
            /// The model that gave it, as `provider:model`; it is given to no other.
            state_of: String => Name,
        }
    }
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    #[default]
    Text,
    Reasoning,
    ToolCall,
    ToolResult,
    /// What the provider gave with a step for itself: nobody reads it, and nobody is shown it.
    State,
    /// A shell command that the user ran; the whole of a user's message. What came of it is a tool call with its result in
    /// the answer.
    Command,
    Resource,
    ResourceLink,
}

/// How a tool call ended. Every call has exactly one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    Completed,
    Failed,
    /// The user or the policy said no.
    Denied,
    /// It never started: the turn was stopped first.
    NotStarted,
    /// It was running when the turn was stopped.
    Interrupted,
    /// Nobody knows how far it came, and it is never run again: the process died, or not all that it started could be ended.
    UnknownOutcome,
}

impl Part {
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: PartKind::Text, text: Some(text.into()), ..Self::default() }
    }

    pub fn reasoning(text: impl Into<String>) -> Self {
        Self { kind: PartKind::Reasoning, text: Some(text.into()), ..Self::default() }
    }

    pub fn state(state: impl Into<String>, of: impl Into<String>) -> Self {
        Self { kind: PartKind::State, state: Some(state.into()), state_of: Some(of.into()), ..Self::default() }
    }

    pub fn command(command: impl Into<String>) -> Self {
        Self { kind: PartKind::Command, text: Some(command.into()), ..Self::default() }
    }

    /// A call whose arguments are null has none: as a field, null would be read back as absent.
    pub fn tool_call(call_id: impl Into<String>, tool: impl Into<String>, input: Value) -> Self {
        let input = if input.is_null() { Value::Object(serde_json::Map::new()) } else { input };
        Self { kind: PartKind::ToolCall, call_id: Some(call_id.into()), tool: Some(tool.into()), input: Some(input), ..Self::default() }
    }

    pub fn tool_result(call_id: impl Into<String>, status: ResultStatus, text: impl Into<String>) -> Self {
        Self { kind: PartKind::ToolResult, call_id: Some(call_id.into()), status: Some(status), text: Some(text.into()), ..Self::default() }
    }
}

impl From<ContentBlock> for Part {
    fn from(block: ContentBlock) -> Self {
        match block {
            ContentBlock::Text { text } => Self::text(text),
            ContentBlock::Resource { resource } => Self {
                kind: PartKind::Resource,
                uri: Some(resource.uri),
                text: resource.text,
                mime_type: resource.mime_type,
                ..Self::default()
            },
            // The words that a picture's tool result has.
            ContentBlock::Image { mime_type, data } => Self::text(format!("[image: {mime_type}, {} bytes]", data.len() / 4 * 3)),
            ContentBlock::ResourceLink { uri, name } => {
                Self { kind: PartKind::ResourceLink, uri: Some(uri), name: Some(name), ..Self::default() }
            }
        }
    }
}

impl Part {
    /// The content block that shows this part to a client; tool calls and results are shown as tool updates instead.
    pub fn as_content(&self) -> Option<ContentBlock> {
        match self.kind {
            PartKind::Text | PartKind::Reasoning | PartKind::Command => Some(ContentBlock::text(self.text.clone().unwrap_or_default())),
            PartKind::Resource => Some(ContentBlock::Resource {
                resource: EmbeddedResource {
                    uri: self.uri.clone().unwrap_or_default(),
                    mime_type: self.mime_type.clone(),
                    text: self.text.clone(),
                },
            }),
            PartKind::ResourceLink => {
                Some(ContentBlock::ResourceLink { uri: self.uri.clone().unwrap_or_default(), name: self.name.clone().unwrap_or_default() })
            }
            PartKind::ToolCall | PartKind::ToolResult | PartKind::State => None,
        }
    }

    /// What a tool's result shows to a client.
    pub fn result_content(&self) -> Vec<ContentBlock> {
        let text = self.text.clone().map(ContentBlock::text);
        let image = self.image().map(|(mime_type, data)| ContentBlock::Image { mime_type: mime_type.into(), data: data.into() });
        text.into_iter().chain(image).collect()
    }

    /// The picture that a tool's result is: its MIME type, and its bytes in base64.
    pub fn image(&self) -> Option<(&str, &str)> {
        Some((self.mime_type.as_deref()?, self.data.as_deref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_null_for_arguments_is_read_back_as_it_was_kept() {
        let call = Part::tool_call("c", "list_tools", Value::Null);
        assert_eq!(call.input, Some(serde_json::json!({})));
        let stored = serde_json::to_string(&call).expect("json");
        assert_eq!(serde_json::from_str::<Part>(&stored).expect("a part"), call);
    }
}
