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

/// Changes an open document to `text`.
pub(super) async fn edit(document: &Document, text: &str, place: &Place, context: &ToolContext) -> Result<(), ToolError> {
    let asked = context.editor.apply(DocumentEdit {
        label: format!("pillion: {place}"),
        uri: document.uri.to_string(),
        version: document.version,
        edits: edits(&document.text, text),
    });
    // Looked for from now on: what saves the document may format it, and then the text is soon another.
    let arrived = context.documents.until(&document.uri, text);
    let answer = answered(&context.token, asked);
    tokio::pin!(arrived, answer);
    let mut has_arrived = false;
    let answer = loop {
        tokio::select! {
            biased;
            () = &mut arrived, if !has_arrived => has_arrived = true,
            answer = &mut answer => break answer,
        }
    };
    if has_arrived {
        return Ok(());
    }
    let why = match answer {
        Ok(()) => match context.token.race(tokio::time::timeout(ARRIVAL_DEADLINE, arrived)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_elapsed)) => return Err(missed(document, place, context)),
            Err(_stopped) => Refusal::Stopped,
        },
        Err(Refusal::Said(why)) => {
            let refused = Refusal::Said(why);
            return Err(ToolError(format!("{place} was not changed: {refused}; read it again before the next try")));
        }
        Err(refusal) => refusal,
    };
    Err(unknown(place, &why))
}

/// Lets the client write `text`.
pub(super) async fn write(text: &str, parents: Parents, place: &Place, context: &ToolContext) -> Result<(), ToolError> {
    if parents == Parents::Make {
        context.workspace.make_parents(place)?;
    }
    match answered(&context.token, context.editor.write(context.workspace.absolute(place), text.to_owned())).await {
        Ok(()) => Ok(()),
        Err(refusal @ (Refusal::NotFound | Refusal::Said(_))) => Err(ToolError(format!("{place} was not written: {refusal}"))),
        Err(refusal) => Err(unknown(place, &refusal)),
    }
}

/// Whether `text` is on the disk already.
pub(super) fn landing(text: &str, place: &Place, context: &ToolContext) -> Landing {
    let on_disk = context.workspace.file(place).and_then(|file| file.whole(text.len() as u64 * 2 + 4));
    if on_disk.is_ok_and(|bytes| is_text_of(text, &bytes)) { Landing::Disk } else { Landing::Editor }
}

/// The editor said yes, and its document has another text.
fn missed(document: &Document, place: &Place, context: &ToolContext) -> ToolError {
    ToolError(match context.documents.named(&document.uri) {
        None => format!("{place} was closed in the editor while it was changed; whether the change was kept is not known: read it again"),
        Some(now) if now.text == document.text => {
            format!("{place} was not changed: the editor said that it had done it, but its text is the old one; read it again")
        }
        Some(_) => format!(
            "{place} was changed in the editor by somebody else at the same moment, and its text is not the one that was to be written; \
             read it again to see what is there"
        ),
    })
}

fn unknown(place: &Place, why: &Refusal) -> ToolError {
    ToolError(format!("whether {place} was changed is not known: {why}; read it again to see"))
}
