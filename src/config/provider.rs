//! Providers: what can stand before the colon of a model's name, where each answers, what it speaks, and whose key it takes.
//!
//! Invariant: an address of a vendor that is known here takes that vendor's key alone, whatever protocol it is asked in.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The protocols that models are asked in over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// OpenAI's chat completions, which many servers speak.
    ChatCompletions,
    /// OpenAI's Responses API.
    Responses,
    /// Anthropic's Messages API.
    Messages,
}

/// A provider that is asked over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteProvider {
    pub speaks: Speaks,
    /// Without a slash at its end.
    pub base_url: String,
    /// The variable that holds its key.
    pub key_variable: Option<String>,
    /// Without a key nothing is sent.
    pub needs_key: bool,
}

/// Every provider that is asked over HTTP, by name: the vendors that are known, and those of the user's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers(BTreeMap<Arc<str>, RemoteProvider>);

const KEY: bool = true;
const KEY_IF_SET: bool = false;

/// The vendors that are known.
const VENDORS: [(&str, Speaks, &str, &str, bool); 9] = [
    ("anthropic", Speaks::Messages, "https://api.anthropic.com", "ANTHROPIC_API_KEY", KEY),
    ("deepseek", Speaks::ChatCompletions, "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", KEY),
    ("groq", Speaks::ChatCompletions, "https://api.groq.com/openai/v1", "GROQ_API_KEY", KEY),
    ("mistral", Speaks::ChatCompletions, "https://api.mistral.ai/v1", "MISTRAL_API_KEY", KEY),
    ("ollama", Speaks::ChatCompletions, "http://127.0.0.1:11434/v1", "OLLAMA_API_KEY", KEY_IF_SET),
    ("openai", Speaks::ChatCompletions, "https://api.openai.com/v1", "OPENAI_API_KEY", KEY),
    ("openai-responses", Speaks::Responses, "https://api.openai.com/v1", "OPENAI_API_KEY", KEY),
    ("openrouter", Speaks::ChatCompletions, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", KEY),
    ("xai", Speaks::ChatCompletions, "https://api.x.ai/v1", "XAI_API_KEY", KEY),
];

/// The protocol's name, as `[provider.NAME]` says it.
pub(super) const PROTOCOLS: [(&str, Speaks); 3] =
    [("openai", Speaks::ChatCompletions), ("openai-responses", Speaks::Responses), ("anthropic", Speaks::Messages)];

impl Providers {
    pub fn get(&self, name: &str) -> Option<&RemoteProvider> {
        self.0.get(name)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &RemoteProvider)> {
        self.0.iter()
    }

    /// Whose address this is, if it is one that takes a key.
    pub(super) fn at(&self, base_url: &str) -> Option<&RemoteProvider> {
        let origin = origin(base_url)?;
        self.0.values().find(|known| known.needs_key && self::origin(&known.base_url).is_some_and(|known| known == origin))
    }

    pub(super) fn insert(&mut self, name: &str, provider: RemoteProvider) {
        self.0.insert(name.into(), provider);
    }
}

/// The vendors alone.
impl Default for Providers {
    fn default() -> Self {
        let entry = |(name, speaks, base_url, key, needs_key): (&str, _, &str, &str, _)| {
            (name.into(), RemoteProvider { speaks, base_url: base_url.into(), key_variable: Some(key.into()), needs_key })
        };
        Self(VENDORS.map(entry).into())
    }
}

fn origin(url: &str) -> Option<url::Origin> {
    url::Url::parse(url).ok().map(|url| url.origin())
}
