//! What is a message, what is none, and what each is answered.

use super::*;
use proptest::prelude::*;

const NESTING: usize = 128;

fn parse(body: &str) -> Result<Inbound, Invalid> {
    Inbound::parse(body.as_bytes(), NESTING)
}

fn refusal(body: &str) -> (String, i64, String) {
    let invalid = parse(body).expect_err(body);
    (invalid.id.as_json().to_owned(), invalid.code, invalid.message)
}

fn nested(levels: usize) -> String {
    let inner = levels - 1;
    format!(r#"{{"jsonrpc":"2.0","method":"m","params":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
}

#[test]
fn a_request_keeps_its_id_and_its_params_as_they_were_written() {
    for id in ["7", "0", "-4", "1.0", "1e3", "9007199254740992", "18446744073709551616", "null", r#""""#, r#""0""#, r#""abc""#] {
        let inbound = parse(&format!(r#" {{"id":{id}, "params":{{"a":  [1,2]}} ,"method":"session/prompt","jsonrpc":"2.0"}} "#));
        let Ok(Inbound::Request { id: seen, method, params }) = inbound else { panic!("{inbound:?}") };
        assert_eq!((seen.as_json(), method.as_str()), (id, "session/prompt"));
        assert_eq!(params.expect("params").get(), r#"{"a":  [1,2]}"#);
    }
}

#[test]
fn absent_and_null_params_are_none_and_empty_ones_are_kept() {
    for (members, expected) in [("", None), (r#","params":null"#, None), (r#","params":[]"#, Some("[]")), (r#","params":{}"#, Some("{}"))] {
        let inbound = parse(&format!(r#"{{"jsonrpc":"2.0","method":"m"{members},"extra":[{{}}]}}"#));
        let Ok(Inbound::Notification { method, params }) = inbound else { panic!("{inbound:?}") };
        assert_eq!((method.as_str(), params.as_deref().map(RawValue::get)), ("m", expected));
    }
}

#[test]
fn answers_are_results_or_errors_and_a_null_beside_the_other_is_nothing() {
    let outcome = |members: &str| match parse(&format!(r#"{{"jsonrpc":"2.0","id":"ask-1",{members}}}"#)) {
        Ok(Inbound::Response { id, outcome }) => {
            assert_eq!(id.as_json(), r#""ask-1""#);
            outcome.map(|raw| raw.get().to_owned()).map_err(|raw| raw.get().to_owned())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(r#""result":{"a":1}"#), Ok(r#"{"a":1}"#.into()));
    assert_eq!(outcome(r#""result":null"#), Ok("null".into()));
    assert_eq!(outcome(r#""result":null,"error":null"#), Ok("null".into()));
    assert_eq!(outcome(r#""error":{"code":1},"result":null"#), Err(r#"{"code":1}"#.into()));
    assert_eq!(outcome(r#""error":{"code":1}"#), Err(r#"{"code":1}"#.into()));
}

#[test]
fn what_is_no_message_is_named_with_the_id_it_had() {
    let both = "a message has either `method`, or `result` or `error`, not both";
    let version = "`jsonrpc` must be \"2.0\"";
    let bad_id = |what: &str| format!("a request id must be a string, a number or null, not {what}");
    let cases = [
        ("[]", "null", -32600, "batches are not supported; send each message by itself".to_owned()),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"m"}]"#, "null", -32600, "batches are not supported; send each message by itself".into()),
        ("7", "null", -32600, "a message must be a JSON object".into()),
        (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, "null", -32600, bad_id("an object")),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, "null", -32600, bad_id("an array")),
        (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, "null", -32600, bad_id("a boolean")),
        (r#"{"jsonrpc":"2.0","id":"\ud800","method":"m"}"#, "null", -32600, bad_id("a broken string")),
        (r#"{"id":3,"method":"m"}"#, "3", -32600, version.into()),
        (r#"{"jsonrpc":2.0,"id":3,"method":"m"}"#, "3", -32600, version.into()),
        (r#"{"jsonrpc":"1.0","id":3,"method":"m"}"#, "3", -32600, version.into()),
        (r#"{"jsonrpc":"2.0","id":"a","method":1}"#, r#""a""#, -32600, "`method` must be a string".into()),
        (r#"{"jsonrpc":"2.0","id":4,"method":null}"#, "4", -32600, "`method` must be a string".into()),
        (r#"{"jsonrpc":"2.0","id":4,"method":"m","params":"x"}"#, "4", -32602, "`params` must be an object or an array".into()),
        (r#"{"jsonrpc":"2.0","method":"m","params":1}"#, "null", -32602, "`params` must be an object or an array".into()),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","result":null}"#, "5", -32600, both.into()),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","error":{}}"#, "5", -32600, both.into()),
        (r#"{"jsonrpc":"2.0","id":6,"result":1,"error":{}}"#, "null", -32600, "an answer has either `result` or `error`, not both".into()),
        (r#"{"jsonrpc":"2.0","result":1}"#, "null", -32600, "an answer needs the `id` of its request".into()),
        (r#"{"jsonrpc":"2.0","id":8}"#, "8", -32600, "a message needs `method`, `result` or `error`".into()),
        (r#"{"jsonrpc":"2.0","id":8,"error":null}"#, "8", -32600, "a message needs `method`, `result` or `error`".into()),
    ];
    for (body, id, code, message) in cases {
        assert_eq!(refusal(body), (id.to_owned(), code, message), "{body}");
    }
    let (id, code, message) = refusal(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#);
    assert_eq!((id.as_str(), code), ("null", -32600));
    assert!(message.contains("duplicate field `id`"), "{message}");
}

#[test]
fn what_is_no_json_is_a_parse_error() {
    for body in ["", " ", "{", "{}{}", "nul", r#"{"a":}"#, r#"{"id":01}"#, "[1,", "\u{0}", "{\"method\":\"a\u{0}b\"}", "{\"a\":\"\n\"}"] {
        let (id, code, _) = refusal(body);
        assert_eq!((id.as_str(), code), ("null", -32700), "{body:?}");
    }
    let invalid = Inbound::parse(b"{\"method\":\"\xff\"}", NESTING).expect_err("invalid UTF-8");
    assert_eq!((invalid.code, invalid.message.as_str()), (-32700, "the message is not valid UTF-8: the first bad byte is at offset 11"));
}

#[test]
fn lone_surrogates_and_nul_pass_in_params_and_are_refused_in_the_method() {
    let inbound = parse(r#"{"jsonrpc":"2.0","method":"m","params":["\ud800","\u0000"]}"#);
    assert!(matches!(inbound, Ok(Inbound::Notification { params: Some(_), .. })), "{inbound:?}");
    assert_eq!(refusal(r#"{"jsonrpc":"2.0","id":1,"method":"\udc00"}"#).1, -32600);
}

#[test]
fn nesting_is_counted_outside_of_strings_up_to_the_limit() {
    assert!(parse(&nested(NESTING - 1)).is_ok());
    assert!(parse(&nested(NESTING)).is_ok());
    let (id, code, message) = refusal(&nested(NESTING + 1));
    assert_eq!((id.as_str(), code), ("null", -32600));
    assert_eq!(message, "the message nests arrays and objects deeper than 128 levels; send it flatter");
    let brackets = "[".repeat(1000);
    assert!(parse(&format!(r#"{{"jsonrpc":"2.0","method":"m","params":["{brackets}\"{brackets}\\"]}}"#)).is_ok());
    assert_eq!(refusal(&"[".repeat(1_000_000)).1, -32600);
    assert_eq!(refusal(&"{\"a\":".repeat(1_000_000)).1, -32600);
}

#[test]
fn a_refusal_is_written_as_an_answer() {
    let invalid = Invalid { id: RequestId::from_text("a\"b"), code: -32600, message: "say \"hi\"\n".into() };
    let answer = String::from_utf8(invalid.answer()).expect("text");
    assert_eq!(answer, r#"{"jsonrpc":"2.0","id":"a\"b","error":{"code":-32600,"message":"say \"hi\"\n"}}"#);
}

/// JSON-like soup: every piece that has a meaning somewhere, in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces =
        ["{", "}", "[", "]", "\"", "\\", ":", ",", "\"id\"", "\"method\"", "\"jsonrpc\":\"2.0\"", "\\ud800", "1", "null", " ", "\n"];
    let piece = prop_oneof![proptest::sample::select(pieces.to_vec()).prop_map(|p| p.as_bytes().to_vec()), any::<Vec<u8>>()];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_refusal_is_an_answer(body in soup()) {
        if let Err(invalid) = Inbound::parse(&body, NESTING) {
            let answer: serde_json::Value = serde_json::from_slice(&invalid.answer()).expect("an answer is JSON");
            prop_assert_eq!(&answer["error"]["code"], invalid.code);
        }
    }
}
