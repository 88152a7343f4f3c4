//! The cancel token. Pulling it takes a [`Stop`], and a stop takes a cause: a cancellation without one cannot be written.
//!
//! Invariant: a token is stopped at most once, and the first stop is the one that every reader sees.

use crate::protocol::abort::RequestRef;
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::ids::{AbortId, CancelId};
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// A demand to stop that took effect: what, who, from where, when.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    pub abort_id: AbortId,
    /// The cancel request that this is; absent for a fault of the run itself.
    pub cancel_id: Option<CancelId>,
    pub cause: Cause,
    pub initiator: Initiator,
    pub mode: CancelMode,
    pub source: Option<String>,
    pub reason: Option<String>,
    pub request: Option<RequestRef>,
    /// Through an enclosing scope (connection, shutdown, close), not as a request to this run.
    pub via_ctx_abort: bool,
    /// When it was asked for, or noticed: wall clock (ms since 1970) and monotonic.
    pub requested_at: u64,
    pub requested: Instant,
    pub missing: Vec<String>,
    pub error_name: Option<String>,
    pub error_message: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: OnceLock<Arc<Stop>>,
    pulled: CancellationToken,
    hardened: CancellationToken,
}

/// The end that stops. There is one for each run.
#[derive(Debug, Default)]
pub struct Canceller(Arc<Shared>);

/// The end that listens; clone it wherever work waits.
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<Shared>);

/// The work was stopped: returned in place of a result.
#[derive(Debug, Clone)]
pub struct Stopped(pub Arc<Stop>);

impl Canceller {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn token(&self) -> CancelToken {
        CancelToken(Arc::clone(&self.0))
    }

    /// Stops the run. The first stop wins; a later one gets the winner back.
    ///
    /// # Errors
    /// The stop that was there before.
    pub fn stop(&self, stop: Stop) -> Result<Arc<Stop>, Arc<Stop>> {
        let stop = Arc::new(stop);
        match self.0.stop.set(Arc::clone(&stop)) {
            Ok(()) => {
                self.0.pulled.cancel();
                Ok(stop)
            }
            Err(_) => Err(self.0.stop.get().map_or(stop, Arc::clone)),
        }
    }

    /// Tells work that ends softly to hurry: a harder demand came behind the one that stopped it.
    pub fn harden(&self) {
        self.0.hardened.cancel();
    }
}

impl CancelToken {
    /// The stop, if there was one.
    pub fn stop(&self) -> Option<Arc<Stop>> {
        self.0.stop.get().map(Arc::clone)
    }

    pub fn is_stopped(&self) -> bool {
        self.0.pulled.is_cancelled()
    }

    /// Waits until the token is pulled.
    pub async fn stopped(&self) -> Stopped {
        self.0.pulled.cancelled().await;
        match self.stop() {
            Some(stop) => Stopped(stop),
            // The stop is set before the token is pulled, so this arm is never taken; waiting is the safe answer.
            None => std::future::pending().await,
        }
    }

    /// Waits until a stop that was soft is to be a hard one.
    pub async fn hardened(&self) {
        self.0.hardened.cancelled().await;
    }

    /// `work`, unless the token is pulled first. A pulled token wins over work that is ready.
    ///
    /// # Errors
    /// The stop; `work` is dropped.
    pub async fn race<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            stopped = self.stopped() => Err(stopped),
            done = work => Ok(done),
        }
    }
}
