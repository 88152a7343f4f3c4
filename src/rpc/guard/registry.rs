//! The requests that wait for their answer, by their id.
//!
//! Invariant: every admitted request is answered exactly once. The right to answer is a value, [`Responder`]; it is
//! handed out once for each request, to whoever claims it first, and answering consumes it. A ticket that is dropped
//! unclaimed answers that something broke.

use crate::protocol::abort::RequestRef;
use crate::protocol::ids::{RequestId, SessionId, TurnId};
use crate::provenance::KnownKeys;
use crate::provenance::Moment;
use crate::rpc::error::{WireError, code, shown};
use crate::rpc::outbox::{Outbound, Outbox};
use crate::session::service::{ReceiptSlot, Way};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The running requests of one connection.
#[derive(Clone)]
pub(super) struct Registry(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    outbox: Outbox,
    /// What no error may repeat.
    known_keys: Arc<KnownKeys>,
    /// The most requests that may run at once.
    limit: usize,
    /// Holds one token for each request until its answer is in the outbox.
    owed: TaskTracker,
}

#[derive(Default)]
struct Table {
    live: HashMap<RequestId, Live>,
    counted: usize,
    serial: u64,
}

struct Live {
    /// Tells this use of the id from a later one.
    serial: u64,
    method: Arc<str>,
    weight: Weight,
    turn: Option<(SessionId, TurnId)>,
    task: Option<AbortHandle>,
    when_answered: Vec<oneshot::Sender<()>>,
    receipt: Option<ReceiptSlot>,
    owed: TaskTrackerToken,
}

/// Whether a request counts towards the limit of running requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Counted,
    /// A cancel or `shutdown`: it must get through when everything else waits.
    Exempt,
}

/// What a cancel by request id meets.
pub(super) enum Cancelled {
    /// No such request is running; it may have been answered.
    Unknown,
    /// A prompt: its turn ends on the road of every other cancel and answers by itself.
    Turn(SessionId, TurnId),
    /// Any other request: its work was dropped, and this answers it.
    Dropped(Arc<str>, Responder),
}

impl Registry {
    pub(super) fn new(outbox: Outbox, limit: usize, known_keys: Arc<KnownKeys>) -> Self {
        Self(Arc::new(Shared { table: Mutex::default(), outbox, known_keys, limit, owed: TaskTracker::new() }))
    }

    /// Registers a request that just arrived.
    ///
    /// # Errors
    /// Its id is in use, or too many requests are running.
    pub(super) fn admit(&self, id: &RequestId, method: &Arc<str>, weight: Weight) -> Result<Ticket, WireError> {
        let mut table = self.table();
        let Table { live, counted, serial } = &mut *table;
        let vacant = match live.entry(id.clone()) {
            Entry::Vacant(vacant) => vacant,
            Entry::Occupied(first) => {
                let (id, method) = (shown(id.as_json()), shown(&first.get().method));
                let text = format!("the id {id} belongs to a {method} that is still running; use another id");
                return Err(WireError::new(code::INVALID_REQUEST, text));
            }
        };
        if weight == Weight::Counted {
            if *counted >= self.0.limit {
                let text = format!("{} requests are running, which is the most at once; wait for some of the answers", self.0.limit);
                return Err(WireError::new(code::REQUEST_FAILED, text).with(&serde_json::json!({ "limit": self.0.limit })));
            }
            *counted += 1;
        }
        *serial += 1;
        let (method, owed) = (Arc::clone(method), self.0.owed.token());
        vacant.insert(Live { serial: *serial, method, weight, turn: None, task: None, when_answered: Vec::new(), receipt: None, owed });
        Ok(Ticket { registry: self.clone(), id: id.clone(), serial: *serial })
    }

    /// Answers a request that was not admitted.
    pub(super) fn refuse(&self, id: RequestId, error: &WireError) {
        Responder { id, shared: Arc::clone(&self.0), when_answered: Vec::new(), receipt: None, _owed: self.0.owed.token() }.error(error);
    }

    /// Stops the request that has this id, in the way that its kind wants.
    pub(super) fn cancel(&self, id: &RequestId) -> Cancelled {
        let mut table = self.table();
        let Some(live) = table.live.get(id) else { return Cancelled::Unknown };
        if let Some((session, turn)) = live.turn.clone() {
            return Cancelled::Turn(session, turn);
        }
        // `shutdown` has no task that could be dropped.
        let (Some(task), serial) = (live.task.clone(), live.serial) else { return Cancelled::Unknown };
        let Some(live) = table.remove(id, serial) else { return Cancelled::Unknown };
        drop(table);
        task.abort();
        Cancelled::Dropped(Arc::clone(&live.method), self.responder(id.clone(), live))
    }

    /// One receiver for each prompt that is running: it fires when the prompt's answer is on its way.
    pub(super) fn prompts_answered(&self) -> Vec<oneshot::Receiver<()>> {
        let mut table = self.table();
        table.live.values_mut().filter(|live| live.turn.is_some()).map(Live::answered).collect()
    }

    /// Resolves when every request that was admitted is answered. Only for the end: nothing is admitted any more.
    pub(super) fn all_answered(&self) -> impl Future<Output = ()> + Send + use<> {
        let owed = self.0.owed.clone();
        async move {
            owed.close();
            owed.wait().await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn responder(&self, id: RequestId, live: Live) -> Responder {
        Responder { id, shared: Arc::clone(&self.0), when_answered: live.when_answered, receipt: live.receipt, _owed: live.owed }
    }

    fn with_live<T>(&self, id: &RequestId, serial: u64, change: impl FnOnce(&mut Live) -> T) -> Option<T> {
        self.table().live.get_mut(id).filter(|live| live.serial == serial).map(change)
    }
}

impl Table {
    fn remove(&mut self, id: &RequestId, serial: u64) -> Option<Live> {
        self.live.get(id).filter(|live| live.serial == serial)?;
        let live = self.live.remove(id)?;
        self.counted -= usize::from(live.weight == Weight::Counted);
        Some(live)
    }
}

impl Live {
    fn answered(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.when_answered.push(sender);
        receiver
    }
}

/// One admitted request, held by the work on it.
pub(super) struct Ticket {
    registry: Registry,
    id: RequestId,
    serial: u64,
}

impl Ticket {
    /// The small number under which the request is known inside.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// The right to answer, unless somebody else has it already.
    pub(super) fn claim(self) -> Option<Responder> {
        self.take()
    }

    /// What a handler gets to know of its call.
    pub(super) fn call(&self, request: RequestRef, received: Moment) -> Call {
        Call { request: Arc::new(request), received, registry: self.registry.clone(), id: self.id.clone(), serial: self.serial }
    }

    /// Lets a cancel by id drop the work. `spawn` gets the ticket and says which task has it now.
    pub(super) fn run(self, spawn: impl FnOnce(Self) -> AbortHandle) {
        let (registry, id, serial) = (self.registry.clone(), self.id.clone(), self.serial);
        let task = spawn(self);
        registry.with_live(&id, serial, |live| live.task = Some(task));
    }

    fn take(&self) -> Option<Responder> {
        let live = self.registry.table().remove(&self.id, self.serial)?;
        Some(self.registry.responder(self.id.clone(), live))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(responder) = self.take() {
            responder.error(&WireError::internal("the request was given up without an answer"));
        }
    }
}

/// The right to answer one request.
pub(super) struct Responder {
    id: RequestId,
    shared: Arc<Shared>,
    when_answered: Vec<oneshot::Sender<()>>,
    receipt: Option<ReceiptSlot>,
    _owed: TaskTrackerToken,
}

impl Responder {
    /// Answers with a result, given as JSON text.
    pub(super) fn result(self, json: &str) {
        self.send("result", json);
    }

    pub(super) fn error(self, error: &WireError) {
        match serde_json::to_string(&error.without(&self.shared.known_keys)) {
            Ok(json) => self.send("error", &json),
            Err(_) => self.send("error", r#"{"code":-32603,"message":"the error could not be written"}"#),
        }
    }

    fn send(self, kind: &str, json: &str) {
        let id = self.id.as_json();
        let mut bytes = Vec::with_capacity(json.len() + id.len() + kind.len() + 32);
        for part in [r#"{"jsonrpc":"2.0","id":"#, id, ",\"", kind, "\":", json, "}"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        let receipt = self.receipt.and_then(|slot| slot.get().cloned());
        self.shared.outbox.push(Outbound::answer(self.id, bytes).with(receipt));
        // Whoever waits for this may be gone; then nobody needs to know.
        for sender in self.when_answered {
            let _ = sender.send(());
        }
    }
}

/// What a handler knows of the call that it serves; it comes beside the parameters.
#[derive(Clone)]
pub struct Call {
    request: Arc<RequestRef>,
    received: Moment,
    registry: Registry,
    id: RequestId,
    serial: u64,
}

impl Call {
    pub fn request(&self) -> &RequestRef {
        &self.request
    }

    /// When the message was read.
    pub fn received(&self) -> Moment {
        self.received.clone()
    }

    /// Names the turn that the call runs: from now on a cancel by the call's id ends that turn.
    pub fn runs(&self, session: SessionId, turn: TurnId) {
        self.registry.with_live(&self.id, self.serial, |live| live.turn = Some((session, turn)));
    }

    /// The way that the answer of this call will take.
    pub fn way(&self) -> Way {
        let watched = self.registry.with_live(&self.id, self.serial, |live| {
            let receipt = live.receipt.get_or_insert_default().clone();
            Way { queued: live.answered(), receipt }
        });
        // A call that is answered already has nobody to fire for; its receiver is closed, which says the same.
        watched.unwrap_or_else(|| Way { queued: oneshot::channel().1, receipt: ReceiptSlot::default() })
    }
}
