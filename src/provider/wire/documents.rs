//! What an event's data holds where it is not the one object of JSON that the protocol wants.
//!
//! Invariant: linear in the data. Nothing in it is passed over without a word: each part is a document, words, or broken.

use serde_json::Value;
use std::borrow::Cow;

/// One part of an event's data.
#[derive(Debug)]
pub(super) enum Part {
    /// An object, written anew: no key stands in it twice, and half a surrogate is a mark that [`join`] understands.
    Object(Value),
    /// The last data of a stream.
    Done,
    /// No JSON.
    Words(String),
    /// JSON that is not whole, or none at all behind some that was.
    Broken(serde_json::Error),
}

/// The last data of most servers' streams.
pub(super) const DONE: &str = "[DONE]";

/// Takes the data apart.
pub(super) fn parts(data: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    add(&mark_halves(data), &mut parts, Nesting::Outer);
    parts
}

/// Whether a string of JSON may be taken apart once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Outer,
    InString,
}

fn add(data: &str, parts: &mut Vec<Part>, nesting: Nesting) {
    let mut rest = data.trim();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(DONE) {
            parts.push(Part::Done);
            rest = behind.trim_start();
            continue;
        }
        // Two events in one line.
        if let Some(behind) = rest.strip_prefix("data:") {
            rest = behind.trim_start();
            continue;
        }
        if !rest.starts_with(['{', '[', '"']) {
            parts.push(Part::Words(rest.to_owned()));
            return;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                rest = rest[values.byte_offset()..].trim_start();
                add_value(value, parts, nesting);
            }
            Some(Err(error)) => {
                parts.push(error_within(rest).map_or(Part::Broken(error), Part::Object));
                return;
            }
            None => return,
        }
    }
}

fn add_value(value: Value, parts: &mut Vec<Part>, nesting: Nesting) {
    match value {
        Value::Object(_) => parts.push(Part::Object(value)),
        Value::Array(items) => {
            for item in items {
                add_value(item, parts, nesting);
            }
        }
        Value::String(text) if nesting == Nesting::Outer && text.trim_start().starts_with(['{', '[']) => {
            add(&text, parts, Nesting::InString);
        }
        Value::String(text) => parts.push(Part::Words(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An error that a server wrote into an event which it had not finished.
fn error_within(data: &str) -> Option<Value> {
    let at = ["{\"error\"", "{ \"error\"", "{\"errors\"", "{\"detail\""].iter().filter_map(|start| data.rfind(start)).min()?;
    let mut values = serde_json::Deserializer::from_str(&data[at..]).into_iter::<Value>();
    values.next()?.ok()
}

/// The code units of half a character, as characters that nobody assigns: the private plane 16, 0x100000 above them.
const MARKS: std::ops::RangeInclusive<char> = '\u{10D800}'..='\u{10DFFF}';
const ABOVE: u32 = 0x10_0000;

/// JSON in which halves of characters, which no string can hold, are marks.
pub(super) fn mark_halves(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut marked = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &json.as_bytes()[at..]) {
        let escape = at + found;
        let Some(unit) = code_unit(json, escape) else {
            at = escape + 2;
            continue;
        };
        at = escape + 6;
        match unit {
            0xD800..=0xDBFF if matches!(code_unit(json, at), Some(0xDC00..=0xDFFF)) => at += 6,
            0xD800..=0xDFFF => {
                marked.push_str(&json[kept..escape]);
                marked.extend(char::from_u32(unit + ABOVE));
                kept = at;
            }
            _ => {}
        }
        if at > json.len() {
            break;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    marked.push_str(&json[kept..]);
    Cow::Owned(marked)
}

/// The `\uXXXX` that stands here.
fn code_unit(json: &str, at: usize) -> Option<u32> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}

/// Text in which two halves are one character again, and a half that stayed alone is U+FFFD. A half at the end waits for more
/// of the text in `held`.
pub(super) fn join(text: &str, held: &mut Option<char>) -> String {
    let mut joined = String::with_capacity(text.len());
    for char in text.chars() {
        let whole = held.take().map(|high| (high, pair(high, char)));
        match whole {
            Some((_, Some(whole))) => {
                joined.push(whole);
                continue;
            }
            Some((_, None)) => joined.push(char::REPLACEMENT_CHARACTER),
            None => {}
        }
        match char {
            high if ('\u{10D800}'..='\u{10DBFF}').contains(&high) => *held = Some(high),
            low if MARKS.contains(&low) => joined.push(char::REPLACEMENT_CHARACTER),
            char => joined.push(char),
        }
    }
    joined
}

fn pair(high: char, low: char) -> Option<char> {
    let (high, low) = (u32::from(high) - ABOVE, u32::from(low).checked_sub(ABOVE)?);
    (0xDC00..=0xDFFF).contains(&low).then(|| char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(data: &str) -> Vec<String> {
        let told = |part| match part {
            Part::Object(value) => value.to_string(),
            Part::Done => DONE.to_owned(),
            Part::Words(words) => format!("words {words}"),
            Part::Broken(_) => "broken".to_owned(),
        };
        parts(data).into_iter().map(told).collect()
    }

    #[test]
    fn data_is_taken_apart_into_what_it_holds() {
        for (data, want) in [
            (r#"{"a":1,"a":2}"#, &[r#"{"a":2}"#][..]),
            ("{\"a\":1}\n{\"b\":2}\n[DONE]", &[r#"{"a":1}"#, r#"{"b":2}"#, "[DONE]"]),
            (r#"{"a":1}data: {"b":2}"#, &[r#"{"a":1}"#, r#"{"b":2}"#]),
            (r#"[{"a":1},{"b":2}]"#, &[r#"{"a":1}"#, r#"{"b":2}"#]),
            (r#""{\"a\":1}""#, &[r#"{"a":1}"#]),
            ("error: out of memory", &["words error: out of memory"]),
            (r#"{"choices":[{"delta":{"content":"hal{"error":{"message":"x"}}"#, &[r#"{"error":{"message":"x"}}"#]),
            (r#"{"choices":[{"#, &["broken"]),
            (r#"{"a":1} and so on"#, &[r#"{"a":1}"#, "words and so on"]),
            ("7", &["words 7"]),
            ("[null,7]", &[]),
        ] {
            assert_eq!(told(data), want, "{data}");
        }
    }

    #[test]
    fn halves_of_characters_are_joined_or_told_as_missing() {
        let text = |json: &str| serde_json::from_str::<String>(&mark_halves(json)).unwrap();
        let mut held = None;
        assert_eq!(join(&text(r#""a\ud83d""#), &mut held), "a");
        assert_eq!(join(&text(r#""\ude00b""#), &mut held), "\u{1F600}b");
        assert_eq!(join(&text(r#""x\ud83dy\ude00\ud83d""#), &mut held), "x\u{FFFD}y\u{FFFD}");
        assert_eq!(join(&text(r#""z""#), &mut held), "\u{FFFD}z");
        assert_eq!(held, None);
        for whole in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""é\u00e9\n""#, r#""\u12""#, r#""\"#] {
            assert_eq!(mark_halves(whole), whole);
        }
    }

    #[test]
    fn marking_is_linear() {
        let many = format!("\"{}\"", r"\ud83d".repeat(200_000));
        let marked = mark_halves(&many);
        assert_eq!(marked.chars().count(), 200_002);
    }
}
