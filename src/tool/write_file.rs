//! `write_file`: makes or replaces one file. Invariant: what is written is what was shown in the question, over what was
//! there when it was asked.

mod style;
#[cfg(test)]
mod tests;

use super::arguments::Arguments;
use super::change::Change;
use super::encoding::Encoding;
use super::workspace::{Parents, Place};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan};
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::ToolKind;
use crate::text::span;
use futures_util::FutureExt;
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

/// What a call may say; what is enforced of it.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The file, relative to the workspace or absolute." },
            "content": { "type": "string", "description": "The whole new text of the file, at most 1 MiB." },
            "create_parents": { "type": "boolean", "description": "Create missing parent directories. Default: false." },
        },
        "required": ["path", "content"],
    })
}

impl Tool for WriteFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "write_file",
            description: "Creates a file in the workspace, or replaces the whole text of one; the user is asked first. For a part of a \
                          file use edit_file. Line ends, encoding, final newline and mode of a file that is replaced are kept. \
                          A file that is open in the editor is changed there.",
            input_schema: schema(),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Write
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Edit
    }

    fn writes(&self, input: &Value, context: &ToolContext) -> Option<Place> {
        Request::of(input, context).ok().map(|request| request.place)
    }

    fn plan<'a>(&'a self, input: &'a Value, context: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>> {
        async move {
            let request = Request::of(input, context)?;
            let change = request.change(context).await?;
            let verb = if change.old.is_some() { "Replace" } else { "Create" };
            Ok(change.plan(format!("{verb} {}", span(&request.place.to_string())), context))
        }
        .boxed()
    }

    fn run(&self, input: Value, approved: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let request = Request::of(&input, &context)?;
            let change = request.change(&context).await?;
            let landing = change.write(approved, &context).await?;
            let verb = if change.old.is_some() { "replaced" } else { "created" };
            let text = format!("{verb} {}: {} bytes{}", request.place, change.bytes.len(), landing.note());
            Ok(ToolOutput { content: vec![change.diff(&context)], ..ToolOutput::text(text) })
        }
        .boxed()
    }
}

impl Request {
    fn of(input: &Value, context: &ToolContext) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input, &schema())?;
        let place = context.workspace.place(arguments.text("path"))?;
        let content = arguments.text("content");
        if content.len() > MAX_CONTENT_BYTES {
            return Err(ToolError(format!("the argument content has {} bytes; at most {MAX_CONTENT_BYTES} are written", content.len())));
        }
        let parents = if arguments.flag("create_parents") { Parents::Make } else { Parents::MustExist };
        Ok(Self { place, content: content.to_owned(), parents })
    }

    async fn change(&self, context: &ToolContext) -> Result<Change, ToolError> {
        Change::of(&self.place, self.parents, context, |old| match old {
            None => Ok(self.content.clone()),
            Some(old) if old.encoding == Encoding::Bytes => Err(ToolError(format!(
                "{} is neither UTF-8 nor UTF-16, and writing would change its encoding; edit_file changes plain ASCII in it",
                self.place
            ))),
            Some(old) => Ok(Style::of(&old.text).put_on(&self.content)),
        })
        .await
    }
}
