//! Permission: what a tool call would touch, and whether it may, must be asked about, or must not. Pure: nothing here
//! opens a file or starts a process.

mod access;
mod allowance;
mod command;
mod judge;
pub mod pattern;
mod rule;
mod runner;
mod runners;
mod words;

pub use access::{Access, Invocation, NetworkAccess, RunAccess, WriteAccess};
pub use judge::{By, Grounds, Lasting, Question, Remembered, Rules, Trust, Verdict, Why};
pub use rule::{BadRule, Rule};
