//! `initialize`, in both dialects: which one it is, who is there, and what pillion answers.

use super::Dialect;
use crate::config::Framing;
use crate::protocol::PROTOCOL_VERSION;
use crate::protocol::abort::Client;
use crate::protocol::results::Capabilities;
use crate::rpc::error::{WireError, code};
use crate::text::first;
use serde_json::{Map, Value, json};

/// The longest name or version of a client that is kept, in characters.
const MAX_NAME_CHARS: usize = 80;

/// Who is at the other end, as `clientInfo` says it.
pub type ClientInfo = Client;

/// What an `initialize` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    pub dialect: Dialect,
    /// Absent if it did not say.
    pub client: Option<ClientInfo>,
    /// The editor's process, to be watched (LSP).
    pub process_id: Option<u32>,
    /// LSP's `trace`: `off`, `messages` or `verbose`.
    pub trace: Option<String>,
    pub files: FileSkills,
}

/// What a client does with files itself, each dialect in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileSkills {
    /// LSP: `workspace/applyEdit`, of a document in the version that the edits are made for.
    pub edits: bool,
    /// ACP: `fs/read_text_file`.
    pub reads: bool,
    /// ACP: `fs/write_text_file`.
    pub writes: bool,
}

impl Hello {
    /// Reads the parameters of `initialize`. Only what decides the dialect can be wrong; what else does not fit is
    /// ignored, since no editor should fail to start over a field that pillion does not need.
    ///
    /// # Errors
    /// Nothing in it tells the dialect.
    pub fn read(params: &str, framing: Framing) -> Result<Self, WireError> {
        let params: Map<String, Value> = serde_json::from_str(params).unwrap_or_default();
        let is_acp = params.get("protocolVersion").is_some_and(Value::is_number);
        let is_lsp = params.get("capabilities").is_some_and(Value::is_object);
        let dialect = match (is_acp, is_lsp, framing) {
            (true, false, _) | (true, true, Framing::Lines) => Dialect::Acp,
            (false, true, _) | (true, true, Framing::Headers) => Dialect::Lsp,
            (false, false, _) => {
                return Err(WireError::new(
                    code::INVALID_PARAMS,
                    "initialize: `protocolVersion` must be a number (an ACP client), or `capabilities` must be an object (an LSP client)",
                ));
            }
        };
        let info = params.get("clientInfo");
        let text = |key: &str| info.and_then(|info| info.get(key)).and_then(Value::as_str).filter(|text| !text.is_empty()).map(cut);
        Ok(Self {
            dialect,
            client: text("name").map(|name| Client { name, version: text("version") }),
            process_id: params.get("processId").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok()),
            trace: params.get("trace").and_then(Value::as_str).map(str::to_owned),
            files: FileSkills::read(dialect, &params),
        })
    }

    /// The result of `initialize`. It waits for nothing: neither store nor network is asked.
    pub fn answer(&self, version: &str) -> Value {
        let pillion = |methods| Capabilities { protocol_version: PROTOCOL_VERSION, methods };
        match self.dialect {
            Dialect::Lsp => json!({
                "capabilities": {
                    // 1: the whole text with every change.
                    "textDocumentSync": { "openClose": true, "change": 1, "save": true },
                    "experimental": { "pillion": pillion(&LSP_METHODS) },
                },
                "serverInfo": { "name": "pillion", "version": version },
            }),
            Dialect::Acp => json!({
                "protocolVersion": PROTOCOL_VERSION,
                "agentCapabilities": {
                    "loadSession": true,
                    "promptCapabilities": { "image": false, "audio": false, "embeddedContext": true },
                    "sessionCapabilities": { "list": {}, "resume": {}, "close": {}, "delete": {} },
                    "_meta": { "pillion": pillion(&ACP_EXTRA_METHODS) },
                },
                "agentInfo": { "name": "pillion", "version": version },
                "authMethods": [],
            }),
        }
    }
}

impl FileSkills {
    fn read(dialect: Dialect, params: &Map<String, Value>) -> Self {
        let says = |path: &[&str]| {
            let (first, rest) = path.split_first()?;
            rest.iter().try_fold(params.get(*first)?, |value, key| value.get(key))?.as_bool()
        };
        let says = |path: &[&str]| says(path) == Some(true);
        match dialect {
            Dialect::Lsp => {
                // Without a version, what the user types meanwhile could be written over.
                let versioned = says(&["capabilities", "workspace", "workspaceEdit", "documentChanges"]);
                Self { edits: versioned && says(&["capabilities", "workspace", "applyEdit"]), ..Self::default() }
            }
            Dialect::Acp => Self {
                edits: false,
                reads: says(&["clientCapabilities", "fs", "readTextFile"]),
                writes: says(&["clientCapabilities", "fs", "writeTextFile"]),
            },
        }
    }
}

/// What an LSP client can call besides LSP's own lifecycle and document methods.
const LSP_METHODS: [&str; 12] = [
    "session/new",
    "session/load",
    "session/resume",
    "session/list",
    "session/close",
    "session/delete",
    "session/prompt",
    "session/shell",
    "session/cancel",
    "session/export",
    "session/set_config_option",
    "session/set_mode",
];

/// What an ACP client can call besides ACP's own methods.
const ACP_EXTRA_METHODS: [&str; 2] = ["_pillion/session/export", "_pillion/session/shell"];

fn cut(text: &str) -> String {
    first(text, MAX_NAME_CHARS).to_owned()
}
