//! One change of one file: what stands there, what is to stand there, and the write. What `write_file` and its kin share.
//!
//! Invariant: what is written is what was shown, over what was there when it was shown, and by the one who has the text: text
//! that the editor has not saved is changed by the editor or not at all.

mod base;
mod edits;
#[cfg(test)]
mod tests;
mod through_editor;

use super::encoding::{self, Decoded, Encoding};
use super::workspace::{Confirmed, Parents, Place, Seen, WorkspaceError};
use super::{Approved, ToolContext, ToolError, ToolPlan};
use crate::policy::{Access, WriteAccess};
use crate::protocol::update::{ToolCallContent, ToolLocation};
use base::{Base, Road};
use through_editor::Writing;

/// What a call would write over what.
pub(super) struct Change {
    place: Place,
    parents: Parents,
    seen: Seen,
    road: Road,
    /// As it is shown.
    pub(super) old: Option<String>,
    new: String,
    /// What is written.
    pub(super) bytes: Vec<u8>,
}

/// Where a change is, once it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    Disk,
    /// The editor has it, and has not saved it.
    Editor,
    /// The editor has made another text of it, and saved that.
    AnotherText,
    /// The same, and has not saved it.
    AnotherTextUnsaved,
    /// The client has it; the disk has another text.
    Unsure,
}

impl Landing {
    /// What the model is told of it, behind what was done.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Disk => "",
            Self::Editor => "; the change stands in the editor and is not saved yet: commands still see the file as it is on the disk",
            Self::AnotherText => "; the editor has saved another text of it, as a formatter does: read it again before the next change",
            Self::AnotherTextUnsaved => "; the editor has made another text of it since, which is not saved yet: read it again",
            Self::Unsure => "; the file on the disk has another text: it is not saved yet, or was formatted, so read it again",
        }
    }
}

/// What is told instead of any error that would say something about the text, of a file that the user is asked about before
/// it is read.
pub(super) fn untold(place: &Place, context: &ToolContext) -> Option<ToolError> {
    context.workspace.is_asked_about(&context.workspace.ruled(place)).then(|| {
        ToolError(format!(
            "{place} cannot be changed like that; nothing more is told, since the user is asked before it is read: use read_file first"
        ))
    })
}

impl Change {
    /// Looks at what stands at `place` and lets `write` make the new text of it, which is written in the encoding of the old;
    /// `None`: there is nothing yet. What the editor has open is the editor's text.
    pub(super) async fn of(
        place: &Place,
        parents: Parents,
        context: &ToolContext,
        write: impl FnOnce(Option<&Decoded>) -> Result<String, ToolError>,
    ) -> Result<Self, ToolError> {
        let Base { seen, text: old, road } = Base::find(place, parents, context).await?;
        let untold = untold(place, context);
        let text = write(old.as_ref()).map_err(|error| untold.clone().unwrap_or(error))?;
        if untold.is_none() && old.as_ref().is_some_and(|old| old.text == text) {
            return Err(ToolError(format!("{place} has exactly this text already; there is nothing to write")));
        }
        let encoding = old.as_ref().map_or(Encoding::Utf8, |old| old.encoding);
        let bytes = encoding.encode(&text).ok_or_else(|| {
            ToolError(format!("{place} is not UTF-8, and writing would change its encoding; ask the user to change it by hand"))
        })?;
        // Of an unknown encoding, each byte is one character of the text.
        let shown = |text: String| match encoding {
            Encoding::Bytes => encoding.encode(&text).map_or(text, |bytes| encoding::shown(&bytes).into_owned()),
            Encoding::Utf8 | Encoding::Utf16(_) => text,
        };
        let old = old.map(|old| shown(old.text));
        Ok(Self { place: place.clone(), parents, seen, road, old, new: shown(text), bytes })
    }

    /// What is shown of it, under this title.
    pub(super) fn plan(&self, title: String, context: &ToolContext) -> ToolPlan {
        ToolPlan {
            title,
            locations: vec![ToolLocation { path: context.workspace.absolute(&self.place), line: None }],
            content: vec![self.diff(context)],
            access: Access::Write(WriteAccess {
                path: self.place.as_path().to_owned(),
                protected: context.workspace.protected(&self.place),
            }),
            seen: Some(self.seen),
        }
    }

    pub(super) fn diff(&self, context: &ToolContext) -> ToolCallContent {
        let path = context.workspace.absolute(&self.place);
        ToolCallContent::Diff { path, old_text: self.old.clone(), new_text: self.new.clone() }
    }

    /// Writes it, if what stands there is what was seen when it was approved.
    pub(super) async fn write(&self, approved: Approved, context: &ToolContext) -> Result<Landing, ToolError> {
        let place = &self.place;
        if context.token.is_stopped() {
            return Err(ToolError(format!("{place} was not written: the turn was stopped first")));
        }
        // What was asked about is the condition, not what this call found.
        let Some(seen) = approved.seen else {
            return Err(ToolError(format!("{place} was not written: nobody was shown the change")));
        };
        if self.seen != seen {
            return Err(WorkspaceError::Conflict(place.clone()).into());
        }
        context.workspace.permit(place, approved.confirmed)?;
        match &self.road {
            Road::Disk => self.write_itself(seen, approved.confirmed, context).await,
            Road::Document(document) => {
                through_editor::edit(document, &self.new, place, context).await?;
                Ok(through_editor::landing(&self.new, Some(document), place, context))
            }
            Road::Client => {
                match through_editor::write(&self.new, self.parents, place, context).await? {
                    Writing::Done => Ok(through_editor::landing(&self.new, None, place, context)),
                    // What the editor has and the disk has not is not what was seen there.
                    Writing::Unable => self.write_itself(seen, approved.confirmed, context).await,
                }
            }
        }
    }

    async fn write_itself(&self, seen: Seen, confirmed: Confirmed, context: &ToolContext) -> Result<Landing, ToolError> {
        let (workspace, place, bytes, parents) = (context.workspace.clone(), self.place.clone(), self.bytes.clone(), self.parents);
        super::blocking(move || Ok(workspace.replace(&place, seen, &bytes, parents, confirmed)?)).await?;
        Ok(Landing::Disk)
    }
}
