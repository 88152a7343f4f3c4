//! Requests to the client: sent in order, answered in any, taken back.
//!
//! Invariant: the future of a request lives until its answer came or the connection ended: tower-lsp cannot take an answer that
//! nobody waits for.

use crate::protocol::ids::RequestId;
use crate::protocol::turn::QuestionForm;
use crate::rpc::dialect::{Dialect, FileSkills};
use crate::rpc::outbox::{Outbound, Outbox};
use crate::session::editor::AnsweredAt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_lsp::jsonrpc::{Error, Id, Request, Response};
use tower_lsp::{Client, ClientSocket, ExitedError};
use tower_service::Service;

/// What the requests under way share with the editor.
pub(super) struct Line {
    pub(super) outbox: Outbox,
    /// The other end of tower-lsp's client: its requests come out, their answers go in.
    socket: Mutex<ClientSocket>,
    /// Decided by `initialize`; nothing is asked before.
    spoken: OnceLock<(Dialect, FileSkills)>,
    /// Requests so far. Each has its number as its id: there are clients that cannot answer a string.
    asked: AtomicI64,
    /// Of the questions that are open, who wants to know when their answers were read.
    clocks: Mutex<HashMap<i64, AnsweredAt>>,
    /// How the client's person is asked, as far as the client has let us know.
    form: Mutex<QuestionForm>,
    /// The client can still read, but has sent its last message.
    pub(super) hung_up: CancellationToken,
    pub(super) ended: CancellationToken,
}

/// Sends requests.
#[derive(Clone)]
pub(super) struct Asker {
    client: Client,
    pub(super) line: Arc<Line>,
}

/// A request that is under way.
pub(super) struct Asked {
    id: i64,
    answer: BoxFuture<'static, Result<Option<Response>, ExitedError>>,
    asker: Asker,
}

/// What came of a request.
pub(super) enum Outcome {
    Answered(Result<Value, Error>),
    /// The client has sent its last message, or tower-lsp sends no more.
    HungUp,
    /// Whoever asked does not want to know any more.
    Unwanted,
    /// The connection is over.
    Ended,
}

impl Line {
    pub(super) fn new(socket: ClientSocket, outbox: Outbox) -> Self {
        Self {
            outbox,
            socket: Mutex::new(socket),
            spoken: OnceLock::new(),
            asked: AtomicI64::new(0),
            clocks: Mutex::default(),
            form: Mutex::new(QuestionForm::Card),
            hung_up: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn speak(&self, dialect: Dialect, files: FileSkills) {
        let _ = self.spoken.set((dialect, files));
    }

    pub(super) fn answered(&self, response: Response) {
        if !self.ended.is_cancelled() {
            // The sink takes everything at once; it refuses only after `exit`, when nobody waits any more.
            let _ = self.socket().send(response).now_or_never();
        }
    }

    /// Tells `clock` when the answer to this request is read.
    pub(super) fn time(&self, id: i64, clock: &AnsweredAt) {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).insert(id, clock.clone());
    }

    pub(super) fn is_read(&self, id: i64, received: Instant) {
        if let Some(clock) = self.clocks.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            clock.set(Some(received));
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.spoken.get().map_or(Dialect::Lsp, |(dialect, _)| *dialect)
    }

    pub(super) fn files(&self) -> FileSkills {
        self.spoken.get().map(|(_, files)| *files).unwrap_or_default()
    }

    pub(super) fn form(&self) -> QuestionForm {
        *self.form.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has no `form`: the next one is taken from now on, and given back.
    pub(super) fn is_without(&self, form: QuestionForm) -> QuestionForm {
        let next = match (form, self.dialect()) {
            (QuestionForm::Card, Dialect::Lsp) => QuestionForm::Message,
            _ => QuestionForm::Nobody,
        };
        let mut current = self.form.lock().unwrap_or_else(PoisonError::into_inner);
        // Another question may have learned more in the meantime.
        if *current == form {
            *current = next;
        }
        *current
    }

    /// Moves what tower-lsp's client has queued into the outbox.
    fn write_requests(&self) {
        let mut socket = self.socket();
        while let Some(Some(request)) = socket.next().now_or_never() {
            match serde_json::to_vec(&request) {
                Ok(bytes) => {
                    let id = request.id().and_then(|id| RequestId::parse(&serde_json::to_string(id).ok()?).ok());
                    self.outbox.push(Outbound::request(request.method().to_owned(), id, bytes));
                }
                Err(error) => tracing::error!(%error, method = request.method(), "a request to the editor could not be written"),
            }
        }
    }

    fn socket(&self) -> MutexGuard<'_, ClientSocket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asker {
    pub(super) fn new(client: Client, line: Arc<Line>) -> Self {
        Self { client, line }
    }

    /// Sends a request, whose parameters may have its id in them. None: nobody will answer.
    pub(super) fn ask(&self, method: &'static str, params: impl FnOnce(i64) -> Value) -> Option<Asked> {
        if self.line.hung_up.is_cancelled() {
            return None;
        }
        let id = self.line.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut answer = self.client.clone().call(Request::build(method).id(Id::Number(id)).params(params(id)).finish());
        // The first poll puts the request on tower-lsp's queue, so that it keeps its place among the updates.
        let first = (&mut answer).now_or_never();
        self.line.write_requests();
        first.is_none().then(|| Asked { id, answer, asker: self.clone() })
    }
}

impl Asked {
    /// Waits for the answer; takes the request back when it is `unwanted`.
    pub(super) async fn outcome(mut self, unwanted: impl Future<Output = ()>) -> Outcome {
        let line = Arc::clone(&self.asker.line);
        let outcome = tokio::select! {
            biased;
            () = line.ended.cancelled() => return Outcome::Ended,
            response = &mut self.answer => return match response {
                Ok(Some(response)) => Outcome::Answered(response.into_parts().1),
                Ok(None) | Err(_) => Outcome::HungUp,
            },
            () = line.hung_up.cancelled() => Outcome::HungUp,
            () = unwanted => Outcome::Unwanted,
        };
        self.withdraw();
        outcome
    }

    fn withdraw(mut self) {
        self.asker.line.clocks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        let (method, params) = self.asker.line.dialect().withdrawal(self.id);
        let _ = self.asker.client.call(Request::build(method).params(params).finish()).now_or_never();
        self.asker.line.write_requests();
        tokio::spawn(async move {
            tokio::select! {
                () = self.asker.line.ended.cancelled() => {}
                _ = &mut self.answer => {}
            }
        });
    }
}
