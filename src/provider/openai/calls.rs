//! Tool calls put together from their deltas.
//!
//! Invariant: every call that leaves here has a name and an id that no other call of the conversation has.

use super::chunk::{CallDelta, FunctionDelta};
use crate::protocol::ids::AttemptId;
use crate::protocol::message::{Message, PartKind};
use crate::protocol::model::{ModelEvent, ModelRequest};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// The calls of one answer, in the order in which they began.
#[derive(Debug)]
pub(super) struct Calls {
    open: Vec<Call>,
    /// Ids that the conversation has used before this answer.
    used: HashSet<String>,
    attempt: AttemptId,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

/// A call without a name cannot be run and cannot be answered.
#[derive(Debug)]
pub(super) struct Nameless;

impl Calls {
    pub(super) fn new(request: &ModelRequest) -> Self {
        Self { open: Vec::new(), used: call_ids(&request.messages), attempt: request.attempt_id.clone() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds a delta. Returns how many bytes of arguments it brought.
    pub(super) fn add(&mut self, delta: CallDelta<'_>) -> usize {
        let id = delta.id.said().unwrap_or_default();
        let FunctionDelta { name, arguments } = delta.function.unwrap_or_default();
        let name = name.said().unwrap_or_default();
        let arguments = FunctionDelta { arguments, ..FunctionDelta::default() };
        let arguments = arguments.arguments();

        let call = self.find_or_begin(delta.index, &id, &name);
        if call.id.is_empty() {
            call.id.push_str(&id);
        }
        // A name comes whole; a server that sends it with every delta does not mean it twice.
        if call.name != name {
            call.name.push_str(&name);
        }
        call.arguments.push_str(&arguments);
        arguments.len()
    }

    /// The delta's call: by index, else by id, else the last one; another id at the same index, or another name where no
    /// index tells, is another call.
    fn find_or_begin(&mut self, index: Option<u64>, id: &str, name: &str) -> &mut Call {
        let same = |call: &Call| id.is_empty() || call.id.is_empty() || call.id == id;
        let found = match index {
            Some(index) => {
                self.open.iter().rposition(|call| call.index == Some(index)).filter(|&at| same(&self.open[at]) || name.is_empty())
            }
            None if !id.is_empty() => self.open.iter().rposition(|call| call.id == id),
            None => self.open.len().checked_sub(1).filter(|&last| name.is_empty() || self.open[last].name.is_empty()),
        };
        let at = found.unwrap_or_else(|| {
            self.open.push(Call { index, ..Call::default() });
            self.open.len() - 1
        });
        &mut self.open[at]
    }

    /// Hands out the calls, complete.
    pub(super) fn finish(&mut self) -> Result<Vec<ModelEvent>, Nameless> {
        let attempt = self.attempt.as_str().trim_start_matches(AttemptId::PREFIX).trim_start_matches('_');
        // OpenAI refuses ids of more than 40 characters; the tail of an attempt's id is its random part.
        let tail = attempt.get(attempt.len().saturating_sub(24)..).unwrap_or(attempt);
        let mut events = Vec::with_capacity(self.open.len());
        for (n, call) in self.open.drain(..).enumerate() {
            if call.name.is_empty() {
                return Err(Nameless);
            }
            let fresh = !call.id.is_empty() && self.used.insert(call.id.clone());
            let call_id = if fresh {
                call.id
            } else {
                (n + 1..).map(|n| format!("call_{tail}_{n}")).find(|id| self.used.insert(id.clone())).unwrap_or_default()
            };
            events.push(ModelEvent::ToolCall { call_id, tool: call.name, input: input(call.arguments) });
        }
        Ok(events)
    }
}

/// Arguments as JSON; no arguments are `{}`; what is no object stays the text that the model wrote.
fn input(arguments: String) -> Value {
    if arguments.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    match serde_json::from_str(&arguments) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        _ => Value::String(arguments),
    }
}

fn call_ids(messages: &[Arc<Message>]) -> HashSet<String> {
    let parts = messages.iter().flat_map(|message| &message.parts);
    parts.filter(|part| part.kind == PartKind::ToolCall).filter_map(|part| part.call_id.clone()).collect()
}
