//! The ledger by itself: what a stop sees of it, and what nothing can do to it once it is closed.

use super::*;
use crate::protocol::abort::Effect;
use crate::protocol::diagnostics::{StreamState, UsageSource};
use crate::protocol::ids::SessionId;
use crate::protocol::tool_run::Permission;
use crate::provenance::Provenance;
use crate::session::editor::{Editor, Outgoing};
use crate::session::toolbook::{ToolEnd, ToolId, Word};
use crate::session::trace::Asked;
use crate::tool::editor_files::Abilities;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

/// An editor that counts.
#[derive(Default)]
struct Counter(Mutex<u64>);

impl Editor for Counter {
    fn post(&self, outgoing: Outgoing) {
        let Outgoing::Update(update) = outgoing else { return };
        if let Some(receipt) = &update.receipt {
            receipt.taken(7);
            let is_stuck = matches!(&update.update, SessionUpdate::AgentThoughtChunk { .. });
            if !is_stuck {
                receipt.written(7, Instant::now());
            }
        }
        *self.0.lock().expect("a count") += 1;
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

fn ledger() -> (Ledger, Arc<Counter>) {
    let counter = Arc::new(Counter::default());
    let channel = UpdateChannel::new(SessionId::new("s"), Arc::clone(&counter) as _, 10);
    let tools = Toolbook::new(SessionId::new("s"), TurnId::new("t"), Provenance::deterministic());
    (Ledger::new(tools, TurnId::new("t"), MessageId::new("m"), Arc::new(channel)), counter)
}

fn id(call_id: &str) -> ToolId<'_> {
    ToolId { call_id, tool: "write_file", effect: Effect::Write }
}

fn starts(ledger: &Ledger, call_id: &str) {
    ledger.tools(|tools| {
        tools.will_start(id(call_id), Word { permission: Permission::Default, rule: None });
        tools.starts(call_id);
    });
}

fn asks(ledger: &Ledger, call_id: &str) {
    ledger.tools(|tools| tools.asks(id(call_id)));
}

fn attempt(ledger: &Ledger, id: &str) {
    let provenance = Provenance::deterministic();
    ledger.attempt_begins(AttemptTrace::begin(
        AttemptId::new(id),
        (SessionId::new("s"), TurnId::new("t")),
        (1, 1),
        Asked { provider: "fake", model: "m", is_remote: true },
        provenance,
    ));
}

fn tokens(count: u64) -> ModelEvent {
    ModelEvent::Usage(Usage { source: UsageSource::Provider, output_tokens: Some(count), ..Usage::absent() })
}

#[test]
fn a_stop_sees_the_phase_the_attempt_and_the_tools() {
    let (ledger, _) = ledger();
    assert_eq!(ledger.glance().phase, Phase::BeforeRequest);
    attempt(&ledger, "a1");
    ledger.enter(Phase::WaitingForModel);
    ledger.reasoning("hm".into());
    assert_eq!(ledger.glance().phase, Phase::Reasoning);
    starts(&ledger, "c1");
    assert_eq!(ledger.glance().phase, Phase::ToolRunning);
    asks(&ledger, "c2");
    let glance = ledger.glance();
    assert_eq!((glance.phase, glance.attempt_id), (Phase::AwaitingPermission, Some(AttemptId::new("a1"))));
    let outcomes: Vec<_> = glance.tools.iter().map(|tool| (tool.call_id.as_str(), tool.effect, tool.outcome)).collect();
    assert_eq!(outcomes, [("c1", Effect::Write, ToolOutcome::Stopped), ("c2", Effect::Write, ToolOutcome::Withdrawn)]);
    assert!(ledger.is_asking());
    starts(&ledger, "c2");
    assert!(!ledger.is_asking());
    assert_eq!(ledger.running_tools(), ["c1", "c2"]);
    for call_id in ["c1", "c2"] {
        let end = ToolEnd { outcome: ResultStatus::Completed, exit_code: None, signal: None };
        ledger.tools(|tools| tools.ends(call_id, end, None));
    }
    assert_eq!((ledger.glance().phase, ledger.running_tools()), (Phase::BeforeTool, vec![]), "nothing of that kind goes on");
}

#[test]
fn nothing_enters_and_nothing_leaves_after_the_close() {
    let (ledger, sent) = ledger();
    attempt(&ledger, "a1");
    ledger.text("Once".into());
    let closed = ledger.close(Some(&AbortId::new("abort")));
    assert_eq!((closed.partial.updates_sent, closed.last_update, closed.kept_bytes), (1, 11, 0));
    ledger.text(" more".into());
    ledger.add(Part::text("more"));
    ledger.post(SessionUpdate::SessionInfoUpdate { title: None, updated_at: None, meta: None });
    ledger.hop("late");
    starts(&ledger, "c");
    attempt(&ledger, "a2");
    assert_eq!(ledger.begin_save(), []);
    assert!(ledger.attempt_ends(AttemptTrace::completed).is_none());
    let glance = ledger.glance();
    assert_eq!((glance.phase, glance.attempt_id, glance.tools.len()), (Phase::Persisting, Some(AttemptId::new("a1")), 0));
    assert_eq!(ledger.parts(), []);
    assert_eq!(*sent.0.lock().expect("a count"), 1);
}

#[test]
fn what_was_written_counts_as_sent_and_what_was_not_as_unsent() {
    let (ledger, sent) = ledger();
    ledger.text("Once".into());
    ledger.reasoning("The client reads nothing more.".into());
    let partial = ledger.close(None).partial;
    assert_eq!((partial.updates_sent, partial.updates_unsent, partial.bytes_unsent), (1, Some(1), Some(7)));
    assert_eq!(*sent.0.lock().expect("a count"), 2);
}

#[test]
fn calls_without_a_result_get_the_one_that_is_true() {
    let (ledger, _) = ledger();
    for id in ["ran", "runs", "asks", "waits"] {
        ledger.add(Part::tool_call(id, "open", Value::Null));
    }
    ledger.add(Part::tool_result("ran", ResultStatus::Completed, "done"));
    starts(&ledger, "runs");
    asks(&ledger, "asks");
    let closed = ledger.close(None);
    let results = closed.parts.iter().filter(|part| part.kind == PartKind::ToolResult);
    let results: Vec<_> = results.map(|part| (part.call_id.as_deref().unwrap_or_default(), part.status)).collect();
    let expected = [
        ("ran", Some(ResultStatus::Completed)),
        ("runs", Some(ResultStatus::Interrupted)),
        ("asks", Some(ResultStatus::NotStarted)),
        ("waits", Some(ResultStatus::NotStarted)),
    ];
    assert_eq!(results, expected);
}

#[test]
fn only_the_open_attempt_was_dropped_by_the_abort_and_each_counts_once() {
    let (ledger, _) = ledger();
    attempt(&ledger, "a1");
    ledger.observe(&tokens(3));
    ledger.observe(&tokens(7));
    assert_eq!(ledger.attempt_ends(AttemptTrace::completed).map(|trace| trace.state), Some(StreamState::Completed));
    attempt(&ledger, "a2");
    ledger.observe(&tokens(5));
    let abort = AbortId::new("abort");
    let closed = ledger.close(Some(&abort));
    let states: Vec<_> = closed.traces.iter().map(|trace| (trace.state, trace.abort_id.clone())).collect();
    assert_eq!(states, [(StreamState::Completed, None), (StreamState::Aborted, Some(abort))]);
    assert_eq!(closed.usage.output_tokens, Some(12));
}
