//! The editor as a session sees it: updates go into the outbox, questions go out as requests and their answers come back.
//!
//! Invariant: what is posted is in the outbox when `post` returns, so order is the order of the calls. The future of a
//! question lives until its answer came or the connection ended: tower-lsp cannot take an answer that nobody waits for.

#[cfg(test)]
mod tests;

use super::dialect::Dialect;
use super::outbox::Outbox;
use crate::protocol::ids::{RequestId, SessionId};
use crate::protocol::permission::{AskedCall, PermissionMeta, PermissionOutcome, PermissionParams, PermissionPlace, PermissionResult};
use crate::protocol::update::{ToolCall, UpdateMeta, UpdateParams, UpdatePlace};
use crate::session::editor::{Editor, NumberedUpdate, Outgoing, PermissionAnswer, PermissionQuestion};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tower_lsp::jsonrpc::{Error, Id, Request, Response};
use tower_lsp::{Client, ClientSocket, ExitedError};
use tower_service::Service;

/// The bytes of an update with a few words of text.
const TYPICAL_UPDATE: usize = 384;

/// The editor at the other end of one connection.
pub struct RpcEditor {
    client: Client,
    line: Arc<Line>,
}

/// What the questions under way share with the editor.
struct Line {
    outbox: Outbox,
    /// The other end of tower-lsp's client: its requests come out, their answers go in.
    socket: Mutex<ClientSocket>,
    /// Decided by `initialize`; nothing is asked before.
    dialect: OnceLock<Dialect>,
    /// Questions so far. Each has its number as its id: there are clients that cannot answer a string.
    asked: AtomicI64,
    /// The client can still read, but has sent its last message.
    hung_up: CancellationToken,
    ended: CancellationToken,
}

impl RpcEditor {
    pub(super) fn new(client: Client, socket: ClientSocket, outbox: Outbox) -> Self {
        let (hung_up, ended) = (CancellationToken::new(), CancellationToken::new());
        let line = Line { outbox, socket: Mutex::new(socket), dialect: OnceLock::new(), asked: AtomicI64::new(0), hung_up, ended };
        Self { client, line: Arc::new(line) }
    }

    /// Tells which dialect the client speaks. The first word counts.
    pub(super) fn speak(&self, dialect: Dialect) {
        let _ = self.line.dialect.set(dialect);
    }

    /// Takes the answer to a question. One that fits no question of ours, or comes too late, is ignored.
    pub(super) fn answered(&self, id: &RequestId, outcome: Result<Box<RawValue>, Box<RawValue>>) {
        let Ok(id) = serde_json::from_str::<i64>(id.as_json()) else { return };
        if self.line.ended.is_cancelled() {
            return;
        }
        let response = match outcome.map(|result| serde_json::from_str(result.get()).unwrap_or(Value::Null)) {
            Ok(result) => Response::from_ok(Id::Number(id), result),
            Err(error) => Response::from_error(Id::Number(id), told(&error)),
        };
        // The sink takes everything at once; it refuses only after `exit`, when nobody waits any more.
        let _ = self.line.socket().send(response).now_or_never();
    }

    /// The client has sent its last message: questions, also later ones, cannot be answered.
    pub(super) fn hang_up(&self) {
        self.line.hung_up.cancel();
    }

    /// The connection is over: no answer will come.
    pub(super) fn end(&self) {
        self.line.ended.cancel();
    }

    fn ask(&self, session_id: &SessionId, call: &ToolCall, question: &PermissionQuestion, reply: oneshot::Sender<PermissionAnswer>) {
        if self.line.hung_up.is_cancelled() {
            let _ = reply.send(PermissionAnswer::Unanswerable);
            return;
        }
        let id = self.line.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let request = Request::build("session/request_permission").id(Id::Number(id)).params(permission(id, session_id, call, question));
        let mut client = self.client.clone();
        let mut answer = client.call(request.finish());
        // The first poll puts the request on tower-lsp's queue, so that it keeps its place among the updates.
        let first = (&mut answer).now_or_never();
        self.line.write_requests();
        if first.is_none() {
            tokio::spawn(wait(answer, reply, client, id, Arc::clone(&self.line)));
        }
    }
}

impl Editor for RpcEditor {
    fn post(&self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Update(update) => {
                let mut bytes = Vec::with_capacity(TYPICAL_UPDATE);
                match serde_json::to_writer(&mut bytes, &Notification::of(&update)) {
                    Ok(()) => self.line.outbox.push_update(bytes),
                    Err(error) => tracing::error!(%error, session_id = %update.session_id, "an update could not be written"),
                }
            }
            Outgoing::AskPermission { session_id, call, question, reply } => self.ask(&session_id, &call, &question, reply),
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.line.outbox.room().boxed()
    }

    fn is_full(&self) -> bool {
        self.line.outbox.is_full()
    }
}

impl Line {
    /// Moves what tower-lsp's client has queued into the outbox.
    fn write_requests(&self) {
        let mut socket = self.socket();
        while let Some(Some(request)) = socket.next().now_or_never() {
            match serde_json::to_vec(&request) {
                Ok(bytes) => self.outbox.push(bytes),
                Err(error) => tracing::error!(%error, method = request.method(), "a request to the editor could not be written"),
            }
        }
    }

    fn socket(&self) -> MutexGuard<'_, ClientSocket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dialect(&self) -> Dialect {
        self.dialect.get().copied().unwrap_or(Dialect::Lsp)
    }
}

/// Waits for the answer to one question; takes the question back when nobody wants the answer any more.
async fn wait(
    mut answer: BoxFuture<'static, Result<Option<Response>, ExitedError>>,
    mut reply: oneshot::Sender<PermissionAnswer>,
    mut client: Client,
    id: i64,
    line: Arc<Line>,
) {
    tokio::select! {
        biased;
        () = line.ended.cancelled() => {
            // Nobody said no. The stop that the end of the connection brings is what ends the question.
            drop(answer);
            return reply.closed().await;
        }
        response = &mut answer => {
            // The session may have gone meanwhile; then the answer concerns nobody.
            let _ = reply.send(understood(response));
            return;
        }
        () = line.hung_up.cancelled() => {
            let _ = reply.send(PermissionAnswer::Unanswerable);
        }
        () = reply.closed() => {}
    }
    let (method, params) = line.dialect().withdrawal(id);
    let _ = client.call(Request::build(method).params(params).finish()).now_or_never();
    line.write_requests();
    tokio::select! {
        () = line.ended.cancelled() => {}
        _ = answer => {}
    }
}

/// What the editor's person decided. Whatever is no clear answer is none.
fn understood(response: Result<Option<Response>, ExitedError>) -> PermissionAnswer {
    let Ok(Some(response)) = response else { return PermissionAnswer::Unanswerable };
    let result = response.result().and_then(|result| PermissionResult::deserialize(result).ok());
    match result.map(|result| result.outcome) {
        Some(PermissionOutcome::Selected { option_id }) => PermissionAnswer::Chosen(option_id),
        Some(PermissionOutcome::Cancelled) => PermissionAnswer::Cancelled,
        None => PermissionAnswer::Unanswerable,
    }
}

/// The error object of an answer, as far as it is one.
fn told(error: &RawValue) -> Error {
    let error: Value = serde_json::from_str(error.get()).unwrap_or(Value::Null);
    Error {
        code: error["code"].as_i64().unwrap_or_default().into(),
        message: Cow::Owned(error["message"].as_str().unwrap_or_default().to_owned()),
        data: None,
    }
}

/// The parameters of `session/request_permission`, of one shape in both dialects.
fn permission(request_id: i64, session_id: &SessionId, call: &ToolCall, question: &PermissionQuestion) -> Value {
    json!(PermissionParams {
        session_id,
        tool_call: AskedCall { call, content: &question.content },
        options: question.options,
        meta: PermissionMeta { pillion: PermissionPlace { request_id, turn_id: &question.turn_id, message_id: &question.message_id } },
    })
}

/// A `session/update`, written straight from the session's own values.
#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: UpdateParams<'a>,
}

impl<'a> Notification<'a> {
    fn of(update: &'a NumberedUpdate) -> Self {
        let pillion = UpdatePlace { seq: update.seq, turn_id: update.turn_id.as_ref(), message_id: update.message_id.as_ref() };
        let params = UpdateParams { session_id: &update.session_id, update: &update.update, meta: UpdateMeta { pillion } };
        Self { jsonrpc: "2.0", method: "session/update", params }
    }
}
