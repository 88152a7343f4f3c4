//! Both framings, every limit, every way to cut a stream into pieces.

use super::*;
use proptest::prelude::*;

const SMALL: Limits = Limits {
    header_line: 24,
    header_block: 48,
    message: 8,
    nesting: 128,
    in_flight: 4,
    outbox: 64,
    result: 64,
    answer_calls: 1,
    call: 1,
    turn_text: 1,
};

/// A frame that outlives its input.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Body(Vec<u8>),
    Oversized(Option<u64>),
    Broken,
}

fn body(text: &str) -> Got {
    Got::Body(text.as_bytes().to_vec())
}

fn decode(decoder: &mut Decoder, mut input: &[u8], got: &mut Vec<Got>) -> Option<BrokenHeaders> {
    loop {
        match decoder.next(&mut input) {
            Ok(Some(Frame::Body(body))) => got.push(Got::Body(body.to_vec())),
            Ok(Some(Frame::Oversized { declared })) => got.push(Got::Oversized(declared)),
            Ok(None) => {
                assert!(input.is_empty());
                return None;
            }
            Err(broken) => {
                got.push(Got::Broken);
                return Some(broken);
            }
        }
    }
}

fn frames(limits: &Limits, input: &[u8]) -> Vec<Got> {
    let mut got = Vec::new();
    decode(&mut Decoder::new(limits, None), input, &mut got);
    got
}

fn broken(input: &str) -> BrokenHeaders {
    decode(&mut Decoder::new(&SMALL, None), input.as_bytes(), &mut Vec::new()).expect("a broken header block")
}

fn frames_in_pieces<'a>(limits: &Limits, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Got> {
    let (mut decoder, mut got) = (Decoder::new(limits, None), Vec::new());
    for piece in pieces {
        if decode(&mut decoder, piece, &mut got).is_some() {
            break;
        }
    }
    got
}

#[test]
fn the_first_non_blank_byte_decides_and_a_byte_order_mark_is_nothing() {
    for (input, framing) in [
        ("{", Framing::Lines),
        (" \r\n\t[", Framing::Lines),
        ("\u{feff}{", Framing::Lines),
        ("\u{feff} \n{", Framing::Lines),
        ("C", Framing::Headers),
        ("\u{feff}C", Framing::Headers),
        ("\n\nx", Framing::Headers),
    ] {
        let mut decoder = Decoder::new(&SMALL, None);
        decode(&mut decoder, input.as_bytes(), &mut Vec::new());
        assert_eq!(decoder.framing(), Some(framing), "{input:?}");
    }
    let mut decoder = Decoder::new(&SMALL, None);
    decode(&mut decoder, " \n\u{feff}".as_bytes(), &mut Vec::new());
    assert_eq!(decoder.framing(), Some(Framing::Headers), "a mark behind a blank is a byte like any other");
    let half_a_mark = decode(&mut Decoder::new(&SMALL, None), b"\xEF\xBB{", &mut Vec::new());
    assert_eq!(half_a_mark, Some(BrokenHeaders::NotAHeader));
}

#[test]
fn a_forced_framing_is_not_decided_again() {
    let mut got = Vec::new();
    assert_eq!(decode(&mut Decoder::new(&SMALL, Some(Framing::Headers)), b"{}\n", &mut got), Some(BrokenHeaders::NotAHeader));
    got.clear();
    decode(&mut Decoder::new(&SMALL, Some(Framing::Lines)), b"\xEF\xBB\xBFx:1\n{}\n", &mut got);
    assert_eq!(got, [body("x:1"), body("{}")]);
}

#[test]
fn lines_end_with_or_without_a_carriage_return_and_blank_ones_are_ignored() {
    let got = frames(&SMALL, b"{1}\n\n  \r\n{2}\r\n\t{3}\r\r\n{4");
    assert_eq!(got, [body("{1}"), body("{2}"), body("{3}\r")]);
}

#[test]
fn header_variants_are_accepted() {
    let variants = [
        "Content-Length: 2\r\n\r\n{}",
        "content-length:2\n\n{}",
        "CONTENT-LENGTH  :  002 \r\n\r\n{}",
        "Content-Type: a/b; c=utf8\r\nContent-Length: 2\r\n\r\n{}",
        "X-A: 1\r\nContent-Length: 2\r\nX-B:\r\n\r\n{}",
        "Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}",
        "Content-Length: 2\r\n\r\n{}\r\n",
    ];
    for variant in variants {
        assert_eq!(frames(&Limits::default(), variant.repeat(2).as_bytes()), [body("{}"), body("{}")], "{variant:?}");
    }
    assert_eq!(frames(&SMALL, b"Content-Length: 0\r\n\r\nContent-Length: 1\r\n\r\nx"), [body(""), body("x")]);
}

#[test]
fn header_blocks_that_name_no_length_are_broken() {
    use BrokenHeaders::*;
    assert_eq!(broken("Content-Length: -1\r\n\r\n"), BadLength);
    assert_eq!(broken("Content-Length: +1\r\n\r\n"), BadLength);
    assert_eq!(broken("Content-Length:\r\n\r\n"), BadLength);
    assert_eq!(broken("Content-Length: 1 2\r\n\r\n"), BadLength);
    assert_eq!(broken("Content-Length: 0x1\r\n\r\n"), BadLength);
    assert_eq!(broken("Content-Length:18446744073709551616\r\n"), LineTooLong(24));
    assert_eq!(broken("Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), TwoLengths);
    assert_eq!(broken("X: 1\r\n\r\n{}"), NoLength);
    assert_eq!(broken("hello\n"), NotAHeader);
    assert_eq!(broken(": 1\n"), NotAHeader);
    assert_eq!(broken("Content Length: 1\n"), NotAHeader);
    assert_eq!(broken("Content-Length: 1\r\n\r\n{}\r\n"), NotAHeader);
    let roomy = Limits::default();
    let overflowing = decode(&mut Decoder::new(&roomy, None), b"Content-Length: 18446744073709551616\r\n", &mut Vec::new());
    assert_eq!(overflowing, Some(BadLength));
}

#[test]
fn the_header_line_limit_counts_without_the_line_end() {
    let block = |line: usize| format!("X: {}\r\nContent-Length: 1\r\n\r\n1", "x".repeat(line - 3));
    let limits = Limits { header_block: 1000, ..SMALL };
    assert_eq!(frames(&limits, block(23).as_bytes()), [body("1")]);
    assert_eq!(frames(&limits, block(24).as_bytes()), [body("1")]);
    assert_eq!(frames(&limits, block(25).as_bytes()), [Got::Broken]);
    assert_eq!(broken(&"x".repeat(25)), BrokenHeaders::LineTooLong(24), "without waiting for the end of the line");
}

#[test]
fn the_header_block_limit_counts_every_byte_of_the_block() {
    let length = "Content-Length: 1\r\n\r\n";
    let block = |bytes: usize| format!("X: {}\r\n{length}1", "x".repeat(bytes - length.len() - 5));
    let limits = Limits { header_line: 1000, ..SMALL };
    assert_eq!(frames(&limits, block(47).as_bytes()), [body("1")]);
    assert_eq!(frames(&limits, block(48).as_bytes()), [body("1")]);
    assert_eq!(frames(&limits, block(49).as_bytes()), [Got::Broken]);
}

#[test]
fn the_message_limit_holds_in_both_framings_and_the_rest_is_skipped() {
    for size in [7, 8, 9] {
        let text = "1".repeat(size - 2);
        let expected = |declared| if size > 8 { Got::Oversized(declared) } else { body(&format!("{{{text}}}")) };
        let lines = format!("{{{text}}}\n{{{text}}}\r\n{{}}\n");
        assert_eq!(frames(&SMALL, lines.as_bytes()), [expected(None), expected(None), body("{}")]);
        let headers = format!("Content-Length: {size}\r\n\r\n{{{text}}}Content-Length: 2\r\n\r\n{{}}");
        assert_eq!(frames(&SMALL, headers.as_bytes()), [expected(Some(size as u64)), body("{}")]);
    }
}

#[test]
fn a_declared_length_is_never_allocated() {
    for declared in [u64::from(u32::MAX), u64::MAX] {
        let mut decoder = Decoder::new(&Limits::default(), None);
        let mut got = Vec::new();
        decode(&mut decoder, format!("Content-Length: {declared}\r\n\r\n").as_bytes(), &mut got);
        decode(&mut decoder, &[b'x'; 100_000], &mut got);
        assert_eq!(got, [Got::Oversized(Some(declared))]);
        assert!(decoder.partial.capacity() < 4096);
    }
    let mut decoder = Decoder::new(&Limits::default(), None);
    decode(&mut decoder, b"Content-Length: 16777216\r\n\r\nx", &mut Vec::new());
    assert!(decoder.partial.capacity() < 4096, "an admitted length is not allocated up front either");
}

#[test]
fn memory_for_a_large_message_is_given_back() {
    let (mut decoder, mut got) = (Decoder::new(&Limits::default(), None), Vec::new());
    decode(&mut decoder, b"Content-Length: 1000000\r\n\r\n", &mut got);
    for _ in 0..1000 {
        decode(&mut decoder, &[b'1'; 1000], &mut got);
    }
    assert_eq!(got.len(), 1);
    decode(&mut decoder, b"C", &mut got);
    assert!(decoder.partial.capacity() <= KEPT);
}

#[test]
fn only_a_line_can_lack_its_end() {
    let unended = |input: &[u8]| {
        let mut decoder = Decoder::new(&SMALL, None);
        decode(&mut decoder, input, &mut Vec::new());
        decoder.unended_line().map(<[u8]>::to_vec)
    };
    assert_eq!(unended(b"{1}\n{2}"), Some(b"{2}".to_vec()));
    assert_eq!(unended(b"{1}\n  "), None);
    assert_eq!(unended(b"Content-Length: 4\r\n\r\n{1}"), None);
    let mut decoder = Decoder::new(&SMALL, None);
    decode(&mut decoder, b"{", &mut Vec::new());
    decode(&mut decoder, b"}\n", &mut Vec::new());
    assert_eq!(decoder.unended_line(), None, "a line that was given out is not left over");
}

/// Streams that are mostly right, and often wrong.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{}",
        "{\"a\":1}",
        "[",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\u{feff}",
        "Content-Length: 2\r\n",
        "Content-Length: 9\r\n",
        "content-length:5\n",
        "\r\n\r\n",
        "X: y\r\n",
        "xxxxxxxx",
        "-1",
        ":",
        "Content-Length: 2\r\n\r\n{}",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn pieces_make_no_difference(input in stream(), size in 1usize..9) {
        let whole = frames(&SMALL, &input);
        prop_assert_eq!(&frames_in_pieces(&SMALL, input.chunks(1)), &whole);
        prop_assert_eq!(&frames_in_pieces(&SMALL, input.chunks(size)), &whole);
    }

    #[test]
    fn whatever_was_framed_comes_out(bodies in proptest::collection::vec("[a-z{}]{0,8}", 0..20), size in 1usize..40) {
        let headers: String = bodies.iter().map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())).collect();
        let expected: Vec<_> = bodies.iter().map(|text| body(text)).collect();
        prop_assert_eq!(frames_in_pieces(&SMALL, headers.as_bytes().chunks(size)), expected);
    }
}
