//! `read_file`: the lines of one text file, as the user has them in the editor when it is open there.

#[cfg(test)]
mod tests;

use super::arguments::Arguments;
use super::text::cut;
use super::workspace::{OpenFile, Place, WorkspaceError};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan, blocking};
use crate::policy::Access;
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::{ToolKind, ToolLocation};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// The most lines of one answer.
const MAX_LINES: u64 = 2000;
/// The most text of one answer, in bytes.
const MAX_OUTPUT_BYTES: usize = 256 << 10;

/// Where a NUL is looked for: a file that has one so early is no text.
const SNIFFED_BYTES: usize = 8 << 10;

pub(super) struct ReadFile;

struct Request {
    place: Place,
    /// The first line, from 1.
    offset: u64,
    limit: u64,
}

/// The text of a file, and whose.
enum Source {
    Disk(Vec<u8>),
    /// Of the open document, which differs from the disk.
    Unsaved(Arc<str>),
}

impl Tool for ReadFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "read_file",
            description: "Reads a text file of the workspace. A file that is open in the editor is read with its unsaved changes. At \
                          most 2000 lines or 256 KiB are given at once; the answer says how to go on.",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "The file, relative to the workspace or absolute." },
                    "offset": { "type": "integer", "minimum": 1, "description": "The first line to read, counted from 1. Default: 1." },
                    "limit": { "type": "integer", "minimum": 1, "maximum": MAX_LINES, "description": "How many lines. Default: 2000." },
                },
                "required": ["path"],
            }),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Read
    }

    fn plan<'a>(&'a self, input: &'a Value, context: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>> {
        async move {
            let request = Request::of(input, context)?;
            let location = ToolLocation { path: context.workspace.absolute(&request.place), line: Some(request.offset) };
            Ok(ToolPlan {
                title: format!("Read {}", request.place),
                locations: vec![location],
                content: Vec::new(),
                access: Access::Read(context.workspace.resolved(&request.place).as_path().to_owned()),
                seen: None,
            })
        }
        .boxed()
    }

    fn run(&self, input: Value, _: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        blocking(move || {
            let request = Request::of(&input, &context)?;
            let text = match source(&request.place, &context)? {
                Source::Unsaved(text) => {
                    let mut shown = String::from("[the editor's text, with changes that are not saved]\n");
                    page(&text, &request, &mut shown)?;
                    shown
                }
                Source::Disk(bytes) => {
                    if bytes.iter().take(SNIFFED_BYTES).any(|byte| *byte == 0) {
                        return Err(ToolError(format!("{} is a binary file of {} bytes and cannot be shown", request.place, bytes.len())));
                    }
                    let text = String::from_utf8_lossy(&bytes);
                    let mut shown = String::new();
                    page(&text, &request, &mut shown)?;
                    if std::str::from_utf8(&bytes).is_err() {
                        note(&mut shown, "the file is not all UTF-8: other bytes are shown as \u{fffd}");
                    }
                    shown
                }
            };
            Ok(ToolOutput::text(text))
        })
    }
}

impl Request {
    fn of(input: &Value, context: &ToolContext) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input)?;
        Ok(Self {
            place: context.workspace.place(arguments.text("path")?)?,
            offset: arguments.optional_number("offset", 1..=u64::from(u32::MAX))?.unwrap_or(1),
            limit: arguments.optional_number("limit", 1..=MAX_LINES)?.unwrap_or(MAX_LINES),
        })
    }
}

/// The editor's text if it differs from the disk, else the disk's.
fn source(place: &Place, context: &ToolContext) -> Result<Source, ToolError> {
    let documents = context.documents.within(&context.workspace);
    let file = match context.workspace.file(place) {
        Ok(file) => file,
        Err(error @ WorkspaceError::NotFound(_)) => {
            let unborn = documents.unborn.get(place).ok_or(error)?;
            return Ok(Source::Unsaved(Arc::clone(&unborn.text)));
        }
        Err(error) => return Err(error.into()),
    };
    let disk = read(&file, place);
    let document = match &disk {
        Ok(disk) => documents.unsaved(&file, disk),
        Err(_) => documents.of(&file),
    };
    match document {
        Some(document) => Ok(Source::Unsaved(Arc::clone(&document.text))),
        None => disk.map(Source::Disk),
    }
}

fn read(file: &OpenFile, place: &Place) -> Result<Vec<u8>, ToolError> {
    file.whole(MAX_FILE_BYTES).map_err(|error| match error {
        WorkspaceError::TooLarge { limit, .. } => {
            ToolError(format!("{place} has more than {limit} bytes, the most that read_file takes; search finds lines in it"))
        }
        other => other.into(),
    })
}

/// Appends the lines that were asked for, as far as there is room, and how to go on.
fn page(text: &str, request: &Request, shown: &mut String) -> Result<(), ToolError> {
    let total = text.split_inclusive('\n').count() as u64;
    if total == 0 {
        note(shown, "the file is empty");
        return Ok(());
    }
    if request.offset > total {
        return Err(ToolError(format!("{} has {total} lines; the argument offset must not be more than that", request.place)));
    }
    let room = shown.len() + MAX_OUTPUT_BYTES;
    let mut last = request.offset - 1;
    for line in text.split_inclusive('\n').skip(last as usize).take(request.limit as usize) {
        if shown.len() + line.len() > room {
            if last < request.offset {
                shown.push_str(cut(line, MAX_OUTPUT_BYTES));
                last += 1;
                note(shown, &format!("line {last} has {} bytes and is cut", line.len()));
            }
            break;
        }
        shown.push_str(line);
        last += 1;
    }
    if last < total {
        note(shown, &format!("lines {}-{last} of {total}; go on with offset {}", request.offset, last + 1));
    }
    Ok(())
}

/// Adds a line of pillion's own, in brackets.
fn note(shown: &mut String, text: &str) {
    if !shown.is_empty() && !shown.ends_with('\n') {
        shown.push('\n');
    }
    shown.push('[');
    shown.push_str(text);
    shown.push_str("]\n");
}
