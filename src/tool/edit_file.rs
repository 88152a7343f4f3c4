//! `edit_file`: replaces pieces of one file. Invariant: all of its edits are made or none; what no edit names stays byte for
//! byte, and so do encoding, byte order mark and mode.

mod hunk;
mod near;
#[cfg(test)]
mod tests;

use super::arguments::Arguments;
use super::change::{Change, untold};
use super::encoding::{Decoded, Encoding, is_binary};
use super::workspace::{Parents, Place};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan};
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::ToolKind;
use crate::text::span;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hunk::{Hunk, Occurrence};
use serde_json::{Value, json};

/// The most edits of one call.
const MAX_EDITS: usize = 100;
/// The largest file that an edit leaves behind, in bytes: a larger one could not be edited again.
const MAX_FILE_BYTES: usize = 1 << 20;
/// The largest text on the way there: as UTF-8 it may take more bytes than in the file.
const MAX_TEXT_BYTES: usize = 2 << 20;

pub(super) struct EditFile;

struct Request {
    place: Place,
    hunks: Vec<Hunk>,
}

/// What a call may say; what is enforced of it.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The file, relative to the workspace or absolute." },
            "edits": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_EDITS,
                "items": {
                    "type": "object",
                    "properties": {
                        "old_text": {
                            "type": "string",
                            "description": "The text to replace, with its white space; it must be in the file exactly once. \
                                            Empty only for a file that is new or empty.",
                        },
                        "new_text": { "type": "string", "description": "The text in its place." },
                        "replace_all": { "type": "boolean", "description": "Replace it wherever it is. Default: false." },
                    },
                    "required": ["old_text", "new_text"],
                },
            },
        },
        "required": ["path", "edits"],
    })
}

impl Tool for EditFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "edit_file",
            description: "Replaces exact pieces of text in a file of the workspace, or makes a file; the user is asked first. The edits \
                          are made in order, all or none. Read the file before. A file that is open in the editor is changed there.",
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
            let (change, _) = request.change(context).await?;
            let verb = if change.old.is_some() { "Edit" } else { "Create" };
            Ok(change.plan(format!("{verb} {}", span(&request.place.to_string())), context))
        }
        .boxed()
    }

    fn run(&self, input: Value, approved: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let request = Request::of(&input, &context)?;
            let (change, replaced) = request.change(&context).await?;
            let landing = change.write(approved, &context).await?;
            let places = if replaced == 1 { "1 place".into() } else { format!("{replaced} places") };
            let mut text = match change.old {
                Some(_) => format!("edited {} in {places}", request.place),
                None => format!("created {}: {} bytes", request.place, change.bytes.len()),
            };
            text.push_str(landing.note());
            Ok(ToolOutput { content: vec![change.diff(&context)], ..ToolOutput::text(text) })
        }
        .boxed()
    }
}

impl Request {
    fn of(input: &Value, context: &ToolContext) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input, &schema())?;
        let place = context.workspace.place(arguments.text("path"))?;
        let hunk = |edit: &Arguments| Hunk {
            old: edit.text("old_text").to_owned(),
            new: edit.text("new_text").to_owned(),
            occurrence: if edit.flag("replace_all") { Occurrence::Every } else { Occurrence::Only },
        };
        let hunks = arguments.objects("edits").iter().map(hunk).collect();
        Ok(Self { place, hunks })
    }

    /// The change, and in how many places.
    async fn change(&self, context: &ToolContext) -> Result<(Change, usize), ToolError> {
        let mut replaced = 0;
        let change = Change::of(&self.place, Parents::MustExist, context, |old| {
            let (text, places) = self.applied(old)?;
            replaced = places;
            Ok(text)
        })
        .await?;
        if change.bytes.len() > MAX_FILE_BYTES {
            return Err(untold(&self.place, context).unwrap_or_else(|| self.too_large()));
        }
        Ok((change, replaced))
    }

    fn applied(&self, old: Option<&Decoded>) -> Result<(String, usize), ToolError> {
        let place = &self.place;
        match old {
            None if !self.hunks[0].old.is_empty() => {
                return Err(ToolError(format!(
                    "{place} does not exist; an edit with an empty old_text makes it, list_directory shows what is there"
                )));
            }
            Some(old) if old.encoding == Encoding::Bytes => self.may_edit_bytes(old)?,
            _ => {}
        }
        let mut text = old.map(|old| old.text.clone()).unwrap_or_default();
        let mut replaced = 0;
        for (at, hunk) in self.hunks.iter().enumerate() {
            let (next, places) = hunk.apply(&text, MAX_TEXT_BYTES).map_err(|problem| match problem {
                hunk::Problem::TooLarge => self.too_large(),
                problem => {
                    let before = if at == 0 { "" } else { ", with the edits before it made" };
                    ToolError(format!("edits[{at}] of {place}{before}: {problem}"))
                }
            })?;
            text = next;
            replaced += places;
        }
        Ok((text, replaced))
    }

    /// Each byte of such a file is a character here, and only ASCII means in every encoding what it means in ours.
    fn may_edit_bytes(&self, old: &Decoded) -> Result<(), ToolError> {
        let place = &self.place;
        if old.encoding.encode(&old.text).is_some_and(|bytes| is_binary(&bytes)) {
            return Err(ToolError(format!("{place} is a binary file and cannot be edited")));
        }
        match self.hunks.iter().position(|hunk| !hunk.old.is_ascii() || !hunk.new.is_ascii()) {
            None => Ok(()),
            Some(at) => Err(ToolError(format!(
                "{place} is neither UTF-8 nor UTF-16: only plain ASCII can be edited in it, and edits[{at}] has other characters; ask the \
                 user to change it by hand"
            ))),
        }
    }

    fn too_large(&self) -> ToolError {
        ToolError(format!("with these edits {} would have more than {MAX_FILE_BYTES} bytes; nothing was written", self.place))
    }
}
