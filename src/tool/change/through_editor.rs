//! A write by the client's hand. Invariant: it is called done only when the editor was seen to have exactly the new text, or the
//! client that writes files has said so; and what is not known is told as not known.

use super::super::documents::Document;
use super::super::editor_files::{DocumentEdit, Refusal, answered};
use super::super::encoding::is_text_of;
use super::super::workspace::{Parents, Place};
use super::super::{ToolContext, ToolError};
use super::Landing;
use super::edits::edits;
use std::time::Duration;

/// How long after its yes an editor may take to send the new text: some gather changes for a moment.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(2);

/// What became of a writing by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    Done,
    /// It has no such request, and did nothing.
    Unable,
}

/// Changes an open document to `text`.
pub(super) async fn edit(document: &Document, text: &str, place: &Place, context: &ToolContext) -> Result<(), ToolError> {
    // What saves the document may format it, and then the text is soon another.
    let expected = context.documents.expecting(&document.uri, text);
    let asked = context.editor.apply(DocumentEdit {
        label: format!("pillion: {place}"),
        uri: document.uri.to_string(),
        version: document.version,
        edits: edits(&document.text, text),
    });
    let answer = answered(&context.token, asked).await;
    if matches!(answer, Ok(()) | Err(Refusal::Failed(_))) && !expected.has_come() {
        // Whatever ends the wait, what came is looked at.
        let _ = context.token.race(tokio::time::timeout(ARRIVAL_DEADLINE, expected.comes())).await;
    }
    let now = context.documents.named(&document.uri);
    let is_old = now.as_ref().is_some_and(|now| now.text == document.text);
    match answer {
        _ if now.as_ref().is_some_and(|now| *now.text == *text) || (expected.has_come() && now.is_some() && !is_old) => Ok(()),
        Ok(()) => Err(missed(now.is_none(), is_old, place)),
        Err(refusal @ (Refusal::Said(_) | Refusal::Unable)) if is_old => {
            Err(ToolError(format!("{place} was not changed: {refusal}; read it again before the next try")))
        }
        Err(refusal) => Err(unknown(place, &refusal)),
    }
}

/// Lets the client write `text`.
pub(super) async fn write(text: &str, parents: Parents, place: &Place, context: &ToolContext) -> Result<Writing, ToolError> {
    if parents == Parents::Make {
        context.workspace.make_parents(place)?;
    }
    match answered(&context.token, context.editor.write(context.workspace.absolute(place), text.to_owned())).await {
        Ok(()) => Ok(Writing::Done),
        Err(Refusal::Unable) => Ok(Writing::Unable),
        Err(refusal @ (Refusal::NotFound | Refusal::Said(_))) => Err(ToolError(format!("{place} was not written: {refusal}"))),
        // It may have been written before it failed.
        Err(_) if is_on_disk(text, place, context) => Ok(Writing::Done),
        Err(refusal) => Err(unknown(place, &refusal)),
    }
}

fn is_on_disk(text: &str, place: &Place, context: &ToolContext) -> bool {
    let on_disk = context.workspace.file(place).and_then(|file| file.whole(text.len() as u64 * 2 + 4));
    on_disk.is_ok_and(|bytes| is_text_of(text, &bytes))
}

/// Where `text` is now: an editor may have saved it, and made another one of it.
pub(super) fn landing(text: &str, document: Option<&Document>, place: &Place, context: &ToolContext) -> Landing {
    let now = document.and_then(|document| context.documents.named(&document.uri)).map(|now| now.text);
    match now {
        _ if is_on_disk(text, place, context) => Landing::Disk,
        Some(now) if *now != *text && is_on_disk(&now, place, context) => Landing::AnotherText,
        Some(now) if *now != *text => Landing::AnotherTextUnsaved,
        Some(_) => Landing::Editor,
        None => Landing::Unsure,
    }
}

/// The editor said yes, and its document has another text.
fn missed(is_closed: bool, is_old: bool, place: &Place) -> ToolError {
    ToolError(if is_closed {
        format!("{place} was closed in the editor while it was changed; whether the change was kept is not known: read it again")
    } else if is_old {
        format!("{place} was not changed: the editor said that it had done it, but its text is the old one; read it again")
    } else {
        format!(
            "{place} was changed in the editor at the same moment, and its text is not the one that was to be written; read it again to \
             see what is there"
        )
    })
}

fn unknown(place: &Place, why: &Refusal) -> ToolError {
    ToolError(format!("whether {place} was changed is not known: {why}; read it again to see"))
}
