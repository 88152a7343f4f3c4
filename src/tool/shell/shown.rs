//! What a person is shown of a command before it runs: every character of it, where, for how long, and what it is held to.

use super::Request;
use crate::config::{Sandbox, SandboxMode};
use crate::policy::{Invocation, NetworkAccess};
use crate::process::{Ability, Hold};
use crate::protocol::content::ContentBlock;
use crate::protocol::update::ToolCallContent;
use crate::text::{cut, exact, exact_line};

/// The longest command in a title, in bytes.
const MAX_TITLE_BYTES: usize = 100;

/// The command in one line; a long one is cut, which shows.
pub(super) fn title(invocation: &Invocation) -> String {
    let text = match invocation {
        Invocation::Script(text) => exact(text.trim()).into_owned(),
        Invocation::Program(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    };
    match cut(&text, MAX_TITLE_BYTES) {
        whole if whole.len() == text.len() => text,
        beginning => format!("{beginning}…"),
    }
}

/// The whole of it.
pub(super) fn question(request: &Request, directory: &str, sandbox: &Sandbox, ability: &Ability) -> ToolCallContent {
    let mut lines = match &request.invocation {
        Invocation::Script(text) => {
            // A line break is shown as one; whatever else cannot be seen is written out.
            let script = text.split('\n').map(|line| format!("  {}", exact_line(line)));
            std::iter::once("A script for /bin/sh:".to_owned()).chain(script).collect::<Vec<_>>()
        }
        Invocation::Program(words) => {
            let words = words.iter().map(|word| format!("  {}", quoted(word)));
            std::iter::once("A program and its arguments:".to_owned()).chain(words).collect()
        }
    };
    lines.push(format!("Directory: {}", exact(directory)));
    lines.push(format!("Time limit: {} s", request.limit.as_secs()));
    lines.extend(held(request.network, sandbox, ability));
    ToolCallContent::Content { content: ContentBlock::text(lines.join("\n")) }
}

/// What it is held to on this machine; nothing is claimed that the machine cannot do.
fn held(network: NetworkAccess, sandbox: &Sandbox, ability: &Ability) -> [String; 2] {
    if sandbox.mode == SandboxMode::Off {
        return ["Writes: wherever you may; the sandbox is off (sandbox.mode)".into(), "Network: on; the sandbox is off".into()];
    }
    let lacking = |hold: &Hold| hold.lacks().map(|lacks| format!("NOT confined by this machine: {}", exact(lacks)));
    let writes = lacking(&ability.writes).unwrap_or_else(|| {
        let more: Vec<_> = sandbox.writable.iter().map(|path| exact(&path.to_string_lossy()).into_owned()).collect();
        let more = if more.is_empty() { String::new() } else { format!(", {}", more.join(", ")) };
        format!("in the workspace, a scratch directory{more}; nowhere else")
    });
    let network = match network {
        NetworkAccess::Wanted => "ON, as the call asks".into(),
        NetworkAccess::Granted => "on (sandbox.network)".into(),
        NetworkAccess::Off => lacking(&ability.network).unwrap_or_else(|| "off".into()),
    };
    [format!("Writes: {writes}"), format!("Network: {network}")]
}

/// One word as a shell would take it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", exact(word).replace('\'', r"'\''")) }
}
