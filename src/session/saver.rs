//! Saves a turn's output while it streams: in coalesced pieces, one save at a time, never one row a token.
//!
//! Invariant: a save that fails is heard of at once, whatever the model does meanwhile; what a crash can lose is bounded
//! in bytes and in time.

use super::ledger::Ledger;
use crate::protocol::ids::MessageId;
use crate::store::{Pending, Store, StoreError};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Streamed text is saved when this much of it has gathered ...
const SAVE_BYTES: usize = 32 * 1024;
/// ... or after this time.
const SAVE_AFTER: Duration = Duration::from_millis(500);

/// The saving of one turn's output.
pub(super) struct Saver {
    store: Store,
    message_id: MessageId,
    ledger: Arc<Ledger>,
    /// The save under way.
    pending: Option<Pending<()>>,
    timer: Pin<Box<Sleep>>,
    timer_runs: bool,
}

impl Saver {
    pub(super) fn new(store: Store, message_id: MessageId, ledger: Arc<Ledger>) -> Self {
        Self { store, message_id, ledger, pending: None, timer: Box::pin(sleep_until(Instant::now())), timer_runs: false }
    }

    /// Takes note of new output: saves it if it is enough, else in a while.
    pub(super) fn note(&mut self) {
        let unsaved = self.ledger.unsaved_bytes();
        if unsaved >= SAVE_BYTES {
            self.save();
        } else if unsaved > 0 && !self.timer_runs {
            self.timer.as_mut().reset(Instant::now() + SAVE_AFTER);
            self.timer_runs = true;
        }
    }

    /// Begins to save everything that there is, unless a save is under way; that one's end looks again.
    pub(super) fn save(&mut self) {
        if self.pending.is_some() {
            return;
        }
        self.timer_runs = false;
        let writes = self.ledger.begin_save();
        if !writes.is_empty() {
            self.pending = Some(self.store.write_parts(&self.message_id, writes));
        }
    }

    /// Goes on with the saving; nothing is lost if it is dropped. While there is nothing to save, it waits for ever.
    ///
    /// # Errors
    /// A save failed.
    pub(super) async fn go_on(&mut self) -> Result<(), StoreError> {
        if let Some(pending) = &mut self.pending {
            let saved = pending.await;
            self.pending = None;
            match saved {
                Ok(()) => self.ledger.saved(),
                Err(error) => {
                    self.ledger.not_saved();
                    return Err(error);
                }
            }
            self.note();
        } else if self.timer_runs {
            self.timer.as_mut().await;
            self.save();
        } else {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Saves each result while `calls` run: after a crash, what a call came to is on record with its end.
    ///
    /// # Errors
    /// The calls' own, or a save failed.
    pub(super) async fn beside<T, E: From<StoreError>>(&mut self, calls: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let (mut calls, ledger) = (pin!(calls), Arc::clone(&self.ledger));
        loop {
            tokio::select! {
                biased;
                done = &mut calls => {
                    self.save();
                    return done;
                }
                saved = self.go_on() => saved?,
                () = ledger.result_added() => {}
            }
            self.save();
        }
    }

    /// Saves everything up to here and waits until it is kept.
    ///
    /// # Errors
    /// A save failed.
    pub(super) async fn all(&mut self) -> Result<(), StoreError> {
        while self.pending.is_some() {
            self.go_on().await?;
        }
        self.save();
        while self.pending.is_some() {
            self.go_on().await?;
        }
        Ok(())
    }
}
