//! The floor's process: what any program in pillion's place has to do at least, and nothing else.
//!
//! It obeys one line at a time: `ask` sends a request to the model server and passes every event on as a line, `stop`
//! closes that connection, and any other line is written back.

use anyhow::Context as _;
use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::thread;

/// The first argument that makes this program a relay; the second is the model server's address.
pub(crate) const ROLE: &str = "relay";

/// Asks the model.
pub(crate) const ASK: &str = "ask";

/// Closes the connection.
pub(crate) const STOP: &str = "stop";

/// About as large as a small prompt of pillion's.
const BODY_BYTES: usize = 3_000;

/// Lives until stdin ends.
pub(crate) fn run(model: &str) -> anyhow::Result<()> {
    // Not through std's own buffer: a line leaves at once, and many lines leave together.
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let body = format!(r#"{{"messages":[],"padding":"{}"}}"#, "x".repeat(BODY_BYTES));
    let request = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {model}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut connection: Option<TcpStream> = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.as_str() {
            ASK => {
                let mut stream = match connection.take() {
                    Some(stream) => stream,
                    None => connect(model, stdout.try_clone()?)?,
                };
                stream.write_all(request.as_bytes())?;
                connection = Some(stream);
            }
            STOP => {
                if let Some(stream) = connection.take() {
                    stream.shutdown(Shutdown::Both)?;
                }
            }
            other => stdout.write_all(format!("{other}\n").as_bytes())?,
        }
    }
    Ok(())
}

fn connect(model: &str, stdout: File) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(model).context("the model server listens")?;
    stream.set_nodelay(true)?;
    let reader = stream.try_clone()?;
    thread::spawn(move || pass_on(reader, stdout));
    Ok(stream)
}

/// Writes the lines that carry data, all that arrived together at once; ends with the connection.
fn pass_on(mut stream: TcpStream, mut stdout: File) -> io::Result<()> {
    let mut arrived = vec![0; 64 << 10];
    let (mut pending, mut lines) = (Vec::new(), Vec::new());
    loop {
        let read = stream.read(&mut arrived)?;
        if read == 0 {
            return Ok(());
        }
        pending.extend_from_slice(&arrived[..read]);
        let whole = memchr::memrchr(b'\n', &pending).map_or(0, |last| last + 1);
        for line in pending[..whole].split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")) {
            lines.extend_from_slice(line);
        }
        pending.drain(..whole);
        stdout.write_all(&lines)?;
        lines.clear();
    }
}
