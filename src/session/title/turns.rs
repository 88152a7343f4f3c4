//! What the turns of its session do while a title is made, and which servers take one request at a time.
//!
//! Invariant: a server is known as one that does only because a title's answer waited for the end of a turn's, or because a
//! setting says so.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The turns of a session, as a title sees them.
#[derive(Debug, Default)]
pub(in crate::session) struct Turns(watch::Sender<Beside>);

/// What is going on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beside {
    /// A turn runs.
    pub(super) turn: bool,
    /// A model call of it is under way.
    pub(super) asking: bool,
    /// How many model calls have begun so far.
    pub(super) calls: u64,
}

/// Something of a turn that goes on until this is dropped.
#[derive(Debug)]
pub(in crate::session) struct GoesOn<'t> {
    turns: &'t Turns,
    end: fn(&mut Beside),
}

impl Turns {
    pub(in crate::session) fn turn_begins(&self) -> GoesOn<'_> {
        self.0.send_modify(|beside| beside.turn = true);
        GoesOn { turns: self, end: |beside| (beside.turn, beside.asking) = (false, false) }
    }

    pub(in crate::session) fn call_begins(&self) -> GoesOn<'_> {
        self.0.send_modify(|beside| (beside.asking, beside.calls) = (true, beside.calls + 1));
        GoesOn { turns: self, end: |beside| beside.asking = false }
    }

    pub(super) fn now(&self) -> Beside {
        *self.0.borrow()
    }

    /// Resolves when this is so.
    pub(super) async fn until(&self, is_so: impl FnMut(&Beside) -> bool) {
        // The sender is this one's own.
        let _ = self.0.subscribe().wait_for(is_so).await;
    }
}

impl Drop for GoesOn<'_> {
    fn drop(&mut self) {
        self.turns.0.send_modify(self.end);
    }
}

/// The providers whose servers were seen to take one request at a time, in this process.
#[derive(Debug, Default, Clone)]
pub struct SingleFile(Arc<Mutex<HashSet<String>>>);

impl SingleFile {
    pub(super) fn has(&self, provider: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(provider)
    }

    pub(super) fn add(&self, provider: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(provider.to_owned()) {
            tracing::info!(provider, "its server takes one request at a time: titles wait for the end of a turn");
        }
    }
}
