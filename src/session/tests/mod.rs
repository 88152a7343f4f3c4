//! Sessions from the inside: real runners and a real store, with an editor, models and tools that do what a test says.
//!
//! Invariant: nothing here sleeps to order things; a test waits for what it has caused.

mod breaking;
mod cancels;
mod endings;
mod fakes;
mod lives;
mod rig;
mod times;
mod titles;

pub(super) use rig::parts_with;
