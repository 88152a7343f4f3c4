//! Tool calls on their way out, whichever vendor's they are.
//!
//! Invariant: every call that leaves here has a name and an id that no other call of the conversation has.

use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::ids::AttemptId;
use crate::protocol::message::PartKind;
use crate::protocol::model::{ModelEvent, ModelRequest};
use crate::protocol::nesting::{MAX_NESTING, is_deeper_than};
use crate::provider::failure::{ProtocolKind, protocol};
use serde_json::{Map, Value};
use std::collections::{HashSet, VecDeque};

/// A call whose last byte has come. What the vendor left out is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::provider) struct WholeCall {
    pub(in crate::provider) id: String,
    pub(in crate::provider) name: String,
    /// JSON, if the model got it right.
    pub(in crate::provider) arguments: String,
}

/// The ids of a conversation's calls.
#[derive(Debug)]
pub(in crate::provider) struct CallIds {
    used: HashSet<String>,
    attempt: AttemptId,
}

impl CallIds {
    pub(in crate::provider) fn new(request: &ModelRequest) -> Self {
        let parts = request.messages.iter().flat_map(|message| &message.parts);
        let used = parts.filter(|part| part.kind == PartKind::ToolCall).filter_map(|part| part.call_id.clone()).collect();
        Self { used, attempt: request.attempt_id.clone() }
    }

    /// Hands out the calls of an answer.
    ///
    /// # Errors
    /// A call without a name cannot be run and cannot be answered.
    pub(in crate::provider) fn hand_out(
        &mut self,
        calls: impl IntoIterator<Item = WholeCall>,
        out: &mut VecDeque<ModelEvent>,
    ) -> Result<(), Box<StreamFailure>> {
        for (n, call) in calls.into_iter().enumerate() {
            if call.name.is_empty() {
                let what = "the model called a tool without naming it";
                return Err(protocol(ProtocolKind::BadToolCall, what, None, &["a tool call had no name when the answer was complete"]));
            }
            let call_id = self.unused(call.id, n + 1);
            out.push_back(ModelEvent::ToolCall { call_id, tool: call.name, input: input(call.arguments) });
        }
        Ok(())
    }

    /// The vendor's own id if it has one that is not taken, else one made of the attempt's. `nth` counts from 1.
    fn unused(&mut self, id: String, nth: usize) -> String {
        if !id.is_empty() && self.used.insert(id.clone()) {
            return id;
        }
        let attempt = self.attempt.as_str().trim_start_matches(AttemptId::PREFIX).trim_start_matches('_');
        // OpenAI refuses ids of more than 40 characters; the tail of an attempt's id is its random part.
        let tail = attempt.get(attempt.len().saturating_sub(24)..).unwrap_or(attempt);
        (nth..).map(|nth| format!("call_{tail}_{nth}")).find(|id| self.used.insert(id.clone())).unwrap_or_default()
    }
}

/// Arguments as JSON; no arguments are `{}`; what is no object, or nests too deep, stays the text that the model wrote.
fn input(arguments: String) -> Value {
    if arguments.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(&arguments) {
        Ok(Value::Object(fields)) if !is_deeper_than(MAX_NESTING, arguments.as_bytes()) => Value::Object(fields),
        _ => Value::String(arguments),
    }
}
