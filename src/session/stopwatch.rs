//! Where the time of a turn goes. A turn is one straight line, and at every instant it is in exactly one lane.
//!
//! Invariant: the lanes add up to the whole. What is given to no other lane stays in the one that the turn is in, so a wait
//! cannot be forgotten, and what goes on beside the line is counted once.

use crate::protocol::ids::{SessionId, TurnId};
use crate::protocol::turn::{Lane, Spent, TurnTime};
use crate::provenance::Clock;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

/// The time of one turn. The runner has it from the arrival of the request until the answer is handed over; the turn's work says
/// what it is at.
pub(super) struct Stopwatch {
    began: Instant,
    clock: Clock,
    line: Mutex<Line>,
}

/// The line as far as it has come.
#[derive(Debug)]
struct Line {
    lane: Lane,
    since_us: u64,
    spent: Vec<Spent>,
    /// The turn only settles now.
    work_is_over: bool,
}

/// Brings the turn back to what it was at.
struct Aside<'s> {
    stopwatch: &'s Stopwatch,
    from: Lane,
}

impl Stopwatch {
    /// Runs from `began` on; the first lane is the session's opening.
    pub(super) fn running_since(began: Instant, clock: Clock) -> Self {
        Self { began, clock, line: Mutex::new(Line::new()) }
    }

    /// From now on the turn is at this.
    pub(super) fn enter(&self, lane: Lane) {
        let now = self.now();
        let mut line = self.lock();
        if !line.work_is_over {
            line.switch(lane, now);
        }
    }

    /// Waits for something that is none of what the turn is at. What is there already is not waited for.
    pub(super) async fn during<T>(&self, lane: Lane, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        if let Poll::Ready(there) = look(wait.as_mut()).await {
            return there;
        }
        self.spend(lane, wait).await
    }

    /// Does something that takes its time, whether it has to wait or not.
    pub(super) async fn spend<T>(&self, lane: Lane, work: impl Future<Output = T>) -> T {
        let from = self.lock().lane;
        self.enter(lane);
        let _aside = Aside { stopwatch: self, from };
        work.await
    }

    /// The work is over, and the turn settles: what a task that was forced still does is nothing that the turn is at.
    pub(super) fn settle(&self, lane: Lane) {
        let now = self.now();
        let mut line = self.lock();
        line.work_is_over = true;
        line.switch(lane, now);
    }

    /// How long the turn has been at what it is at, in microseconds.
    pub(super) fn lap_us(&self) -> u64 {
        self.now().saturating_sub(self.lock().since_us)
    }

    /// Where the time went until now.
    pub(super) fn record(&self, session_id: &SessionId, turn_id: &TurnId) -> TurnTime {
        let total_us = self.now();
        let spent = self.lock().until(total_us);
        TurnTime { session_id: session_id.clone(), turn_id: turn_id.clone(), total_us, spent }
    }

    fn now(&self) -> u64 {
        self.clock.us_since(self.began)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.stopwatch.enter(self.from);
    }
}

impl Line {
    fn new() -> Self {
        Self { lane: Lane::Opening, since_us: 0, spent: Vec::new(), work_is_over: false }
    }

    /// Whoever comes later may have looked at the clock earlier: time does not run backwards for that.
    fn switch(&mut self, lane: Lane, at_us: u64) {
        if lane == self.lane {
            return;
        }
        let at_us = at_us.max(self.since_us);
        book(&mut self.spent, self.lane, self.since_us, at_us);
        (self.lane, self.since_us) = (lane, at_us);
    }

    fn until(&self, at_us: u64) -> Vec<Spent> {
        let mut spent = self.spent.clone();
        book(&mut spent, self.lane, self.since_us, at_us);
        spent
    }
}

/// What a future has come to at this moment.
async fn look<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Books a stretch. One that took no time is none.
fn book(spent: &mut Vec<Spent>, on: Lane, from_us: u64, to_us: u64) {
    let us = to_us.saturating_sub(from_us);
    if us == 0 {
        return;
    }
    let Some(known) = spent.iter_mut().find(|known| known.on == on) else {
        spent.push(Spent { on, us, times: 1, longest_us: us, longest_at_us: from_us });
        return;
    };
    known.us += us;
    known.times += 1;
    if us > known.longest_us {
        (known.longest_us, known.longest_at_us) = (us, from_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::Provenance;
    use proptest::prelude::*;
    use std::future::{pending, ready};

    const LANES: [Lane; 6] = [Lane::Opening, Lane::Queue, Lane::Store, Lane::ModelWait, Lane::Tools, Lane::Commit];

    fn stopwatch() -> Stopwatch {
        Stopwatch::running_since(Instant::now(), Provenance::real().clock)
    }

    proptest! {
        #[test]
        fn every_instant_is_counted_once(steps in prop::collection::vec((0..LANES.len(), 0u64..5), 0..60), rest in 0u64..5) {
            let (mut line, mut now) = (Line::new(), 0);
            // Which lane each microsecond was in, and so which stretches there were.
            let mut instants = Vec::new();
            for (lane, passed) in steps {
                instants.extend(std::iter::repeat_n(line.lane, usize::try_from(passed).expect("small")));
                now += passed;
                line.switch(LANES[lane], now);
            }
            instants.extend(std::iter::repeat_n(line.lane, usize::try_from(rest).expect("small")));
            let spent = line.until(now + rest);
            prop_assert_eq!(spent.iter().map(|spent| spent.us).sum::<u64>(), now + rest);
            for lane in LANES {
                let known = spent.iter().find(|spent| spent.on == lane);
                prop_assert_eq!(known.map_or(0, |known| known.us), instants.iter().filter(|at| **at == lane).count() as u64);
                if let Some(Spent { us, times, longest_us, longest_at_us, .. }) = known {
                    let stretch = instants.iter().skip(usize::try_from(*longest_at_us).expect("small")).take_while(|at| **at == lane);
                    prop_assert!(stretch.count() as u64 >= *longest_us);
                    prop_assert!(longest_us <= us && *times <= *us && longest_us * times >= *us);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_there_is_not_waited_for_and_a_wait_that_is_given_up_is_over() {
        let stopwatch = stopwatch();
        stopwatch.enter(Lane::Tools);
        assert_eq!(stopwatch.during(Lane::Question, ready(7)).await, 7);
        assert_eq!(stopwatch.lock().lane, Lane::Tools);
        {
            let mut wait = pin!(stopwatch.during(Lane::Question, pending::<()>()));
            assert!(look(wait.as_mut()).await.is_pending());
            assert_eq!(stopwatch.lock().lane, Lane::Question);
        }
        assert_eq!(stopwatch.lock().lane, Lane::Tools);
    }

    #[tokio::test]
    async fn a_turn_that_settles_is_moved_by_its_work_no_more() {
        let stopwatch = stopwatch();
        {
            let mut wait = pin!(stopwatch.during(Lane::Editor, pending::<()>()));
            assert!(look(wait.as_mut()).await.is_pending());
            stopwatch.settle(Lane::Commit);
            stopwatch.enter(Lane::ModelWait);
        }
        assert_eq!(stopwatch.lock().lane, Lane::Commit);
        stopwatch.settle(Lane::Answer);
        assert_eq!(stopwatch.lock().lane, Lane::Answer);
    }

    #[test]
    fn a_clock_that_stands_still_counts_nothing() {
        let stopwatch = Stopwatch::running_since(Instant::now(), Provenance::deterministic().clock);
        stopwatch.enter(Lane::Tools);
        let time = stopwatch.record(&SessionId::new("s"), &TurnId::new("t"));
        assert_eq!((time.total_us, time.spent), (0, Vec::new()));
    }
}
