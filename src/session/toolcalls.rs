//! The tool calls of one step: planned, asked about, run side by side, each with exactly one result.

use super::editor::{Outgoing, PermissionAnswer, PermissionQuestion};
use super::ledger::ToolState;
use super::spending::Spending;
use super::turn::{Fault, Interruption, TurnJob};
use super::watchdog::TimeLimit;
use crate::protocol::abort::Phase;
use crate::protocol::cause::Cause;
use crate::protocol::content::ContentBlock;
use crate::protocol::message::{Part, ResultStatus};
use crate::protocol::update::{SessionUpdate, ToolCall, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolKind};
use crate::provenance::Stopped;
use crate::tool::{Gate, Tool, ToolContext, ToolOutput, ToolPlan};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::oneshot;

/// One call that a model asked for.
pub(super) struct Call {
    pub(super) call_id: String,
    pub(super) tool: String,
    pub(super) input: Value,
}

/// Runs all calls of a step side by side. After a stop nothing starts any more, and what runs is waited for; so is what the
/// turn is allowed, when it asks for more.
pub(super) async fn run_all(job: &TurnJob, calls: Vec<Call>, spending: &mut Spending) -> Result<(), Interruption> {
    let admitted = spending.tool_calls(&calls);
    let context =
        ToolContext { workspace: Arc::clone(&job.context.workspace), documents: job.context.documents.clone(), token: job.token.clone() };
    let mut planned: Vec<_> = calls.into_iter().map(|call| announce(job, call, &context)).collect();
    planned.truncate(admitted.first);
    if job.context.settings.deterministic {
        // Side by side, the fastest would come first.
        for planned in planned {
            run_one(job, planned, &context).await?;
        }
    } else {
        let results = join_all(planned.into_iter().map(|planned| run_one(job, planned, &context))).await;
        results.into_iter().collect::<Result<(), _>>()?;
    }
    job.ledger.enter(Phase::BeforeRequest);
    admitted.then.map_err(Interruption::from)
}

struct Planned {
    call: Call,
    shown: ToolCall,
    /// Absent: the call cannot run, and this is why.
    plan: Result<(Arc<dyn Tool>, ToolPlan), String>,
}

/// Shows the call to the client, with what it would do.
fn announce(job: &TurnJob, call: Call, context: &ToolContext) -> Planned {
    let tool = job.context.tools.find(&call.tool);
    let plan = match tool {
        None => {
            let names: Vec<_> = job.context.tools.specs().iter().map(|spec| spec.name).collect();
            Err(format!("there is no tool of this name; the tools are {}", names.join(", ")))
        }
        Some(tool) => tool.plan(&call.input, context).map(|plan| (Arc::clone(tool), plan)).map_err(|error| error.to_string()),
    };
    let shown = ToolCall {
        tool_call_id: call.call_id.clone(),
        title: plan.as_ref().map_or_else(|_| call.tool.clone(), |(_, plan)| plan.title.clone()),
        kind: tool.map_or(ToolKind::Other, |tool| tool.kind()),
        status: ToolCallStatus::Pending,
        raw_input: call.input.clone(),
        locations: plan.as_ref().map_or_else(|_| Vec::new(), |(_, plan)| plan.locations.clone()),
    };
    job.ledger.post(SessionUpdate::ToolCall(shown.clone()));
    Planned { call, shown, plan }
}

async fn run_one(job: &TurnJob, planned: Planned, context: &ToolContext) -> Result<(), Interruption> {
    let Planned { call, shown, plan } = planned;
    let call_id = call.call_id;
    let (tool, plan) = match plan {
        Ok(plan) => plan,
        Err(why) => {
            settle(job, &call_id, ResultStatus::Failed, why, None);
            return Ok(());
        }
    };
    let name = tool.spec().name;
    if job.token.is_stopped() {
        return Err(Interruption::Stopped);
    }
    if plan.gate == Gate::Ask {
        job.ledger.tool_enters(&call_id, name, tool.effect(), ToolState::Asking);
        let denied = ask(job, shown, plan.content).await?;
        if let Some(why) = denied {
            job.ledger.tool_leaves(&call_id);
            settle(job, &call_id, ResultStatus::Denied, why.to_owned(), None);
            return Ok(());
        }
        if job.token.is_stopped() {
            return Err(Interruption::Stopped);
        }
    }
    job.ledger.tool_enters(&call_id, name, tool.effect(), ToolState::Running);
    let update = ToolCallUpdate { tool_call_id: call_id.clone(), status: ToolCallStatus::InProgress, content: Vec::new() };
    job.ledger.post(SessionUpdate::ToolCallUpdate(update));
    let span = tracing::info_span!("tool", tool = name, turn_id = %job.turn_id);
    let work = tracing::Instrument::instrument(tool.run(call.input, plan.seen, context.clone()), span);
    let result = TimeLimit::of_tool(job).watch(AssertUnwindSafe(work).catch_unwind()).await;
    let stopped = job.token.is_stopped();
    if stopped {
        job.ledger.hop("tool.stopped");
    }
    match result {
        Ok(Ok(ToolOutput { text, content })) => settle(job, &call_id, ResultStatus::Completed, text, Some(content)),
        Ok(Err(error)) => {
            let status = if stopped { ResultStatus::Interrupted } else { ResultStatus::Failed };
            settle(job, &call_id, status, error.to_string(), None);
        }
        Err(_panic) => {
            settle(job, &call_id, ResultStatus::Failed, "the tool failed inside; this is a defect of pillion".into(), None);
            let message = format!("the tool {name} panicked");
            let fault = Fault { cause: Cause::InternalPanic, point: "panic.contained", name: "tool_panic".into(), message };
            job.ledger.tool_leaves(&call_id);
            return Err(Interruption::Fault(fault));
        }
    }
    job.ledger.tool_leaves(&call_id);
    if stopped { Err(Interruption::Stopped) } else { Ok(()) }
}

/// Asks the client's person. `None`: allowed; otherwise why not.
async fn ask(job: &TurnJob, call: ToolCall, content: Vec<ToolCallContent>) -> Result<Option<&'static str>, Stopped> {
    let (reply, answer) = oneshot::channel();
    let question = Box::new(PermissionQuestion { turn_id: job.turn_id.clone(), message_id: job.message_id.clone(), content });
    let session_id = job.context.id.clone();
    job.context.channel.editor().post(Outgoing::AskPermission { session_id, call: Box::new(call), question, reply });
    let waited = job.token.race(tokio::time::timeout(job.context.settings.permission_deadline, answer)).await;
    let waited = waited.inspect_err(|_| job.ledger.hop("permission.withdrawn"))?;
    Ok(match waited {
        Ok(Ok(PermissionAnswer::AllowOnce)) => None,
        Ok(Ok(PermissionAnswer::RejectOnce)) => Some("The call was rejected and not run."),
        Ok(Ok(PermissionAnswer::Cancelled)) => Some("The question was cancelled in the editor; the call was not run."),
        Ok(Ok(PermissionAnswer::Unanswerable) | Err(_)) => Some("The client cannot ask for permission, so the call was not run."),
        Err(_elapsed) => Some("Nobody answered the permission question in time; the call was not run."),
    })
}

/// Records the call's one result and shows it.
fn settle(job: &TurnJob, call_id: &str, status: ResultStatus, text: String, content: Option<Vec<ToolCallContent>>) {
    let shown = match content {
        Some(content) if !content.is_empty() => content,
        _ => vec![ToolCallContent::Content { content: ContentBlock::text(text.clone()) }],
    };
    job.ledger.add(Part::tool_result(call_id, status, text));
    let status = if status == ResultStatus::Completed { ToolCallStatus::Completed } else { ToolCallStatus::Failed };
    job.ledger.post(SessionUpdate::ToolCallUpdate(ToolCallUpdate { tool_call_id: call_id.to_owned(), status, content: shown }));
}
