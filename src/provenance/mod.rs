//! Why things stopped: clocks, the cancel token that cannot be pulled without a cause, and the one maker of abort records.

mod abort;
mod clock;
mod known_keys;
pub mod panics;
mod ruled_out;
mod token;

pub use abort::{AbortBuilder, RunFacts};
pub use clock::{Clock, Grace, IdMint, Moment, Provenance, unique};
pub use known_keys::{KnownKeys, MIN_KEY_BYTES, PLACEHOLDER as KNOWN_KEY_PLACEHOLDER, names_a_secret};
pub use ruled_out::{Evidence, ruled_out, shown_by};
pub use token::{CancelToken, Canceller, Stop, Stopped};
