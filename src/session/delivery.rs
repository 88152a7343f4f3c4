//! How much of what a turn said has reached its client's pipe.

use super::editor::Receipt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts the updates of one turn on their way: messages and bytes.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    taken: Count,
    written: Count,
}

#[derive(Debug, Default)]
struct Count {
    updates: AtomicU64,
    bytes: AtomicU64,
}

/// What has become of a turn's updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) sent: u64,
    /// Absent if everything was sent.
    pub(super) unsent: Option<u64>,
    pub(super) unsent_bytes: Option<u64>,
}

impl Delivery {
    pub(super) fn so_far(&self) -> Delivered {
        // The written ones first: they are never more than what was taken.
        let (sent, sent_bytes) = self.written.read();
        let (taken, taken_bytes) = self.taken.read();
        let unsent = Some(taken.saturating_sub(sent)).filter(|unsent| *unsent > 0);
        Delivered { sent, unsent, unsent_bytes: unsent.map(|_| taken_bytes.saturating_sub(sent_bytes)) }
    }
}

impl Receipt for Delivery {
    fn taken(&self, bytes: usize) {
        self.taken.add(bytes);
    }

    fn written(&self, bytes: usize, _at: Instant) {
        self.written.add(bytes);
    }
}

impl Count {
    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::AcqRel);
        self.updates.fetch_add(1, Ordering::AcqRel);
    }

    fn read(&self) -> (u64, u64) {
        (self.updates.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire))
    }
}
