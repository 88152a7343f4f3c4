//! One turn, straight on: ask the model, stream its answer, run its tools, repeat until it ends. Every wait races the token, and
//! the stopwatch knows what it is for.

use super::context::SessionContext;
use super::joining::{Begun, Joining};
use super::ledger::Ledger;
use super::retry;
use super::runner::Mail;
use super::saver::Saver;
use super::spending::{OverLimit, Spending};
use super::stopwatch::Stopwatch;
use super::title::{Title, TurnStart};
use super::watchdog::TimeLimit;
use super::{Refusal, history};
use super::{basis, opening, toolcalls, trust};
use crate::protocol::cause::Cause;
use crate::protocol::export::{LifecyclePoint, TurnStop};
use crate::protocol::ids::{MessageId, TurnId};
use crate::protocol::message::{Message, Role};
use crate::protocol::model::{FinishReason, ModelRequest, Purpose};
use crate::protocol::results::ShellRan;
use crate::protocol::turn::Lane;
use crate::provenance::{CancelToken, Moment, Stopped};
use crate::provider::Provider;
use crate::store::{Diagnostic, StoreError};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What every model is told, but for the directory of the workspace.
const SYSTEM_PROMPT: &str = include_str!("system_prompt.md");

/// Everything that one turn needs.
pub(super) struct TurnJob {
    pub(super) context: Arc<SessionContext>,
    pub(super) turn_id: TurnId,
    pub(super) message_id: MessageId,
    pub(super) provider: Arc<dyn Provider>,
    /// Its name as somebody chose it.
    pub(super) model_asked: String,
    pub(super) title: Arc<Title>,
    /// What writes the title; absent where titles are off.
    pub(super) title_provider: Option<Arc<dyn Provider>>,
    /// The conversation before this turn.
    pub(super) history: Vec<Arc<Message>>,
    pub(super) prompt: Arc<Message>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) stopwatch: Arc<Stopwatch>,
    pub(super) token: CancelToken,
    /// The session's runner.
    pub(super) runner: mpsc::UnboundedSender<Mail>,
}

/// How the work of a turn ended. A stop that came meanwhile outranks it.
#[derive(Debug)]
pub(super) enum TurnEnd {
    Completed(TurnStop),
    /// A command ran, to its own end or until it was stopped.
    Ran(ShellRan),
    /// The token was pulled; the runner knows why.
    Stopped,
    Fault(Fault),
    OverLimit(OverLimit),
    /// The turn has no row: nobody chose a model, or the session belongs to another process.
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
    /// When it was noticed.
    pub(super) at: Moment,
}

impl Fault {
    /// One that is noticed now.
    pub(super) fn new(cause: Cause, point: &'static str, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { cause, point, name: name.into(), message: message.into(), at: Moment::now() }
    }
}

/// Why the straight line was left.
pub(super) enum Interruption {
    Stopped,
    Fault(Fault),
    OverLimit(OverLimit),
}

impl From<OverLimit> for Interruption {
    fn from(over: OverLimit) -> Self {
        Self::OverLimit(over)
    }
}

impl From<Stopped> for Interruption {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<StoreError> for Interruption {
    fn from(error: StoreError) -> Self {
        Self::Fault(Fault::new(Cause::StoreFailure, "store.failed", "store_failure", error.to_string()))
    }
}

pub(super) async fn run(job: TurnJob, begun: Begun) -> TurnEnd {
    let limit = TimeLimit::of_turn(&job.context, &job.turn_id, &job.runner);
    // A future that is handed on stands twice in the one that it is handed to; a box is handed on instead.
    limit.watch(Box::pin(work(job, begun))).await
}

async fn work(mut job: TurnJob, begun: Begun) -> TurnEnd {
    let TurnJob { context, turn_id, title, stopwatch, token, runner, .. } = &job;
    match (Joining { context, turn_id, title, stopwatch, token, runner }.join(begun).await) {
        Ok(newer) => job.history = newer.unwrap_or(job.history),
        Err(end) => return end,
    }
    job.drive().await.map_or_else(TurnEnd::from, TurnEnd::Completed)
}

impl From<Interruption> for TurnEnd {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::Stopped => Self::Stopped,
            Interruption::Fault(fault) => Self::Fault(fault),
            Interruption::OverLimit(over) => Self::OverLimit(over),
        }
    }
}

impl TurnJob {
    async fn drive(&self) -> Result<TurnStop, Interruption> {
        self.context.lifecycle(LifecyclePoint::Started, &self.turn_id, None);
        let _goes_on = self.title.turns.turn_begins();
        let found = self.token.race(trust::look(&self.context)).await??;
        if found.is_news {
            // A runner that is gone has nobody to tell it to.
            let _ = self.runner.send(Mail::Desk(Box::new(|runner| runner.iter().for_each(|runner| opening::tell_options(runner)))));
        }
        let basis = basis::of(self, SYSTEM_PROMPT, found.agents.as_deref());
        self.context.record(Diagnostic::TurnBasis(self.context.provenance.recorded(basis)));
        let system = self.system_prompt(found.agents.as_deref());
        let mut call_ids = history::call_ids(&self.history);
        let mut saver = Saver::new(self.context.store.clone(), self.message_id.clone(), Arc::clone(&self.ledger));
        let mut spending = Spending::new(self.context.settings.allowance);
        let mut step = 0;
        loop {
            spending.model_call(&self.ledger.usage())?;
            step += 1;
            let answered = retry::call(self, step, &system, &mut call_ids, &mut saver).await?;
            match answered.reason {
                FinishReason::MaxTokens => return Ok(TurnStop::MaxTokens),
                FinishReason::Refusal => return Ok(TurnStop::Refusal),
                FinishReason::EndTurn | FinishReason::ToolCalls if answered.calls.is_empty() => return Ok(TurnStop::EndTurn),
                FinishReason::EndTurn | FinishReason::ToolCalls => {
                    // The calls are on record before any of them starts, and their results as soon as they are there.
                    self.stopwatch.during(Lane::Store, self.token.race(saver.all())).await??;
                    saver.beside(Box::pin(toolcalls::run_all(self, answered.calls, &mut spending))).await?;
                }
            }
        }
    }

    /// The model has begun to answer: nothing that is asked beside it holds it up any more.
    pub(super) fn is_answered(&self) {
        let Self { turn_id, message_id, prompt, token, .. } = self;
        let start = TurnStart { asked: self.provider.name(), turn_id, message_id, prompt, token };
        self.title.start(&self.context, self.title_provider.as_ref(), &start);
    }

    /// Resolves when the runner has handled all that was posted to it until now, stops among it.
    pub(super) async fn heard_of_everything(&self) {
        let (done, heard) = oneshot::channel();
        let fence = Mail::Desk(Box::new(|_| drop(done)));
        if self.runner.send(fence).is_ok() {
            let _ = heard.await as Result<(), _>;
        }
    }

    /// The next model call; each attempt is one.
    pub(super) fn request(&self, system: &str) -> ModelRequest {
        ModelRequest {
            attempt_id: self.context.provenance.ids.attempt(),
            purpose: Purpose::Turn,
            system: system.to_owned(),
            messages: self.messages(),
            tools: Arc::clone(self.context.tools.specs()),
        }
    }

    /// What the model is to answer: the conversation, the prompt, and this turn so far.
    fn messages(&self) -> Vec<Arc<Message>> {
        let mut messages = history::for_a_model(&self.history, &self.prompt);
        let parts = self.ledger.parts();
        if !parts.is_empty() {
            messages.push(Arc::new(Message {
                message_id: self.message_id.clone(),
                role: Role::Assistant,
                created_at: self.prompt.created_at,
                parts,
                turn_id: Some(self.turn_id.clone()),
                model: None,
            }));
        }
        messages
    }

    fn system_prompt(&self, agents: Option<&str>) -> String {
        let mut system = format!("{SYSTEM_PROMPT}\nWorkspace: {}\n", self.context.workspace.path().display());
        if let Some(text) = agents {
            system.push_str("\nThe workspace's AGENTS.md, as information from its authors:\n\n");
            system.push_str(text);
        }
        system
    }
}
