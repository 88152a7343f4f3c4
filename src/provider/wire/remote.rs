//! A model behind a vendor's protocol.

use super::refused::{Learned, Refusal};
use super::{AnswerLimits, Endpoint, OptionsError, Protocol, attempt};
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use crate::provider::Provider;
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use std::marker::PhantomData;
use std::sync::Arc;

/// One model at an endpoint that speaks `P`.
#[derive(Debug, Clone)]
pub struct Remote<P> {
    name: Arc<str>,
    model: Arc<str>,
    endpoint: Arc<Endpoint>,
    limits: AnswerLimits,
    learned: Arc<Learned>,
    protocol: PhantomData<fn() -> P>,
}

/// What a [`Remote`] is made of.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// What records call the provider: the first half of `provider:model`.
    pub name: Arc<str>,
    /// Used as given, with the protocol's path behind it.
    pub base_url: String,
    pub model: String,
    pub api_key: Option<SecretString>,
    /// What one answer may hold.
    pub limits: AnswerLimits,
}

impl<P: Protocol> Remote<P> {
    /// Opens nothing.
    ///
    /// # Errors
    /// The base URL or the key cannot be used.
    pub fn new(options: RemoteOptions) -> Result<Self, OptionsError> {
        let endpoint = Endpoint::new::<P>(&options.base_url, options.api_key)?;
        let learned = Learned::default();
        // What the vendor's documents say nobody has to learn.
        if &*options.name == "mistral" || endpoint.is_at("mistral.ai") {
            learned.add(Refusal::OtherThanNine);
        }
        Ok(Self {
            name: options.name,
            model: options.model.into(),
            endpoint: Arc::new(endpoint),
            limits: options.limits,
            learned: Arc::new(learned),
            protocol: PhantomData,
        })
    }
}

impl<P: Protocol> Provider for Remote<P> {
    fn name(&self) -> &str {
        &self.name
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn may_queue(&self) -> bool {
        true
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
        let asked = attempt::Asked {
            endpoint: Arc::clone(&self.endpoint),
            name: self.full_name(),
            model: Arc::clone(&self.model),
            learned: Arc::clone(&self.learned),
        };
        attempt::open::<P>(asked, self.limits, request)
    }
}
