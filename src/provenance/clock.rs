//! What every record is made with: wall clock, monotonic clock, boot id, the mint of ids, and the keys that none may hold.
//! Time and ids can be made deterministic.

use super::known_keys::KnownKeys;
use crate::protocol::ids::{AbortId, AttemptId, CancelId, ConnectionId, MessageId, SessionId, TitleRunId, TurnId};
use crate::protocol::record::Texts;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock of `--deterministic`: 2026-01-01T00:00:00Z.
const FIXED_WALL_MS: u64 = 1_767_225_600_000;

/// The clock, the id mint and the known keys that every record of one process is made with.
#[derive(Debug, Clone)]
pub struct Provenance {
    pub clock: Clock,
    pub ids: IdMint,
    pub keys: Arc<KnownKeys>,
}

impl Provenance {
    /// Real time, random ids.
    pub fn real() -> Self {
        Self { clock: Clock { fixed: false, boot_id: boot_id().into() }, ids: IdMint { counters: None }, keys: Arc::default() }
    }

    /// Ids that count from 1, a wall clock that stands still, durations of 0: for tests that compare whole values.
    pub fn deterministic() -> Self {
        let ids = IdMint { counters: Some(Arc::default()) };
        Self { clock: Clock { fixed: true, boot_id: "boot-0".into() }, ids, keys: Arc::default() }
    }

    /// The same, of a process that knows these keys.
    pub fn knowing(self, keys: Arc<KnownKeys>) -> Self {
        Self { keys, ..self }
    }

    /// A record as it may be stored and answered: without any known key. Every maker of records ends with this.
    pub fn recorded<T: Texts>(&self, record: T) -> T {
        self.keys.scrub_record(record)
    }
}

/// Wall clock for people, monotonic clock for durations, boot id to tell two machines' uptimes apart.
#[derive(Debug, Clone)]
pub struct Clock {
    fixed: bool,
    boot_id: Arc<str>,
}

impl Clock {
    /// Milliseconds since 1970.
    pub fn wall_ms(&self) -> u64 {
        if self.fixed {
            return FIXED_WALL_MS;
        }
        let now = since_1970(SystemTime::now()).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    /// What a person should know about this machine's clock.
    pub fn warning(&self) -> Option<&'static str> {
        let stands_wrong = !self.fixed && since_1970(SystemTime::now()).is_none();
        stands_wrong
            .then_some("the clock of this machine stands before 1970, so every time is recorded as the beginning of 1970; set the clock")
    }

    /// Whether it stands still, as all does that must be the same in two runs.
    pub fn stands_still(&self) -> bool {
        self.fixed
    }

    /// The wall clock at an instant of the near past.
    pub fn wall_at(&self, instant: Instant) -> u64 {
        self.wall_ms().saturating_sub(self.us_since(instant) / 1000)
    }

    /// Microseconds from `from` to now; 0 when the clock stands still.
    pub fn us_since(&self, from: Instant) -> u64 {
        self.us_between(from, Instant::now())
    }

    /// Microseconds from `from` to `to`; 0 when the clock stands still.
    pub fn us_between(&self, from: Instant, to: Instant) -> u64 {
        if self.fixed { 0 } else { u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX) }
    }

    /// The kernel's id of this boot; `unknown` where there is none.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

/// An instant that records name. Its time by the wall clock is read once, however many they are: read twice, it would be
/// two times, as the two clocks are never read at once. Clones are the same moment.
#[derive(Debug, Clone)]
pub struct Moment {
    instant: Instant,
    wall_ms: Arc<OnceLock<u64>>,
}

impl Moment {
    pub fn now() -> Self {
        Instant::now().into()
    }

    pub fn instant(&self) -> Instant {
        self.instant
    }

    /// Milliseconds since 1970.
    pub fn wall_ms(&self, clock: &Clock) -> u64 {
        *self.wall_ms.get_or_init(|| clock.wall_at(self.instant))
    }
}

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        Self { instant, wall_ms: Arc::default() }
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.instant == other.instant
    }
}

impl Eq for Moment {}

/// Nothing, for a clock that stands before 1970.
fn since_1970(now: SystemTime) -> Option<Duration> {
    now.duration_since(UNIX_EPOCH).ok()
}

/// A name that is unique for ever, whatever the clock says.
pub fn unique() -> String {
    unique_at(SystemTime::now())
}

fn unique_at(now: SystemTime) -> String {
    let id = match since_1970(now) {
        Some(_) => uuid::Uuid::now_v7(),
        // Asked for the time now, it panics.
        None => uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 0, 0)),
    };
    id.simple().to_string()
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| "unknown".into(), |id| id.trim().to_owned())
}

/// Makes ids: UUID v7 (unique for ever), or counters when deterministic.
#[derive(Debug, Clone)]
pub struct IdMint {
    counters: Option<Arc<Counters>>,
}

#[derive(Debug, Default)]
struct Counters {
    session: AtomicU64,
    turn: AtomicU64,
    message: AtomicU64,
    attempt: AtomicU64,
    abort: AtomicU64,
    cancel: AtomicU64,
    title: AtomicU64,
    connection: AtomicU64,
}

macro_rules! mint {
    ($($name:ident: $id:ident;)*) => {
        $(pub fn $name(&self) -> $id {
            $id::new(self.text($id::PREFIX, |counters| &counters.$name))
        })*
    };
}

impl IdMint {
    mint! {
        session: SessionId;
        turn: TurnId;
        message: MessageId;
        attempt: AttemptId;
        abort: AbortId;
        cancel: CancelId;
        title: TitleRunId;
        connection: ConnectionId;
    }

    fn text(&self, prefix: &str, counter: impl Fn(&Counters) -> &AtomicU64) -> String {
        match &self.counters {
            Some(counters) => format!("{prefix}_{}", counter(counters).fetch_add(1, Ordering::Relaxed) + 1),
            None => format!("{prefix}_{}", unique()),
        }
    }
}

/// How long a stop may take before it is forced.
#[derive(Debug, Clone, Copy)]
pub struct Grace {
    pub soft: Duration,
    pub hard: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_time_for_all_who_ask() {
        let (moment, clock) = (Moment::now(), Provenance::real().clock);
        let first = moment.wall_ms(&clock);
        let enough = Instant::now() + Duration::from_millis(5);
        while Instant::now() < enough {
            assert_eq!(moment.clone().wall_ms(&clock), first);
        }
    }

    #[test]
    fn a_clock_before_1970_gives_the_beginning_of_1970_and_ids_that_differ() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!((since_1970(before), since_1970(UNIX_EPOCH)), (None, Some(Duration::ZERO)));
        let ids = [unique_at(before), unique_at(before)];
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| id.starts_with("0000000000007")), "{ids:?}");
        assert!(Provenance::real().clock.warning().is_none());
    }
}
