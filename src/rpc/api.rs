//! The session API: one trait, from which come the module that serves it and the typed client that calls it.
//!
//! Every method takes one object. A handler does its posting before its first await, so that calls keep the order in
//! which they arrived. Handlers know neither framing nor dialect.

use super::error::WireError;
use super::guard::Call;
use crate::protocol::cause::Cause;
use crate::protocol::params::{
    CancelParams, ExportParams, ListSessionsParams, NewSessionParams, OpenSessionParams, PromptParams, SessionParams,
    SetConfigOptionParams, SetModeParams, ShellParams, check_reason, check_source,
};
use crate::protocol::results::{
    CancelResult, ConfigResult, Empty, ExportResult, ListSessionsResult, NewSessionResult, OpenSessionResult, PromptResult, ShellResult,
};
use crate::session::demand::{CancelDemand, CancelScope};
use crate::session::error::Refusal;
use crate::session::service::{Answer, Reply, SessionService};
use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use std::sync::Arc;

/// What a client can ask of its sessions.
#[rpc(server, client)]
pub trait SessionApi {
    #[method(name = "session/new", with_extensions)]
    async fn new_session(&self, params: NewSessionParams) -> RpcResult<NewSessionResult>;

    /// Opens a session; its history comes as updates before the answer.
    #[method(name = "session/load", with_extensions)]
    async fn load(&self, params: OpenSessionParams) -> RpcResult<OpenSessionResult>;

    /// Opens a session without its history.
    #[method(name = "session/resume", with_extensions)]
    async fn resume(&self, params: OpenSessionParams) -> RpcResult<OpenSessionResult>;

    #[method(name = "session/list", with_extensions)]
    async fn list(&self, params: ListSessionsParams) -> RpcResult<ListSessionsResult>;

    #[method(name = "session/close", with_extensions)]
    async fn close(&self, params: SessionParams) -> RpcResult<Empty>;

    #[method(name = "session/delete", with_extensions)]
    async fn delete(&self, params: SessionParams) -> RpcResult<Empty>;

    #[method(name = "session/prompt", with_extensions)]
    async fn prompt(&self, params: PromptParams) -> RpcResult<PromptResult>;

    /// Runs a command of the user's own.
    #[method(name = "session/shell", with_extensions)]
    async fn shell(&self, params: ShellParams) -> RpcResult<ShellResult>;

    /// The form with an id; the notification is `guard`'s.
    #[method(name = "session/cancel", with_extensions)]
    async fn cancel(&self, params: CancelParams) -> RpcResult<CancelResult>;

    #[method(name = "session/export", with_extensions)]
    async fn export(&self, params: ExportParams) -> RpcResult<ExportResult>;

    #[method(name = "session/set_config_option", with_extensions)]
    async fn set_config_option(&self, params: SetConfigOptionParams) -> RpcResult<ConfigResult>;

    #[method(name = "session/set_mode", with_extensions)]
    async fn set_mode(&self, params: SetModeParams) -> RpcResult<Empty>;
}

/// Serves the API from the sessions.
pub struct SessionDoor(Arc<dyn SessionService>);

impl SessionDoor {
    pub fn new(sessions: Arc<dyn SessionService>) -> Self {
        Self(sessions)
    }
}

#[async_trait]
impl SessionApiServer for SessionDoor {
    async fn new_session(&self, ext: &Extensions, params: NewSessionParams) -> RpcResult<NewSessionResult> {
        answer(self.0.create(call(ext)?.request().clone(), params)).await
    }

    async fn load(&self, _: &Extensions, params: OpenSessionParams) -> RpcResult<OpenSessionResult> {
        answer(self.0.load(params)).await
    }

    async fn resume(&self, _: &Extensions, params: OpenSessionParams) -> RpcResult<OpenSessionResult> {
        answer(self.0.resume(params)).await
    }

    async fn list(&self, _: &Extensions, params: ListSessionsParams) -> RpcResult<ListSessionsResult> {
        answer(self.0.list(params)).await
    }

    async fn close(&self, ext: &Extensions, params: SessionParams) -> RpcResult<Empty> {
        answer(self.0.close(call(ext)?.request().clone(), params)).await
    }

    async fn delete(&self, ext: &Extensions, params: SessionParams) -> RpcResult<Empty> {
        answer(self.0.delete(call(ext)?.request().clone(), params)).await
    }

    async fn prompt(&self, ext: &Extensions, params: PromptParams) -> RpcResult<PromptResult> {
        let call = call(ext)?;
        let ticket = self.0.prompt(call.request().clone(), params, call.way());
        call.runs(ticket.session_id, ticket.turn_id);
        reply(ticket.answer).await
    }

    async fn shell(&self, ext: &Extensions, params: ShellParams) -> RpcResult<ShellResult> {
        let call = call(ext)?;
        let ticket = self.0.shell(call.request().clone(), params, call.way());
        call.runs(ticket.session_id, ticket.turn_id);
        reply(ticket.answer).await
    }

    async fn cancel(&self, ext: &Extensions, params: CancelParams) -> RpcResult<CancelResult> {
        let call = call(ext)?;
        let checked = params.source.as_deref().map_or(Ok(()), check_source).and(params.reason.as_deref().map_or(Ok(()), check_reason));
        checked.map_err(|bad| WireError::from(Refusal::from(bad)))?;
        reply(self.0.cancel(CancelDemand {
            session_id: params.session_id,
            scope: params.turn_id.map_or(CancelScope::Session, CancelScope::Turn),
            cause: Cause::ClientCancel,
            initiator: params.initiator,
            mode: params.mode,
            source: params.source,
            reason: params.reason,
            request: Some(call.request().clone()),
            requested: call.received(),
            point: "rpc.session/cancel",
            via_ctx_abort: false,
            missing: Vec::new(),
        }))
        .await
    }

    async fn export(&self, _: &Extensions, params: ExportParams) -> RpcResult<ExportResult> {
        answer(self.0.export(params)).await
    }

    async fn set_config_option(&self, _: &Extensions, params: SetConfigOptionParams) -> RpcResult<ConfigResult> {
        answer(self.0.set_config_option(params)).await
    }

    async fn set_mode(&self, _: &Extensions, params: SetModeParams) -> RpcResult<Empty> {
        answer(self.0.set_mode(params)).await
    }
}

/// Who calls, put beside the parameters by `guard`.
fn call(ext: &Extensions) -> Result<&Call, WireError> {
    ext.get::<Call>().ok_or_else(|| WireError::internal("a call came without its origin"))
}

async fn answer<T>(answer: Answer<T>) -> RpcResult<T> {
    Ok(answer.await.map_err(WireError::from)?)
}

async fn reply<T>(reply: Reply<T>) -> RpcResult<T> {
    let outcome = reply.await.unwrap_or(Err(Refusal::Broke));
    Ok(outcome.map_err(WireError::from)?)
}
