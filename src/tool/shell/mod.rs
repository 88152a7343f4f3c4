//! `shell`: one command of the model's in the workspace, held to what the sandbox allows, its output bounded.
//!
//! Invariant: what runs is what was shown, character by character; its end is told with what it was not held to.

mod shown;
#[cfg(test)]
mod tests;

use super::arguments::Arguments;
use super::command::{self, Commands, Ran, Terms};
use super::workspace::Place;
use super::{Approved, CommandEnd, Tool, ToolContext, ToolError, ToolOutput, ToolPlan, elsewhere};
use crate::config::{SandboxMode, SandboxNetwork};
use crate::policy::{Access, Invocation, NetworkAccess, RunAccess};
use crate::process::{Capture, Captured, Command, Confinement, Directory, Enforced, Exit, Meter, Network, StartIn, Strictness, ability};
use crate::protocol::abort::{Effect, ToolOutcome};
use crate::protocol::model::ToolSpec;
use crate::protocol::update::{ToolKind, ToolLocation};
use crate::text::exact;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// The shell that runs scripts.
const SHELL: &str = "/bin/sh";

/// The longest command, in bytes: a person must be able to read it.
const MAX_COMMAND_BYTES: usize = 16 << 10;

/// The most output that a model is given, in bytes: its beginning and its end.
const MAX_OUTPUT_BYTES: usize = 32 << 10;

/// The most of a longer one that is kept in a file, in bytes.
const MAX_KEPT_BYTES: usize = 16 << 20;

/// How long a command may take if the model does not say.
const USUAL_SECONDS: u64 = 120;

pub(super) struct Shell {
    /// How long a command may take.
    pub(super) longest: Duration,
}

/// A call that can be run.
struct Request {
    invocation: Invocation,
    /// Its real place.
    directory: Place,
    opened: OwnedFd,
    network: NetworkAccess,
    limit: Duration,
}

/// What a call may say; what is enforced of it.
fn schema(longest: Duration) -> Value {
    let longest = longest.as_secs().max(1);
    json!({
        "type": "object",
        "properties": {
            "command": {
                "type": "string", "maxLength": MAX_COMMAND_BYTES,
                "description": "A script for /bin/sh, at most 16 KiB. Give this or argv. One that the user is asked about must be \
                                shorter than 4 KiB.",
            },
            "argv": {
                "type": "array", "items": { "type": "string" }, "minItems": 1,
                "description": "A program and its arguments, run without a shell.",
            },
            "directory": { "type": "string", "description": "Where to run it. Default: the workspace." },
            "timeout_seconds": {
                "type": "integer", "minimum": 1, "maximum": longest,
                "description": format!("How long it may take. Default: {}.", USUAL_SECONDS.min(longest)),
            },
            "network": { "type": "boolean", "description": "Ask for the network too. Default: false." },
        },
    })
}

impl Tool for Shell {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "shell",
            description: "Runs a command in the workspace and gives its output and exit code; the user is asked first. It may write in the \
                          workspace and in $TMPDIR only, and has no network unless it asks for it. It has no terminal and no input. Whatever \
                          it has started is ended with it. Unsaved changes in the editor are not on the disk. Of a long output the beginning \
                          and the end are given, and a file that read_file reads.",
            input_schema: schema(self.longest),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Process
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Execute
    }

    fn plan<'a>(&'a self, input: &'a Value, context: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>> {
        async move {
            let request = Request::of(input, context)?;
            let directory = context.workspace.absolute(&request.directory);
            Ok(ToolPlan {
                title: format!("Run {}", shown::title(&request.invocation)),
                content: vec![shown::question(&request, &directory, &context.commands.sandbox, &ability())],
                locations: vec![ToolLocation { path: directory, line: None }],
                access: Access::Run(RunAccess {
                    command: request.invocation,
                    directory: request.directory.as_path().to_owned(),
                    network: request.network,
                }),
                seen: None,
            })
        }
        .boxed()
    }

    fn run(&self, input: Value, approved: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let request = Request::of(&input, &context)?;
            let commands = &context.commands;
            if !matches!(&approved.access, Access::Run(judged) if judged.directory == request.directory.as_path()) {
                return Err(elsewhere(&request.directory));
            }
            let lacking = |what: &'static str| move |error| ToolError(format!("the command has no {what}: {error}"));
            let root = context.workspace.root().map_err(lacking("workspace"))?;
            let scratch = commands.scratch.directory().map_err(lacking("scratch directory"))?;
            let command = request.command(&context, root, scratch).map_err(lacking("directory"))?;
            let terms = Terms {
                token: &context.token,
                grace: &commands.grace,
                capture: Capture::whole_up_to(MAX_OUTPUT_BYTES, MAX_KEPT_BYTES).metered(context.meter.clone()),
                limit: Some(request.limit),
                hop: &*context.hop,
            };
            let ran = command::run(&commands.keeper, &command, terms).await;
            // A long output is searched for keys, and written.
            let (commands, meter) = (Arc::clone(commands), context.meter.clone());
            super::blocking(move || Ok(request.told(ran, &commands, &meter))).await
        }
        .boxed()
    }
}

impl Request {
    fn of(input: &Value, context: &ToolContext) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input, &schema(context.commands.longest))?;
        let invocation = match (arguments.optional_text("command"), arguments.optional_texts("argv")) {
            (Some(script), None) if !script.trim().is_empty() => Invocation::Script(script.to_owned()),
            (Some(_), None) => return Err(arguments.wrong("command", "is empty")),
            (None, Some(words)) if words.first().is_some_and(|program| !program.is_empty()) => Invocation::Program(words),
            (None, Some(_)) => return Err(arguments.wrong("argv", "must begin with the program to run")),
            (Some(_), Some(_)) => return Err(ToolError("give the argument command or the argument argv, not both".into())),
            (None, None) => return Err(ToolError("the argument command is missing; it must be a string (or give argv)".into())),
        };
        let bytes = match &invocation {
            Invocation::Script(text) => text.len(),
            Invocation::Program(words) => words.iter().map(|word| word.len() + 1).sum(),
        };
        if bytes > MAX_COMMAND_BYTES {
            let what = format!("it has {bytes} bytes, and at most {MAX_COMMAND_BYTES} can be shown to the user; put it into a file first");
            return Err(ToolError(format!("the command is too long: {what}")));
        }
        if has_nul(&invocation) {
            return Err(ToolError("the command holds a NUL character, which no command can".into()));
        }
        let named = arguments.optional_text("directory").map_or_else(|| Ok(Place::root()), |path| context.workspace.place(path))?;
        let (opened, directory) = context.workspace.opened_directory(&named)?;
        let sandbox = &context.commands.sandbox;
        let network = match (sandbox.mode, sandbox.network) {
            (SandboxMode::Off, _) | (_, SandboxNetwork::On) => NetworkAccess::Granted,
            _ if arguments.flag("network") => NetworkAccess::Wanted,
            _ => NetworkAccess::Off,
        };
        let longest = context.commands.longest.as_secs().max(1);
        let seconds = arguments.optional_number("timeout_seconds").unwrap_or(USUAL_SECONDS.min(longest));
        Ok(Self { invocation, directory, opened, network, limit: Duration::from_secs(seconds) })
    }

    fn command(&self, context: &ToolContext, root: Directory, scratch: Directory) -> io::Result<Command> {
        let (program, arguments) = match &self.invocation {
            Invocation::Script(text) => (SHELL.into(), vec!["-c".into(), text.into()]),
            Invocation::Program(words) => (words[0].clone().into(), words[1..].iter().map(Into::into).collect()),
        };
        let kept = context.commands.environment.iter().filter(|(name, _)| name != "TMPDIR");
        let environment = kept.cloned().chain([("TMPDIR".into(), scratch.path().into())]).collect();
        let path = context.workspace.path().join(self.directory.as_path());
        let directory = StartIn::opened(path, self.opened.try_clone()?);
        let confinement = self.confinement(&context.commands, [root, scratch]);
        Ok(Command { program, arguments, directory, environment, confinement })
    }

    fn confinement(&self, commands: &Commands, own: [Directory; 2]) -> Option<Confinement> {
        let strictness = match commands.sandbox.mode {
            SandboxMode::Off => return None,
            SandboxMode::On => Strictness::BestEffort,
            SandboxMode::Require => Strictness::Required,
        };
        let network = if self.network == NetworkAccess::Off { Network::Off } else { Network::On };
        let writable = own.into_iter().chain(commands.writable.iter().cloned()).collect();
        Some(Confinement { writable, network, strictness })
    }

    /// What the model and the client are told of a command that has ended.
    fn told(&self, ran: Ran, commands: &Commands, meter: &Meter) -> ToolOutput {
        let status = ran.status();
        let Ran { exit, failure, captured, fate, timed_out, held, .. } = ran;
        let mut text = commands.keys.scrub(&captured.text).into_owned();
        let mut note = |line: String| {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            // Writing to a String cannot fail.
            let _ = writeln!(text, "[{line}]");
        };
        let (kept_bytes, line) = kept(&captured, commands);
        meter.keeps(kept_bytes);
        if let Some(line) = line {
            note(line);
        }
        if timed_out {
            note(format!("it was ended: it took longer than {} s (timeout_seconds)", self.limit.as_secs()));
        }
        if fate == ToolOutcome::Escaped && failure.is_none() {
            note("some of what it started could not be ended and may go on".into());
        }
        if let Some(shortfall) = held.as_ref().and_then(Enforced::shortfall) {
            note(format!("it was not confined as it should have been: {shortfall}"));
        }
        if let (Some(_), Some(why)) = (exit, &failure) {
            note(why.clone());
        }
        // The last line, so that a client finds it.
        match (exit, &failure) {
            (Some(Exit::Code(code)), _) => note(format!("exit code {code}")),
            (Some(signal), _) => note(format!("ended by {}", signal.signal_name().unwrap_or_default())),
            (None, Some(why)) => note(exact(&commands.keys.scrub(why)).into_owned()),
            (None, None) => note("how it ended is not known".into()),
        }
        let exit_code = exit.and_then(|exit| if let Exit::Code(code) = exit { Some(i64::from(code)) } else { None });
        let end = CommandEnd { status, exit_code, signal: exit.and_then(Exit::signal_name), fate };
        ToolOutput { ended: Some(end), ..ToolOutput::text(text) }
    }
}

/// Keeps the whole output, if not all of it is shown or not as it is. Gives how many bytes of it are there, and where they are.
fn kept(captured: &Captured, commands: &Commands) -> (u64, Option<String>) {
    let (bytes, shown) = (captured.bytes, captured.bytes - captured.left_out);
    let Some(whole) = &captured.whole else { return (shown, None) };
    let (kept, line) = match (commands.outputs.keep(&commands.keys.scrub_bytes(whole)), captured.cut_off()) {
        (Ok(path), 0) if captured.left_out == 0 => {
            (bytes, format!("the output has bytes that are no text; all {bytes} bytes of it are in {}", path.display()))
        }
        (Ok(path), 0) => (bytes, format!("all {bytes} bytes of the output are in {}", path.display())),
        (Ok(path), cut_off) => {
            let first = bytes - cut_off;
            (first, format!("the first {first} of {bytes} bytes of the output are in {}", path.display()))
        }
        (Err(error), _) => (shown, format!("the output has {bytes} bytes, and it could not be kept: {error}")),
    };
    (kept, Some(line))
}

fn has_nul(invocation: &Invocation) -> bool {
    match invocation {
        Invocation::Script(text) => text.contains('\0'),
        Invocation::Program(words) => words.iter().any(|word| word.contains('\0')),
    }
}
