//! Where a string may hide: every spelling in which it could stand in a document or in a log.

use serde_json::Value;

/// The spellings of `secret` that `text` holds.
pub(crate) fn spellings_in(text: &str, secret: &str) -> Vec<&'static str> {
    let bytes = secret.as_bytes();
    let json = Value::from(secret).to_string();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let url: String =
        bytes.iter().map(|byte| if byte.is_ascii_alphanumeric() { (*byte as char).into() } else { format!("%{byte:02X}") }).collect();
    let mut found = Vec::new();
    for (name, spelling) in
        [("raw", secret), ("JSON", &json[1..json.len() - 1]), ("hex", &hex), ("HEX", &hex.to_uppercase()), ("URL", &url)]
    {
        if text.contains(spelling) {
            found.push(name);
        }
    }
    if (0..3).any(|shift| text.contains(&base64_inside(bytes, shift))) {
        found.push("base64");
    }
    found
}

/// The digits that `bytes` has in base64 for certain, when `shift` other bytes stand before it in its group of three.
fn base64_inside(bytes: &[u8], shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Whole groups only: the ones at the edges also tell of the neighbours.
    let whole = &bytes[(3 - shift) % 3..];
    let digits = whole.chunks_exact(3).flat_map(|group| {
        let word = group.iter().fold(0usize, |word, byte| word << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|at| char::from(DIGITS[word >> at & 63]))
    });
    digits.collect()
}

#[test]
fn every_spelling_is_found() {
    let secret = "a \"key\"";
    for (text, name) in [
        ("it is a \"key\".", "raw"),
        (r#"{"x":"a \"key\""}"#, "JSON"),
        ("6120226b657922", "hex"),
        ("a%20%22key%22", "URL"),
        // `xa "key"` and `xxa "key"` in base64.
        ("eGEgImtleSI=", "base64"),
        ("eHhhICJrZXki", "base64"),
    ] {
        assert_eq!(spellings_in(text, secret), [name], "{text}");
    }
    assert!(spellings_in("nothing of it", secret).is_empty());
}
