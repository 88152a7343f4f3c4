//! Some lines of a file that is too large to be held. Invariant: what is held is bounded by what is shown, however long the file
//! and its lines are.

use super::{MAX_OUTPUT_BYTES, Request, note};
use crate::tool::ToolError;
use crate::tool::stoppable::Stoppable;
use std::io::{self, BufRead, BufReader, Read};

const CHUNK_BYTES: usize = 64 << 10;

/// The lines that are asked for, as far as there is room, and how to go on. Nobody counts the lines behind them.
pub(super) fn page(request: &Request, text: impl Read, stopped: &dyn Fn() -> bool) -> Result<String, ToolError> {
    lines(request, BufReader::with_capacity(CHUNK_BYTES, Stoppable { text, stopped })).map_err(|error| {
        let why = if stopped() { "the turn was stopped first".to_owned() } else { error.to_string() };
        ToolError(format!("{} was not read: {why}", request.place))
    })?
}

fn lines(request: &Request, mut reader: impl BufRead) -> io::Result<Result<String, ToolError>> {
    let Request { place, offset, limit, .. } = request;
    let too_few = |lines| Ok(Err(ToolError(format!("{place} has {lines} lines; the argument offset must not be more than that"))));
    for passed in 0..offset - 1 {
        if reader.skip_until(b'\n')? == 0 {
            return too_few(passed);
        }
    }
    let mut bytes = Vec::new();
    let mut last = offset - 1;
    let mut cut_from = None;
    let mut more = false;
    while last < offset - 1 + limit {
        let (before, room) = (bytes.len(), MAX_OUTPUT_BYTES - bytes.len());
        let read = reader.by_ref().take(room as u64 + 1).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        if read > room {
            if last >= *offset {
                // It comes with the next page.
                bytes.truncate(before);
                more = true;
                break;
            }
            let rest = if bytes.ends_with(b"\n") { 0 } else { reader.skip_until(b'\n')? };
            bytes.truncate(whole_characters(&bytes[..room]));
            cut_from = Some(read + rest);
            last += 1;
            break;
        }
        last += 1;
    }
    if last < *offset {
        return too_few(last);
    }
    let mut shown = String::from_utf8_lossy(&bytes).into_owned();
    if std::str::from_utf8(&bytes).is_err() {
        note(&mut shown, super::NOT_UTF8);
    }
    if let Some(length) = cut_from {
        note(&mut shown, &format!("line {last} has {length} bytes and is cut"));
    }
    if more || !reader.fill_buf()?.is_empty() {
        note(&mut shown, &format!("lines {offset}-{last} of a large file; go on with offset {}", last + 1));
    }
    Ok(Ok(shown))
}

/// How many of the bytes are left when a character that is cut off at their end is taken away.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}
