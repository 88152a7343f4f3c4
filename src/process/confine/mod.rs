//! Confinement: what a command and everything it starts may write to, and whether it has a network. A keeper confines itself just
//! before it starts the command, so that all its descent is born confined and nobody of it can undo that.
//!
//! Invariant: what could not be enforced is told as that. Whatever goes wrong on the way, a command has less than it was allowed,
//! or it is said that it has more.

mod argument;
mod directory;
#[cfg(target_os = "linux")]
mod linux;

pub use directory::Directory;

use serde::{Deserialize, Serialize};

/// What a command is held to. Reading and executing stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// The directories beneath which it may write. One that is no longer what it was adds nothing. Beside them it may write to
    /// the devices that every program expects, such as `/dev/null`.
    pub writable: Vec<Directory>,
    pub network: Network,
    pub strictness: Strictness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// No sockets but those of the Unix kind, which stay on this machine.
    Off,
    On,
}

/// What becomes of a command that this machine cannot confine as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// It runs, as far confined as the machine can.
    BestEffort,
    /// It is not started.
    Required,
}

/// How far something is held, or could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Wholly.
    Full { by: String },
    /// In part: what is missing stands in `lacks`.
    Partial { by: String, lacks: String },
    /// Not at all.
    None { why: String },
}

/// What this machine can hold a command to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// That nothing is written but where it is allowed.
    pub writes: Hold,
    /// That there is no network.
    pub network: Hold,
}

/// What a command is held to in fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    pub writes: Hold,
    /// Absent: the command was allowed the network.
    pub network: Option<Hold>,
}

/// What this machine can do, found out without a change to this process.
pub fn ability() -> Ability {
    #[cfg(target_os = "linux")]
    return linux::ability();
    #[cfg(not(target_os = "linux"))]
    Ability { writes: elsewhere(), network: elsewhere() }
}

/// Confines the calling thread and all that it starts from now on, for ever.
pub(super) fn enforce(confinement: &Confinement) -> Enforced {
    #[cfg(target_os = "linux")]
    return linux::enforce(confinement);
    #[cfg(not(target_os = "linux"))]
    Enforced { writes: elsewhere(), network: (confinement.network == Network::Off).then(elsewhere) }
}

#[cfg(not(target_os = "linux"))]
fn elsewhere() -> Hold {
    Hold::None { why: format!("pillion can confine commands on Linux only, and this is {}", std::env::consts::OS) }
}

impl Hold {
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// What is missing, or why nothing is there; absent: nothing is missing.
    pub fn lacks(&self) -> Option<&str> {
        match self {
            Self::Full { .. } => None,
            Self::Partial { lacks, .. } => Some(lacks),
            Self::None { why } => Some(why),
        }
    }
}

impl Enforced {
    /// What of all that was asked for is not held, as a sentence; absent: it is held.
    pub fn shortfall(&self) -> Option<String> {
        let writes = self.writes.lacks().map(|lacks| format!("writes are not confined: {lacks}"));
        let network = self.network.as_ref().and_then(Hold::lacks).map(|lacks| format!("the network is not off: {lacks}"));
        let missing: Vec<String> = [writes, network].into_iter().flatten().collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }
}

impl Strictness {
    /// Why a command that is held so far is not started; absent: it may be.
    pub(super) fn refuses(self, enforced: &Enforced) -> Option<String> {
        match self {
            Self::BestEffort => None,
            Self::Required => enforced
                .shortfall()
                .map(|missing| format!("not run, since `sandbox.mode` is `require` and this machine cannot do all of it ({missing})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Hold {
        Hold::Full { by: "a".into() }
    }

    fn partial() -> Hold {
        Hold::Partial { by: "a".into(), lacks: "b".into() }
    }

    fn none() -> Hold {
        Hold::None { why: "c".into() }
    }

    #[test]
    fn what_is_not_held_is_told_and_refused_only_where_all_of_it_is_required() {
        let shortfalls = [
            (full(), Some(full()), None),
            // The network was allowed, so nothing of it can be missing.
            (full(), None, None),
            (partial(), Some(full()), Some("writes are not confined: b")),
            (none(), None, Some("writes are not confined: c")),
            (full(), Some(none()), Some("the network is not off: c")),
            (none(), Some(partial()), Some("writes are not confined: c; the network is not off: b")),
        ];
        for (writes, network, shortfall) in shortfalls {
            let enforced = Enforced { writes, network };
            assert_eq!(enforced.shortfall().as_deref(), shortfall, "{enforced:?}");
            assert_eq!(Strictness::BestEffort.refuses(&enforced), None);
            let refused =
                shortfall.map(|what| format!("not run, since `sandbox.mode` is `require` and this machine cannot do all of it ({what})"));
            assert_eq!(Strictness::Required.refuses(&enforced), refused);
        }
    }
}
