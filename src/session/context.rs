//! What the parts of one session share: its identity, the store, the update channel, the settings, the tools.

use super::channel::UpdateChannel;
use super::permission::Permissions;
use super::recovery::Recovery;
use super::title::SingleFile;
use crate::config::Settings;
use crate::process::Keeper;
use crate::protocol::export::{Incident, LifecycleEvent, LifecyclePoint};
use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::update::SessionUpdate;
use crate::provenance::Provenance;
use crate::provenance::panics::{self, Panicked};
use crate::provider::Provider;
use crate::store::{Diagnostic, SessionChange, Store};
use crate::tool::command::Commands;
use crate::tool::{ToolSet, documents::Documents, workspace::Workspace};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Makes the provider of a model name, or says why it cannot.
pub type ProviderFactory = Arc<dyn Fn(&crate::config::ModelName) -> Result<Arc<dyn Provider>, String> + Send + Sync>;

/// The parts that every session of a process is made of; `main` chooses them.
#[derive(Clone)]
pub struct Parts {
    pub settings: Arc<Settings>,
    pub provenance: Provenance,
    pub store: Store,
    pub providers: ProviderFactory,
    /// What to say when no model was chosen: what is within reach, and the setting that chooses it.
    pub no_model: Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
    pub tools: Arc<ToolSet>,
    /// Who keeps commands, and the environment that they get.
    pub keeper: Keeper,
    pub environment: Arc<[(OsString, OsString)]>,
    pub documents: Documents,
    /// Servers that take one request at a time.
    pub single_file: SingleFile,
}

/// One open session.
pub(super) struct SessionContext {
    pub(super) id: SessionId,
    pub(super) workspace: Arc<Workspace>,
    pub(super) channel: Arc<UpdateChannel>,
    pub(super) permissions: Arc<Permissions>,
    pub(super) commands: Arc<Commands>,
    pub(super) parts: Parts,
    pub(super) recovery: Arc<Recovery>,
    /// Everything that the end of the process waits for.
    pub(super) tasks: TaskTracker,
}

impl std::ops::Deref for SessionContext {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl SessionContext {
    /// Stores a diagnostic row. Nobody waits for it; a row that could not be stored is a log line with its ids.
    pub(super) fn record(&self, row: Diagnostic) {
        record(&self.store, row);
    }

    /// Sends updates that belong to no running turn. The last number is kept, so that the next process does not give it to
    /// another one.
    pub(super) fn announce<'u>(&self, updates: impl IntoIterator<Item = (Option<(&'u TurnId, &'u MessageId)>, SessionUpdate)>) {
        let posted = updates.into_iter().map(|(of, update)| self.channel.post(of, update, None));
        if let Some(last) = posted.last() {
            drop(self.store.change_session(&self.id, SessionChange::Updated(last)));
        }
    }

    /// Stores a point of a turn's life; `at_us` counts from the stop that ended it, if one did.
    pub(super) fn lifecycle(&self, event: LifecyclePoint, turn_id: &TurnId, at_us: Option<u64>) {
        let (session_id, turn_id, at) = (self.id.clone(), turn_id.clone(), self.provenance.clock.wall_ms());
        self.record(Diagnostic::Lifecycle(LifecycleEvent { event, session_id, turn_id, at, at_us, seq: None }));
    }

    /// The panic that was contained a moment ago, on this thread: on record, with what it said.
    pub(super) fn panicked(&self, turn_id: &TurnId, name: &str) -> Panicked {
        let panicked = panics::contained();
        let incident = panicked.clone().incident(name, Some(self.id.clone()), self.provenance.clock.wall_ms());
        let incident = Incident { turn_id: Some(turn_id.clone()), ..incident };
        tracing::error!(%turn_id, name, at = ?panicked.at, "a panic was contained");
        self.record(Diagnostic::Incident(self.provenance.recorded(incident)));
        panicked
    }

    /// Does `work` beside the runner; see [`beside`].
    pub(super) fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        beside(&self.tasks, &self.parts, &self.id, work);
    }

    /// `text` without any known key.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.provenance.keys.scrub(text).into_owned()
    }
}

/// Does `work` of a session, beside every runner. If it panics, that is an incident, and whoever waits for its answer finds that
/// it broke.
pub(super) fn beside(tasks: &TaskTracker, parts: &Parts, id: &SessionId, work: impl Future<Output = ()> + Send + 'static) {
    let (parts, id) = (parts.clone(), id.clone());
    // A task that held it itself would hold it twice, once as what it was given and once as what it waits for.
    let work = work.boxed();
    tasks.spawn(async move {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            broke(&parts, "session_panic", Some(id), None);
        }
    });
}

/// The panic that was contained a moment ago, on this thread, in no turn's own work: on record, with what it said.
pub(super) fn broke(parts: &Parts, name: &str, session_id: Option<SessionId>, method: Option<&str>) -> Panicked {
    let Parts { provenance, store, .. } = parts;
    let panicked = panics::contained();
    let incident = panicked.clone().incident(name, session_id, provenance.clock.wall_ms());
    tracing::error!(name, method, at = ?panicked.at, "a panic was contained");
    let incident = Incident { method: method.map(str::to_owned), ..incident };
    record(store, Diagnostic::Incident(provenance.recorded(incident)));
    panicked
}

/// Stores a diagnostic row of any session; see [`SessionContext::record`].
pub(super) fn record(store: &Store, row: Diagnostic) {
    let name = name(&row);
    store.record_or(row, move |error| tracing::error!(%error, record = %name, "a diagnostic record could not be stored"));
}

/// What a row is called in the log.
fn name(row: &Diagnostic) -> String {
    match row {
        Diagnostic::Cancel(cancel) => format!("cancel request {} of {}", cancel.cancel_id, cancel.session_id),
        Diagnostic::LateCancel { abort_id, cancel_id, .. } => format!("late cancel {cancel_id} of {abort_id}"),
        Diagnostic::TitleState { turn_id, abort_id, .. } => format!("title state of {turn_id} for {abort_id}"),
        Diagnostic::Title(title) => format!("title generation {} of {}", title.title_run_id, title.turn_id),
        Diagnostic::Trace(trace) => format!("stream trace {} of {}", trace.attempt_id, trace.turn_id),
        Diagnostic::ToolRun(run) => format!("tool call {} of {}", run.call_id, run.turn_id),
        Diagnostic::TurnTime(time) => format!("time of {}", time.turn_id),
        Diagnostic::TurnBasis(basis) => format!("basis of {}", basis.turn_id),
        Diagnostic::Lifecycle(event) => format!("lifecycle event {:?} of {}", event.event, event.turn_id),
        Diagnostic::Incident(incident) => format!("incident {}", incident.name),
    }
}
