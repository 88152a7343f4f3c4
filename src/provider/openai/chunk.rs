//! What a `chat.completion.chunk` looks like, as far as it is read.
//!
//! Invariants: an event's text is borrowed from; what compatible servers leave out, set to null or send as another type than the
//! vendor does is read as what it plainly means, or as nothing, never an error. An event that is read as words alone says the
//! same as if it had been read in full.

use crate::provider::wire::calls::Arguments;
use crate::provider::wire::loose::{Index, Lax, Many, Plain};
use crate::provider::wire::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What nearly every event is: more words, written as the vendor writes them, and nothing else that [`Chunk`] knows.
#[derive(Debug)]
pub(super) struct WordsAlone<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) content: Cow<'a, str>,
}

impl<'a> WordsAlone<'a> {
    /// The words, or nothing if the event has to be read in full.
    pub(super) fn read(data: &'a str) -> Option<Self> {
        let PlainChunk { id, object, choices: [Plain(choice)], .. } = serde_json::from_str(data).ok()?;
        let is_ours = choice.index == 0 && object.0 == "chat.completion.chunk";
        is_ours.then_some(Self { id: id.0, content: choice.delta.0.content.0 })
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of [`Chunk`]; anything but null in one that is `()` makes it another event.
#[derive(Deserialize)]
#[expect(dead_code, reason = "that they are null is all that there is to know of some fields")]
struct PlainChunk<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    object: Text<'a>,
    #[serde(borrow)]
    choices: [Plain<PlainChoice<'a>>; 1],
    #[serde(default)]
    usage: (),
    #[serde(default)]
    error: (),
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "as above")]
struct PlainChoice<'a> {
    index: u64,
    #[serde(borrow)]
    delta: Plain<PlainDelta<'a>>,
    #[serde(default)]
    message: (),
    #[serde(default)]
    text: (),
    #[serde(default)]
    finish_reason: (),
    #[serde(default)]
    error: (),
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "as above")]
struct PlainDelta<'a> {
    #[serde(borrow)]
    content: Text<'a>,
    #[serde(default)]
    reasoning_content: (),
    #[serde(default)]
    reasoning: (),
    #[serde(default)]
    reasoning_details: (),
    #[serde(default)]
    thinking_blocks: (),
    #[serde(default)]
    extra_content: (),
    #[serde(default)]
    refusal: (),
    #[serde(default)]
    tool_calls: (),
    #[serde(default)]
    function_call: (),
}

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
    /// LiteLLM before Anthropic: the blocks that have to go back.
    #[serde(borrow, default)]
    pub(super) thinking_blocks: Option<&'a RawValue>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_alone_are_known_by_what_is_not_beside_them() {
        let event = |choice: &str, more: &str| {
            format!(r#"{{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{{"index":0,{choice}}}],"odd":[1]{more}}}"#)
        };
        let words = |data: &str| WordsAlone::read(data).map(|words| (words.id.into_owned(), words.content.into_owned()));
        for choice in [
            r#""delta":{"content":"a\n\u00e9"}"#,
            r#""delta":{"role":"assistant","content":"a\né","refusal":null,"odd":{}},"logprobs":null,"finish_reason":null"#,
        ] {
            assert_eq!(words(&event(choice, r#","usage":null"#)), Some(("c".into(), "a\né".into())), "{choice}");
        }
        for (choice, more) in [
            (r#""delta":{"content":"a"},"finish_reason":"stop""#, ""),
            (r#""delta":{"content":"a","tool_calls":[]}"#, ""),
            (r#""delta":{"content":"a","reasoning":"b"}"#, ""),
            (r#""delta":{"content":null}"#, ""),
            (r#""delta":["a"]"#, ""),
            (r#""delta":{"content":"\ud83d"}"#, ""),
            (r#""delta":{"content":"a"}"#, r#","usage":{}"#),
            (r#""delta":{"content":"a"}"#, r#","error":"x""#),
        ] {
            assert_eq!(words(&event(choice, more)), None, "{choice} {more}");
        }
        assert_eq!(words(&event(r#""delta":{"content":"a"}"#, "").replace("\"index\":0", "\"index\":1")), None);
        assert_eq!(words(&event(r#""delta":{"content":"a"}"#, "").replace("chat.completion.chunk", "error")), None);
    }
}
