//! Background title generation: its own task, trace and time limit; never in the way of an answer or of the end.
//!
//! Invariant: a generation is stored when it starts, before each wait for a further attempt, and when it ends, and an abort that saw it in flight gets its
//! final state as a row of its own. None starts for a turn that is told to stop.

mod ask;
mod turns;
mod words;

use super::context::SessionContext;
use crate::config::{TitleModel, TitleOnCancel};
use crate::protocol::abort::TitleState;
use crate::protocol::diagnostics::{TitleGeneration, TitleSource};
use crate::protocol::ids::{AbortId, CancelId, MessageId, TitleRunId, TurnId};
use crate::protocol::message::Message;
use crate::protocol::said;
use crate::protocol::update::SessionUpdate;
use crate::provenance::{CancelToken, Canceller, Stop};
use crate::provider::{Provider, TitleSupport};
use crate::store::{Diagnostic, SessionChange};
use ask::Asking;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
pub use turns::SingleFile;
pub(super) use turns::Turns;

/// The title of one session, as far as its generation has come.
pub(super) struct Title {
    desk: Mutex<Desk>,
    /// Changes whenever a generation ends.
    ended: watch::Sender<()>,
    /// What goes on beside it.
    pub(super) turns: Turns,
}

enum Desk {
    /// The session has a title, or is a child session.
    NotApplicable,
    Disabled,
    NotStarted,
    Running {
        record: TitleGeneration,
        canceller: Canceller,
        /// It was cancelled when no turn was left to stop: there is no abort.
        is_alone: bool,
        /// The aborts whose records say "in flight".
        seen_by: Vec<(TurnId, AbortId)>,
    },
    Ended {
        record: TitleGeneration,
        state: TitleState,
    },
}

/// The record that says who ended a generation: the abort of a turn, or the demand itself where no turn was left.
enum EndedBy {
    Abort(AbortId),
    Demand(CancelId),
}

/// How a generation came out.
enum Outcome {
    Title(String),
    Failed { name: &'static str, message: String },
    Cancelled(Arc<Stop>),
}

impl Title {
    pub(super) fn not_applicable() -> Self {
        Self::with(Desk::NotApplicable)
    }

    /// For a session without a title: its first turn starts the generation.
    pub(super) fn to_be_made(by: &TitleModel) -> Self {
        Self::with(if *by == TitleModel::Off { Desk::Disabled } else { Desk::NotStarted })
    }

    /// The session got its title elsewhere.
    pub(super) fn not_due(&self) {
        let mut desk = self.lock();
        if matches!(*desk, Desk::NotStarted) {
            *desk = Desk::NotApplicable;
        }
    }

    fn with(desk: Desk) -> Self {
        Self { desk: Mutex::new(desk), ended: watch::Sender::new(()), turns: Turns::default() }
    }

    /// What the generation is doing, for the record of `abort_id`, which is told of the end if that is still to come.
    pub(super) fn seen_by_abort(&self, turn_id: &TurnId, abort_id: &AbortId) -> (TitleState, Option<TitleRunId>) {
        match &mut *self.lock() {
            Desk::NotApplicable => (TitleState::NotApplicable, None),
            Desk::Disabled => (TitleState::Disabled, None),
            Desk::NotStarted => (TitleState::NotStarted, None),
            Desk::Running { record, seen_by, .. } => {
                seen_by.push((turn_id.clone(), abort_id.clone()));
                (TitleState::InFlight, Some(record.title_run_id.clone()))
            }
            // The generation of an earlier turn that has ended says nothing about this one.
            Desk::Ended { record, .. } if record.turn_id != *turn_id => (TitleState::NotApplicable, None),
            Desk::Ended { record, state } => (*state, Some(record.title_run_id.clone())),
        }
    }

    /// The record of the generation that `turn_id` started, as it stands.
    pub(super) fn record_of(&self, turn_id: &TurnId) -> Option<TitleGeneration> {
        match &*self.lock() {
            Desk::Running { record, .. } | Desk::Ended { record, .. } if record.turn_id == *turn_id => Some(record.clone()),
            _ => None,
        }
    }

    /// A turn was told to stop: the generation goes on or is cancelled, as the setting says, and always when the stop is
    /// one of more than the turn. Call it when the turn's token is pulled and its abort has looked here.
    pub(super) fn turn_stopped(&self, stop: &Stop, policy: TitleOnCancel) {
        if (stop.via_ctx_abort || policy == TitleOnCancel::Cancel)
            && let Desk::Running { canceller, .. } = &*self.lock()
        {
            // One that was cancelled before keeps its first cause.
            let _ = canceller.stop(stop.clone());
        }
    }

    /// Cancels a generation that outlived its turn, and gives that turn. Nothing, if none runs or it was cancelled before:
    /// it keeps its first cause.
    pub(super) fn cancel_alone(&self, stop: &Stop) -> Option<TurnId> {
        match &mut *self.lock() {
            Desk::Running { canceller, record, is_alone, .. } => {
                *is_alone = canceller.stop(stop.clone()).is_ok() || *is_alone;
                canceller.token().stop().is_some_and(|first| *first == *stop).then(|| record.turn_id.clone())
            }
            _ => None,
        }
    }

    /// What names the end of a generation that was cancelled.
    fn ended_by(&self, stop: &Stop) -> EndedBy {
        match (&*self.lock(), &stop.cancel_id) {
            (Desk::Running { is_alone: true, .. }, Some(demand)) => EndedBy::Demand(demand.clone()),
            _ => EndedBy::Abort(stop.abort_id.clone()),
        }
    }

    /// Waits until no generation is running.
    pub(super) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        while matches!(*self.lock(), Desk::Running { .. }) {
            if ended.changed().await.is_err() {
                return;
            }
        }
    }

    /// Nothing writes titles here.
    pub(super) fn is_off(&self) -> bool {
        matches!(*self.lock(), Desk::Disabled)
    }

    /// A turn is about to be asked: where nothing writes titles, none is waited for.
    pub(super) fn is_written_by(&self, model: Option<&Arc<dyn Provider>>) {
        let mut desk = self.lock();
        if matches!(*desk, Desk::NotStarted) && model.is_none_or(|model| model.titles() == TitleSupport::None) {
            *desk = Desk::Disabled;
        }
    }

    /// Starts the generation if this session still needs a title: the turn's answer has begun.
    pub(super) fn start(self: &Arc<Self>, context: &Arc<SessionContext>, model: Option<&Arc<dyn Provider>>, turn: &TurnStart<'_>) {
        let mut desk = self.lock();
        // A stop pulls the token before it looks here, so either this sees the stop or the stop sees the generation.
        if !matches!(*desk, Desk::NotStarted) || turn.token.is_stopped() {
            return;
        }
        let (model, source) = match model.map(|model| (model, model.titles())) {
            None | Some((_, TitleSupport::None)) => {
                *desk = Desk::Disabled;
                return;
            }
            Some((model, TitleSupport::Heuristic)) => (model, TitleSource::Heuristic),
            Some((model, TitleSupport::Model)) => (model, TitleSource::Model),
        };
        let title_run_id = context.provenance.ids.title();
        let record = context.provenance.recorded(TitleGeneration {
            title_run_id,
            session_id: context.id.clone(),
            turn_id: turn.turn_id.clone(),
            message_id: turn.message_id.clone(),
            parent_id: turn.prompt.message_id.clone(),
            source,
            started_at: context.provenance.clock.wall_ms(),
            applied: false,
            completed_at: None,
            success: None,
            abort_id: None,
            cancel_id: None,
            error_name: None,
            error_message: None,
            usage: None,
            attempt: None,
            earlier_attempts: None,
        });
        context.record(Diagnostic::Title(record.clone()));
        let canceller = Canceller::new();
        let token = canceller.token();
        *desk = Desk::Running { record: record.clone(), canceller, is_alone: false, seen_by: Vec::new() };
        drop(desk);
        let (title, context, model) = (Arc::clone(self), Arc::clone(context), Arc::clone(model));
        let (prompt, beside) = (Arc::clone(turn.prompt), turn.asked.to_owned());
        let span = tracing::info_span!("title", session_id = %context.id, turn_id = %record.turn_id, title_run_id = %record.title_run_id);
        let work = async move {
            let turn_id = record.turn_id.clone();
            if AssertUnwindSafe(title.generate(&context, (&*model, &beside), record, prompt, token)).catch_unwind().await.is_err() {
                context.panicked(&turn_id, "title_panic");
                title.broke(&context);
            }
        };
        tokio::spawn(tracing::Instrument::instrument(work, span));
    }

    async fn generate(
        &self,
        context: &SessionContext,
        (model, beside): (&dyn Provider, &str),
        mut record: TitleGeneration,
        prompt: Arc<Message>,
        token: CancelToken,
    ) {
        let text = words::prompt_text(&prompt);
        let outcome = match record.source {
            TitleSource::Model => {
                let asking = Asking { title: self, context, model, beside, token: &token };
                let asked = AssertUnwindSafe(asking.until_answered(&text, &mut record)).catch_unwind().await;
                asked.unwrap_or_else(|_panic| {
                    context.panicked(&record.turn_id, "title_panic");
                    Outcome::Failed { name: "title_panic", message: said::TITLE_PANICKED.to_owned() }
                })
            }
            TitleSource::Heuristic | TitleSource::User => match words::fallback(&text) {
                title if title.is_empty() => Outcome::Failed { name: "empty_title", message: said::TITLE_HAS_NO_WORDS.into() },
                title => Outcome::Title(title),
            },
        };
        let clock = &context.provenance.clock;
        let state = match &outcome {
            Outcome::Title(_) => TitleState::CompletedBeforeAbort,
            Outcome::Failed { .. } => TitleState::Failed,
            Outcome::Cancelled(_) => TitleState::Cancelled,
        };
        let (title, source) = match &outcome {
            Outcome::Title(title) => (context.scrub(title), record.source),
            _ => (context.scrub(&words::fallback(&text)), TitleSource::Heuristic),
        };
        let stored = if title.is_empty() {
            Ok(false)
        } else {
            context.store.change_session(&context.id, SessionChange::Title { title: title.clone(), source }).await
        };
        record.completed_at = Some(clock.wall_ms());
        record.success = Some(matches!(outcome, Outcome::Title(_)));
        record.applied = record.success == Some(true) && matches!(stored, Ok(true));
        match outcome {
            Outcome::Title(_) => match &stored {
                Ok(true) => {}
                Ok(false) => {
                    record.error_name = Some("not_wanted".into());
                    record.error_message = Some(said::TITLE_NOT_WANTED.into());
                }
                Err(error) => {
                    record.error_name = Some("store_failure".into());
                    record.error_message = Some(error.to_string());
                }
            },
            Outcome::Failed { name, message } => {
                record.error_name = Some(name.into());
                record.error_message = Some(message);
            }
            Outcome::Cancelled(stop) => {
                match self.ended_by(&stop) {
                    EndedBy::Abort(abort) => record.abort_id = Some(abort),
                    EndedBy::Demand(demand) => record.cancel_id = Some(demand),
                }
                record.error_name = Some("cancelled".into());
                record.error_message = Some(said::with(said::TITLE_STOPPED, &[&stop.cause.name()]));
            }
        }
        let update = matches!(stored, Ok(true)).then(|| {
            let updated_at = Some(super::rfc3339(clock.wall_ms()));
            SessionUpdate::SessionInfoUpdate { title: Some(title), updated_at, meta: None }
        });
        self.end(context, context.provenance.recorded(record), state, update);
    }

    /// The generation itself broke. Whoever waits for its end has it.
    fn broke(&self, context: &SessionContext) {
        let record = match &*self.lock() {
            Desk::Running { record, .. } => Some(record.clone()),
            _ => None,
        };
        let Some(record) = record else {
            self.ended.send_replace(());
            return;
        };
        let record = TitleGeneration {
            completed_at: Some(context.provenance.clock.wall_ms()),
            success: Some(false),
            error_name: Some("title_panic".into()),
            error_message: Some(said::TITLE_PANICKED.to_owned()),
            ..record
        };
        self.end(context, context.provenance.recorded(record), TitleState::Failed, None);
    }

    /// The model call will be made again: what came so far is on record before the wait.
    fn goes_on(&self, context: &SessionContext, so_far: &TitleGeneration) {
        let so_far = context.provenance.recorded(so_far.clone());
        context.record(Diagnostic::Title(so_far.clone()));
        if let Desk::Running { record, .. } = &mut *self.lock() {
            *record = so_far;
        }
    }

    /// The end is on the desk before the client can see it: an abort that comes behind the update knows of it.
    fn end(&self, context: &SessionContext, record: TitleGeneration, state: TitleState, update: Option<SessionUpdate>) {
        let mut desk = self.lock();
        let seen_by = match &mut *desk {
            Desk::Running { seen_by, .. } => std::mem::take(seen_by),
            _ => Vec::new(),
        };
        tracing::debug!(state = ?state, applied = record.applied, "the title generation has ended");
        let later = if state == TitleState::CompletedBeforeAbort { TitleState::CompletedAfterAbort } else { state };
        context.record(Diagnostic::Title(record.clone()));
        for (turn_id, abort_id) in seen_by {
            context.record(Diagnostic::TitleState { session_id: context.id.clone(), turn_id, abort_id, state: later });
        }
        *desk = Desk::Ended { record, state };
        context.announce(update.map(|update| (None, update)));
        drop(desk);
        self.ended.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn that a generation starts with.
pub(super) struct TurnStart<'a> {
    /// The provider that the turn asks.
    pub(super) asked: &'a str,
    pub(super) turn_id: &'a TurnId,
    pub(super) message_id: &'a MessageId,
    pub(super) prompt: &'a Arc<Message>,
    pub(super) token: &'a CancelToken,
}
