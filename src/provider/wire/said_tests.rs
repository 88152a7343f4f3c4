//! Errors as they were met, and what they say.

use super::*;
use serde_json::json;

/// Message and code.
fn told(body: &str) -> (String, Option<String>) {
    let said = Said::read(body);
    (said.told(), said.code())
}

#[test]
fn every_shape_of_an_error_is_read() {
    let said = |message: &str, code: Option<&str>| (message.to_owned(), code.map(str::to_owned));
    for (body, want) in [
        (r#"{"error":{"message":"no","type":"auth","code":"bad_key"}}"#, said("auth: no", Some("bad_key"))),
        (r#"{"error":{"message":"no","type":"auth","code":null}}"#, said("no", Some("auth"))),
        (r#"{"error":"model not found"}"#, said("model not found", None)),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            said("Overloaded", Some("overloaded_error")),
        ),
        (r#"{"type":"error","code":null,"message":"gone","param":null,"sequence_number":3}"#, said("gone", None)),
        (r#"{"id":"resp_1","error":{"code":"server_error","message":"broke"},"usage":null}"#, said("broke", Some("server_error"))),
        (r#"{"object":"error","message":"too long","code":400}"#, said("too long", Some("400"))),
        (r#"{"object":"error","message":"too long","type":"BadRequestError","code":400}"#, said("too long", Some("BadRequestError"))),
        (r#"{"error":{"code":"400","type":"exceed_context_size_error","message":"m"}}"#, said("m", Some("exceed_context_size_error"))),
        (r#"[{"error":{"message":"quota","code":429,"status":"RESOURCE_EXHAUSTED"}}]"#, said("quota", Some("RESOURCE_EXHAUSTED"))),
        (r#"{"detail":"Not Found"}"#, said("Not Found", None)),
        (r#"{"detail":[{"loc":["body"],"msg":"missing","type":"value_error"}]}"#, said("missing", Some("value_error"))),
        (r#"{"success":false,"errors":[{"code":7003,"message":"no route"}]}"#, said("no route", Some("7003"))),
        (r#"{"errors":["first","second"]}"#, said("first", None)),
        (r#"{"statusCode":404,"error":"NotFound","message":"no such model"}"#, said("no such model", Some("NotFound"))),
        (r#"{"__type":"ThrottlingException","message":"slow"}"#, said("slow", Some("ThrottlingException"))),
        (
            r#"{"error":{"message":"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}","code":"529"}}"#,
            said("Overloaded", Some("overloaded_error")),
        ),
        (
            r#"{"error":{"message":"litellm.RateLimitError: AnthropicException - {\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}","code":"429"}}"#,
            said("litellm.RateLimitError: AnthropicException: slow", Some("rate_limit_error")),
        ),
        (
            r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"{\"error\":{\"message\":\"backend gone\"}}"}}}"#,
            said("Provider returned error: backend gone", Some("502")),
        ),
        (r#"{"code":502,"message":"Upstream idle timeout"}"#, said("Upstream idle timeout", Some("502"))),
        ("upstream timed out\n", said("upstream timed out", None)),
        ("<html><title>502</title>", said("the body is a web page, not an API's answer (502)", None)),
        ("", said("", None)),
    ] {
        assert_eq!(told(body), want, "{body}");
    }
}

#[test]
fn what_an_error_means_is_known_by_its_status_its_name_or_its_words() {
    let error = |message: &str, code: &str| Said::of(&json!({"error": {"message": message, "code": code}}));
    for (said, status, want) in [
        (error("slow down", ""), Some(429), Some(Meaning::RateLimited)),
        (error("Rate limit reached for key, try in 20s", "429"), None, Some(Meaning::RateLimited)),
        (error("You exceeded your current quota, please check your plan", "insufficient_quota"), Some(429), Some(Meaning::QuotaExhausted)),
        (error("You exceeded your current quota, please check your plan", ""), Some(429), Some(Meaning::QuotaExhausted)),
        (error("no", "overloaded_error"), None, Some(Meaning::Overloaded)),
        (error("Loading model", "unavailable_error"), Some(503), Some(Meaning::Loading)),
        (error("down", ""), Some(503), Some(Meaning::Overloaded)),
        (error("bad key", "authentication_error"), Some(401), None),
        (error("the rate limit of this tool", ""), Some(400), None),
    ] {
        assert_eq!(said.means(status), want, "{said:?}");
    }
    for (said, status, want) in [
        (error("too big", "context_length_exceeded"), Some(400), true),
        (error("This model's maximum context length is 8192 tokens", ""), Some(400), true),
        (error("prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"), Some(400), true),
        (error("the request (9000 tokens) exceeds the available context size", "exceed_context_size_error"), None, true),
        (error("what is the maximum context length?", ""), Some(404), false),
        (error("no", ""), Some(400), false),
    ] {
        assert_eq!(said.is_context_overflow(status), want, "{said:?}");
    }
    let gemini = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20s"}]}});
    let said = Said::of(&gemini);
    assert_eq!((said.means(Some(429)), said.wait_ms()), (Some(Meaning::RateLimited), Some(20_000)));
}

#[test]
fn an_empty_error_is_none() {
    for nothing in [json!(null), json!(""), json!({}), json!(false), json!(0), json!([]), json!({"message": null, "code": ""})] {
        assert!(!is_error(&json!({"error": nothing, "choices": []})), "{nothing}");
    }
    for error in [
        json!({"error": "x"}),
        json!({"object": "error"}),
        json!({"detail": "x"}),
        json!({"errors": ["x"]}),
        json!({"message": "x", "code": 5}),
    ] {
        assert!(is_error(&error), "{error}");
    }
}
