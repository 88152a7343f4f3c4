//! Whether a history is one that every vendor accepts.

use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::message::{Message, PartKind};
use crate::protocol::said;
use crate::provider::failure::{ProtocolKind, protocol};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Within each message (a turn), each tool call has an id of its own and exactly one result, behind it.
///
/// # Errors
/// The first call or result that breaks the rule, by its id.
pub(super) fn check(messages: &[Arc<Message>]) -> Result<(), Box<StreamFailure>> {
    for message in messages {
        let mut calls: HashMap<&str, Answered> = HashMap::new();
        for part in &message.parts {
            let id = part.call_id.as_deref().unwrap_or_default();
            match part.kind {
                PartKind::ToolCall if calls.contains_key(id) => return Err(invalid(id, "is the id of two calls")),
                PartKind::ToolCall => drop(calls.insert(id, Answered::NotYet)),
                PartKind::ToolResult => match calls.get_mut(id) {
                    None => return Err(invalid(id, "has a result, but there is no call in front of it")),
                    Some(Answered::Once) => return Err(invalid(id, "has a second result")),
                    Some(answered) => *answered = Answered::Once,
                },
                PartKind::Text
                | PartKind::Reasoning
                | PartKind::State
                | PartKind::Command
                | PartKind::Resource
                | PartKind::ResourceLink => {}
            }
        }
        // What a turn leaves open, nothing later can close.
        let open = message.parts.iter().filter_map(|part| part.call_id.as_deref()).find(|id| calls.get(id) == Some(&Answered::NotYet));
        if let Some(id) = open {
            return Err(invalid(id, "has no result"));
        }
    }
    Ok(())
}

/// The ids of all tool calls.
pub(super) fn call_ids(messages: &[Arc<Message>]) -> HashSet<String> {
    let parts = messages.iter().flat_map(|message| &message.parts);
    parts.filter(|part| part.kind == PartKind::ToolCall).filter_map(|part| part.call_id.clone()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    NotYet,
    Once,
}

fn invalid(id: &str, problem: &str) -> Box<StreamFailure> {
    let message = said::with(said::BAD_HISTORY, &[&format!("{id:?} {problem}")]);
    protocol(ProtocolKind::InvalidHistory, message, None, &["the request's history was checked before it was answered"])
}
