//! The write-ahead log as bytes (<https://sqlite.org/fileformat2.html#the_write_ahead_log>), for when it may not be what
//! SQLite has written. SQLite holds no locks on this file, so it can be opened by hand.

use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEAD: u64 = 32;
const FRAME_HEAD: u64 = 24;

/// A frame that SQLite has written, by what it says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    at: u64,
    head: [u8; FRAME_HEAD as usize],
}

impl Frame {
    /// The last of so many frames.
    pub(super) fn last_of(log: &File, frames: u64, page: u64) -> Option<Self> {
        let at = HEAD + frames.checked_sub(1)? * (FRAME_HEAD + page);
        let mut frame = Self { at, head: [0; FRAME_HEAD as usize] };
        log.read_exact_at(&mut frame.head, at).ok()?;
        Some(frame)
    }

    /// Whether the log still begins as it did and has this frame, or was begun anew.
    pub(super) fn stands(&self, log: &File) -> bool {
        let mut head = [0; HEAD as usize];
        let mut frame = [0; FRAME_HEAD as usize];
        if log.read_exact_at(&mut head, 0).is_err() || begun(&head).is_none() {
            return false;
        }
        head[16..24] != self.head[8..16] || (log.read_exact_at(&mut frame, self.at).is_ok() && frame == self.head)
    }
}

/// Opens the log to read it.
///
/// # Errors
/// It could not be opened, which says nothing of it.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?.into())
}

/// The number of the page in each of so many frames.
pub(super) fn pages(log: &File, frames: u64, page: u64) -> impl Iterator<Item = io::Result<u32>> {
    (0..frames).map(move |frame| {
        let mut number = [0; 4];
        log.read_exact_at(&mut number, HEAD + frame * (FRAME_HEAD + page))?;
        Ok(u32::from_be_bytes(number))
    })
}

/// Whether a log of so many bytes is shorter than so many frames.
pub(super) fn is_cut(bytes: u64, frames: u64, page: u64) -> bool {
    frames > 0 && bytes < HEAD + frames * (FRAME_HEAD + page)
}

/// Whether the log has at least so many frames as they were written: each frame's checksum goes on from the one before it.
///
/// # Errors
/// It could not be read, which says nothing of it.
pub(super) fn is_whole(log: &Path, frames: u64) -> io::Result<bool> {
    Ok(sound_frames(BufReader::with_capacity(1 << 20, open_log(log)?), frames)? == frames)
}

/// How many frames from the beginning on are as they were written; no more than `most` are looked at.
fn sound_frames(mut log: impl Read, most: u64) -> io::Result<u64> {
    let mut head = [0; HEAD as usize];
    if most == 0 || !fill(&mut log, &mut head)? {
        return Ok(0);
    }
    let Some(Begun { page, read, mut sum }) = begun(&head) else { return Ok(0) };
    let mut frame = vec![0; FRAME_HEAD as usize + page];
    for sound in 0..most {
        if !fill(&mut log, &mut frame)? {
            return Ok(sound);
        }
        sum = checksum(read, &frame[FRAME_HEAD as usize..], checksum(read, &frame[..8], sum));
        if frame[8..16] != head[16..24] || sum != (word(&frame, 16), word(&frame, 20)) {
            return Ok(sound);
        }
    }
    Ok(most)
}

/// How a log goes on from its head: the bytes of a page, the order of those in a number, the checksum.
struct Begun {
    page: usize,
    read: fn([u8; 4]) -> u32,
    sum: (u32, u32),
}

/// Nothing, for the head of no log.
fn begun(head: &[u8; HEAD as usize]) -> Option<Begun> {
    let (magic, page) = (word(head, 0), word(head, 8) as usize);
    let read = if magic & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
    let sum = checksum(read, &head[..24], (0, 0));
    let is_one = magic & !1 == 0x377F_0682 && page.is_power_of_two() && (512..=65536).contains(&page);
    (is_one && sum == (word(head, 24), word(head, 28))).then_some(Begun { page, read, sum })
}

/// Reads all of `bytes`; `false`: there is less left.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A number of the log's own, which is big-endian.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn checksum(read: fn([u8; 4]) -> u32, bytes: &[u8], sum: (u32, u32)) -> (u32, u32) {
    bytes.chunks_exact(8).fold(sum, |(first, second), eight| {
        let half = |at: usize| read([eight[at], eight[at + 1], eight[at + 2], eight[at + 3]]);
        let first = first.wrapping_add(half(0)).wrapping_add(second);
        (first, second.wrapping_add(half(4)).wrapping_add(first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_count_up_to_the_first_that_was_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (file, log) = (dir.path().join("a.db"), dir.path().join("a.db-wal"));
        let conn = rusqlite::Connection::open(file).unwrap();
        conn.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(20000));").unwrap();
        conn.execute_batch("INSERT INTO t VALUES (randomblob(9000))").unwrap();
        let frames = super::super::log::progress(&conn).unwrap().frames;
        let bytes = std::fs::read(&log).unwrap();
        let sound = |bytes: &[u8]| sound_frames(bytes, u64::MAX).unwrap();
        assert_eq!(sound(&bytes), frames);
        assert!(is_whole(&log, frames).unwrap() && !is_whole(&log, frames + 1).unwrap() && is_whole(&log, 0).unwrap());
        let frame = 24 + 4096;
        for (at, expected) in [(0, 0), (20, 0), (30, 0), (32, 0), (32 + 12, 0), (32 + 3 * frame, 3), (32 + 4 * frame - 1, 3)] {
            let mut touched = bytes.clone();
            touched[at] ^= 0x40;
            assert_eq!(sound(&touched), expected, "{at}");
        }
        assert_eq!(sound(&bytes[..32 + 2 * frame + 7]), 2);
        assert_eq!(sound(b""), 0);
        let (file, last) = (open_log(&log).unwrap(), |frames| Frame::last_of(&open_log(&log).unwrap(), frames, 4096));
        assert!(last(0).is_none() && last(frames + 1).is_none() && last(frames).unwrap().stands(&file));
        let whole = last(frames).unwrap();
        let touch = |at: u64, bytes: &[u8]| std::fs::File::options().write(true).open(&log).unwrap().write_all_at(bytes, at).unwrap();
        touch(whole.at + 9, &[!whole.head[9]]);
        assert!(!whole.stands(&file), "another frame");
        touch(whole.at, &whole.head);
        touch(20, b"salt");
        assert!(!whole.stands(&file), "no head");
        let length = bytes.len() as u64;
        assert!(!is_cut(length, frames, 4096) && is_cut(length - 1, frames, 4096) && !is_cut(0, 0, 4096));
    }
}
