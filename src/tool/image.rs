//! Pictures that every vendor takes: known by their bytes, whatever the file is called. Invariant: what is given to a model is no
//! larger than the strictest vendor allows, for a history with a picture that is refused is refused for ever.

use super::{Image, ToolError};
use crate::tool::workspace::Place;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The largest file, in bytes: in base64 it has 5 MiB, Anthropic's limit.
const MAX_BYTES: usize = (5 << 20) / 4 * 3;
/// The most pixels in either direction, Anthropic's limit.
const MAX_PIXELS: u32 = 8000;

/// What `bytes`, or the beginning of a file, are a picture of, as a MIME type; None if they are none.
pub(super) fn mime_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// The picture that the file is; None if it is none.
pub(super) fn image(place: &Place, bytes: &[u8]) -> Option<Result<Image, ToolError>> {
    let mime_type = mime_type(bytes)?;
    let refused = |why: String| Some(Err(ToolError(format!("{place} is an image ({mime_type}) {why}; ask the user for a smaller one"))));
    if bytes.len() > MAX_BYTES {
        return refused(format!("of {} bytes; at most {MAX_BYTES} can be shown", bytes.len()));
    }
    match dimensions(mime_type, bytes) {
        Some((width, height)) if width.max(height) > MAX_PIXELS => {
            refused(format!("of {width} x {height} pixels; at most {MAX_PIXELS} in either direction can be shown"))
        }
        Some((1.., 1..)) => Some(Ok(Image { mime_type, data: BASE64_STANDARD.encode(bytes) })),
        _ => Some(Err(ToolError(format!("{place} begins as an image ({mime_type}), but is broken and cannot be shown")))),
    }
}

/// Width and height in pixels.
fn dimensions(mime_type: &str, bytes: &[u8]) -> Option<(u32, u32)> {
    let at = |from: usize, len: usize| bytes.get(from..from + len);
    let big = |from, len| Some(at(from, len)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)));
    let little = |from, len| Some(at(from, len)?.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)));
    match mime_type {
        "image/png" => Some((big(16, 4)?, big(20, 4)?)),
        "image/gif" => Some((little(6, 2)?, little(8, 2)?)),
        "image/webp" => match at(12, 4)? {
            b"VP8X" => Some((little(24, 3)? + 1, little(27, 3)? + 1)),
            b"VP8L" => little(21, 4).map(|bits| ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)),
            b"VP8 " => Some((little(26, 2)? & 0x3fff, little(28, 2)? & 0x3fff)),
            _ => None,
        },
        // Segments of a marker and a length; the first frame header has the size.
        _ => {
            let mut segment = 2;
            loop {
                match big(segment, 2)? {
                    0xffc0..=0xffc3 | 0xffc5..=0xffc7 | 0xffc9..=0xffcb | 0xffcd..=0xffcf => {
                        return Some((big(segment + 7, 2)?, big(segment + 5, 2)?));
                    }
                    // A byte that only fills.
                    0xffff => segment += 1,
                    0xff02..=0xfffe => segment += 2 + big(segment + 2, 2)?.max(2) as usize,
                    _ => return None,
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tool::test_room::Room;

    /// The head of a PNG of this size, which is all that is looked at.
    pub(in crate::tool) fn png(width: u32, height: u32) -> Vec<u8> {
        [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &width.to_be_bytes(), &height.to_be_bytes(), b"\x08\x02\0\0\0"].concat()
    }

    #[test]
    fn pictures_are_known_by_their_bytes_and_measured() {
        let room = Room::new();
        for (mime, bytes, size) in [
            ("image/png", png(3, 2), (3, 2)),
            ("image/gif", b"GIF89a\x03\0\x02\0\0\0\0".to_vec(), (3, 2)),
            ("image/jpeg", b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x0b\x08\0\x02\0\x03\x01".to_vec(), (3, 2)),
            ("image/webp", b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x02\0\0\x01\0\0".to_vec(), (3, 2)),
            ("image/webp", b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x02\x40\0\0".to_vec(), (3, 2)),
            ("image/webp", b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0abc\x9d\x01\x2a\x03\0\x02\0".to_vec(), (3, 2)),
        ] {
            assert_eq!((mime_type(&bytes), dimensions(mime, &bytes)), (Some(mime), Some(size)));
            let image = image(&room.place("a"), &bytes).unwrap().unwrap();
            assert_eq!(image, Image { mime_type: mime, data: BASE64_STANDARD.encode(&bytes) });
            // Cut off before its size, it is no picture.
            for end in 0..10 {
                assert!(super::image(&room.place("a"), &bytes[..end]).is_none_or(|image| image.is_err()), "{mime} {end}");
            }
        }
        assert!(image(&room.place("a"), b"\x89PNG but not quite").is_none());
    }

    #[test]
    fn what_a_vendor_would_refuse_for_ever_is_refused_here() {
        let room = Room::new();
        let told = |bytes: &[u8]| image(&room.place("a"), bytes).unwrap().unwrap_err().0;
        assert_eq!(told(&png(0, 2)), "a begins as an image (image/png), but is broken and cannot be shown");
        assert_eq!(told(b"\xff\xd8\xff\xd9"), "a begins as an image (image/jpeg), but is broken and cannot be shown");
        let wide =
            "a is an image (image/png) of 8001 x 1 pixels; at most 8000 in either direction can be shown; ask the user for a smaller one";
        assert_eq!(told(&png(8001, 1)), wide);
        let mut large = png(1, 1);
        large.resize(MAX_BYTES + 1, 0);
        let told_large = "a is an image (image/png) of 3932161 bytes; at most 3932160 can be shown; ask the user for a smaller one";
        assert_eq!(told(&large), told_large);
        large.pop();
        assert_eq!(image(&room.place("a"), &large).unwrap().unwrap().data.len(), 5 << 20);
    }
}
