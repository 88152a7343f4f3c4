//! Settings: one struct, filled from defaults, `config.toml`, the environment and flags, in that order.
//!
//! Invariant: nothing is read from a workspace, and no error, no digest and no `Debug` shows a key. Every setting
//! stands once in [`SETTINGS`], with all the places that can set it.

mod allowance;
mod durability;
mod error;
mod file;
mod keys;
mod limits;
mod model;
mod places;
mod provider;
mod retry;
mod sandbox;
mod setting;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod watchdogs;
mod workspace;

pub use allowance::Allowance;
pub use durability::Durability;
pub use error::{ConfigError, Origin};
pub use limits::Limits;
pub use model::{BadModelName, ModelName, ProviderKind};
pub use places::Places;
pub use provider::{Providers, RemoteProvider, Speaks};
pub use retry::Retry;
pub use sandbox::{Sandbox, SandboxMode, SandboxNetwork};
pub use setting::Setting;
pub use table::SETTINGS;
pub use watchdogs::Watchdogs;
pub use workspace::{WORKSPACE_FILE, strictest_rules, workspace_rules};

use crate::policy::Rules;
use crate::protocol::mode::Mode;
use crate::provenance::Grace;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything that can be set. Limits are in bytes unless they say otherwise.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `provider:model` for turns; absent until somebody chose one.
    pub model: Option<ModelName>,
    /// What writes titles.
    pub title_model: TitleModel,
    /// What becomes of a running title generation when its turn is cancelled.
    pub title_on_cancel: TitleOnCancel,
    /// When titles are asked for.
    pub title_begins: TitleBegins,
    /// The longest that a title generation may take.
    pub title_timeout: Duration,
    /// The base URL of [`Settings::model`]'s provider; absent: the vendor's own. Never ends with a slash.
    pub base_url: Option<String>,
    /// What a model's name can begin with, beside `scripted` and `local`.
    pub providers: Arc<Providers>,
    /// `PILLION_API_KEY`, for the provider of [`Settings::model`] alone; absent: the provider's own variable; empty: no key.
    pub api_key: Option<SecretString>,
    pub data_dir: PathBuf,
    /// What the end of a turn survives when it is answered.
    pub durability: Durability,
    pub log_file: PathBuf,
    pub log_level: tracing::level_filters::LevelFilter,
    /// Forced framing; absent: decided by the first byte.
    pub framing: Option<Framing>,
    /// Ids that count from 1 and a clock that stands still. The ids of two such runs collide, so each needs a data
    /// directory of its own.
    pub deterministic: bool,
    /// At the end of input the pending requests are finished and answered before the server leaves.
    pub drain: bool,
    pub grace: Grace,
    /// What is denied, asked about and allowed.
    pub rules: Arc<Rules>,
    /// The mode in which sessions begin.
    pub mode: Mode,
    /// How long a permission question waits before it is a no.
    pub permission_deadline: Duration,
    pub sandbox: Sandbox,
    pub watchdogs: Watchdogs,
    pub retry: Retry,
    pub allowance: Allowance,
    pub limits: Limits,
}

/// How messages are separated on stdio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// LSP base protocol headers.
    Headers,
    /// One JSON message a line.
    Lines,
}

/// What writes titles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TitleModel {
    /// The session's own provider and model.
    Session,
    Named(ModelName),
    /// Titles are switched off.
    Off,
}

/// What becomes of a title generation when its turn is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TitleOnCancel {
    Keep,
    Cancel,
}

/// When a title is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TitleBegins {
    /// With the turn's answer; after the turn where the server was seen to take one request at a time.
    Auto,
    WithAnswer,
    AfterTurn,
}

/// What the command line sets.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`: read instead of the user's own file, and must exist.
    pub config: Option<PathBuf>,
    /// Flags with their values, such as `("--model", "openai:gpt-x")`; each is the flag of a [`Setting`].
    pub flags: Vec<(&'static str, String)>,
}

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Defaults, then `config.toml`, then the environment, then flags: the later wins.
    ///
    /// # Errors
    /// Names the file and line, the variable or the flag that is wrong, and what it takes.
    pub fn load(flags: &Overrides, env: Environment<'_>) -> Result<Self, ConfigError> {
        Self::load_at(&Places::of_this_user(), flags, env)
    }

    /// [`Settings::load`] for a user whose directories are known.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_at(places: &Places, flags: &Overrides, env: Environment<'_>) -> Result<Self, ConfigError> {
        // An empty variable is an unset one, except for the key, where it says "send none".
        let env = |name: &str| env(name).filter(|value| !value.is_empty() || name == keys::VARIABLE);
        let mut settings = Self::defaults(places);
        file::apply(&mut settings, places, flags.config.as_deref(), &env)?;
        for (setting, name) in SETTINGS.iter().filter_map(|setting| Some((setting, setting.variable?))) {
            if let Some(value) = env(name) {
                setting.apply(&mut settings, &value, Origin::Variable(name))?;
            }
        }
        for (flag, value) in &flags.flags {
            match SETTINGS.iter().find(|setting| setting.flag == Some(flag)) {
                Some(setting) => setting.apply(&mut settings, value, Origin::Flag(flag))?,
                None => return Err(ConfigError::UnknownFlag { flag }),
            }
        }
        settings.api_key = env(keys::VARIABLE).map(SecretString::from);
        places::require(&mut settings)?;
        keys::check(&settings, &env)?;
        Ok(settings)
    }

    /// SHA-256 (hex) of the effective settings. Keys are left out, and so are paths: they differ
    /// between people with the same settings, and a short path could be guessed back from a digest.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for setting in SETTINGS {
            hash.update(format!("{}={}\n", setting.name(), setting.show(self).unwrap_or_default()));
        }
        for (name, provider) in self.providers.iter() {
            hash.update(format!("provider.{name}={provider:?}\n"));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn defaults(places: &Places) -> Self {
        Self {
            model: None,
            title_model: TitleModel::Session,
            title_on_cancel: TitleOnCancel::Keep,
            title_begins: TitleBegins::Auto,
            title_timeout: Duration::from_secs(30),
            base_url: None,
            providers: Arc::default(),
            api_key: None,
            data_dir: places.data_dir.clone().unwrap_or_default(),
            durability: Durability::Process,
            log_file: places.log_file.clone().unwrap_or_default(),
            log_level: tracing::level_filters::LevelFilter::INFO,
            framing: None,
            deterministic: false,
            drain: false,
            grace: Grace { soft: Duration::from_secs(2), hard: Duration::from_millis(250) },
            rules: Arc::default(),
            mode: Mode::default(),
            permission_deadline: Duration::from_secs(300),
            sandbox: Sandbox::default(),
            watchdogs: Watchdogs::default(),
            retry: Retry::default(),
            allowance: Allowance::default(),
            limits: Limits::default(),
        }
    }
}
