//! The service that the wire calls: each call finds its session's runner and posts.
//!
//! Invariant: prompts, cancels and openings are posted to a session's runner in the order in which they are called,
//! before the call returns; nothing is awaited on the way.

use super::context::{self, Parts};
use super::demand::{CancelDemand, End, Heed};
use super::editor::SharedEditor;
use super::error::Refusal;
use super::opening;
use super::run::Answer as Asked;
use super::runner::{DeskWork, Mail, Posted, Runner};
use super::service::{Answer, PromptTicket, Reply, SessionService, ShellTicket, Way};
use super::table::{Registered, Shared};
use crate::protocol::abort::RequestRef;
use crate::protocol::cause::Cause;
use crate::protocol::export::SessionInfo;
use crate::protocol::ids::SessionId;
use crate::protocol::message::Part;
use crate::protocol::params::{
    BadField, ExportParams, ListSessionsParams, NewSessionParams, OpenSessionParams, PromptParams, SessionParams, SetConfigOptionParams,
    SetModeParams, ShellParams, check_command, check_session_id, check_title,
};
use crate::protocol::results::{
    CancelResult, ConfigResult, Empty, EntryExtras, EntryMeta, ExportResult, ListSessionsResult, NewSessionResult, OpenSessionResult,
    OpenTurnEntry, SessionEntry, StopEntry,
};
use crate::store::{ListQuery, OpenTurn, SessionChange, Store, StoreError};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// How many sessions one page of `session/list` holds.
const PAGE: usize = 50;

/// Writes an export; `main` chooses how.
pub type Exporter = Arc<dyn Fn(ExportParams) -> Answer<ExportResult> + Send + Sync>;

/// Every session that is open in this process.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
    exporter: Exporter,
}

impl Sessions {
    pub fn new(parts: Parts, editor: SharedEditor, exporter: Exporter) -> Self {
        Self { shared: Arc::new(Shared::new(parts, editor)), exporter }
    }
}

impl SessionService for Sessions {
    fn create(&self, _origin: RequestRef, params: NewSessionParams) -> Answer<NewSessionResult> {
        let id = params.session_id.clone().unwrap_or_else(|| self.shared.parts.provenance.ids.session());
        if let Err(bad) = check_session_id(&id) {
            return refused(bad.into());
        }
        if let Err(bad) = params.title.as_deref().map_or(Ok(()), check_title) {
            return refused(bad.into());
        }
        // An id stands everywhere, so it cannot be taken out afterwards.
        if self.shared.parts.provenance.keys.count(id.as_str()) > 0 {
            return refused(BadField::new("sessionId", "must not hold a key that pillion knows").into());
        }
        match self.shared.register(&id) {
            Err(refusal) => refused(refusal),
            Ok(Registered::Before(_)) => refused(Refusal::SessionTaken(id)),
            Ok(Registered::Now(seat)) => {
                let (opened, answer) = oneshot::channel();
                self.shared.beside(&id, opening::create(seat, params, opened));
                flatten(answer)
            }
        }
    }

    fn load(&self, params: OpenSessionParams) -> Answer<OpenSessionResult> {
        self.open(params, opening::Replay::Yes)
    }

    fn resume(&self, params: OpenSessionParams) -> Answer<OpenSessionResult> {
        self.open(params, opening::Replay::No)
    }

    fn list(&self, params: ListSessionsParams) -> Answer<ListSessionsResult> {
        let shared = Arc::clone(&self.shared);
        async move {
            let store = &shared.parts.store;
            shared.recovery.run(&shared.parts).await;
            let query = ListQuery { cwd: params.cwd, cursor: params.cursor, limit: PAGE };
            let page = store.list_sessions(query).await.map_err(|error| match error {
                StoreError::BadCursor => BadField::new("cursor", "must be the `nextCursor` of an earlier page").into(),
                error => store_refusal(error),
            })?;
            let open = store.open_turns().await.map_err(store_refusal)?;
            let sessions = page.sessions.into_iter().map(|session| list_entry(session, &open)).collect();
            Ok(ListSessionsResult { sessions, next_cursor: page.next_cursor })
        }
        .boxed()
    }

    fn close(&self, origin: RequestRef, params: SessionParams) -> Answer<Empty> {
        let parts = self.shared.parts.clone();
        let demand = CancelDemand::of_all(&params.session_id, Cause::SessionClosed, "rpc.session/close", Some(origin));
        flatten(self.shared.leave(demand, async move {
            let now = parts.provenance.clock.wall_ms();
            let closed = parts.store.change_session(&params.session_id, SessionChange::Closed(Some(now)));
            if closed.await.map_err(store_refusal)? { Ok(Empty {}) } else { Err(Refusal::UnknownSession(params.session_id)) }
        }))
    }

    fn delete(&self, origin: RequestRef, params: SessionParams) -> Answer<Empty> {
        let parts = self.shared.parts.clone();
        let demand = CancelDemand::of_all(&params.session_id, Cause::SessionDeleted, "rpc.session/delete", Some(origin));
        flatten(self.shared.leave(demand, async move { remove(&parts, &params.session_id).await.map(|()| Empty {}) }))
    }

    fn prompt(&self, origin: RequestRef, params: PromptParams, way: Way) -> PromptTicket {
        let shared = &self.shared;
        let (session_id, turn_id) = (params.session_id.clone(), shared.parts.provenance.ids.turn());
        let (reply, answer) = oneshot::channel();
        let ticket = PromptTicket { session_id: session_id.clone(), turn_id: turn_id.clone(), answer };
        if params.prompt.is_empty() {
            let _ = reply.send(Err(BadField::new("prompt", "must hold at least one content block").into()));
            return ticket;
        }
        let parts = params.prompt.into_iter().map(Into::into).collect();
        let posted = Posted { turn_id, posted_at: Instant::now(), origin, parts, reply: Asked::Prompt(reply), way };
        self.post_run(session_id, Mail::Prompt(posted, params.when_busy));
        ticket
    }

    fn shell(&self, origin: RequestRef, params: ShellParams, way: Way) -> ShellTicket {
        let (session_id, turn_id) = (params.session_id, self.shared.parts.provenance.ids.turn());
        let (reply, answer) = oneshot::channel();
        let ticket = ShellTicket { session_id: session_id.clone(), turn_id: turn_id.clone(), answer };
        if let Err(bad) = check_command(&params.command) {
            let _ = reply.send(Err(bad.into()));
            return ticket;
        }
        let parts = vec![Part::command(params.command)];
        let posted = Posted { turn_id, posted_at: Instant::now(), origin, parts, reply: Asked::Shell(reply), way };
        self.post_run(session_id, Mail::Shell(posted));
        ticket
    }

    fn cancel(&self, demand: CancelDemand) -> Reply<CancelResult> {
        let shared = &self.shared;
        let (reply, answer) = oneshot::channel();
        if let Err(Mail::Cancel { demand, reply }) = shared.post(&demand.session_id.clone(), Mail::Cancel { demand, reply }) {
            shared.beside(&demand.session_id.clone(), opening::cancel_unopened(Arc::clone(shared), demand, reply));
        }
        answer
    }

    fn export(&self, params: ExportParams) -> Answer<ExportResult> {
        let (shared, exporter) = (Arc::clone(&self.shared), Arc::clone(&self.exporter));
        // Behind every prompt that was accepted before: its turn is in the export.
        let (look, looked) = desk_work(|_| Ok(()));
        let open_here = shared.post(&params.session_id, Mail::Desk(look)).is_ok();
        async move {
            if open_here {
                // A session that is just being closed has nothing more to add.
                let _ = looked.await;
            }
            // Whoever has an answer in hand finds in the export that it was given.
            shared.editor.caught_up().await;
            exporter(params).await
        }
        .boxed()
    }

    fn set_config_option(&self, params: SetConfigOptionParams) -> Answer<ConfigResult> {
        let id = params.session_id.clone();
        let stored = self.at_the_desk(id.clone(), move |runner| opening::set_option(runner, &params));
        let sessions = self.clone();
        async move {
            stored.await?.await?;
            let config_options = sessions.at_the_desk(id, |runner| Ok(opening::options(runner))).await?;
            Ok(ConfigResult { config_options })
        }
        .boxed()
    }

    fn set_mode(&self, params: SetModeParams) -> Answer<Empty> {
        self.at_the_desk(params.session_id, move |runner| opening::set_mode(runner, &params.mode_id))
    }

    fn stop_all(&self, end: End) -> BoxFuture<'static, ()> {
        self.shared.end_all(&end)
    }

    fn broke(&self, name: &'static str, session_id: Option<SessionId>, method: Option<&'static str>) {
        context::broke(&self.shared.parts, name, session_id, method);
    }
}

impl Sessions {
    /// Posts what came in beside the end of the connection, or ends nothing, to every open session.
    pub fn note(&self, noted: &End, heed: Heed) {
        self.shared.post_all(|id| Mail::Noted { demand: noted.of(id), heed });
    }

    /// Does something with an open session that is no run.
    fn at_the_desk<T: Send + 'static>(
        &self,
        id: SessionId,
        work: impl FnOnce(&mut Runner) -> Result<T, Refusal> + Send + 'static,
    ) -> Answer<T> {
        let (work, answer) = desk_work(work);
        match self.shared.post(&id, Mail::Desk(work)) {
            Ok(()) => flatten(answer),
            Err(_unsent) => {
                let store = self.shared.parts.store.clone();
                async move { Err(not_open(&store, id).await) }.boxed()
            }
        }
    }

    /// Posts a run to its session, or answers why there is nobody to run it.
    fn post_run(&self, session_id: SessionId, letter: Mail) {
        if let Err(Mail::Prompt(posted, _) | Mail::Shell(posted)) = self.shared.post(&session_id, letter) {
            let store = self.shared.parts.store.clone();
            let id = session_id.clone();
            self.shared.beside(&id, async move { posted.reply.refuse(not_open(&store, session_id).await) });
        }
    }

    fn open(&self, params: OpenSessionParams, replay: opening::Replay) -> Answer<OpenSessionResult> {
        let id = params.session_id.clone();
        let (answer, was_open) = match self.shared.register(&id) {
            Err(refusal) => return refused(refusal),
            Ok(Registered::Before(mailbox)) => {
                let (work, answer) = desk_work(move |runner| opening::show(runner, &params, replay));
                if mailbox.send(Mail::Desk(work)).is_err() {
                    return refused(Refusal::NotOpen(id));
                }
                (answer, true)
            }
            Ok(Registered::Now(seat)) => {
                let (opened, answer) = oneshot::channel();
                self.shared.beside(&id, opening::reopen(seat, params, replay, opened));
                (answer, false)
            }
        };
        let shared = Arc::clone(&self.shared);
        async move {
            let opened = flatten(answer).await?;
            if was_open {
                // Another process may have died in it since.
                shared.recovery.run(&shared.parts).await;
            }
            let store = &shared.parts.store;
            let (session, aborts) = (store.session(&id), store.aborts_of(&id));
            let title = session.await.map_err(store_refusal)?.and_then(|session| session.info.title);
            let stops = aborts.await.map_err(store_refusal)?.iter().map(StopEntry::from).collect();
            Ok(OpenSessionResult { title, stops, ..opened })
        }
        .boxed()
    }
}

/// Work for an open session, and where its answer arrives.
fn desk_work<T: Send + 'static>(work: impl FnOnce(&mut Runner) -> Result<T, Refusal> + Send + 'static) -> (DeskWork, Reply<T>) {
    let (reply, answer) = oneshot::channel();
    let work = Box::new(move |runner: Result<&mut Runner, Refusal>| {
        let _ = reply.send(runner.and_then(work));
    });
    (work, answer)
}

/// Why a session that has no runner takes no prompt.
pub(super) async fn not_open(store: &Store, id: SessionId) -> Refusal {
    match store.session(&id).await {
        Ok(Some(_)) => Refusal::NotOpen(id),
        Ok(None) => Refusal::UnknownSession(id),
        Err(error) => store_refusal(error),
    }
}

/// Takes a session out of the store, and away what was kept of its outputs.
///
/// # Errors
/// Another process runs it, there is none, or the store failed.
pub async fn remove(parts: &Parts, id: &SessionId) -> Result<(), Refusal> {
    if let Some(owner) = parts.store.owner(id).await.map_err(store_refusal)? {
        return Err(Refusal::NotOwner { session_id: id.clone(), pid: owner.pid });
    }
    let deleted = parts.store.delete_session(id).await.map_err(store_refusal)?;
    if let Err(error) = opening::outputs(id, parts).remove() {
        tracing::warn!(session_id = %id, %error, "the kept outputs of a deleted session could not be removed");
    }
    if deleted { Ok(()) } else { Err(Refusal::UnknownSession(id.clone())) }
}

/// A session as it is listed; `open` are the turns of all sessions that have no end.
pub fn list_entry(info: SessionInfo, open: &[OpenTurn]) -> SessionEntry {
    let of_it = open.iter().filter(|turn| turn.session_id == info.session_id).map(|turn| OpenTurnEntry {
        turn_id: turn.turn_id.clone(),
        pid: turn.owner.pid,
        since: super::rfc3339(turn.started_at),
        is_running: turn.is_alive,
    });
    let open_turns: Vec<_> = of_it.collect();
    SessionEntry {
        session_id: info.session_id,
        cwd: info.cwd,
        title: info.title,
        updated_at: super::rfc3339(info.updated_at),
        meta: (!open_turns.is_empty()).then_some(EntryMeta { pillion: EntryExtras { open_turns } }),
    }
}

fn refused<T: Send + 'static>(refusal: Refusal) -> Answer<T> {
    futures_util::future::ready(Err(refusal)).boxed()
}

fn flatten<T: Send + 'static>(answer: oneshot::Receiver<Result<T, Refusal>>) -> Answer<T> {
    // Nobody drops it but a panic.
    answer.unwrap_or_else(|_dropped| Err(Refusal::Broke)).boxed()
}

#[expect(clippy::needless_pass_by_value, reason = "it is the last use of every error that comes here, and reads so in map_err")]
pub(super) fn store_refusal(error: StoreError) -> Refusal {
    Refusal::Store(error.to_string())
}
