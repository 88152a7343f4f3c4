//! Content blocks of a prompt or a message (ACP `ContentBlock`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One piece of a prompt or of a message. Fields that pillion does not use are kept as they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock {
    Text {
        text: String,
    },
    /// A resource that the client read itself and sends along.
    Resource {
        resource: EmbeddedResource,
    },
    /// A picture that a tool gave. In a prompt pillion takes none.
    #[serde(rename_all = "camelCase", skip_deserializing)]
    Image {
        mime_type: String,
        /// Its bytes in base64.
        data: String,
    },
    /// A pointer to a resource that the model may read with its tools.
    #[serde(rename_all = "camelCase")]
    ResourceLink {
        uri: String,
        name: String,
    },
}

/// The contents of a [`ContentBlock::Resource`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedResource {
    pub uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl ContentBlock {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// Free-form fields that ride on a message under `_meta`.
pub type Meta = serde_json::Map<String, Value>;
