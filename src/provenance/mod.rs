//! Why things stopped: clocks, the cancel token that cannot be pulled without a cause, and the one maker of abort records.

mod abort;
mod clock;
mod token;

pub use abort::{AbortBuilder, RunFacts};
pub use clock::{Clock, Grace, IdMint, Provenance};
pub use token::{CancelToken, Canceller, Stop, Stopped};
