//! Names of models: what stands behind `--model`. A name that parses is of a provider that there is.

use super::provider::Providers;
use std::fmt;
use std::sync::Arc;

/// The longest name that a vendor's model has, in characters.
const MAX_MODEL_CHARS: usize = 200;

/// The longest path of a script or of a model's file.
const MAX_PATH_CHARS: usize = 4096;

/// A model as it is chosen: `provider:model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    pub provider: ProviderKind,
    /// What follows the colon; empty only for `local`.
    pub model: String,
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKind {
    /// Behind one of [`Providers`].
    Remote(Arc<str>),
    /// A script in the place of a model.
    Scripted,
    /// In this process.
    Local,
}

/// Why a text names no model: said of the setting or the field that holds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadModelName {
    #[error("names no provider; {0}")]
    NoProvider(Allowed),
    #[error("names no model behind `{provider}:`; {allowed}")]
    NoModel { provider: String, allowed: Allowed },
    #[error("asks for the provider `{provider}`, which does not exist; {allowed}")]
    UnknownProvider { provider: String, allowed: Allowed },
    #[error("must have at most {0} characters behind its colon")]
    TooLong(usize),
    #[error("must not hold control characters")]
    ControlCharacter,
}

/// What can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed(String);

impl Allowed {
    fn of(providers: &Providers) -> Self {
        let names: Vec<_> = providers.iter().map(|(name, _)| &**name).collect();
        Self(format!("write `provider:model` with one of {}, or `scripted:<file.json>`, `local`, `local:<file.gguf>`", names.join(", ")))
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ModelName {
    /// Reads `provider:model`. The model part is taken as it is: names with colons (`ollama:qwen3:8b`) are usual.
    ///
    /// # Errors
    /// Says what is wrong and lists what is allowed.
    pub fn parse(text: &str, providers: &Providers) -> Result<Self, BadModelName> {
        let allowed = || Allowed::of(providers);
        let (provider, model) = match text.split_once(':') {
            Some((provider, model)) => (provider.trim(), model.trim()),
            None => (text.trim(), ""),
        };
        let provider = match provider {
            "scripted" => ProviderKind::Scripted,
            "local" => ProviderKind::Local,
            name => match providers.iter().find(|(known, _)| ***known == *name) {
                Some((known, _)) => ProviderKind::Remote(Arc::clone(known)),
                // No colon: more likely a model's bare name than a provider's.
                None if !text.contains(':') => return Err(BadModelName::NoProvider(allowed())),
                None => return Err(BadModelName::UnknownProvider { provider: name.escape_debug().to_string(), allowed: allowed() }),
            },
        };
        if model.is_empty() && provider != ProviderKind::Local {
            return Err(BadModelName::NoModel { provider: provider.name().to_owned(), allowed: allowed() });
        }
        let most = if matches!(provider, ProviderKind::Remote(_)) { MAX_MODEL_CHARS } else { MAX_PATH_CHARS };
        if model.chars().nth(most).is_some() {
            return Err(BadModelName::TooLong(most));
        }
        if model.chars().any(char::is_control) {
            return Err(BadModelName::ControlCharacter);
        }
        Ok(Self { provider, model: model.to_owned() })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provider.name())?;
        if self.model.is_empty() { Ok(()) } else { write!(f, ":{}", self.model) }
    }
}

impl ProviderKind {
    /// The first half of `provider:model`.
    pub fn name(&self) -> &str {
        match self {
            Self::Remote(name) => name,
            Self::Scripted => "scripted",
            Self::Local => "local",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ModelName, BadModelName> {
        ModelName::parse(text, &Providers::default())
    }

    #[test]
    fn a_model_is_written_as_it_was_read() {
        for text in [
            "openai:gpt-x",
            "openai:vendor/name",
            "openai-responses:gpt-x",
            "anthropic:claude-x",
            "openrouter:vendor/name:free",
            "ollama:qwen3:8b",
            "scripted:/tmp/turn one.json",
            "local",
            "local:model.gguf",
        ] {
            assert_eq!(parse(text).expect(text).to_string(), text);
        }
        let name = parse("ollama:qwen3:8b").expect("a name");
        assert_eq!((name.provider.name(), name.model.as_str()), ("ollama", "qwen3:8b"));
        assert_eq!(parse(" openai : gpt-x ").expect("blanks are forgiven").to_string(), "openai:gpt-x");
    }

    #[test]
    fn what_names_no_model_is_told_what_does() {
        let error = |text: &str| parse(text).expect_err(text).to_string();
        let allowed = "write `provider:model` with one of anthropic, deepseek, groq, mistral, ollama, openai, openai-responses, openrouter, \
                       xai, or `scripted:<file.json>`, `local`, `local:<file.gguf>`";
        for text in ["gpt-x", "", "openai:", "ollama: ", "scripted", "anthropic:", "nobody:pro", "a\u{1b}b:c"] {
            assert!(error(text).ends_with(allowed), "{text}: {}", error(text));
        }
        assert!(error("nobody:pro").starts_with("asks for the provider `nobody`, which does not exist"));
        assert!(error("openai:").starts_with("names no model behind `openai:`"));
        assert!(!error("a\u{1b}b:c").contains('\u{1b}'));
        assert_eq!(parse("openai:a\nb"), Err(BadModelName::ControlCharacter));
        assert!(parse(&format!("openai:{}", "ä".repeat(200))).is_ok());
        assert_eq!(error(&format!("openai:{}", "ä".repeat(201))), "must have at most 200 characters behind its colon");
    }
}
