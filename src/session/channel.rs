//! The numbered stream of updates of one session: every update gets its `seq` and leaves in that order.

use super::editor::{NumberedUpdate, Outgoing, Receipt, SharedEditor};
use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::update::SessionUpdate;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Posts the updates of one session.
pub(super) struct UpdateChannel {
    session_id: SessionId,
    editor: SharedEditor,
    /// The `seq` of the last update. The lock is held over the post, so that numbers and order agree.
    last: Mutex<u64>,
}

impl UpdateChannel {
    pub(super) fn new(session_id: SessionId, editor: SharedEditor, last: u64) -> Self {
        Self { session_id, editor, last: Mutex::new(last) }
    }

    pub(super) fn editor(&self) -> &SharedEditor {
        &self.editor
    }

    /// Sends `update` and returns its number; `receipt` hears what becomes of it.
    pub(super) fn post(&self, of: Option<(&TurnId, &MessageId)>, update: SessionUpdate, receipt: Option<Arc<dyn Receipt>>) -> u64 {
        let mut last = self.lock();
        *last += 1;
        self.editor.post(Outgoing::Update(Box::new(NumberedUpdate {
            session_id: self.session_id.clone(),
            seq: *last,
            turn_id: of.map(|(turn, _)| turn.clone()),
            message_id: of.map(|(_, message)| message.clone()),
            update,
            receipt,
        })));
        *last
    }

    /// Goes on behind `last`, the number that another process came to.
    pub(super) fn count_from(&self, last: u64) {
        let mut own = self.lock();
        *own = last.max(*own);
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
