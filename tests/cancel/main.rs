//! What a cancel promises, at every moment and in every form: the real binary over pipes, with a provider that goes on as if nobody
//! had cancelled, a store that is held up, a second process, and storms of prompts and cancels.
//!
//! Invariant: for every prompt one answer, for every turn one terminal record, for every cancel one outcome, and the export tells
//! what the answers told.
#![expect(unreachable_pub, reason = "a test binary exports nothing, and its support is shared by all journeys")]

mod late_calls;
mod natural_end;
mod one_write;
mod persisting;
mod storm;
#[path = "../e2e/support/mod.rs"]
#[expect(dead_code, reason = "the other journeys use the rest of it")]
mod support;
mod told;
mod two_processes;
