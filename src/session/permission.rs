//! What one session may do: its mode, the workspace's own rules, and what a person has said once and for all.
//!
//! Invariant: every call is judged here, when it is planned and again when it starts; nothing that is remembered outlives
//! the session's being open.

use crate::policy::{Access, Grounds, Remembered, Rules, Trust, Verdict};
use crate::protocol::mode::Mode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by a session's runner, which changes the mode, and its turns, which ask.
pub(super) struct Permissions(Mutex<Book>);

struct Book {
    mode: Mode,
    trust: Trust,
    /// As clients are told: before a turn has looked, whether the user has ever trusted it.
    is_trusted: bool,
    workspace: Arc<Rules>,
    remembered: Remembered,
}

impl Permissions {
    /// Restricted, until a turn has looked at the workspace.
    pub(super) fn new(mode: Mode, is_trusted: bool) -> Self {
        Self(Mutex::new(Book { mode, trust: Trust::Restricted, is_trusted, workspace: Arc::default(), remembered: Remembered::default() }))
    }

    pub(super) fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Counts from the next verdict on, also in a turn that runs.
    pub(super) fn set_mode(&self, mode: Mode) {
        self.lock().mode = mode;
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.lock().is_trusted
    }

    /// What is taken back is so at once; what is given counts when a turn has looked at what it is given to.
    pub(super) fn set_trusted(&self, is_trusted: bool) {
        let mut book = self.lock();
        book.is_trusted = is_trusted;
        if !is_trusted {
            book.trust = Trust::Restricted;
        }
    }

    /// What the workspace itself says, and whether it is trusted, as a turn has found it. Gives whether clients were told
    /// otherwise.
    pub(super) fn enter(&self, trust: Trust, workspace: Arc<Rules>) -> bool {
        let mut book = self.lock();
        book.trust = trust;
        book.workspace = workspace;
        let is_trusted = trust == Trust::Trusted;
        std::mem::replace(&mut book.is_trusted, is_trusted) != is_trusted
    }

    /// The mode, whether the workspace is trusted, and the digest of all rules, at this moment.
    pub(super) fn grounds(&self, rules: &Rules) -> (Mode, bool, String) {
        let book = self.lock();
        (book.mode, book.trust == Trust::Trusted, rules.digest_with(&book.workspace))
    }

    /// `rules` are the user's own.
    pub(super) fn judge(&self, rules: &Rules, tool: &str, access: &Access) -> Verdict {
        let book = self.lock();
        let Book { mode, trust, workspace, remembered, .. } = &*book;
        Grounds { rules, workspace, mode: *mode, trust: *trust, remembered }.judge(tool, access)
    }

    pub(super) fn remember_allowed(&self, tool: &str, access: &Access) {
        self.lock().remembered.allow(tool, access);
    }

    pub(super) fn remember_rejected(&self, tool: &str, access: &Access) {
        self.lock().remembered.reject(tool, access);
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // No code under the lock can leave the book half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
