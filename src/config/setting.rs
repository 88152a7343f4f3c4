//! One setting: where it can be set, what it takes, how it is read and shown again. What settings there are is `table`.

use super::value::{Bad, each, number, path, quoted};
use super::{Allowance, ConfigError, Limits, Origin, Settings, Watchdogs};
use crate::policy::{Rule, Rules};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One setting and every place that can set it.
#[derive(Debug)]
pub struct Setting {
    /// Its place in `config.toml`, such as `title.model`; absent: not from a file.
    pub key: Option<&'static str>,
    pub variable: Option<&'static str>,
    pub flag: Option<&'static str>,
    /// What it is for, in a few words.
    pub about: &'static str,
    pub(super) kind: Kind,
}

/// What stands for a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Number,
    List,
}

/// How a value is read and shown again.
#[derive(Debug)]
pub(super) enum Kind {
    Text {
        set: fn(&mut Settings, &str) -> Result<(), Bad>,
        show: fn(&Settings) -> Option<String>,
    },
    Number {
        least: u64,
        most: u64,
        set: fn(&mut Settings, u64),
        show: fn(&Settings) -> u64,
    },
    Seconds {
        least: u64,
        place: fn(&mut Watchdogs) -> &mut Duration,
    },
    /// How many; zero: as many as it likes.
    Count {
        place: fn(&mut Allowance) -> &mut u64,
    },
    Size {
        least: usize,
        most: usize,
        place: fn(&mut Limits) -> &mut usize,
    },
    Path(fn(&mut Settings) -> &mut PathBuf),
    /// Rules, each as it is written.
    Rules {
        read: fn(&str) -> Result<Rule, String>,
        place: fn(&mut Rules) -> &mut Vec<Rule>,
    },
    /// Strings, in their order.
    List {
        set: fn(&mut Settings, Vec<String>) -> Result<(), Bad>,
        /// Absent: it is not shown, as paths are not.
        show: fn(&Settings) -> Option<Vec<String>>,
    },
}

impl Setting {
    /// What it is called where nobody has set it yet.
    pub fn name(&self) -> &'static str {
        self.key.or(self.flag).or(self.variable).unwrap_or_default()
    }

    /// The value in force, as text; absent: not set. Paths are not shown here.
    pub fn show(&self, settings: &Settings) -> Option<String> {
        match self.kind {
            Kind::Text { show, .. } => show(settings),
            Kind::Number { show, .. } => Some(show(settings).to_string()),
            Kind::Seconds { place, .. } => {
                let mut watchdogs = settings.watchdogs;
                Some(place(&mut watchdogs).as_secs().to_string())
            }
            Kind::Count { place } => {
                let mut allowance = settings.allowance;
                Some(place(&mut allowance).to_string())
            }
            Kind::Size { place, .. } => {
                let mut limits = settings.limits;
                Some(place(&mut limits).to_string())
            }
            Kind::Path(_) => None,
            Kind::Rules { place, .. } => {
                let mut rules = (*settings.rules).clone();
                Some(format!("[{}]", quoted(place(&mut rules).iter().map(Rule::text))))
            }
            Kind::List { show, .. } => show(settings).map(|texts| format!("[{}]", quoted(texts.iter().map(String::as_str)))),
        }
    }

    /// What stands for it in a file.
    pub(super) fn shape(&self) -> Shape {
        match self.kind {
            Kind::Number { .. } | Kind::Seconds { .. } | Kind::Count { .. } | Kind::Size { .. } => Shape::Number,
            Kind::Text { .. } | Kind::Path(_) => Shape::Text,
            Kind::List { .. } | Kind::Rules { .. } => Shape::List,
        }
    }

    /// Sets a list from a file. Each text comes with its own place, which is what an error about it names.
    pub(super) fn apply_list(&self, settings: &mut Settings, items: Vec<(String, Origin)>, list: Origin) -> Result<(), ConfigError> {
        let (texts, mut origins): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let outcome = match self.kind {
            Kind::List { set, .. } => set(settings, texts.clone()),
            Kind::Rules { read, place } => each(&texts, read).map(|rules| *place(Arc::make_mut(&mut settings.rules)) = rules),
            _ => Err(Bad::Must("must be a single value".into())),
        };
        outcome.map_err(|bad| match bad {
            Bad::Item { at, must } => ConfigError::BadValue { origin: origins.swap_remove(at), value: texts[at].clone(), must },
            Bad::Must(must) => ConfigError::BadValue { origin: list, value: texts.join(", "), must },
            Bad::Secret(must) => ConfigError::Rejected { origin: list, must },
        })
    }

    /// Sets it from text, wherever that was written.
    pub(super) fn apply(&self, settings: &mut Settings, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let outcome = match self.kind {
            Kind::Text { set, .. } => set(settings, text),
            Kind::Number { least, most, set, .. } => number(text, least, most).map(|number| set(settings, number)),
            Kind::Seconds { least, place } => {
                number(text, least, MOST_SECONDS).map(|seconds| *place(&mut settings.watchdogs) = Duration::from_secs(seconds))
            }
            Kind::Count { place } => number(text, 0, MOST_COUNT).map(|count| *place(&mut settings.allowance) = count),
            Kind::Size { least, most, place } => number(text, least, most).map(|number| *place(&mut settings.limits) = number),
            Kind::Path(place) => path(text, &origin).map(|path| *place(settings) = path),
            // A flag or a variable holds one of them.
            Kind::List { set, .. } => set(settings, vec![text.to_owned()]),
            Kind::Rules { read, place } => each(&[text.to_owned()], read).map(|rules| *place(Arc::make_mut(&mut settings.rules)) = rules),
        };
        outcome.map_err(|bad| match bad {
            Bad::Must(must) | Bad::Item { must, .. } => ConfigError::BadValue { origin, value: text.to_owned(), must },
            Bad::Secret(must) => ConfigError::Rejected { origin, must },
        })
    }
}

/// The longest that a watchdog can wait: a week.
const MOST_SECONDS: u64 = 604_800;

/// The most that a turn can be allowed of anything.
const MOST_COUNT: u64 = 1_000_000_000;

pub(super) const fn seconds(key: &'static str, about: &'static str, least: u64, place: fn(&mut Watchdogs) -> &mut Duration) -> Setting {
    Setting { key: Some(key), variable: None, flag: None, about, kind: Kind::Seconds { least, place } }
}

pub(super) const fn rules(
    key: &'static str,
    about: &'static str,
    read: fn(&str) -> Result<Rule, String>,
    place: fn(&mut Rules) -> &mut Vec<Rule>,
) -> Setting {
    Setting { key: Some(key), variable: None, flag: None, about, kind: Kind::Rules { read, place } }
}

pub(super) const fn allowed(key: &'static str, about: &'static str, place: fn(&mut Allowance) -> &mut u64) -> Setting {
    Setting { key: Some(key), variable: None, flag: None, about, kind: Kind::Count { place } }
}

pub(super) const fn limit(
    key: &'static str,
    about: &'static str,
    least: usize,
    most: usize,
    place: fn(&mut Limits) -> &mut usize,
) -> Setting {
    Setting { key: Some(key), variable: None, flag: None, about, kind: Kind::Size { least, most, place } }
}
