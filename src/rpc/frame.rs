//! Bytes to messages: framing is decided by the first non-blank byte, then fixed.
//!
//! Invariant: memory follows the bytes that have come and never a length that was only declared; feeding a stream in any
//! pieces gives the same frames.

use crate::config::{Framing, Limits};

/// A byte order mark, tolerated once, before everything else.
const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The most memory that is kept for the next message that arrives in pieces.
const KEPT: usize = 64 << 10;

/// Cuts a stream of bytes into messages.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// Forced, or decided by the first byte.
    framing: Option<Framing>,
    state: State,
    /// The beginning of a line or body whose end has not come yet.
    partial: Vec<u8>,
    /// `partial` was given out as a frame and is to be emptied.
    given: bool,
}

/// One message as it stood on the wire.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Not empty on JSON lines; unchecked otherwise.
    Body(&'a [u8]),
    /// A message over the limit. It is reported as soon as that is known, and its bytes are skipped.
    Oversized {
        /// What the header said; a line declares nothing.
        declared: Option<u64>,
    },
}

/// A header block after which nobody can tell where the next message begins. It ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenHeaders {
    #[error("a header line has more than {0} bytes; send `Content-Length: <bytes>`, an empty line and the message")]
    LineTooLong(usize),
    #[error("the header block has more than {0} bytes; send `Content-Length: <bytes>`, an empty line and the message")]
    BlockTooLong(usize),
    #[error("a header line is not `Name: value`; send `Content-Length: <bytes>` before each message, or one JSON message a line")]
    NotAHeader,
    #[error("the header block has no Content-Length; send it before each message")]
    NoLength,
    #[error("Content-Length is not a count of bytes; send decimal digits only")]
    BadLength,
    #[error("Content-Length appears twice with different values; send it once")]
    TwoLengths,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before the first non-blank byte; `bom` bytes of a byte order mark have been seen.
    Start {
        bom: usize,
    },
    Line,
    SkipLine,
    /// Inside a header block of which `block` bytes have been seen.
    Headers {
        block: usize,
        length: Option<u64>,
    },
    Body {
        length: usize,
    },
    SkipBody {
        left: u64,
    },
}

/// Where a whole line or body lies.
enum Whole<'i> {
    InInput(&'i [u8]),
    InPartial,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limits: &Limits, forced: Option<Framing>) -> Self {
        Self { limits: *limits, framing: forced, state: State::Start { bom: 0 }, partial: Vec::new(), given: false }
    }

    /// The framing, as soon as it is known.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// The next frame in `input`, which is moved on behind it. `None`: all of `input` was taken in, and more is needed.
    ///
    /// # Errors
    /// The header block is broken; the decoder must not be used again.
    pub fn next<'f, 'i: 'f>(&'f mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'f>>, BrokenHeaders> {
        if std::mem::take(&mut self.given) {
            self.forget_partial();
        }
        let body = loop {
            match self.state {
                State::Start { bom } => {
                    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
                    self.state = match first {
                        _ if BOM.get(bom) == Some(&first) => State::Start { bom: bom + 1 },
                        _ if (1..BOM.len()).contains(&bom) => return Err(BrokenHeaders::NotAHeader),
                        b' ' | b'\t' | b'\r' | b'\n' => State::Start { bom: BOM.len() },
                        _ => match *self.framing.get_or_insert(framing_of(first)) {
                            Framing::Lines => State::Line,
                            Framing::Headers => State::Headers { block: 0, length: None },
                        },
                    };
                    if matches!(self.state, State::Start { .. }) {
                        *input = rest;
                    }
                }
                State::Line => {
                    if self.partial.is_empty() {
                        *input = input.trim_ascii_start();
                    }
                    let line = self.take_line(input);
                    if self.content(line.as_ref()).len() > self.limits.message {
                        if line.is_none() {
                            self.state = State::SkipLine;
                        }
                        self.forget_partial();
                        return Ok(Some(Frame::Oversized { declared: None }));
                    }
                    match line {
                        Some(line) => break line,
                        None => return Ok(None),
                    }
                }
                State::SkipLine => match memchr::memchr(b'\n', input) {
                    Some(end) => {
                        *input = &input[end + 1..];
                        self.state = State::Line;
                    }
                    None => {
                        *input = &[];
                        return Ok(None);
                    }
                },
                State::Headers { block, length } => {
                    let before = input.len();
                    let line = self.take_line(input);
                    let block = block + before - input.len();
                    let content = self.content(line.as_ref());
                    if content.len() > self.limits.header_line {
                        return Err(BrokenHeaders::LineTooLong(self.limits.header_line));
                    }
                    if block > self.limits.header_block {
                        return Err(BrokenHeaders::BlockTooLong(self.limits.header_block));
                    }
                    if line.is_none() {
                        self.state = State::Headers { block, length };
                        return Ok(None);
                    }
                    self.state = if content.is_empty() {
                        self.state_behind_headers(block, length)?
                    } else {
                        State::Headers { block, length: merge(length, content_length(content)?)? }
                    };
                    self.partial.clear();
                    if let State::SkipBody { left } = self.state {
                        return Ok(Some(Frame::Oversized { declared: Some(left) }));
                    }
                }
                State::Body { length } => {
                    let Some(body) = self.take_body(input, length) else { return Ok(None) };
                    self.state = State::Headers { block: 0, length: None };
                    break body;
                }
                State::SkipBody { left } => {
                    let skipped = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    *input = &input[skipped..];
                    match left - skipped as u64 {
                        0 => self.state = State::Headers { block: 0, length: None },
                        left => {
                            self.state = State::SkipBody { left };
                            return Ok(None);
                        }
                    }
                }
            }
        };
        self.given = matches!(body, Whole::InPartial);
        let body = match self.framing {
            Some(Framing::Lines) => self.content(Some(&body)),
            _ => self.bytes(&body),
        };
        Ok(Some(Frame::Body(body)))
    }

    /// At the end of the stream: a last line that has no line end. It is a message if it is whole JSON.
    pub fn unended_line(&self) -> Option<&[u8]> {
        (matches!(self.state, State::Line) && !self.given && !self.partial.is_empty()).then_some(&*self.partial)
    }

    /// What follows the empty line that ends a header block.
    fn state_behind_headers(&self, block: usize, length: Option<u64>) -> Result<State, BrokenHeaders> {
        const BLANK_LINE: usize = b"\r\n".len();
        match length {
            // Some clients end each message with a line end that they do not count.
            None if block <= BLANK_LINE => Ok(State::Headers { block: 0, length: None }),
            None => Err(BrokenHeaders::NoLength),
            Some(length) => match usize::try_from(length) {
                Ok(length) if length <= self.limits.message => Ok(State::Body { length }),
                _ => Ok(State::SkipBody { left: length }),
            },
        }
    }

    /// Takes a line, with its line end, or all that there is of it.
    fn take_line<'i>(&mut self, input: &mut &'i [u8]) -> Option<Whole<'i>> {
        let end = memchr::memchr(b'\n', input).map(|end| end + 1);
        let (line, rest) = input.split_at(end.unwrap_or(input.len()));
        *input = rest;
        if end.is_some() && self.partial.is_empty() {
            return Some(Whole::InInput(line));
        }
        self.partial.extend_from_slice(line);
        end.map(|_| Whole::InPartial)
    }

    fn take_body<'i>(&mut self, input: &mut &'i [u8], length: usize) -> Option<Whole<'i>> {
        let (body, rest) = input.split_at(input.len().min(length - self.partial.len()));
        *input = rest;
        if body.len() == length {
            return Some(Whole::InInput(body));
        }
        self.partial.extend_from_slice(body);
        (self.partial.len() == length).then_some(Whole::InPartial)
    }

    fn bytes<'a>(&'a self, whole: &Whole<'a>) -> &'a [u8] {
        match whole {
            Whole::InInput(bytes) => bytes,
            Whole::InPartial => &self.partial,
        }
    }

    /// A line, or what there is of it, without its line end.
    fn content<'a>(&'a self, line: Option<&Whole<'a>>) -> &'a [u8] {
        let line = line.map_or(&*self.partial, |line| self.bytes(line));
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    fn forget_partial(&mut self) {
        self.partial.clear();
        self.partial.shrink_to(KEPT);
    }
}

fn framing_of(first: u8) -> Framing {
    match first {
        b'{' | b'[' => Framing::Lines,
        _ => Framing::Headers,
    }
}

/// The value of a Content-Length line; `None` for every other header.
fn content_length(line: &[u8]) -> Result<Option<u64>, BrokenHeaders> {
    let colon = memchr::memchr(b':', line).ok_or(BrokenHeaders::NotAHeader)?;
    let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err(BrokenHeaders::NotAHeader);
    }
    if !name.eq_ignore_ascii_case(b"content-length") {
        return Ok(None);
    }
    if value.is_empty() {
        return Err(BrokenHeaders::BadLength);
    }
    let digits = value.iter().try_fold(0u64, |sum, byte| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    });
    digits.map(Some).ok_or(BrokenHeaders::BadLength)
}

fn merge(known: Option<u64>, new: Option<u64>) -> Result<Option<u64>, BrokenHeaders> {
    match (known, new) {
        (Some(known), Some(new)) if known != new => Err(BrokenHeaders::TwoLengths),
        (known, new) => Ok(new.or(known)),
    }
}

#[cfg(test)]
mod tests;
