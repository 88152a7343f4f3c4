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

/// The turn's provider, and the title's where there is one.
type Providers = (Arc<dyn Provider>, Option<Arc<dyn Provider>>);

/// A session's model, and its providers once they were needed.
pub(super) struct ModelChoice {
    chosen: Option<ModelName>,
    providers: Option<Providers>,
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
            Self::Broken(why) => Refusal::UnusableModel(parts.provenance.keys.scrub(&why).into_owned()),
        }
    }
}

impl ModelChoice {
    /// The session's own model, else the configured one.
    ///
    /// # Errors
    /// The stored or given name is invalid.
    pub(super) fn new(own: Option<&str>, parts: &Parts) -> Result<Self, BadField> {
        let chosen = match own {
            Some(name) => Some(parse(name, parts)?),
            None => parts.settings.model.clone(),
        };
        Ok(Self { chosen, providers: None })
    }

    pub(super) fn choose(&mut self, name: &str, parts: &Parts) -> Result<String, BadField> {
        let name = parse(name, parts)?;
        let text = name.to_string();
        *self = Self { chosen: Some(name), providers: None };
        Ok(text)
    }

    /// As somebody chose it.
    pub(super) fn asked(&self) -> String {
        self.chosen.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// What the next turn asks. A title model that cannot be had is in no turn's way.
    pub(super) fn providers(&mut self, parts: &Parts) -> Result<Providers, Missing> {
        if let Some(providers) = &self.providers {
            return Ok(providers.clone());
        }
        let name = self.chosen.as_ref().ok_or(Missing::NobodyChose)?;
        let turns = (parts.providers)(name).map_err(Missing::Broken)?;
        let titles = match &parts.settings.title_model {
            TitleModel::Named(name) => (parts.providers)(name)
                .inspect_err(|why| tracing::warn!(%why, "the title model cannot be used; sessions get no titles"))
                .ok(),
            TitleModel::Session => Some(Arc::clone(&turns)),
            TitleModel::Off => None,
        };
        Ok(self.providers.insert((turns, titles)).clone())
    }

    /// The setting as a client shows it.
    pub(super) fn option(&self, parts: &Parts) -> ConfigOption {
        let current = self.chosen.as_ref().map(ToString::to_string);
        let configured = parts.settings.model.as_ref().map(ToString::to_string);
        let mut choices: Vec<_> =
            current.iter().chain(&configured).map(|name| ConfigChoice { value: name.clone(), name: name.clone() }).collect();
        choices.dedup();
        ConfigOption {
            id: CONFIG_ID.into(),
            name: "Model".into(),
            description: "The model of the next turns, as provider:model. Any such name is accepted, also one that is not listed.".into(),
            category: Some("model".into()),
            r#type: ConfigOptionType::Select,
            current_value: current.unwrap_or_default(),
            options: choices,
        }
    }
}

fn parse(name: &str, parts: &Parts) -> Result<ModelName, BadField> {
    ModelName::parse(name, &parts.settings.providers).map_err(|error| BadField::new("model", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Providers;
    use crate::session::tests::parts_with;

    fn values(choice: &ModelChoice, parts: &Parts) -> (String, Vec<String>) {
        let option = choice.option(parts);
        (option.current_value, option.options.into_iter().map(|choice| choice.value).collect())
    }

    #[tokio::test]
    async fn the_sessions_own_model_comes_before_the_configured_one_and_both_are_shown() {
        let (_dir, parts) = parts_with(|_| ());
        let own = ModelChoice::new(Some("ollama:own"), &parts).expect("a model");
        assert_eq!(values(&own, &parts), ("ollama:own".into(), vec!["ollama:own".into(), "openai:fake".into()]));
        let configured = ModelChoice::new(None, &parts).expect("a model");
        assert_eq!(values(&configured, &parts), ("openai:fake".into(), vec!["openai:fake".into()]));
        assert_eq!(ModelChoice::new(Some("nonsense"), &parts).err().map(|bad| bad.field), Some("model"));
    }

    #[tokio::test]
    async fn without_a_choice_there_is_no_provider_until_one_is_chosen() {
        let (_dir, parts) = parts_with(|settings| settings.model = None);
        let mut choice = ModelChoice::new(None, &parts).expect("no model");
        assert_eq!(values(&choice, &parts), (String::new(), vec![]));
        let Err(missing) = choice.providers(&parts) else { panic!("nobody chose") };
        assert_eq!(missing.refusal(&parts).await.to_string(), "choose a model");
        assert_eq!(choice.choose("ollama:x", &parts).expect("a model"), "ollama:x");
        assert!(choice.providers(&parts).is_ok());
        assert!(choice.choose("nonsense", &parts).is_err());
        assert_eq!(values(&choice, &parts).0, "ollama:x", "what is invalid changes nothing");
    }

    #[tokio::test]
    async fn a_title_model_that_is_broken_leaves_the_turns_alone() {
        let named = |name: &str| TitleModel::Named(ModelName::parse(name, &Providers::default()).expect("a name"));
        let titles = async |model| {
            let (_dir, parts) = parts_with(|settings| settings.title_model = model);
            let mut choice = ModelChoice::new(None, &parts).expect("a model");
            choice.providers(&parts).map(|(_, titles)| titles.is_some()).ok()
        };
        assert_eq!(titles(TitleModel::Session).await, Some(true));
        assert_eq!(titles(TitleModel::Off).await, Some(false));
        assert_eq!(titles(named("ollama:small")).await, Some(true));
        assert_eq!(titles(named("openai:broken")).await, Some(false));
    }
}
