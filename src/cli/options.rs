//! The flags that set [`Settings`], the same for every subcommand. What they accept is checked by `config`, so that a
//! flag, a variable and a line of the file are refused in the same words.

use crate::config::{ConfigError, Overrides, Places, Settings};
use crate::process;
use clap::Args;
use std::path::PathBuf;

/// Flags for settings; each is global.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings (environment variables in brackets; flags win)")]
pub(super) struct Options {
    /// Model for turns: openai:<model>, openai-responses:<model>, anthropic:<model>, ollama:<model>, scripted:<file.json>,
    /// local[:<file.gguf>] [PILLION_MODEL]
    #[arg(long, global = true, value_name = "PROVIDER:MODEL")]
    model: Option<String>,
    /// Model for titles, the same way; session (the session's own) or none [PILLION_TITLE_MODEL]
    #[arg(long, global = true, value_name = "PROVIDER:MODEL")]
    title_model: Option<String>,
    /// Base URL of the model's provider [PILLION_BASE_URL]
    #[arg(long, global = true, value_name = "URL")]
    base_url: Option<String>,
    /// Configuration file [PILLION_CONFIG; default ~/.config/pillion/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where sessions are kept [PILLION_DATA_DIR; default ~/.local/share/pillion]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Log file [PILLION_LOG; default ~/.local/state/pillion/pillion.log]
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<String>,
    /// off, error, warn, info, debug or trace [PILLION_LOG_LEVEL]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Framing of the server: lsp or jsonl; without it the first byte decides
    // Some editors add a bare `--stdio` to every server that they start.
    #[arg(long, global = true, value_name = "FRAMING", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    stdio: Option<String>,
    /// Sequential ids and a frozen clock, for tests; needs its own --data-dir
    #[arg(long, global = true)]
    deterministic: bool,
    /// At the end of input, finish pending requests and exit instead of stopping them
    #[arg(long, global = true)]
    drain: bool,
}

/// Which settings the help of a subcommand shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Where things are.
    Places,
    /// These, and which models are asked.
    Models,
}

/// The subcommand, and its own, with a help that shows so much; every flag is still taken.
pub(super) fn showing(subcommand: clap::Command, shown: Shown) -> clap::Command {
    let subcommand = subcommand.mut_subcommands(|subcommand| showing(subcommand, shown));
    subcommand.mut_args(|argument| {
        let is_hidden = match argument.get_id().as_str() {
            "stdio" | "deterministic" | "drain" => true,
            "model" | "title_model" | "base_url" => shown == Shown::Places,
            _ => return argument,
        };
        argument.hide(is_hidden)
    })
}

impl Options {
    /// The effective settings of this process.
    pub(super) fn settings(self) -> Result<Settings, ConfigError> {
        Settings::load(&self.overrides(), &variable)
    }

    /// The configuration file that is read, if it is there.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        let named = || variable("PILLION_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(named).or_else(|| Places::of_this_user().config_file)
    }

    fn overrides(self) -> Overrides {
        let flags = [
            ("--model", self.model),
            ("--title-model", self.title_model),
            ("--base-url", self.base_url),
            ("--data-dir", self.data_dir),
            ("--log-file", self.log_file),
            ("--log-level", self.log_level),
            ("--stdio", self.stdio.filter(|framing| framing != "auto")),
            ("--deterministic", self.deterministic.then(|| "true".to_owned())),
            ("--drain", self.drain.then(|| "true".to_owned())),
        ];
        Overrides { config: self.config, flags: flags.into_iter().filter_map(|(flag, value)| Some((flag, value?))).collect() }
    }
}

/// An environment variable of this process.
pub(super) fn variable(name: &str) -> Option<String> {
    process::variable(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SETTINGS;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn flags(arguments: &[&str]) -> Vec<(&'static str, String)> {
        let line = Line::try_parse_from(["pillion"].iter().chain(arguments)).expect("a command line");
        line.options.overrides().flags
    }

    #[test]
    fn every_flag_of_the_settings_can_be_given() {
        for flag in SETTINGS.iter().filter_map(|setting| setting.flag) {
            let argument = if matches!(flag, "--deterministic" | "--drain") { flag.to_owned() } else { format!("{flag}=x") };
            assert_eq!(flags(&[&argument]).iter().map(|(given, _)| *given).collect::<Vec<_>>(), [flag]);
        }
        assert_eq!(flags(&[]), []);
    }

    #[test]
    fn a_bare_stdio_forces_nothing_and_takes_no_word_after_it() {
        assert_eq!(flags(&["--stdio"]), []);
        assert_eq!(flags(&["--stdio", "--model", "local"]), [("--model", "local".to_owned())]);
        assert_eq!(flags(&["--stdio=lsp"]), [("--stdio", "lsp".to_owned())]);
    }
}
