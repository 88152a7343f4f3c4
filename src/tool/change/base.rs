//! What a write would replace, in whose hands it is, and the road that the write takes from there.
//!
//! Invariant: a text that the editor has and the disk has not is written over by the editor only.

use super::super::documents::Document;
use super::super::editor_files::{Refusal, answered};
use super::super::encoding::{Decoded, Encoding, as_on_disk, is_one_empty_line, is_text_of};
use super::super::workspace::{Parents, Place, Seen, Target};
use super::super::{ToolContext, ToolError};

/// The text that a change is made from.
pub(super) struct Base {
    pub(super) seen: Seen,
    /// None: there is nothing yet.
    pub(super) text: Option<Decoded>,
    pub(super) road: Road,
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Road {
    /// pillion, the file.
    Disk,
    /// The editor, in the document that it has open.
    Document(Document),
    /// The client, the file and whatever it has open of it.
    Client,
}

impl Base {
    pub(super) async fn find(place: &Place, parents: Parents, context: &ToolContext) -> Result<Self, ToolError> {
        let target = context.workspace.target(place, parents)?;
        let documents = context.documents.within(&context.workspace);
        let abilities = context.editor.abilities();
        let open = match &target {
            Target::Nothing => documents.unborn.get(&context.workspace.resolved(place)).map_or(&[][..], std::slice::from_ref),
            Target::File { file, .. } => documents.all_of(file),
        };
        if let Some((first, others)) = open.split_first() {
            if others.iter().any(|other| other.text != first.text) {
                return Err(unsaved(place));
            }
            if abilities.edits && !target.is_best_written_by_bytes(&first.text) {
                return Ok(Self::of_text(&target, &first.text, Road::Document(first.clone())));
            }
            if !target.has_text(&first.text) {
                return Err(unsaved(place));
            }
        }
        match text_of_client(place, &target, context).await? {
            Some(text) if abilities.writes && !target.is_best_written_by_bytes(&text) => Ok(Self::of_text(&target, &text, Road::Client)),
            Some(text) if !target.has_text(&text) => Err(unsaved(place)),
            Some(_) => Ok(Self::of_disk(&target, Road::Disk)),
            None if abilities.writes && target.encoding() == Encoding::Utf8 => Ok(Self::of_disk(&target, Road::Client)),
            None => Ok(Self::of_disk(&target, Road::Disk)),
        }
    }

    fn of_disk(target: &Target, road: Road) -> Self {
        Self { seen: target.seen(), text: target.bytes().map(Decoded::of), road }
    }

    fn of_text(target: &Target, text: &str, road: Road) -> Self {
        let decoded = match target {
            // Editors say of a document without a file that it has one empty line, or none.
            Target::Nothing if text.is_empty() || is_one_empty_line(text) => None,
            Target::File { bytes, .. } if bytes.is_empty() && is_one_empty_line(text) => Some(String::new()),
            _ => Some(text.to_owned()),
        };
        let decoded = decoded.map(|text| Decoded { text, encoding: Encoding::Utf8 });
        Self { seen: Seen::contents(text.as_bytes()), text: decoded, road }
    }
}

impl Target {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Nothing => None,
            Self::File { bytes, .. } => Some(bytes),
        }
    }

    fn encoding(&self) -> Encoding {
        self.bytes().map_or(Encoding::Utf8, Encoding::of)
    }

    /// Whether this is the text of the file, or the text of nothing.
    fn has_text(&self, text: &str) -> bool {
        self.bytes().is_some_and(|bytes| is_text_of(text, bytes))
    }

    /// Whether an editor that saves `text` could lose what is in the file and nobody touched.
    fn is_best_written_by_bytes(&self, text: &str) -> bool {
        self.encoding() == Encoding::Bytes && self.has_text(text)
    }
}

/// The client's text, if it is one that is asked and knows the file.
async fn text_of_client(place: &Place, target: &Target, context: &ToolContext) -> Result<Option<String>, ToolError> {
    if !context.editor.abilities().reads {
        return Ok(None);
    }
    match (answered(&context.token, context.editor.read(context.workspace.absolute(place))).await, target) {
        (Ok(text), Target::Nothing) => Ok(Some(text)),
        (Ok(text), Target::File { bytes, .. }) => Ok(Some(as_on_disk(text, bytes))),
        // Each client has its own way to say that there is no file, and there is none.
        (Err(Refusal::NotFound | Refusal::Unable), _) | (Err(Refusal::Said(_)), Target::Nothing) => Ok(None),
        (Err(refusal), _) => Err(ToolError(format!("{place} cannot be changed without the editor's text of it: {refusal}"))),
    }
}

fn unsaved(place: &Place) -> ToolError {
    ToolError(format!("{place} has changes in the editor that are not saved; ask the user to save or discard them first"))
}
