//! What servers refuse of a request that they would take without it, in their own words.
//!
//! Invariant: only what was in the request can have been refused, so a request becomes smaller with each refusal, and each is
//! met once.

use std::sync::atomic::{AtomicU16, Ordering};

/// A part of a request, or a way of writing it, that a server does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Tools,
    StreamOptions,
    /// Thoughts in a form that only the vendor reads.
    Encrypted,
    /// A message with calls that says nothing of what was thought.
    NoThoughts,
    /// What a provider gave with a step, or with a call.
    States,
    /// Ids of calls that are not nine letters and digits.
    OtherThanNine,
    /// Ids of calls that are long, or have other signs than letters, digits, `_` and `-`.
    OddIds,
    /// What says which requests are of one conversation.
    CacheKey,
}

/// A set of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct Refused(u16);

/// What a server has refused so far, known to all who ask the same model.
#[derive(Debug, Default)]
pub(super) struct Learned(AtomicU16);

impl Refusal {
    fn bit(self) -> u16 {
        1 << self as u16
    }

    /// What is left out, in a word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::StreamOptions => "stream_options",
            Self::Encrypted => "include",
            Self::NoThoughts => "calls without reasoning_content",
            Self::States => "what was thought",
            Self::OtherThanNine => "ids of calls that are not 9 letters and digits",
            Self::OddIds => "ids of calls with more than 40 signs or with odd ones",
            Self::CacheKey => "prompt_cache_key",
        }
    }

    /// Whether these words, an error's body, refuse it.
    fn is_in(self, words: &str) -> bool {
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
        let is_id = says(&["tool_call_id", "tool call id", "tool_calls", "tool_use", "call_id"]);
        match self {
            Self::Tools => says(NO_TOOLS) || refuses_field(words, "tools"),
            Self::StreamOptions => words.contains("stream_options") || words.contains("include_usage"),
            Self::Encrypted => says(&["encrypted content is not", "encrypted_content is not"]) || refuses_field(words, "include"),
            Self::NoThoughts => words.contains("reasoning_content") && says(&["passed back", "missing", "required", "must be"]),
            Self::States => {
                let fields = [
                    "reasoning_content",
                    "reasoning_details",
                    "reasoning",
                    "extra_content",
                    "thinking",
                    "thinking_blocks",
                    "encrypted_content",
                ];
                let is_broken = says(&["signature", "encrypted content", "encrypted_content", "thinking block"])
                    && says(&["invalid", "corrupted", "field required", "not be verified", "could not be decrypted", "not be parsed"]);
                is_broken || fields.iter().any(|field| refuses_field(words, field))
            }
            Self::OtherThanNine => is_id && says(&["length of 9", "9 characters", "exactly 9"]),
            Self::CacheKey => refuses_field(words, "prompt_cache_key"),
            Self::OddIds => is_id && says(&["string too long", "maximum length", "at most", "should match pattern", "does not match"]),
        }
    }
}

impl Refused {
    pub(in crate::provider) fn has(self, what: Refusal) -> bool {
        self.0 & what.bit() != 0
    }

    #[cfg(test)]
    pub(in crate::provider) fn and(self, what: Refusal) -> Self {
        Self(self.0 | what.bit())
    }
}

impl Learned {
    pub(super) fn so_far(&self) -> Refused {
        Refused(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn add(&self, what: Refusal) {
        self.0.fetch_or(what.bit(), Ordering::Relaxed);
    }
}

/// Which of these parts of a request to `model` an error answer refuses.
pub(super) fn refusal(status: u16, body: &[u8], sent: &[Refusal], model: &str) -> Option<Refusal> {
    if !matches!(status, 400 | 404 | 405 | 415 | 422 | 500 | 501) {
        return None;
    }
    let mut words = String::from_utf8_lossy(body).to_lowercase();
    words.retain(|c| !"'\"`\\".contains(c));
    let words = without_names(&words, &model.to_lowercase());
    sent.iter().copied().find(|what| what.is_in(&words))
}

/// The words without the names of models, which can be those of fields: the one that was asked, and what a gateway asks behind it.
fn without_names(words: &str, model: &str) -> String {
    // A name that is a plain word may well be meant as one.
    let is_telling = model.contains(|c: char| !c.is_alphabetic());
    let words = if is_telling { words.replace(model, "") } else { words.to_owned() };
    let mut pieces = words.split("model=");
    let first = pieces.next().unwrap_or_default().to_owned();
    let is_of_a_name = |c: char| !c.is_whitespace() && !matches!(c, ',' | ';' | ')');
    pieces.fold(first, |before, piece| before + "model " + piece.trim_start_matches(is_of_a_name))
}

/// Whether the words say of a whole field that nobody knows it: of a place within it they would say what is wrong there.
fn refuses_field(words: &str, field: &str) -> bool {
    const UNKNOWN: &[&str] = &[
        "unknown",
        "unrecognized",
        "unexpected",
        "unsupported",
        "not support",
        "not supported",
        "extra inputs",
        "extra fields",
        "extra_forbidden",
        "not permitted",
        "not allowed",
        "additional properties",
        "no such",
    ];
    let is_whole = |(at, _): (usize, &str)| {
        let (before, behind) = (words[..at].chars().next_back(), words[at + field.len()..].chars().next());
        let is_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
        !before.is_some_and(is_of_a_name) && !behind.is_some_and(|c| is_of_a_name(c) || matches!(c, '[' | '.'))
    };
    UNKNOWN.iter().any(|unknown| words.contains(unknown)) && words.match_indices(field).any(is_whole)
}

/// Without quotation marks, in lower case.
const NO_TOOLS: &[&str] = &[
    "not support tool",
    "not support function",
    "no support for tool",
    "support tool use",
    "tool use is not",
    "tool calling is not",
    "tool calls are not",
    "tools are not supported",
    "tools is not supported",
    "tools not supported",
    "function calling is not",
    "functions are not supported",
    "tools param requires",
    "tool choice requires",
    "tool_choice requires",
    "not support parameters: [tools",
];

#[cfg(test)]
mod tests {
    use super::*;
    use Refusal::{CacheKey, Encrypted, NoThoughts, OddIds, OtherThanNine, States, StreamOptions, Tools};

    const CHAT: &[Refusal] = &[NoThoughts, States, OtherThanNine, OddIds, StreamOptions, Tools];
    const RESPONSES: &[Refusal] = &[Encrypted, CacheKey, States, Tools];
    const MESSAGES: &[Refusal] = &[States, Tools];

    #[test]
    fn servers_words_are_understood() {
        for (sent, status, body, want) in [
            (CHAT, 400, r#"{"error":{"message":"registry.ollama.ai/library/gemma:2b does not support tools"}}"#, Some(Tools)),
            (CHAT, 500, r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#, Some(Tools)),
            (
                CHAT,
                400,
                r#"{"message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set"}"#,
                Some(Tools),
            ),
            (CHAT, 404, r#"{"error":{"message":"No endpoints found that support tool use.","code":404}}"#, Some(Tools)),
            (CHAT, 400, r#"{"error":{"message":"`tool calling` is not supported with this model"}}"#, Some(Tools)),
            (CHAT, 400, r#"{"error":{"message":"Unrecognized request argument supplied: tools"}}"#, Some(Tools)),
            (
                CHAT,
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","tools"],"msg":"Extra inputs are not permitted"}]}"#,
                Some(Tools),
            ),
            (CHAT, 422, r#"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#, Some(StreamOptions)),
            (CHAT, 400, r#"{"error":{"message":"Unknown parameter: 'stream_options'."}}"#, Some(StreamOptions)),
            (CHAT, 400, "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", Some(OtherThanNine)),
            (
                CHAT,
                400,
                "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got 64.",
                Some(OddIds),
            ),
            (CHAT, 400, "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", Some(OddIds)),
            (CHAT, 400, "The `reasoning_content` in the thinking mode must be passed back to the API.", Some(NoThoughts)),
            (
                CHAT,
                422,
                r#"{"detail":[{"loc":["body","messages",1,"reasoning_content"],"msg":"Extra inputs are not permitted"}]}"#,
                Some(States),
            ),
            (CHAT, 400, "Corrupted thought signature.", Some(States)),
            (RESPONSES, 400, r#"{"error":{"message":"Encrypted content is not supported with this model."}}"#, Some(Encrypted)),
            (RESPONSES, 400, "The encrypted content for item rs_1 could not be verified.", Some(States)),
            (MESSAGES, 400, "messages.1.content.0: Invalid `signature` in `thinking` block", Some(States)),
            (CHAT, 400, "Invalid schema for function 'search': tools[0].function.parameters has the unsupported keyword `not`", None),
            (CHAT, 400, "This model's maximum context length is 8192 tokens", None),
            (CHAT, 400, "an unsupported value for temperature", None),
            (CHAT, 401, "tools are not supported without a key", None),
            (RESPONSES, 400, "x does not support parameters: ['prompt_cache_key'], for model=text. To drop these, ...", Some(CacheKey)),
            (RESPONSES, 400, "x does not support parameters: ['prompt_cache_key'], for model=tools. To drop these, ...", Some(CacheKey)),
            (CHAT, 400, "x does not support parameters: ['seed'], for model=tools. To drop these, ...", None),
            (CHAT, 400, "'seed' is not supported with acme/with-tools:1", None),
            (CHAT, 400, "acme/with-tools:1 does not support tools", Some(Tools)),
            (&[], 400, "gemma does not support tools", None),
        ] {
            assert_eq!(refusal(status, body.as_bytes(), sent, "Acme/with-tools:1"), want, "{body}");
        }
    }

    #[test]
    fn what_is_learned_is_kept() {
        let learned = Learned::default();
        learned.add(Tools);
        learned.add(OddIds);
        let so_far = learned.so_far();
        assert_eq!([Tools, StreamOptions, OddIds].map(|what| so_far.has(what)), [true, false, true]);
        assert_eq!(so_far, Refused::default().and(OddIds).and(Tools));
    }
}
