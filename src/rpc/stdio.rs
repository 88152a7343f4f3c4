//! The three standard streams: never blocking where that can be had without touching what others share.
//!
//! Invariant: O_NONBLOCK belongs to an open file description, which a shell or a terminal may share with us. It is set on
//! pipes that we opened anew, or on pipes and sockets that an editor made for us; never on a terminal or a file.

use crate::protocol::connection::{ClientProcess, KnownFrom};
use crate::text::cut;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// What can be written to a pipe that polls as writable, without waiting.
const PIPE_BUF: usize = 4096;

/// stdin, whatever it is.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

/// stdout, whatever it is.
pub type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// What a stream leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pipe,
    /// Node gives its children sockets.
    Socket,
    Terminal,
    /// A file or a device.
    File,
}

/// What stdin is.
pub fn stdin_kind() -> Kind {
    kind(rustix::stdio::stdin())
}

/// The process that is our client, as far as the system knows: who made the socket that is stdin, or else who started us.
/// Needs a runtime.
pub fn client_process() -> Option<ClientProcess> {
    let stdin = rustix::stdio::stdin();
    let peer = (kind(stdin) == Kind::Socket).then(|| socket(stdin).ok()?.peer_cred().ok()?.pid()).flatten();
    let peer = peer.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
    let parent =
        || rustix::process::getppid().filter(|parent| !parent.is_init()).map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    let of_socket = peer.map(|pid| ClientProcess { pid, known_from: KnownFrom::SocketPeer });
    of_socket.or_else(|| Some(ClientProcess { pid: parent()?, known_from: KnownFrom::Parent }))
}

/// Opens stdin for the server. Call it within the runtime.
///
/// # Errors
/// The system has no descriptor left, or refuses it.
pub fn stdin() -> io::Result<Input> {
    input(rustix::stdio::stdin())
}

/// Opens stdout for the server. Call it within the runtime.
///
/// # Errors
/// The system has no descriptor left, or refuses it.
pub fn stdout() -> io::Result<Output> {
    output(rustix::stdio::stdout())
}

/// Resolves when nobody can read our stdout any more, which a write would only show when there is one. Waits for ever
/// where the system does not tell: on files, terminals and half-closed sockets.
pub async fn stdout_gone() {
    if !matches!(reader_gone(rustix::stdio::stdout()).await, Ok(())) {
        std::future::pending().await
    }
}

/// Says one line on stderr if there is room for it right now; otherwise it is lost. Long lines are cut.
pub fn stderr_line(text: &str) {
    let text = cut(text, PIPE_BUF - 1);
    let line = [text.as_bytes(), b"\n"].concat();
    static OWN: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let stderr = rustix::stdio::stderr();
    let own = OWN.get_or_init(|| (kind(stderr) == Kind::Pipe).then(|| reopen(stderr, OFlags::WRONLY).ok()).flatten());
    write_or_lose(own.as_ref().map_or(stderr, AsFd::as_fd), &line);
}

/// A descriptor whose readiness can be waited for.
#[expect(deprecated, reason = "its successor is unsafe, for types that may change their descriptor; an OwnedFd never does")]
pub(super) fn readiness_of(stream: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(stream, interest)
}

fn kind(stream: BorrowedFd<'_>) -> Kind {
    match rustix::fs::fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Fifo) => Kind::Pipe,
        Ok(FileType::Socket) => Kind::Socket,
        _ if stream.is_terminal() => Kind::Terminal,
        _ => Kind::File,
    }
}

fn input(stream: BorrowedFd<'_>) -> io::Result<Input> {
    Ok(match kind(stream) {
        Kind::Pipe => Box::new(pipe::Receiver::from_owned_fd(reopen(stream, OFlags::RDONLY).or_else(|_| duplicate(stream))?)?),
        Kind::Socket => Box::new(socket(stream)?),
        Kind::Terminal | Kind::File => Box::new(tokio::io::stdin()),
    })
}

fn output(stream: BorrowedFd<'_>) -> io::Result<Output> {
    Ok(match kind(stream) {
        Kind::Pipe => Box::new(pipe::Sender::from_owned_fd(reopen(stream, OFlags::WRONLY).or_else(|_| duplicate(stream))?)?),
        Kind::Socket => Box::new(socket(stream)?),
        Kind::Terminal | Kind::File => Box::new(tokio::io::stdout()),
    })
}

fn socket(stream: BorrowedFd<'_>) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(duplicate(stream)?);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// The same pipe with an open file description of our own. Not for a named pipe: a description that never saw a writer
/// is not told when the last one has gone.
fn reopen(stream: BorrowedFd<'_>, access: OFlags) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    if !std::fs::read_link(&path)?.as_os_str().as_encoded_bytes().starts_with(b"pipe:") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(rustix::fs::open(path, access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?)
}

fn duplicate(stream: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // Above the standard three, so that a closed stream is never mistaken for one that was opened later.
    Ok(rustix::io::fcntl_dupfd_cloexec(stream, 3)?)
}

/// Resolves with `Ok` when the other end of a pipe or socket is closed.
async fn reader_gone(stream: BorrowedFd<'_>) -> io::Result<()> {
    if !matches!(kind(stream), Kind::Pipe | Kind::Socket) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let stream = readiness_of(duplicate(stream)?, Interest::READABLE | Interest::ERROR)?;
    loop {
        let mut ready = stream.ready(Interest::READABLE | Interest::ERROR).await?;
        if hung_up(stream.get_ref().as_fd()) {
            return Ok(());
        }
        if ready.ready().is_read_closed() {
            // The client has only said that it writes nothing here; that state is never cleared.
            return Err(io::ErrorKind::Unsupported.into());
        }
        ready.clear_ready();
    }
}

fn hung_up(stream: BorrowedFd<'_>) -> bool {
    revents(stream, PollFlags::empty()).intersects(PollFlags::HUP | PollFlags::ERR)
}

/// What is true of the stream right now.
fn revents(stream: BorrowedFd<'_>, wanted: PollFlags) -> PollFlags {
    let mut polled = [PollFd::from_borrowed_fd(stream, wanted)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut polled, Some(&now)) {
        Ok(_) => polled[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

fn write_or_lose(stream: BorrowedFd<'_>, line: &[u8]) {
    match rustix::net::send(stream, line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Err(Errno::NOTSOCK) if revents(stream, PollFlags::OUT).contains(PollFlags::OUT) => {
            // There is nobody left to tell of a failure.
            let _ = rustix::io::write(stream, line);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
