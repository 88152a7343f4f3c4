//! The model calls of one title generation.
//!
//! Invariant: a call is made again by the rule that holds for a turn's, and all attempts with their waits keep to the one time
//! limit of titles. Each attempt stands in the generation's record when it has ended. The client is not told: nothing of it shows.

use super::{EndedBy, Outcome, Title, words};
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Boundary, ClosedBy, Confidence, StreamFailure, StreamTrace, TitleGeneration, Usage};
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
use tokio::time::Instant;

/// How much of the prompt the title model reads, in characters.
const PROMPT_CHARS: usize = 2_000;
const SYSTEM: &str = "You name conversations. Answer with one short title for the request below: at most eight words, in the language of \
the request, no quotation marks, no full stop, nothing else.";

/// Who asks whom, and who can stop it.
pub(super) struct Asking<'a> {
    pub(super) title: &'a Title,
    pub(super) context: &'a SessionContext,
    pub(super) model: &'a dyn Provider,
    pub(super) token: &'a CancelToken,
}

impl Asking<'_> {
    /// Asks for a title of `prompt`, again if need be, until there is one, the call fails for good or it is stopped.
    pub(super) async fn until_answered(&self, prompt: &str, record: &mut TitleGeneration) -> Outcome {
        let settings = &self.context.settings;
        let deadline = Instant::now() + settings.title_timeout;
        let mut attempt = 1;
        let mut loading = Loading::default();
        loop {
            let mut trace = self.begin(record, attempt);
            let stream = self.model.stream(request(&trace, record, prompt));
            let heard = self.token.race(tokio::time::timeout_at(deadline, listen(stream, &mut trace))).await;
            let (name, failure) = match heard {
                Err(Stopped(stop)) => {
                    trace.observe(&ModelEvent::UpstreamClosed(ClosedBy::Us));
                    match self.title.ended_by(&stop) {
                        EndedBy::Abort(abort) => trace.aborted(abort),
                        EndedBy::Demand(demand) => trace.withdrawn(demand),
                    }
                    keep(record, trace.trace());
                    return Outcome::Cancelled(stop);
                }
                Ok(Ok(Ok(text))) => {
                    trace.completed();
                    keep(record, trace.trace());
                    return titled(&text);
                }
                Ok(Ok(Err(failure))) if failure.kind == ProtocolKind::EmptyAnswer.name() => ("empty_title", failure),
                Ok(Ok(Err(failure))) => ("provider_failure", failure),
                Ok(Err(_elapsed)) => {
                    trace.observe(&ModelEvent::UpstreamClosed(ClosedBy::Us));
                    ("timeout", timed_out(settings.title_timeout.as_secs_f32()))
                }
            };
            let message = failure.message.clone();
            let time_left = deadline.saturating_duration_since(Instant::now());
            let again_after = retry::fail(&mut trace, failure, &settings.retry, Some(time_left), &mut loading);
            keep(record, trace.trace());
            let Some(delay) = again_after else { return Outcome::Failed { name, message } };
            self.title.goes_on(self.context, record);
            tracing::info!(attempt, ?delay, "the title's model call has failed and will be made again");
            if let Err(Stopped(stop)) = self.token.race(tokio::time::sleep(delay)).await {
                return Outcome::Cancelled(stop);
            }
            attempt += 1;
        }
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

/// The text of a whole answer.
async fn listen(
    mut stream: BoxStream<'static, Result<ModelEvent, StreamFailure>>,
    trace: &mut AttemptTrace,
) -> Result<String, StreamFailure> {
    let (mut text, mut is_finished) = (String::new(), false);
    while let Some(event) = stream.next().await {
        let event = event?;
        trace.observe(&event);
        match event {
            ModelEvent::Text(delta) => text.push_str(&delta),
            ModelEvent::Finish { .. } => is_finished = true,
            ModelEvent::RequestSent
            | ModelEvent::Headers { .. }
            | ModelEvent::KeptAlive
            | ModelEvent::ResponseId(_)
            | ModelEvent::Reasoning(_)
            | ModelEvent::ToolBegins { .. }
            | ModelEvent::ToolInput { .. }
            | ModelEvent::ToolCall { .. }
            | ModelEvent::State(_)
            | ModelEvent::Usage(_)
            | ModelEvent::UpstreamClosed(_)
            | ModelEvent::Note { .. } => {}
        }
    }
    if is_finished { Ok(text) } else { Err(attempt::unfinished()) }
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

/// Our own time limit dropped the stream; nobody's abort did.
fn timed_out(seconds: f32) -> StreamFailure {
    StreamFailure {
        cause: Cause::ProviderTransport,
        boundary: Boundary::Watchdog,
        confidence: Confidence::Certain,
        evidence: vec!["the time limit of title generations was over".into()],
        kind: "title_timeout".into(),
        message: said::with(said::TITLE_TIMED_OUT, seconds),
        os_error: None,
        code: None,
        retry_after_ms: None,
        meaning: None,
    }
}
