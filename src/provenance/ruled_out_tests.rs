//! Over all causes, sources, requests, demands and attempts: nothing is ruled out that the record itself shows.

use super::*;
use crate::protocol::abort::*;
use crate::protocol::cause::{BudgetUnit, CancelMode, Initiator, Repetition};
use crate::protocol::diagnostics::*;
use crate::protocol::ids::*;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Every cause, each with data.
fn causes() -> Vec<Cause> {
    let repetition = Repetition { limit: 1, setting: "s".into(), tool: "t".into(), calls: 2, input: Value::Null };
    let causes = vec![
        Cause::ClientCancel,
        Cause::RpcCancel,
        Cause::SupersededByPrompt { superseding_turn_id: TurnId::new("t") },
        Cause::ClientEof,
        Cause::ClientFramingBroken,
        Cause::ClientWriteFailed,
        Cause::ClientProcessDied { pid: 7 },
        Cause::ShutdownRequest,
        Cause::ExitWithoutShutdown,
        Cause::Signal { signal_name: "SIGTERM".into() },
        Cause::ConnectTimeout { limit_ms: 1 },
        Cause::FirstByteTimeout { limit_ms: 1 },
        Cause::IdleStreamTimeout { limit_ms: 1 },
        Cause::TurnTimeout { limit_ms: 1 },
        Cause::ToolTimeout { limit_ms: 1 },
        Cause::ProviderHttp { http_status: 503 },
        Cause::ProviderTransport,
        Cause::ContextOverflow,
        Cause::ProviderProtocol,
        Cause::Budget { limit: 1, unit: BudgetUnit::ToolCalls, setting: "s".into() },
        Cause::LoopGuard(Box::new(repetition)),
        Cause::StoreFailure,
        Cause::SessionClosed,
        Cause::SessionDeleted,
        Cause::InternalPanic { panicked_at: None },
        Cause::CrashRecovered,
        Cause::Unknown,
    ];
    assert_eq!(causes.iter().map(Cause::name).collect::<Vec<_>>(), Cause::NAMES);
    causes
}

const SOURCES: [Option<&str>; 9] = [
    None,
    Some("nvim.keymap"),
    Some("cli.sigint"),
    Some("cli.sigterm"),
    Some("cli.sighup"),
    Some("cli.timeout"),
    Some("cli.stdout_closed"),
    Some("prompt.py.SIGINT"),
    Some("bot.deadline"),
];

fn request(method: Option<&str>) -> Option<RequestRef> {
    method.map(|method| RequestRef {
        method: method.into(),
        id: RequestId::null(),
        connection_id: ConnectionId::new("c"),
        client: Some(Client { name: "x".into(), version: None }),
        transport: Transport::StdioLsp,
        traceparent: None,
    })
}

fn abort(cause: Cause, source: Option<&str>, request: Option<RequestRef>, phase: Phase, not_durable: bool) -> Abort {
    let json = json!({
        "cause": "unknown", "abort_id": "a", "session_id": "s", "turn_id": "t", "message_id": "m", "parent_id": "p", "forced": false,
        "prompt_request": { "id": 1, "connection_id": "c" }, "phase": phase, "title_generation_state": "disabled",
        "tools_in_flight": [], "propagation": [], "propagation_point": "x", "via_ctx_abort": false, "recorded_at": 1, "settled_at": 1,
        "settle_us": 1, "boot_id": "b", "ruled_out": [], "missing": if not_durable { json!(["not_durable"]) } else { json!([]) },
        "late_cancels": [], "partial": { "text_bytes": 0, "reasoning_bytes": 0, "updates_sent": 0, "persisted_bytes": 0 },
    });
    Abort { cause, source: source.map(str::to_owned), request, ..serde_json::from_value(json).expect("an abort") }
}

fn demand(cause: Cause, source: Option<&str>, request: Option<RequestRef>) -> CancelRequest {
    CancelRequest {
        cause,
        cancel_id: CancelId::new("c"),
        session_id: SessionId::new("s"),
        outcome: CancelOutcome::AlreadyStopping,
        at: 1,
        missing: Vec::new(),
        turn_id: None,
        asked_turn_id: None,
        request,
        initiator: Some(Initiator::Unknown),
        mode: Some(CancelMode::Hard),
        source: source.map(str::to_owned),
        reason: None,
        abort_id: None,
        seq: None,
    }
}

fn trace(failure: Option<Cause>, fired: bool) -> StreamTrace {
    let state = if failure.is_some() { "failed" } else { "completed" };
    let json = json!({
        "attempt_id": "a", "session_id": "s", "turn_id": "t", "step": 1, "attempt": 1, "provider": "p", "model": "m", "state": state,
        "created_at": 1, "timeline": {}, "usage": { "source": "absent" },
        "counters": { "text": 0, "reasoning": 0, "tool_input": 0, "usage": 0, "text_bytes": 0, "reasoning_bytes": 0 },
    });
    let failure = failure.map(|cause| StreamFailure {
        boundary: if fired { Boundary::Watchdog } else { Boundary::ProviderError },
        cause,
        confidence: Confidence::Certain,
        evidence: Vec::new(),
        kind: "k".into(),
        message: String::new(),
        os_error: None,
        code: None,
        retry_after_ms: None,
        meaning: None,
    });
    let watchdogs = Some(vec![Watchdog { name: WatchdogName::FirstByte, limit_ms: 1, fired }]);
    StreamTrace { failure, watchdogs, ..serde_json::from_value(json).expect("a trace") }
}

/// Words of a record, each with the family that must not be ruled out where it stands.
const CONTRADICTIONS: [(&str, &str); 28] = [
    (r#""cause":"client_cancel""#, "asked_by_client"),
    (r#""cause":"rpc_cancel""#, "asked_by_client"),
    (r#""cause":"superseded_by_prompt""#, "asked_by_client"),
    (r#""cause":"session_"#, "asked_by_client"),
    (r#""cause":"shutdown_request""#, "asked_by_client"),
    (r#""cause":"exit_without_shutdown""#, "asked_by_client"),
    (r#""method":"#, "asked_by_client"),
    (r#""cause":"client_eof""#, "client_gone"),
    (r#""cause":"client_framing_broken""#, "client_gone"),
    (r#""cause":"client_write_failed""#, "client_gone"),
    (r#""cause":"client_process_died""#, "client_gone"),
    ("stdout_closed", "client_gone"),
    (r#""cause":"signal""#, "signal"),
    ("sigint", "signal"),
    ("SIGINT", "signal"),
    ("sigterm", "signal"),
    ("sighup", "signal"),
    ("_timeout\"", "time_limit"),
    (".timeout\"", "time_limit"),
    ("deadline", "time_limit"),
    (r#""fired":true"#, "time_limit"),
    (r#""cause":"provider_"#, "provider_failure"),
    (r#""cause":"context_overflow""#, "provider_failure"),
    (r#""state":"failed""#, "provider_failure"),
    (r#""phase":"retry_backoff""#, "provider_failure"),
    (r#""cause":"budget""#, "turn_limit"),
    (r#""cause":"loop_guard""#, "turn_limit"),
    ("not_durable", "pillion_failure"),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn nothing_is_ruled_out_that_the_record_shows(
        cause in select(causes()),
        source in select(SOURCES.to_vec()),
        method in select(vec![None, Some("session/cancel"), Some("shutdown"), Some("session/prompt")]),
        phase in select(vec![Phase::Queued, Phase::Text, Phase::RetryBackoff]),
        not_durable: bool,
        others in prop::collection::vec((select(causes()), select(SOURCES.to_vec()), any::<bool>()), 0..3),
        attempts in prop::collection::vec((prop::option::of(select(causes())), any::<bool>()), 0..3),
    ) {
        let abort = abort(cause, source, request(method), phase, not_durable);
        let cancel_requests: Vec<_> =
            others.into_iter().map(|(cause, source, asked)| demand(cause, source, request(asked.then_some("session/cancel")))).collect();
        let traces: Vec<_> = attempts.into_iter().map(|(failure, fired)| trace(failure, fired)).collect();
        let ruled_out = ruled_out(&abort, Evidence { traces: &traces, cancel_requests: &cancel_requests });
        let record = format!("{}{}{}", json!(abort), json!(cancel_requests), json!(traces));
        for (words, family) in CONTRADICTIONS {
            prop_assert!(!record.contains(words) || !ruled_out.iter().any(|out| out == family), "{} with {}: {:?}", family, words, ruled_out);
        }
    }
}

#[test]
fn what_a_plain_stop_was_not_is_said() {
    let ruled_out = |cause| ruled_out(&abort(cause, None, None, Phase::Text, false), Evidence::default());
    assert_eq!(
        ruled_out(Cause::ClientEof),
        ["asked_by_client", "signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"]
    );
    assert_eq!(ruled_out(Cause::ShutdownRequest), ["signal", "time_limit", "provider_failure", "turn_limit", "pillion_failure"]);
    let crashed = ruled_out(Cause::CrashRecovered);
    assert!(crashed.is_empty(), "after a crash nobody was there to see: {crashed:?}");
}
