//! One model call, streamed to the client as it comes. Every wait races the token.

use super::history;
use super::ledger::Ledger;
use super::retry::{self, Loading};
use super::saver::Saver;
use super::toolcalls::Call;
use super::trace::{Asked, AttemptTrace};
use super::turn::{Fault, Interruption, TurnJob};
use super::watchdog::{Bitten, StreamWatch};
use crate::protocol::abort::Phase;
use crate::protocol::diagnostics::{Boundary, ClosedBy, Meaning, StreamFailure};
use crate::protocol::message::{Part, PartKind};
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest, NoteKind};
use crate::protocol::nesting::kept;
use crate::protocol::said;
use crate::protocol::turn::Lane;
use crate::protocol::update::{InfoExtras, InfoMeta, NoteNotice, SessionUpdate};
use crate::provider::failure::{TransportKind, transport};
use crate::provider::wire::AnswerLimits;
use crate::store::{Diagnostic, StoreError};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

type Events = BoxStream<'static, Result<ModelEvent, StreamFailure>>;

/// What a whole answer came to.
pub(super) struct Answered {
    pub(super) reason: FinishReason,
    pub(super) calls: Vec<Call>,
}

/// Why there is no whole answer.
pub(super) enum Broken {
    Interrupted(Interruption),
    /// The stream failed. With a wait, the call may be made again after it.
    Failed {
        fault: Fault,
        /// What the provider means by it.
        meaning: Option<Meaning>,
        again_after: Option<Duration>,
    },
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Interrupted(error.into())
    }
}

/// What is known while an answer streams.
struct Answer<'a> {
    job: &'a TurnJob,
    /// Every call id of the conversation.
    call_ids: &'a mut HashSet<String>,
    calls: Vec<Call>,
    finish: Option<FinishReason>,
    /// Its first event has come, and something of what it says.
    is_answered: bool,
    has_begun: bool,
    /// What the model has written in this turn, in bytes.
    written: usize,
    /// What providers want back of this turn, in bytes.
    kept: usize,
    /// What the provider wants back with the step, until something of the answer is shown behind it: a call that is made again
    /// leaves nothing.
    states: Vec<String>,
    /// The provider says how many tokens the model writes.
    is_counted: bool,
}

/// Makes the call: the `attempt`th of this step. `call_ids` are those of the conversation so far; those of the answer come to them.
pub(super) async fn run(
    job: &TurnJob,
    (step, attempt): (u64, u64),
    request: ModelRequest,
    (call_ids, loading): (&mut HashSet<String>, &mut Loading),
    saver: &mut Saver,
) -> Result<Answered, Broken> {
    let (context, ledger) = (&job.context, &job.ledger);
    let place = (context.id.clone(), job.turn_id.clone());
    let mut trace =
        AttemptTrace::begin(request.attempt_id.clone(), place, (step, attempt), Asked::of(&*job.provider), context.provenance.clone());
    let mut watch = StreamWatch::begin(&context.settings.watchdogs, &*job.provider);
    trace.watched(watch.records(Bitten::No));
    context.record(Diagnostic::Trace(trace.trace().clone()));
    ledger.attempt_begins(trace);
    tracing::debug!(step, provider = job.provider.name(), "a model call starts");
    let (written, kept) = sizes(job);
    let (calls, states) = (Vec::new(), Vec::new());
    let mut answer =
        Answer { job, call_ids, calls, finish: None, is_answered: false, has_begun: false, written, kept, states, is_counted: false };
    let mut stream = job.provider.stream(request);
    let mut stopped = pin!(job.token.stopped());
    let editor = context.channel.editor();
    loop {
        let full = editor.is_full();
        let event = tokio::select! {
            biased;
            _ = &mut stopped => {
                let_go(job, stream);
                ledger.hop(DROPPED);
                return Err(Broken::Interrupted(Interruption::Stopped));
            }
            // Before the stream: one that never pauses must not hide that its output cannot be kept.
            went_on = saver.go_on() => {
                went_on?;
                continue;
            }
            // A client that reads too slowly slows the model down, and no watchdog counts that against the model.
            () = async { job.stopwatch.during(Lane::Client, editor.room()).await }, if full => {
                watch.again();
                continue;
            }
            event = next(&mut stream, ledger), if !full => event,
            () = watch.bites(), if !full => {
                let bitten = Instant::now();
                let_go(job, stream);
                ledger.attempt_ends(|trace| trace.watched(watch.records(Bitten::Yes)));
                return Err(failed(job, step, watch.failure(), bitten, loading));
            }
        };
        match event {
            None => break,
            Some(Ok(event)) => {
                watch.observe(&event);
                answer.take(event);
                if answer.written.max(answer.kept) > context.settings.limits.turn_text {
                    let_go(job, stream);
                    return Err(failed(job, step, too_much_text(context.settings.limits.turn_text), Instant::now(), loading));
                }
            }
            Some(Err(failure)) => return Err(failed(job, step, failure, Instant::now(), loading)),
        }
        saver.note();
    }
    let Some(reason) = answer.finish else { return Err(failed(job, step, unfinished(), Instant::now(), loading)) };
    if step == 1 && context.settings.allowance.output_tokens > 0 && !answer.is_counted {
        answer.take(ModelEvent::Note { kind: NoteKind::BudgetNotCounted, message: String::new() });
    }
    if let Some(trace) = ledger.attempt_ends(AttemptTrace::completed) {
        tracing::debug!(step, attempt_id = %trace.attempt_id, calls = answer.calls.len(), "the model call is complete");
        context.record(Diagnostic::Trace(trace));
    }
    Ok(Answered { reason, calls: answer.calls })
}

/// The next event. Words that came together are said together, as soon as nothing more has come.
async fn next(stream: &mut Events, ledger: &Ledger) -> Option<Result<ModelEvent, StreamFailure>> {
    poll_fn(|context| {
        let event = stream.poll_next_unpin(context);
        if event.is_pending() {
            ledger.say();
        }
        event
    })
    .await
}

impl Answer<'_> {
    fn take(&mut self, event: ModelEvent) {
        let ledger = &self.job.ledger;
        ledger.observe(&event);
        let is_its_first = matches!(event, ModelEvent::ResponseId(_)) || is_of_the_answer(&event);
        if is_its_first && !std::mem::replace(&mut self.is_answered, true) {
            self.job.is_answered();
        }
        if !self.has_begun && is_of_the_answer(&event) {
            self.has_begun = true;
            self.job.stopwatch.enter(Lane::ModelStream);
        }
        match event {
            ModelEvent::RequestSent => {
                ledger.enter(Phase::WaitingForModel);
                self.job.stopwatch.enter(Lane::ModelWait);
            }
            ModelEvent::Headers { .. } | ModelEvent::KeptAlive | ModelEvent::ResponseId(_) | ModelEvent::UpstreamClosed(_) => {}
            ModelEvent::Usage(usage) => self.is_counted |= usage.output_tokens.is_some(),
            ModelEvent::ToolBegins { .. } | ModelEvent::ToolInput { .. } => ledger.enter(Phase::ToolInput),
            ModelEvent::State(state) => {
                self.kept += state.len();
                self.states.push(state);
            }
            ModelEvent::Finish { reason, .. } => {
                self.keep_states();
                self.finish = Some(reason);
            }
            ModelEvent::Text(text) => {
                self.written += text.len();
                self.keep_states();
                ledger.text(text);
            }
            ModelEvent::Reasoning(text) => {
                self.written += text.len();
                ledger.reasoning(text);
            }
            ModelEvent::Note { kind, message } => tell(self.job, kind, &message),
            ModelEvent::ToolCall { call_id, tool, input, state } => {
                self.keep_states();
                ledger.enter(Phase::ToolInput);
                let input = kept(input);
                let call_id = history::unused_call_id(call_id, self.call_ids);
                let state_of = state.as_ref().map(|_| self.job.provider.full_name());
                ledger.add(Part { state, state_of, ..Part::tool_call(call_id.clone(), tool.clone(), input.clone()) });
                self.calls.push(Call { call_id, tool, input });
            }
        }
    }

    fn keep_states(&mut self) {
        for state in self.states.drain(..) {
            self.job.ledger.add(Part::state(state, self.job.provider.full_name()));
        }
    }
}

fn is_of_the_answer(event: &ModelEvent) -> bool {
    match event {
        ModelEvent::Text(_)
        | ModelEvent::Reasoning(_)
        | ModelEvent::ToolBegins { .. }
        | ModelEvent::ToolInput { .. }
        | ModelEvent::ToolCall { .. }
        | ModelEvent::Finish { .. } => true,
        ModelEvent::RequestSent
        | ModelEvent::Headers { .. }
        | ModelEvent::KeptAlive
        | ModelEvent::ResponseId(_)
        | ModelEvent::Usage(_)
        | ModelEvent::State(_)
        | ModelEvent::Note { .. }
        | ModelEvent::UpstreamClosed(_) => false,
    }
}

/// What the model has written in this turn before, and what of it goes back to its provider, in bytes.
fn sizes(job: &TurnJob) -> (usize, usize) {
    let len = |text: Option<&String>| text.map_or(0, String::len);
    job.ledger.parts().iter().fold((0, 0), |(written, kept), part| {
        let is_its_own = matches!(part.kind, PartKind::Text | PartKind::Reasoning);
        (written + len(part.text.as_ref().filter(|_| is_its_own)), kept + len(part.state.as_ref()))
    })
}

/// Tells the client what a person should know about the answer.
fn tell(job: &TurnJob, kind: NoteKind, message: &str) {
    let sentence = match kind {
        NoteKind::UnknownFinishReason => format!("The model ended for a reason that pillion does not know: {message:?}."),
        NoteKind::CallNotRun => format!("The answer was not whole, so what it asked for was not run: {message}."),
        NoteKind::WithoutTools => {
            "The model takes no tools: it is asked without them, and can neither read nor change anything.".to_owned()
        }
        NoteKind::CallMissing => "The model said that it calls a tool, and no call came.".to_owned(),
        NoteKind::BudgetNotCounted => {
            "The provider does not say how many tokens the model writes: budget.output_tokens cannot be enforced.".to_owned()
        }
        // They changed nothing; the record has them.
        NoteKind::LateError | NoteKind::LeftOut | NoteKind::PassedOver => return,
    };
    let pillion = InfoExtras { retry: None, note: Some(NoteNotice { kind, sentence }) };
    job.ledger.tell(SessionUpdate::SessionInfoUpdate { title: None, updated_at: None, meta: Some(InfoMeta { pillion }) });
}

fn too_much_text(limit: usize) -> StreamFailure {
    let limits = AnswerLimits { calls: 0, call_bytes: 0, text_bytes: limit };
    *limits.too_much_text()
}

/// The failure of a stream that is over and has no finish.
pub(super) fn unfinished() -> StreamFailure {
    *transport(TransportKind::UnexpectedEof, said::UNFINISHED, &["the provider's stream was over"])
}

/// The hop at which a stream was let go of.
const DROPPED: &str = "turn.stream_dropped";

/// Closes the connection, and books when.
fn let_go(job: &TurnJob, stream: Events) {
    drop(stream);
    job.ledger.observe(&ModelEvent::UpstreamClosed(ClosedBy::Us));
}

/// Ends the attempt's trace with its failure, and with what is to become of the call.
fn failed(job: &TurnJob, step: u64, failure: StreamFailure, at: Instant, loading: &mut Loading) -> Broken {
    let fault = Fault {
        cause: failure.cause.clone(),
        point: if failure.boundary == Boundary::Watchdog { "watchdog.fired" } else { "provider.stream_failed" },
        name: failure.kind.clone(),
        message: failure.message.clone(),
        at: at.into(),
    };
    let by_watchdog = failure.boundary == Boundary::Watchdog;
    tracing::info!(step, kind = failure.kind, "the model call has failed");
    let (meaning, mut again_after) = (failure.meaning, None);
    let ended = job.ledger.attempt_ends(|trace| again_after = retry::fail(trace, failure, &job.context.settings.retry, None, loading));
    let Some(trace) = ended else { return Broken::Failed { fault, meaning, again_after } };
    if again_after.is_some() {
        job.context.record(Diagnostic::Trace(trace));
    } else if by_watchdog || trace.upstream.is_some_and(|upstream| upstream.closed_by == ClosedBy::Us) {
        job.ledger.hop(DROPPED);
    }
    Broken::Failed { fault, meaning, again_after }
}
