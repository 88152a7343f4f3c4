//! Background title generation: its own task, trace and time limit; never in the way of an answer or of the end.
//!
//! Invariant: a generation is stored when it starts and again when it ends, and an abort that saw it in flight gets its
//! final state as a row of its own.

use super::context::SessionContext;
use super::trace::AttemptTrace;
use crate::config::TitleOnCancel;
use crate::protocol::abort::TitleState;
use crate::protocol::diagnostics::{StreamFailure, TitleGeneration, TitleSource};
use crate::protocol::ids::{AbortId, AttemptId, TitleRunId, TurnId};
use crate::protocol::message::{Message, Part};
use crate::protocol::model::{ModelEvent, ModelRequest, Purpose};
use crate::protocol::update::SessionUpdate;
use crate::provenance::{CancelToken, Canceller, Stop, Stopped};
use crate::provider::{Provider, TitleSupport};
use crate::store::{Diagnostic, SessionChange};
use futures_util::StreamExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The longest title, in characters.
const MAX_TITLE_CHARS: usize = 100;
/// How many characters of the prompt become a title when no model makes one.
const FALLBACK_CHARS: usize = 60;
/// How much of the prompt the title model reads, in characters.
const PROMPT_CHARS: usize = 2_000;
const SYSTEM: &str = "You name conversations. Answer with one short title for the request below: at most eight words, in the language of \
the request, no quotation marks, no full stop, nothing else.";

/// The title of one session, as far as its generation has come.
pub(super) struct Title {
    desk: Mutex<Desk>,
    /// Changes whenever a generation ends.
    ended: watch::Sender<()>,
}

enum Desk {
    /// The session has a title, or is a child session.
    NotApplicable,
    Disabled,
    NotStarted,
    Running {
        record: TitleGeneration,
        canceller: Canceller,
        seen_by: Vec<(TurnId, AbortId)>,
    },
    Ended {
        record: TitleGeneration,
        state: TitleState,
    },
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

    pub(super) fn to_be_made() -> Self {
        Self::with(Desk::NotStarted)
    }

    /// The session got its title elsewhere.
    pub(super) fn not_due(&self) {
        let mut desk = self.lock();
        if matches!(*desk, Desk::NotStarted) {
            *desk = Desk::NotApplicable;
        }
    }

    fn with(desk: Desk) -> Self {
        Self { desk: Mutex::new(desk), ended: watch::Sender::new(()) }
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

    /// A turn was stopped: the generation goes on or is cancelled, as the setting says, and always when the client is gone.
    pub(super) fn turn_stopped(&self, stop: &Stop, policy: TitleOnCancel) {
        if stop.via_ctx_abort || policy == TitleOnCancel::Cancel {
            self.cancel(stop);
        }
    }

    /// Cancels a running generation for `stop`, and gives the turn that it belongs to. Nothing, if none runs or it was
    /// cancelled before: it keeps its first cause.
    pub(super) fn cancel(&self, stop: &Stop) -> Option<TurnId> {
        match &*self.lock() {
            Desk::Running { canceller, record, .. } => canceller.stop(stop.clone()).is_ok().then(|| record.turn_id.clone()),
            _ => None,
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

    /// Starts the generation if this session still needs a title.
    pub(super) fn start(self: &Arc<Self>, context: &Arc<SessionContext>, model: &Arc<dyn Provider>, off: bool, turn: &TurnStart<'_>) {
        let mut desk = self.lock();
        if !matches!(*desk, Desk::NotStarted) {
            return;
        }
        let support = if off { TitleSupport::None } else { model.titles() };
        let source = match support {
            TitleSupport::None => {
                *desk = Desk::Disabled;
                return;
            }
            TitleSupport::Heuristic => TitleSource::Heuristic,
            TitleSupport::Model => TitleSource::Model,
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
            error_name: None,
            error_message: None,
            usage: None,
            attempt: None,
        });
        context.record(Diagnostic::Title(record.clone()));
        let canceller = Canceller::new();
        let token = canceller.token();
        *desk = Desk::Running { record: record.clone(), canceller, seen_by: Vec::new() };
        drop(desk);
        let (title, context, model) = (Arc::clone(self), Arc::clone(context), Arc::clone(model));
        let prompt = turn.prompt.clone();
        let span = tracing::info_span!("title", session_id = %context.id, turn_id = %record.turn_id, title_run_id = %record.title_run_id);
        let work = async move { title.generate(&context, &*model, record, prompt, token).await };
        tokio::spawn(tracing::Instrument::instrument(work, span));
    }

    async fn generate(
        &self,
        context: &SessionContext,
        model: &dyn Provider,
        mut record: TitleGeneration,
        prompt: Message,
        token: CancelToken,
    ) {
        let words = prompt_text(&prompt);
        let outcome = match record.source {
            TitleSource::Model => ask(context, model, &mut record, &words, &token).await,
            _ => Outcome::Title(fallback(&words)),
        };
        let clock = &context.provenance.clock;
        let state = match &outcome {
            Outcome::Title(_) => TitleState::CompletedBeforeAbort,
            Outcome::Failed { .. } => TitleState::Failed,
            Outcome::Cancelled(_) => TitleState::Cancelled,
        };
        let (text, source) = match &outcome {
            Outcome::Title(text) => (context.scrub(text), record.source),
            _ => (context.scrub(&fallback(&words)), TitleSource::Heuristic),
        };
        let stored = if text.is_empty() {
            Ok(false)
        } else {
            context.store.change_session(&context.id, SessionChange::Title { title: text.clone(), source }).await
        };
        record.completed_at = Some(clock.wall_ms());
        record.success = Some(matches!(outcome, Outcome::Title(_)));
        record.applied = record.success == Some(true) && matches!(stored, Ok(true));
        match outcome {
            Outcome::Title(_) => {
                if let Err(error) = &stored {
                    record.error_name = Some("store_failure".into());
                    record.error_message = Some(error.to_string());
                }
            }
            Outcome::Failed { name, message } => {
                record.error_name = Some(name.into());
                record.error_message = Some(message);
            }
            Outcome::Cancelled(stop) => {
                record.abort_id = Some(stop.abort_id.clone());
                record.error_name = Some("cancelled".into());
            }
        }
        if matches!(stored, Ok(true)) {
            let update = SessionUpdate::SessionInfoUpdate { title: Some(text), updated_at: Some(super::rfc3339(clock.wall_ms())) };
            context.channel.post(None, update);
        }
        self.end(context, context.provenance.recorded(record), state);
    }

    fn end(&self, context: &SessionContext, record: TitleGeneration, state: TitleState) {
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
        drop(desk);
        self.ended.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn that a generation starts with.
pub(super) struct TurnStart<'a> {
    pub(super) turn_id: &'a TurnId,
    pub(super) message_id: &'a crate::protocol::ids::MessageId,
    pub(super) prompt: &'a Message,
}

async fn ask(context: &SessionContext, model: &dyn Provider, record: &mut TitleGeneration, words: &str, token: &CancelToken) -> Outcome {
    let attempt_id = AttemptId::new(format!("{}_{}", AttemptId::PREFIX, record.title_run_id));
    let place = (record.session_id.clone(), record.turn_id.clone());
    let mut trace = AttemptTrace::begin(attempt_id.clone(), place, 0, model.name(), model.model(), context.provenance.clone());
    let request = ModelRequest {
        attempt_id,
        purpose: Purpose::Title,
        system: SYSTEM.to_owned(),
        messages: vec![Message {
            message_id: record.parent_id.clone(),
            role: crate::protocol::message::Role::User,
            created_at: record.started_at,
            parts: vec![Part::text(words.chars().take(PROMPT_CHARS).collect::<String>())],
            turn_id: None,
            model: None,
        }],
        tools: Vec::new(),
    };
    let answer = async {
        let mut text = String::new();
        let mut stream = model.stream(request);
        while let Some(event) = stream.next().await {
            let event = event?;
            trace.observe(&event);
            if let ModelEvent::Text(delta) = &event {
                text.push_str(delta);
            }
        }
        Ok::<_, StreamFailure>(text)
    };
    let answer = token.race(tokio::time::timeout(context.settings.title_timeout, answer)).await;
    let outcome = match answer {
        Err(Stopped(stop)) => {
            trace.aborted(stop.abort_id.clone());
            Outcome::Cancelled(stop)
        }
        Ok(Err(_elapsed)) => {
            let limit = context.settings.title_timeout.as_secs();
            Outcome::Failed { name: "timeout", message: format!("the title model had not answered after {limit} s") }
        }
        Ok(Ok(Err(failure))) => {
            let message = failure.message.clone();
            trace.failed(failure);
            Outcome::Failed { name: "provider_failure", message }
        }
        Ok(Ok(Ok(text))) => {
            trace.completed();
            match clean(&text) {
                title if title.is_empty() => {
                    Outcome::Failed { name: "empty_title", message: "the title model answered without a title".into() }
                }
                title => Outcome::Title(title),
            }
        }
    };
    let trace = trace.trace().clone();
    record.usage = Some(trace.usage.clone());
    record.attempt = Some(trace);
    outcome
}

/// What a model wrote, made a title: no thinking, one line, no quotation marks, not too long.
fn clean(text: &str) -> String {
    let mut rest = text;
    let mut outside = String::new();
    while let Some((before, after)) = rest.split_once("<think>") {
        outside.push_str(before);
        rest = after.split_once("</think>").map_or("", |(_, after)| after);
    }
    outside.push_str(rest);
    let line = outside.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*' | '#'));
    line.chars().filter(|c| !c.is_control()).take(MAX_TITLE_CHARS).collect::<String>().trim_end().to_owned()
}

/// The prompt's first words.
fn fallback(words: &str) -> String {
    let mut title = String::new();
    for word in words.split_whitespace() {
        if title.chars().count() + word.chars().count() + 1 > FALLBACK_CHARS && !title.is_empty() {
            break;
        }
        if !title.is_empty() {
            title.push(' ');
        }
        title.extend(word.chars().filter(|c| !c.is_control()).take(FALLBACK_CHARS));
    }
    title
}

fn prompt_text(prompt: &Message) -> String {
    let texts = prompt.parts.iter().filter(|part| part.kind == crate::protocol::message::PartKind::Text);
    texts.filter_map(|part| part.text.as_deref()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_cleaned_of_thinking_quotes_and_length() {
        assert_eq!(clean("<think>hm\nhm</think>\n\n \"Fix the parser\"\nmore"), "Fix the parser");
        assert_eq!(clean("<think>never closed"), "");
        assert_eq!(clean(&"é".repeat(300)).chars().count(), MAX_TITLE_CHARS);
        assert_eq!(clean("# **Heading**"), "Heading");
    }

    #[test]
    fn the_fallback_is_the_first_words_cut_between_words() {
        assert_eq!(fallback("  explain\nthis   code "), "explain this code");
        assert_eq!(fallback(&"word ".repeat(40)).len(), 59);
        assert_eq!(fallback(&"x".repeat(200)).chars().count(), FALLBACK_CHARS);
        assert_eq!(fallback(""), "");
    }
}
