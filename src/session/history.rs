//! What a session's past must keep: every tool call has exactly one result, and no call id stands for two calls.

use crate::protocol::message::{Message, Part, PartKind, ResultStatus};
use crate::protocol::update::{SessionUpdate, ToolCall, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolKind};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Every call id of the history.
pub(super) fn call_ids(history: &[Arc<Message>]) -> HashSet<String> {
    let parts = history.iter().flat_map(|message| &message.parts);
    parts.filter(|part| part.kind == PartKind::ToolCall).filter_map(|part| part.call_id.clone()).collect()
}

/// `call_id`, or a variant of it that no earlier call has: some servers number their calls anew in each answer.
pub(super) fn unused_call_id(call_id: String, used: &mut HashSet<String>) -> String {
    let mut unused = call_id.clone();
    for n in 2.. {
        if used.insert(unused.clone()) {
            break;
        }
        unused = format!("{call_id}-{n}");
    }
    unused
}

/// The results that calls without one get after a crash: nobody knows how far they came.
pub(super) fn missing_results(parts: &[Part]) -> Vec<Part> {
    let answered: HashSet<_> = parts.iter().filter(|p| p.kind == PartKind::ToolResult).filter_map(|p| p.call_id.as_deref()).collect();
    let open = parts.iter().filter(|p| p.kind == PartKind::ToolCall).filter_map(|p| p.call_id.as_deref());
    let text = "pillion's process ended while this call was under way; whether it took effect is not known. It is not run again.";
    open.filter(|call_id| !answered.contains(call_id))
        .map(|call_id| Part::tool_result(call_id, ResultStatus::UnknownOutcome, text))
        .collect()
}

/// The updates that show a stored history to a client.
pub(super) fn replay(history: &[Arc<Message>]) -> impl Iterator<Item = (&Message, SessionUpdate)> {
    history.iter().map(Arc::as_ref).flat_map(|message| message.parts.iter().filter_map(move |part| Some((message, update(message, part)?))))
}

fn update(message: &Message, part: &Part) -> Option<SessionUpdate> {
    use crate::protocol::message::Role;
    Some(match (message.role, part.kind) {
        (_, PartKind::ToolCall) => SessionUpdate::ToolCall(ToolCall {
            tool_call_id: part.call_id.clone()?,
            title: part.tool.clone()?,
            kind: ToolKind::Other,
            status: ToolCallStatus::Pending,
            raw_input: part.input.clone().unwrap_or(Value::Null),
            locations: Vec::new(),
        }),
        (_, PartKind::ToolResult) => SessionUpdate::ToolCallUpdate(ToolCallUpdate {
            tool_call_id: part.call_id.clone()?,
            status: if part.status == Some(ResultStatus::Completed) { ToolCallStatus::Completed } else { ToolCallStatus::Failed },
            content: vec![ToolCallContent::Content { content: crate::protocol::content::ContentBlock::text(part.text.clone()?) }],
        }),
        (Role::User, _) => SessionUpdate::UserMessageChunk { content: part.as_content()? },
        (Role::Assistant, PartKind::Reasoning) => SessionUpdate::AgentThoughtChunk { content: part.as_content()? },
        (Role::Assistant, _) => SessionUpdate::AgentMessageChunk { content: part.as_content()? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_that_comes_again_gets_a_name_of_its_own() {
        let mut used = HashSet::new();
        let ids: Vec<_> = ["call_0", "call_1", "call_0", "call_0"].into_iter().map(|id| unused_call_id(id.into(), &mut used)).collect();
        assert_eq!(ids, ["call_0", "call_1", "call_0-2", "call_0-3"]);
    }

    #[test]
    fn after_a_crash_only_open_calls_get_a_result() {
        let parts = [
            Part::tool_call("a", "read_file", Value::Null),
            Part::tool_call("b", "write_file", Value::Null),
            Part::tool_result("a", ResultStatus::Completed, "text"),
        ];
        let results = missing_results(&parts);
        assert_eq!(results.len(), 1);
        assert_eq!((results[0].call_id.as_deref(), results[0].status), (Some("b"), Some(ResultStatus::UnknownOutcome)));
    }
}
