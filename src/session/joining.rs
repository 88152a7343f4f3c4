//! A run takes its place in the conversation: its first row is stored, behind what other processes have added meanwhile.

use super::Refusal;
use super::context::SessionContext;
use super::history;
use super::runner::Mail;
use super::stopwatch::Stopwatch;
use super::title::Title;
use super::turn::{Interruption, TurnEnd};
use crate::protocol::ids::TurnId;
use crate::protocol::message::Message;
use crate::protocol::turn::Lane;
use crate::provenance::{CancelToken, Stopped};
use crate::store::{Pending, StoreError};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A turn's first row, on its way to the store.
pub(super) struct Begun {
    /// Resolves with the turn that was begun before this one, by whichever process.
    pub(super) row: Pending<Option<TurnId>>,
    /// The turn that the runner takes for that one.
    pub(super) after: Option<TurnId>,
}

/// Who joins.
pub(super) struct Joining<'j> {
    pub(super) context: &'j SessionContext,
    pub(super) turn_id: &'j TurnId,
    pub(super) title: &'j Title,
    pub(super) stopwatch: &'j Stopwatch,
    pub(super) token: &'j CancelToken,
    /// The session's runner.
    pub(super) runner: &'j mpsc::UnboundedSender<Mail>,
}

impl Joining<'_> {
    /// Waits for the row. Gives the conversation before this run, if it is not the one that the runner knew.
    ///
    /// # Errors
    /// How the run ends without having begun its work.
    pub(super) async fn join(&self, begun: Begun) -> Result<Option<Vec<Arc<Message>>>, TurnEnd> {
        match self.stopwatch.during(Lane::Store, self.token.race(begun.row)).await {
            Err(Stopped(_)) => Err(TurnEnd::Stopped),
            Ok(Err(StoreError::OwnedElsewhere(owner))) => {
                Err(TurnEnd::NotBegun(Refusal::NotOwner { session_id: self.context.id.clone(), pid: owner.pid }))
            }
            Ok(Err(error)) => Err(Interruption::from(error).into()),
            Ok(Ok(before)) if before == begun.after => Ok(None),
            Ok(Ok(_)) => self.stopwatch.spend(Lane::CatchingUp, self.catch_up()).await.map(Some).map_err(TurnEnd::from),
        }
    }

    /// Reads the turns that another process has run since this one looked, here and for the turns to come. If it died in
    /// the last of them, that one is closed first.
    async fn catch_up(&self) -> Result<Vec<Arc<Message>>, Interruption> {
        self.token.race(self.context.recovery.run(&self.context.parts)).await?;
        let (store, id) = (&self.context.store, &self.context.id);
        let (session, history) = (store.session(id), store.history(id));
        let history = self.token.race(history).await??;
        let history = history::whole(history);
        let history: Vec<_> = history.into_iter().take_while(|message| message.turn_id.as_ref() != Some(self.turn_id)).collect();
        if let Some(session) = self.token.race(session).await?? {
            self.context.channel.count_from(session.last_update);
            if session.info.title.is_some() {
                self.title.not_due();
            }
        }
        // It is read before the end of this turn, which is posted behind it.
        let _ = self.runner.send(Mail::CaughtUp { turn_id: self.turn_id.clone(), history: history.clone() });
        Ok(history)
    }
}
