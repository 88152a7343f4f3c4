//! How freely a session may act: ACP's session modes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens without a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing is changed and nothing is run.
    ReadOnly,
    /// Changes and commands are asked about.
    #[default]
    Ask,
    /// Files of the workspace are changed without a question; commands are asked about.
    AutoEdit,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::ReadOnly, Self::Ask, Self::AutoEdit];

    /// As it is written on the wire and in the settings.
    pub fn id(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::Ask => "ask",
            Self::AutoEdit => "auto_edit",
        }
    }

    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.id() == id)
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "Read only",
            Self::Ask => "Ask",
            Self::AutoEdit => "Auto edit",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::ReadOnly => "Reads and searches; changes no file and runs no command",
            Self::Ask => "Asks before a file is changed or a command is run",
            Self::AutoEdit => "Changes files of the workspace without asking; asks before a command is run",
        }
    }
}

/// The modes of a session, as clients show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionModes {
    pub current_mode_id: Mode,
    pub available_modes: Vec<SessionMode>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionMode {
    pub id: Mode,
    pub name: String,
    pub description: String,
}

impl SessionModes {
    pub fn at(current: Mode) -> Self {
        let shown = |mode: Mode| SessionMode { id: mode, name: mode.name().into(), description: mode.description().into() };
        Self { current_mode_id: current, available_modes: Mode::ALL.into_iter().map(shown).collect() }
    }
}
