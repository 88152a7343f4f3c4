//! Errors on the wire: the codes, and the one conversion of a session's refusal.
//!
//! Codes here are those of the LSP dialect; `dialect` alone knows the others. Every message is a sentence for the
//! person at the editor, and `data` names what a program needs.

use super::json::Fields;
use crate::protocol::ids::BadRequestId;
use crate::protocol::results::TurnFailure;
use crate::provenance::KnownKeys;
use crate::session::error::Refusal;
use crate::text::{exact, first};
use jsonrpsee::types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;

/// The error codes of the LSP dialect.
pub mod code {
    pub const PARSE_ERROR: i32 = -32700;
    pub const INVALID_REQUEST: i32 = -32600;
    pub const METHOD_NOT_FOUND: i32 = -32601;
    pub const INVALID_PARAMS: i32 = -32602;
    pub const INTERNAL: i32 = -32603;
    /// LSP `ServerNotInitialized`.
    pub const NOT_INITIALIZED: i32 = -32002;
    /// LSP `RequestFailed`: correct, but it cannot be done.
    pub const REQUEST_FAILED: i32 = -32803;
    /// LSP `RequestCancelled`.
    pub const REQUEST_CANCELLED: i32 = -32800;
}

/// The `error` object of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireError {
    pub code: i32,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

impl WireError {
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Adds what a program needs to know. Data that cannot be written is left out.
    pub fn with(mut self, data: &impl Serialize) -> Self {
        self.data = to_raw_value(data).ok();
        self
    }

    /// A defect of pillion's own, contained.
    pub fn internal(what: &str) -> Self {
        Self::new(code::INTERNAL, format!("{what}; this is a bug in pillion; see its log"))
    }

    /// The same without any known key: whatever a client sends wrong, it does not get its keys shown. The records of a
    /// failed turn have lost theirs where they were made.
    pub fn without(&self, keys: &KnownKeys) -> Cow<'_, Self> {
        if keys.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut clean = self.clone();
        clean.message = keys.scrub_record(clean.message);
        if !self.names("diagnostics") {
            let data = self.data.as_deref().and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
            clean.data = data.and_then(|data| to_raw_value(&keys.scrub_record(data)).ok());
        }
        Cow::Owned(clean)
    }

    /// Whether `data` has this key.
    pub fn names(&self, key: &str) -> bool {
        self.data.as_deref().and_then(|data| Fields::parse(data.get()).ok()).is_some_and(|fields| fields.get(key).is_some())
    }

    /// Puts the method in front of what is wrong with its parameters. `params` is the object that was sent, as far as
    /// it is still at hand: the parser tells only where it stopped, and the object tells which field that is.
    pub fn of_method(mut self, method: &str, params: Option<&str>) -> Self {
        if self.code != code::INVALID_PARAMS || self.names("sessionId") {
            return self;
        }
        if let Some(what) = self.data.as_deref().and_then(|data| serde_json::from_str::<String>(data.get()).ok()) {
            let bad = BadParams::read(&what, params);
            self.message = bad.sentence;
            self = match bad.field {
                Some(field) => self.with(&serde_json::json!({ "field": field })),
                None => Self { data: None, ..self },
            };
        }
        self.message = format!("{method}: {}", self.message);
        self
    }
}

/// A name that the client chose, as a sentence can show it: not long, and nothing in it that a screen would obey.
pub(super) fn shown(name: &str) -> String {
    const MAX_CHARS: usize = 79;
    let start = first(name, MAX_CHARS);
    format!("{}{}", exact(start), if start.len() < name.len() { "…" } else { "" })
}

/// What the parser said of parameters that did not fit, retold with the name of the field.
struct BadParams {
    sentence: String,
    field: Option<String>,
}

impl BadParams {
    fn read(what: &str, params: Option<&str>) -> Self {
        let (text, position) = split_position(what);
        if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            return Self { sentence: text.to_owned(), field: Some(field.to_owned()) };
        }
        let field = params.zip(position).and_then(|(params, (line, column))| {
            let fields = Fields::parse(params).ok()?;
            fields.at(params, offset_of(params, line, column)?).map(str::to_owned)
        });
        let sentence = match &field {
            Some(field) => format!("`{field}`: {text}"),
            None => text.to_owned(),
        };
        Self { sentence, field }
    }
}

/// Cuts serde's ` at line 1 column 20` off its message.
fn split_position(what: &str) -> (&str, Option<(usize, usize)>) {
    let parsed = what.rsplit_once(" at line ").and_then(|(text, position)| {
        let (line, column) = position.split_once(" column ")?;
        Some((text, (line.parse().ok()?, column.parse().ok()?)))
    });
    parsed.map_or((what, None), |(text, position)| (text, Some(position)))
}

fn offset_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    (before + column).checked_sub(1)
}

impl From<Refusal> for WireError {
    fn from(refusal: Refusal) -> Self {
        use serde_json::json;
        let message = refusal.to_string();
        match &refusal {
            Refusal::BadField(bad) => Self::new(code::INVALID_PARAMS, message).with(&json!({ "field": bad.field })),
            Refusal::UnknownSession(id) | Refusal::NotOpen(id) => {
                Self::new(code::INVALID_PARAMS, message).with(&json!({ "sessionId": id }))
            }
            Refusal::SessionTaken(_) => Self::new(code::INVALID_PARAMS, message).with(&json!({ "field": "sessionId" })),
            Refusal::Busy(id) | Refusal::BusyForShell(id) => Self::new(code::REQUEST_FAILED, message).with(&json!({ "sessionId": id })),
            Refusal::NotOwner { session_id, pid } => {
                Self::new(code::REQUEST_FAILED, message).with(&json!({ "sessionId": session_id, "owner": { "pid": pid } }))
            }
            Refusal::NoModel(_) => Self::new(code::REQUEST_FAILED, message).with(&json!({ "setting": "model" })),
            Refusal::TurnFailed { cause, turn_id, diagnostics, .. } => {
                Self::new(code::REQUEST_FAILED, message).with(&TurnFailure { cause, turn_id, diagnostics })
            }
            Refusal::ResultTooLarge { limit } => Self::new(code::REQUEST_FAILED, message).with(&json!({ "limit": limit })),
            Refusal::Broke => Self::new(code::INTERNAL, message),
            Refusal::UnusableModel(_) | Refusal::Export(_) | Refusal::Store(_) | Refusal::ShuttingDown => {
                Self::new(code::REQUEST_FAILED, message)
            }
        }
    }
}

impl From<BadRequestId> for WireError {
    fn from(bad: BadRequestId) -> Self {
        Self::new(code::INVALID_REQUEST, bad.to_string())
    }
}

impl From<WireError> for ErrorObjectOwned {
    fn from(error: WireError) -> Self {
        Self::owned(error.code, error.message, error.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::cause::Cause;
    use crate::protocol::ids::SessionId;
    use crate::protocol::ids::TurnId;
    use crate::protocol::params::BadField;
    use serde_json::json;

    fn written(error: &WireError) -> Value {
        serde_json::to_value(error).expect("json")
    }

    #[test]
    fn a_failed_turn_carries_its_cause_with_the_data_of_the_cause() {
        let refusal = Refusal::TurnFailed {
            cause: Cause::ProviderHttp { http_status: 503 },
            turn_id: TurnId::new("turn_1"),
            message: "The model provider refused the request with HTTP status 503.".into(),
            diagnostics: Box::default(),
        };
        assert_eq!(
            written(&refusal.into()),
            json!({"code": -32803, "message": "The model provider refused the request with HTTP status 503.",
                   "data": {"cause": "provider_http", "http_status": 503, "turnId": "turn_1", "diagnostics": {}}})
        );
    }

    #[test]
    fn only_an_unknown_session_is_told_by_its_id() {
        let unknown = WireError::from(Refusal::UnknownSession(SessionId::new("ses_1")));
        assert!(unknown.names("sessionId") && unknown.code == code::INVALID_PARAMS);
        let taken = WireError::from(Refusal::SessionTaken(SessionId::new("ses_1")));
        assert!(!taken.names("sessionId") && taken.names("field"));
    }

    #[test]
    fn what_is_wrong_with_a_field_names_method_and_field() {
        let bad = WireError::from(Refusal::from(BadField::new("source", "must be short"))).of_method("session/cancel", None);
        assert_eq!(
            written(&bad),
            json!({"code": -32602, "message": "session/cancel: `source` must be short", "data": {"field": "source"}})
        );

        let parser = |what: &str| WireError::new(code::INVALID_PARAMS, "Invalid params").with(&what);
        let missing = parser("missing field `sessionId` at line 1 column 2").of_method("session/prompt", Some("{}"));
        assert_eq!(missing.message, "session/prompt: missing field `sessionId`");
        assert!(missing.names("field"));

        let params = "{\"sessionId\":\"s\",\n \"prompt\": \"hi\"}";
        let position = serde_json::from_str::<crate::protocol::params::PromptParams>(params).expect_err("no list").to_string();
        let wrong = parser(&position).of_method("session/prompt", Some(params));
        assert_eq!(wrong.message, "session/prompt: `prompt`: invalid type: string \"hi\", expected a sequence");
        assert_eq!(written(&wrong)["data"], json!({"field": "prompt"}));
    }
}
