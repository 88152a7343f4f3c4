//! Where pillion keeps its things: the platform's directories, and what happens where there is no home.

use super::{ConfigError, Settings};
use etcetera::BaseStrategy as _;
use std::path::PathBuf;

/// The default places of one user; absent where no home directory is known.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// `~/.config/pillion/config.toml`
    pub config_file: Option<PathBuf>,
    /// `~/.local/share/pillion`
    pub data_dir: Option<PathBuf>,
    /// `~/.local/state/pillion/pillion.log`
    pub log_file: Option<PathBuf>,
}

impl Places {
    /// The places of the user that runs this process (XDG variables are obeyed).
    pub fn of_this_user() -> Self {
        let Ok(base) = etcetera::choose_base_strategy() else { return Self::default() };
        let data_dir = base.data_dir().join("pillion");
        Self {
            config_file: Some(base.config_dir().join("pillion").join("config.toml")),
            log_file: Some(base.state_dir().map_or_else(|| data_dir.clone(), |state| state.join("pillion")).join(LOG_NAME)),
            data_dir: Some(data_dir),
        }
    }
}

const LOG_NAME: &str = "pillion.log";

/// Settles the paths that nobody set and no home gave: the log stands beside the data.
pub(super) fn require(settings: &mut Settings) -> Result<(), ConfigError> {
    if settings.data_dir.as_os_str().is_empty() {
        return Err(ConfigError::NoHome);
    }
    if settings.log_file.as_os_str().is_empty() {
        settings.log_file = settings.data_dir.join(LOG_NAME);
    }
    Ok(())
}
