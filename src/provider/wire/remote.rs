//! A model behind a vendor's protocol.

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
        Ok(Self {
            name: options.name,
            model: options.model.into(),
            endpoint: Arc::new(endpoint),
            limits: options.limits,
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

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
        attempt::open::<P>(Arc::clone(&self.endpoint), Arc::clone(&self.model), self.limits, request)
    }
}
