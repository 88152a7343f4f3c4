//! Processes that pillion starts, and their whole descent: each command runs under a keeper, which is this program again.
//!
//! Invariants: nothing that a command started outlives it, whichever way pillion itself ends; what could not be ended is
//! told, never assumed gone; no signal is ever sent to a bare pid, which could be somebody else's by now; what a command was to
//! be held to and is not is told before it starts.

mod capture;
mod confine;
mod descriptors;
mod keeper;
mod kept;
mod tree;
mod words;

pub use capture::{Capture, Captured};
pub use confine::{Ability, Confinement, Directory, Enforced, Hold, Network, Strictness, ability};
pub use descriptors::raise_limit;
pub use keeper::{ARGUMENT, run};
pub use kept::{Command, Keeper, Kept, Output, StartIn};
pub use words::{Exit, Word};
