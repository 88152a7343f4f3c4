//! Permission: what a tool call would touch, and whether it may, must be asked about, or must not. Pure: nothing here
//! opens a file or starts a process.

mod access;

pub use access::{Access, Invocation, NetworkAccess, RunAccess, WriteAccess};
