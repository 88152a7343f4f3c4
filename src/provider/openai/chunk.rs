//! What a `chat.completion.chunk` looks like, as far as it is read.
//!
//! Invariant: one pass over an event's text, borrowing from it; what compatible servers leave out, set to null or send as
//! another type than the vendor does is read as what it plainly means, or as nothing, never an error.

use crate::provider::wire::calls::Arguments;
use crate::provider::wire::loose::{Index, Lax, Many};
use crate::provider::wire::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One event of the stream, or a whole answer.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    /// `error` where vLLM reports one.
    #[serde(borrow, default)]
    pub(super) object: Words<'a>,
    /// Absent where the event is none of this protocol's.
    #[serde(borrow, default)]
    pub(super) choices: Option<Many<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Index,
    #[serde(borrow, default)]
    pub(super) delta: Lax<Delta<'a>>,
    /// In the place of `delta`, or beside the last one, as a whole.
    #[serde(borrow, default)]
    pub(super) message: Lax<Box<Delta<'a>>>,
    /// The words of the protocol before chats.
    #[serde(borrow, default)]
    pub(super) text: Words<'a>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Words<'a>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) content: Words<'a>,
    /// DeepSeek, llama.cpp, older vLLM.
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<Words<'a>>,
    /// Ollama, OpenRouter, newer vLLM. A server that sends several spellings means the same words.
    #[serde(borrow, default)]
    pub(super) reasoning: Option<Words<'a>>,
    /// OpenRouter: what of a thought has to go back.
    #[serde(borrow, default)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    /// Gemini: a signature of words.
    #[serde(borrow, default)]
    pub(super) extra_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Words<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Many<CallDelta<'a>>,
    /// The form before `tool_calls`.
    #[serde(borrow, default)]
    pub(super) function_call: Lax<FunctionDelta<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct CallDelta<'a> {
    #[serde(default)]
    pub(super) index: Index,
    #[serde(borrow, default)]
    pub(super) id: Words<'a>,
    #[serde(borrow, default)]
    pub(super) function: Lax<FunctionDelta<'a>>,
    /// Where a server leaves `function` out and puts its fields here.
    #[serde(borrow, default)]
    pub(super) name: Words<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    /// Gemini: a signature of the call.
    #[serde(borrow, default)]
    pub(super) extra_content: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub(super) name: Words<'a>,
    /// A string of JSON; some servers send the object itself.
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
}

/// How much of a call's arguments a delta or a message brings.
pub(super) type ArgumentsOf<'a> = fn(Option<&'a RawValue>) -> Arguments<'a>;
