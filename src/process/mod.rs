//! Processes that pillion starts, and their whole descent: each command runs under a keeper, which is this program again.
//!
//! Invariants: nothing that a command started outlives it, whichever way pillion itself ends and whatever becomes of the keeper;
//! what could not be ended is told, never assumed gone; no signal is ever sent to a bare pid, which could be somebody else's by
//! now; what a command was to be held to and is not is told before it starts.

mod capture;
mod confine;
mod descriptors;
mod entry;
mod guard;
mod keeper;
mod kept;
#[cfg_attr(not(target_os = "linux"), path = "orphans_elsewhere.rs")]
mod orphans;
mod own;
mod tree;
mod words;

pub use capture::{Capture, Captured, Meter};
pub use confine::{Ability, Confinement, Directory, Enforced, Hold, Network, Strictness, ability};
pub use descriptors::raise_limit;
pub use keeper::{ARGUMENT, run};
pub use kept::{Command, Keeper, Kept, Output, StartIn};
pub use own::{close_to_others, outlive_the_limit_of_a_file, variable, variables, wipe};
pub use words::{Exit, Word};
