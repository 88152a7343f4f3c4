//! The model calls of one title generation.
//!
//! Invariant: a call is made again by the rule that holds for a turn's, and all attempts with their waits keep to the one time
//! limit of titles. Each attempt stands in the generation's record when it has ended. The client is not told: nothing of it shows.

use super::turns::Beside;
use super::{EndedBy, Outcome, Title, words};
use crate::config::TitleBegins;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{
    Boundary, ClosedBy, Confidence, RetryDecision, RetryVerdict, StreamFailure, StreamTrace, TitleGeneration, Usage,
};
use crate::protocol::ids::AttemptId;
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::model::{ModelEvent, ModelRequest, Purpose};
use crate::protocol::said;
use crate::provenance::{CancelToken, Stopped};
use crate::provider::Provider;
use crate::provider::failure::ProtocolKind;
use crate::session::attempt;
use crate::session::context::SessionContext;
use crate::session::retry::{self, Loading};
use crate::session::trace::{Asked, AttemptTrace};
use crate::text::first;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// As often a title gives way to turns.
const GIVES_WAY: u32 = 8;
/// How much of the prompt the title model reads, in characters.
const PROMPT_CHARS: usize = 2_000;
const SYSTEM: &str = "You name conversations. Answer with one short title for the request below: at most eight words, in the language of \
the request, no quotation marks, no full stop, nothing else.";

/// Who asks whom, and who can stop it.
pub(super) struct Asking<'a> {
    pub(super) title: &'a Title,
    pub(super) context: &'a SessionContext,
    pub(super) model: &'a dyn Provider,
    /// The provider that the turn asks beside it.
    pub(super) beside: &'a str,
    pub(super) token: &'a CancelToken,
}

impl Asking<'_> {
    /// Asks for a title of `prompt`, again if need be, until there is one, the call fails for good or it is stopped. Where the
    /// server takes one request at a time, no turn waits for it.
    pub(super) async fn until_answered(&self, prompt: &str, record: &mut TitleGeneration) -> Outcome {
        let settings = &self.context.settings;
        let mut deadline = Instant::now() + settings.title_timeout;
        let (mut attempt, mut gave_way) = (1, 0);
        let mut loading = Loading::default();
        loop {
            if self.waits_for_turns() && self.title.turns.now().turn {
                if let Err(Stopped(stop)) = self.token.race(self.title.turns.until(|beside| !beside.turn)).await {
                    return Outcome::Cancelled(stop);
                }
                deadline = Instant::now() + settings.title_timeout;
            }
            let mut trace = self.begin(record, attempt);
            let stream = self.model.stream(request(&trace, record, prompt));
            let (begun, heard) = (self.title.turns.now(), AtomicBool::new(false));
            let answer = async {
                tokio::select! {
                    biased;
                    () = self.has_to_give_way(begun, &heard) => None,
                    heard = tokio::time::timeout_at(deadline, self.listen(stream, &mut trace, begun, &heard)) => Some(heard),
                }
            };
            let answer = self.token.race(answer).await;
            let (name, failure) = match answer {
                Err(Stopped(stop)) => {
                    trace.observe(&ModelEvent::UpstreamClosed(ClosedBy::Us));
                    match self.title.ended_by(&stop) {
                        EndedBy::Abort(abort) => trace.aborted(abort),
                        EndedBy::Demand(demand) => trace.withdrawn(demand),
                    }
                    keep(record, trace.trace());
                    return Outcome::Cancelled(stop);
                }
                Ok(Some(Ok(Ok(text)))) => {
                    trace.completed();
                    keep(record, trace.trace());
                    return titled(&text);
                }
                Ok(Some(Ok(Err(failure)))) if failure.kind == ProtocolKind::EmptyAnswer.name() => ("empty_title", failure),
                Ok(Some(Ok(Err(failure)))) => ("provider_failure", failure),
                Ok(Some(Err(_elapsed))) => {
                    trace.observe(&ModelEvent::UpstreamClosed(ClosedBy::Us));
                    ("timeout", of_our_own("title_timeout", said::with(said::TITLE_TIMED_OUT, &[&settings.title_timeout.as_secs_f32()])))
                }
                Ok(None) => {
                    trace.observe(&ModelEvent::UpstreamClosed(ClosedBy::Us));
                    ("gave_way", of_our_own("title_gave_way", said::TITLE_GAVE_WAY.to_owned()))
                }
            };
            let message = failure.message.clone();
            let again_after = if name == "gave_way" {
                gave_way += 1;
                let again = gave_way <= GIVES_WAY;
                trace.failed(failure);
                trace.decided(Some(made_later(again)));
                again.then_some(Duration::ZERO)
            } else {
                let time_left = deadline.saturating_duration_since(Instant::now());
                retry::fail(&mut trace, failure, &settings.retry, Some(time_left), &mut loading)
            };
            keep(record, trace.trace());
            let Some(delay) = again_after else { return Outcome::Failed { name, message } };
            self.title.goes_on(self.context, record);
            tracing::info!(attempt, ?delay, name, "the title's model call will be made again");
            if let Err(Stopped(stop)) = self.token.race(tokio::time::sleep(delay)).await {
                return Outcome::Cancelled(stop);
            }
            attempt += 1;
        }
    }

    /// Whether turns and titles ask one server that takes one request at a time, as far as that is known.
    fn waits_for_turns(&self) -> bool {
        match self.context.settings.title_begins {
            TitleBegins::AfterTurn => true,
            TitleBegins::WithAnswer => false,
            TitleBegins::Auto => self.asks_the_same() && self.context.single_file.has(self.beside),
        }
    }

    /// Whether a title may have to wait for a turn, or a turn for a title.
    fn asks_the_same(&self) -> bool {
        self.model.may_queue() && self.beside == self.model.name()
    }

    /// The server was seen to let a title wait for the end of a turn's answer.
    fn is_seen_to_wait(&self) {
        if self.context.settings.title_begins == TitleBegins::Auto && self.asks_the_same() {
            self.context.single_file.add(self.beside);
        }
    }

    /// Resolves when a turn asks the model again, and waits for this title: the server is known to take one request at a time, or
    /// has said nothing since it was asked beside a turn's answer that is over.
    async fn has_to_give_way(&self, begun: Beside, heard: &AtomicBool) {
        let may_wait = |beside: &Beside| {
            let is_silent = begun.asking && !heard.load(Ordering::Relaxed);
            if beside.asking && beside.calls > begun.calls && is_silent {
                self.is_seen_to_wait();
            }
            beside.asking && beside.calls > begun.calls && self.waits_for_turns()
        };
        self.title.turns.until(may_wait).await;
    }

    /// The text of a whole answer. If its first event comes only when the turn's answer is over, it has waited for that.
    async fn listen(
        &self,
        mut stream: BoxStream<'static, Result<ModelEvent, StreamFailure>>,
        trace: &mut AttemptTrace,
        begun: Beside,
        heard: &AtomicBool,
    ) -> Result<String, StreamFailure> {
        let (mut text, mut is_finished) = (String::new(), false);
        while let Some(event) = stream.next().await {
            let event = event?;
            trace.observe(&event);
            if trace.trace().timeline.first_event_us.is_some() && !heard.swap(true, Ordering::Relaxed) {
                let now = self.title.turns.now();
                if begun.asking && !(now.asking && now.calls == begun.calls) {
                    self.is_seen_to_wait();
                }
            }
            match event {
                ModelEvent::Text(delta) => text.push_str(&delta),
                ModelEvent::Finish { .. } => is_finished = true,
                _ => {}
            }
        }
        if is_finished { Ok(text) } else { Err(attempt::unfinished()) }
    }

    fn begin(&self, record: &TitleGeneration, attempt: u64) -> AttemptTrace {
        let attempt_id = AttemptId::new(format!("{}_{}_{attempt}", AttemptId::PREFIX, record.title_run_id));
        let place = (record.session_id.clone(), record.turn_id.clone());
        AttemptTrace::begin(attempt_id, place, (0, attempt), Asked::of(self.model), self.context.provenance.clone())
    }
}

/// Neither tools nor the conversation: the prompt alone.
fn request(trace: &AttemptTrace, record: &TitleGeneration, prompt: &str) -> ModelRequest {
    ModelRequest {
        attempt_id: trace.trace().attempt_id.clone(),
        purpose: Purpose::Title,
        system: SYSTEM.to_owned(),
        messages: vec![Arc::new(Message {
            message_id: record.parent_id.clone(),
            role: Role::User,
            created_at: record.started_at,
            parts: vec![Part::text(first(prompt, PROMPT_CHARS))],
            turn_id: None,
            model: None,
        })],
        tools: Arc::default(),
    }
}

fn titled(text: &str) -> Outcome {
    match words::clean(text) {
        title if title.is_empty() => Outcome::Failed { name: "empty_title", message: said::TITLE_IS_EMPTY.into() },
        title => Outcome::Title(title),
    }
}

/// Adds an attempt that has ended to the record.
fn keep(record: &mut TitleGeneration, trace: &StreamTrace) {
    let before = record.usage.take().unwrap_or_else(Usage::absent);
    record.usage = Some(before.plus(&trace.usage));
    if let Some(earlier) = record.attempt.replace(trace.clone()) {
        record.earlier_attempts.get_or_insert_default().push(earlier);
    }
}

/// We dropped the stream ourselves; nobody's abort did.
fn of_our_own(kind: &str, message: String) -> StreamFailure {
    let evidence = if kind == "title_timeout" {
        "the time limit of title generations was over"
    } else {
        "a turn asked a server that takes one request at a time"
    };
    StreamFailure {
        cause: Cause::ProviderTransport,
        boundary: Boundary::Watchdog,
        confidence: Confidence::Certain,
        evidence: vec![evidence.into()],
        kind: kind.into(),
        message,
        os_error: None,
        code: None,
        retry_after_ms: None,
        meaning: None,
    }
}

/// What becomes of a title that gave way.
fn made_later(again: bool) -> RetryDecision {
    let (verdict, why, delay_ms) = if again {
        (RetryVerdict::Again, "the title is made when the turn has ended", Some(0))
    } else {
        (RetryVerdict::GivenUp, "the title gave way too often", None)
    };
    RetryDecision { verdict, reasons: vec![why.to_owned()], delay_ms }
}
