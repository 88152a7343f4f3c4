//! `read_file`: the lines of one text file, as the user has them in the editor when it is open there; or a picture.

mod large;
#[cfg(test)]
mod tests;

use super::arguments::Arguments;
use super::editor_files::{Refusal, answered};
use super::encoding::{Encoding, as_on_disk, is_binary, is_text_of, shown};
use super::image::{image, mime_type};
use super::workspace::{OpenFile, Place, Workspace, WorkspaceError};
use super::{Approved, Image, Tool, ToolContext, ToolError, ToolOutput, ToolPlan, blocking};
use crate::policy::Access;
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::{ToolKind, ToolLocation};
use crate::text::cut;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::io::{self, Read};
use std::sync::Arc;

/// The largest file that is read as a whole, in bytes; of a larger one, only the lines that are asked for.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// The most lines of one answer.
const MAX_LINES: u64 = 2000;
/// The most text of one answer, in bytes.
const MAX_OUTPUT_BYTES: usize = 256 << 10;

const NOT_UTF8: &str = "the file is not all UTF-8: other bytes are shown as \u{fffd}";

pub(super) struct ReadFile;

struct Request {
    /// Where `place` is: the workspace, or what is kept of outputs.
    workspace: Arc<Workspace>,
    place: Place,
    /// The first line, from 1.
    offset: u64,
    limit: u64,
    extent: Extent,
}

/// Whether the model has said which lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    File,
    Range,
}

/// The text of a file, and whose.
enum Source {
    Disk(Vec<u8>),
    /// Its beginning, and the file, read up to there.
    Large(Vec<u8>, Box<OpenFile>),
    /// Of the open document, which differs from the disk.
    Unsaved(Arc<str>),
}

/// What a call may say; what is enforced of it.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The file, relative to the workspace or absolute." },
            "offset": { "type": "integer", "minimum": 1, "maximum": u32::MAX, "description": "The first line to read, counted from 1. Default: 1." },
            "limit": { "type": "integer", "minimum": 1, "maximum": MAX_LINES, "description": "How many lines. Default: 2000." },
        },
        "required": ["path"],
    })
}

impl Tool for ReadFile {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "read_file",
            description: "Reads a text file of the workspace, with its unsaved changes if it is open in the editor; or an image (png, \
                          jpeg, gif, webp). At most 2000 lines or 256 KiB are given at once; the answer says how to go on.",
            input_schema: schema(),
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
            let path = request.workspace.absolute(&request.place);
            let is_output = !Arc::ptr_eq(&request.workspace, &context.workspace);
            // A rule's path is one of the workspace.
            let read = if is_output { path.clone().into() } else { context.workspace.ruled(&request.place).as_path().to_owned() };
            let location = ToolLocation { path, line: Some(request.offset) };
            Ok(ToolPlan {
                title: format!("Read {}", request.place),
                locations: vec![location],
                content: Vec::new(),
                access: Access::Read(read),
                seen: None,
            })
        }
        .boxed()
    }

    fn run(&self, input: Value, approved: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let (request, found) = {
                let context = context.clone();
                let find = move || {
                    let request = Request::of(&input, &context)?;
                    if Arc::ptr_eq(&request.workspace, &context.workspace) {
                        approved.place(&request.place, &context)?;
                    }
                    source(&request, &context).map(|found| (request, found))
                };
                blocking(find).await?
            };
            let found = as_client_has_it(&request, found, &context).await?;
            blocking(move || output(&request, found, &context)).await
        }
        .boxed()
    }
}

impl Request {
    fn of(input: &Value, context: &ToolContext) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input, &schema())?;
        let offset = arguments.optional_number("offset");
        let limit = arguments.optional_number("limit");
        let path = arguments.text("path");
        let (workspace, place) = match context.commands.outputs.find(path) {
            Some(kept) => kept.map(|(directory, place)| (Arc::new(directory), place))?,
            None => (Arc::clone(&context.workspace), context.workspace.place(path)?),
        };
        Ok(Self {
            workspace,
            place,
            offset: offset.unwrap_or(1),
            limit: limit.unwrap_or(MAX_LINES),
            extent: if offset.or(limit).is_some() { Extent::Range } else { Extent::File },
        })
    }
}

/// What the model is given.
fn output(request: &Request, found: Source, context: &ToolContext) -> Result<ToolOutput, ToolError> {
    let text = match found {
        Source::Unsaved(text) => {
            let mut shown = String::from("[the editor's text, with changes that are not saved]\n");
            page(&text, request, &mut shown)?;
            shown
        }
        Source::Large(beginning, file) => {
            let whole = io::Cursor::new(beginning).chain(file.into_reader());
            large::page(request, whole, &|| context.token.is_stopped())?
        }
        Source::Disk(bytes) => match image(&request.place, &bytes) {
            Some(image) => return picture(image?, bytes.len()),
            None => text_of(request, &bytes)?,
        },
    };
    Ok(ToolOutput::text(text))
}

/// Asks a client that wants to be asked, about a text of the workspace that was opened; what it does not know is on the disk.
async fn as_client_has_it(request: &Request, found: Source, context: &ToolContext) -> Result<Source, ToolError> {
    let is_of_workspace = Arc::ptr_eq(&request.workspace, &context.workspace);
    let bytes = match found {
        Source::Disk(bytes) if is_of_workspace && context.editor.abilities().reads && !is_binary(&bytes) => bytes,
        found => return Ok(found),
    };
    // Without the links on the way: the client is not to follow one that was changed meanwhile.
    let path = context.workspace.absolute(&context.workspace.resolved(&request.place));
    match answered(&context.token, context.editor.read(path)).await {
        Ok(text) => match as_on_disk(text, &bytes) {
            text if is_text_of(&text, &bytes) => Ok(Source::Disk(bytes)),
            text => Ok(Source::Unsaved(text.into())),
        },
        Err(Refusal::NotFound | Refusal::Unable) => Ok(Source::Disk(bytes)),
        Err(refusal) => Err(ToolError(format!("{} cannot be read as the user has it: {refusal}", request.place))),
    }
}

/// The editor's text if it differs from the disk, else the disk's.
fn source(request: &Request, context: &ToolContext) -> Result<Source, ToolError> {
    let place = &request.place;
    let documents = context.documents.within(&request.workspace);
    let file = match request.workspace.file(place) {
        Ok(file) => file,
        Err(error @ WorkspaceError::NotFound(_)) => {
            let unborn = documents.unborn.get(&context.workspace.resolved(place)).ok_or(error)?;
            context.workspace.may_read(place)?;
            return Ok(Source::Unsaved(Arc::clone(&unborn.text)));
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = file.prefix(MAX_FILE_BYTES + 1)?;
    let is_whole = bytes.len() as u64 <= MAX_FILE_BYTES;
    let document = if is_whole { documents.unsaved(&file, &bytes) } else { documents.of(&file) };
    match document {
        Some(document) => Ok(Source::Unsaved(Arc::clone(&document.text))),
        None if is_whole => Ok(Source::Disk(bytes)),
        None if is_binary(&bytes) || mime_type(&bytes).is_some() => Err(binary(place, file.size())),
        None if request.extent == Extent::Range => Ok(Source::Large(bytes, Box::new(file))),
        None => Err(ToolError(format!(
            "{place} has {} bytes, too many to be read at once; give offset and limit to read some lines, search finds them",
            file.size()
        ))),
    }
}

fn picture(image: Image, bytes: usize) -> Result<ToolOutput, ToolError> {
    let text = format!("[image: {}, {bytes} bytes]", image.mime_type);
    Ok(ToolOutput { image: Some(image), ..ToolOutput::text(text) })
}

fn text_of(request: &Request, bytes: &[u8]) -> Result<String, ToolError> {
    if is_binary(bytes) {
        return Err(binary(&request.place, bytes.len() as u64));
    }
    let text = shown(bytes);
    let mut page_of_it = String::new();
    page(&text, request, &mut page_of_it)?;
    if Encoding::of(bytes) == Encoding::Bytes {
        note(&mut page_of_it, NOT_UTF8);
    }
    Ok(page_of_it)
}

fn binary(place: &Place, bytes: u64) -> ToolError {
    ToolError(format!("{place} is a binary file of {bytes} bytes and cannot be shown"))
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
