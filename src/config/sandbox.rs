//! What commands are held to, as it is configured.

use std::path::PathBuf;

/// The settings of the sandbox that commands run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub mode: SandboxMode,
    pub network: SandboxNetwork,
    /// Directories that a command may write to beside its workspace; each an absolute path.
    pub writable: Vec<PathBuf>,
}

/// Whether commands are confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxMode {
    /// As far as the machine can.
    On,
    /// A command is refused if the machine cannot do all of it.
    Require,
    Off,
}

/// Whether a confined command has a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxNetwork {
    Off,
    On,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { mode: SandboxMode::On, network: SandboxNetwork::Off, writable: Vec::new() }
    }
}
