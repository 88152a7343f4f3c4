//! The cancels that come as notifications. Stop must never fail silently: what is wrong with one is dropped and listed,
//! and it cancels all the same.

use crate::protocol::abort::RequestRef;
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::ids::{RequestId, SessionId, TurnId};
use crate::protocol::params::{check_reason, check_source};
use crate::provenance::Moment;
use crate::rpc::json::Fields;
use crate::session::demand::{CancelDemand, CancelScope};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The demand of a `session/cancel` without an id; nothing if it names no session.
pub(super) fn of_notification(params: &str, request: RequestRef, requested: Moment) -> Option<CancelDemand> {
    let fields = Fields::parse(params).ok()?;
    let session_id = fields.read::<SessionId>("sessionId")?;
    let mut lenient = Lenient { fields, missing: Vec::new() };
    let turn_id = lenient.take::<TurnId>("turnId", |_| true);
    let source = lenient.take::<String>("source", |source| check_source(source).is_ok());
    let reason = lenient.take::<String>("reason", |reason| check_reason(reason).is_ok());
    let initiator = lenient.take::<Initiator>("initiator", |_| true).unwrap_or_default();
    let mode = lenient.take::<CancelMode>("mode", |_| true).unwrap_or_default();
    Some(CancelDemand {
        session_id,
        scope: turn_id.map_or(CancelScope::Session, CancelScope::Turn),
        cause: Cause::ClientCancel,
        initiator,
        mode,
        source,
        reason,
        request: Some(request),
        requested,
        point: "rpc.session/cancel",
        via_ctx_abort: false,
        missing: lenient.missing,
    })
}

/// The demand of a cancel by request id that met a prompt.
pub(super) fn of_prompt(session_id: SessionId, turn_id: TurnId, request: RequestRef, requested: Moment) -> CancelDemand {
    CancelDemand {
        session_id,
        scope: CancelScope::Turn(turn_id),
        cause: Cause::RpcCancel,
        initiator: Initiator::Unknown,
        mode: CancelMode::Hard,
        source: None,
        reason: None,
        point: if request.method == "$/cancelRequest" { "rpc.$/cancelRequest" } else { "rpc.$/cancel_request" },
        request: Some(request),
        requested,
        via_ctx_abort: false,
        missing: Vec::new(),
    }
}

/// The request id that a cancel by id names: `id` in LSP, `requestId` in ACP; both spellings are taken from everybody.
pub(super) fn target(params: &str) -> Option<RequestId> {
    let fields = Fields::parse(params).ok()?;
    RequestId::parse(fields.get("requestId").or_else(|| fields.get("id"))?.get()).ok()
}

struct Lenient<'a> {
    fields: Fields<'a>,
    missing: Vec<String>,
}

impl<'a> Lenient<'a> {
    /// A field that is there and good. One that is there and bad is listed; null is as good as absent.
    fn take<T: Deserialize<'a>>(&mut self, key: &str, good: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.fields.get(key).map(RawValue::get).is_none_or(|json| json == "null") {
            return None;
        }
        let value = self.fields.read::<T>(key).filter(good);
        if value.is_none() {
            self.missing.push(key.to_owned());
        }
        value
    }
}
