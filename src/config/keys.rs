//! Keys: which one belongs to which provider, and every value that must appear nowhere.
//!
//! Invariant: a key goes to the provider that it was given for, and never in clear over a network.

use super::{ConfigError, Environment, ModelName, ProviderKind, Settings, TitleModel};
use crate::provenance::{KnownKeys, names_a_secret};
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::OsString;

/// The variable of the configured key.
pub(super) const VARIABLE: &str = "PILLION_API_KEY";

impl Settings {
    /// The base URL that was set for this provider. It belongs to the provider of [`Settings::model`]: a title model of
    /// another vendor does not send its texts there.
    pub fn base_url_of(&self, provider: ProviderKind) -> Option<&str> {
        self.base_url.as_deref().filter(|_| self.is_configured(provider))
    }

    /// The key for this provider: the configured one if it was given for it, else the vendor's own variable.
    ///
    /// # Errors
    /// The key would travel in clear to another machine.
    pub fn key_of(&self, provider: ProviderKind, env: Environment<'_>) -> Result<Option<SecretString>, ConfigError> {
        let Some(vendor) = provider.key_variable() else { return Ok(None) };
        let (variable, key) = match &self.api_key {
            Some(key) if self.is_configured(provider) => (VARIABLE, Some(key.clone())),
            _ => (vendor, env(vendor).map(SecretString::from)),
        };
        let Some(key) = key.filter(|key| !key.expose_secret().is_empty()) else { return Ok(None) };
        match self.base_url_of(provider) {
            Some(url) if travels_in_clear(url) => Err(ConfigError::KeyInClear { base_url: url.to_owned(), variable }),
            _ => Ok(Some(key)),
        }
    }

    /// Every value that must appear in no answer, no export and no log: the configured key, and the values of variables
    /// whose names say that they are secret.
    pub fn known_keys(&self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> KnownKeys {
        let text = |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned());
        KnownKeys::from_environment(self.api_key.as_ref().map(|key| key.expose_secret()), environment.into_iter().map(text))
    }

    fn is_configured(&self, provider: ProviderKind) -> bool {
        self.model.as_ref().is_none_or(|model| model.provider == provider)
    }
}

/// What a command that pillion runs finds in its environment: pillion's own, without what is secret, and with the word
/// that nobody sits at a terminal.
pub fn command_environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    const NO_TERMINAL: [(&str, &str); 3] = [("TERM", "dumb"), ("PAGER", "cat"), ("GIT_PAGER", "cat")];
    let is_ours = |name: &OsString| NO_TERMINAL.iter().any(|(ours, _)| name == ours);
    let kept = variables.into_iter().filter(|(name, _)| !is_ours(name) && !names_a_secret(&name.to_string_lossy()));
    kept.chain(NO_TERMINAL.iter().map(|(name, value)| (name.into(), value.into()))).collect()
}

/// Refuses settings whose very first request would send a key in clear.
pub(super) fn check(settings: &Settings, env: Environment<'_>) -> Result<(), ConfigError> {
    let title = match &settings.title_model {
        TitleModel::Named(ModelName { provider, .. }) => Some(*provider),
        TitleModel::Session | TitleModel::Off => None,
    };
    for provider in settings.model.as_ref().map(|model| model.provider).into_iter().chain(title) {
        settings.key_of(provider, env)?;
    }
    Ok(())
}

/// Plain http to anything but this machine.
fn travels_in_clear(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return true };
    // An address in brackets parses once the brackets are gone; a name is loopback when RFC 6761 says so.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.');
    let is_loopback = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    url.scheme() != "https" && !is_loopback
}
