//! The work on one request: polled once where it arrived, so that it keeps its order, and then on its own.
//!
//! Invariant: a panic in a handler becomes the answer of its own request, an incident, and nobody else's trouble.

use super::registry::{Call, Ticket};
use crate::protocol::ids::SessionId;
use crate::rpc::dialect::Dialect;
use crate::rpc::error::{WireError, code};
use crate::rpc::json::Fields;
use crate::session::error::Refusal;
use crate::session::service::SessionService;
use futures_util::future::{BoxFuture, FutureExt};
use jsonrpsee::types::error::OVERSIZED_RESPONSE_CODE;
use jsonrpsee::types::{Id, Params};
use jsonrpsee::{AsyncMethod, ConnectionId, Extensions, MethodResponse};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tower_lsp::ExitedError;
use tower_lsp::jsonrpc::Response;
use tracing::Instrument;

/// What jsonrpsee writes around a result: its envelope, with an id of ours.
const ENVELOPE: usize = 64;

/// How an answer of the session API becomes the client's.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) dialect: Dialect,
    pub(super) method: &'static str,
    /// The most bytes of a result.
    pub(super) limit: usize,
}

/// A call of the session API that is about to run.
pub(super) struct Work {
    pub(super) callback: AsyncMethod<'static>,
    pub(super) call: Call,
    pub(super) shape: Shape,
    pub(super) sessions: Arc<dyn SessionService>,
}

impl Work {
    /// `params` is one object.
    pub(super) fn run(self, ticket: Ticket, params: &str) {
        let Self { callback, call, shape, sessions } = self;
        let span = tracing::info_span!("request", id = %call.request().id, method = shape.method);
        let mut extensions = Extensions::new();
        extensions.insert(call);
        let id = Id::Number(ticket.serial());
        // jsonrpsee takes parameters by position; ours is always the one object.
        let positional = Params::new(Some(&format!("[{params}]"))).into_owned();
        let handler = async move { callback(id, positional, ConnectionId(0), shape.limit.saturating_add(ENVELOPE), extensions).await };
        span.in_scope(|| tracing::debug!("a request arrived"));
        let session_id = Fields::parse(params).ok().and_then(|fields| fields.read::<SessionId>("sessionId"));
        let handler = AssertUnwindSafe(handler.instrument(span)).catch_unwind().inspect(move |done| {
            if done.is_err() {
                sessions.broke("handler_panic", session_id, Some(shape.method));
            }
        });
        let mut handler = Box::pin(handler);
        if let Some(done) = (&mut handler).now_or_never() {
            return shape.answer(ticket, done, Some(params));
        }
        ticket.run(|ticket| {
            let task = tokio::spawn(async move {
                let done = handler.await;
                shape.answer(ticket, done, None);
            });
            task.abort_handle()
        });
    }
}

impl Shape {
    fn answer(self, ticket: Ticket, done: std::thread::Result<MethodResponse>, params: Option<&str>) {
        let Ok(response) = done else {
            return answer(ticket, Err(WireError::internal("the handler of this request broke")));
        };
        match Reply::read(response.as_ref()) {
            Ok(result) => {
                let result = self.dialect.result(self.method, result);
                let fits = result.len() <= self.limit;
                answer(ticket, if fits { Ok(&result) } else { Err(self.too_large()) });
            }
            Err(error) if error.code == OVERSIZED_RESPONSE_CODE => answer(ticket, Err(self.too_large())),
            Err(error) => answer(ticket, Err(self.dialect.error(error.of_method(self.method, params)))),
        }
    }

    fn too_large(self) -> WireError {
        match self.method {
            "session/export" => Refusal::ResultTooLarge { limit: self.limit }.into(),
            method => WireError::new(code::REQUEST_FAILED, format!("the result of {method} has more than {} bytes", self.limit))
                .with(&serde_json::json!({ "limit": self.limit })),
        }
    }
}

/// What jsonrpsee answered, without its envelope.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<WireError>,
}

impl<'a> Reply<'a> {
    fn read(json: &'a str) -> Result<&'a str, WireError> {
        let reply: Self = serde_json::from_str(json).map_err(|_| WireError::internal("the answer could not be read"))?;
        match reply.error {
            Some(error) => Err(error),
            None => Ok(reply.result.map_or("null", RawValue::get)),
        }
    }
}

/// Answers, unless somebody else has.
pub(super) fn answer(ticket: Ticket, outcome: Result<&str, WireError>) {
    let Some(responder) = ticket.claim() else { return };
    match outcome {
        Ok(result) => responder.result(result),
        Err(error) => responder.error(&error),
    }
}

/// The number under which tower-lsp knows a request, whatever id the client chose.
pub(super) fn small_id(ticket: &Ticket) -> i64 {
    i64::try_from(ticket.serial()).unwrap_or(i64::MAX)
}

/// Answers `shutdown` when `settled` is done. It cannot be cancelled.
pub(super) fn shutdown(
    ticket: Ticket,
    lifecycle: BoxFuture<'static, Result<Option<Response>, ExitedError>>,
    settled: impl Future<Output = ()> + Send + 'static,
) {
    let mut settled = Box::pin(
        AssertUnwindSafe(async move {
            settled.await;
            matches!(lifecycle.await, Ok(Some(response)) if response.is_ok())
        })
        .catch_unwind(),
    );
    let outcome = |done| match done {
        Ok(true) => Ok("null"),
        Ok(false) | Err(_) => Err(WireError::internal("the shutdown did not come to its end")),
    };
    if let Some(done) = (&mut settled).now_or_never() {
        return answer(ticket, outcome(done));
    }
    tokio::spawn(async move { answer(ticket, outcome(settled.await)) });
}
