//! OpenAI-compatible chat completions, against any base URL (OpenAI, Ollama, llama.cpp, LM Studio, vLLM, OpenRouter ...).
//!
//! Invariant: the key leaves this room only in the `Authorization` header of a request to the configured endpoint.

mod answer;
mod calls;
mod chunk;
mod fault;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use super::Provider;
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use futures_util::stream::BoxStream;
use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;

/// Where OpenAI itself answers.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// Where an Ollama on this machine answers.
pub const OLLAMA_BASE_URL: &str = "http://127.0.0.1:11434/v1";

/// One model behind an OpenAI-compatible endpoint.
#[derive(Debug, Clone)]
pub struct OpenAi {
    name: &'static str,
    model: Arc<str>,
    endpoint: Arc<Endpoint>,
}

/// What an [`OpenAi`] is made of.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// `openai` or `ollama`: what records call the provider.
    pub name: &'static str,
    /// Used as given, with `/chat/completions` behind it.
    pub base_url: String,
    pub model: String,
    pub api_key: Option<SecretString>,
}

/// Settings that no request can be made with. None of these texts holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("the base URL is no http or https URL; write it like {OLLAMA_BASE_URL}")]
    BaseUrl,
    #[error("the base URL holds a user name or a password; take them out and set PILLION_API_KEY")]
    CredentialsInUrl,
    #[error("the API key holds characters that no HTTP header can carry; set PILLION_API_KEY again, without line breaks")]
    ApiKey,
}

/// Where requests go, and with which key.
struct Endpoint {
    url: Url,
    authorization: Option<HeaderValue>,
    key: Option<SecretString>,
}

impl OpenAi {
    /// Opens nothing.
    ///
    /// # Errors
    /// The base URL or the key cannot be used.
    pub fn new(options: OpenAiOptions) -> Result<Self, OptionsError> {
        let url = format!("{}/chat/completions", options.base_url.trim().trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|_| OptionsError::BaseUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OptionsError::BaseUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OptionsError::CredentialsInUrl);
        }
        let key = options.api_key.map(|key| SecretString::from(key.expose_secret().trim())).filter(|key| !key.expose_secret().is_empty());
        let authorization = key.as_ref().map(bearer).transpose()?;
        Ok(Self { name: options.name, model: options.model.into(), endpoint: Arc::new(Endpoint { url, authorization, key }) })
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        self.name
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
        stream::open(Arc::clone(&self.endpoint), Arc::clone(&self.model), request)
    }
}

impl Endpoint {
    /// The part of the URL that is fit to be shown: no path, no query.
    fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// `text` without the key, should a provider or a proxy have echoed it.
    fn clean(&self, text: String) -> String {
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

fn bearer(key: &SecretString) -> Result<HeaderValue, OptionsError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).map_err(|_| OptionsError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}
