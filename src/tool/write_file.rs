//! `write_file`: makes or replaces one file. Invariant: what is written is what was shown in the question, over what was
//! there when it was asked; text that the editor has not saved is never written over.

mod style;
#[cfg(test)]
mod tests;

use super::arguments::Arguments;
use super::workspace::{Parents, Place, Seen, Target, WorkspaceError};
use super::{Gate, Tool, ToolContext, ToolError, ToolOutput, ToolPlan, blocking};
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::{ToolCallContent, ToolKind, ToolLocation};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use style::Style;

/// The largest text that is written, in bytes.
const MAX_CONTENT_BYTES: usize = 1 << 20;

pub(super) struct WriteFile;

struct Request {
    place: Place,
    content: String,
    parents: Parents,
}

/// What a call would write over what.
struct Change {
    seen: Seen,
    old: Option<String>,
    new: String,
}

impl Tool for WriteFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "write_file",
            description: "Makes a file of the workspace, or replaces the whole text of one; the user is asked first. Line ends, byte \
                          order mark, final newline and mode of a file that is replaced are kept. Refused for a file with unsaved \
                          changes in the editor, and if it is changed while the user is asked.",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "The file, relative to the workspace or absolute." },
                    "content": { "type": "string", "description": "The whole new text of the file." },
                    "create_parents": { "type": "boolean", "description": "Make missing directories of the path. Default: false." },
                },
                "required": ["path", "content"],
            }),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Write
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Edit
    }

    fn plan(&self, input: &Value, context: &ToolContext) -> Result<ToolPlan, ToolError> {
        let request = Request::of(input, context)?;
        let change = Change::of(&request, context)?;
        let path = context.workspace.absolute(&request.place);
        let verb = if change.old.is_some() { "Replace" } else { "Make" };
        Ok(ToolPlan {
            title: format!("{verb} {}", request.place),
            locations: vec![ToolLocation { path: path.clone(), line: None }],
            seen: Some(change.seen),
            content: vec![change.diff(path)],
            gate: Gate::Ask,
        })
    }

    fn run(&self, input: Value, seen: Option<Seen>, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        blocking(move || {
            let request = Request::of(&input, &context)?;
            let change = Change::of(&request, &context)?;
            if context.token.is_stopped() {
                return Err(ToolError(format!("{} was not written: the turn was stopped first", request.place)));
            }
            // What was asked about is the condition, not what this call found.
            let Some(seen) = seen else {
                return Err(ToolError(format!("{} was not written: nobody was shown the change", request.place)));
            };
            if change.seen != seen {
                return Err(WorkspaceError::Conflict(request.place).into());
            }
            context.workspace.replace(&request.place, seen, change.new.as_bytes(), request.parents)?;
            let bytes = change.new.len();
            let verb = if change.old.is_some() { "replaced" } else { "made" };
            let text = format!("{verb} {}: {bytes} bytes", request.place);
            Ok(ToolOutput { text, content: vec![change.diff(context.workspace.absolute(&request.place))] })
        })
    }
}

impl Request {
    fn of(input: &Value, context: &ToolContext) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input)?;
        let place = context.workspace.place(arguments.text("path")?)?;
        let content = arguments.text("content")?;
        if content.len() > MAX_CONTENT_BYTES {
            return Err(ToolError(format!("the argument content has {} bytes; at most {MAX_CONTENT_BYTES} are written", content.len())));
        }
        let parents = if arguments.flag("create_parents")? { Parents::Make } else { Parents::MustExist };
        Ok(Self { place, content: content.to_owned(), parents })
    }
}

impl Change {
    fn of(request: &Request, context: &ToolContext) -> Result<Self, ToolError> {
        let place = &request.place;
        let target = context.workspace.target(place, request.parents)?;
        let seen = target.seen();
        let documents = context.documents.within(&context.workspace);
        let unsaved = match &target {
            Target::Nothing => documents.unborn.contains_key(place),
            Target::File { file, bytes } => documents.unsaved(file, bytes).is_some(),
        };
        if unsaved {
            return Err(ToolError(format!(
                "{place} has changes in the editor that are not saved; ask the user to save or discard them first"
            )));
        }
        let Target::File { bytes, .. } = target else {
            return Ok(Self { seen, old: None, new: request.content.clone() });
        };
        let Ok(old) = String::from_utf8(bytes) else {
            return Err(ToolError(format!(
                "{place} is not UTF-8, and writing would change its encoding; ask the user to change it by hand"
            )));
        };
        let new = Style::of(&old).put_on(&request.content);
        if new == old {
            return Err(ToolError(format!("{place} has exactly this text already; there is nothing to write")));
        }
        Ok(Self { seen, old: Some(old), new })
    }

    fn diff(self, path: String) -> ToolCallContent {
        ToolCallContent::Diff { path, old_text: self.old, new_text: self.new }
    }
}
