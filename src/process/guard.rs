//! pillion's own watch over a keeper, one task for each: it passes on what the keeper says, and whatever becomes of the keeper, it
//! sees to the end of what was kept.
//!
//! Invariants: the last word is told when the keeper has ended and the system lists nothing that it left; a keeper that has
//! been asked to end everything is not waited for longer than it needs; the watch outlives whoever waited for the command.

use super::orphans::{KeeperProcess, Manner};
use super::tree::Signalled;
use super::words::{Said, Word};
use rustix::process::Pid;
use std::time::Duration;
use tokio::io::{BufReader, Lines};
use tokio::net::unix::OwnedReadHalf;
use tokio::process::Child;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

/// How much longer than the grace a keeper may take for its last word.
const ANSWERS_WITHIN: Duration = Duration::from_millis(100);

/// How long killed processes are waited for when a stop waits for them, and when nobody does. With the time above, the first
/// is less than what a stop adds to the grace.
const GIVE_UP_AFTER: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

pub(super) struct Guard {
    pub(super) keeper: KeeperProcess,
    pub(super) child: Child,
    pub(super) lines: Lines<BufReader<OwnedReadHalf>>,
    /// The grace of each order to end everything. Its end is the order to do so at once.
    pub(super) asked: UnboundedReceiver<Duration>,
    pub(super) told: UnboundedSender<Word>,
    /// Children of this process that have stopped or ended.
    pub(super) children: Signal,
    pub(super) leader: Option<Pid>,
}

/// How the keeper's own part ended.
#[derive(PartialEq, Eq)]
enum End {
    NotStarted,
    /// It said that so many are left.
    Gone {
        left: usize,
    },
    Lost,
    /// It was asked to end everything, and the time for that is over.
    Overdue,
}

impl Guard {
    pub(super) async fn watch(mut self) {
        let end = self.follow().await;
        if end == End::Lost {
            self.tell(Word::Lost);
        }
        // It has nothing more to do, or cannot be relied on, stopped or traced as it may be. What it still keeps comes to this
        // process. One that is gone already is no failure.
        let _ = self.child.start_kill();
        self.take_over(&end).await;
    }

    async fn follow(&mut self) -> End {
        let (mut due, mut is_wanted) = (None::<Instant>, true);
        loop {
            tokio::select! {
                line = self.lines.next_line() => match line.ok().flatten().and_then(|line| serde_json::from_str(&line).ok()) {
                    Some(Said::Leader(pid)) => self.leader = self.leader.or(Pid::from_raw(pid)),
                    Some(Said::Word(Word::Gone { left })) => return End::Gone { left },
                    Some(Said::Word(word)) => {
                        let is_last = matches!(word, Word::NotStarted { .. });
                        self.tell(word);
                        if is_last {
                            return End::NotStarted;
                        }
                    }
                    None => return End::Lost,
                },
                grace = self.asked.recv(), if is_wanted => {
                    is_wanted = grace.is_some();
                    let until = Instant::now() + grace.unwrap_or_default() + ANSWERS_WITHIN;
                    due = Some(due.map_or(until, |due| due.min(until)));
                }
                () = over(due) => return End::Overdue,
                _ = self.children.recv() => self.keeper.wake(),
            }
        }
    }

    /// Until nothing is left, however long that takes; what is not gone in time is told as left.
    async fn take_over(mut self, end: &End) {
        let (manner, patience) = match end {
            End::NotStarted | End::Gone { .. } => (Manner::Orderly, GIVE_UP_AFTER.1),
            End::Lost => (Manner::Lost, GIVE_UP_AFTER.1),
            End::Overdue => (Manner::Lost, GIVE_UP_AFTER.0),
        };
        let mut gives_up = Some(Instant::now() + patience);
        let (mut had, mut is_believed) = (Signalled::default(), *end == End::Gone { left: 0 });
        loop {
            // A keeper that cannot be waited for is not there.
            let is_there = matches!(self.child.try_wait(), Ok(None));
            let look = self.keeper.end_orphans(manner, self.leader, &mut had);
            let left = look.as_ref().map_or(1, |look| look.left) + usize::from(is_there);
            if let (Ok(look), Some(_), false) = (look, gives_up, *end == End::NotStarted) {
                if is_believed && look.is_its_own {
                    is_believed = false;
                    self.tell(Word::Lost);
                }
                if look.killed > 0 {
                    self.tell(Word::Killed { processes: look.killed });
                }
                if let Some(exit) = look.exit {
                    self.tell(Word::Exited(exit));
                }
                if left == 0 {
                    self.tell(Word::Gone { left });
                }
            }
            if left == 0 {
                return;
            }
            tokio::select! {
                _ = self.children.recv() => {}
                () = over(gives_up) => {
                    gives_up = None;
                    self.tell(Word::Gone { left });
                    // Nobody is told anything after the last word.
                    self.told = tokio::sync::mpsc::unbounded_channel().0;
                }
            }
        }
    }

    fn tell(&self, word: Word) {
        // Who does not listen any more need not know.
        let _ = self.told.send(word);
    }
}

async fn over(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
