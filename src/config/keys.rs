//! Keys: which one belongs to which provider, and every value that must appear nowhere.
//!
//! Invariant: a key goes to the provider and the address that it was given for, and never in clear over a network. Where a
//! key is needed and there is none, nothing is sent.

use super::provider::{Providers, RemoteProvider};
use super::{ConfigError, Environment, ModelName, ProviderKind, Settings, TitleModel};
use crate::provenance::{KnownKeys, names_a_secret};
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::OsString;

/// The variable of the configured model's key.
pub(super) const VARIABLE: &str = "PILLION_API_KEY";

impl Settings {
    /// Where this provider is asked; absent where nothing is asked over HTTP. The configured base URL belongs to the provider
    /// of [`Settings::model`]: a title model of another vendor does not send its texts there.
    pub fn base_url_of(&self, provider: &ProviderKind) -> Option<&str> {
        let remote = self.remote(provider)?;
        let belongs = self.model.as_ref().is_none_or(|model| model.provider == *provider);
        Some(self.base_url.as_deref().filter(|_| belongs).unwrap_or(&remote.base_url))
    }

    /// The key for this provider: the configured one if the configured model is this provider's, else that of whose address it
    /// is. None where the address takes none, or the user said to send none.
    ///
    /// # Errors
    /// The key would travel in clear to another machine, or there is none and it is needed.
    pub fn key_of(&self, provider: &ProviderKind, env: Environment<'_>) -> Result<Option<SecretString>, ConfigError> {
        let (Some(remote), Some(url)) = (self.remote(provider), self.base_url_of(provider)) else { return Ok(None) };
        let (variable, key) = match &self.api_key {
            Some(key) if self.is_configured(provider) => (VARIABLE, Some(key.clone())),
            _ => {
                let (variable, needs_key) = self.whose(url, remote);
                let Some(variable) = variable else { return Ok(None) };
                let key = env(variable).filter(|key| !key.is_empty()).map(SecretString::from);
                if key.is_none() && needs_key {
                    return Err(self.no_key(provider, url, variable));
                }
                (variable, key)
            }
        };
        let Some(key) = key.filter(|key| !key.expose_secret().is_empty()) else { return Ok(None) };
        if travels_in_clear(url) {
            return Err(ConfigError::KeyInClear { base_url: url.to_owned(), variable: variable.to_owned() });
        }
        Ok(Some(key))
    }

    /// Every value that must appear in no answer, no export and no log: the configured key, those of providers, and the values
    /// of variables whose names say that they are secret.
    pub fn known_keys(&self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> KnownKeys {
        let text = |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned());
        let is_secret = |name: &str| self.is_secret(name);
        KnownKeys::from_environment(self.api_key.as_ref().map(|key| key.expose_secret()), environment.into_iter().map(text), is_secret)
    }

    /// Whether the value of this variable is one of those.
    pub fn is_secret(&self, variable: &str) -> bool {
        is_secret(variable, &self.providers)
    }

    /// What a command that pillion runs finds in its environment: pillion's own, without what is secret, and with the word
    /// that nobody sits at a terminal.
    pub fn command_environment(&self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
        const NO_TERMINAL: [(&str, &str); 3] = [("TERM", "dumb"), ("PAGER", "cat"), ("GIT_PAGER", "cat")];
        let is_ours = |name: &OsString| NO_TERMINAL.iter().any(|(ours, _)| name == ours);
        let kept = variables.into_iter().filter(|(name, _)| !is_ours(name) && !self.is_secret(&name.to_string_lossy()));
        kept.chain(NO_TERMINAL.iter().map(|(name, value)| (name.into(), value.into()))).collect()
    }

    fn remote(&self, provider: &ProviderKind) -> Option<&RemoteProvider> {
        match provider {
            ProviderKind::Remote(name) => self.providers.get(name),
            ProviderKind::Scripted | ProviderKind::Local => None,
        }
    }

    /// The variable whose key the address takes, and whether it is needed: its vendor's, wherever one is known.
    fn whose<'s>(&'s self, url: &str, remote: &'s RemoteProvider) -> (Option<&'s str>, bool) {
        let owner = if url == remote.base_url { Some(remote) } else { self.providers.at(url) };
        match owner {
            Some(owner) => (owner.key_variable.as_deref(), owner.needs_key),
            None => (remote.key_variable.as_deref(), false),
        }
    }

    fn no_key(&self, provider: &ProviderKind, url: &str, variable: &str) -> ConfigError {
        let not_this = match (&self.api_key, &self.model) {
            (None, _) => String::new(),
            (Some(_), Some(model)) => format!("; {VARIABLE} is the key of the configured model's provider, {}", model.provider.name()),
            (Some(_), None) => format!("; {VARIABLE} is the key of the configured model's provider, and no model is configured"),
        };
        let (provider, base_url, variable) = (provider.name().to_owned(), url.to_owned(), variable.to_owned());
        ConfigError::NoKey { provider, base_url, variable, not_this }
    }

    fn is_configured(&self, provider: &ProviderKind) -> bool {
        self.model.as_ref().is_some_and(|model| model.provider == *provider)
    }
}

fn is_secret(name: &str, providers: &Providers) -> bool {
    names_a_secret(name) || providers.iter().any(|(_, provider)| provider.key_variable.as_deref() == Some(name))
}

/// Refuses settings whose very first request would send a key in clear.
pub(super) fn check(settings: &Settings, env: Environment<'_>) -> Result<(), ConfigError> {
    let title = match &settings.title_model {
        TitleModel::Named(ModelName { provider, .. }) => Some(provider),
        TitleModel::Session | TitleModel::Off => None,
    };
    for provider in settings.model.as_ref().map(|model| &model.provider).into_iter().chain(title) {
        match settings.key_of(provider, env) {
            // It is told where a model is asked: a session may choose another.
            Ok(_) | Err(ConfigError::NoKey { .. }) => {}
            Err(error) => return Err(error),
        }
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
