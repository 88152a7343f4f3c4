//! Guard: every message of one connection goes through here, in the order in which it arrived.
//!
//! Invariant: [`Guard::receive`] never waits, so that a cancel is acted on before anything behind it is read; what a
//! request posts to its session is posted before the next message is looked at; every request is answered once.

mod cancel;
mod registry;
#[cfg(test)]
mod tests;
mod work;

pub use registry::Call;

use super::api::{SessionApiServer, SessionDoor};
use super::dialect::{Dialect, Hello, not_initialized, traceparent};
use super::editor::RpcEditor;
use super::envelope::Inbound;
use super::error::{WireError, code, shown};
use super::json::Fields;
use super::logbook::Logbook;
use super::lsp::{Lsp, NOTIFICATIONS};
use super::outbox::Outbox;
use super::watch::EndReason;
use crate::config::{Framing, Limits};
use crate::protocol::abort::{Client, RequestRef, Transport};
use crate::protocol::cause::Cause;
use crate::protocol::ids::{ConnectionId, RequestId};
use crate::provenance::{KnownKeys, Moment};
use crate::session::demand::End;
use crate::session::service::SessionService;
use jsonrpsee::{MethodCallback, Methods};
use registry::{Cancelled, Registry, Ticket, Weight};
use serde_json::value::RawValue;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower_lsp::jsonrpc::Request;
use work::{Shape, Work};

/// What a connection is, before it has said anything.
pub struct Connection {
    pub id: ConnectionId,
    pub logbook: Logbook,
    pub door: Door,
    pub limits: Limits,
    /// What `initialize` shows as pillion's version.
    pub version: &'static str,
    /// What must not stand in the record of who asked.
    pub known_keys: Arc<KnownKeys>,
}

/// Where a connection comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Stdio,
    /// A client in this very process (`pillion prompt`).
    InProcess,
}

/// What the rest of the program wants to know of the client's wishes.
pub trait Listener: Send + 'static {
    /// The process that the editor named: when it ends, so does the connection.
    fn editor_process(&mut self, pid: u32);

    /// LSP's trace setting: `off`, `messages` or `verbose`.
    fn trace(&mut self, level: &str);
}

/// The guard of one connection.
pub struct Guard {
    connection: Connection,
    stage: Stage,
    registry: Registry,
    methods: Methods,
    sessions: Arc<dyn SessionService>,
    lsp: Lsp,
    editor: Arc<RpcEditor>,
    listener: Box<dyn Listener>,
    outbox: Outbox,
    /// When the message before was received.
    last: Instant,
}

/// How far the connection has come.
enum Stage {
    New,
    Ready { dialect: Dialect, client: Option<Client> },
    ShutDown { dialect: Dialect, client: Option<Client> },
}

impl Guard {
    /// `lsp` and `editor` were made together by [`Lsp::new`], over the same outbox.
    pub fn new(
        connection: Connection,
        sessions: Arc<dyn SessionService>,
        lsp: Lsp,
        editor: Arc<RpcEditor>,
        outbox: Outbox,
        listener: Box<dyn Listener>,
    ) -> Self {
        let methods = SessionDoor::new(Arc::clone(&sessions)).into_rpc().into();
        let registry = Registry::new(outbox.clone(), connection.limits.in_flight, Arc::clone(&connection.known_keys));
        Self { connection, stage: Stage::New, registry, methods, sessions, lsp, editor, listener, outbox, last: Instant::now() }
    }

    /// Resolves when every request is answered. To be waited for at the end, when nothing is received any more.
    pub fn all_answered(&self) -> impl Future<Output = ()> + Send + use<> {
        self.registry.all_answered()
    }

    /// For a client that has sent its last message and still reads: nobody answers a question any more, and this
    /// resolves when every request is answered.
    pub fn finish(&self) -> impl Future<Output = ()> + Send + use<> {
        let (editor, answered) = (Arc::clone(&self.editor), self.registry.all_answered());
        async move {
            editor.hang_up();
            answered.await;
        }
    }

    /// Acts on one message. Breaks at `exit`. A panic on the way concerns that message alone: if it was a request, its
    /// ticket answers it.
    pub fn receive(&mut self, inbound: Inbound, received: Instant) -> ControlFlow<EndReason> {
        // Of messages that came in one piece, too, each is later than the one before.
        let received = received.max(self.last + Duration::from_nanos(1));
        self.last = received;
        let received = Moment::from(received);
        self.connection.logbook.read(&inbound, received.clone(), |method| self.serves(method));
        if matches!(&inbound, Inbound::Notification { method, .. } if method == "exit") {
            self.connection.logbook.exits(self.origin("exit", RequestId::null(), "{}"));
            return ControlFlow::Break(match self.stage {
                Stage::ShutDown { .. } => EndReason::ExitAfterShutdown,
                Stage::New | Stage::Ready { .. } => EndReason::ExitWithoutShutdown,
            });
        }
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match inbound {
            Inbound::Request { id, method, params } => self.request(id, &method.into(), params.as_deref(), received),
            Inbound::Notification { method, params } => self.notification(&method, params.as_deref(), received),
            Inbound::Response { id, outcome } => self.editor.answered(&id, outcome, received.instant()),
        }));
        if taken.is_err() {
            self.sessions.broke("intake_panic", None, None);
        }
        ControlFlow::Continue(())
    }

    fn request(&mut self, id: RequestId, method: &Arc<str>, params: Option<&RawValue>, received: Moment) {
        let weight = if matches!(&**method, "session/cancel" | "shutdown") { Weight::Exempt } else { Weight::Counted };
        let ticket = match self.registry.admit(&id, method, weight) {
            Ok(ticket) => ticket,
            Err(error) => return self.registry.refuse(id, &error),
        };
        let refusal = match (&self.stage, &**method) {
            (Stage::New, "initialize") => return self.initialize(ticket, params),
            (Stage::Ready { .. }, "shutdown") => return self.shutdown(ticket, id, received),
            (Stage::Ready { dialect, .. }, _) => match self.session_method(*dialect, method) {
                Some(session_method) => return self.call_session(ticket, id, method, session_method, params, received),
                None if &**method == "initialize" => {
                    WireError::new(code::INVALID_REQUEST, "already initialized; a connection has one `initialize`")
                }
                None => WireError::new(code::METHOD_NOT_FOUND, format!("there is no method {} here", shown(method))),
            },
            (Stage::New, _) => not_initialized(self.framing(), method),
            (Stage::ShutDown { .. }, _) => {
                WireError::new(code::INVALID_REQUEST, format!("{} came after shutdown; only exit can follow", shown(method)))
            }
        };
        work::answer(ticket, Err(refusal));
    }

    fn notification(&mut self, method: &str, params: Option<&RawValue>, received: Moment) {
        let (Stage::Ready { dialect, .. } | Stage::ShutDown { dialect, .. }) = &self.stage else { return };
        let dialect = *dialect;
        if NOTIFICATIONS.contains(&method) {
            return self.tell_lsp(method, params);
        }
        if !matches!(method, "session/cancel" | "$/cancelRequest" | "$/cancel_request" | "$/setTrace") {
            return;
        }
        let Ok(params) = dialect.params(params) else { return };
        match method {
            "session/cancel" => {
                let origin = self.origin(method, RequestId::null(), &params);
                match cancel::of_notification(&params, origin, received) {
                    // Nobody waits for the answer of a notification; the runner records the outcome.
                    Some(demand) => drop(self.sessions.cancel(demand)),
                    None => tracing::warn!("a session/cancel that names no session was ignored"),
                }
            }
            "$/setTrace" => {
                if let Some(level) = Fields::parse(&params).ok().and_then(|fields| fields.read::<String>("value")) {
                    self.listener.trace(&level);
                }
            }
            _ => {
                if let Some(target) = cancel::target(&params) {
                    self.cancel_request(&target, self.origin(method, RequestId::null(), &params), received);
                }
            }
        }
    }

    /// One poll finishes it (see `lsp`), so what was sent behind `initialize` in the same write finds it answered.
    fn initialize(&mut self, ticket: Ticket, params: Option<&RawValue>) {
        let hello = match Dialect::Lsp.params(params).and_then(|params| Hello::read(&params, self.framing())) {
            Ok(hello) => hello,
            Err(error) => return work::answer(ticket, Err(error)),
        };
        // tower-lsp would refuse an editor over any capability that it does not know; all that it needs is the event.
        let request = Request::build("initialize").id(work::small_id(&ticket)).params(serde_json::json!({ "capabilities": {} }));
        if !self.lsp.call_now(request.finish()).is_some_and(|response| response.is_ok()) {
            return work::answer(ticket, Err(WireError::internal("initialize failed inside the LSP service")));
        }
        self.editor.speak(hello.dialect, hello.files);
        self.connection.logbook.greeted(hello.client.as_ref(), hello.process_id);
        work::answer(ticket, Ok(&hello.answer(self.connection.version).to_string()));
        if let Some(pid) = hello.process_id {
            self.listener.editor_process(pid);
        }
        if let Some(level) = &hello.trace {
            self.listener.trace(level);
        }
        self.stage = Stage::Ready { dialect: hello.dialect, client: hello.client };
    }

    /// Stops every run; answers when they have settled and their prompts are answered.
    fn shutdown(&mut self, ticket: Ticket, id: RequestId, requested: Moment) {
        let origin = self.origin("shutdown", id, "{}");
        if let Stage::Ready { dialect, client } = std::mem::replace(&mut self.stage, Stage::New) {
            self.stage = Stage::ShutDown { dialect, client };
        }
        let prompts = self.registry.prompts_answered();
        let (cause, point, request) = (Cause::ShutdownRequest, "rpc.shutdown", Some(origin));
        let stopped = self.sessions.stop_all(End { cause, point, request, requested, explanation: None });
        let lifecycle = self.lsp.call(Request::build("shutdown").id(work::small_id(&ticket)).finish());
        work::shutdown(ticket, lifecycle, async move {
            stopped.await;
            for answered in prompts {
                // A sender that is gone has nothing left to answer either.
                let _ = answered.await;
            }
        });
    }

    /// Whether a method is one of the session API's, LSP's lifecycle or the notifications that are acted on.
    fn serves(&self, method: &str) -> bool {
        let dialect = match &self.stage {
            Stage::Ready { dialect, .. } | Stage::ShutDown { dialect, .. } => *dialect,
            Stage::New => Dialect::Lsp,
        };
        self.session_method(dialect, method).is_some()
            || NOTIFICATIONS.contains(&method)
            || matches!(method, "initialize" | "shutdown" | "exit" | "$/cancelRequest" | "$/cancel_request" | "$/setTrace")
    }

    /// The method of the session API that a client's method means, if there is one.
    fn session_method(&self, dialect: Dialect, method: &str) -> Option<&'static str> {
        self.methods.method_with_name(dialect.canonical(method)).map(|(name, _)| name)
    }

    fn call_session(&self, ticket: Ticket, id: RequestId, spoken: &str, method: &'static str, params: Option<&RawValue>, received: Moment) {
        let (Stage::Ready { dialect, .. }, Some(MethodCallback::Async(callback))) = (&self.stage, self.methods.method(method)) else {
            return work::answer(ticket, Err(WireError::internal("the method has no handler")));
        };
        let params = match dialect.params(params) {
            Ok(params) => params,
            Err(error) => return work::answer(ticket, Err(error.of_method(spoken, None))),
        };
        let call = ticket.call(self.origin(spoken, id, &params), received);
        let shape = Shape { dialect: *dialect, method, limit: self.connection.limits.result };
        Work { callback: Arc::clone(callback), call, shape, sessions: Arc::clone(&self.sessions) }.run(ticket, &params);
    }

    fn cancel_request(&self, target: &RequestId, origin: RequestRef, received: Moment) {
        match self.registry.cancel(target) {
            Cancelled::Unknown => {}
            Cancelled::Turn(session, turn) => drop(self.sessions.cancel(cancel::of_prompt(session, turn, origin, received))),
            Cancelled::Dropped(method, responder) => {
                let record = serde_json::json!({ "cause": Cause::RpcCancel.name(), "method": &*method, "request": origin });
                let error = WireError::new(code::REQUEST_CANCELLED, format!("{method} was cancelled by {}", origin.method));
                responder.error(&error.with(&record));
            }
        }
    }

    /// Document texts and `initialized`: tower-lsp types them. What it cannot type is dropped, as notifications are.
    fn tell_lsp(&mut self, method: &str, params: Option<&RawValue>) {
        let Ok(params) = serde_json::from_str(params.map_or("{}", RawValue::get)) else { return };
        let request = Request::build(method.to_owned()).params::<serde_json::Value>(params).finish();
        self.lsp.call_now(request);
    }

    /// The reader decided it before it handed on the first message.
    fn framing(&self) -> Framing {
        self.outbox.framing().unwrap_or(Framing::Headers)
    }

    /// Who asked, without any known key.
    fn origin(&self, method: &str, id: RequestId, params: &str) -> RequestRef {
        let client = match &self.stage {
            Stage::Ready { client, .. } | Stage::ShutDown { client, .. } => client.clone(),
            Stage::New => None,
        };
        let transport = match (self.connection.door, self.framing()) {
            (Door::InProcess, _) => Transport::InProcess,
            (Door::Stdio, Framing::Headers) => Transport::StdioLsp,
            (Door::Stdio, Framing::Lines) => Transport::StdioJsonl,
        };
        if leaves_a_record(method) {
            self.connection.logbook.introduce(transport);
        }
        self.connection.known_keys.scrub_record(RequestRef {
            method: method.to_owned(),
            id,
            connection_id: self.connection.id.clone(),
            client,
            transport,
            traceparent: traceparent(params),
        })
    }
}

/// Whether what asks by this method is named in a record: what only looks leaves none, and what ends everything only where
/// something was asked for before.
fn leaves_a_record(method: &str) -> bool {
    !matches!(method.strip_prefix("_pillion/").unwrap_or(method), "session/list" | "session/export" | "shutdown" | "exit")
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.editor.end();
    }
}
