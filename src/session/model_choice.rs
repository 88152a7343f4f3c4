//! Which model a session's next turn asks, and which one names the session. Nobody's choice is never made for them.

use super::context::Parts;
use super::error::Refusal;
use crate::config::{ModelName, TitleModel};
use crate::protocol::params::BadField;
use crate::protocol::results::{ConfigChoice, ConfigOption, ConfigOptionType};
use crate::provider::Provider;
use std::sync::Arc;

/// The id of the setting that clients see.
pub(super) const CONFIG_ID: &str = "model";

/// A session's model, and its providers once they were needed.
pub(super) struct ModelChoice {
    chosen: Option<ModelName>,
    providers: Option<(Arc<dyn Provider>, Arc<dyn Provider>)>,
}

/// Why there is no provider.
pub(super) enum Missing {
    NobodyChose,
    Broken(String),
}

impl Missing {
    pub(super) async fn refusal(self, parts: &Parts) -> Refusal {
        match self {
            Self::NobodyChose => Refusal::NoModel((parts.no_model)().await),
            Self::Broken(why) => Refusal::NoModel(parts.provenance.keys.scrub(&why).into_owned()),
        }
    }
}

impl ModelChoice {
    /// The session's own model, else the configured one.
    ///
    /// # Errors
    /// The stored or given name makes no sense.
    pub(super) fn new(own: Option<&str>, parts: &Parts) -> Result<Self, BadField> {
        let chosen = match own {
            Some(name) => Some(parse(name)?),
            None => parts.settings.model.clone(),
        };
        Ok(Self { chosen, providers: None })
    }

    pub(super) fn choose(&mut self, name: &str) -> Result<String, BadField> {
        let name = parse(name)?;
        let text = name.to_string();
        *self = Self { chosen: Some(name), providers: None };
        Ok(text)
    }

    /// The turn's provider and the title's.
    pub(super) fn providers(&mut self, parts: &Parts) -> Result<(Arc<dyn Provider>, Arc<dyn Provider>), Missing> {
        if let Some(providers) = &self.providers {
            return Ok(providers.clone());
        }
        let name = self.chosen.as_ref().ok_or(Missing::NobodyChose)?;
        let turns = (parts.providers)(name).map_err(Missing::Broken)?;
        let titles = match &parts.settings.title_model {
            TitleModel::Named(name) => (parts.providers)(name).map_err(Missing::Broken)?,
            TitleModel::Session | TitleModel::Off => Arc::clone(&turns),
        };
        Ok(self.providers.insert((turns, titles)).clone())
    }

    /// The setting as a client shows it.
    pub(super) fn options(&self, parts: &Parts) -> Vec<ConfigOption> {
        let current = self.chosen.as_ref().map(ToString::to_string);
        let configured = parts.settings.model.as_ref().map(ToString::to_string);
        let mut choices: Vec<_> =
            current.iter().chain(&configured).map(|name| ConfigChoice { value: name.clone(), name: name.clone() }).collect();
        choices.dedup();
        vec![ConfigOption {
            id: CONFIG_ID.into(),
            name: "Model".into(),
            description: "The model of the next turns, as provider:model. Any such name is accepted, also one that is not listed.".into(),
            category: Some("model".into()),
            r#type: ConfigOptionType::Select,
            current_value: current.unwrap_or_default(),
            options: choices,
        }]
    }
}

fn parse(name: &str) -> Result<ModelName, BadField> {
    ModelName::parse(name).map_err(|error| BadField::new("model", error.to_string()))
}
