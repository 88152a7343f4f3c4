//! Settings: one struct, filled from defaults, `config.toml`, the environment and flags, in that order.

use crate::provenance::Grace;
use secrecy::SecretString;
use std::path::PathBuf;
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
    /// The longest that a title generation may take.
    pub title_timeout: Duration,
    /// The provider's base URL; absent: the vendor's own.
    pub base_url: Option<String>,
    /// `PILLION_API_KEY`; absent: the vendor's own variable.
    pub api_key: Option<SecretString>,
    pub data_dir: PathBuf,
    pub log_file: PathBuf,
    pub log_level: tracing::level_filters::LevelFilter,
    /// Forced framing; absent: decided by the first byte.
    pub framing: Option<Framing>,
    pub deterministic: bool,
    pub grace: Grace,
    /// How long a permission question waits before it is a no.
    pub permission_deadline: Duration,
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

/// A model as it is chosen: `provider:model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    pub provider: ProviderKind,
    /// What follows the colon; empty only for `local`.
    pub model: String,
}

/// The provider protocols that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    OpenAi,
    Ollama,
    Scripted,
    Local,
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

/// The sizes that the wire holds to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub header_line: usize,
    pub header_block: usize,
    pub message: usize,
    /// Levels of nested arrays and objects.
    pub nesting: usize,
    /// Requests; cancels, answers to our own questions, `shutdown` and `exit` never count.
    pub in_flight: usize,
    /// Updates waiting to be written; a result is always admitted.
    pub outbox: usize,
    pub result: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_line: 1 << 10,
            header_block: 4 << 10,
            message: 16 << 20,
            nesting: 128,
            in_flight: 1024,
            outbox: 8 << 20,
            result: 64 << 20,
        }
    }
}
