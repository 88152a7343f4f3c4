//! Every row of the dialect table, both ways.

use super::*;
use crate::rpc::json::Fields;
use serde_json::{Value, json};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.into()).expect("json")
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("json")
}

#[test]
fn the_dialect_is_decided_by_the_parameters_and_then_by_the_framing() {
    let decide = |params: &str, framing| Hello::read(params, framing).map(|hello| hello.dialect).map_err(|error| error.code);
    for framing in [Framing::Headers, Framing::Lines] {
        assert_eq!(decide(r#"{"protocolVersion":1}"#, framing), Ok(Dialect::Acp));
        assert_eq!(decide(r#"{"protocolVersion":99}"#, framing), Ok(Dialect::Acp));
        assert_eq!(decide(r#"{"capabilities":{}}"#, framing), Ok(Dialect::Lsp));
        assert_eq!(decide(r#"{"protocolVersion":"1","capabilities":{}}"#, framing), Ok(Dialect::Lsp));
        assert_eq!(decide("{}", framing), Err(code::INVALID_PARAMS));
    }
    let both = r#"{"protocolVersion":1,"capabilities":{}}"#;
    assert_eq!(decide(both, Framing::Lines), Ok(Dialect::Acp));
    assert_eq!(decide(both, Framing::Headers), Ok(Dialect::Lsp));
    let neither = Hello::read("{}", Framing::Lines).expect_err("neither").message;
    assert!(neither.contains("protocolVersion") && neither.contains("capabilities"), "{neither}");
}

#[test]
fn the_client_is_known_by_its_own_words_cut_to_eighty_characters() {
    let long = "é".repeat(100);
    let params =
        json!({"capabilities": {}, "processId": 42, "trace": "verbose", "clientInfo": {"name": long, "version": "1.0"}}).to_string();
    let hello = Hello::read(&params, Framing::Headers).expect("hello");
    assert_eq!(hello.client.as_ref().expect("a client").name.chars().count(), 80);
    assert_eq!(
        (hello.client.and_then(|client| client.version).as_deref(), hello.process_id, hello.trace.as_deref()),
        (Some("1.0"), Some(42), Some("verbose"))
    );
    let odd = Hello::read(r#"{"capabilities":{},"clientInfo":7,"processId":null}"#, Framing::Headers).expect("hello");
    assert_eq!((odd.client, odd.process_id), (None, None));
}

#[test]
fn initialize_is_answered_in_the_clients_own_shape() {
    let answer = |params: &str| Hello::read(params, Framing::Lines).expect("hello").answer("1.2.3");
    let acp = answer(r#"{"protocolVersion":7}"#);
    assert_eq!(acp["protocolVersion"], 1);
    assert_eq!(acp["agentInfo"], json!({"name": "pillion", "version": "1.2.3"}));
    assert_eq!(acp["agentCapabilities"]["_meta"]["pillion"]["methods"], json!(["_pillion/session/export", "_pillion/session/shell"]));
    assert_eq!((&acp["agentCapabilities"]["loadSession"], &acp["authMethods"]), (&json!(true), &json!([])));
    let lsp = answer(r#"{"capabilities":{}}"#);
    assert_eq!(lsp["serverInfo"], json!({"name": "pillion", "version": "1.2.3"}));
    assert_eq!(lsp["capabilities"]["textDocumentSync"]["change"], 1);
    assert_eq!(lsp["capabilities"]["experimental"]["pillion"]["protocolVersion"], 1);
}

#[test]
fn what_a_client_does_with_files_is_what_it_says_with_a_clear_true() {
    let skills = |params: Value| Hello::read(&params.to_string(), Framing::Lines).expect("hello").files;
    let lsp = |workspace: Value| skills(json!({"capabilities": {"workspace": workspace}}));
    let edits = FileSkills { edits: true, ..FileSkills::default() };
    assert_eq!(lsp(json!({"applyEdit": true, "workspaceEdit": {"documentChanges": true}})), edits);
    for workspace in [
        json!({}),
        json!({"applyEdit": true}),
        json!({"applyEdit": "true"}),
        json!({"applyEdit": false, "workspaceEdit": {"documentChanges": true}}),
    ] {
        assert_eq!(lsp(workspace), FileSkills::default());
    }
    let acp = |fs: Value| skills(json!({"protocolVersion": 1, "clientCapabilities": {"fs": fs}}));
    assert_eq!(acp(json!({"readTextFile": true})), FileSkills { reads: true, ..FileSkills::default() });
    assert_eq!(acp(json!({"readTextFile": true, "writeTextFile": true})), FileSkills { edits: false, reads: true, writes: true });
    assert_eq!(acp(json!({"readTextFile": 1})), FileSkills::default());
    assert_eq!(skills(json!({"protocolVersion": 1, "capabilities": {"workspace": {"applyEdit": true}}})), FileSkills::default());
}

#[test]
fn parameters_may_be_empty_in_four_ways_and_wrapped_in_a_list() {
    for params in [None, Some("null"), Some("[]"), Some("{}"), Some("[{}]")] {
        let params = params.map(raw);
        assert_eq!(Dialect::Lsp.params(params.as_deref()).expect("params"), "{}");
    }
    assert_eq!(Dialect::Lsp.params(Some(&raw(r#"[{"a":1}]"#))).expect("params"), r#"{"a":1}"#);
    for params in ["1", "[1]", "[{},{}]", "\"x\"", "true"] {
        assert_eq!(Dialect::Lsp.params(Some(&raw(params))).expect_err("refused").code, code::INVALID_PARAMS);
    }
}

#[test]
fn acp_clients_may_put_our_parameters_into_meta() {
    let params = raw(r#"{"sessionId":"s","source":"root","_meta":{"pillion":{"source":"meta","reason":"because"}}}"#);
    let lifted = Dialect::Acp.params(Some(&params)).expect("params");
    let fields = Fields::parse(&lifted).expect("an object");
    assert_eq!(fields.read::<String>("source").as_deref(), Some("root"));
    assert_eq!(fields.read::<String>("reason").as_deref(), Some("because"));
    let untouched = Dialect::Lsp.params(Some(&params)).expect("params");
    assert_eq!(Fields::parse(&untouched).expect("an object").read::<String>("reason"), None);
    for odd in [r#"{"_meta":7}"#, r#"{"_meta":{"pillion":[]}}"#, r#"{"a":"\"_meta\""}"#] {
        assert_eq!(Dialect::Acp.params(Some(&raw(odd))).expect("params"), odd);
    }
}

#[test]
fn results_keep_their_fields_at_the_root_for_lsp_and_in_meta_for_acp() {
    let result = r#"{"stopReason":"end_turn","turnId":"turn_1","lastUpdate":2}"#;
    assert_eq!(Dialect::Lsp.result("session/prompt", result), result);
    assert_eq!(
        value(&Dialect::Acp.result("session/prompt", result)),
        json!({"stopReason": "end_turn", "_meta": {"pillion": {"turnId": "turn_1", "lastUpdate": 2}}})
    );
    let table = [
        ("session/new", r#"{"sessionId":"s","configOptions":[],"notices":["n"]}"#, json!({"notices": ["n"]})),
        ("session/load", r#"{"configOptions":[],"notices":["n"]}"#, json!({"notices": ["n"]})),
        ("session/cancel", r#"{"outcome":"idle"}"#, json!({"outcome": "idle"})),
        ("session/export", r#"{"export":{"a":1}}"#, json!({"export": {"a": 1}})),
    ];
    for (method, result, ours) in table {
        assert_eq!(value(&Dialect::Acp.result(method, result))["_meta"]["pillion"], ours, "{method}");
    }
    assert_eq!(Dialect::Acp.result("session/close", "{}"), "{}");
    let list = r#"{"sessions":[],"nextCursor":"c"}"#;
    assert_eq!(Dialect::Acp.result("session/list", list), list);
}

#[test]
fn errors_keep_their_meaning_under_either_code() {
    let unknown = || WireError::new(code::INVALID_PARAMS, "no such session").with(&json!({"sessionId": "s"}));
    let failed = || WireError::new(code::REQUEST_FAILED, "failed").with(&json!({"cause": "provider_transport"}));
    let busy = || WireError::new(code::REQUEST_FAILED, "busy").with(&json!({"sessionId": "s"}));
    let bad = || WireError::new(code::INVALID_PARAMS, "bad").with(&json!({"field": "prompt"}));
    let codes = |dialect: Dialect| [unknown(), failed(), busy(), bad()].map(|error| dialect.error(error).code);
    assert_eq!(codes(Dialect::Lsp), [-32602, -32803, -32803, -32602]);
    assert_eq!(codes(Dialect::Acp), [-32002, -32603, -32803, -32602]);
    assert_eq!(not_initialized(Framing::Headers, "x").code, -32002);
    assert_eq!(not_initialized(Framing::Lines, "x").code, -32600);
}

#[test]
fn our_own_methods_have_acps_name_for_extensions() {
    assert_eq!(Dialect::Acp.canonical("_pillion/session/export"), "session/export");
    assert_eq!(Dialect::Lsp.canonical("_pillion/session/export"), "_pillion/session/export");
    assert_eq!(Dialect::Acp.canonical("session/prompt"), "session/prompt");
}

#[test]
fn a_trace_context_is_taken_only_when_it_is_well_formed() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(traceparent(&json!({"_meta": {"traceparent": good}}).to_string()).as_deref(), Some(good));
    assert_eq!(traceparent(&json!({"traceparent": good}).to_string()).as_deref(), Some(good));
    let bad = [
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    ];
    for text in bad {
        assert_eq!(traceparent(&json!({ "traceparent": text }).to_string()), None, "{text}");
    }
    assert_eq!(traceparent(r#"{"traceparent":7}"#), None);
}
