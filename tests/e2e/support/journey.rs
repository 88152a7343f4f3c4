//! What the journeys share: an editor that is pointed at a model server, exports, and a shell around the binary.

use super::model_server::{Exchange, ModelServer};
use super::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// An LSP editor whose model is `server`; `extra` are further flags.
pub(crate) async fn pointed_at(server: &ModelServer, home: &Home, extra: &[&str]) -> Editor {
    pointed_by(home.command(), server, extra).await
}

/// The same with a command of one's own.
pub(crate) async fn pointed_by(command: Command, server: &ModelServer, extra: &[&str]) -> Editor {
    let url = server.base_url();
    let args: Vec<_> = ["--model", "openai:test-model", "--base-url", &url].iter().chain(extra).copied().collect();
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    editor
}

/// The flags of [`pointed_at`] that switch titles off.
pub(crate) const UNTITLED: [&str; 2] = ["--title-model", "none"];

/// The requests of a session's first turn and of its title, which is asked for once the turn's answer has begun.
pub(crate) async fn turn_and_title(server: &mut ModelServer) -> (Exchange, Exchange) {
    let mut turn = server.next_request().await;
    begins(&mut turn).await;
    let title = server.next_request().await;
    assert!(turn.body.get("tools").is_some() && title.body.get("tools").is_none(), "first the turn, then its title");
    (turn, title)
}

/// An answer that has begun and says nothing yet.
pub(crate) async fn begins(exchange: &mut Exchange) {
    let first = match exchange.path.rsplit('/').next() {
        Some("messages") => json!({ "type": "message_start", "message": { "id": "chatcmpl-1" } }),
        Some("responses") => json!({ "type": "response.created", "response": { "id": "chatcmpl-1" } }),
        _ => {
            json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "role": "assistant" } }] })
        }
    };
    exchange.event(&first).await;
}

/// The sanitized export.
pub(crate) async fn export(editor: &mut Editor, session: &str) -> Value {
    editor.call("session/export", json!({ "sessionId": session })).await["export"].take()
}

/// The export with its texts.
pub(crate) async fn full_export(editor: &mut Editor, session: &str) -> Value {
    editor.call("session/export", json!({ "sessionId": session, "sanitize": false })).await["export"].take()
}

/// Exports until `done` says that what it waits for has been stored: a crash can take only what has not.
pub(crate) async fn full_export_when(editor: &mut Editor, session: &str, done: impl Fn(&Value) -> bool) -> Value {
    loop {
        let export = full_export(editor, session).await;
        if done(&export) {
            return export;
        }
    }
}

/// What `pillion explain` tells of a session or a file, on paper so wide that every fact is one line.
pub(crate) fn explained(home: &Home, what: impl AsRef<std::ffi::OsStr>) -> String {
    let mut command = home.command();
    let out = command.arg("explain").arg(what).env("COLUMNS", "100000").stdin(Stdio::null()).output().expect("pillion runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// The same of an export.
pub(crate) fn explained_export(home: &Home, export: &Value) -> String {
    let file = home.log_file().with_file_name("export.json");
    std::fs::write(&file, export.to_string()).expect("a file");
    explained(home, file)
}

/// These fields of an object, for a comparison as a whole.
pub(crate) fn fields(value: &Value, names: &[&str]) -> Value {
    names.iter().filter_map(|name| Some(((*name).to_owned(), value.get(name)?.clone()))).collect::<serde_json::Map<_, _>>().into()
}

/// The binary behind a line of shell, such as a limit or a redirection.
pub(crate) fn through_shell(home: &Home, line: &str) -> Command {
    let binary = home.command();
    let mut shell = Command::new("sh");
    shell.env_clear().arg("-c").arg(line).arg(binary.get_program());
    for (name, value) in binary.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    if let Some(directory) = binary.get_current_dir() {
        shell.current_dir(directory);
    }
    shell
}

/// The binary with this `config.toml`.
pub(crate) fn configured(home: &Home, config: &str) -> Command {
    let path = home.log_file().with_file_name("config.toml");
    std::fs::write(&path, config).expect("a configuration");
    let mut command = home.command();
    command.env("PILLION_CONFIG", path);
    command
}

/// A `config.toml` for those who want to see each failure: no model call is made again.
pub(crate) const ONE_ATTEMPT: &str = "[retry]\nmax_attempts = 1\n";

impl Editor {
    /// The next message, whatever it is.
    pub(crate) async fn next_message(&mut self) -> Value {
        self.claim("the next message", |_| true).await
    }

    /// A document is opened with this text.
    pub(crate) async fn opens(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "plaintext", "version": 3, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document })).await;
    }

    /// Its whole text is another one now.
    pub(crate) async fn changes(&mut self, uri: &str, version: i32, text: &str) {
        let document = json!({ "uri": uri, "version": version });
        self.notify("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [{ "text": text }] })).await;
    }

    /// Waits for a question about a call, and answers it.
    pub(crate) async fn answers(&mut self, option: &str) -> Value {
        let question = self.next("session/request_permission").await;
        self.respond(&question["id"], json!({ "outcome": { "outcome": "selected", "optionId": option } })).await;
        question
    }

    pub(crate) async fn allows(&mut self) {
        self.answers("allow_once").await;
    }
}
