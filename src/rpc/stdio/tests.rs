//! Real pipes and sockets.

use super::*;
use rustix::fs::fcntl_getfl;
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, pipe_with};
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC).expect("a pipe")
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

async fn carries(read: OwnedFd, write: OwnedFd) {
    let (mut input, mut output) = (input(read.as_fd()).expect("input"), output(write.as_fd()).expect("output"));
    // More than a pipe holds, so that both sides have to wait.
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let writing = tokio::spawn({
        let sent = sent.clone();
        async move {
            output.write_all(&sent).await.expect("write");
            drop((output, write));
        }
    });
    let mut received = Vec::new();
    within(input.read_to_end(&mut received)).await.expect("read");
    assert!(received == sent);
    writing.await.expect("task");
}

#[tokio::test]
async fn pipes_carry_bytes_and_end() {
    let (read, write) = pipe();
    carries(read, write).await;
}

#[tokio::test]
async fn sockets_carry_bytes_and_end() {
    let (read, write) = StdStream::pair().expect("a socket pair");
    carries(read.into(), write.into()).await;
}

#[tokio::test]
async fn a_named_pipe_whose_writer_has_gone_already_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).expect("a named pipe");
    let open = |flags| rustix::fs::open(&path, flags, Mode::empty()).expect("open");
    let read = open(OFlags::RDONLY | OFlags::NONBLOCK);
    rustix::io::write(open(OFlags::WRONLY), b"{}\n").expect("write");
    let mut received = Vec::new();
    within(input(read.as_fd()).expect("input").read_to_end(&mut received)).await.expect("read");
    assert_eq!(received, b"{}\n");
}

#[tokio::test]
async fn the_pipe_that_others_share_stays_blocking() {
    let (read, write) = pipe();
    let opened = (input(read.as_fd()).expect("input"), output(write.as_fd()).expect("output"));
    for shared in [&read, &write] {
        assert!(!fcntl_getfl(shared).expect("flags").contains(OFlags::NONBLOCK));
    }
    drop(opened);
}

#[test]
fn streams_are_told_apart() {
    let (read, _write) = pipe();
    let (socket, _other) = StdStream::pair().expect("a socket pair");
    let file = tempfile::tempfile().expect("a file");
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    assert_eq!(
        [kind(read.as_fd()), kind(socket.as_fd()), kind(file.as_fd()), kind(null.as_fd())],
        [Kind::Pipe, Kind::Socket, Kind::File, Kind::File]
    );
}

#[tokio::test]
async fn a_closed_reader_is_noticed_without_a_write() {
    let (read, write) = pipe();
    let gone = tokio::spawn(async move { reader_gone(write.as_fd()).await });
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    drop(read);
    within(gone).await.expect("task").expect("gone");

    let (theirs, ours) = StdStream::pair().expect("a socket pair");
    let gone = tokio::spawn(async move { reader_gone(ours.as_fd()).await });
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    drop(theirs);
    within(gone).await.expect("task").expect("gone");
}

#[tokio::test]
async fn a_half_closed_socket_is_not_a_closed_reader() {
    let (theirs, ours) = StdStream::pair().expect("a socket pair");
    theirs.shutdown(std::net::Shutdown::Write).expect("shutdown");
    let gone = within(reader_gone(ours.as_fd())).await;
    assert_eq!(gone.expect_err("it can still be written to").kind(), io::ErrorKind::Unsupported);
}

#[test]
fn what_nobody_reads_is_lost_and_waits_for_nobody() {
    let (read, write) = pipe();
    let size = fcntl_getpipe_size(&write).expect("size");
    let line = [b'x'; PIPE_BUF];
    for _ in 0..=2 * size / line.len() {
        write_or_lose(write.as_fd(), &line);
    }
    let mut kept = vec![0; 4 * size];
    assert_eq!(rustix::io::read(&read, &mut kept).expect("read"), size, "a pipe full of whole lines, and no more");

    let (_theirs, ours) = StdStream::pair().expect("a socket pair");
    for _ in 0..1000 {
        write_or_lose(ours.as_fd(), &line);
    }
    drop(read);
    write_or_lose(write.as_fd(), b"a closed pipe is no matter either\n");
}
