//! How long a provider asks to be left alone, however it says so.

use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// Headers that tell seconds or a date; behind a gateway that asks again by itself, the provider's own comes with its prefix.
const SECONDS: [&str; 3] = ["retry-after", "llm_provider-retry-after", "x-retry-after"];
const MILLISECONDS: [&str; 3] = ["retry-after-ms", "llm_provider-retry-after-ms", "x-ms-retry-after-ms"];

/// Words behind which a time stands.
const BEFORE: [&str; 8] =
    ["try again in ", "retry in ", "try in ", "again in ", "retry after ", "again after ", "wait ", "retrydelay\": \""];

/// What the headers say: in milliseconds, as some vendors say it, in seconds, or until a date.
pub(super) fn in_headers(headers: &HeaderMap) -> Option<u64> {
    let said = |name: &&str| headers.get(*name)?.to_str().ok().map(str::trim);
    let ms = MILLISECONDS.iter().filter_map(said).find_map(|ms| from_seconds(ms.parse::<f64>().ok()? / 1000.0));
    ms.or_else(|| SECONDS.iter().filter_map(said).find_map(|said| said.parse().ok().map_or_else(|| until(said), from_seconds)))
}

/// What the error's own fields say: Gemini's `RetryInfo`, or a number of seconds.
pub(super) fn in_fields(error: &Value) -> Option<u64> {
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    let delay = details.filter_map(|detail| detail.get("retryDelay")).find_map(|delay| span(delay.as_str()?));
    delay.or_else(|| {
        ["retry_after", "retry_after_seconds", "estimated_time", "retryAfter"].iter().find_map(|field| {
            let value = error.get(*field)?;
            from_seconds(value.as_f64().or_else(|| value.as_str()?.parse().ok())?)
        })
    })
}

/// What words say: "Please try again in 20s", "retry after 1m30.5s".
pub(super) fn in_words(words: &str) -> Option<u64> {
    let words = words.to_ascii_lowercase();
    BEFORE.iter().find_map(|before| words.match_indices(before).find_map(|(at, _)| span(&words[at + before.len()..])))
}

/// A span of time as people and servers write it: `20s`, `6m0s`, `1.5 seconds`, `200ms`. Seconds where no unit stands.
fn span(text: &str) -> Option<u64> {
    let mut rest = text.trim_start().trim_start_matches("about ").trim_start_matches("approximately ");
    let mut total = None;
    while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit() && c != '.').or(Some(rest.len())).filter(|end| *end > 0) {
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else { break };
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let scale = match &rest[..letters] {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            _ if total.is_none() => 1.0,
            _ => break,
        };
        total = Some(total.unwrap_or(0.0) + number * scale);
        rest = &rest[letters..];
    }
    from_seconds(total?)
}

fn from_seconds(seconds: f64) -> Option<u64> {
    u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
}

fn until(date: &str) -> Option<u64> {
    let until = jiff::fmt::rfc2822::parse(date).map(|at| at.timestamp()).or_else(|_| date.parse::<jiff::Timestamp>()).ok()?;
    // A date that is over asks for nothing more.
    u64::try_from(until.duration_since(jiff::Timestamp::now()).as_millis().max(0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};
    use serde_json::json;

    #[test]
    fn a_wait_is_found_in_words() {
        for (words, want) in [
            ("Rate limit reached for key, try in 20s", Some(20_000)),
            ("Please try again in 6m0s. Visit", Some(360_000)),
            ("Please try again in 7.66s.", Some(7_660)),
            ("try again in 200ms", Some(200)),
            ("Please retry after 3 seconds.", Some(3_000)),
            ("please wait 2 minutes and 5 seconds", Some(120_000)),
            ("Please retry in 12.5s.", Some(12_500)),
            ("wait a moment", None),
            ("slow down", None),
            ("try again in 99999999999999999999999999s", None),
        ] {
            assert_eq!(in_words(words), want, "{words}");
        }
    }

    #[test]
    fn a_wait_is_found_in_fields_and_headers() {
        let gemini = json!({"details": [{"@type": "type.googleapis.com/google.rpc.Help"}, {"retryDelay": "36.5s"}]});
        assert_eq!(in_fields(&gemini), Some(36_500));
        assert_eq!((in_fields(&json!({"retry_after": "1.5"})), in_fields(&json!({"estimated_time": 20.0}))), (Some(1_500), Some(20_000)));
        let headers = |pairs: &[(&'static str, &'static str)]| {
            in_headers(&pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect())
        };
        assert_eq!(headers(&[("retry-after", "1.5")]), Some(1_500));
        assert_eq!(headers(&[("llm_provider-retry-after", "7")]), Some(7_000));
        assert_eq!(headers(&[("retry-after", "2015-10-21T07:28:00Z")]), Some(0));
        assert_eq!(headers(&[("retry-after", "soon"), ("x-retry-after", "4")]), Some(4_000));
    }
}
