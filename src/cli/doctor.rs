//! `pillion doctor`: where things are, whether they are well, which models are within reach, what commands are held to, what
//! stopped last.

use super::exit::Exit;
use super::options::{self, Options};
use super::output::Output;
use super::sessions::runs;
use super::when;
use crate::build_info;
use crate::config::{ConfigError, ProviderKind, SandboxMode, SandboxNetwork, Settings, TitleModel};
use crate::host::Host;
use crate::process::{self, Ability, Hold};
use crate::protocol::export::Incident;
use crate::protocol::ids::{SessionId, TurnId};
use crate::provider::reach;
use crate::store::{Health, Store, StoreError};
use crate::text::plain;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// How many of the last aborts are told.
const ABORTS: usize = 5;

/// How many of the last incidents.
const INCIDENTS: usize = 5;

/// How long a server on this machine may take to say which models it has.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is found, line by line, and whether anything of it is broken.
struct Report {
    text: String,
    verdict: Exit,
}

/// Says how things are. Only this machine is asked: no request leaves it, and no key is shown.
pub(super) async fn run(options: Options) -> anyhow::Result<Exit> {
    let mut report = Report { text: format!("pillion {}\n", build_info::version_line()), verdict: Exit::Done };
    let file = options.config_file();
    match options.settings() {
        Ok(settings) => {
            report.paths(&settings, file.as_deref());
            report.models(&settings).await;
            report.sandbox(&settings, &process::ability());
            report.store(&settings).await;
        }
        Err(error) => report.broken("settings", &error),
    }
    Output::stdout().write_all(report.text.as_bytes())?;
    Ok(report.verdict)
}

impl Report {
    fn paths(&mut self, settings: &Settings, config_file: Option<&Path>) {
        self.heading("paths");
        match config_file {
            Some(file) => self.line("settings", &place(file)),
            None => self.line("settings", &"no home directory; name a file with --config or PILLION_CONFIG"),
        }
        self.line("data", &place(&settings.data_dir));
        self.line("log", &place(&settings.log_file));
    }

    async fn models(&mut self, settings: &Settings) {
        self.heading("models");
        match &settings.model {
            Some(model) => self.line("turns", &format!("{model}{}", endpoint(settings, &model.provider))),
            None => self.line("turns", &"none chosen; set --model, PILLION_MODEL or `model` in the settings"),
        }
        match &settings.title_model {
            TitleModel::Session => self.line("titles", &"the session's own model"),
            TitleModel::Named(model) => self.line("titles", &format!("{model}{}", endpoint(settings, &model.provider))),
            TitleModel::Off => self.line("titles", &"off"),
        }
        let found = reach::within_reach(&settings.providers, PATIENCE).await;
        for found in &found {
            self.line("in reach", found);
        }
        if found.is_empty() {
            self.line("in reach", &"no model server answers on this machine, and no vendor's key is set");
        }
    }

    /// What commands that are confined are held to, and what of it this machine cannot do.
    fn sandbox(&mut self, settings: &Settings, can: &Ability) {
        self.heading("sandbox");
        let sandbox = &settings.sandbox;
        let writes = "only to the workspace and `sandbox.writable`; not stopped: other modes, owners and times of files elsewhere";
        let network = "none; not stopped: services of this machine that listen on a socket file, such as Docker's or D-Bus";
        self.held("writes", sandbox.mode, &can.writes, writes);
        match sandbox.network {
            SandboxNetwork::Off => self.held("network", sandbox.mode, &can.network, network),
            SandboxNetwork::On => self.line("network", &"allowed by `sandbox.network`"),
        }
    }

    fn held(&mut self, name: &str, mode: SandboxMode, hold: &Hold, what: &str) {
        match (mode, hold) {
            (SandboxMode::Off, _) => self.line(name, &"not confined: `sandbox.mode` is `off`"),
            (_, Hold::Full { by }) => self.line(name, &format!("{what} ({by})")),
            (SandboxMode::On, Hold::Partial { by, lacks }) => self.line(name, &format!("in part: {lacks} ({by})")),
            (SandboxMode::On, Hold::None { why }) => self.line(name, &format!("NOT confined: {why}")),
            (SandboxMode::Require, Hold::Partial { lacks: why, .. } | Hold::None { why }) => {
                self.broken(name, &format!("no command runs, since `sandbox.mode` is `require`: {why}"));
            }
        }
    }

    async fn store(&mut self, settings: &Settings) {
        self.heading("store");
        let Some(host) = Host::of_what_is_stored(settings.clone()) else {
            return self.line("file", &"none yet; the first session creates it");
        };
        host.recover().await;
        self.stored(&host.parts.store).await;
        host.close().await;
    }

    async fn stored(&mut self, store: &Store) {
        match store.health().await {
            Ok(health) => self.health(&health),
            Err(error) => return self.broken("store", &error),
        }
        match store.open_turns().await {
            Ok(open) => open.iter().for_each(|turn| self.line("open", &format!("{} {} {}", turn.session_id, turn.turn_id, runs(turn)))),
            Err(error) => self.broken("open", &error),
        }
        match store.recent_aborts(ABORTS).await {
            Ok(aborts) if aborts.is_empty() => {}
            Ok(aborts) => {
                self.heading("last aborts");
                for abort in aborts {
                    let sentence = abort.sentence();
                    self.line(&when(abort.began_at()), &format!("{} {}: {sentence}", abort.session_id, abort.abort_id));
                }
            }
            Err(error) => self.broken("last aborts", &error),
        }
        match store.recent_incidents(INCIDENTS).await {
            Ok(incidents) if incidents.is_empty() => {}
            Ok(incidents) => {
                self.heading("last incidents");
                incidents.iter().for_each(|incident| self.line(&when(incident.at), &told(incident)));
            }
            Err(error) => self.broken("last incidents", &error),
        }
    }

    fn health(&mut self, health: &Health) {
        self.line("file", &format!("{}, {} kB", health.path.display(), health.bytes.div_ceil(1000)));
        self.line("holds", &format!("{} sessions, {} turns, {} of them open", health.sessions, health.turns, health.open_turns));
        self.line("SQLite", &format!("{}, schema {}, {}", health.sqlite_version, health.schema_version, health.journal_mode));
        if health.read_only {
            self.broken("store", &StoreError::ReadOnly { file: health.path.clone() });
        }
        for warning in &health.warnings {
            self.line("warning", warning);
        }
        for damage in &health.damage {
            self.broken("damage", damage);
        }
    }

    fn heading(&mut self, name: &str) {
        let _ = writeln!(self.text, "\n{name}");
    }

    fn line(&mut self, name: &str, what: &dyn Display) {
        let _ = writeln!(self.text, "  {name:<10}  {}", plain(&what.to_string()));
    }

    fn broken(&mut self, name: &str, why: &dyn Display) {
        self.line(name, &format!("BROKEN: {why}"));
        self.verdict = Exit::Failed;
    }
}

/// A path, and whether something is there yet.
fn place(path: &Path) -> String {
    let state = if path.exists() { "" } else { " (does not exist)" };
    format!("{}{state}", path.display())
}

/// Where requests for a provider go, and whether with a key.
fn endpoint(settings: &Settings, provider: &ProviderKind) -> String {
    let Some(url) = settings.base_url_of(provider) else { return String::new() };
    // What follows the question mark may hold a key.
    let url = url.split('?').next().unwrap_or_default();
    match settings.key_of(provider, &options::variable) {
        Ok(Some(_)) => format!(" at {url}, with a key"),
        Ok(None) => format!(" at {url}, without a key"),
        Err(ConfigError::NoKey { variable, .. }) => format!(" at {url}, which needs a key: {variable} is not set"),
        Err(_) => format!(" at {url}, whose key would travel in clear"),
    }
}

/// An incident in one line.
fn told(incident: &Incident) -> String {
    let of =
        [incident.session_id.as_ref().map(SessionId::as_str), incident.turn_id.as_ref().map(TurnId::as_str), incident.method.as_deref()];
    let of: String = of.into_iter().flatten().map(|of| format!(" {of}")).collect();
    let at = incident.panicked_at.as_ref().map(|at| format!(" at {}:{}", at.file, at.line)).unwrap_or_default();
    plain(&format!("{}{of}: {}{at}", incident.name, incident.message)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_is_told_as_far_as_the_machine_goes_and_as_the_settings_want_it() {
        let full = || Hold::Full { by: "Landlock 7".into() };
        let partial = || Hold::Partial { by: "Landlock 1".into(), lacks: "files can be truncated".into() };
        let none = || Hold::None { why: "there is none".into() };
        let told = |mode, hold: &Hold| {
            let mut report = Report { text: String::new(), verdict: Exit::Done };
            report.held("writes", mode, hold, "only here");
            (report.text, report.verdict)
        };
        for (mode, hold, text, verdict) in [
            (SandboxMode::On, full(), "only here (Landlock 7)", Exit::Done),
            (SandboxMode::Require, full(), "only here (Landlock 7)", Exit::Done),
            (SandboxMode::On, partial(), "in part: files can be truncated (Landlock 1)", Exit::Done),
            (SandboxMode::On, none(), "NOT confined: there is none", Exit::Done),
            (
                SandboxMode::Require,
                partial(),
                "BROKEN: no command runs, since `sandbox.mode` is `require`: files can be truncated",
                Exit::Failed,
            ),
            (SandboxMode::Require, none(), "BROKEN: no command runs, since `sandbox.mode` is `require`: there is none", Exit::Failed),
            (SandboxMode::Off, full(), "not confined: `sandbox.mode` is `off`", Exit::Done),
        ] {
            assert_eq!(told(mode, &hold), (format!("  writes      {text}\n"), verdict));
        }
    }
}
