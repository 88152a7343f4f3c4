//! The time limits: those of one model call, of a tool call, of a whole turn.
//!
//! Invariants: the limits of a model call are in its trace whether one of them was over or not; a limit that is over is a
//! watchdog's doing and never called anybody's request. A model call ends by itself; the other two take the road of every
//! stop, since something may be running that has to be told.

use super::context::SessionContext;
use super::demand::{CancelDemand, CancelScope};
use super::runner::Mail;
use super::turn::TurnJob;
use crate::config::Watchdogs;
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Boundary, Confidence, StreamFailure, Watchdog, WatchdogName};
use crate::protocol::ids::TurnId;
use crate::protocol::model::ModelEvent;
use crate::protocol::said;
use crate::provenance::Moment;
use crate::provider::Provider;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

/// What the names of models that think before they write begin with, or have as one of their words.
const REASONING: [&str; 15] = [
    "o1",
    "o3",
    "o4",
    "gpt-5",
    "gpt-oss",
    "claude",
    "deepseek-r1",
    "r1",
    "reasoner",
    "reasoning",
    "thinking",
    "think",
    "qwq",
    "magistral",
    "grok-4",
];

/// Longer than any process lives.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The watchdogs of one attempt; the one that is armed bites when its time is over.
#[derive(Debug)]
pub(super) struct StreamWatch {
    /// None for a model in this process.
    limits: Vec<(WatchdogName, Duration)>,
    armed: WatchdogName,
    since: Instant,
    /// When the answer last said something; what merely keeps the connection alive does not count.
    heard: Instant,
    /// The answer's head has come.
    has_head: bool,
    /// How long an answer may be kept alive without saying anything.
    patience: Duration,
    /// Set anew only when it rings too early: a timer for each event of a fast stream would cost more than the event.
    alarm: Pin<Box<Sleep>>,
}

impl StreamWatch {
    /// Begins with the attempt: the connection is waited for.
    pub(super) fn begin(settings: &Watchdogs, provider: &dyn Provider) -> Self {
        let patience = if is_reasoning(provider.model()) { settings.reasoning } else { Duration::ZERO };
        let limits = [
            (WatchdogName::Connect, settings.connect),
            (WatchdogName::FirstByte, settings.first_byte.max(patience)),
            (WatchdogName::IdleStream, settings.idle.max(patience)),
        ];
        let limits = if provider.is_remote() { limits.to_vec() } else { Vec::new() };
        let patience = settings.idle.max(settings.reasoning);
        let since = Instant::now();
        let alarm = Box::pin(tokio::time::sleep_until(since + settings.connect));
        Self { limits, armed: WatchdogName::Connect, since, heard: since, has_head: false, patience, alarm }
    }

    /// Something came: the next thing is waited for from now on.
    pub(super) fn observe(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::RequestSent => {
                self.armed = WatchdogName::FirstByte;
                self.again();
            }
            // A server can answer at once and read the prompt for minutes: only what is of the answer ends the wait for it.
            ModelEvent::Headers { .. } => self.has_head = true,
            ModelEvent::KeptAlive => self.since = Instant::now(),
            _ => {
                self.armed = WatchdogName::IdleStream;
                self.again();
            }
        }
    }

    /// The time until now does not count: nobody was listening.
    pub(super) fn again(&mut self) {
        self.since = Instant::now();
        self.heard = self.since;
    }

    /// Resolves when the limit that is armed is over.
    pub(super) async fn bites(&mut self) {
        loop {
            let (due, _) = self.end();
            if due < self.alarm.deadline() {
                self.alarm.as_mut().reset(due);
            }
            self.alarm.as_mut().await;
            if Instant::now() >= due {
                return;
            }
            self.alarm.as_mut().reset(due);
        }
    }

    /// The failure that the armed limit is, now that it is over.
    pub(super) fn failure(&self) -> StreamFailure {
        let limit_ms = millis(self.end().1);
        let (cause, kind, seen) = match self.armed {
            WatchdogName::Connect => (Cause::ConnectTimeout { limit_ms }, "connect_timeout", said::NOT_HANDED_OVER),
            WatchdogName::FirstByte => {
                let seen = match (self.has_head, self.since > self.heard) {
                    (false, _) => said::NOT_ANSWERED,
                    (true, false) => said::ONLY_A_HEAD,
                    (true, true) => said::ONLY_A_HEAD_KEPT_ALIVE,
                };
                (Cause::FirstByteTimeout { limit_ms }, "first_byte_timeout", seen)
            }
            WatchdogName::IdleStream if self.since > self.heard => {
                (Cause::IdleStreamTimeout { limit_ms }, "idle_stream_timeout", said::ONLY_KEPT_ALIVE)
            }
            WatchdogName::IdleStream => (Cause::IdleStreamTimeout { limit_ms }, "idle_stream_timeout", said::FELL_SILENT),
        };
        StreamFailure {
            cause,
            boundary: Boundary::Watchdog,
            confidence: Confidence::Certain,
            evidence: vec![seen.to_owned(), "a time limit of pillion's own was over".to_owned()],
            kind: kind.to_owned(),
            message: seen.to_owned(),
            os_error: None,
            code: None,
            retry_after_ms: None,
            meaning: None,
        }
    }

    /// The limits as the trace shows them; `bitten`: the armed one was over.
    pub(super) fn records(&self, bitten: Bitten) -> Vec<Watchdog> {
        let record = |(name, limit): (WatchdogName, Duration)| {
            let fired = bitten == Bitten::Yes && name == self.armed;
            Watchdog { name, limit_ms: millis(if fired { self.end().1 } else { limit }), fired }
        };
        self.limits.iter().copied().map(record).collect()
    }

    /// When the wait under way is over, and the limit by which it is.
    fn end(&self) -> (Instant, Duration) {
        let (limit, patience) = (self.limit(), self.patience.max(self.limit()));
        let (silent, unheard) = (self.since + limit, self.heard + patience);
        if unheard < silent { (unheard, patience) } else { (silent, limit) }
    }

    fn limit(&self) -> Duration {
        self.limits.iter().find(|(name, _)| *name == self.armed).map_or(FOR_EVER, |(_, limit)| *limit)
    }
}

/// A limit on work that is told to stop when it takes too long.
pub(super) struct TimeLimit {
    limit: Duration,
    demand: CancelDemand,
    runner: mpsc::UnboundedSender<Mail>,
}

impl TimeLimit {
    pub(super) fn of_turn(context: &SessionContext, turn_id: &TurnId, runner: &mpsc::UnboundedSender<Mail>) -> Self {
        let limit = context.settings.watchdogs.turn;
        Self::new(context, turn_id, runner, limit, Cause::TurnTimeout { limit_ms: millis(limit) }, "watchdog.turn")
    }

    pub(super) fn of_tool(job: &TurnJob) -> Self {
        let limit = job.context.settings.watchdogs.tool;
        Self::new(&job.context, &job.turn_id, &job.runner, limit, Cause::ToolTimeout { limit_ms: millis(limit) }, "watchdog.tool")
    }

    fn new(
        context: &SessionContext,
        turn_id: &TurnId,
        runner: &mpsc::UnboundedSender<Mail>,
        limit: Duration,
        cause: Cause,
        point: &'static str,
    ) -> Self {
        let demand = CancelDemand::of(context.id.clone(), CancelScope::Turn(turn_id.clone()), cause, point, None);
        Self { limit, demand, runner: runner.clone() }
    }

    /// Does the work to its end. When the limit is over the runner stops the turn, and the work ends by its token.
    pub(super) async fn watch<T>(self, work: impl Future<Output = T>) -> T {
        if self.limit.is_zero() {
            return work.await;
        }
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(self.limit) => {}
        }
        let demand = CancelDemand { requested: Moment::now(), ..self.demand };
        // Nobody waits for the outcome, which is recorded.
        let (reply, _) = oneshot::channel();
        let _ = self.runner.send(Mail::Cancel { demand, reply });
        work.await
    }
}

/// Whether the armed limit was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bitten {
    Yes,
    No,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a model of this name may be silent for long before it writes. Behind a slash stands the name of a router's model.
fn is_reasoning(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let word = |wanted: &str| name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == wanted);
    REASONING
        .iter()
        .any(|mark| name.strip_prefix(mark).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric())) || word(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::model::ModelRequest;
    use futures_util::StreamExt;
    use futures_util::stream::{self, BoxStream};

    #[test]
    fn models_that_think_first_are_known_by_name() {
        for model in [
            "o3-mini",
            "gpt-5.2",
            "gpt-oss-120b",
            "claude-opus-5",
            "deepseek-reasoner",
            "deepseek/deepseek-r1:free",
            "Qwen3-235B-A22B-Thinking-2507",
        ] {
            assert!(is_reasoning(model), "{model}");
        }
        for model in ["gpt-4o", "gpt-50", "claudette", "o30", "llama3.1:8b", "rethinking-the-past", ""] {
            assert!(!is_reasoning(model), "{model}");
        }
    }

    struct Named {
        model: &'static str,
        remote: bool,
    }

    impl Provider for Named {
        fn name(&self) -> &'static str {
            "test"
        }

        fn model(&self) -> &str {
            self.model
        }

        fn is_remote(&self) -> bool {
            self.remote
        }

        fn stream(&self, _: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
            stream::empty().boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_thinks_gets_the_longer_limits_and_one_in_this_process_none() {
        let settings = Watchdogs { first_byte: Duration::from_secs(5), idle: Duration::from_secs(700), ..Watchdogs::default() };
        let watch = |model, remote| StreamWatch::begin(&settings, &Named { model, remote });
        let limits = |watch: &StreamWatch| -> Vec<_> { watch.records(Bitten::No).iter().map(|dog| dog.limit_ms).collect() };
        assert_eq!(limits(&watch("gpt-4o", true)), [20_000, 5_000, 700_000]);
        assert_eq!(limits(&watch("o3", true)), [20_000, 600_000, 700_000]);
        let mut patient = watch("model.gguf", false);
        assert_eq!(patient.records(Bitten::No), []);
        let day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(day, patient.bites()).await.is_err(), "it may load as long as it takes");
    }

    #[tokio::test(start_paused = true)]
    async fn each_event_begins_the_wait_anew() {
        let begun = Instant::now();
        let mut watch = StreamWatch::begin(&Watchdogs::default(), &Named { model: "gpt-4o", remote: true });
        watch.observe(&ModelEvent::RequestSent);
        tokio::time::sleep(Duration::from_secs(100)).await;
        watch.observe(&ModelEvent::Text("a".into()));
        watch.bites().await;
        assert_eq!(begun.elapsed().as_secs(), 220);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_kept_alive_may_be_silent_for_as_long_as_one_that_thinks() {
        let begun = Instant::now();
        let mut watch = StreamWatch::begin(&Watchdogs::default(), &Named { model: "gpt-4o", remote: true });
        watch.observe(&ModelEvent::Text("a".into()));
        let pinged = async {
            loop {
                tokio::select! {
                    () = watch.bites() => return,
                    () = tokio::time::sleep(Duration::from_secs(50)) => {}
                }
                watch.observe(&ModelEvent::KeptAlive);
            }
        };
        pinged.await;
        assert_eq!(begun.elapsed().as_secs(), 600);
        assert_eq!(watch.failure().cause, Cause::IdleStreamTimeout { limit_ms: 600_000 });
        let fired: Vec<_> = watch.records(Bitten::Yes).into_iter().filter(|dog| dog.fired).collect();
        assert_eq!(fired, [Watchdog { name: WatchdogName::IdleStream, limit_ms: 600_000, fired: true }]);
        assert_eq!(watch.failure().message, "an answer had begun and was kept alive, but said nothing more");
    }
}
