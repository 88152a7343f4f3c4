//! Whole connections over pipes in memory and real ones.

use super::*;
use crate::rpc::frame::BrokenHeaders;
use std::sync::mpsc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

/// The client's end of a connection whose server echoes: a request is answered with its method, `exit` ends.
struct Client {
    to: DuplexStream,
    from: DuplexStream,
    wire: Wire,
    ending: Ending,
    outbox: Outbox,
    seen: mpsc::Receiver<String>,
}

fn connect(limits: Limits) -> Client {
    connect_until(limits, AtEof::Leave)
}

fn connect_until(limits: Limits, at_eof: AtEof) -> Client {
    let terms = Terms { limits: &limits, framing: None, at_eof };
    let ((to, read), (write, from)) = (duplex(1 << 16), duplex(1 << 16));
    let (sender, seen) = mpsc::channel();
    let outbox = Outbox::new(limits.outbox);
    let answers = outbox.clone();
    let ending = Ending::new();
    let wire = Wire::open(read, write, terms, outbox.clone(), ending.clone(), move |message, _| {
        let (text, answer) = match message {
            Inbound::Request { id, method, .. } => {
                let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{method}"}}"#);
                (method, Some(answer))
            }
            Inbound::Notification { method, .. } if method == "exit" => return ControlFlow::Break(EndReason::ExitWithoutShutdown),
            Inbound::Notification { method, .. } if method == "panic" => panic!("asked to"),
            Inbound::Notification { method, .. } => (method, None),
            Inbound::Response { id, .. } => (id.to_string(), None),
        };
        let _ = sender.send(text);
        answer.into_iter().for_each(|answer| answers.push(answer));
        ControlFlow::Continue(())
    });
    Client { to, from, wire, ending, outbox, seen }
}

impl Client {
    async fn send(&mut self, text: impl AsRef<[u8]>) {
        within(self.to.write_all(text.as_ref())).await.expect("the server reads");
    }

    /// Closes stdin and gives everything that came back, with the reason of the end.
    async fn finish(self) -> (String, EndReason) {
        let Self { to, mut from, wire, .. } = self;
        drop(to);
        let reason = within(wire.ended()).await.reason;
        let reading = tokio::spawn(async move {
            let mut out = String::new();
            from.read_to_string(&mut out).await.expect("text");
            out
        });
        wire.drain(Duration::from_secs(10)).await;
        (within(reading).await.expect("task"), reason)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.try_iter().collect()
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

fn request(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m{id}"}}"#)
}

fn notification(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#)
}

fn with_header(body: &str) -> String {
    format!("Content-Length: {}\r\n\r\n{body}", body.len())
}

fn answer(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"m{id}"}}"#)
}

fn error(id: &str, code: i64, message: &str) -> String {
    let message = serde_json::Value::from(message);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#)
}

#[tokio::test]
async fn both_framings_are_answered_in_kind_and_in_order() {
    let mut client = connect(Limits::default());
    client.send((1..=500).map(|id| with_header(&request(id))).collect::<String>()).await;
    let (out, reason) = client.finish().await;
    assert_eq!(reason, EndReason::Eof);
    assert_eq!(out, (1..=500).map(|id| with_header(&answer(id))).collect::<String>());

    let mut client = connect(Limits::default());
    client.send((1..=500).map(|id| request(id) + "\n").collect::<String>()).await;
    assert_eq!(client.finish().await.0, (1..=500).map(|id| answer(id) + "\n").collect::<String>());
}

#[tokio::test]
async fn bad_messages_are_answered_in_their_place_and_the_connection_goes_on() {
    let mut client = connect(Limits { message: 64, ..Limits::default() });
    let oversized = format!("{{{}}}", "1".repeat(63));
    for line in [&request(1), "[]", "{\"id\":}", &oversized, r#"{"jsonrpc":"2.0","id":"x","method":0}"#, &request(2)] {
        client.send(format!("{line}\n")).await;
    }
    let (out, _) = client.finish().await;
    let expected = [
        answer(1),
        error("null", -32600, "batches are not supported; send each message by itself"),
        error("null", -32700, "the message is not valid JSON: expected value at line 1 column 7"),
        error("null", -32600, "the message has more than 64 bytes, the limit; it was skipped, send it in smaller parts"),
        error(r#""x""#, -32600, "`method` must be a string"),
        answer(2),
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_oversized_body_is_skipped_and_what_follows_is_served() {
    let mut client = connect(Limits { message: 64, ..Limits::default() });
    client.send(with_header(&"x".repeat(100_000))).await;
    client.send(with_header(&request(1))).await;
    let complaint = "the message has 100000 bytes and the limit is 64; it was skipped, send it in smaller parts";
    assert_eq!(client.finish().await.0, with_header(&error("null", -32600, complaint)) + &with_header(&answer(1)));
}

#[tokio::test]
async fn a_broken_header_block_ends_with_its_reason_behind_what_was_answered() {
    let mut client = connect(Limits::default());
    client.send(with_header(&request(1)) + "Content-Length: -5\r\n\r\n" + &with_header(&request(2))).await;
    let reason = within(client.wire.ended()).await.reason;
    assert_eq!(reason, EndReason::BrokenFraming { what: BrokenHeaders::BadLength });
    let complaint = error("null", -32700, &BrokenHeaders::BadLength.to_string());
    assert_eq!(client.finish().await.0, with_header(&answer(1)) + &with_header(&complaint));
}

#[tokio::test]
async fn exit_ends_with_stdin_open_and_nothing_behind_it_is_received() {
    let mut client = connect(Limits::default());
    client.send([notification("a"), notification("exit"), notification("b"), String::new()].join("\n")).await;
    assert_eq!(within(client.wire.ended()).await.reason, EndReason::ExitWithoutShutdown);
    assert_eq!(client.seen(), ["a"]);
}

#[tokio::test]
async fn half_a_frame_then_silence_then_the_end_is_the_end() {
    for half in ["Content-Length: 100\r\n\r\n{\"jsonrpc\":", "Content-Le", "{\"jsonrpc\":\"2.0\",", " "] {
        let mut client = connect(Limits::default());
        client.send(half).await;
        tokio::task::yield_now().await;
        assert_eq!(client.finish().await, (String::new(), EndReason::Eof), "{half:?}");
    }
}

#[tokio::test]
async fn a_last_line_without_its_end_is_served() {
    let mut client = connect(Limits::default());
    client.send(request(1) + "\n" + &request(2)).await;
    assert_eq!(client.finish().await.0, answer(1) + "\n" + &answer(2) + "\n");
}

#[tokio::test]
async fn answers_that_come_after_the_end_are_still_written() {
    let mut client = connect(Limits::default());
    client.send(notification("a") + "\n").await;
    let Client { to, mut from, wire, outbox, .. } = client;
    drop(to);
    assert_eq!(within(wire.ended()).await.reason, EndReason::Eof);
    outbox.push("\"late\"");
    wire.drain(Duration::from_secs(10)).await;
    let mut out = String::new();
    within(from.read_to_string(&mut out)).await.expect("text");
    assert_eq!(out, "\"late\"\n");
}

#[tokio::test]
async fn a_client_that_never_spoke_gets_headers() {
    let client = connect(Limits::default());
    client.outbox.push("1");
    assert_eq!(client.finish().await.0, "Content-Length: 1\r\n\r\n1");
}

#[tokio::test(start_paused = true)]
async fn draining_gives_up_at_its_deadline() {
    let mut client = connect(Limits::default());
    client.send(notification("a") + "\n").await;
    client.outbox.push("1".repeat(1 << 20));
    let begin = tokio::time::Instant::now();
    client.wire.drain(Duration::from_millis(500)).await;
    assert_eq!(begin.elapsed().as_millis(), 500);
}

#[tokio::test]
async fn a_closed_stdout_ends_and_the_first_reason_stays() {
    let mut client = connect(Limits::default());
    client.from = duplex(1).0;
    client.send(request(1) + "\n").await;
    assert_eq!(within(client.wire.ended()).await.reason, EndReason::WriteFailed);
    client.ending.end(EndReason::Eof);
    assert_eq!(within(client.wire.ended()).await.reason, EndReason::WriteFailed);
}

#[tokio::test]
async fn what_was_said_before_stdout_was_closed_is_heard_first() {
    // All of it at once, as from an editor that says goodbye and is gone.
    let mut client = connect(Limits::default());
    client.send(notification("a") + "\n" + &notification("exit") + "\n").await;
    let ending = client.ending.clone();
    tokio::join!(ending.end_behind_last_words(EndReason::WriteFailed), async {
        assert_eq!(within(client.wire.ended()).await.reason, EndReason::ExitWithoutShutdown);
    });
    assert_eq!(client.seen(), ["a"]);

    // Said everything, and then it is gone altogether.
    let mut client = connect(Limits::default());
    client.send(notification("a") + "\n").await;
    drop(client.to);
    let ending = client.ending.clone();
    within(ending.end_behind_last_words(EndReason::WriteFailed)).await;
    assert_eq!(within(client.wire.ended()).await.reason, EndReason::Eof);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_on_to_talk_behind_its_closed_stdout_is_not_heard_for_ever() {
    let Client { mut to, wire, ending, .. } = connect(Limits::default());
    let begin = tokio::time::Instant::now();
    let talks = async move {
        let junk = (notification("$/junk") + "\n").repeat(1_000);
        while to.write_all(junk.as_bytes()).await.is_ok() {}
    };
    let (reason, ()) = within(async {
        tokio::join!(async { wire.ended().await.reason }, async {
            tokio::select! {
                () = talks => {}
                () = ending.end_behind_last_words(EndReason::WriteFailed) => {}
            }
        })
    })
    .await;
    assert_eq!((reason, begin.elapsed()), (EndReason::WriteFailed, Duration::ZERO));
}

#[tokio::test]
async fn another_reason_stops_the_reader() {
    let mut client = connect(Limits::default());
    client.send(notification("a") + "\n").await;
    client.ending.end(EndReason::ProcessDied { pid: 7 });
    assert_eq!(within(client.wire.ended()).await.reason, EndReason::ProcessDied { pid: 7 });
    within(client.to.write_all(&vec![b'\n'; 1 << 20])).await.expect_err("nobody reads any more");
}

#[tokio::test]
async fn a_panic_of_the_receiver_ends_instead_of_hanging() {
    let mut client = connect(Limits::default());
    client.send(notification("panic") + "\n").await;
    assert!(matches!(within(client.wire.ended()).await.reason, EndReason::Panicked { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_is_heard_and_memory_stays_bounded() {
    let limits = Limits { outbox: 1 << 20, ..Limits::default() };
    let mut client = connect(limits);
    client.send(notification("a") + "\n").await;
    let outbox = client.outbox.clone();
    let complaint = error("null", -32600, "batches are not supported; send each message by itself").len();
    let producer = tokio::spawn({
        let outbox = outbox.clone();
        async move {
            for n in 0..20_000 {
                outbox.room().await;
                outbox.push_update(format!("\"{n:010000}\""));
                // What was let in last: this update, and beside it a complaint, which the reader lets in by the same rule.
                assert!(outbox.waiting() < (1 << 20) + 10_002 + complaint, "{}", outbox.waiting());
            }
        }
    });
    while !outbox.is_full() {
        tokio::task::yield_now().await;
    }
    // Garbage gets no complaint that would fill the memory; cancels and requests go on as ever.
    client.send("[]\n".repeat(100_000)).await;
    client.send(notification("cancel") + "\n" + &request(7) + "\n").await;
    while client.seen.recv_timeout(Duration::from_secs(10)).expect("heard") != "m7" {}
    assert!(outbox.waiting() < (1 << 20) + 20_000 && !producer.is_finished());

    // Then it reads: every update, in order, and the answer in its place.
    let mut lines = BufReader::new(&mut client.from).lines();
    let (mut next, mut answered) = (0, false);
    while next < 20_000 || !answered {
        let line = within(lines.next_line()).await.expect("read").expect("a line");
        match line.trim_matches('"').parse::<u32>() {
            Ok(n) => {
                assert_eq!(n, next);
                next += 1;
            }
            Err(_) => answered |= line == answer(7),
        }
    }
    producer.await.expect("producer");
}

#[tokio::test]
async fn junk_at_full_speed_gives_way_to_every_other_task() {
    let mut client = connect(Limits::default());
    let junk = (notification("$/junk") + "\n").repeat(20_000);
    let others = async {
        let (mut seen, mut longest) = (0, 0);
        while seen < 20_000 {
            let new = client.seen.try_iter().count();
            (seen, longest) = (seen + new, longest.max(new));
            tokio::task::yield_now().await;
        }
        longest
    };
    let sending = client.to.write_all(junk.as_bytes());
    let (longest, sent) = within(async { tokio::join!(others, sending) }).await;
    sent.expect("the server reads");
    assert!(longest <= 256, "{longest} messages were taken in without a break");
}
