//! Server-sent events out of bytes, and what servers write between them.
//!
//! Invariant: every byte is looked at once, whatever the line ends are and however the bytes are cut. A line that belongs to
//! no event is not dropped: JSON among such lines is an event of its own, other words are kept for whoever has to tell what
//! went wrong. What stands at the end of the body without a blank line counts.

use memchr::memchr2;
use serde::de::IgnoredAny;
use std::ops::Range;
use std::str::Utf8Error;

/// How much is kept of words that belong to no event.
const WORDS_LIMIT: usize = 2048;
/// How often JSON over many lines is tried before the body's end.
const TRIES: u32 = 16;

/// Takes bytes in and gives events out.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// Where the event begins that is being read.
    start: usize,
    /// Where the line begins that is being read.
    line: usize,
    /// How far that line was searched for its end.
    searched: usize,
    /// The last line ended with CR: an LF behind it belongs to it.
    after_cr: bool,
    /// The first line was read: a byte order mark stands only in it.
    begun: bool,
    /// The event's name and its lines of data, counted from `start`.
    name: Range<usize>,
    data: Vec<Range<usize>>,
    /// Lines of JSON outside of events, as far as they have come.
    json: Vec<u8>,
    tries: u32,
    /// What the last event was made of, where it does not lie in the buffer in one piece.
    whole: Vec<u8>,
    words: String,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event<'r> {
    pub(super) name: &'r str,
    pub(super) data: &'r str,
}

/// Where an event's data lies.
enum Found {
    Buffer { name: Range<usize>, data: Range<usize> },
    Whole { name: Range<usize> },
}

impl Reader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.line -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the end of their event.
    pub(super) fn pending(&self) -> usize {
        self.buffer.len() - self.start + self.json.len()
    }

    /// Words that belonged to no event.
    pub(super) fn words(&self) -> &str {
        self.words.trim()
    }

    /// The next event, if all of it has come.
    ///
    /// # Errors
    /// It is no UTF-8.
    pub(super) fn next(&mut self) -> Result<Option<Event<'_>>, Utf8Error> {
        let found = self.find();
        found.map(|found| self.view(found)).transpose()
    }

    /// What stands at the end of the body; call it until there is nothing more.
    ///
    /// # Errors
    /// It is no UTF-8.
    pub(super) fn end(&mut self) -> Result<Option<Event<'_>>, Utf8Error> {
        if self.line < self.buffer.len() {
            self.buffer.push(b'\n');
        }
        let mut found = self.find().or_else(|| self.event());
        if found.is_none() && !self.json.is_empty() {
            if is_json(&self.json) {
                found = Some(self.json_event());
            } else {
                let rest = std::mem::take(&mut self.json);
                self.keep_words(&rest);
            }
        }
        found.map(|found| self.view(found)).transpose()
    }

    fn view(&self, found: Found) -> Result<Event<'_>, Utf8Error> {
        let (name, data) = match found {
            Found::Buffer { name, data } => (name, &self.buffer[data]),
            Found::Whole { name } => (name, &self.whole[..]),
        };
        Ok(Event { name: std::str::from_utf8(&self.buffer[name])?, data: std::str::from_utf8(data)? })
    }

    fn find(&mut self) -> Option<Found> {
        loop {
            let Some(at) = memchr2(b'\n', b'\r', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                return None;
            };
            let (from, end) = (self.line, self.searched + at);
            let is_cr = self.buffer[end] == b'\r';
            if std::mem::replace(&mut self.after_cr, is_cr) && from == end && !is_cr {
                self.go_on(end + 1);
                continue;
            }
            let mut line = from..end;
            if !std::mem::replace(&mut self.begun, true) && self.buffer[line.clone()].starts_with(b"\xEF\xBB\xBF") {
                line.start += 3;
            }
            if line.is_empty() {
                self.go_on(end + 1);
                let found = self.event().or_else(|| self.json_so_far());
                if found.is_some() {
                    return found;
                }
                self.start = self.line;
                continue;
            }
            if self.field(line.clone()) {
                self.go_on(end + 1);
                continue;
            }
            let text = self.buffer[line.clone()].trim_ascii();
            let may_be_json = self.json.is_empty() && matches!(text.first(), Some(b'{' | b'['));
            if may_be_json && is_json(text) {
                // An event that only lacks its blank line comes first; one that was never finished does not hide this.
                if self.data_is_json()
                    && let found @ Some(_) = self.event_before(from)
                {
                    return found;
                }
                self.go_on(end + 1);
                return Some(Found::Buffer { name: 0..0, data: line });
            }
            if may_be_json || !self.json.is_empty() {
                let mut text = self.buffer[line].to_vec();
                text.push(b'\n');
                self.json.append(&mut text);
            } else {
                let text = text.to_vec();
                self.keep_words(&text);
            }
            self.go_on(end + 1);
        }
    }

    fn go_on(&mut self, next: usize) {
        self.line = next;
        self.searched = next;
        // Lines that say nothing are not kept until an event comes.
        if self.data.is_empty() && self.name.is_empty() {
            self.start = next;
        }
    }

    /// Reads a line as a field of the event; false if it is none.
    fn field(&mut self, line: Range<usize>) -> bool {
        let text = &self.buffer[line.clone()];
        let indent = if text[0].is_ascii_whitespace() { text.len() - text.trim_ascii_start().len() } else { 0 };
        let text = &text[indent..];
        let value = |name: &str| {
            let value = text.strip_prefix(name.as_bytes())?;
            let skipped = match value {
                [] => 0,
                [b':', b' ', ..] => 2,
                [b':', ..] => 1,
                _ => return None,
            };
            let from = line.start + indent + name.len() + skipped;
            Some(from - self.start..line.end - self.start)
        };
        if let Some(value) = value("data") {
            self.data.push(value);
        } else if let Some(value) = value("event") {
            self.name = value;
        } else {
            return text.first().is_none_or(|first| *first == b':') || value("id").is_some() || value("retry").is_some();
        }
        true
    }

    /// The event that has been read, and begins the next one behind the line.
    fn event(&mut self) -> Option<Found> {
        self.event_before(self.line)
    }

    fn event_before(&mut self, next: usize) -> Option<Found> {
        let (start, name) = (self.start, std::mem::take(&mut self.name));
        let at = |range: &Range<usize>| start + range.start..start + range.end;
        let name = at(&name);
        let found = match &self.data[..] {
            [] => None,
            [one] => Some(Found::Buffer { name, data: at(one) }),
            many => {
                self.whole.clear();
                for (n, range) in many.iter().enumerate() {
                    if n > 0 {
                        self.whole.push(b'\n');
                    }
                    self.whole.extend_from_slice(&self.buffer[at(range)]);
                }
                Some(Found::Whole { name })
            }
        };
        self.data.clear();
        self.start = next;
        found
    }

    fn data_is_json(&self) -> bool {
        let at = |range: &Range<usize>| self.start + range.start..self.start + range.end;
        matches!(&self.data[..], [one] if is_json(&self.buffer[at(one)]))
    }

    /// The lines of JSON, if a blank line ends them; one can also stand within them.
    fn json_so_far(&mut self) -> Option<Found> {
        if !matches!(self.json.trim_ascii_end().last(), Some(b'}' | b']')) || self.tries == TRIES {
            return None;
        }
        self.tries += 1;
        is_json(&self.json).then(|| self.json_event())
    }

    fn json_event(&mut self) -> Found {
        self.whole = std::mem::take(&mut self.json);
        Found::Whole { name: 0..0 }
    }

    fn keep_words(&mut self, words: &[u8]) {
        let words = String::from_utf8_lossy(&words[..words.len().min(WORDS_LIMIT)]);
        if self.words.len() + words.len() < WORDS_LIMIT {
            self.words.push_str(&words);
            self.words.push('\n');
        }
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of these bytes, cut into pieces of `size`, and the words beside them.
    fn events(bytes: &[u8], size: usize) -> (Vec<(String, String)>, String) {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        let mut keep = |event: Event<'_>| events.push((event.name.to_owned(), event.data.to_owned()));
        for piece in bytes.chunks(size) {
            reader.push(piece);
            while let Some(event) = reader.next().unwrap() {
                keep(event);
            }
        }
        while let Some(event) = reader.end().unwrap() {
            keep(event);
        }
        (events, reader.words().to_owned())
    }

    fn told(bytes: &str) -> (Vec<(String, String)>, String) {
        let whole = events(bytes.as_bytes(), bytes.len().max(1));
        for size in [1, 2, 3, 7] {
            assert_eq!(events(bytes.as_bytes(), size), whole, "{bytes:?} in pieces of {size}");
        }
        whole
    }

    fn data(bytes: &str) -> Vec<String> {
        told(bytes).0.into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn events_are_the_same_however_they_are_cut_and_their_lines_end() {
        let lines = ["\u{feff}: comment", "", "event: message", "id: 7", "data: {\"a\":", "data: 1}", "", "", "data:two", "retry: 9", ""];
        let want = vec![("message".to_owned(), "{\"a\":\n1}".to_owned()), (String::new(), "two".to_owned())];
        for end in ["\n", "\r\n", "\r"] {
            let text: String = lines.iter().flat_map(|line| [*line, end]).collect();
            assert_eq!(told(&text), (want.clone(), String::new()), "{end:?}");
        }
    }

    #[test]
    fn what_stands_at_the_end_without_a_blank_line_counts() {
        assert_eq!(data("data: a\n\ndata: b"), ["a", "b"]);
        assert_eq!(data("data: a\n\ndata: b\n"), ["a", "b"]);
        assert_eq!(told("event: error\ndata: b").0, [("error".to_owned(), "b".to_owned())]);
        assert_eq!(data(""), [""; 0]);
        assert_eq!(data(": ping"), [""; 0]);
    }

    #[test]
    fn json_outside_of_events_is_an_event_and_other_words_are_kept() {
        assert_eq!(data("{\"error\":1}\n"), ["{\"error\":1}"]);
        assert_eq!(data("data: {\"a\":1}\n{\"error\":1}\n\n"), ["{\"a\":1}", "{\"error\":1}"]);
        assert_eq!(data("data: {\"a\":\n{\"error\":1}\n\n"), ["{\"error\":1}", "{\"a\":"]);
        assert_eq!(data("{\"a\":1}\n{\"a\":2}\n"), ["{\"a\":1}", "{\"a\":2}"]);
        assert_eq!(data("{\n \"data\": 1,\n\n \"b\": [\n2]}"), ["{\n \"data\": 1,\n \"b\": [\n2]}\n"]);
        assert_eq!(told("<html>\n<b>Bad gateway</b>"), (vec![], "<html>\n<b>Bad gateway</b>".to_owned()));
        assert_eq!(told("data: a\n\nupstream died\n"), (vec![(String::new(), "a".to_owned())], "upstream died".to_owned()));
    }

    #[test]
    fn nothing_is_kept_of_what_says_nothing() {
        let mut reader = Reader::default();
        for _ in 0..1000 {
            reader.push(b": ping\n\nid: 1\n\n");
            assert_eq!(reader.next().unwrap(), None);
            assert_eq!(reader.pending(), 0);
        }
        assert!(reader.buffer.capacity() < 1000);
    }
}
