//! A model call with its retries, and the rule by which any model call is made again.
//!
//! Invariant: a call is made again only if nothing of its answer had been shown, and so no tool can have been started by it;
//! the decision and its reasons stand in the trace of the attempt that failed, and the client of a turn is told before the wait.

use super::attempt::{self, Answered, Broken};
use super::saver::Saver;
use super::trace::AttemptTrace;
use super::turn::{Interruption, TurnJob};
use crate::config::Retry;
use crate::protocol::abort::Phase;
use crate::protocol::cause::{Cause, Initiator};
use crate::protocol::diagnostics::{Boundary, RetryDecision, RetryVerdict, StreamFailure, StreamTrace};
use crate::protocol::turn::Lane;
use crate::protocol::update::{InfoExtras, InfoMeta, RetryNotice, SessionUpdate};
use std::collections::HashSet;
use std::time::Duration;

/// Statuses that say "not now" and not "never".
const PASSING_STATUSES: [u16; 8] = [408, 425, 429, 500, 502, 503, 504, 529];

/// Codes of an exhausted account, which vendors send with a status that otherwise passes.
const LASTING_CODES: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"];

/// Codes inside a stream that say the same as a passing status, besides the status itself.
const PASSING_CODES: [&str; 6] =
    ["overloaded_error", "api_error", "rate_limit_error", "rate_limit_exceeded", "server_error", "server_is_overloaded"];

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
    loop {
        job.ledger.enter(Phase::BeforeRequest);
        job.stopwatch.enter(Lane::ModelConnect);
        if job.token.is_stopped() {
            return Err(Interruption::Stopped);
        }
        let (fault, delay) = match attempt::run(job, (step, attempt), job.request(system), call_ids, saver).await {
            Ok(answered) => return Ok(answered),
            Err(Broken::Interrupted(interruption)) => return Err(interruption),
            Err(Broken::Failed { fault, again_after: None }) => return Err(Interruption::Fault(fault)),
            Err(Broken::Failed { fault, again_after: Some(delay) }) => (fault, delay),
        };
        attempt += 1;
        job.ledger.enter(Phase::RetryBackoff);
        job.ledger.tell(notice(&fault.cause, attempt, delay, &job.context.settings.retry));
        tracing::info!(step, attempt, delay_ms = millis(delay), "the model call will be made again");
        if let Err(stopped) = job.stopwatch.during(Lane::Backoff, job.token.race(tokio::time::sleep(delay))).await {
            job.ledger.hop("turn.backoff_ended");
            return Err(stopped.into());
        }
    }
}

/// Ends the trace of an attempt with its failure and with what becomes of the call. Gives the wait, if it is made again.
pub(super) fn fail(trace: &mut AttemptTrace, failure: StreamFailure, settings: &Retry, time_left: Option<Duration>) -> Option<Duration> {
    trace.failed(failure);
    let decision = decide(trace.trace(), settings, time_left);
    let again_after = decision.as_ref().and_then(|decision| decision.delay_ms).map(Duration::from_millis);
    trace.decided(decision);
    again_after
}

/// What becomes of the call whose attempt this is, where all attempts together have `time_left`; nothing, if the attempt
/// has not failed.
fn decide(trace: &StreamTrace, settings: &Retry, time_left: Option<Duration>) -> Option<RetryDecision> {
    let failure = trace.failure.as_ref()?;
    let given_up = |why: &str| Some(RetryDecision { verdict: RetryVerdict::GivenUp, reasons: vec![why.to_owned()], delay_ms: None });
    if has_shown_something(trace) {
        return given_up("a part of the answer had come");
    }
    if !is_passing(failure) {
        return given_up("the failure is not of a kind that passes by itself");
    }
    if trace.attempt >= settings.max_attempts {
        return given_up("retry.max_attempts allows no further attempt");
    }
    let asked = failure.retry_after_ms.map_or(Duration::ZERO, Duration::from_millis);
    if asked > settings.max_delay {
        return given_up("the provider asks for a longer wait than retry.max_delay_seconds");
    }
    let doublings = u32::try_from(trace.attempt - 1).unwrap_or(u32::MAX);
    let own = settings.first_delay.saturating_mul(2_u32.saturating_pow(doublings)).min(settings.max_delay);
    let wait = own.max(asked);
    if time_left.is_some_and(|left| left <= wait) {
        return given_up("the time limit leaves no room for a further attempt");
    }
    let mut reasons =
        vec!["the failure is of a kind that passes", "nothing of the answer had been shown", "no tool had been started by it"];
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
    let code_is_one_of = |codes: &[&str]| failure.code.as_deref().is_some_and(|code| codes.contains(&code));
    match &failure.cause {
        Cause::ConnectTimeout { .. } => true,
        Cause::ProviderHttp { http_status } => PASSING_STATUSES.contains(http_status) && !code_is_one_of(&LASTING_CODES),
        Cause::ProviderTransport => !LASTING_KINDS.contains(&failure.kind.as_str()),
        Cause::ProviderProtocol => {
            let is_status = failure.code.as_deref().and_then(|code| code.parse().ok()).is_some_and(|code| PASSING_STATUSES.contains(&code));
            failure.boundary == Boundary::ProviderError && (is_status || code_is_one_of(&PASSING_CODES))
        }
        _ => false,
    }
}

fn notice(cause: &Cause, attempt: u64, delay: Duration, settings: &Retry) -> SessionUpdate {
    let retry = RetryNotice {
        attempt,
        max_attempts: settings.max_attempts,
        delay_ms: millis(delay),
        cause: cause.name().to_owned(),
        sentence: cause.sentence(Initiator::Unknown, None),
    };
    SessionUpdate::SessionInfoUpdate { title: None, updated_at: None, meta: Some(InfoMeta { pillion: InfoExtras { retry } }) }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
