//! One change of one file: what stands there, what is to stand there, and the write. What `write_file` and its kin share.
//!
//! Invariant: what is written is what was shown, over what was there when it was shown; text that the editor has not saved
//! is never written over.

use super::encoding::{self, Decoded, Encoding};
use super::workspace::{Parents, Place, Seen, Target, WorkspaceError};
use super::{Approved, ToolContext, ToolError, ToolPlan};
use crate::policy::{Access, WriteAccess};
use crate::protocol::update::{ToolCallContent, ToolLocation};

/// What a call would write over what.
pub(super) struct Change {
    place: Place,
    parents: Parents,
    seen: Seen,
    /// As it is shown.
    pub(super) old: Option<String>,
    new: String,
    /// What is written.
    pub(super) bytes: Vec<u8>,
}

impl Change {
    /// Looks at what stands at `place` and lets `write` make the new text of it, which is written in the encoding of the old;
    /// `None`: there is no file yet.
    pub(super) async fn of(
        place: &Place,
        parents: Parents,
        context: &ToolContext,
        write: impl FnOnce(Option<&Decoded>) -> Result<String, ToolError>,
    ) -> Result<Self, ToolError> {
        let target = context.workspace.target(place, parents)?;
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
        let disk = match &target {
            Target::Nothing => None,
            Target::File { bytes, .. } => Some(bytes.as_slice()),
        };
        let decoded = disk.map(Decoded::of);
        let text = write(decoded.as_ref())?;
        if decoded.as_ref().is_some_and(|decoded| decoded.text == text) {
            return Err(ToolError(format!("{place} has exactly this text already; there is nothing to write")));
        }
        let encoding = decoded.map_or(Encoding::Utf8, |decoded| decoded.encoding);
        let bytes = encoding.encode(&text).ok_or_else(|| {
            ToolError(format!("{place} is not UTF-8, and writing would change its encoding; ask the user to change it by hand"))
        })?;
        let old = disk.map(|disk| encoding::shown(disk).into_owned());
        let new = if encoding == Encoding::Bytes { encoding::shown(&bytes).into_owned() } else { text };
        Ok(Self { place: place.clone(), parents, seen, old, new, bytes })
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
    pub(super) async fn write(&self, approved: Approved, context: &ToolContext) -> Result<(), ToolError> {
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
        let (workspace, place, bytes) = (context.workspace.clone(), place.clone(), self.bytes.clone());
        let parents = self.parents;
        super::blocking(move || Ok(workspace.replace(&place, seen, &bytes, parents, approved.confirmed)?)).await
    }
}
