//! Where requests go, and with which key.
//!
//! Invariant: what is shown of an endpoint holds neither the key nor the path of its URL.

use super::Protocol;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// A vendor's address with the headers of its requests.
pub struct Endpoint {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    key: Option<SecretString>,
}

/// How a vendor takes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer <key>`
    Bearer,
    /// A header of the vendor's own, in lower case, with nothing but the key.
    Named(&'static str),
}

/// Settings that no request can be made with. None of these texts holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("the base URL is not an http or https URL; write it like http://127.0.0.1:11434/v1")]
    BaseUrl,
    #[error("the base URL holds a user name or a password; take them out and set PILLION_API_KEY")]
    CredentialsInUrl,
    #[error("the API key holds characters that no HTTP header can carry; set PILLION_API_KEY again, without line breaks")]
    ApiKey,
}

impl Endpoint {
    /// Opens nothing.
    pub(super) fn new<P: Protocol>(base_url: &str, key: Option<SecretString>) -> Result<Self, OptionsError> {
        let mut url = Url::parse(base_url.trim()).map_err(|_| OptionsError::BaseUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OptionsError::BaseUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OptionsError::CredentialsInUrl);
        }
        // A query of the base URL goes with each request.
        let path = P::path(url.path().trim_end_matches('/'));
        url.set_path(&path);
        let key = key.map(|key| SecretString::from(key.expose_secret().trim())).filter(|key| !key.expose_secret().is_empty());
        let mut headers: HeaderMap =
            P::HEADERS.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        if let Some(key) = &key {
            let (name, value) = match P::KEY {
                KeyHeader::Bearer => (AUTHORIZATION, format!("Bearer {}", key.expose_secret())),
                KeyHeader::Named(name) => (HeaderName::from_static(name), key.expose_secret().to_owned()),
            };
            let mut value = HeaderValue::try_from(value).map_err(|_| OptionsError::ApiKey)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { url, headers, key })
    }

    /// The part of the URL that is fit to be shown: no path, no query.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether it is a host of this domain.
    pub(super) fn is_at(&self, domain: &str) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }

    /// `text` without the key, should a provider or a proxy have echoed it.
    pub(super) fn clean(&self, text: String) -> String {
        match &self.key {
            Some(key) if text.contains(key.expose_secret()) => text.replace(key.expose_secret(), "[key]"),
            _ => text,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("origin", &self.origin()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::anthropic::Messages;
    use crate::provider::openai::ChatCompletions;

    const KEY: &str = "sk-canary-5f2a";

    fn endpoint(base_url: &str, key: &str) -> Result<Endpoint, OptionsError> {
        Endpoint::new::<ChatCompletions>(base_url, Some(key.into()))
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let error = |base_url: &str, key: &str| endpoint(base_url, key).unwrap_err();
        assert_eq!(error("localhost:1234/v1", "k"), OptionsError::BaseUrl);
        assert_eq!(error("", "k"), OptionsError::BaseUrl);
        assert_eq!(error("https://me:secret@example.org/v1", "k"), OptionsError::CredentialsInUrl);
        assert_eq!(error("https://example.org/v1", "a\nb"), OptionsError::ApiKey);
    }

    #[test]
    fn a_base_url_may_be_that_of_the_endpoint_and_keeps_its_query() {
        let url = |base_url: &str| endpoint(base_url, "").unwrap().url.to_string();
        for base_url in ["http://h/v1", "http://h/v1/", "http://h/v1/chat/completions", "http://h/v1/chat/completions/"] {
            assert_eq!(url(base_url), "http://h/v1/chat/completions");
        }
        assert_eq!(url("https://h/openai/deployments/d?api-version=1"), "https://h/openai/deployments/d/chat/completions?api-version=1");
        assert_eq!(url("http://h"), "http://h/chat/completions");
        let messages = |base_url: &str| Endpoint::new::<Messages>(base_url, None).unwrap().url.to_string();
        for base_url in ["http://h", "http://h/", "http://h/v1", "http://h/v1/messages"] {
            assert_eq!(messages(base_url), "http://h/v1/messages");
        }
    }

    #[test]
    fn a_key_is_in_its_header_and_nowhere_else() {
        let endpoint = endpoint("https://example.org/v1/", &format!(" {KEY}\n")).unwrap();
        assert_eq!(endpoint.url.as_str(), "https://example.org/v1/chat/completions");
        assert_eq!(endpoint.headers[AUTHORIZATION], format!("Bearer {KEY}"));
        assert!(!format!("{endpoint:?} {:?}", endpoint.headers).contains(KEY));
        assert_eq!(endpoint.clean(format!("no: {KEY}")), "no: [key]");
    }
}
