//! The dialect of a connection, LSP or ACP: the only place that knows one from the other.
//!
//! Handlers speak one language (the LSP dialect's: our fields at the root); this file turns what comes in into it and
//! what goes out into the client's own. Invariant: nothing is lost on the way, it only stands elsewhere.

mod handshake;
#[cfg(test)]
mod tests;

pub use handshake::{ClientInfo, FileSkills, Hello};

use super::error::{WireError, code, shown};
use super::json::{Fields, ObjectWriter};
use crate::config::Framing;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// ACP's "resource not found": the code of an unknown session.
pub(super) const ACP_RESOURCE_NOT_FOUND: i32 = -32002;

/// Which language the client speaks; decided once, by its `initialize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Lsp,
    Acp,
}

impl Dialect {
    /// The method as the session API names it.
    pub fn canonical(self, method: &str) -> &str {
        match self {
            Self::Acp => method.strip_prefix("_pillion/").unwrap_or(method),
            Self::Lsp => method,
        }
    }

    /// The parameters as one object in the session API's shape: in ACP our own fields are lifted out of
    /// `_meta.pillion`. What stands at the root already stays as it is.
    ///
    /// # Errors
    /// The parameters are no object, and no list of exactly one.
    pub fn params(self, params: Option<&RawValue>) -> Result<Cow<'_, str>, WireError> {
        let object = one_object(params)?;
        if self == Self::Lsp || !contains(object, "\"_meta\"") {
            return Ok(object.into());
        }
        let Ok(fields) = Fields::parse(object) else { return Ok(object.into()) };
        let Some(ours) = fields.object("_meta").and_then(|meta| meta.object("pillion")) else { return Ok(object.into()) };
        let mut out = ObjectWriter::with_capacity(object.len());
        fields.iter().for_each(|(key, value)| out.field(key, value.get()));
        ours.iter().filter(|(key, _)| fields.get(key).is_none()).for_each(|(key, value)| out.field(key, value.get()));
        Ok(out.finish().into())
    }

    /// A result in the client's shape: in ACP every field that ACP does not name moves to `_meta.pillion`.
    pub fn result<'r>(self, method: &str, result: &'r str) -> Cow<'r, str> {
        let Ok(fields) = (match self {
            Self::Lsp => return result.into(),
            Self::Acp => Fields::parse(result),
        }) else {
            return result.into();
        };
        let mut root = ObjectWriter::with_capacity(result.len() + 32);
        let mut ours = ObjectWriter::with_capacity(result.len());
        for (key, value) in fields.iter() {
            if acp_fields(method).contains(&key) { root.field(key, value.get()) } else { ours.field(key, value.get()) }
        }
        if !ours.is_empty() {
            root.field("_meta", &format!("{{\"pillion\":{}}}", ours.finish()));
        }
        root.finish().into()
    }

    /// An error with the client's code for it.
    pub fn error(self, mut error: WireError) -> WireError {
        error.code = match (self, error.code) {
            (Self::Acp, code::INVALID_PARAMS) if error.names("sessionId") => ACP_RESOURCE_NOT_FOUND,
            (Self::Acp, code::REQUEST_FAILED) if error.names("cause") => code::INTERNAL,
            (_, code) => code,
        };
        error
    }

    /// The notification that takes a request of ours back.
    pub fn withdrawal(self, id: i64) -> (&'static str, serde_json::Value) {
        match self {
            Self::Lsp => ("$/cancelRequest", serde_json::json!({ "id": id })),
            Self::Acp => ("$/cancel_request", serde_json::json!({ "requestId": id })),
        }
    }
}

/// What a request before `initialize` is told; there is no dialect yet, so the framing decides.
pub fn not_initialized(framing: Framing, method: &str) -> WireError {
    let code = match framing {
        Framing::Headers => code::NOT_INITIALIZED,
        Framing::Lines => code::INVALID_REQUEST,
    };
    WireError::new(code, format!("{} came before initialize; send initialize first", shown(method)))
}

/// The fields that ACP version 1 names in the result of a method.
fn acp_fields(method: &str) -> &'static [&'static str] {
    match method {
        "session/new" => &["sessionId", "modes", "configOptions"],
        "session/load" | "session/resume" => &["modes", "configOptions"],
        "session/set_config_option" => &["configOptions"],
        "session/list" => &["sessions", "nextCursor"],
        "session/prompt" => &["stopReason"],
        _ => &[],
    }
}

/// Absent, null, `[]` and `{}` all mean an empty object; a list of exactly one object means that object.
fn one_object(params: Option<&RawValue>) -> Result<&str, WireError> {
    let text = params.map_or("null", RawValue::get);
    match text.as_bytes().first() {
        Some(b'{') => return Ok(text),
        Some(b'n') => return Ok("{}"),
        Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(text).as_deref() {
            Ok([]) => return Ok("{}"),
            Ok([one]) if one.get().starts_with('{') => return Ok(one.get()),
            _ => {}
        },
        _ => {}
    }
    Err(WireError::new(code::INVALID_PARAMS, "params must be one object"))
}

/// Whether `text` has `needle`, in linear time.
fn contains(text: &str, needle: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some()
}

/// The W3C trace context of a request: `_meta.traceparent`, or `traceparent` at the root; dropped unless well formed.
pub fn traceparent(params: &str) -> Option<String> {
    if !contains(params, "\"traceparent\"") {
        return None;
    }
    let fields = Fields::parse(params).ok()?;
    let text: String = fields.object("_meta").and_then(|meta| meta.read("traceparent")).or_else(|| fields.read("traceparent"))?;
    is_traceparent(&text).then_some(text)
}

/// W3C Trace Context level 1, section 3.2: version, 16-byte trace id, 8-byte parent id, flags, in lower-case hex.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let given = |part: &str| part.bytes().any(|b| b != b'0');
    let [version, trace, parent, flags] = parts[..] else { return false };
    (version.len(), trace.len(), parent.len(), flags.len()) == (2, 32, 16, 2)
        && parts.iter().all(|part| hex(part))
        && version != "ff"
        && given(trace)
        && given(parent)
}
