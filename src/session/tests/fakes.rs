//! What stands around the sessions of a rig: an editor, a model and tools that do what a test says.

use super::rig::soon;
use crate::policy::Access;
use crate::protocol::abort::Effect;
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest, Purpose, ToolSpec};
use crate::protocol::update::{SessionUpdate, ToolKind};
use crate::provider::Provider;
use crate::session::editor::{Editor, NumberedUpdate, Outgoing, PermissionAnswer};
use crate::tool::editor_files::Abilities;
use crate::tool::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan};
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Instant;
use tokio::sync::{Notify, mpsc, oneshot};

/// An editor that keeps what it is told and answers questions when the test does.
#[derive(Default)]
pub(super) struct Desk {
    updates: Mutex<Vec<NumberedUpdate>>,
    questions: Mutex<Vec<oneshot::Sender<PermissionAnswer>>>,
    heard: Notify,
    /// The update at which it breaks, once.
    breaks_at: Mutex<Option<Kind>>,
}

type Kind = fn(&SessionUpdate) -> bool;

impl Desk {
    /// Waits until an update fits.
    pub(super) async fn update(&self, wanted: impl Fn(&SessionUpdate) -> bool) {
        let there = || self.updates.lock().expect("updates").iter().any(|update| wanted(&update.update));
        soon(self.until(there)).await;
    }

    /// The oldest question that is open.
    pub(super) async fn question(&self) -> oneshot::Sender<PermissionAnswer> {
        soon(self.until(|| self.asked() > 0)).await;
        self.questions.lock().expect("questions").remove(0)
    }

    /// From now on the next update of this kind makes whoever posts it panic.
    pub(super) fn break_at(&self, kind: Kind) {
        *self.breaks_at.lock().expect("no update breaks it") = Some(kind);
    }

    pub(super) fn asked(&self) -> usize {
        self.questions.lock().expect("questions").len()
    }

    /// The numbers of all updates so far.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.updates.lock().expect("updates").iter().map(|update| update.seq).collect()
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            let heard = self.heard.notified();
            if reached() {
                return;
            }
            heard.await;
        }
    }
}

impl Editor for Desk {
    fn post(&self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Update(update) => {
                let broken = self.breaks_at.lock().expect("no update breaks it").take_if(|kind| kind(&update.update));
                assert!(broken.is_none(), "the test wants a panic");
                if let Some(receipt) = &update.receipt {
                    receipt.taken(1);
                    receipt.written(1, Instant::now());
                }
                self.updates.lock().expect("updates").push(*update);
            }
            Outgoing::AskPermission { reply, .. } => self.questions.lock().expect("questions").push(reply),
            // No tool of a rig asks about files.
            Outgoing::ApplyEdit { .. } | Outgoing::ReadFile { .. } | Outgoing::WriteFile { .. } => {}
        }
        self.heard.notify_waiters();
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn is_full(&self) -> bool {
        false
    }

    fn questions(&self) -> crate::protocol::turn::QuestionForm {
        crate::protocol::turn::QuestionForm::Card
    }

    fn caught_up(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn unread_since(&self) -> Option<Instant> {
        None
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }
}

/// A model whose every call is answered by the test.
pub(super) struct FakeModel {
    pub(super) calls: mpsc::UnboundedSender<ModelCall>,
    pub(super) titles: mpsc::UnboundedSender<ModelCall>,
}

/// One call of the model: what was asked, and the way to answer.
pub(super) struct ModelCall {
    pub(super) request: ModelRequest,
    /// Nothing: panic.
    say: mpsc::UnboundedSender<Option<ModelEvent>>,
}

impl ModelCall {
    pub(super) fn text(&self, text: &str) {
        self.event(ModelEvent::Text(text.into()));
    }

    /// The answer begins, and says nothing yet.
    pub(super) fn begins(&self) {
        self.event(ModelEvent::ResponseId("answer".into()));
    }

    pub(super) fn tool(&self, call_id: &str, tool: &str) {
        self.event(ModelEvent::ToolCall { call_id: call_id.into(), tool: tool.into(), input: json!({}), state: None });
    }

    pub(super) fn finish(self, reason: FinishReason) {
        self.event(ModelEvent::Finish { reason, raw: "end".into() });
    }

    pub(super) fn event(&self, event: ModelEvent) {
        // A turn that has ended hears nothing more.
        let _ = self.say.send(Some(event));
    }

    pub(super) fn panic(self) {
        let _ = self.say.send(None);
    }

    /// Resolves when the stream was dropped.
    pub(super) async fn dropped(&self) {
        soon(self.say.closed()).await;
    }
}

impl Provider for FakeModel {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn model(&self) -> &str {
        "fake"
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
        let (say, said) = mpsc::unbounded_channel();
        let calls = if request.purpose == Purpose::Turn { &self.calls } else { &self.titles };
        calls.send(ModelCall { request, say }).expect("the rig listens");
        let next = |mut said: mpsc::UnboundedReceiver<Option<ModelEvent>>| async {
            let event = said.recv().await?;
            Some((Ok(event.expect("the test wants a panic")), said))
        };
        stream::unfold(said, next).boxed()
    }
}

/// A tool whose every call is ended by the test; it never looks at its token.
pub(super) struct FakeTool {
    pub(super) name: &'static str,
    pub(super) access: Access,
    pub(super) runs: mpsc::UnboundedSender<ToolRun>,
}

/// One tool call that runs. Dropping it makes the tool panic.
pub(super) struct ToolRun(oneshot::Sender<Result<ToolOutput, ToolError>>);

impl ToolRun {
    pub(super) fn done(self, text: &str) {
        let _ = self.0.send(Ok(ToolOutput::text(text)));
    }
}

impl Tool for FakeTool {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: self.name, description: "", input_schema: Value::Null }
    }

    fn effect(&self) -> Effect {
        Effect::Write
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Other
    }

    fn plan<'a>(&'a self, _: &'a Value, _: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>> {
        let (title, access) = (self.name.into(), self.access.clone());
        ready(Ok(ToolPlan { title, locations: Vec::new(), content: Vec::new(), access, seen: None })).boxed()
    }

    fn run(&self, _: Value, _: Approved, _: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let (done, end) = oneshot::channel();
        self.runs.send(ToolRun(done)).expect("the rig listens");
        async { end.await.expect("the test ends every tool") }.boxed()
    }
}
