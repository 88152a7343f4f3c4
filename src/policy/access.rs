//! What a tool call would touch, in words that a rule can be held against.

use super::command::loose_words;
use crate::protocol::abort::Effect;
use std::path::PathBuf;

/// What one call would do to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It touches nothing outside of the conversation.
    Nothing,
    /// It reads a file or what lies beneath a directory.
    Read(PathBuf),
    Write(WriteAccess),
    Run(RunAccess),
}

/// A file that would be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteAccess {
    /// Relative to the workspace, without `.`, `..` and links.
    pub path: PathBuf,
    /// What git, a shell or an editor would obey or run: the name that says so. A person must agree each time.
    pub protected: Option<String>,
}

/// A command that would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAccess {
    pub command: Invocation,
    /// Where, relative to the workspace.
    pub directory: PathBuf,
    pub network: NetworkAccess,
}

/// A command as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// For `/bin/sh -c`.
    Script(String),
    /// A program and its arguments, through no shell.
    Program(Vec<String>),
}

/// Whether a command is to reach the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkAccess {
    Off,
    /// The call asks for it.
    Wanted,
    /// The settings give it to every command.
    Granted,
}

/// Words with which a command goes elsewhere, or says that another one does.
const GOING: [&str; 19] = [
    "cd",
    "pushd",
    "chdir",
    "-C",
    "env",
    "chroot",
    "ssh",
    "docker",
    "podman",
    "foreach",
    "-execdir",
    "-okdir",
    "--chdir",
    "--directory",
    "--dir",
    "--cwd",
    "--prefix",
    "--working-directory",
    "--workdir",
];

impl RunAccess {
    /// Whether a relative path in it may be none of the workspace's root: it starts elsewhere, or goes there.
    pub(super) fn is_away(&self) -> bool {
        let goes = |text: &str| loose_words(text).iter().any(|word| GOING.contains(&word.as_str()));
        let leaves = match &self.command {
            Invocation::Script(text) => goes(text),
            Invocation::Program(words) => goes(&words.join(" ")),
        };
        leaves || !self.directory.as_os_str().is_empty()
    }
}

impl Access {
    pub fn effect(&self) -> Effect {
        match self {
            Self::Nothing => Effect::None,
            Self::Read(_) => Effect::Read,
            Self::Write(_) => Effect::Write,
            Self::Run(RunAccess { network: NetworkAccess::Off, .. }) => Effect::Process,
            Self::Run(RunAccess { network: NetworkAccess::Wanted | NetworkAccess::Granted, .. }) => Effect::Network,
        }
    }
}
