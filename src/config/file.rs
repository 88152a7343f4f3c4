//! Reads `config.toml`: a flat walk over its sections, so that every error has a line and names what is allowed there.

use super::provider::{PROTOCOLS, RemoteProvider};
use super::setting::Shape;
use super::value::{self, Bad};
use super::{ConfigError, Environment, Origin, Places, SETTINGS, Settings};
use crate::protocol::ids::is_plain_name;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Applies the file that `--config` or `PILLION_CONFIG` names (it must exist), else the user's own, if there is one.
pub(super) fn apply(settings: &mut Settings, places: &Places, flag: Option<&Path>, env: Environment<'_>) -> Result<(), ConfigError> {
    let variable = env("PILLION_CONFIG");
    let (named_by, path) = match (flag, &variable, &places.config_file) {
        (Some(path), _, _) => ("--config", path),
        (None, Some(path), _) => ("PILLION_CONFIG", Path::new(path)),
        (None, None, Some(path)) => ("the default", path.as_path()),
        (None, None, None) => return Ok(()),
    };
    let is_optional = named_by == "the default";
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if is_optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ConfigError::Unreadable { named_by, file: path.to_owned(), error }),
    };
    File { path, text: &text }.apply(settings)
}

/// The section of providers, which has a section for each.
const PROVIDERS: &str = "provider";

/// A configuration file that is being read.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn apply(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        let root = DeTable::parse(self.text).map_err(|error| ConfigError::NotToml {
            file: self.path.to_owned(),
            line: self.line(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', "; "),
        })?;
        let root = root.get_ref();
        // First, since models are named by them.
        if let Some(providers) = root.get(PROVIDERS) {
            self.apply_providers(settings, providers)?;
        }
        self.apply_table(settings, "", root)
    }

    fn apply_providers(&self, settings: &mut Settings, section: &Spanned<DeValue<'_>>) -> Result<(), ConfigError> {
        let must = "is a section of sections, such as [provider.my-gateway]";
        let table = section.get_ref().as_table().ok_or_else(|| self.wrong_type(section, PROVIDERS, must))?;
        for (name, value) in table {
            let name: &str = name.get_ref();
            let fields = value.get_ref().as_table().ok_or_else(|| self.wrong_type(value, &format!("{PROVIDERS}.{name}"), must))?;
            let provider = self.provider(settings, name, fields, self.line(value.span().start))?;
            Arc::make_mut(&mut settings.providers).insert(name, provider);
        }
        Ok(())
    }

    /// One `[provider.NAME]`: a provider of the user's own, or what is different about one that is known.
    fn provider(&self, settings: &Settings, name: &str, fields: &DeTable<'_>, line: usize) -> Result<RemoteProvider, ConfigError> {
        let bad = |line, must: String| ConfigError::BadProvider { file: self.path.to_owned(), line, name: name.to_owned(), must };
        if !is_plain_name(name) || name.contains(':') || ["scripted", "local"].contains(&name) {
            let must = "needs another name: letters, digits, dots and dashes, and neither `scripted` nor `local`";
            return Err(bad(line, must.into()));
        }
        let known = settings.providers.get(name);
        let (mut speaks, mut base_url, mut key_env) = (None, None, None);
        for (field, value) in fields {
            let (key, line) = (format!("{PROVIDERS}.{name}.{}", field.get_ref()), self.line(field.span().start));
            let text = || self.scalar(value, &key, Shape::Text);
            match field.get_ref().as_ref() {
                "protocol" if known.is_some() => return Err(bad(line, "has a `protocol` of its own that cannot be changed".into())),
                "protocol" => {
                    let text = text()?;
                    let found = PROTOCOLS.iter().find(|(word, _)| *word == text).map(|(_, speaks)| *speaks);
                    let must =
                        || format!("has the protocol `{}`, but it must be openai, openai-responses or anthropic", text.escape_debug());
                    speaks = Some(found.ok_or_else(|| bad(line, must()))?);
                }
                "base_url" => {
                    base_url = Some(value::base_url(&text()?).map_err(|wrong| match wrong {
                        Bad::Must(must) | Bad::Secret(must) | Bad::Item { must, .. } => bad(line, format!("has a `base_url` that {must}")),
                    })?);
                }
                // What is no name of a variable may be a key, and is not repeated.
                "api_key_env" => {
                    let must = "must name the environment variable that holds the key in `api_key_env`, such as MY_GATEWAY_KEY";
                    key_env = Some(text().ok().filter(|text| is_variable(text)).ok_or_else(|| bad(line, must.into()))?);
                }
                _ => {
                    let allowed = "`protocol`, `base_url`, `api_key_env`".to_owned();
                    return Err(match self.unknown(PROVIDERS, key, line) {
                        ConfigError::UnknownKey { file, line, key, .. } => ConfigError::UnknownKey { file, line, key, allowed },
                        other => other,
                    });
                }
            }
        }
        let missing = |what: &str| bad(line, format!("needs {what}"));
        let needs_key = key_env.is_some() || known.is_some_and(|known| known.needs_key && base_url.is_none());
        Ok(RemoteProvider {
            speaks: speaks
                .or(known.map(|known| known.speaks))
                .ok_or_else(|| missing("a `protocol`: openai, openai-responses or anthropic"))?,
            base_url: base_url.or(known.map(|known| known.base_url.clone())).ok_or_else(|| missing("a `base_url`"))?,
            key_variable: key_env.or(known.and_then(|known| known.key_variable.clone())),
            needs_key,
        })
    }

    fn apply_table(&self, settings: &mut Settings, section: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in table {
            if section.is_empty() && name.get_ref() == PROVIDERS {
                continue;
            }
            let key = if section.is_empty() { name.get_ref().to_string() } else { format!("{section}.{}", name.get_ref()) };
            if let Some(inner) = value.get_ref().as_table()
                && is_section(&key)
            {
                self.apply_table(settings, &key, inner)?;
                continue;
            }
            let line = self.line(name.span().start);
            if is_section(&key) {
                return Err(ConfigError::WrongType { file: self.path.to_owned(), line, key, must: "is a section, not a value" });
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == Some(key.as_str())) else {
                return Err(self.unknown(section, key, line));
            };
            let origin = |line| Origin::File { file: self.path.to_owned(), line, key: setting.name() };
            match setting.shape() {
                Shape::List => {
                    let items = self.list(value, &key)?;
                    let items = items.into_iter().map(|(text, line)| (text, origin(line))).collect();
                    setting.apply_list(settings, items, origin(line))?;
                }
                shape => setting.apply(settings, &self.scalar(value, &key, shape)?, origin(line))?,
            }
        }
        Ok(())
    }

    /// The value as the text that a flag would have.
    fn scalar(&self, value: &Spanned<DeValue<'_>>, key: &str, shape: Shape) -> Result<String, ConfigError> {
        match value.get_ref() {
            DeValue::String(text) if shape == Shape::Text => Ok(text.to_string()),
            DeValue::Integer(integer) if shape == Shape::Number && integer.radix() == 10 => Ok(integer.as_str().to_owned()),
            _ if shape == Shape::Number => Err(self.wrong_type(value, key, "must be a whole number")),
            _ => Err(self.wrong_type(value, key, "must be a string in quotes")),
        }
    }

    /// The strings of a list, each with its line.
    fn list(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Result<Vec<(String, usize)>, ConfigError> {
        const MUST: &str = "must be a list of strings, such as [\"one\", \"two\"]";
        let DeValue::Array(items) = value.get_ref() else { return Err(self.wrong_type(value, key, MUST)) };
        let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::String(text) => Ok((text.to_string(), self.line(item.span().start))),
            _ => Err(self.wrong_type(item, key, MUST)),
        };
        items.iter().map(text).collect()
    }

    fn wrong_type(&self, value: &Spanned<DeValue<'_>>, key: &str, must: &'static str) -> ConfigError {
        ConfigError::WrongType { file: self.path.to_owned(), line: self.line(value.span().start), key: key.to_owned(), must }
    }

    fn unknown(&self, section: &str, key: String, line: usize) -> ConfigError {
        let file = self.path.to_owned();
        if key.to_ascii_lowercase().ends_with("key") {
            return ConfigError::KeyInFile { file, line, key };
        }
        // Names of this section, and at the top the sections too.
        let mut allowed: Vec<String> = Vec::new();
        for known in SETTINGS.iter().filter_map(|setting| setting.key) {
            let word = match (section, known.split_once('.')) {
                ("", None) => format!("`{known}`"),
                ("", Some((inner, _))) => format!("[{inner}]"),
                (_, Some((inner, name))) if inner == section => format!("`{name}`"),
                _ => continue,
            };
            if !allowed.contains(&word) {
                allowed.push(word);
            }
        }
        if section.is_empty() {
            allowed.push(format!("[{PROVIDERS}.NAME]"));
        }
        ConfigError::UnknownKey { file, line, key, allowed: allowed.join(", ") }
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }
}

/// Whether an environment variable can have this name.
fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_section(key: &str) -> bool {
    SETTINGS.iter().filter_map(|setting| setting.key?.split_once('.')).any(|(section, _)| section == key)
}
