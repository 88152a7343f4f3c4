//! What is asked of the client about files: LSP's `workspace/applyEdit`, ACP's `fs/read_text_file` and `fs/write_text_file`.

use super::asking::{Asker, Outcome};
use crate::protocol::ids::SessionId;
use crate::rpc::dialect::ACP_RESOURCE_NOT_FOUND;
use crate::session::editor::FileReply;
use crate::tool::editor_files::{DocumentEdit, Point, Refusal, TextEdit};
use serde_json::{Value, json};
use tower_lsp::jsonrpc::{Error, ErrorCode};

/// Asks for the change of an open document.
pub(super) fn apply(asker: Asker, edit: &DocumentEdit, reply: FileReply<()>) {
    let params = edit_params(edit);
    ask(asker, "workspace/applyEdit", params, reply, |answer| {
        let answer = answer.map_err(refused)?;
        match answer.get("applied").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::Said(answer["failureReason"].as_str().unwrap_or("it gave no reason").to_owned())),
            None => Err(Refusal::Failed(format!("its answer is {} that does not say whether it was applied", kind(&answer)))),
        }
    });
}

/// Asks for the text of a file.
pub(super) fn read(asker: Asker, session_id: &SessionId, path: &str, reply: FileReply<String>) {
    let params = json!({ "sessionId": session_id, "path": path });
    ask(asker, "fs/read_text_file", params, reply, |answer| {
        let mut answer = answer.map_err(unread)?;
        match answer.get_mut("content").map(Value::take) {
            Some(Value::String(text)) => Ok(text),
            // Some write an empty object as an empty list.
            _ => Err(Refusal::Failed(format!("its answer is {} without a text as `content`", kind(&answer)))),
        }
    });
}

/// Asks for a file to be written.
pub(super) fn write(asker: Asker, session_id: &SessionId, path: &str, text: &str, reply: FileReply<()>) {
    let params = json!({ "sessionId": session_id, "path": path, "content": text });
    ask(asker, "fs/write_text_file", params, reply, |answer| answer.map(drop).map_err(refused));
}

/// Sends the request and gives the answer on as it is `understood`. No answer: the reply is dropped.
fn ask<T: Send + 'static>(
    asker: Asker,
    method: &'static str,
    params: Value,
    mut reply: FileReply<T>,
    understood: impl FnOnce(Result<Value, Error>) -> Result<T, Refusal> + Send + 'static,
) {
    let Some(asked) = asker.ask(method, |_| params) else { return };
    tokio::spawn(async move {
        if let Outcome::Answered(answer) = asked.outcome(reply.closed()).await {
            // The turn may have been stopped meanwhile.
            let _ = reply.send(understood(answer));
        }
    });
}

/// LSP's `ApplyWorkspaceEditParams`.
fn edit_params(edit: &DocumentEdit) -> Value {
    let point = |point: Point| json!({ "line": point.line, "character": point.character });
    let piece = |edit: &TextEdit| json!({ "range": { "start": point(edit.start), "end": point(edit.end) }, "newText": edit.text });
    let edits: Vec<Value> = edit.edits.iter().map(piece).collect();
    // With the version: an editor that has another one by now says no.
    let changes = json!([{ "textDocument": { "uri": edit.uri, "version": edit.version }, "edits": edits }]);
    json!({ "label": edit.label, "edit": { "documentChanges": changes } })
}

/// Nothing can have been done by a reading that failed.
fn unread(error: Error) -> Refusal {
    match refused(error) {
        Refusal::Failed(why) => Refusal::Said(why),
        refusal => refusal,
    }
}

fn refused(error: Error) -> Refusal {
    match error.code.code() {
        code if code == i64::from(ACP_RESOURCE_NOT_FOUND) => Refusal::NotFound,
        _ if error.code == ErrorCode::MethodNotFound => Refusal::Unable,
        code => Refusal::Failed(format!("{} (error {code})", error.message)),
    }
}

fn kind(answer: &Value) -> &'static str {
    match answer {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
