//! What can be wrong with a setting, said so that the reader knows where to change what.

use std::fmt;
use std::path::PathBuf;

/// Why the settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{origin} is `{}`, but it {must}", .value.escape_debug())]
    BadValue { origin: Origin, value: String, must: String },
    /// The value is not repeated: it may hold a password.
    #[error("{origin} {must}")]
    Rejected { origin: Origin, must: String },
    #[error("{}:{line}: there is no setting `{key}`; allowed here: {allowed}", .file.display())]
    UnknownKey { file: PathBuf, line: usize, key: String, allowed: String },
    #[error("{}:{line}: `{key}` {must}", .file.display())]
    WrongType { file: PathBuf, line: usize, key: String, must: &'static str },
    #[error("{}:{line}: `{key}`: keys are not read from files; set PILLION_API_KEY or the vendor's own variable", .file.display())]
    KeyInFile { file: PathBuf, line: usize, key: String },
    #[error("{}:{line}: not TOML: {message}", .file.display())]
    NotToml { file: PathBuf, line: usize, message: String },
    #[error("{named_by} names {}, which cannot be read: {error}", .file.display())]
    Unreadable { named_by: &'static str, file: PathBuf, error: std::io::Error },
    #[error("{}:{line}: [provider.{name}] {must}", .file.display())]
    BadProvider { file: PathBuf, line: usize, name: String, must: String },
    #[error("no setting has the flag `{flag}`")]
    UnknownFlag { flag: &'static str },
    #[error("no home directory was found; set HOME, or say where to keep sessions with --data-dir or PILLION_DATA_DIR")]
    NoHome,
    #[error(
        "the base URL {base_url} is neither encrypted nor on this machine, and the key in {variable} would travel in clear; \
         use https, or set PILLION_API_KEY to an empty value to send no key"
    )]
    KeyInClear { base_url: String, variable: String },
    #[error("{provider} at {base_url} needs a key, and {variable} is not set; set it where pillion is started{not_this}")]
    NoKey { provider: String, base_url: String, variable: String, not_this: String },
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File { file: PathBuf, line: usize, key: &'static str },
    Variable(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, key } => write!(f, "{}:{line}: `{key}`", file.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}
