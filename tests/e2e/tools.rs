//! A task by tools, as a client sees it: list, find, read, search, change, and the plan of it all.

use crate::support::{Editor, Home};
use serde_json::{Value, json};

/// What a client is told of a turn, without where in the session it was said.
fn updates(all: &[Value]) -> Vec<Value> {
    all.iter().filter(|message| message["method"] == "session/update").map(|message| message["params"]["update"].clone()).collect()
}

fn call(id: &str, tool: &str, input: &Value) -> Value {
    json!({ "tool_call": { "id": id, "name": tool, "input": input } })
}

/// The three updates of a call that runs without a question.
fn ran(id: &str, title: &str, kind: &str, input: &Value, locations: &Value, text: &str) -> [Value; 3] {
    let content = json!([{ "type": "content", "content": { "type": "text", "text": text } }]);
    let mut shown = json!({
        "sessionUpdate": "tool_call", "toolCallId": id, "title": title, "kind": kind, "status": "pending", "rawInput": input,
        "locations": locations,
    });
    if locations.is_null() {
        shown.as_object_mut().expect("an object").remove("locations");
    }
    [
        shown,
        json!({ "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "in_progress" }),
        json!({ "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "completed", "content": content }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_by_tools_is_shown_step_by_step() {
    let home = Home::new();
    home.file("main.rs", "fn main() {\r\n    one();\r\n    two();\r\n}\r\n");
    home.file("notes.md", "one note\n");
    let edits = json!([{ "old_text": "one()", "new_text": "first()" }, { "old_text": "    two();\n", "new_text": "    second();\n    third();\n" }]);
    let entries = json!([{ "content": "Rename", "status": "completed" }, { "content": "Test", "priority": "high", "status": "pending" }]);
    let inputs = [
        json!({}),
        json!({ "pattern": "**/*.rs" }),
        json!({ "path": "main.rs", "offset": 2, "limit": 2 }),
        json!({ "pattern": r"\bone\b" }),
        json!({ "path": "main.rs", "edits": edits }),
        json!({ "entries": entries }),
    ];
    let [list, glob, read, search, edit, plan] = &inputs;
    let model = home.script(&json!({ "steps": [
        [call("list", "list_directory", list)],
        [call("glob", "glob", glob)],
        [call("read", "read_file", read)],
        [call("search", "search", search)],
        [call("edit", "edit_file", edit)],
        [call("plan", "update_plan", plan)],
        [{ "text": "Done." }],
    ] }));
    let mut editor = Editor::lsp(&home, &["--model", &model]).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "Rename them").await;
    let question = editor.next("session/request_permission").await;

    let root = home.workspace().to_string_lossy().into_owned();
    let file = format!("{root}/main.rs");
    let diff = json!([{
        "type": "diff",
        "path": file,
        "oldText": "fn main() {\r\n    one();\r\n    two();\r\n}\r\n",
        "newText": "fn main() {\r\n    first();\r\n    second();\r\n    third();\r\n}\r\n",
    }]);
    let edited = json!({
        "sessionUpdate": "tool_call", "toolCallId": "edit", "title": "Edit main.rs", "kind": "edit", "status": "pending",
        "rawInput": edit, "locations": [{ "path": file }],
    });
    assert_eq!(question["params"]["toolCall"]["content"], diff);
    editor.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": "allow_once" } })).await;

    let seen = updates(&editor.all_until(&prompt).await);
    let at_root = json!([{ "path": root }]);
    let read_lines = "    one();\r\n    two();\r\n[lines 2-3 of 4; go on with offset 4]\n";
    let found = "main.rs:2:     one();\nnotes.md:1: one note\n";
    let mut expected = Vec::new();
    expected.extend(ran("list", "List .", "read", list, &at_root, "main.rs\nnotes.md\n"));
    expected.extend(ran("glob", "Find **/*.rs in .", "search", glob, &at_root, "main.rs\n"));
    expected.extend(ran("read", "Read main.rs", "read", read, &json!([{ "path": file, "line": 2 }]), read_lines));
    expected.extend(ran("search", "Search . for \\bone\\b", "search", search, &at_root, found));
    expected.extend([
        edited,
        json!({ "sessionUpdate": "tool_call_update", "toolCallId": "edit", "status": "in_progress" }),
        json!({ "sessionUpdate": "tool_call_update", "toolCallId": "edit", "status": "completed", "content": diff }),
    ]);
    let told = "the user sees the plan: 1 of 2 steps are completed";
    expected.extend(ran("plan", "Update the plan", "think", plan, &Value::Null, told));
    expected.extend([
        json!({ "sessionUpdate": "plan", "entries": [
            { "content": "Rename", "priority": "medium", "status": "completed" },
            { "content": "Test", "priority": "high", "status": "pending" },
        ] }),
        json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": "Done." } }),
    ]);
    assert_eq!(seen, expected);
    let written = std::fs::read_to_string(home.workspace().join("main.rs")).expect("the file");
    assert_eq!(written, "fn main() {\r\n    first();\r\n    second();\r\n    third();\r\n}\r\n");
    editor.finish().await;
}
