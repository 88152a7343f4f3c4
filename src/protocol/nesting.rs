//! How deep JSON may nest. What others wrote is kept as JSON up to [`MAX_NESTING`] levels and as its text beyond them, so
//! that it can be read again wherever it comes to stand: in a record, in an export, in a client's own parser.
//!
//! Invariant: nothing here recurses deeper than [`MAX_NESTING`], whatever it is given.

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;

/// How many levels of arrays and objects a value that pillion did not make may have where it is kept as JSON.
pub const MAX_NESTING: usize = 32;

/// `value` as it is kept: itself, or its text if it nests too deep.
pub fn kept(value: Value) -> Value {
    if nests_deeper(&value, MAX_NESTING) { Value::String(value.to_string()) } else { value }
}

/// Reads a document. What stands deeper in it than `levels` is read as its text, if the document cannot be read otherwise:
/// documents were once written that no parser takes.
///
/// # Errors
/// It is no JSON, or not what was to be read.
pub fn read<T: DeserializeOwned>(json: &str, levels: usize) -> serde_json::Result<T> {
    serde_json::from_str(json).or_else(|error| match flattened(json, levels) {
        Cow::Owned(flat) => serde_json::from_str(&flat),
        Cow::Borrowed(_) => Err(error),
    })
}

/// Whether brackets outside of strings nest deeper than `levels`. Stops at the first that does.
pub fn is_deeper_than(levels: usize, json: &[u8]) -> bool {
    first_below(levels, json, 0).is_some()
}

/// `json` with all that stands deeper than `levels` as strings.
fn flattened(json: &str, levels: usize) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut flat = String::new();
    let mut copied = 0;
    while let Some(deep) = first_below(levels, bytes, copied) {
        // What was copied ends behind a whole value, `levels` deep.
        let end = end_of_value(bytes, deep);
        flat.push_str(&json[copied..deep]);
        flat.push_str(&Value::from(&json[deep..end]).to_string());
        copied = end;
    }
    if copied == 0 { Cow::Borrowed(json) } else { Cow::Owned(flat + &json[copied..]) }
}

/// Where the first bracket at or behind `from` opens that nests deeper than `levels`. Up to `from`, if that is not the
/// beginning, everything is `levels` deep.
fn first_below(levels: usize, json: &[u8], from: usize) -> Option<usize> {
    let mut depth = if from == 0 { 0 } else { levels };
    let mut at = from;
    while let Some(byte) = json.get(at) {
        match byte {
            b'{' | b'[' if depth == levels => return Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = behind_string(json, at + 1) - 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The offset behind the value whose bracket opens at `at`.
fn end_of_value(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => at = behind_string(json, at),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    json.len()
}

/// The offset behind the string whose content begins at `at`.
fn behind_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', &json[at..]) {
        match json[at + found] {
            b'"' => return at + found + 1,
            _ => at = (at + found + 2).min(json.len()),
        }
    }
    json.len()
}

fn nests_deeper(value: &Value, levels: usize) -> bool {
    let inner_is = |inner: &Value| levels == 0 || nests_deeper(inner, levels - 1);
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(inner_is),
        Value::Object(fields) => levels == 0 || fields.values().any(inner_is),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn a_value_is_kept_as_json_up_to_the_limit_and_as_text_beyond_it() {
        for levels in [0, 1, MAX_NESTING - 1, MAX_NESTING, MAX_NESTING + 1, 126] {
            let text = if levels == 0 { "7".to_owned() } else { nested(levels) };
            let value: Value = serde_json::from_str(&text).unwrap();
            let expected = if levels > MAX_NESTING { Value::from(text.clone()) } else { value.clone() };
            assert_eq!(kept(value), expected, "{levels}");
            assert_eq!(is_deeper_than(MAX_NESTING, text.as_bytes()), levels > MAX_NESTING, "{levels}");
        }
        let wide = json!({ "a": [[]], "b": [{ "c": {} }] });
        assert!(!nests_deeper(&wide, 4) && nests_deeper(&wide, 3));
    }

    #[test]
    fn what_stands_too_deep_is_read_as_its_text_and_the_rest_as_what_it_is() {
        let deep = nested(200);
        let json = format!(r#"{{"a":{deep},"]":"[\"[","b":[1,{{"x":{deep}}},{deep}],"c":2}}"#);
        let read: Value = read(&json, 3).unwrap();
        let text = nested(198);
        let shallow: Value = serde_json::from_str(&format!("[[{}]]", Value::from(text.as_str()))).unwrap();
        assert_eq!(read, json!({ "a": shallow, "]": "[\"[", "b": [1, { "x": nested(200) }, [nested(199)]], "c": 2 }));
    }

    #[test]
    fn a_document_that_can_be_read_is_read_as_it_is() {
        assert_eq!(read::<Value>(&nested(127), 3).unwrap().to_string(), nested(127));
        assert!(read::<Value>("[[[[", 3).is_err());
        assert!(read::<Value>("]]", 3).is_err());
        assert!(read::<Value>(&"[".repeat(1_000_000), 3).is_err());
        assert!(read::<Value>(&nested(1_000_000), 3).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(soup in proptest::collection::vec(proptest::sample::select(vec!["{", "}", "[", "]", "\"", "\\", "é", ",", "1"]), 0..60)) {
            let text = soup.concat();
            let flat = flattened(&text, 2);
            prop_assert_eq!(matches!(flat, Cow::Owned(_)), is_deeper_than(2, text.as_bytes()));
            let _ = read::<Value>(&text, 2);
        }
    }
}
