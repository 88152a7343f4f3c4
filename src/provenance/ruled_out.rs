//! What a stop was not, as far as its record shows.
//!
//! Invariant: nothing is ruled out of which the record itself shows something: its cause, its source, its request, the other
//! demands on the turn, the attempts of its model calls.

use crate::protocol::abort::{Abort, CancelRequest, Phase};
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{Boundary, StreamState, StreamTrace};

/// What else is on record of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'e> {
    pub traces: &'e [StreamTrace],
    /// Every demand to stop it, whatever it came to.
    pub cancel_requests: &'e [CancelRequest],
}

/// Causes that are of one kind to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    AskedByClient,
    ClientGone,
    Signal,
    TimeLimit,
    ProviderFailure,
    TurnLimit,
    PillionFailure,
}

use Family::{AskedByClient, ClientGone, PillionFailure, ProviderFailure, Signal, TimeLimit, TurnLimit};

impl Family {
    const ALL: [Self; 7] = [AskedByClient, ClientGone, Signal, TimeLimit, ProviderFailure, TurnLimit, PillionFailure];

    fn name(self) -> &'static str {
        match self {
            AskedByClient => "asked_by_client",
            ClientGone => "client_gone",
            Signal => "signal",
            TimeLimit => "time_limit",
            ProviderFailure => "provider_failure",
            TurnLimit => "turn_limit",
            PillionFailure => "pillion_failure",
        }
    }
}

/// The families of which `abort` and the evidence show nothing.
pub fn ruled_out(abort: &Abort, evidence: Evidence<'_>) -> Vec<String> {
    let mut shown = of_cause(&abort.cause).to_vec();
    shown.extend(of_source(abort.source.as_deref()));
    shown.extend(abort.request.as_ref().map(|_| AskedByClient));
    shown.extend((abort.phase == Phase::RetryBackoff).then_some(ProviderFailure));
    shown.extend(abort.missing.iter().any(|missing| missing == NOT_DURABLE).then_some(PillionFailure));
    shown.extend(evidence.cancel_requests.iter().flat_map(of_demand));
    evidence.traces.iter().for_each(|trace| of_trace(trace, &mut shown));
    Family::ALL.into_iter().filter(|family| !shown.contains(family)).map(|family| family.name().to_owned()).collect()
}

/// What a demand shows, which is not ruled out where it is on record.
pub fn shown_by(demand: &CancelRequest) -> impl Iterator<Item = &'static str> {
    of_demand(demand).map(Family::name)
}

fn of_demand(demand: &CancelRequest) -> impl Iterator<Item = Family> {
    let by_request = demand.request.as_ref().map(|_| AskedByClient);
    of_cause(&demand.cause).iter().copied().chain(of_source(demand.source.as_deref())).chain(by_request)
}

/// What `missing` says of a terminal record that could not be stored.
const NOT_DURABLE: &str = "not_durable";

fn of_cause(cause: &Cause) -> &'static [Family] {
    match cause {
        Cause::ClientCancel | Cause::RpcCancel | Cause::SupersededByPrompt { .. } | Cause::SessionClosed | Cause::SessionDeleted => {
            &[AskedByClient]
        }
        // The client asks for it, and goes.
        Cause::ShutdownRequest | Cause::ExitWithoutShutdown => &[AskedByClient, ClientGone],
        Cause::ClientEof | Cause::ClientFramingBroken | Cause::ClientWriteFailed | Cause::ClientProcessDied { .. } => &[ClientGone],
        Cause::Signal { .. } => &[Signal],
        // Who does not answer may have failed.
        Cause::ConnectTimeout { .. } | Cause::FirstByteTimeout { .. } | Cause::IdleStreamTimeout { .. } => &[TimeLimit, ProviderFailure],
        Cause::TurnTimeout { .. } | Cause::ToolTimeout { .. } => &[TimeLimit],
        Cause::ProviderHttp { .. } | Cause::ProviderTransport | Cause::ContextOverflow => &[ProviderFailure],
        // What was not understood may have been good.
        Cause::ProviderProtocol => &[ProviderFailure, PillionFailure],
        Cause::Budget { .. } | Cause::LoopGuard(_) => &[TurnLimit],
        Cause::StoreFailure | Cause::InternalPanic { .. } => &[PillionFailure],
        // Nobody was there to see.
        Cause::CrashRecovered | Cause::Unknown => &Family::ALL,
    }
}

/// A source is its client's word for what made it ask.
fn of_source(source: Option<&str>) -> impl Iterator<Item = Family> {
    const WORDS: [(&str, Family); 8] = [
        ("sigint", Signal),
        ("sigterm", Signal),
        ("sighup", Signal),
        ("sigquit", Signal),
        ("signal", Signal),
        ("timeout", TimeLimit),
        ("deadline", TimeLimit),
        ("stdout_closed", ClientGone),
    ];
    let source = source.unwrap_or_default().to_ascii_lowercase();
    WORDS.into_iter().filter(move |(word, _)| source.contains(word)).map(|(_, family)| family)
}

fn of_trace(trace: &StreamTrace, shown: &mut Vec<Family>) {
    let is_error = trace.http_status.is_some_and(|status| status >= 400);
    shown.extend((is_error || trace.state == StreamState::Failed).then_some(ProviderFailure));
    shown.extend(trace.watchdogs.iter().flatten().any(|watchdog| watchdog.fired).then_some(TimeLimit));
    if let Some(failure) = &trace.failure {
        shown.extend(of_cause(&failure.cause));
        shown.extend((failure.boundary == Boundary::Watchdog).then_some(TimeLimit));
    }
}

#[cfg(test)]
#[path = "ruled_out_tests.rs"]
mod tests;
