//! What a keeper and its pillion say to each other: one JSON object a line, on a socket that only they hold; and what pillion
//! tells of a command.

use super::confine::Enforced;
use serde::{Deserialize, Serialize};

/// What is told of a command, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// What the command is held to. It comes if the command was to be confined, before it runs.
    Confined(Enforced),
    /// The command runs.
    Started,
    /// There is no such program, it may not be run, or it cannot be confined as it must be. It is the last word.
    NotStarted { why: String },
    /// The command's own process has ended; others that it started may still be there.
    Exited(Exit),
    /// So many processes were asked to end (SIGTERM); told again for those that were found later.
    Terminated { processes: usize },
    /// So many processes were killed; told again for those that were found later.
    Killed { processes: usize },
    /// The keeper ended before its last word, or that was not true: pillion itself kills what it kept. No keeper says that.
    #[serde(skip)]
    Lost,
    /// The last word: nothing is left, or so many processes could not be ended. A keeper says it, and pillion tells it when the
    /// keeper has ended and pillion has looked for itself.
    Gone { left: usize },
}

/// A line of a keeper's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Word(Word),
    /// The number of the command's own process.
    Leader(i32),
}

/// How the command's own process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// What a keeper is told. The end of the socket is an order too: kill everything at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Ask everything to end, and kill what is left after the grace. A later order can only shorten it.
    End { grace_ms: u64 },
}

impl Exit {
    /// The signal's name, as `kill -l` writes it, with its `SIG`.
    pub fn signal_name(self) -> Option<String> {
        let Self::Signal(number) = self else { return None };
        let name = match number {
            1 => "SIGHUP",
            2 => "SIGINT",
            3 => "SIGQUIT",
            4 => "SIGILL",
            6 => "SIGABRT",
            8 => "SIGFPE",
            9 => "SIGKILL",
            11 => "SIGSEGV",
            13 => "SIGPIPE",
            14 => "SIGALRM",
            15 => "SIGTERM",
            24 => "SIGXCPU",
            25 => "SIGXFSZ",
            other => return Some(format!("signal {other}")),
        };
        Some(name.to_owned())
    }
}
