//! `update_plan`: what the model is going to do, step by step, for the user to see. It does nothing else.

use super::arguments::Arguments;
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan};
use crate::policy::Access;
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::{PlanEntry, PlanPriority, PlanStatus, ToolKind};
use crate::text::exact;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

/// The name by which a stored call is known for one.
const NAME: &str = "update_plan";

const MAX_ENTRIES: usize = 50;
/// The longest text of one entry, in characters.
const MAX_CONTENT_CHARS: usize = 500;

const PRIORITIES: [(&str, PlanPriority); 3] = [("high", PlanPriority::High), ("medium", PlanPriority::Medium), ("low", PlanPriority::Low)];
const STATUSES: [(&str, PlanStatus); 3] =
    [("pending", PlanStatus::Pending), ("in_progress", PlanStatus::InProgress), ("completed", PlanStatus::Completed)];

pub(super) struct UpdatePlan;

/// The plan that a stored call of `tool` gave; None if it is another tool's.
pub fn planned(tool: &str, input: &Value) -> Option<Vec<PlanEntry>> {
    if tool == NAME { entries(input).ok() } else { None }
}

/// What a call may say; what is enforced of it.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "entries": {
                "type": "array",
                "maxItems": MAX_ENTRIES,
                "items": {
                    "type": "object",
                    "properties": {
                        "content": { "type": "string", "minLength": 1, "maxLength": MAX_CONTENT_CHARS, "description": "The step, in one line." },
                        "priority": { "type": "string", "enum": PRIORITIES.map(|(word, _)| word), "description": "Default: medium." },
                        "status": { "type": "string", "enum": STATUSES.map(|(word, _)| word) },
                    },
                    "required": ["content", "status"],
                },
            },
        },
        "required": ["entries"],
    })
}

impl Tool for UpdatePlan {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: NAME,
            description: "Shows the user the plan of a task with several steps. Each call gives the whole plan anew: call it when you \
                          begin, and whenever a step begins or is done.",
            input_schema: schema(),
        }
    }

    fn effect(&self) -> Effect {
        Effect::None
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Think
    }

    fn plan<'a>(&'a self, input: &'a Value, _: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>> {
        async move {
            entries(input)?;
            Ok(ToolPlan {
                title: "Update the plan".into(),
                locations: Vec::new(),
                content: Vec::new(),
                access: Access::Nothing,
                seen: None,
            })
        }
        .boxed()
    }

    fn run(&self, input: Value, _: Approved, _: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let entries = entries(&input)?;
            let done = entries.iter().filter(|entry| entry.status == PlanStatus::Completed).count();
            let text = format!("the user sees the plan: {done} of {} steps are completed", entries.len());
            Ok(ToolOutput { plan: Some(entries), ..ToolOutput::text(text) })
        }
        .boxed()
    }
}

fn entries(input: &Value) -> Result<Vec<PlanEntry>, ToolError> {
    let entries = Arguments::of(input, &schema())?.objects("entries");
    entries.iter().map(entry).collect()
}

fn entry(given: &Arguments) -> Result<PlanEntry, ToolError> {
    let content = given.text("content").trim();
    if content.is_empty() {
        return Err(given.wrong("content", &format!("must have 1 to {MAX_CONTENT_CHARS} characters, not 0")));
    }
    Ok(PlanEntry {
        // It is shown as a line of a list.
        content: exact(content).into_owned(),
        priority: given.optional_word("priority", &PRIORITIES).unwrap_or(PlanPriority::Medium),
        status: given.optional_word("status", &STATUSES).unwrap_or(PlanStatus::Pending),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::test_room::Room;

    #[tokio::test]
    async fn a_plan_is_given_as_a_whole() {
        let room = Room::new();
        let input = json!({ "entries": [
            { "content": " Look ", "status": "completed", "priority": "high" },
            { "content": "Change\n\u{202e}it", "status": "in_progress" },
            { "content": "Tell", "status": "pending", "priority": "low" },
        ] });
        let entry = |content: &str, priority, status| PlanEntry { content: content.into(), priority, status };
        let plan = vec![
            entry("Look", PlanPriority::High, PlanStatus::Completed),
            entry("Change⟨U+000A⟩⟨U+202E⟩it", PlanPriority::Medium, PlanStatus::InProgress),
            entry("Tell", PlanPriority::Low, PlanStatus::Pending),
        ];
        let text = "the user sees the plan: 1 of 3 steps are completed";
        let expected = ToolOutput { plan: Some(plan.clone()), ..ToolOutput::text(text) };
        assert_eq!(room.call(&UpdatePlan, input.clone()).await, Ok(expected));
        assert_eq!(planned("update_plan", &input), Some(plan));
        assert_eq!(planned("read_file", &input), None);
        let emptied = room.call(&UpdatePlan, json!({ "entries": [] })).await.unwrap();
        assert_eq!(emptied.plan, Some(Vec::new()));
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        let room = Room::new();
        let long = "ä".repeat(MAX_CONTENT_CHARS + 1);
        for (entries, told) in [
            (json!([{ "content": "a" }]), "the argument entries[0].status is missing; it must be a string"),
            (json!([{ "content": " ", "status": "pending" }]), "the argument entries[0].content must have 1 to 500 characters, not 0"),
            (json!([{ "content": long, "status": "pending" }]), "the argument entries[0].content must have 1 to 500 characters, not 501"),
            (
                json!([{ "content": "a", "status": "done" }]),
                "the argument entries[0].status must be one of pending, in_progress, completed",
            ),
            (
                json!([{ "content": "a", "status": "pending", "priority": "urgent" }]),
                "the argument entries[0].priority must be one of high, medium, low",
            ),
            (json!(vec![json!({}); MAX_ENTRIES + 1]), "the argument entries must have 0 to 50 objects, not 51"),
        ] {
            assert_eq!(room.error_of_call(&UpdatePlan, json!({ "entries": entries })).await, told);
        }
    }
}
