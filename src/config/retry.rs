//! How often a model call that failed is made again, and after which wait.

use std::time::Duration;

/// The settings of retries, as they are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// All attempts of one model call, the first among them.
    pub max_attempts: u64,
    /// The wait before the second attempt; it doubles from attempt to attempt.
    pub first_delay: Duration,
    /// The longest wait. A provider that asks for a longer one is not asked again.
    pub max_delay: Duration,
    /// How long a server is waited for that is still loading the model; this counts no attempts.
    pub loading: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            loading: Duration::from_secs(600),
        }
    }
}
