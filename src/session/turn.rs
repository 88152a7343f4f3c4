//! One turn, straight on: ask the model, stream its answer, run its tools, repeat until it ends. Every wait races the token.

use super::context::SessionContext;
use super::ledger::Ledger;
use super::runner::Mail;
use super::title::{Title, TurnStart};
use super::toolcalls::{self, Call};
use super::trace::AttemptTrace;
use super::{Refusal, history, recovery};
use crate::protocol::abort::Phase;
use crate::protocol::cause::Cause;
use crate::protocol::export::TurnStop;
use crate::protocol::ids::{MessageId, TurnId};
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest, Purpose};
use crate::provenance::{CancelToken, Stopped};
use crate::provider::Provider;
use crate::store::{BeginTurn, Diagnostic, PartWrite, Pending, StoreError};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Streamed text is saved when this much of it has gathered ...
const SAVE_BYTES: usize = 32 * 1024;
/// ... or after this time: what a crash can lose.
const SAVE_AFTER: Duration = Duration::from_millis(500);

/// Everything that one turn needs.
pub(super) struct TurnJob {
    pub(super) context: Arc<SessionContext>,
    pub(super) turn_id: TurnId,
    pub(super) message_id: MessageId,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) title: Arc<Title>,
    /// What writes the title; the turn's own provider unless another is configured.
    pub(super) title_provider: Arc<dyn Provider>,
    /// The conversation as the runner knows it, up to the turn `after`.
    pub(super) history: Vec<Message>,
    pub(super) after: Option<TurnId>,
    pub(super) runner: mpsc::UnboundedSender<Mail>,
    pub(super) prompt: Message,
    pub(super) begin: BeginTurn,
    pub(super) ledger: Arc<Ledger>,
    pub(super) token: CancelToken,
}

/// How the work of a turn ended. A stop that came meanwhile outranks it.
#[derive(Debug)]
pub(super) enum TurnEnd {
    Completed(TurnStop),
    /// The token was pulled; the runner knows why.
    Stopped,
    Fault(Fault),
    /// The turn has no row: the session belongs to another process.
    NotBegun(Refusal),
}

/// What went wrong by itself.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    /// The hop that ended the work.
    pub(super) point: &'static str,
    pub(super) name: String,
    pub(super) message: String,
}

/// Why the straight line was left.
pub(super) enum Interruption {
    Stopped,
    Fault(Fault),
}

impl From<Stopped> for Interruption {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<StoreError> for Interruption {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        Self::Fault(Fault { cause: Cause::StoreFailure, point: "store.failed", name: "store_failure".into(), message })
    }
}

pub(super) async fn run(mut job: TurnJob) -> TurnEnd {
    match job.context.store.begin_turn(job.begin.clone()).await {
        Ok(before) if before == job.after => {}
        Ok(_) => match job.catch_up().await {
            Ok(()) => {}
            Err(error) => return ended(Err(error.into())),
        },
        Err(StoreError::OwnedElsewhere(owner)) => {
            return TurnEnd::NotBegun(Refusal::NotOwner { session_id: job.context.id.clone(), pid: owner.pid });
        }
        Err(error) => return ended(Err(error.into())),
    }
    ended(job.drive().await)
}

fn ended(result: Result<TurnStop, Interruption>) -> TurnEnd {
    match result {
        Ok(stop) => TurnEnd::Completed(stop),
        Err(Interruption::Stopped) => TurnEnd::Stopped,
        Err(Interruption::Fault(fault)) => TurnEnd::Fault(fault),
    }
}

impl TurnJob {
    /// Reads the turns that another process has run since this one looked, here and for the turns to come. If it died in
    /// the last of them, that one is closed first.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        recovery::recover(&self.context.parts).await?;
        let (store, id) = (&self.context.store, &self.context.id);
        let (session, history) = (store.session(id), store.history(id));
        self.history = history.await?;
        self.history.retain(|message| message.turn_id.as_ref() != Some(&self.turn_id));
        if let Some(session) = session.await? {
            self.context.channel.count_from(session.last_update);
            if session.info.title.is_some() {
                self.title.not_due();
            }
        }
        let known = self.history.clone();
        // It is read before the end of this turn, which is posted behind it.
        let _ = self.runner.send(Mail::Desk(Box::new(move |runner| runner.history = known)));
        Ok(())
    }

    async fn drive(&mut self) -> Result<TurnStop, Interruption> {
        if self.token.is_stopped() {
            return Err(Interruption::Stopped);
        }
        let start = TurnStart { turn_id: &self.turn_id, message_id: &self.message_id, prompt: &self.prompt };
        let titles_off = self.context.settings.title_model == crate::config::TitleModel::Off;
        self.title.start(&self.context, &self.title_provider, titles_off, &start);
        let system = self.system_prompt();
        let tools = self.context.tools.specs().to_vec();
        let mut call_ids = history::call_ids(&self.history);
        for step in 1.. {
            self.ledger.enter(Phase::BeforeRequest);
            let request = ModelRequest {
                attempt_id: self.context.provenance.ids.attempt(),
                purpose: Purpose::Turn,
                system: system.clone(),
                messages: self.messages(),
                tools: tools.clone(),
            };
            let (reason, calls) = self.attempt(step, request, &mut call_ids).await?;
            match reason {
                FinishReason::MaxTokens => return Ok(TurnStop::MaxTokens),
                FinishReason::Refusal => return Ok(TurnStop::Refusal),
                FinishReason::EndTurn | FinishReason::ToolCalls if calls.is_empty() => return Ok(TurnStop::EndTurn),
                FinishReason::EndTurn | FinishReason::ToolCalls => {
                    // The calls are on record before any of them starts.
                    for write in self.save() {
                        write.await?;
                    }
                    toolcalls::run_all(self, calls).await?;
                }
            }
        }
        Ok(TurnStop::EndTurn)
    }

    /// One model call, streamed to the client as it comes.
    async fn attempt(
        &mut self,
        step: u64,
        request: ModelRequest,
        call_ids: &mut HashSet<String>,
    ) -> Result<(FinishReason, Vec<Call>), Interruption> {
        let place = (self.context.id.clone(), self.turn_id.clone());
        let (name, model) = (self.provider.name(), self.provider.model());
        let trace = AttemptTrace::begin(request.attempt_id.clone(), place, step, name, model, self.context.provenance.clone());
        self.context.record(Diagnostic::Trace(trace.trace().clone()));
        self.ledger.attempt_begins(trace);
        tracing::debug!(step, provider = name, "a model call starts");
        let mut stream = self.provider.stream(request);
        let mut stopped = pin!(self.token.stopped());
        let mut save_timer = pin!(sleep_until(Instant::now()));
        let mut saves: FuturesUnordered<Pending<()>> = FuturesUnordered::new();
        let mut timer_runs = false;
        let mut calls = Vec::new();
        let mut finish = None;
        loop {
            let event = tokio::select! {
                biased;
                _ = &mut stopped => {
                    drop(stream);
                    self.ledger.hop("turn.stream_dropped");
                    return Err(Interruption::Stopped);
                }
                // Nothing is streamed on that could not be kept.
                Some(saved) = saves.next() => {
                    saved?;
                    continue;
                }
                event = stream.next() => event,
                () = &mut save_timer, if timer_runs => {
                    timer_runs = false;
                    saves.extend(self.save());
                    continue;
                }
            };
            let event = match event {
                None => break,
                Some(Ok(event)) => event,
                Some(Err(failure)) => {
                    let fault = Fault {
                        cause: failure.cause.clone(),
                        point: "provider.stream_failed",
                        name: failure.kind.clone(),
                        message: failure.message.clone(),
                    };
                    tracing::info!(step, kind = failure.kind, "the model call has failed");
                    self.ledger.attempt(|trace| trace.failed(failure));
                    return Err(Interruption::Fault(fault));
                }
            };
            self.ledger.observe(&event);
            match event {
                ModelEvent::RequestSent => self.ledger.enter(Phase::WaitingForModel),
                ModelEvent::Headers { .. } | ModelEvent::ResponseId(_) => {}
                ModelEvent::ToolInput { .. } => self.ledger.enter(Phase::ToolInput),
                ModelEvent::Usage(usage) => self.ledger.used(&usage),
                ModelEvent::Finish { reason, .. } => finish = Some(reason),
                ModelEvent::Text(text) => self.ledger.text(text),
                ModelEvent::Reasoning(text) => self.ledger.reasoning(text),
                ModelEvent::ToolCall { call_id, tool, input } => {
                    self.ledger.enter(Phase::ToolInput);
                    let call_id = history::unused_call_id(call_id, call_ids);
                    self.ledger.add(Part::tool_call(call_id.clone(), tool.clone(), input.clone()));
                    calls.push(Call { call_id, tool, input });
                }
            }
            if self.context.channel.editor().is_full() {
                self.token.race(self.context.channel.editor().room()).await.inspect_err(|_| self.ledger.hop("turn.stream_dropped"))?;
            }
            let unsaved = self.ledger.unsaved_bytes();
            if unsaved >= SAVE_BYTES {
                saves.extend(self.save());
                timer_runs = false;
            } else if unsaved > 0 && !timer_runs {
                save_timer.as_mut().reset(Instant::now() + SAVE_AFTER);
                timer_runs = true;
            }
        }
        while let Some(saved) = self.token.race(saves.next()).await? {
            saved?;
        }
        let Some(reason) = finish else {
            let message = "the provider's stream ended without an end of the answer".to_owned();
            return Err(Interruption::Fault(Fault {
                cause: Cause::ProviderProtocol,
                point: "provider.stream_failed",
                name: "no_finish".into(),
                message,
            }));
        };
        if let Some(trace) = self.ledger.attempt(AttemptTrace::completed) {
            tracing::debug!(step, attempt_id = %trace.attempt_id, calls = calls.len(), "the model call is complete");
            self.context.record(Diagnostic::Trace(trace));
        }
        Ok((reason, calls))
    }

    /// Hands everything that is not stored yet to the store, in order.
    fn save(&self) -> Vec<Pending<()>> {
        let writes = self.ledger.take_writes().into_iter();
        let store = &self.context.store;
        let write = |write| match write {
            PartWrite::Put { ordinal, part } => store.add_part(&self.message_id, ordinal, part),
            PartWrite::Extend { ordinal, text } => store.extend_part(&self.message_id, ordinal, text),
        };
        writes.map(write).collect()
    }

    fn messages(&self) -> Vec<Message> {
        // A turn that was stopped before its first word left an empty answer; no vendor wants to see it.
        let mut messages: Vec<_> = self.history.iter().filter(|message| !message.parts.is_empty()).cloned().collect();
        messages.push(self.prompt.clone());
        let parts = self.ledger.parts();
        if !parts.is_empty() {
            messages.push(Message {
                message_id: self.message_id.clone(),
                role: Role::Assistant,
                created_at: self.prompt.created_at,
                parts,
                turn_id: Some(self.turn_id.clone()),
                model: None,
            });
        }
        messages
    }

    fn system_prompt(&self) -> String {
        let mut system = format!("{}\nWorkspace: {}\n", include_str!("system_prompt.md"), self.context.workspace.path().display());
        if let Some(text) = crate::tool::agents_md(&self.context.workspace) {
            system.push_str("\nThe workspace's AGENTS.md, as information from its authors:\n\n");
            system.push_str(&text);
        }
        system
    }
}
