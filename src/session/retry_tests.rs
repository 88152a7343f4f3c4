//! The decision by itself: which failures are tried again, when, and what the record says of it.

use super::*;
use crate::protocol::ids::{AttemptId, SessionId, TurnId};
use crate::protocol::model::ModelEvent;
use crate::provenance::Provenance;
use crate::provider::failure::{ProtocolKind, TransportKind, http, protocol, transport};
use crate::session::trace::{Asked, AttemptTrace};

const GOOD: [&str; 3] = ["the failure is of a kind that passes", "nothing of the answer had been shown", "no tool had been started by it"];

/// The decision about the `attempt`th attempt, which failed after these events.
fn decided(attempt: u64, events: &[ModelEvent], failure: StreamFailure) -> RetryDecision {
    decided_within(None, attempt, events, failure)
}

/// The same, where all attempts together have this much time left.
fn decided_within(time_left: Option<Duration>, attempt: u64, events: &[ModelEvent], failure: StreamFailure) -> RetryDecision {
    let place = (SessionId::new("s"), TurnId::new("t"));
    let asked = Asked { provider: "fake", model: "m", is_remote: true };
    let mut trace = AttemptTrace::begin(AttemptId::new("a"), place, (1, attempt), asked, Provenance::deterministic());
    events.iter().for_each(|event| trace.observe(event));
    let again_after = fail(&mut trace, failure, &Retry::default(), time_left, &mut Loading::default());
    let decision = trace.trace().retry.clone().expect("a decision");
    assert_eq!(again_after.map(millis), decision.delay_ms);
    decision
}

fn delay(attempt: u64, failure: StreamFailure) -> Option<u64> {
    decided(attempt, &[ModelEvent::RequestSent], failure).delay_ms
}

fn reset() -> StreamFailure {
    *transport(TransportKind::ConnectionReset, "reset", &[])
}

fn busy(retry_after_ms: Option<u64>) -> StreamFailure {
    StreamFailure { retry_after_ms, ..*http(429, "slow down", None, &[]) }
}

#[test]
fn the_wait_doubles_and_the_attempts_are_counted() {
    assert_eq!((delay(1, reset()), delay(2, reset()), delay(3, reset())), (Some(500), Some(1000), None));
    let last = decided(3, &[], reset());
    assert_eq!((last.verdict, last.reasons), (RetryVerdict::GivenUp, vec!["retry.max_attempts allows no further attempt".to_owned()]));
    let first = decided(1, &[], reset());
    assert_eq!((first.verdict, first.reasons.as_slice()), (RetryVerdict::Again, GOOD.map(str::to_owned).as_slice()));
}

#[test]
fn the_provider_is_left_alone_for_as_long_as_it_asks() {
    assert_eq!((delay(1, busy(Some(100))), delay(1, busy(Some(7_000)))), (Some(500), Some(7_000)));
    assert!(decided(1, &[], busy(Some(7_000))).reasons.contains(&"the provider said how long to wait".to_owned()));
    let too_long = decided(1, &[], busy(Some(30_001)));
    let why = "the provider asks for a longer wait than retry.max_delay_seconds";
    assert_eq!((too_long.verdict, too_long.reasons), (RetryVerdict::GivenUp, vec![why.to_owned()]));
}

#[test]
fn a_wait_that_outlasts_the_time_limit_is_not_begun() {
    let within = |left| decided_within(Some(Duration::from_millis(left)), 1, &[], reset());
    assert_eq!(within(501).delay_ms, Some(500));
    let why = "the time limit leaves no room for a further attempt";
    assert_eq!(within(500), RetryDecision { verdict: RetryVerdict::GivenUp, reasons: vec![why.to_owned()], delay_ms: None });
}

#[test]
fn what_was_shown_is_not_shown_again() {
    for event in [ModelEvent::Text("a".into()), ModelEvent::Reasoning("a".into()), ModelEvent::ToolInput { bytes: 3 }] {
        let decision = decided(1, &[ModelEvent::RequestSent, event], reset());
        assert_eq!((decision.verdict, decision.reasons), (RetryVerdict::GivenUp, vec!["a part of the answer had come".to_owned()]));
    }
    let unseen = [ModelEvent::Headers { http_status: 200, request_id: None }, ModelEvent::KeptAlive];
    assert_eq!(decided(1, &unseen, reset()).verdict, RetryVerdict::Again);
}

#[test]
fn only_a_failure_that_passes_is_worth_another_attempt() {
    let limit_ms = 1;
    let timed = |cause| StreamFailure { cause, ..reset() };
    let passing = [
        *transport(TransportKind::ConnectionRefused, "", &[]),
        *transport(TransportKind::UnexpectedEof, "", &[]),
        *http(503, "", None, &[]),
        *http(529, "", Some("overloaded_error"), &[]),
        *protocol(ProtocolKind::ProviderError, "", Some("overloaded_error"), &[]),
        *protocol(ProtocolKind::ProviderError, "", Some("529"), &[]),
        timed(Cause::ConnectTimeout { limit_ms }),
    ];
    for failure in passing {
        assert_eq!(decided(1, &[], failure.clone()).verdict, RetryVerdict::Again, "{failure:?}");
    }
    let lasting = [
        *transport(TransportKind::Tls, "", &[]),
        *http(401, "", None, &[]),
        *http(429, "", Some("insufficient_quota"), &[]),
        *protocol(ProtocolKind::ProviderError, "", Some("invalid_prompt"), &[]),
        *protocol(ProtocolKind::ProviderError, "", Some("400"), &[]),
        *protocol(ProtocolKind::BadJson, "", Some("server_error"), &[]),
        timed(Cause::FirstByteTimeout { limit_ms }),
        timed(Cause::IdleStreamTimeout { limit_ms }),
    ];
    for failure in lasting {
        let decision = decided(1, &[], failure.clone());
        let why = "the failure is not of a kind that passes by itself".to_owned();
        assert_eq!((decision.verdict, decision.reasons), (RetryVerdict::GivenUp, vec![why]), "{failure:?}");
    }
}
