//! What a turn has produced so far: its parts, its phase, its tools, its traces. The turn writes it, the runner reads it
//! when it stops the turn and closes it when the turn is over.
//!
//! Invariant: after [`Ledger::close`] nothing enters and no update leaves, whatever a forced task still does.

use super::channel::UpdateChannel;
use super::trace::AttemptTrace;
use crate::protocol::abort::{Effect, Partial, Phase, ToolInFlight, ToolOutcome};
use crate::protocol::content::ContentBlock;
use crate::protocol::diagnostics::{StreamTrace, Usage};
use crate::protocol::ids::{AttemptId, MessageId, TurnId};
use crate::protocol::message::{Part, PartKind, ResultStatus};
use crate::protocol::update::SessionUpdate;
use crate::store::PartWrite;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The shared record of a running turn.
pub(super) struct Ledger {
    turn_id: TurnId,
    message_id: MessageId,
    channel: Arc<UpdateChannel>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    closed: bool,
    phase: Option<Phase>,
    parts: Vec<LivePart>,
    /// Parts before this one are stored as they are.
    first_dirty: usize,
    dirty_bytes: usize,
    text_bytes: u64,
    reasoning_bytes: u64,
    persisted_bytes: u64,
    updates_sent: u64,
    last_update: u64,
    tools: Vec<LiveTool>,
    traces: Vec<AttemptTrace>,
    usage: Option<Usage>,
    hops: Vec<(String, Instant)>,
}

struct LivePart {
    part: Part,
    /// How many bytes of its text are stored; absent while the part has no row.
    stored: Option<usize>,
}

struct LiveTool {
    call_id: String,
    tool: &'static str,
    effect: Effect,
    state: ToolState,
}

/// Where a tool call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolState {
    Asking,
    Running,
}

/// What a closed ledger leaves to the terminal record.
pub(super) struct Closed {
    pub(super) writes: Vec<PartWrite>,
    pub(super) parts: Vec<Part>,
    pub(super) traces: Vec<AttemptTrace>,
    pub(super) usage: Usage,
    pub(super) partial: Partial,
    pub(super) last_update: u64,
    pub(super) hops: Vec<(String, Instant)>,
}

/// What the runner needs to know at the instant of a stop.
pub(super) struct Glance {
    pub(super) phase: Phase,
    pub(super) attempt_id: Option<AttemptId>,
    pub(super) tools: Vec<ToolInFlight>,
}

impl Ledger {
    pub(super) fn new(turn_id: TurnId, message_id: MessageId, channel: Arc<UpdateChannel>) -> Self {
        Self { turn_id, message_id, channel, book: Mutex::default() }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let mut book = self.lock();
        if !book.closed {
            book.phase = Some(phase);
        }
    }

    pub(super) fn text(&self, text: String) {
        self.stream(PartKind::Text, Phase::Text, text);
    }

    pub(super) fn reasoning(&self, text: String) {
        self.stream(PartKind::Reasoning, Phase::Reasoning, text);
    }

    /// A whole part that is not streamed: a tool call or a result.
    pub(super) fn add(&self, part: Part) {
        let mut book = self.lock();
        if !book.closed {
            book.parts.push(LivePart { part, stored: None });
        }
    }

    /// Sends an update of this turn.
    pub(super) fn post(&self, update: SessionUpdate) {
        let mut book = self.lock();
        self.send(&mut book, update);
    }

    pub(super) fn hop(&self, point: &str) {
        let mut book = self.lock();
        if !book.closed {
            book.hops.push((point.to_owned(), Instant::now()));
        }
    }

    pub(super) fn tool_enters(&self, call_id: &str, tool: &'static str, effect: Effect, state: ToolState) {
        let mut book = self.lock();
        match book.tools.iter_mut().find(|t| t.call_id == call_id) {
            Some(tool) => tool.state = state,
            None => book.tools.push(LiveTool { call_id: call_id.to_owned(), tool, effect, state }),
        }
        book.phase = book.tools_phase();
    }

    pub(super) fn tool_leaves(&self, call_id: &str) {
        let mut book = self.lock();
        book.tools.retain(|tool| tool.call_id != call_id);
        if let Some(phase) = book.tools_phase() {
            book.phase = Some(phase);
        }
    }

    pub(super) fn attempt_begins(&self, trace: AttemptTrace) {
        let mut book = self.lock();
        if !book.closed {
            book.traces.push(trace);
        }
    }

    /// Lets `change` see the trace of the attempt that is under way, and returns the trace as it then stands.
    pub(super) fn attempt(&self, change: impl FnOnce(&mut AttemptTrace)) -> Option<StreamTrace> {
        let mut book = self.lock();
        if book.closed {
            return None;
        }
        let trace = book.traces.last_mut()?;
        change(trace);
        Some(trace.trace().clone())
    }

    /// Passes one event's bookkeeping without copying the trace.
    pub(super) fn observe(&self, event: &crate::protocol::model::ModelEvent) {
        let mut book = self.lock();
        if let Some(trace) = book.traces.last_mut() {
            trace.observe(event);
        }
    }

    pub(super) fn used(&self, usage: &Usage) {
        let mut book = self.lock();
        book.usage = Some(book.usage.take().map_or_else(|| usage.clone(), |sum| sum.plus(usage)));
    }

    /// Bytes of streamed text that no row holds yet.
    pub(super) fn unsaved_bytes(&self) -> usize {
        self.lock().dirty_bytes
    }

    /// What must be written to save everything up to here.
    pub(super) fn take_writes(&self) -> Vec<PartWrite> {
        self.lock().take_writes()
    }

    /// The parts so far, for the next step's request.
    pub(super) fn parts(&self) -> Vec<Part> {
        self.lock().parts.iter().map(|live| live.part.clone()).collect()
    }

    /// Whether the turn waits for a person's answer.
    pub(super) fn is_asking(&self) -> bool {
        self.lock().tools.iter().any(|tool| tool.state == ToolState::Asking)
    }

    pub(super) fn glance(&self) -> Glance {
        let book = self.lock();
        let tools = book.tools.iter().map(|tool| ToolInFlight {
            call_id: tool.call_id.clone(),
            tool: tool.tool.to_owned(),
            effect: tool.effect,
            outcome: match tool.state {
                ToolState::Asking => ToolOutcome::Withdrawn,
                ToolState::Running => ToolOutcome::Stopped,
            },
        });
        Glance {
            phase: book.phase.unwrap_or(Phase::BeforeRequest),
            attempt_id: book.traces.last().map(|trace| trace.trace().attempt_id.clone()),
            tools: tools.collect(),
        }
    }

    /// Tools that still run: at a forced end they were killed.
    pub(super) fn still_running(&self) -> Vec<String> {
        self.lock().tools.iter().map(|tool| tool.call_id.clone()).collect()
    }

    /// Ends the ledger: gives every tool call without a result one, and hands everything out. Once.
    pub(super) fn close(&self) -> Closed {
        let mut book = self.lock();
        book.closed = true;
        book.phase = Some(Phase::Persisting);
        let running: Vec<_> = book.tools.iter().filter(|t| t.state == ToolState::Running).map(|t| t.call_id.clone()).collect();
        for (call_id, _) in book.open_calls() {
            let (status, text) = if running.contains(&call_id) {
                (ResultStatus::Interrupted, "The call was running when the turn was stopped; how far it came is not known.")
            } else {
                (ResultStatus::NotStarted, "The call was not started: the turn was stopped first.")
            };
            book.parts.push(LivePart { part: Part::tool_result(call_id, status, text), stored: None });
        }
        let writes = book.take_writes();
        Closed {
            writes,
            parts: book.parts.drain(..).map(|live| live.part).collect(),
            traces: std::mem::take(&mut book.traces),
            usage: book.usage.take().unwrap_or_else(Usage::absent),
            partial: Partial {
                text_bytes: book.text_bytes,
                reasoning_bytes: book.reasoning_bytes,
                updates_sent: book.updates_sent,
                persisted_bytes: book.persisted_bytes,
            },
            last_update: book.last_update,
            hops: std::mem::take(&mut book.hops),
        }
    }

    fn stream(&self, kind: PartKind, phase: Phase, text: String) {
        let mut book = self.lock();
        if book.closed {
            return;
        }
        book.phase = Some(phase);
        book.append(kind, &text);
        let content = ContentBlock::Text { text };
        let update = if kind == PartKind::Text {
            SessionUpdate::AgentMessageChunk { content }
        } else {
            SessionUpdate::AgentThoughtChunk { content }
        };
        self.send(&mut book, update);
    }

    fn send(&self, book: &mut Book, update: SessionUpdate) {
        if !book.closed {
            book.last_update = self.channel.post(Some((&self.turn_id, &self.message_id)), update);
            book.updates_sent += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn append(&mut self, kind: PartKind, text: &str) {
        let bytes = text.len() as u64;
        match kind {
            PartKind::Reasoning => self.reasoning_bytes += bytes,
            _ => self.text_bytes += bytes,
        }
        self.dirty_bytes += text.len();
        match self.parts.last_mut() {
            Some(LivePart { part: Part { kind: last, text: Some(so_far), .. }, .. }) if *last == kind => so_far.push_str(text),
            _ => {
                let part = if kind == PartKind::Reasoning { Part::reasoning(text) } else { Part::text(text) };
                self.parts.push(LivePart { part, stored: None });
            }
        }
    }

    fn take_writes(&mut self) -> Vec<PartWrite> {
        let mut writes = Vec::new();
        for (ordinal, live) in self.parts.iter_mut().enumerate().skip(self.first_dirty) {
            let ordinal = ordinal as u64;
            let len = live.part.text.as_ref().map_or(0, String::len);
            match (live.stored, &live.part.text) {
                (None, _) => writes.push(PartWrite::Put { ordinal, part: live.part.clone() }),
                (Some(stored), Some(text)) if stored < len => writes.push(PartWrite::Extend { ordinal, text: text[stored..].to_owned() }),
                (Some(_), _) => {}
            }
            live.stored = Some(len);
        }
        self.first_dirty = self.parts.len().saturating_sub(1);
        self.dirty_bytes = 0;
        self.persisted_bytes = self.text_bytes + self.reasoning_bytes;
        writes
    }

    /// Tool calls that have no result, in order.
    fn open_calls(&self) -> Vec<(String, String)> {
        let parts = || self.parts.iter().map(|live| &live.part);
        let answered: std::collections::HashSet<_> =
            parts().filter(|p| p.kind == PartKind::ToolResult).filter_map(|p| p.call_id.as_deref()).collect();
        parts()
            .filter(|p| p.kind == PartKind::ToolCall)
            .filter_map(|p| Some((p.call_id.clone()?, p.tool.clone()?)))
            .filter(|(call_id, _)| !answered.contains(call_id.as_str()))
            .collect()
    }

    /// The phase while tools are in flight: a question outranks running tools.
    fn tools_phase(&self) -> Option<Phase> {
        if self.tools.iter().any(|tool| tool.state == ToolState::Asking) {
            Some(Phase::AwaitingPermission)
        } else if self.tools.is_empty() {
            None
        } else {
            Some(Phase::ToolRunning)
        }
    }
}
