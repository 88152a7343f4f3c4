//! Reads the escapes of JSON strings and of URLs, and remembers where each byte stood. What is no escape stays as it is.

/// Bytes, and for each of them (and for their end) its place in the text.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) places: Vec<usize>,
}

/// The text as it may be meant: with the escapes of JSON read, those of URLs, both, and those of JSON within JSON. Only
/// readings that differ from the text.
pub(super) fn readings(text: &[u8]) -> impl Iterator<Item = Decoded> {
    let json = memchr::memchr(b'\\', text).map(|_| decode(text, json));
    let url = memchr::memchr(b'%', text).map(|_| decode(text, url));
    let again = |decoded: &Option<Decoded>, byte, escape| {
        let decoded = decoded.as_ref().filter(|decoded| memchr::memchr(byte, &decoded.bytes).is_some())?;
        let second = decode(&decoded.bytes, escape);
        let places = second.places.iter().map(|place| decoded.places[*place]).collect();
        Some(Decoded { bytes: second.bytes, places })
    };
    let (json_in_json, json_then_url) = (again(&json, b'\\', self::json), again(&json, b'%', self::url));
    [json, url, json_in_json, json_then_url].into_iter().flatten()
}

/// An escape at the beginning of `text`: what it stands for, and its length.
type Escape = fn(text: &[u8]) -> Option<(char, usize)>;

fn decode(text: &[u8], escape: Escape) -> Decoded {
    let mut decoded = Decoded { bytes: Vec::with_capacity(text.len()), places: Vec::with_capacity(text.len() + 1) };
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let place = at;
        match escape(&text[at..]) {
            // Only the escapes of URLs stand for single bytes.
            Some((char, length)) if text[at] == b'%' => {
                decoded.bytes.push(char as u8);
                at += length;
            }
            Some((char, length)) => {
                decoded.bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
            }
            None => {
                decoded.bytes.push(*byte);
                at += 1;
            }
        }
        decoded.places.resize(decoded.bytes.len(), place);
    }
    decoded.places.push(text.len());
    decoded
}

fn url(text: &[u8]) -> Option<(char, usize)> {
    let [b'%', high, low, ..] = *text else { return None };
    let byte = nibble(high)? << 4 | nibble(low)?;
    u8::try_from(byte).ok().map(|byte| (char::from(byte), 3))
}

fn json(text: &[u8]) -> Option<(char, usize)> {
    let [b'\\', kind, ..] = *text else { return None };
    let char = match kind {
        b'"' | b'\\' | b'/' => char::from(kind),
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let first = unit(text)?;
            if let Some(char) = char::from_u32(first) {
                return Some((char, 6));
            }
            // Two halves of a pair; a half that stands alone is no character.
            let pair = [u16::try_from(first).ok()?, u16::try_from(unit(&text[6..])?).ok()?];
            return char::decode_utf16(pair).next()?.ok().map(|char| (char, 12));
        }
        _ => return None,
    };
    Some((char, 2))
}

/// The number in `\uXXXX`.
fn unit(text: &[u8]) -> Option<u32> {
    let [b'\\', b'u', a, b, c, d, ..] = *text else { return None };
    [a, b, c, d].into_iter().try_fold(0, |unit, digit| Some(unit << 4 | nibble(digit)?))
}

fn nibble(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}
