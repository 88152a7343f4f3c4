//! One turn, straight on: ask the model, stream its answer, run its tools, repeat until it ends. Every wait races the token.

use super::context::SessionContext;
use super::ledger::Ledger;
use super::retry;
use super::runner::Mail;
use super::saver::Saver;
use super::spending::{OverLimit, Spending};
use super::title::{Title, TurnStart};
use super::toolcalls;
use super::watchdog::TimeLimit;
use super::{Refusal, history};
use crate::protocol::cause::Cause;
use crate::protocol::export::{LifecyclePoint, TurnStop};
use crate::protocol::ids::{MessageId, TurnId};
use crate::protocol::message::{Message, Role};
use crate::protocol::model::{FinishReason, ModelRequest, Purpose};
use crate::provenance::{CancelToken, Stopped};
use crate::provider::Provider;
use crate::store::{Pending, StoreError};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Everything that one turn needs.
pub(super) struct TurnJob {
    pub(super) context: Arc<SessionContext>,
    pub(super) turn_id: TurnId,
    pub(super) message_id: MessageId,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) title: Arc<Title>,
    /// What writes the title; absent where titles are off.
    pub(super) title_provider: Option<Arc<dyn Provider>>,
    /// The conversation before this turn.
    pub(super) history: Vec<Arc<Message>>,
    pub(super) prompt: Arc<Message>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) token: CancelToken,
    /// The session's runner.
    pub(super) runner: mpsc::UnboundedSender<Mail>,
}

/// How the work of a turn ended. A stop that came meanwhile outranks it.
#[derive(Debug)]
pub(super) enum TurnEnd {
    Completed(TurnStop),
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
        let message = error.to_string();
        Self::Fault(Fault { cause: Cause::StoreFailure, point: "store.failed", name: "store_failure".into(), message })
    }
}

/// The turn's first row, on its way to the store.
pub(super) struct Begun {
    /// Resolves with the turn that was begun before this one, by whichever process.
    pub(super) row: Pending<Option<TurnId>>,
    /// The turn that the runner takes for that one.
    pub(super) after: Option<TurnId>,
}

pub(super) async fn run(job: TurnJob, begun: Begun) -> TurnEnd {
    let limit = TimeLimit::of_turn(&job);
    limit.watch(work(job, begun)).await
}

async fn work(mut job: TurnJob, begun: Begun) -> TurnEnd {
    let driven = match job.token.race(begun.row).await {
        Err(Stopped(_)) => Err(Interruption::Stopped),
        Ok(Err(StoreError::OwnedElsewhere(owner))) => {
            return TurnEnd::NotBegun(Refusal::NotOwner { session_id: job.context.id.clone(), pid: owner.pid });
        }
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(before)) if before == begun.after => job.drive().await,
        Ok(Ok(_)) => match job.catch_up().await {
            Ok(()) => job.drive().await,
            Err(interruption) => Err(interruption),
        },
    };
    match driven {
        Ok(stop) => TurnEnd::Completed(stop),
        Err(Interruption::Stopped) => TurnEnd::Stopped,
        Err(Interruption::Fault(fault)) => TurnEnd::Fault(fault),
        Err(Interruption::OverLimit(over)) => TurnEnd::OverLimit(over),
    }
}

impl TurnJob {
    /// Reads the turns that another process has run since this one looked, here and for the turns to come. If it died in
    /// the last of them, that one is closed first.
    async fn catch_up(&mut self) -> Result<(), Interruption> {
        self.token.race(self.context.recovery.run(&self.context.parts)).await?;
        let (store, id) = (&self.context.store, &self.context.id);
        let (session, history) = (store.session(id), store.history(id));
        let history = self.token.race(history).await??;
        self.history = history.into_iter().take_while(|message| message.turn_id.as_ref() != Some(&self.turn_id)).map(Arc::new).collect();
        if let Some(session) = self.token.race(session).await?? {
            self.context.channel.count_from(session.last_update);
            if session.info.title.is_some() {
                self.title.not_due();
            }
        }
        // It is read before the end of this turn, which is posted behind it.
        let _ = self.runner.send(Mail::CaughtUp { turn_id: self.turn_id.clone(), history: self.history.clone() });
        Ok(())
    }

    async fn drive(&self) -> Result<TurnStop, Interruption> {
        self.context.lifecycle(LifecyclePoint::Started, &self.turn_id, None);
        let start = TurnStart { turn_id: &self.turn_id, message_id: &self.message_id, prompt: &self.prompt, token: &self.token };
        self.title.start(&self.context, self.title_provider.as_ref(), &start);
        let system = self.system_prompt();
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
                    self.token.race(saver.all()).await??;
                    toolcalls::run_all(self, answered.calls, &mut spending).await?;
                    saver.save();
                }
            }
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
        // A turn that was stopped before its first word left an empty answer; no vendor wants to see it.
        let mut messages: Vec<_> = self.history.iter().filter(|message| !message.parts.is_empty()).cloned().collect();
        messages.push(Arc::clone(&self.prompt));
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

    fn system_prompt(&self) -> String {
        let mut system = format!("{}\nWorkspace: {}\n", include_str!("system_prompt.md"), self.context.workspace.path().display());
        if let Some(text) = crate::tool::agents_md(&self.context.workspace) {
            system.push_str("\nThe workspace's AGENTS.md, as information from its authors:\n\n");
            system.push_str(&text);
        }
        system
    }
}
