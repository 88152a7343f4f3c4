//! Names of models: what stands behind `--model`. A name that parses is a provider that is built.

use std::fmt;

/// What every error about a model's name ends with.
const ALLOWED: &str = "a model is written `openai:<model>` (any server that speaks OpenAI's chat completions), \
                       `openai-responses:<model>` (OpenAI's Responses API), `anthropic:<model>`, `ollama:<model>`, \
                       `scripted:<file.json>`, `local` or `local:<file.gguf>`";

/// A model as it is chosen: `provider:model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    pub provider: ProviderKind,
    /// What follows the colon; empty only for `local`.
    pub model: String,
}

/// The provider protocols that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Chat completions, which many servers speak.
    OpenAi,
    /// OpenAI's own newer protocol. It has a name of its own, since most servers that speak the older one do not speak it.
    OpenAiResponses,
    Anthropic,
    Ollama,
    Scripted,
    Local,
}

/// Why a text names no model: said of the setting or the field that holds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadModelName {
    #[error("names no provider; {ALLOWED}")]
    NoProvider,
    #[error("names no model behind `{provider}:`; {ALLOWED}")]
    NoModel { provider: &'static str },
    #[error("asks for the provider `{0}`, which does not exist; {ALLOWED}")]
    UnknownProvider(String),
    #[error("must not hold control characters")]
    ControlCharacter,
}

impl ModelName {
    /// Reads `provider:model`. The model part is taken as it is: names with colons (`ollama:qwen3:8b`) are usual.
    ///
    /// # Errors
    /// Says what is wrong and lists what is allowed.
    pub fn parse(text: &str) -> Result<Self, BadModelName> {
        let (provider, model) = match text.split_once(':') {
            Some((provider, model)) => (provider, model.trim()),
            None => (text, ""),
        };
        let provider = match provider.trim() {
            "openai" => ProviderKind::OpenAi,
            "openai-responses" => ProviderKind::OpenAiResponses,
            "anthropic" => ProviderKind::Anthropic,
            "ollama" => ProviderKind::Ollama,
            "scripted" => ProviderKind::Scripted,
            "local" => ProviderKind::Local,
            // No colon: more likely a model's bare name than a provider's.
            _ if !text.contains(':') => return Err(BadModelName::NoProvider),
            other => return Err(BadModelName::UnknownProvider(other.escape_debug().to_string())),
        };
        if model.is_empty() && provider != ProviderKind::Local {
            return Err(BadModelName::NoModel { provider: provider.name() });
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
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::Scripted => "scripted",
            Self::Local => "local",
        }
    }

    /// The vendor's own variable for its key; absent where there is nothing to send a key to.
    pub const fn key_variable(self) -> Option<&'static str> {
        match self {
            Self::OpenAi | Self::OpenAiResponses => Some("OPENAI_API_KEY"),
            Self::Anthropic => Some("ANTHROPIC_API_KEY"),
            Self::Ollama => Some("OLLAMA_API_KEY"),
            Self::Scripted | Self::Local => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_written_as_it_was_read() {
        for text in [
            "openai:gpt-x",
            "openai:vendor/name",
            "openai-responses:gpt-x",
            "anthropic:claude-x",
            "ollama:qwen3:8b",
            "scripted:/tmp/turn one.json",
            "local",
            "local:model.gguf",
        ] {
            assert_eq!(ModelName::parse(text).expect(text).to_string(), text);
        }
        let name = ModelName::parse("ollama:qwen3:8b").expect("a name");
        assert_eq!((name.provider, name.model.as_str()), (ProviderKind::Ollama, "qwen3:8b"));
        assert_eq!(ModelName::parse(" openai : gpt-x ").expect("blanks are forgiven").to_string(), "openai:gpt-x");
    }

    #[test]
    fn what_names_no_model_is_told_what_does() {
        let error = |text: &str| ModelName::parse(text).expect_err(text).to_string();
        for text in ["gpt-x", "", "openai:", "ollama: ", "scripted", "anthropic:", "gemini:pro", "a\u{1b}b:c"] {
            assert!(error(text).ends_with(ALLOWED), "{text}: {}", error(text));
        }
        assert!(error("gemini:pro").starts_with("asks for the provider `gemini`, which does not exist"));
        assert!(error("openai:").starts_with("names no model behind `openai:`"));
        assert!(!error("a\u{1b}b:c").contains('\u{1b}'));
        assert_eq!(ModelName::parse("openai:a\nb"), Err(BadModelName::ControlCharacter));
    }
}
