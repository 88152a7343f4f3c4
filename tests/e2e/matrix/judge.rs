//! What no record and no story may say, whatever stopped the run: nothing is ruled out that the record itself shows, nobody is
//! called a user who was not declared one, and nobody's request is told, nor a time of one, where nobody asked.

use serde_json::Value;

/// Words of a record with the family that they show something of.
const SHOWN: [(&str, &str); 20] = [
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
    ("cli.sig", "signal"),
    ("_timeout\"", "time_limit"),
    (r#""fired":true"#, "time_limit"),
    (r#""cause":"provider_"#, "provider_failure"),
    (r#""cause":"context_overflow""#, "provider_failure"),
    (r#""state":"failed""#, "provider_failure"),
    (r#""permission":"limit""#, "turn_limit"),
];

/// Causes for which nobody has asked.
const UNASKED: [&str; 14] = [
    "connect_timeout",
    "first_byte_timeout",
    "idle_stream_timeout",
    "turn_timeout",
    "tool_timeout",
    "provider_http",
    "provider_transport",
    "context_overflow",
    "provider_protocol",
    "budget",
    "loop_guard",
    "store_failure",
    "internal_panic",
    "crash_recovered",
];

fn is_unasked(abort: &Value) -> bool {
    UNASKED.iter().any(|cause| abort["cause"] == *cause)
}

/// Of the abort and the other records of its turn.
pub(crate) fn holds_together(abort: &Value, export: &Value, name: &str) {
    let of_turn = |list: &str| -> Vec<Value> {
        let records = export["diagnostics"][list].as_array().expect("records").iter();
        records.filter(|record| record["turn_id"] == abort["turn_id"]).cloned().collect()
    };
    let mut own = abort.clone();
    let ruled_out = own["ruled_out"].take();
    // Who asked for the turn says nothing of who stopped it.
    own["prompt_request"].take();
    let record = format!("{own}{}", Value::from([of_turn("stream_traces"), of_turn("tool_runs")].concat()));
    for (words, family) in SHOWN {
        let contradicts = record.contains(words) && ruled_out.as_array().expect("a list").iter().any(|out| out == family);
        assert!(!contradicts, "{name}: {family} is ruled out above {words} in {abort:#}");
    }
    let asked = ["initiator", "mode", "requested_at"].map(|field| abort.get(field).is_some());
    assert_eq!(asked, [!is_unasked(abort); 3], "{name}: {abort:#}");
    assert_eq!(abort.get("noticed_at").is_some(), is_unasked(abort), "{name}: {abort:#}");
    assert_eq!(abort.get("came_down_from").is_some(), abort["via_ctx_abort"] == true, "{name}: {abort:#}");
    let hops: Vec<_> = abort["propagation"].as_array().expect("hops").iter().map(|hop| hop["at_us"].as_u64()).collect();
    assert!(hops.is_sorted(), "{name}: {abort:#}");
    for trace in of_turn("stream_traces") {
        let (closed, ended) = (&trace["upstream"]["at_us"], &trace["timeline"]["ended_us"]);
        assert!(closed.is_null() || closed.as_u64() <= ended.as_u64(), "{name}: {trace:#}");
        assert_eq!(closed.is_null(), ["not_open", "unknown"].iter().any(|by| trace["upstream"]["closed_by"] == *by), "{name}: {trace:#}");
    }
}

/// Of the story of that abort.
pub(crate) fn tells_no_more_than_is_known(abort: &Value, story: &str, name: &str) {
    let what = story.lines().find(|line| line.trim_start().starts_with("what ")).unwrap_or_default();
    assert_eq!(what.contains("the user"), abort["initiator"] == "user", "{name}: {story}");
    if is_unasked(abort) {
        let when = story.lines().find(|line| line.trim_start().starts_with("when ")).unwrap_or_default();
        assert!(story.contains("nobody asked for it") && when.contains("after it was noticed"), "{name}: {story}");
        assert!(!when.contains("asked") && !when.contains("mode"), "{name}: {story}");
    }
}
