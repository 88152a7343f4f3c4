//! What a person is shown of a command before it runs: every character of it, where, for how long, and what it is held to.

use super::Request;
use crate::config::{Sandbox, SandboxMode};
use crate::policy::{Invocation, NetworkAccess};
use crate::process::{Ability, Hold};
use crate::protocol::content::ContentBlock;
use crate::protocol::update::ToolCallContent;
use crate::text::{block, exact, exact_line, span};

/// The whole command in one line: some clients ask with nothing but the title.
pub(super) fn title(invocation: &Invocation) -> String {
    let text = match invocation {
        Invocation::Script(text) => exact(text.trim()),
        Invocation::Program(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ").into(),
    };
    span(&text).into_owned()
}

/// The whole of it, in Markdown, as clients take such texts.
pub(super) fn question(request: &Request, directory: &str, sandbox: &Sandbox, ability: &Ability) -> ToolCallContent {
    let lines = |lines: &mut dyn Iterator<Item = String>| lines.collect::<Vec<_>>().join("\n");
    let command = match &request.invocation {
        // A line break is shown as one; whatever else cannot be seen is written out.
        Invocation::Script(text) => {
            format!("A script for /bin/sh:\n\n{}", block("sh", &lines(&mut text.split('\n').map(|line| exact_line(line).into_owned()))))
        }
        Invocation::Program(words) => {
            format!("A program and its arguments:\n\n{}", block("", &lines(&mut words.iter().map(|word| quoted(word)))))
        }
    };
    let [writes, network] = held(request.network, sandbox, ability);
    let (directory, limit) = (exact(directory), request.limit.as_secs());
    let terms = [format!("Directory: {}", span(&directory)), format!("Time limit: {limit} s"), writes, network];
    // A list, since a renderer joins lines.
    let terms = lines(&mut terms.iter().map(|term| format!("- {term}")));
    ToolCallContent::Content { content: ContentBlock::text(format!("{command}\n\n{terms}")) }
}

/// What it is held to on this machine; nothing is claimed that the machine cannot do.
fn held(network: NetworkAccess, sandbox: &Sandbox, ability: &Ability) -> [String; 2] {
    if sandbox.mode == SandboxMode::Off {
        return ["Writes: wherever you may; the sandbox is off (sandbox.mode)".into(), "Network: on; the sandbox is off".into()];
    }
    let lacking = |hold: &Hold| hold.lacks().map(|lacks| format!("NOT confined by this machine: {}", exact(lacks)));
    let writes = lacking(&ability.writes).unwrap_or_else(|| {
        let more: Vec<_> = sandbox.writable.iter().map(|path| span(&exact(&path.to_string_lossy())).into_owned()).collect();
        let more = if more.is_empty() { String::new() } else { format!(", {}", more.join(", ")) };
        format!(
            "in the workspace, a scratch directory{more}; nowhere else, but modes, owners and times of your files can be changed anywhere"
        )
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
