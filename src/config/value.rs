//! How the values of settings are read, and what is wrong with those that cannot be.

use super::{ModelName, Origin, Providers};
use crate::policy::Rule;
use crate::provenance::names_a_secret;
use std::path::PathBuf;
use std::time::Duration;

/// What is wrong with a value: "but it ...".
pub(super) enum Bad {
    /// The value is repeated in the error.
    Must(String),
    /// The value is not repeated.
    Secret(String),
    /// The value at this place of a list is wrong; it is repeated in the error.
    Item { at: usize, must: String },
}

pub(super) fn model(text: &str, providers: &Providers) -> Result<ModelName, Bad> {
    ModelName::parse(text, providers).map_err(|error| Bad::Must(error.to_string()))
}

pub(super) fn base_url(text: &str) -> Result<String, Bad> {
    let must = |rule: &str| Bad::Must(format!("must be an http or https address such as http://127.0.0.1:11434/v1{rule}"));
    let url = url::Url::parse(text).map_err(|_| must(""))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Bad::Secret("must not hold a user name or a password; give the key in PILLION_API_KEY".into()));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(must(""));
    }
    if url.fragment().is_some() {
        return Err(Bad::Secret("must have no `#...`".into()));
    }
    if url.query_pairs().any(|(name, _)| names_a_secret(&name)) {
        return Err(Bad::Secret("must not hold a key behind its `?`; give the key in PILLION_API_KEY".into()));
    }
    // What follows the question mark goes with each request, as some gateways want it (`?api-version=...`).
    let (path, query) = url.as_str().split_at(url[..url::Position::AfterPath].len());
    Ok(format!("{}{query}", path.trim_end_matches('/')))
}

pub(super) fn number<T: TryFrom<u64> + PartialOrd + Copy + std::fmt::Display>(text: &str, least: T, most: T) -> Result<T, Bad> {
    // TOML allows underscores and a plus.
    let number = text.replace('_', "").parse::<u64>().ok().and_then(|number| T::try_from(number).ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| Bad::Must(format!("must be a whole number from {least} to {most}")))
}

/// A path of a flag or a variable may be relative to the current directory; a file's may not, it is read from anywhere.
pub(super) fn path(text: &str, origin: &Origin) -> Result<PathBuf, Bad> {
    if text.starts_with('~') {
        return Err(Bad::Must("must be a whole path: `~` is not expanded here".into()));
    }
    if matches!(origin, Origin::File { .. }) && !text.starts_with('/') {
        return Err(Bad::Must("must be an absolute path".into()));
    }
    std::path::absolute(text).map_err(|_| Bad::Must("must be a path".into()))
}

/// A list whose values are read one by one.
pub(super) fn each<T>(texts: &[String], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Bad> {
    texts.iter().enumerate().map(|(at, text)| read(text).map_err(|must| Bad::Item { at, must })).collect()
}

/// A directory that holds for every workspace, so it is relative to none.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('~') {
        return Err("must be a whole path: `~` is not expanded here".into());
    }
    if !text.starts_with('/') {
        return Err("must be an absolute path".into());
    }
    std::path::absolute(text).map_err(|_| "must be a path".into())
}

pub(super) fn rule(text: &str) -> Result<Rule, String> {
    Rule::read(text).map_err(|bad| format!("must be a valid rule: {bad}"))
}

/// One that lets something be done.
pub(super) fn loosening_rule(text: &str) -> Result<Rule, String> {
    let rule = rule(text)?;
    if rule.names_a_tool() {
        return Err("must say what may be done, not which tool may do it: read, edit, shell or network".into());
    }
    Ok(rule)
}

pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Bad> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| Bad::Must(format!("must be one of {}", quoted(choices.iter().map(|(name, _)| *name)))))
}

pub(super) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
