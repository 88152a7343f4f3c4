//! The open sessions of a process, and the service that the wire calls.
//!
//! Invariant: prompts, cancels and openings are posted to a session's runner in the order in which they are called,
//! before the call returns; nothing is awaited on the way.

use super::context::Parts;
use super::demand::{CancelDemand, CancelScope};
use super::editor::SharedEditor;
use super::error::Refusal;
use super::runner::Mail;
use super::service::{Answer, PromptTicket, Reply, SessionService};
use super::{opening, recovery};
use crate::protocol::abort::RequestRef;
use crate::protocol::cause::Cause;
use crate::protocol::export::SessionInfo;
use crate::protocol::ids::SessionId;
use crate::protocol::params::{
    BadField, ExportParams, ListSessionsParams, NewSessionParams, OpenSessionParams, PromptParams, SessionParams, SetConfigOptionParams,
    check_session_id,
};
use crate::protocol::results::{CancelResult, ConfigResult, Empty, ExportResult, ListSessionsResult, NewSessionResult, SessionEntry};
use crate::store::{ListQuery, SessionChange, Store, StoreError};
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, TryFutureExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// How many sessions one page of `session/list` holds.
const PAGE: usize = 50;

/// Writes an export; `main` chooses how.
pub type Exporter = Arc<dyn Fn(Store, ExportParams) -> Answer<ExportResult> + Send + Sync>;

/// Every session that is open in this process.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) editor: SharedEditor,
    exporter: Exporter,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    runners: HashMap<SessionId, mpsc::UnboundedSender<Mail>>,
    ending: bool,
}

impl Sessions {
    pub fn new(parts: Parts, editor: SharedEditor, exporter: Exporter) -> Self {
        Self(Arc::new(Shared { parts, editor, exporter, open: Mutex::default() }))
    }
}

impl Shared {
    /// Closes what processes left behind that died, before anything stored is shown: also those that died since.
    pub(super) async fn recovered(&self) -> Result<(), Refusal> {
        recovery::recover(&self.parts).await.map_err(store_refusal)
    }

    pub(super) fn forget(&self, id: &SessionId, mailbox: &mpsc::UnboundedSender<Mail>) {
        let mut open = self.lock();
        if open.runners.get(id).is_some_and(|current| current.same_channel(mailbox)) {
            open.runners.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mailbox(&self, id: &SessionId) -> Option<mpsc::UnboundedSender<Mail>> {
        self.lock().runners.get(id).cloned()
    }

    /// Registers a mailbox for `id` unless there is one; mail waits in it until the session is open.
    fn register(&self, id: &SessionId) -> Result<Registered, Refusal> {
        let mut open = self.lock();
        if open.ending {
            return Err(Refusal::ShuttingDown);
        }
        if let Some(mailbox) = open.runners.get(id) {
            return Ok(Registered::Before(mailbox.clone()));
        }
        let (mailbox, mail) = mpsc::unbounded_channel();
        open.runners.insert(id.clone(), mailbox.clone());
        Ok(Registered::Now(mailbox, mail))
    }
}

enum Registered {
    Before(mpsc::UnboundedSender<Mail>),
    Now(mpsc::UnboundedSender<Mail>, mpsc::UnboundedReceiver<Mail>),
}

impl SessionService for Sessions {
    fn create(&self, _origin: RequestRef, params: NewSessionParams) -> Answer<NewSessionResult> {
        let shared = Arc::clone(&self.0);
        let id = params.session_id.clone().unwrap_or_else(|| shared.parts.provenance.ids.session());
        if let Err(bad) = check_session_id(&id) {
            return refused(bad.into());
        }
        // An id stands everywhere, so it cannot be taken out afterwards.
        if shared.parts.provenance.keys.count(id.as_str()) > 0 {
            return refused(BadField::new("sessionId", "must not hold a key that pillion knows").into());
        }
        match shared.register(&id) {
            Err(refusal) => refused(refusal),
            Ok(Registered::Before(_)) => refused(Refusal::SessionTaken(id)),
            Ok(Registered::Now(mailbox, mail)) => {
                let (opened, answer) = oneshot::channel();
                tokio::spawn(opening::create(shared, id, params, mailbox, mail, opened));
                flatten(answer)
            }
        }
    }

    fn load(&self, params: OpenSessionParams) -> Answer<ConfigResult> {
        self.open(params, opening::Replay::Yes)
    }

    fn resume(&self, params: OpenSessionParams) -> Answer<ConfigResult> {
        self.open(params, opening::Replay::No)
    }

    fn list(&self, params: ListSessionsParams) -> Answer<ListSessionsResult> {
        let shared = Arc::clone(&self.0);
        async move {
            let query = ListQuery { cwd: params.cwd, cursor: params.cursor, limit: PAGE };
            let page = shared.parts.store.list_sessions(query).await.map_err(|error| match error {
                StoreError::BadCursor => BadField::new("cursor", "must be the `nextCursor` of an earlier page").into(),
                error => store_refusal(error),
            })?;
            Ok(ListSessionsResult { sessions: page.sessions.into_iter().map(entry).collect(), next_cursor: page.next_cursor })
        }
        .boxed()
    }

    fn close(&self, origin: RequestRef, params: SessionParams) -> Answer<Empty> {
        let shared = Arc::clone(&self.0);
        let ended = self.end(&params.session_id, Cause::SessionClosed, "rpc.session/close", Some(origin));
        async move {
            ended.await;
            let now = shared.parts.provenance.clock.wall_ms();
            let closed = shared.parts.store.change_session(&params.session_id, SessionChange::Closed(Some(now)));
            if closed.await.map_err(store_refusal)? { Ok(Empty {}) } else { Err(Refusal::UnknownSession(params.session_id)) }
        }
        .boxed()
    }

    fn delete(&self, origin: RequestRef, params: SessionParams) -> Answer<Empty> {
        let shared = Arc::clone(&self.0);
        let ended = self.end(&params.session_id, Cause::SessionDeleted, "rpc.session/delete", Some(origin));
        async move {
            ended.await;
            let store = &shared.parts.store;
            if let Some(owner) = store.owner(&params.session_id).await.map_err(store_refusal)? {
                return Err(Refusal::NotOwner { session_id: params.session_id, pid: owner.pid });
            }
            let deleted = store.delete_session(&params.session_id).await.map_err(store_refusal)?;
            if deleted { Ok(Empty {}) } else { Err(Refusal::UnknownSession(params.session_id)) }
        }
        .boxed()
    }

    fn prompt(&self, origin: RequestRef, params: PromptParams, answered: oneshot::Receiver<()>) -> PromptTicket {
        let shared = &self.0;
        let (session_id, turn_id) = (params.session_id.clone(), shared.parts.provenance.ids.turn());
        let (reply, answer) = oneshot::channel();
        let ticket = PromptTicket { session_id: session_id.clone(), turn_id: turn_id.clone(), answer };
        if params.prompt.is_empty() {
            let _ = reply.send(Err(BadField::new("prompt", "must hold at least one content block").into()));
            return ticket;
        }
        let letter = Mail::Prompt { turn_id, origin, params, reply, answered };
        let undelivered = match shared.mailbox(&session_id) {
            Some(mailbox) => mailbox.send(letter).err().map(|unsent| unsent.0),
            None => Some(letter),
        };
        if let Some(Mail::Prompt { reply, .. }) = undelivered {
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                let _ = reply.send(Err(not_open(&shared.parts.store, session_id).await));
            });
        }
        ticket
    }

    fn cancel(&self, demand: CancelDemand) -> Reply<CancelResult> {
        let shared = &self.0;
        let (reply, answer) = oneshot::channel();
        let unsent = match shared.mailbox(&demand.session_id) {
            Some(mailbox) => mailbox.send(Mail::Cancel { demand, reply }).err().map(|unsent| unsent.0),
            None => Some(Mail::Cancel { demand, reply }),
        };
        if let Some(Mail::Cancel { demand, reply }) = unsent {
            tokio::spawn(opening::cancel_unopened(Arc::clone(shared), demand, reply));
        }
        answer
    }

    fn export(&self, params: ExportParams) -> Answer<ExportResult> {
        let shared = Arc::clone(&self.0);
        async move {
            shared.recovered().await?;
            (shared.exporter)(shared.parts.store.clone(), params).await
        }
        .boxed()
    }

    fn set_config_option(&self, params: SetConfigOptionParams) -> Answer<ConfigResult> {
        let Some(mailbox) = self.0.mailbox(&params.session_id) else {
            let store = self.0.parts.store.clone();
            return async move { Err(not_open(&store, params.session_id).await) }.boxed();
        };
        let (reply, answer) = oneshot::channel();
        let id = params.session_id.clone();
        let work = Mail::Desk(Box::new(move |runner| {
            let _ = reply.send(opening::set_option(runner, &params));
        }));
        match mailbox.send(work) {
            Ok(()) => flatten(answer),
            Err(_ended) => refused(Refusal::NotOpen(id)),
        }
    }

    fn stop_all(&self, cause: Cause, point: &'static str, request: Option<RequestRef>) -> BoxFuture<'static, ()> {
        let mailboxes: Vec<_> = {
            let mut open = self.0.lock();
            open.ending = true;
            open.runners.drain().collect()
        };
        let ends = mailboxes.into_iter().map(|(id, mailbox)| post_end(&mailbox, demand(&id, cause.clone(), point, request.clone())));
        let all: Vec<_> = ends.collect();
        async move {
            join_all(all).await;
        }
        .boxed()
    }
}

impl Sessions {
    fn open(&self, params: OpenSessionParams, replay: opening::Replay) -> Answer<ConfigResult> {
        let shared = Arc::clone(&self.0);
        let (opened, answer) = oneshot::channel();
        match shared.register(&params.session_id) {
            Err(refusal) => return refused(refusal),
            Ok(Registered::Before(mailbox)) => {
                let id = params.session_id.clone();
                let work = Mail::Desk(Box::new(move |runner| {
                    let _ = opened.send(opening::show(runner, &params, replay));
                }));
                if mailbox.send(work).is_err() {
                    return refused(Refusal::NotOpen(id));
                }
            }
            Ok(Registered::Now(mailbox, mail)) => {
                tokio::spawn(opening::reopen(shared, params, replay, mailbox, mail, opened));
            }
        }
        flatten(answer)
    }

    /// Ends the session's runner, if it has one.
    fn end(&self, id: &SessionId, cause: Cause, point: &'static str, request: Option<RequestRef>) -> BoxFuture<'static, ()> {
        match self.0.lock().runners.remove(id) {
            Some(mailbox) => post_end(&mailbox, demand(id, cause, point, request)),
            None => futures_util::future::ready(()).boxed(),
        }
    }
}

fn post_end(mailbox: &mpsc::UnboundedSender<Mail>, demand: CancelDemand) -> BoxFuture<'static, ()> {
    let (done, ended) = oneshot::channel();
    // A runner that is gone has ended.
    let _ = mailbox.send(Mail::End { demand, done });
    ended.map(|_| ()).boxed()
}

fn demand(id: &SessionId, cause: Cause, point: &'static str, request: Option<RequestRef>) -> CancelDemand {
    CancelDemand { via_ctx_abort: true, ..CancelDemand::of(id.clone(), CancelScope::Session, cause, point, request) }
}

/// Why a session that has no runner takes no prompt.
async fn not_open(store: &Store, id: SessionId) -> Refusal {
    match store.session(&id).await {
        Ok(Some(_)) => Refusal::NotOpen(id),
        Ok(None) => Refusal::UnknownSession(id),
        Err(error) => store_refusal(error),
    }
}

fn entry(info: SessionInfo) -> SessionEntry {
    SessionEntry { session_id: info.session_id, cwd: info.cwd, title: info.title, updated_at: super::rfc3339(info.updated_at) }
}

fn refused<T: Send + 'static>(refusal: Refusal) -> Answer<T> {
    futures_util::future::ready(Err(refusal)).boxed()
}

fn flatten<T: Send + 'static>(answer: oneshot::Receiver<Result<T, Refusal>>) -> Answer<T> {
    answer.unwrap_or_else(|_dropped| Err(Refusal::ShuttingDown)).boxed()
}

#[expect(clippy::needless_pass_by_value, reason = "it is the last use of every error that comes here, and reads so in map_err")]
pub(super) fn store_refusal(error: StoreError) -> Refusal {
    Refusal::Store(error.to_string())
}
