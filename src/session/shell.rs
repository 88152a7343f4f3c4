//! A user's own command as a run of its session: on record before it starts, its output and its end kept as a tool call
//! with its result, and told to the model with the next prompt.

use super::context::SessionContext;
use super::joining::{Begun, Joining};
use super::ledger::Ledger;
use super::runner::Mail;
use super::saver::Saver;
use super::stopwatch::Stopwatch;
use super::title::Title;
use super::toolbook::{ToolEnd, ToolId, Word};
use super::turn::{Interruption, TurnEnd};
use super::watchdog::TimeLimit;
use crate::process::{Capture, Command, Exit};
use crate::protocol::abort::Effect;
use crate::protocol::content::ContentBlock;
use crate::protocol::export::LifecyclePoint;
use crate::protocol::ids::{MessageId, TurnId};
use crate::protocol::message::{Message, Part, ResultStatus};
use crate::protocol::results::ShellRan;
use crate::protocol::tool_run::{OWN_COMMAND, Permission};
use crate::protocol::turn::Lane;
use crate::protocol::update::{SessionUpdate, ToolCall, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolKind};
use crate::provenance::CancelToken;
use crate::store::Diagnostic;
use crate::tool::command::{self, Ran, Terms};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The shell that runs the command.
const SHELL: &str = "/bin/sh";

/// The most output that is kept, in bytes.
const KEEP: usize = 64 * 1024;

/// Everything that one command needs.
pub(super) struct ShellJob {
    pub(super) context: Arc<SessionContext>,
    pub(super) turn_id: TurnId,
    pub(super) message_id: MessageId,
    pub(super) title: Arc<Title>,
    pub(super) prompt: Arc<Message>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) stopwatch: Arc<Stopwatch>,
    pub(super) token: CancelToken,
    /// The session's runner.
    pub(super) runner: mpsc::UnboundedSender<Mail>,
}

pub(super) async fn run(job: ShellJob, begun: Begun) -> TurnEnd {
    let limit = TimeLimit::of_turn(&job.context, &job.turn_id, &job.runner);
    limit.watch(job.work(begun)).await
}

impl ShellJob {
    async fn work(&self, begun: Begun) -> TurnEnd {
        let Self { context, turn_id, title, stopwatch, token, runner, .. } = self;
        match (Joining { context, turn_id, title, stopwatch, token, runner }.join(begun).await) {
            Ok(_) => self.drive().await.map_or_else(TurnEnd::from, TurnEnd::Ran),
            Err(end) => end,
        }
    }

    async fn drive(&self) -> Result<ShellRan, Interruption> {
        self.context.lifecycle(LifecyclePoint::Started, &self.turn_id, None);
        let text = self.prompt.parts.iter().find_map(|part| part.text.clone()).unwrap_or_default();
        let call_id = format!("shell_{}", self.turn_id);
        let input = serde_json::json!({ "command": text });
        self.ledger.add(Part::tool_call(&call_id, OWN_COMMAND, input.clone()));
        self.ledger.post(SessionUpdate::ToolCall(ToolCall {
            tool_call_id: call_id.clone(),
            title: text.clone(),
            kind: ToolKind::Execute,
            status: ToolCallStatus::Pending,
            raw_input: input,
            locations: Vec::new(),
        }));
        // On record before it starts: after a crash it is known that it ran.
        let mut saver = Saver::new(self.context.store.clone(), self.message_id.clone(), Arc::clone(&self.ledger));
        self.stopwatch.during(Lane::Store, self.token.race(saver.all())).await??;
        let id = ToolId { call_id: &call_id, tool: OWN_COMMAND, effect: Effect::Process };
        // It is the user's own.
        let word = Word { permission: Permission::Default, rule: None };
        if let Some(run) = self.ledger.tools(|tools| tools.will_start(id, word)) {
            let stored = self.token.race(self.context.store.record(Diagnostic::ToolRun(run)));
            self.stopwatch.during(Lane::Store, stored).await??;
        }
        self.stopwatch.enter(Lane::Tools);
        let meter = self.ledger.tools(|tools| tools.starts(&call_id)).unwrap_or_default();
        self.show(&call_id, ToolCallStatus::InProgress, Vec::new());
        let command = Command {
            program: SHELL.into(),
            arguments: vec!["-c".into(), text.into()],
            directory: self.context.workspace.path().into(),
            environment: self.context.environment.to_vec(),
            // The user's own command may do what the user may.
            confinement: None,
        };
        let hop = |point: &'static str| self.ledger.hop(point);
        let (token, grace) = (&self.token, &self.context.settings.grace);
        let terms = Terms { token, grace, capture: Capture::new(KEEP).metered(meter.clone()), limit: None, hop: &hop };
        let ran = command::run(&self.context.keeper, &command, terms).await;
        meter.keeps(ran.captured.bytes - ran.captured.left_out);
        Ok(self.ended(&call_id, ran))
    }

    /// Records the command's one result and shows it.
    fn ended(&self, call_id: &str, ran: Ran) -> ShellRan {
        let status = ran.status();
        let Ran { exit, failure, captured, fate, .. } = ran;
        let output = self.context.scrub(&captured.text);
        let told = ShellRan {
            exit_code: exit.and_then(|exit| if let Exit::Code(code) = exit { Some(code) } else { None }),
            signal: exit.and_then(Exit::signal_name),
            failure: failure.map(|failure| self.context.scrub(&failure)),
            output,
            output_bytes: captured.bytes,
        };
        let text = told.failure.as_ref().map_or_else(|| told.output.clone(), |failure| format!("{}{failure}", told.output));
        let mut result = Part::tool_result(call_id, status, text.clone());
        result.exit_code = told.exit_code.map(i64::from);
        result.signal.clone_from(&told.signal);
        self.ledger.add(result);
        let shown = if status == ResultStatus::Completed { ToolCallStatus::Completed } else { ToolCallStatus::Failed };
        self.show(call_id, shown, vec![ToolCallContent::Content { content: ContentBlock::text(text) }]);
        if self.token.is_stopped() {
            self.ledger.tool_became(call_id, fate);
        }
        let end = ToolEnd { outcome: status, exit_code: told.exit_code.map(i64::from), signal: told.signal.clone() };
        let stop = self.token.stop();
        let ended = self.ledger.tools(|tools| tools.ends(call_id, end, stop.as_ref().map(|stop| &stop.abort_id)));
        if let Some(run) = ended.flatten() {
            self.context.record(Diagnostic::ToolRun(run));
        }
        told
    }

    fn show(&self, call_id: &str, status: ToolCallStatus, content: Vec<ToolCallContent>) {
        self.ledger.post(SessionUpdate::ToolCallUpdate(ToolCallUpdate { tool_call_id: call_id.to_owned(), status, content }));
    }
}
