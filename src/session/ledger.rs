//! What a turn has produced so far: its parts, its phase, its tools, its traces. The turn writes it, the runner reads it
//! when it stops the turn and closes it when the turn is over.
//!
//! Invariant: after [`Ledger::close`] nothing enters and no update leaves, whatever a forced task still does.

use super::arriving::Arriving;
use super::channel::UpdateChannel;
use super::delivery::Delivery;
use super::editor::Receipt;
use super::parts::LiveParts;
use super::toolbook::Toolbook;
use super::trace::AttemptTrace;
use crate::protocol::abort::{Partial, Phase, ToolInFlight, ToolOutcome};
use crate::protocol::content::ContentBlock;
use crate::protocol::diagnostics::{StreamTrace, Usage};
use crate::protocol::ids::{AbortId, AttemptId, MessageId, TurnId};
use crate::protocol::message::{Part, PartKind, ResultStatus};
use crate::protocol::model::ModelEvent;
use crate::protocol::tool_run::ToolRun;
use crate::protocol::update::SessionUpdate;
use crate::store::PartWrite;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// The shared record of a running turn.
pub(super) struct Ledger {
    turn_id: TurnId,
    message_id: MessageId,
    channel: Arc<UpdateChannel>,
    delivery: Arc<Delivery>,
    /// A result was added.
    added: Notify,
    book: Mutex<Book>,
}

struct Book {
    tools: Toolbook,
    closed: bool,
    phase: Option<Phase>,
    parts: LiveParts,
    /// Words of the answer that came together and are not said yet.
    gathered: Option<Gathered>,
    last_update: u64,
    traces: Vec<AttemptTrace>,
    arriving: Arriving,
    hops: Vec<(String, Instant)>,
    outcomes: Vec<(String, ToolOutcome)>,
}

/// Pieces of one kind that are said in one update.
struct Gathered {
    kind: PartKind,
    text: String,
    pieces: usize,
}

/// As many pieces are said at once, so that the first of them does not wait for long.
const PIECES: usize = 32;
/// As many bytes of them.
const GATHERED_BYTES: usize = 4 << 10;

/// What a closed ledger leaves to the terminal record.
pub(super) struct Closed {
    /// What the store does not have yet, as far as that is known.
    pub(super) writes: Vec<PartWrite>,
    pub(super) parts: Vec<Part>,
    pub(super) traces: Vec<StreamTrace>,
    /// The last states of the calls that were in flight.
    pub(super) tool_runs: Vec<ToolRun>,
    /// The calls that the abort ended or kept from starting.
    pub(super) aborted_runs: Vec<ToolRun>,
    pub(super) usage: Usage,
    /// As it is once `writes` are committed.
    pub(super) partial: Partial,
    /// Since when the client has not been reading.
    pub(super) unread_since: Option<Instant>,
    /// What `partial.persisted_bytes` is if they never are.
    pub(super) kept_bytes: u64,
    pub(super) last_update: u64,
    pub(super) hops: Vec<(String, Instant)>,
    /// What became of calls that were in flight, as far as it is known better than by their having returned.
    pub(super) outcomes: Vec<(String, ToolOutcome)>,
}

/// What the runner needs to know at the instant of a stop.
pub(super) struct Glance {
    pub(super) phase: Phase,
    pub(super) attempt_id: Option<AttemptId>,
    pub(super) tools: Vec<ToolInFlight>,
}

impl Ledger {
    pub(super) fn new(tools: Toolbook, turn_id: TurnId, message_id: MessageId, channel: Arc<UpdateChannel>) -> Self {
        let book = Book {
            tools,
            closed: false,
            phase: None,
            parts: LiveParts::default(),
            gathered: None,
            last_update: 0,
            traces: Vec::new(),
            arriving: Arriving::default(),
            hops: Vec::new(),
            outcomes: Vec::new(),
        };
        Self { turn_id, message_id, channel, delivery: Arc::default(), added: Notify::new(), book: Mutex::new(book) }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.write(|book| book.phase = Some(phase));
    }

    /// Words of the answer. They are said at the next [`Ledger::say`], or before whatever is sent next.
    pub(super) fn text(&self, text: String) {
        self.gather(PartKind::Text, text);
    }

    pub(super) fn reasoning(&self, text: String) {
        self.gather(PartKind::Reasoning, text);
    }

    /// Says the words that have come: nothing more is there to be said with them.
    pub(super) fn say(&self) {
        self.write(|book| self.say_gathered(book));
    }

    /// A whole part that is not streamed: a tool call or a result.
    pub(super) fn add(&self, part: Part) {
        let is_result = part.kind == PartKind::ToolResult;
        self.write(|book| book.parts.add(part));
        if is_result {
            self.added.notify_one();
        }
    }

    /// Resolves when a result was added since somebody last waited.
    pub(super) async fn result_added(&self) {
        self.added.notified().await;
    }

    /// Sends an update of this turn.
    pub(super) fn post(&self, update: SessionUpdate) {
        self.write(|book| self.send(book, update));
    }

    /// Sends an update of this turn that shows nothing of its answer.
    pub(super) fn tell(&self, update: SessionUpdate) {
        self.write(|book| {
            self.say_gathered(book);
            self.post_as(book, update, None);
        });
    }

    pub(super) fn hop(&self, point: &str) {
        self.write(|book| book.hops.push((point.to_owned(), Instant::now())));
    }

    /// Lets `change` at the calls, and returns what it gives; `None` once the ledger is closed.
    pub(super) fn tools<T>(&self, change: impl FnOnce(&mut Toolbook) -> T) -> Option<T> {
        self.write(|book| {
            let changed = change(&mut book.tools);
            let between = matches!(book.phase, Some(Phase::AwaitingPermission | Phase::ToolRunning)).then_some(Phase::BeforeTool);
            book.phase = book.tools.phase().or(between).or(book.phase);
            changed
        })
    }

    /// What became of a call that was in flight when the turn was stopped.
    pub(super) fn tool_became(&self, call_id: &str, outcome: ToolOutcome) {
        self.write(|book| book.outcomes.push((call_id.to_owned(), outcome)));
    }

    pub(super) fn attempt_begins(&self, trace: AttemptTrace) {
        self.write(|book| {
            book.arriving.clear();
            book.traces.push(trace);
        });
    }

    /// Lets `end` end the trace of the attempt that is under way, and returns it.
    pub(super) fn attempt_ends(&self, end: impl FnOnce(&mut AttemptTrace)) -> Option<StreamTrace> {
        self.write(|book| {
            let trace = book.traces.last_mut()?;
            end(trace);
            Some(trace.trace().clone())
        })?
    }

    /// Books one event of the attempt that is under way.
    pub(super) fn observe(&self, event: &ModelEvent) {
        self.write(|book| {
            book.arriving.observe(event);
            book.traces.last_mut().map(|trace| trace.observe(event))
        });
    }

    /// Bytes of streamed text that were not handed to the store.
    pub(super) fn unsaved_bytes(&self) -> usize {
        self.lock().parts.dirty_bytes()
    }

    /// What must be written to save everything up to here; answered by [`Ledger::saved`] or [`Ledger::not_saved`].
    pub(super) fn begin_save(&self) -> Vec<PartWrite> {
        self.write(|book| book.parts.begin_save()).unwrap_or_default()
    }

    pub(super) fn saved(&self) {
        self.write(|book| book.parts.saved());
    }

    pub(super) fn not_saved(&self) {
        self.write(|book| book.parts.not_saved());
    }

    /// The parts so far, for the next step's request.
    pub(super) fn parts(&self) -> Vec<Part> {
        self.lock().parts.iter().cloned().collect()
    }

    /// What the model calls so far have used, as far as anybody said.
    pub(super) fn usage(&self) -> Usage {
        self.lock().usage()
    }

    /// Whether the turn waits for a person's answer.
    pub(super) fn is_asking(&self) -> bool {
        self.lock().tools.is_asking()
    }

    /// Whether a command runs, which is ended before the turn is.
    pub(super) fn runs_a_process(&self) -> bool {
        self.lock().tools.runs_a_process()
    }

    pub(super) fn glance(&self) -> Glance {
        let book = self.lock();
        Glance {
            phase: book.phase.unwrap_or(Phase::BeforeRequest),
            attempt_id: book.traces.last().map(|trace| trace.trace().attempt_id.clone()),
            tools: book.tools.glance(),
        }
    }

    /// The calls that run at this moment.
    pub(super) fn running_tools(&self) -> Vec<String> {
        self.lock().tools.running().map(str::to_owned).collect()
    }

    /// Ends the ledger, once: gives every tool call without a result one, ends the attempt that `abort` dropped, and
    /// hands everything out.
    pub(super) fn close(&self, abort: Option<&AbortId>) -> Closed {
        let mut book = self.lock();
        if !book.closed {
            self.say_gathered(&mut book);
        }
        book.closed = true;
        book.phase = Some(Phase::Persisting);
        if let (Some(abort), Some(last)) = (abort, book.traces.last_mut())
            && last.is_open()
        {
            last.aborted(abort.clone());
        }
        let running: Vec<_> = book.tools.running().map(str::to_owned).collect();
        let (tool_runs, aborted_runs) = book.tools.close(abort);
        let command_outputs = book.tools.outputs();
        let kept_bytes = book.parts.kept_bytes();
        let (text_bytes, reasoning_bytes) = (book.parts.text_bytes(), book.parts.reasoning_bytes());
        let Book { parts, tools, .. } = &mut *book;
        let (writes, parts) = parts.end(|call_id| {
            if let Some(why) = tools.refusal(call_id) {
                (ResultStatus::Denied, why)
            } else if running.iter().any(|running| running == call_id) {
                (ResultStatus::Interrupted, "The call was running when the turn was stopped; how far it came is not known.")
            } else {
                (ResultStatus::NotStarted, "The call was not started: the turn ended first.")
            }
        });
        let delivered = self.delivery.so_far();
        let (tool_inputs, tool_inputs_not_listed) = book.arriving.lost();
        let traces: Vec<_> = book.traces.iter().map(|trace| trace.trace().clone()).collect();
        Closed {
            writes,
            parts,
            usage: book.usage(),
            traces,
            tool_runs,
            aborted_runs,
            partial: Partial {
                text_bytes,
                reasoning_bytes,
                updates_sent: delivered.sent,
                persisted_bytes: text_bytes + reasoning_bytes,
                updates_unsent: delivered.unsent,
                bytes_unsent: delivered.unsent_bytes,
                not_read_since: None,
                tool_inputs,
                tool_inputs_not_listed,
                command_outputs,
            },
            unread_since: self.channel.editor().unread_since(),
            kept_bytes,
            last_update: book.last_update,
            hops: std::mem::take(&mut book.hops),
            outcomes: std::mem::take(&mut book.outcomes),
        }
    }

    fn gather(&self, kind: PartKind, text: String) {
        self.write(|book| {
            book.parts.append(kind, &text);
            book.phase = Some(if kind == PartKind::Reasoning { Phase::Reasoning } else { Phase::Text });
            match &mut book.gathered {
                Some(gathered) if gathered.kind == kind => {
                    gathered.text.push_str(&text);
                    gathered.pieces += 1;
                }
                _ => {
                    self.say_gathered(book);
                    book.gathered = Some(Gathered { kind, text, pieces: 1 });
                }
            }
            if book.gathered.as_ref().is_some_and(Gathered::is_enough) {
                self.say_gathered(book);
            }
        });
    }

    fn say_gathered(&self, book: &mut Book) {
        let Some(Gathered { kind, text, .. }) = book.gathered.take() else { return };
        let content = ContentBlock::Text { text };
        let update = match kind {
            PartKind::Reasoning => SessionUpdate::AgentThoughtChunk { content },
            _ => SessionUpdate::AgentMessageChunk { content },
        };
        self.post_as(book, update, Some(Arc::clone(&self.delivery) as _));
    }

    fn send(&self, book: &mut Book, update: SessionUpdate) {
        self.say_gathered(book);
        self.post_as(book, update, Some(Arc::clone(&self.delivery) as _));
    }

    fn post_as(&self, book: &mut Book, update: SessionUpdate, receipt: Option<Arc<dyn Receipt>>) {
        book.last_update = self.channel.post(Some((&self.turn_id, &self.message_id)), update, receipt);
    }

    /// Lets `change` at the book, unless it is closed.
    fn write<T>(&self, change: impl FnOnce(&mut Book) -> T) -> Option<T> {
        let mut book = self.lock();
        (!book.closed).then(|| change(&mut book))
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn is_enough(&self) -> bool {
        self.pieces >= PIECES || self.text.len() >= GATHERED_BYTES
    }
}

impl Book {
    fn usage(&self) -> Usage {
        self.traces.iter().fold(Usage::absent(), |sum, trace| sum.plus(&trace.trace().usage))
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
