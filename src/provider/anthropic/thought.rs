//! A thought as the vendor wants it back.
//!
//! Invariant: it goes back as it came. Of one that was cut off nothing goes back: without its signature nobody takes it.

use super::event::{Block, Delta};
use serde_json::{Map, Value};

/// A block of thinking while it comes.
#[derive(Debug, Default)]
pub(super) enum Thought {
    #[default]
    Unbegun,
    Plain {
        words: String,
        signature: Option<String>,
    },
    /// Only the vendor reads it.
    Redacted {
        data: String,
    },
}

impl Thought {
    /// The thought that a block is, if it is one.
    pub(super) fn begun(block: &Block<'_>) -> Option<Self> {
        match block.r#type.as_str() {
            "thinking" => {
                let signature = block.signature.as_ref().map(|signature| signature.as_str().to_owned());
                Some(Self::Plain { words: block.thinking.as_str().to_owned(), signature })
            }
            "redacted_thinking" => Some(Self::Redacted { data: block.data.as_str().to_owned() }),
            _ => None,
        }
    }

    pub(super) fn goes_on(&mut self, delta: &Delta<'_>) {
        if matches!(self, Self::Unbegun) {
            *self = Self::Plain { words: String::new(), signature: None };
        }
        if let Self::Plain { words, signature } = self {
            words.push_str(delta.thinking.as_str());
            if let Some(more) = &delta.signature {
                signature.get_or_insert_default().push_str(more.as_str());
            }
        }
    }

    /// The block.
    pub(super) fn whole(self) -> String {
        let fields: &[(&str, Option<String>)] = match self {
            Self::Unbegun => &[],
            Self::Plain { words, signature } => &[("type", Some("thinking".into())), ("thinking", Some(words)), ("signature", signature)],
            Self::Redacted { data } => &[("type", Some("redacted_thinking".into())), ("data", Some(data))],
        };
        let fields = fields.iter().filter_map(|(name, text)| Some(((*name).to_owned(), Value::String(text.clone()?))));
        Value::Object(fields.collect::<Map<_, _>>()).to_string()
    }
}
