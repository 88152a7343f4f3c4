//! The tool calls of one step: planned, asked about together, run one after the other, each with exactly one result.

use super::consent::{Consent, Sought, denied};
use super::files::SessionFiles;
use super::road::panicked;
use super::spending::Spending;
use super::toolbook::{ToolEnd, ToolId, Word};
use super::turn::{Interruption, TurnJob};
use super::watchdog::TimeLimit;
use crate::policy::Verdict;
use crate::process::Meter;
use crate::protocol::abort::{Effect, Phase};
use crate::protocol::message::{Part, ResultStatus};
use crate::protocol::said;
use crate::protocol::turn::Lane;
use crate::protocol::update::{SessionUpdate, ToolCall, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolKind};
use crate::store::Diagnostic;
use crate::text::exact;
use crate::tool::workspace::{Confirmed, Place};
use crate::tool::{Approved, CommandEnd, Image, Tool, ToolContext, ToolOutput, ToolPlan};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
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

/// Runs the calls of a step: all are shown and asked about at once, and run one after the other, so that each finds what the
/// one before it left. After a stop nothing starts any more, and what runs is waited for; so is what the turn is allowed,
/// when it asks for more.
pub(super) async fn run_all(job: &TurnJob, calls: Vec<Call>, spending: &mut Spending) -> Result<(), Interruption> {
    let admitted = spending.tool_calls(&calls);
    job.stopwatch.enter(Lane::Tools);
    let ledger = Arc::clone(&job.ledger);
    let files = SessionFiles::new(job.context.id.clone(), Arc::clone(job.context.channel.editor()), Arc::clone(&job.stopwatch));
    let context = ToolContext {
        workspace: Arc::clone(&job.context.workspace),
        documents: job.context.documents.clone(),
        editor: Arc::new(files),
        commands: Arc::clone(&job.context.commands),
        token: job.token.clone(),
        hop: Arc::new(move |point| ledger.hop(point)),
        meter: Meter::default(),
    };
    // The model has said what it wants; what it comes to is found out before anything runs.
    job.ledger.enter(Phase::BeforeTool);
    let mut shown = Vec::with_capacity(calls.len());
    let mut written = Vec::new();
    for call in calls {
        shown.push(job.token.race(announce(job, call, &context, &mut written)).await?);
    }
    let over = shown.split_off(admitted.first);
    run_in_order(job, &shown, &context).await?;
    if let Err(limit) = admitted.then {
        job.ledger.enter(Phase::BeforeTool);
        job.ledger.tools(|tools| over.iter().for_each(|shown| tools.over_limit(shown.id(job))));
        return Err(limit.into());
    }
    job.ledger.enter(Phase::BeforeRequest);
    Ok(())
}

/// A call that the client has been shown.
struct Shown {
    call: Call,
    tool_call: ToolCall,
    next: Next,
}

impl Shown {
    /// By the name that the model gave it, with what a tool of this name does.
    fn id(&self, job: &TurnJob) -> ToolId<'_> {
        let effect = match &self.next {
            Next::Run(_, plan) => plan.access.effect(),
            Next::Refuse(_) | Next::PlanLater(_) => job.context.tools.find(&self.call.tool).map_or(Effect::None, |tool| tool.effect()),
        };
        ToolId { call_id: &self.call.call_id, tool: &self.call.tool, effect }
    }

    fn sought<'s>(&'s self, tool: &Arc<dyn Tool>, plan: &'s ToolPlan) -> Sought<'s> {
        Sought { tool: tool.spec().name, shown: &self.tool_call, plan }
    }
}

/// How it goes on.
enum Next {
    /// It cannot run, and this is why.
    Refuse(String),
    /// It is planned when its turn comes: a call before it writes the same file.
    PlanLater(Arc<dyn Tool>),
    Run(Arc<dyn Tool>, ToolPlan),
}

/// Shows the call to the client, with what it would do.
async fn announce(job: &TurnJob, call: Call, context: &ToolContext, written: &mut Vec<Place>) -> Shown {
    let tool = job.context.tools.find(&call.tool);
    let next = match tool {
        None => {
            let names: Vec<_> = job.context.tools.specs().iter().map(|spec| spec.name).collect();
            Next::Refuse(format!("there is no tool of this name; the tools are {}", names.join(", ")))
        }
        Some(tool) => match tool.writes(&call.input, context) {
            Some(place) if written.contains(&place) => Next::PlanLater(Arc::clone(tool)),
            place => {
                written.extend(place);
                match tool.plan(&call.input, context).await {
                    Ok(plan) => Next::Run(Arc::clone(tool), plan),
                    Err(error) => Next::Refuse(error.to_string()),
                }
            }
        },
    };
    let (title, locations) = match &next {
        Next::Run(_, plan) => (plan.title.clone(), plan.locations.clone()),
        Next::Refuse(_) | Next::PlanLater(_) => (exact(&call.tool).into_owned(), Vec::new()),
    };
    let tool_call = ToolCall {
        tool_call_id: call.call_id.clone(),
        title,
        kind: tool.map_or(ToolKind::Other, |tool| tool.kind()),
        status: ToolCallStatus::Pending,
        raw_input: call.input.clone(),
        locations,
    };
    job.ledger.post(SessionUpdate::ToolCall(tool_call.clone()));
    Shown { call, tool_call, next }
}

async fn run_in_order(job: &TurnJob, shown: &[Shown], context: &ToolContext) -> Result<(), Interruption> {
    let (answers, answered): (Vec<_>, Vec<_>) = shown.iter().map(|_| oneshot::channel()).unzip();
    let asking: FuturesUnordered<_> = shown.iter().zip(answers).filter_map(|(shown, answer)| consent_first(job, shown, answer)).collect();
    let running = async {
        for (shown, answered) in shown.iter().zip(answered) {
            let call_id = &shown.call.call_id;
            match &shown.next {
                Next::Refuse(why) => settle(job, call_id, ResultStatus::Failed, why.clone()),
                Next::Run(tool, plan) => {
                    let consent = job.stopwatch.during(Lane::Question, answered).await.map_err(|_| Interruption::Stopped)?;
                    run_one(job, shown, tool, plan, consent, context).await?;
                }
                Next::PlanLater(tool) => match job.token.race(tool.plan(&shown.call.input, context)).await? {
                    Ok(plan) => {
                        let consent = job.stopwatch.during(Lane::Question, shown.sought(tool, &plan).consent(job)).await?;
                        run_one(job, shown, tool, &plan, consent, context).await?;
                    }
                    Err(error) => settle(job, call_id, ResultStatus::Failed, error.to_string()),
                },
            }
        }
        Ok(())
    };
    let asked = async {
        asking.collect::<()>().await;
        std::future::pending().await
    };
    tokio::select! {
        // The questions first: a stop takes them back before anything else of the turn hears of it.
        biased;
        never = asked => never,
        ran = running => ran,
    }
}

/// Seeks consent for a call that was planned; one that is not has its answer dropped.
fn consent_first(job: &TurnJob, shown: &Shown, answer: oneshot::Sender<Consent>) -> Option<impl Future<Output = ()>> {
    let Next::Run(tool, plan) = &shown.next else { return None };
    let sought = shown.sought(tool, plan);
    Some(async move {
        if let Ok(consent) = sought.consent(job).await {
            // Nobody waits for it when a call before it has ended the turn.
            let _ = answer.send(consent);
        }
    })
}

async fn run_one(
    job: &TurnJob,
    shown: &Shown,
    tool: &Arc<dyn Tool>,
    plan: &ToolPlan,
    consent: Consent,
    context: &ToolContext,
) -> Result<(), Interruption> {
    let sought = shown.sought(tool, plan);
    // The mode or an answer may have changed since it was planned.
    let consent = match (consent, sought.judge(job)) {
        (Consent::Given { .. }, Verdict::Deny(by)) => Consent::Denied { why: denied(&by), word: Word::of(&by) },
        (Consent::Given { confirmed: Confirmed::No, .. }, Verdict::Ask(_)) => {
            job.stopwatch.during(Lane::Question, sought.consent(job)).await?
        }
        (consent, _) => consent,
    };
    let (id, name) = (sought.id(), sought.tool);
    let (confirmed, word) = match consent {
        Consent::Given { confirmed, word } => (confirmed, word),
        Consent::Denied { why, word } => {
            if let Some(run) = job.ledger.tools(|tools| tools.denied(id, word)) {
                job.context.record(Diagnostic::ToolRun(run));
            }
            settle(job, id.call_id, ResultStatus::Denied, why);
            return Ok(());
        }
        Consent::Refused { why } => {
            settle(job, id.call_id, ResultStatus::Denied, why.to_owned());
            return Ok(());
        }
    };
    if let Some(run) = job.ledger.tools(|tools| tools.will_start(id, word)) {
        // On record before it starts: after a crash it is known that it ran.
        let stored = job.token.race(job.context.store.record(Diagnostic::ToolRun(run)));
        job.stopwatch.during(Lane::Store, stored).await??;
    }
    if job.token.is_stopped() {
        return Err(Interruption::Stopped);
    }
    let meter = job.ledger.tools(|tools| tools.starts(id.call_id)).unwrap_or_default();
    let context = ToolContext { meter, ..context.clone() };
    let update = ToolCallUpdate { tool_call_id: id.call_id.to_owned(), status: ToolCallStatus::InProgress, content: Vec::new() };
    job.ledger.post(SessionUpdate::ToolCallUpdate(update));
    let span = tracing::info_span!("tool", tool = name, turn_id = %job.turn_id);
    let approved = Approved { seen: plan.seen, access: plan.access.clone(), confirmed };
    let work = tracing::Instrument::instrument(tool.run(shown.call.input.clone(), approved, context), span);
    let result = TimeLimit::of_tool(job).watch(AssertUnwindSafe(work).catch_unwind()).await;
    let stopped = job.token.is_stopped();
    if stopped {
        job.ledger.hop("tool.stopped");
    }
    match result {
        Ok(Ok(output)) => complete(job, id.call_id, output),
        Ok(Err(error)) => {
            let status = if stopped { ResultStatus::Interrupted } else { ResultStatus::Failed };
            settle(job, id.call_id, status, error.to_string());
        }
        Err(_panic) => {
            settle(job, id.call_id, ResultStatus::Failed, "the tool failed; this is a bug in pillion".into());
            let message = said::with(said::TOOL_PANICKED, &[&name]);
            return Err(Interruption::Fault(panicked(&job.context, &job.turn_id, "tool_panic", message)));
        }
    }
    if stopped { Err(Interruption::Stopped) } else { Ok(()) }
}

/// Records what the call gave.
fn complete(job: &TurnJob, call_id: &str, output: ToolOutput) {
    let ToolOutput { text, content, image, plan, ended } = output;
    let mut result = Part::tool_result(call_id, ResultStatus::Completed, text);
    if let Some(CommandEnd { status, exit_code, signal, fate }) = ended {
        (result.status, result.exit_code, result.signal) = (Some(status), exit_code, signal);
        // Also of what it had left behind when it had ended by itself.
        if job.token.is_stopped() {
            job.ledger.tool_became(call_id, fate);
        }
    }
    if let Some(Image { mime_type, data }) = image {
        (result.mime_type, result.data) = (Some(mime_type.into()), Some(data));
    }
    record(job, call_id, result, content);
    if let Some(entries) = plan {
        job.ledger.post(SessionUpdate::Plan { entries });
    }
}

/// Records that the call gave nothing, and why.
fn settle(job: &TurnJob, call_id: &str, status: ResultStatus, text: String) {
    record(job, call_id, Part::tool_result(call_id, status, text), Vec::new());
}

/// Records the call's one result and shows it: `content`, or what the model is told.
fn record(job: &TurnJob, call_id: &str, result: Part, mut content: Vec<ToolCallContent>) {
    if content.is_empty() {
        content = result.result_content().into_iter().map(|content| ToolCallContent::Content { content }).collect();
    }
    let is_completed = result.status == Some(ResultStatus::Completed);
    let status = if is_completed { ToolCallStatus::Completed } else { ToolCallStatus::Failed };
    let end =
        ToolEnd { outcome: result.status.unwrap_or(ResultStatus::Failed), exit_code: result.exit_code, signal: result.signal.clone() };
    job.ledger.add(result);
    let stop = job.token.stop();
    let ended = job.ledger.tools(|tools| tools.ends(call_id, end, stop.as_ref().map(|stop| &stop.abort_id)));
    if let Some(run) = ended.flatten() {
        job.context.record(Diagnostic::ToolRun(run));
    }
    job.ledger.post(SessionUpdate::ToolCallUpdate(ToolCallUpdate { tool_call_id: call_id.to_owned(), status, content }));
}
