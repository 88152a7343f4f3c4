//! A message's envelope: parsed once, in linear time; params and results stay raw JSON, copied once.
//!
//! Invariant: no bytes make it panic or recurse, and what it refuses comes with the answer to send.

use crate::protocol::ids::RequestId;
use crate::protocol::nesting::is_deeper_than;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// The body is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The body is JSON, but no message.
pub const INVALID_REQUEST: i64 = -32600;
/// `params` cannot be params.
pub const INVALID_PARAMS: i64 = -32602;

/// A message from the peer.
#[derive(Debug)]
pub enum Inbound {
    Request {
        id: RequestId,
        method: String,
        params: Option<Box<RawValue>>,
    },
    Notification {
        method: String,
        params: Option<Box<RawValue>>,
    },
    /// The answer to a request of ours: its result, or its error object.
    Response {
        id: RequestId,
        outcome: Result<Box<RawValue>, Box<RawValue>>,
    },
}

/// Why a body is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Null if the body's id could not be read.
    pub id: RequestId,
    pub code: i64,
    pub message: String,
}

impl Inbound {
    /// Reads one body of at most `nesting` levels of arrays and objects. Absent, `null` and present params are told apart
    /// only as none (the first two) and some (an object or an array).
    ///
    /// # Errors
    /// What to answer instead.
    pub fn parse(body: &[u8], nesting: usize) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(body).map_err(|error| {
            Invalid::anonymous(
                PARSE_ERROR,
                format!("the message is not valid UTF-8: the first bad byte is at offset {}", error.valid_up_to()),
            )
        })?;
        if is_deeper_than(nesting, body) {
            let message = format!("the message nests arrays and objects deeper than {nesting} levels; send it flatter");
            return Err(Invalid::anonymous(INVALID_REQUEST, message));
        }
        let text = text.trim_ascii();
        if !text.starts_with('{') {
            serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
            let message = match text.starts_with('[') {
                true => "batches are not supported; send each message by itself",
                false => "a message must be a JSON object",
            };
            return Err(Invalid::anonymous(INVALID_REQUEST, message));
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        envelope.sort()
    }
}

impl Invalid {
    /// A refusal of a message whose id is not known.
    pub fn anonymous(code: i64, message: impl Into<String>) -> Self {
        Self { id: RequestId::null(), code, message: message.into() }
    }

    /// The error answer, as a body to write.
    pub fn answer(&self) -> Vec<u8> {
        let message = serde_json::Value::from(self.message.as_str());
        format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{},"message":{message}}}}}"#, self.id.as_json(), self.code).into_bytes()
    }
}

/// The members of a message. Each is present or absent; present includes `null`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn sort(self) -> Result<Inbound, Invalid> {
        let id = match self.id.map(|id| RequestId::parse(id.get())).transpose() {
            Ok(id) => id,
            Err(bad) => return Err(Invalid::anonymous(INVALID_REQUEST, bad.to_string())),
        };
        let refuse = |code, message: &str| Invalid { id: id.clone().unwrap_or_else(RequestId::null), code, message: message.into() };
        if self.jsonrpc.is_none_or(|version| version.get() != r#""2.0""#) {
            return Err(refuse(INVALID_REQUEST, "`jsonrpc` must be \"2.0\""));
        }
        let Some(method) = self.method else { return self.response(id) };
        if self.result.is_some() || self.error.is_some() {
            return Err(refuse(INVALID_REQUEST, "a message has either `method`, or `result` or `error`, not both"));
        }
        let method = serde_json::from_str(method.get()).map_err(|_| refuse(INVALID_REQUEST, "`method` must be a string"))?;
        let params = match self.params.map(RawValue::get) {
            None | Some("null") => None,
            Some(json) if json.starts_with(['{', '[']) => self.params.map(ToOwned::to_owned),
            Some(_) => return Err(refuse(INVALID_PARAMS, "`params` must be an object or an array")),
        };
        Ok(match id {
            Some(id) => Inbound::Request { id, method, params },
            None => Inbound::Notification { method, params },
        })
    }

    fn response(&self, id: Option<RequestId>) -> Result<Inbound, Invalid> {
        // Some clients write both members and set the one that does not count to null.
        let outcome = match (self.result, self.error.filter(|error| error.get() != "null")) {
            (_, Some(error)) if self.result.is_none_or(|result| result.get() == "null") => Err(error.to_owned()),
            (Some(result), None) => Ok(result.to_owned()),
            (Some(_), Some(_)) => {
                return Err(Invalid::anonymous(INVALID_REQUEST, "an answer has either `result` or `error`, not both"));
            }
            (None, _) => {
                return Err(Invalid {
                    id: id.unwrap_or_else(RequestId::null),
                    code: INVALID_REQUEST,
                    message: "a message needs `method`, `result` or `error`".into(),
                });
            }
        };
        match id {
            Some(id) => Ok(Inbound::Response { id, outcome }),
            None => Err(Invalid::anonymous(INVALID_REQUEST, "an answer needs the `id` of its request")),
        }
    }
}

/// Keeps `null` apart from absent, which `Option` alone does not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn not_json(error: &serde_json::Error) -> Invalid {
    match error.classify() {
        // JSON all right: a member that stands twice.
        Category::Data => Invalid::anonymous(INVALID_REQUEST, format!("the message is ambiguous: {error}")),
        _ => Invalid::anonymous(PARSE_ERROR, format!("the message is not valid JSON: {error}")),
    }
}

#[cfg(test)]
mod tests;
