//! Keys: which one belongs to which provider, and every value that must appear nowhere.
//!
//! Invariant: a key goes to the provider that it was given for, and never in clear over a network.

use super::{ConfigError, Environment, ModelName, ProviderKind, Settings, TitleModel};
use secrecy::{ExposeSecret as _, SecretString};

/// The variable of the configured key.
pub(super) const VARIABLE: &str = "PILLION_API_KEY";

/// The shortest value of a secret-named variable that counts as a secret: shorter ones would blot out plain words.
const SHORTEST_SECRET: usize = 8;

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

    /// Every value that must appear in no export and no log: the configured key, and the values of variables whose
    /// names say that they are secret.
    pub fn known_keys(&self, environment: impl IntoIterator<Item = (String, String)>) -> Vec<SecretString> {
        let configured = self.api_key.iter().map(|key| key.expose_secret().to_owned());
        let named = environment.into_iter().filter(|(name, _)| is_secret_name(name)).map(|(_, value)| value);
        let mut keys: Vec<String> = configured.chain(named).filter(|value| value.len() >= SHORTEST_SECRET).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(SecretString::from).collect()
    }

    fn is_configured(&self, provider: ProviderKind) -> bool {
        self.model.as_ref().is_none_or(|model| model.provider == provider)
    }
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
    let Ok(url) = reqwest::Url::parse(url) else { return true };
    let host = url.host_str().unwrap_or_default();
    let is_loopback = match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    url.scheme() != "https" && !is_loopback
}

/// Whether a variable's name says that its value is a secret. A path to a secret is none.
fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 11] =
        ["KEY", "KEYS", "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS"];
    const PLACES: [&str; 5] = ["PATH", "FILE", "DIR", "SOCK", "HOME"];
    let name = name.to_ascii_uppercase();
    let mut words = name.split(['_', '-', '.']);
    let is_place = words.clone().next_back().is_some_and(|last| PLACES.contains(&last));
    !is_place && words.any(|word| WORDS.contains(&word) || ["APIKEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|end| word.ends_with(end)))
}
