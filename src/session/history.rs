//! What a session's past must keep: every tool call has exactly one result, and no call id stands for two calls.

use crate::protocol::message::{Message, Part, PartKind, ResultStatus, Role};
use crate::protocol::tool_run::{OWN_COMMAND, ToolRun};
use crate::protocol::update::{SessionUpdate, ToolCall, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolKind};
use crate::store::History;
use crate::tool::planned;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Every call id of the history.
pub(super) fn call_ids(history: &[Arc<Message>]) -> HashSet<String> {
    let parts = history.iter().flat_map(|message| &message.parts);
    parts.filter(|part| part.kind == PartKind::ToolCall).filter_map(|part| part.call_id.clone()).collect()
}

/// The history as a session goes on with it. Where rows could not be read, every call still has a result, and every result
/// a call.
pub(super) fn whole(history: History) -> Vec<Arc<Message>> {
    let mut messages = history.messages;
    if history.unreadable.count > 0 {
        messages.iter_mut().for_each(|message| mend(&mut message.parts));
    }
    messages.into_iter().map(Arc::new).collect()
}

fn mend(parts: &mut Vec<Part>) {
    const LOST: &str = "What came of this call cannot be read any more. It is not run again.";
    let ids = |parts: &[Part], kind| -> HashSet<String> {
        parts.iter().filter(|part| part.kind == kind).filter_map(|part| part.call_id.clone()).collect()
    };
    let (calls, results) = (ids(parts, PartKind::ToolCall), ids(parts, PartKind::ToolResult));
    parts.retain(|part| part.kind != PartKind::ToolResult || part.call_id.as_ref().is_some_and(|id| calls.contains(id)));
    let open: Vec<_> = parts.iter().filter(|part| part.kind == PartKind::ToolCall).filter_map(|part| part.call_id.clone()).collect();
    let lost = open.into_iter().filter(|id| !results.contains(id));
    parts.extend(lost.map(|id| Part::tool_result(id, ResultStatus::UnknownOutcome, LOST)));
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

/// The conversation as a model is to see it, up to `prompt`: a command that the user ran is told in the next message of the
/// user, since no vendor knows a tool call that no model has made.
pub(super) fn for_a_model(history: &[Arc<Message>], prompt: &Arc<Message>) -> Vec<Arc<Message>> {
    let mut seen = Vec::with_capacity(history.len() + 1);
    let mut told: Vec<Part> = Vec::new();
    let mut shell_turn = None;
    for message in history.iter().chain([prompt]) {
        // A turn that was stopped before its first word left an empty answer; no vendor wants to see it.
        if message.parts.is_empty() {
            continue;
        }
        if let [Part { kind: PartKind::Command, text, .. }] = &message.parts[..] {
            let text = text.as_deref().unwrap_or_default();
            told.push(Part::text(format!("The user ran a shell command in the workspace:\n$ {text}\n")));
            shell_turn = message.turn_id.as_ref();
        } else if message.role == Role::Assistant && shell_turn.is_some() && message.turn_id.as_ref() == shell_turn {
            told.extend(message.parts.iter().filter(|part| part.kind == PartKind::ToolResult).map(|part| Part::text(outcome(part))));
        } else if message.role == Role::User && !told.is_empty() {
            let parts = told.drain(..).chain(message.parts.iter().cloned()).collect();
            seen.push(Arc::new(Message { parts, ..Message::clone(message) }));
        } else {
            seen.push(Arc::clone(message));
        }
    }
    seen
}

/// How a command ended and what it wrote, for a model.
fn outcome(result: &Part) -> String {
    let end = match (result.exit_code, &result.signal, result.status) {
        (Some(code), ..) => format!("It ended with exit code {code}."),
        (None, Some(signal), _) => format!("It was ended by {signal}."),
        (None, None, Some(ResultStatus::NotStarted)) => "It was not started.".to_owned(),
        (None, None, _) => "How it ended is not known.".to_owned(),
    };
    match result.text.as_deref().unwrap_or_default() {
        "" => format!("{end} It wrote nothing.\n"),
        output => format!("{end} It wrote:\n{output}\n"),
    }
}

/// The results that calls without one get after a crash, by what is on record of each.
pub(super) fn missing_results<'r>(parts: &[Part], run_of: impl Fn(&str) -> Option<&'r ToolRun>) -> Vec<Part> {
    const UNKNOWN: &str =
        "pillion's process ended while this call was under way; whether it took effect is not known. It is not run again.";
    const NEVER: &str = "The call was not started: pillion's process ended first.";
    let answered: HashSet<_> = parts.iter().filter(|p| p.kind == PartKind::ToolResult).filter_map(|p| p.call_id.as_deref()).collect();
    let open = parts.iter().filter(|p| p.kind == PartKind::ToolCall).filter_map(|p| p.call_id.as_deref());
    let results = open.filter(|call_id| !answered.contains(call_id)).map(|call_id| {
        let run = run_of(call_id);
        let (status, text) = match run.and_then(|run| run.outcome) {
            Some(ResultStatus::Denied) => (ResultStatus::Denied, "The call was denied and not run."),
            Some(ended @ ResultStatus::Completed) => (ended, "The call was completed; what it gave was lost when pillion's process ended."),
            Some(ended @ ResultStatus::Failed) => (ended, "The call failed; what it gave was lost when pillion's process ended."),
            Some(ended @ ResultStatus::Interrupted) => (ended, "The call was stopped; what it gave was lost when pillion's process ended."),
            Some(ResultStatus::NotStarted) => (ResultStatus::NotStarted, NEVER),
            Some(ResultStatus::UnknownOutcome) => (ResultStatus::UnknownOutcome, UNKNOWN),
            None if run.is_some_and(|run| run.started_at.is_some()) => (ResultStatus::UnknownOutcome, UNKNOWN),
            None => (ResultStatus::NotStarted, NEVER),
        };
        Part::tool_result(call_id, status, text)
    });
    results.collect()
}

/// The updates that show a stored history to a client.
pub(super) fn replay(history: &[Arc<Message>]) -> impl Iterator<Item = (&Message, SessionUpdate)> {
    let last_plan = last_plan(history);
    history.iter().map(Arc::as_ref).flat_map(|message| message.parts.iter().map(move |part| (message, part))).flat_map(
        move |(message, part)| {
            let plan = last_plan.as_ref().filter(|(result, _)| std::ptr::eq(*result, part)).map(|(_, plan)| plan.clone());
            update(message, part).into_iter().chain(plan).map(move |update| (message, update))
        },
    )
}

/// The plan that holds at the end of the history, and the result behind which it was shown.
fn last_plan(history: &[Arc<Message>]) -> Option<(&Part, SessionUpdate)> {
    history.iter().rev().find_map(|message| {
        let completed = |part: &&Part| part.kind == PartKind::ToolResult && part.status == Some(ResultStatus::Completed);
        message.parts.iter().rev().filter(completed).find_map(|result| {
            let call = message.parts.iter().find(|part| part.kind == PartKind::ToolCall && part.call_id == result.call_id)?;
            let entries = planned(call.tool.as_deref()?, call.input.as_ref()?)?;
            Some((result, SessionUpdate::Plan { entries }))
        })
    })
}

fn update(message: &Message, part: &Part) -> Option<SessionUpdate> {
    Some(match (message.role, part.kind) {
        (_, PartKind::ToolCall) => SessionUpdate::ToolCall(ToolCall {
            tool_call_id: part.call_id.clone()?,
            title: shell_command(part).or(part.tool.as_deref())?.to_owned(),
            kind: if shell_command(part).is_some() { ToolKind::Execute } else { ToolKind::Other },
            status: ToolCallStatus::Pending,
            raw_input: part.input.clone().unwrap_or(Value::Null),
            locations: Vec::new(),
        }),
        (_, PartKind::ToolResult) => SessionUpdate::ToolCallUpdate(ToolCallUpdate {
            tool_call_id: part.call_id.clone()?,
            status: if part.status == Some(ResultStatus::Completed) { ToolCallStatus::Completed } else { ToolCallStatus::Failed },
            content: part.result_content().into_iter().map(|content| ToolCallContent::Content { content }).collect(),
        }),
        (Role::User, _) => SessionUpdate::UserMessageChunk { content: part.as_content()? },
        (Role::Assistant, PartKind::Reasoning) => SessionUpdate::AgentThoughtChunk { content: part.as_content()? },
        (Role::Assistant, _) => SessionUpdate::AgentMessageChunk { content: part.as_content()? },
    })
}

/// The command, if the call is one that a user ran.
fn shell_command(call: &Part) -> Option<&str> {
    if call.tool.as_deref() == Some(OWN_COMMAND) { call.input.as_ref()?.get("command")?.as_str() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::{MessageId, TurnId};

    fn message(turn: &str, role: Role, parts: Vec<Part>) -> Arc<Message> {
        let message_id = MessageId::new(format!("{turn}-{role:?}"));
        Arc::new(Message { message_id, role, created_at: 0, parts, turn_id: Some(TurnId::new(turn)), model: None })
    }

    /// What a model sees of a message.
    fn shown(message: &Message) -> (Role, Vec<&str>) {
        (message.role, message.parts.iter().filter_map(|part| part.text.as_deref()).collect())
    }

    #[test]
    fn commands_are_told_in_the_next_message_of_the_user_and_nowhere_else() {
        let result = |status, text: &str, code| Part { exit_code: code, ..Part::tool_result("c", status, text) };
        let ran = |turn, command: &str, result: Part| {
            let call = Part::tool_call("c", OWN_COMMAND, serde_json::json!({ "command": command }));
            [message(turn, Role::User, vec![Part::command(command)]), message(turn, Role::Assistant, vec![call, result])]
        };
        let mut history = vec![message("1", Role::User, vec![Part::text("Hi")]), message("1", Role::Assistant, vec![Part::text("Hello")])];
        history.extend(ran("2", "make", result(ResultStatus::Failed, "no rule", Some(2))));
        history.extend(ran("3", "true", result(ResultStatus::Completed, "", Some(0))));
        history.extend(ran("4", "sleep 9", Part { signal: Some("SIGTERM".into()), ..result(ResultStatus::Interrupted, "", None) }));
        history.extend(ran("5", "boom", result(ResultStatus::UnknownOutcome, "lost", None)));
        // Withdrawn, and one that was stopped before it began.
        history.extend([message("6", Role::User, vec![Part::text("Wait")]), message("6", Role::Assistant, vec![])]);
        history.push(message("7", Role::User, vec![Part::command("ls")]));
        history.push(message("7", Role::Assistant, vec![]));
        let prompt = message("8", Role::User, vec![Part::text("Well?")]);
        let seen = for_a_model(&history, &prompt);
        let told = |command: &str| format!("The user ran a shell command in the workspace:\n$ {command}\n");
        let told = [told("make"), told("true"), told("sleep 9"), told("boom"), told("ls")];
        let expected = vec![
            (Role::User, vec!["Hi"]),
            (Role::Assistant, vec!["Hello"]),
            (
                Role::User,
                vec![
                    &told[0],
                    "It ended with exit code 2. It wrote:\nno rule\n",
                    &told[1],
                    "It ended with exit code 0. It wrote nothing.\n",
                    &told[2],
                    "It was ended by SIGTERM. It wrote nothing.\n",
                    &told[3],
                    "How it ended is not known. It wrote:\nlost\n",
                    "Wait",
                ],
            ),
            (Role::User, vec![&told[4], "Well?"]),
        ];
        assert_eq!(seen.iter().map(|message| shown(message)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn where_rows_are_lost_each_call_keeps_one_result_and_no_result_stands_alone() {
        let parts = vec![
            Part::tool_call("kept", "open", Value::Null),
            Part::tool_result("kept", ResultStatus::Completed, "done"),
            Part::tool_result("its call is lost", ResultStatus::Completed, "done"),
            Part::tool_call("its result is lost", "open", Value::Null),
        ];
        let message = Message::clone(&message("1", Role::Assistant, parts));
        let history = |count| History { messages: vec![message.clone()], unreadable: crate::store::Unreadable { count, rows: vec![] } };
        assert_eq!(whole(history(0)), [Arc::new(message.clone())]);
        let shown: Vec<_> = whole(history(2))[0].parts.iter().map(|part| (part.call_id.clone().unwrap(), part.status)).collect();
        let (kept, lost) = ("kept".to_owned(), "its result is lost".to_owned());
        let expected =
            [(kept.clone(), None), (kept, Some(ResultStatus::Completed)), (lost.clone(), None), (lost, Some(ResultStatus::UnknownOutcome))];
        assert_eq!(shown, expected);
    }

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
            Part::tool_call("c", "write_file", Value::Null),
            Part::tool_call("d", "write_file", Value::Null),
            Part::tool_call("e", "shell", Value::Null),
            Part::tool_result("a", ResultStatus::Completed, "text"),
        ];
        let run = |call_id: &str, outcome| {
            let record = serde_json::json!({ "session_id": "s", "turn_id": "t", "call_id": call_id, "tool": "x", "effect": "write", "started_at": 1 });
            ToolRun { outcome, ..serde_json::from_value(record).unwrap() }
        };
        let runs = [run("b", None), run("d", Some(ResultStatus::Denied)), run("e", Some(ResultStatus::Completed))];
        let results = missing_results(&parts, |call_id| runs.iter().find(|run| run.call_id == call_id));
        let told: Vec<_> = results.iter().map(|result| (result.call_id.as_deref().unwrap(), result.status.unwrap())).collect();
        assert_eq!(
            told,
            [
                ("b", ResultStatus::UnknownOutcome),
                ("c", ResultStatus::NotStarted),
                ("d", ResultStatus::Denied),
                ("e", ResultStatus::Completed)
            ]
        );
    }
}
