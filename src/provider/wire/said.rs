//! What a provider's error says, in whichever of the shapes in use.
//!
//! Invariant: its words arrive, whatever they are wrapped in; a code names a reason where one is given, and repeats a status
//! only where nothing else is.

use super::waits;
use crate::protocol::diagnostics::Meaning;
use serde_json::Value;
use serde_json::value::RawValue;

/// How often errors stand within the words of errors.
const DEPTH: u32 = 4;

/// What an error says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub(super) message: String,
    /// The name of the error.
    pub(super) code: Option<String>,
    /// The kind of error, where the vendor gives one beside the code.
    kind: Option<String>,
    /// An HTTP status in the place of a code.
    pub(super) status: Option<u16>,
    /// How long to wait, by a field of the error's own.
    wait_ms: Option<u64>,
}

/// Fields in which the words stand, in the order in which they count.
const MESSAGES: [&str; 11] = [
    "message",
    "detail",
    "details",
    "msg",
    "error_message",
    "errorMessage",
    "error_description",
    "Message",
    "faultstring",
    "reason",
    "title",
];
/// Fields in which another error may stand.
const NESTED: [&str; 5] = ["error", "errors", "fault", "detail", "response"];

impl Said {
    /// Reads a whole body or an event's data.
    pub(in crate::provider) fn read(text: &str) -> Self {
        let text = text.trim();
        match serde_json::from_str::<Value>(text) {
            Ok(value) => Self::of(&value),
            Err(_) if text.starts_with('<') => Self::words(&format!("the body is a web page, not an API's answer{}", title(text))),
            Err(_) => Self::words(text),
        }
    }

    pub(super) fn of(value: &Value) -> Self {
        Self::within(value, DEPTH)
    }

    /// Plain words, which may hold an error of JSON.
    pub(super) fn words(text: &str) -> Self {
        Self { message: text.to_owned(), ..Self::default() }.unwrapped(DEPTH)
    }

    fn within(value: &Value, depth: u32) -> Self {
        let value = first(value);
        let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let Value::Object(fields) = value else {
            let message = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return if value.is_null() { Self::default() } else { Self { message, ..Self::default() }.unwrapped(depth) };
        };
        let nested = NESTED.iter().filter_map(|field| fields.get(*field)).find(|nested| says_something(nested));
        // `error: "Bad Request"` beside a `message` is the name of what the message tells.
        let is_name = nested.is_some_and(Value::is_string) && text("message").is_some();
        let mut said = match nested.filter(|_| !is_name && depth > 0) {
            Some(nested) => Self::within(nested, depth - 1),
            None => {
                let message = MESSAGES.iter().find_map(|field| {
                    let value = fields.get(*field).filter(|value| says_something(value))?;
                    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                });
                Self { message: message.unwrap_or_default(), ..Self::default() }
            }
        };
        let names = ["code", "type", "status", "__type", "errorCode", "error_code", "error_type"];
        let mut names =
            names.iter().chain(is_name.then_some(&"error")).filter_map(|field| text(field)).filter(|name| is_name_of_an_error(name));
        let (code, kind) = (names.next().map(str::to_owned), names.next().map(str::to_owned));
        if said.code.is_none() {
            said.kind = said.kind.or_else(|| kind.filter(|kind| code.as_ref() != Some(kind)));
            said.code = code;
        }
        said.status = said.status.or_else(|| {
            ["code", "status", "status_code", "statusCode", "http_status"].iter().find_map(|field| status(fields.get(*field)?))
        });
        said.wait_ms = said.wait_ms.or_else(|| waits::in_fields(value));
        if said.message.is_empty() && said.code.is_none() && depth == DEPTH {
            said.message = value.to_string();
        }
        // A gateway gives the words of the server behind it, which are the ones that tell.
        if let Some(raw) = value.pointer("/metadata/raw").filter(|raw| says_something(raw)) {
            let raw = Self::within(raw, depth.saturating_sub(1));
            if !raw.message.is_empty() && !said.message.contains(&raw.message) {
                said.message = format!("{}: {}", said.message, raw.message);
            }
            said.code = said.code.or(raw.code);
            said.wait_ms = said.wait_ms.or(raw.wait_ms);
        }
        said.unwrapped(depth)
    }

    /// The error that stands as JSON in the words, with the words before it.
    fn unwrapped(mut self, depth: u32) -> Self {
        if depth == 0 {
            return self;
        }
        let Some(at) = self.message.find('{') else { return self };
        let mut values = serde_json::Deserializer::from_str(&self.message[at..]).into_iter::<Value>();
        let Some(Ok(value @ Value::Object(_))) = values.next() else { return self };
        let inner = Self::within(&value, depth - 1);
        let unread = value.to_string();
        if inner.message.is_empty() || inner.message == unread {
            return self;
        }
        let before =
            self.message[..at].trim_end_matches(|c: char| c.is_whitespace() || "'\"([".contains(c)).trim_end_matches("b").trim_end();
        let before = before.trim_end_matches([':', '-']).trim_end();
        self.message = if before.is_empty() { inner.message } else { format!("{before}: {}", inner.message) };
        self.code = self.code.or(inner.code);
        self.kind = self.kind.or(inner.kind);
        self.status = self.status.or(inner.status);
        self.wait_ms = self.wait_ms.or(inner.wait_ms);
        self
    }

    /// The code that a record keeps: a name, or else the status.
    pub(super) fn code(&self) -> Option<String> {
        self.code.clone().or_else(|| self.status.map(|status| status.to_string()))
    }

    /// The words. A kind that is not the code stands in front of them.
    pub(super) fn told(&self) -> String {
        match &self.kind {
            Some(kind) if !self.message.contains(kind.as_str()) => format!("{kind}: {}", self.message),
            _ => self.message.clone(),
        }
    }

    /// Whether the conversation is too long for the model. `status` is the answer's own, where it is an error.
    pub(super) fn is_context_overflow(&self, status: Option<u16>) -> bool {
        let may_be = status.or(self.status).is_none_or(|status| matches!(status, 400 | 413 | 422 | 500));
        self.is_named(CONTEXT_NAMES) || (may_be && self.says(CONTEXT_WORDS))
    }

    /// What the provider means by it, if it is one of the things that pillion acts upon. `status` is the answer's own.
    pub(super) fn means(&self, status: Option<u16>) -> Option<Meaning> {
        let status = status.or(self.status);
        let says = |words| self.says(words);
        let named = [&self.code, &self.kind].into_iter().flatten().find_map(|name| Meaning::named(name));
        let is_limit = status == Some(429) || named == Some(Meaning::RateLimited) || (status.is_none() && says(RATE_WORDS));
        // Some vendors write the same words about a minute's limit and an empty account: one that says when to come back means the first.
        let comes_back = self.wait_ms.is_some() && !says(&["per day", "perday"]);
        if named == Some(Meaning::QuotaExhausted) || status == Some(402) || (is_limit && !comes_back && says(QUOTA_WORDS)) {
            return Some(Meaning::QuotaExhausted);
        }
        if is_limit {
            return Some(Meaning::RateLimited);
        }
        if status.is_none_or(|status| status == 503) && says(LOADING_WORDS) {
            return Some(Meaning::Loading);
        }
        // A gateway makes a 500 of whatever stands behind it.
        let by_words = matches!(status, None | Some(500)) && says(BUSY_WORDS);
        let is_busy = matches!(status, Some(503 | 529)) || named == Some(Meaning::Overloaded) || by_words;
        is_busy.then_some(Meaning::Overloaded)
    }

    fn is_named(&self, names: &[&str]) -> bool {
        [&self.code, &self.kind].into_iter().flatten().any(|name| names.iter().any(|known| name.eq_ignore_ascii_case(known)))
    }

    fn says(&self, phrases: &[&str]) -> bool {
        let words = self.message.to_ascii_lowercase();
        phrases.iter().any(|phrase| words.contains(phrase))
    }

    /// How long the provider asks to be left alone, by its error's fields or else by its words.
    pub(super) fn wait_ms(&self) -> Option<u64> {
        self.wait_ms.or_else(|| waits::in_words(&self.message))
    }
}

const CONTEXT_NAMES: &[&str] = &[
    "context_length_exceeded",
    "exceed_context_size_error",
    "context_window_exceeded",
    "context_length_exceeded_error",
    "contextwindowexceedederror",
    "model_context_window_exceeded",
    "context_overflow",
    "prompt_too_long",
];
const CONTEXT_WORDS: &[&str] = &[
    "maximum context length",
    "context length exceeded",
    "context_length_exceeded",
    "exceeds the context",
    "exceed the context",
    "exceeds the available context size",
    "exceed context limit",
    "exceeds the maximum context",
    "exceeds the model's maximum context",
    "exceeds the model's context",
    "context window exceeds",
    "exceeds the context window",
    "context window of this model",
    "larger than the context",
    "greater than the context length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input length and `max_tokens` exceed",
    "input token count",
    "maximum prompt length",
    "reduce the length of the messages",
    "too large for model with",
    "number of tokens to keep from the initial prompt",
];
const QUOTA_WORDS: &[&str] = &[
    "exceeded your current quota",
    "insufficient quota",
    "insufficient_quota",
    "insufficient balance",
    "insufficient credits",
    "credit balance is too low",
    "billing",
    "out of credits",
    "budget has been exceeded",
    "per day",
    "perday",
    "monthly",
];
const RATE_WORDS: &[&str] = &["rate limit", "rate-limit", "ratelimit", "too many requests", "throttl"];
const BUSY_WORDS: &[&str] = &["overloaded", "at capacity", "no capacity", "temporarily unavailable", "service unavailable"];
const LOADING_WORDS: &[&str] =
    &["loading model", "model is loading", "currently loading", "model is being loaded", "is still loading", "model loading"];

/// Whether a document that no protocol knows is an error.
pub(super) fn is_error(value: &Value) -> bool {
    let says = |field: &str| value.get(field).is_some_and(says_something);
    let is = |field: &str, word: &str| value.get(field).and_then(Value::as_str) == Some(word);
    says("error")
        || says("errors")
        || says("detail")
        || ["object", "type", "status", "event"].iter().any(|field| is(field, "error"))
        || (value.get("success") == Some(&Value::Bool(false)))
        || (value.get("message").is_some_and(Value::is_string)
            && (says("code") || says("status") || value.as_object().is_some_and(|fields| fields.len() == 1)))
}

/// Whether an `error` field holds one.
pub(in crate::provider) fn reports(error: Option<&RawValue>) -> bool {
    error.is_some_and(|error| serde_json::from_str(error.get()).is_ok_and(|error| says_something(&error)))
}

/// Whether there is anything in it: an empty error is none.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim(), "" | "null" | "None"),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(fields) => fields.values().any(says_something),
    }
}

/// Of a list, its first that says something.
fn first(value: &Value) -> &Value {
    match value {
        Value::Array(items) => items.iter().find(|item| says_something(item)).map_or(value, first),
        value => value,
    }
}

/// A word that only says that there is an error is no name of one.
fn is_name_of_an_error(name: &str) -> bool {
    !matches!(name, "error" | "None" | "null" | "failed") && name.parse::<f64>().is_err() && !name.contains(char::is_whitespace)
}

fn status(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    u16::try_from(number).ok()
}

/// The title of a web page, as words behind a colon.
fn title(page: &str) -> String {
    let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map(|(title, _)| title.trim());
    title.filter(|title| !title.is_empty()).map(|title| format!(" ({title})")).unwrap_or_default()
}

#[cfg(test)]
#[path = "said_tests.rs"]
mod tests;
