//! A model call with its retries, and the rule by which any model call is made again.
//!
//! Invariant: a call is made again only if nothing of its answer had been shown, and so no tool can have been started by it;
//! the decision and its reasons stand in the trace of the attempt that failed, and the client of a turn is told before the wait.

use super::attempt::{self, Answered, Broken};
use super::saver::Saver;
use super::trace::AttemptTrace;
use super::turn::{Fault, Interruption, TurnJob};
use crate::config::Retry;
use crate::protocol::abort::Phase;
use crate::protocol::cause::{Cause, Initiator};
use crate::protocol::diagnostics::{Boundary, Meaning, RetryDecision, RetryVerdict, StreamFailure, StreamTrace};
use crate::protocol::turn::Lane;
use crate::protocol::update::{InfoExtras, InfoMeta, RetryNotice, SessionUpdate};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;

/// Statuses that say "not now" and not "never".
const PASSING_STATUSES: [u16; 8] = [408, 425, 429, 500, 502, 503, 504, 529];

/// Codes inside a stream that say the same as a passing status, besides the status itself and what is understood of it.
const PASSING_CODES: [&str; 2] = ["api_error", "server_error"];

/// What about an answer makes it worth another one, although nothing failed.
const PASSING_KINDS: [&str; 2] = ["empty_answer", "not_a_stream"];

/// The longest pause between two questions whether a server has loaded its model.
const LOADING_PAUSE: Duration = Duration::from_secs(5);

/// Connections that fail in the same way however often they are tried.
const LASTING_KINDS: [&str; 2] = ["tls", "client_setup"];

/// Makes the call of this step, again if need be, until it is answered, fails for good or the turn is stopped.
pub(super) async fn call(
    job: &TurnJob,
    step: u64,
    system: &str,
    call_ids: &mut HashSet<String>,
    saver: &mut Saver,
) -> Result<Answered, Interruption> {
    let mut attempt = 1;
    let mut loading = Loading::default();
    loop {
        job.ledger.enter(Phase::BeforeRequest);
        job.stopwatch.enter(Lane::ModelConnect);
        if job.token.is_stopped() {
            return Err(Interruption::Stopped);
        }
        let asked = job.title.turns.call_begins();
        let answered = attempt::run(job, (step, attempt), job.request(system), (call_ids, &mut loading), saver).await;
        drop(asked);
        let (fault, meaning, delay) = match answered {
            Ok(answered) => return Ok(answered),
            Err(Broken::Interrupted(interruption)) => return Err(interruption),
            Err(Broken::Failed { fault, again_after: None, .. }) => return Err(Interruption::Fault(fault)),
            Err(Broken::Failed { fault, meaning, again_after: Some(delay) }) => (fault, meaning, delay),
        };
        attempt += 1;
        job.ledger.enter(Phase::RetryBackoff);
        job.ledger.tell(notice(&fault, meaning, (attempt, delay), &job.context.settings.retry, &loading));
        tracing::info!(step, attempt, delay_ms = millis(delay), "the model call will be made again");
        if let Err(stopped) = job.stopwatch.during(Lane::Backoff, job.token.race(tokio::time::sleep(delay))).await {
            job.ledger.hop("turn.backoff_ended");
            return Err(stopped.into());
        }
    }
}

/// How long a server has been loading its model.
#[derive(Debug, Default)]
pub(super) struct Loading {
    since: Option<Instant>,
    /// Attempts that found it loading, or with a request that it does not take as it was: none of them counts.
    attempts: u64,
}

/// Ends the trace of an attempt with its failure and with what becomes of the call. Gives the wait, if it is made again.
pub(super) fn fail(
    trace: &mut AttemptTrace,
    failure: StreamFailure,
    settings: &Retry,
    time_left: Option<Duration>,
    loading: &mut Loading,
) -> Option<Duration> {
    trace.failed(failure);
    let decision = decide(trace.trace(), settings, time_left, loading);
    let again_after = decision.as_ref().and_then(|decision| decision.delay_ms).map(Duration::from_millis);
    trace.decided(decision);
    again_after
}

/// What becomes of the call whose attempt this is, where all attempts together have `time_left`; nothing, if the attempt
/// has not failed.
fn decide(trace: &StreamTrace, settings: &Retry, time_left: Option<Duration>, loading: &mut Loading) -> Option<RetryDecision> {
    let failure = trace.failure.as_ref()?;
    let given_up = |why: &str| Some(RetryDecision { verdict: RetryVerdict::GivenUp, reasons: vec![why.to_owned()], delay_ms: None });
    if has_shown_something(trace) {
        return given_up("a part of the answer had come");
    }
    if !is_passing(failure) {
        return given_up("the failure is not of a kind that passes by itself");
    }
    if failure.meaning == Some(Meaning::Unsupported) {
        loading.attempts += 1;
        let reasons = vec!["the server does not take a part of the request, which is left out now".to_owned()];
        return Some(RetryDecision { verdict: RetryVerdict::Again, reasons, delay_ms: Some(0) });
    }
    let is_loading = failure.meaning == Some(Meaning::Loading);
    let asked = failure.retry_after_ms.map_or(Duration::ZERO, Duration::from_millis);
    if is_loading {
        loading.attempts += 1;
        let since = *loading.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= settings.loading {
            return given_up("retry.loading_seconds are over, and the server is still loading the model");
        }
    } else if trace.attempt.saturating_sub(loading.attempts) >= settings.max_attempts {
        return given_up("retry.max_attempts allows no further attempt");
    } else if asked > settings.max_delay {
        return given_up("the provider asks for a longer wait than retry.max_delay_seconds");
    }
    let doublings = u32::try_from(trace.attempt - 1).unwrap_or(u32::MAX);
    let most = if is_loading { LOADING_PAUSE } else { settings.max_delay };
    let own = settings.first_delay.saturating_mul(2_u32.saturating_pow(doublings)).min(most);
    // A server only guesses when it will have loaded.
    let asked = if is_loading { asked.min(most) } else { asked };
    let wait = own.max(asked);
    if time_left.is_some_and(|left| left <= wait) {
        return given_up("the time limit leaves no room for a further attempt");
    }
    let kind = if is_loading { "the server is loading the model" } else { "the failure is of a kind that passes" };
    let mut reasons = vec![kind, "nothing of the answer had been shown", "no tool had been started by it"];
    if asked > own {
        reasons.push("the provider said how long to wait");
    }
    let reasons = reasons.into_iter().map(str::to_owned).collect();
    Some(RetryDecision { verdict: RetryVerdict::Again, reasons, delay_ms: Some(millis(wait)) })
}

fn has_shown_something(trace: &StreamTrace) -> bool {
    let counters = &trace.counters;
    counters.text + counters.reasoning + counters.tool_input > 0
}

/// Whether the same call may well succeed in a while. A model that was asked and is silent may be at work on the answer, which
/// somebody pays for: it is not asked a second time.
fn is_passing(failure: &StreamFailure) -> bool {
    let code = failure.code.as_deref().unwrap_or_default();
    let is_status = || code.parse().is_ok_and(|code| PASSING_STATUSES.contains(&code));
    match (&failure.cause, failure.meaning) {
        (_, Some(Meaning::QuotaExhausted)) => false,
        (_, Some(Meaning::RateLimited | Meaning::Overloaded | Meaning::Loading | Meaning::Unsupported))
        | (Cause::ConnectTimeout { .. }, None) => true,
        (Cause::ProviderHttp { http_status }, None) => PASSING_STATUSES.contains(http_status),
        (Cause::ProviderTransport, None) => !LASTING_KINDS.contains(&failure.kind.as_str()),
        (Cause::ProviderProtocol, None) if failure.boundary == Boundary::ProviderError => is_status() || PASSING_CODES.contains(&code),
        (Cause::ProviderProtocol, None) => PASSING_KINDS.contains(&failure.kind.as_str()),
        _ => false,
    }
}

fn notice(
    fault: &Fault,
    meaning: Option<Meaning>,
    (attempt, delay): (u64, Duration),
    settings: &Retry,
    loading: &Loading,
) -> SessionUpdate {
    let sentence = match (meaning, fault.name.as_str()) {
        (Some(Meaning::Loading), _) => "The model server is still loading the model.".to_owned(),
        (Some(Meaning::Unsupported), _) => "The server does not take a part of the request, which is left out now.".to_owned(),
        (_, "empty_answer") => "The model ended without an answer.".to_owned(),
        _ => fault.cause.sentence(Initiator::Unknown, None),
    };
    let retry = RetryNotice {
        attempt,
        // Attempts that found the server loading do not count.
        max_attempts: settings.max_attempts.saturating_add(loading.attempts),
        delay_ms: millis(delay),
        cause: fault.cause.name().to_owned(),
        sentence,
    };
    let pillion = InfoExtras { retry: Some(retry), note: None };
    SessionUpdate::SessionInfoUpdate { title: None, updated_at: None, meta: Some(InfoMeta { pillion }) }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
