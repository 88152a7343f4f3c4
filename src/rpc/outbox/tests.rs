//! Order, bounds, both framings, and every way in which writing can end.

use super::*;
use futures_util::FutureExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, duplex};
use tokio::task::JoinHandle;

impl From<&str> for Outbound {
    fn from(body: &str) -> Self {
        Self::update(body.into())
    }
}

impl From<String> for Outbound {
    fn from(body: String) -> Self {
        Self::update(body.into())
    }
}

impl From<&String> for Outbound {
    fn from(body: &String) -> Self {
        body.as_str().into()
    }
}

/// Counts what it hears: messages taken and written, with their bytes.
#[derive(Debug, Default)]
struct Heard(Mutex<[(u64, usize); 2]>);

impl Heard {
    fn so_far(&self) -> [(u64, usize); 2] {
        *self.0.lock().expect("what was heard")
    }

    fn hear(&self, what: usize, bytes: usize) {
        let (messages, all) = &mut self.0.lock().expect("what was heard")[what];
        (*messages, *all) = (*messages + 1, *all + bytes);
    }
}

impl Receipt for Heard {
    fn taken(&self, bytes: usize) {
        self.hear(0, bytes);
    }

    fn written(&self, bytes: usize, _at: Instant) {
        self.hear(1, bytes);
    }
}

fn heard_by(heard: &Arc<Heard>, body: &str) -> Outbound {
    Outbound::from(body).with(Some(Arc::clone(heard) as _))
}

fn framed(framing: Framing) -> Outbox {
    let outbox = Outbox::new(100);
    outbox.decide(framing);
    outbox
}

fn writer(outbox: &Outbox, out: impl AsyncWrite + Send + Unpin + 'static) -> JoinHandle<io::Result<()>> {
    let outbox = outbox.clone();
    tokio::spawn(async move { outbox.write_to(out).await })
}

/// Everything that is written, once the outbox is closed.
async fn written(outbox: &Outbox) -> String {
    let (ours, mut theirs) = duplex(1 << 20);
    outbox.close();
    outbox.write_to(ours).await.expect("there is room for everything");
    let mut out = String::new();
    theirs.read_to_string(&mut out).await.expect("text");
    out
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

/// Whether a future is ready when it is looked at for the first time.
async fn is_ready(what: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = what => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn bodies_are_framed_in_the_order_in_which_they_were_pushed() {
    for (framing, expected) in [
        (Framing::Headers, "Content-Length: 1\r\n\r\n1Content-Length: 2\r\n\r\n{}Content-Length: 4\r\n\r\n\"é\""),
        (Framing::Lines, "1\n{}\n\"é\"\n"),
    ] {
        let outbox = framed(framing);
        outbox.push_update("1");
        outbox.push("{}");
        outbox.push_update("\"é\"");
        assert_eq!(written(&outbox).await, expected);
    }
}

#[tokio::test]
async fn a_line_never_holds_what_ends_a_line() {
    let outbox = framed(Framing::Lines);
    outbox.push("{\n  \"a\": 1,\r\n  \"b\": \"x\u{2028}y\u{2029}z\u{2027}\"\n}");
    outbox.push("{\"a\":\"\u{2019}\"}");
    assert_eq!(written(&outbox).await, "{   \"a\": 1,    \"b\": \"x\\u2028y\\u2029z\u{2027}\" }\n{\"a\":\"\u{2019}\"}\n");
}

#[tokio::test]
async fn large_bodies_keep_their_place() {
    for size in [BATCH - 1, BATCH, BATCH + 1, 5 * BATCH] {
        let outbox = framed(Framing::Lines);
        let large = "7".repeat(size);
        for body in ["1", &large, "2", &large, "3"] {
            outbox.push(body);
        }
        assert!(written(&outbox).await == format!("1\n{large}\n2\n{large}\n3\n"));
    }
}

#[tokio::test]
async fn nothing_is_written_before_the_framing_is_known() {
    let outbox = Outbox::new(100);
    let (ours, mut theirs) = duplex(1000);
    let writer = writer(&outbox, ours);
    outbox.push("1");
    tokio::task::yield_now().await;
    outbox.decide(Framing::Lines);
    outbox.decide(Framing::Headers);
    within(outbox.flushed()).await;
    outbox.close();
    within(writer).await.expect("task").expect("written");
    let mut out = String::new();
    within(theirs.read_to_string(&mut out)).await.expect("text");
    assert_eq!(out, "1\n");
}

#[tokio::test]
async fn a_message_that_comes_alone_is_written_on_the_spot() {
    let outbox = framed(Framing::Lines);
    let (ours, mut theirs) = duplex(1000);
    let writer = writer(&outbox, ours);
    tokio::task::yield_now().await;
    let mut read = [0; 2];
    outbox.push_update("1");
    assert!(theirs.read_exact(&mut read).now_or_never().is_some(), "nobody else has run since");
    assert_eq!((&read, outbox.waiting()), (b"1\n", 0));
    drop(theirs);
    tokio::time::sleep(APART).await;
    outbox.push("2");
    let error = within(writer).await.expect("task").expect_err("nobody reads");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn what_cannot_be_written_on_the_spot_keeps_its_place() {
    for framing in [Framing::Lines, Framing::Headers] {
        let outbox = framed(framing);
        let (ours, mut theirs) = duplex(3);
        let writer = writer(&outbox, ours);
        tokio::task::yield_now().await;
        for body in ["first", "second", "third"] {
            outbox.push(body);
        }
        outbox.close();
        let mut out = String::new();
        within(theirs.read_to_string(&mut out)).await.expect("text");
        within(writer).await.expect("task").expect("written");
        let expected = match framing {
            Framing::Lines => "first\nsecond\nthird\n",
            Framing::Headers => "Content-Length: 5\r\n\r\nfirstContent-Length: 6\r\n\r\nsecondContent-Length: 5\r\n\r\nthird",
        };
        assert_eq!(out, expected);
    }
}

#[tokio::test]
async fn updates_have_room_below_the_limit_and_answers_always() {
    let outbox = framed(Framing::Lines);
    outbox.push("x".repeat(1000));
    outbox.push_update("x".repeat(99));
    assert!(!outbox.is_full() && is_ready(outbox.room()).await, "limit - 1");
    outbox.push_update("x");
    assert!(outbox.is_full() && !is_ready(outbox.room()).await, "limit");
    outbox.push_update("x");
    assert!(outbox.is_full(), "limit + 1");
    outbox.push("answer");
    assert!(written(&outbox).await.ends_with("\nx\nx\nanswer\n"));
    assert!(!outbox.is_full() && is_ready(outbox.room()).await);
}

#[tokio::test]
async fn room_comes_with_the_bytes_that_are_read() {
    let outbox = framed(Framing::Lines);
    let (ours, mut theirs) = duplex(16);
    let _writer = writer(&outbox, ours);
    outbox.push_update("x".repeat(150));
    let mut room = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.room().await }
    });
    let mut read = [0; 75];
    theirs.read_exact(&mut read).await.expect("half");
    assert!(!is_ready(async { (&mut room).await.expect("task") }).await, "what is being written counts until it is written");
    theirs.read_exact(&mut read).await.expect("the other half");
    within(room).await.expect("task");
}

#[tokio::test]
async fn flushed_covers_what_was_pushed_before_it() {
    let outbox = framed(Framing::Lines);
    assert!(is_ready(outbox.flushed()).await, "nothing to wait for");
    let (ours, mut theirs) = duplex(1);
    let _writer = writer(&outbox, ours);
    outbox.push("12");
    let flushed = outbox.flushed();
    tokio::pin!(flushed);
    assert!(!is_ready(flushed.as_mut()).await);
    outbox.push("34");
    assert_eq!(theirs.read_u8().await.expect("1"), b'1');
    assert!(!is_ready(flushed.as_mut()).await);
    let mut rest = [0; 5];
    theirs.read_exact(&mut rest).await.expect("the rest");
    within(flushed).await;
    assert_eq!(&rest, b"2\n34\n");
}

#[tokio::test]
async fn a_failed_write_drops_everything_and_keeps_nobody_waiting() {
    let outbox = framed(Framing::Headers);
    outbox.push_update("x".repeat(200));
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { tokio::join!(outbox.caught_up(), outbox.flushed()) }
    });
    tokio::task::yield_now().await;
    let (ours, theirs) = duplex(16);
    drop(theirs);
    let error = within(writer(&outbox, ours)).await.expect("task").expect_err("nobody reads");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    within(waiting).await.expect("task");
    outbox.push("late");
    outbox.push_update("x".repeat(200));
    assert!(outbox.is_full() && !is_ready(outbox.room()).await, "nobody goes on to produce for a door that is broken");
    within(outbox.flushed()).await;
    assert_eq!(outbox.0.state().queue.len(), 0);
}

#[tokio::test]
async fn a_writer_that_is_given_up_keeps_nobody_waiting_either() {
    let outbox = framed(Framing::Lines);
    let (ours, _theirs) = duplex(1);
    let writer = writer(&outbox, ours);
    outbox.push_update("x".repeat(200));
    tokio::task::yield_now().await;
    writer.abort();
    within(outbox.flushed()).await;
    within(outbox.caught_up()).await;
}

#[tokio::test]
async fn a_message_counts_when_its_last_byte_is_written() {
    for framing in [Framing::Lines, Framing::Headers] {
        let (outbox, heard) = (framed(framing), Arc::new(Heard::default()));
        let frame = if framing == Framing::Lines { "\n".len() } else { "Content-Length: 3\r\n\r\n".len() };
        let (ours, mut theirs) = duplex(frame + 3 + frame + 1);
        let writer = writer(&outbox, ours);
        outbox.push_update(heard_by(&heard, "one"));
        outbox.push_update(heard_by(&heard, "two"));
        outbox.push(Outbound::answer(RequestId::from_text("p"), b"end".to_vec()));
        assert!(outbox.unread_since().is_none(), "nobody has tried to write yet");
        let before = Instant::now();
        within(outbox.caught_up()).await;
        assert_eq!(heard.so_far(), [(2, 6), (1, 3)]);
        assert!(outbox.unread_since().is_some_and(|since| since >= before), "the client must read before more can be written");
        assert_eq!(outbox.last_written().map(|(label, _)| label), Some(Label { method: "session/update".into(), id: None }));

        let mut all = vec![0; 3 * (frame + 3)];
        theirs.read_exact(&mut all).await.expect("all of it");
        within(outbox.flushed()).await;
        assert_eq!((heard.so_far(), outbox.unread_since()), ([(2, 6), (2, 6)], None));
        assert_eq!(outbox.last_written().map(|(label, _)| label), Some(Label::response(RequestId::from_text("p"))));

        // What goes into a broken door counts for nothing.
        drop(theirs);
        outbox.push_update(heard_by(&heard, "six"));
        within(writer).await.expect("task").expect_err("nobody reads");
        outbox.push_update(heard_by(&heard, "ten"));
        assert_eq!(heard.so_far(), [(3, 9), (2, 6)]);
    }
}

#[tokio::test]
async fn an_outbox_that_is_given_up_drops_what_waits_and_ends_its_writer() {
    let (outbox, heard) = (framed(Framing::Lines), Arc::new(Heard::default()));
    let (ours, mut theirs) = duplex(4);
    let writer = writer(&outbox, ours);
    for body in ["one", "two", "six"] {
        outbox.push_update(heard_by(&heard, body));
    }
    within(outbox.caught_up()).await;
    outbox.give_up();
    outbox.push_update(heard_by(&heard, "ten"));
    assert_eq!((heard.so_far(), outbox.waiting()), ([(3, 9), (1, 3)], 0));
    // What was being written may still be.
    within(theirs.read_exact(&mut [0; 12])).await.expect("all that was begun");
    within(writer).await.expect("task").expect("nothing failed");
    assert!(!is_ready(outbox.room()).await);
}

#[tokio::test]
async fn a_closed_outbox_takes_nothing_more() {
    let outbox = framed(Framing::Lines);
    outbox.push("1");
    outbox.close();
    outbox.push("2");
    assert_eq!(written(&outbox).await, "1\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pushers_each_keep_their_order() {
    let outbox = Outbox::new(1 << 20);
    outbox.decide(Framing::Lines);
    let (ours, mut theirs) = duplex(4096);
    let writer = writer(&outbox, ours);
    let pushers = (0..4u32).map(|pusher| {
        let outbox = outbox.clone();
        tokio::spawn(async move {
            for n in 0..5000 {
                outbox.room().await;
                outbox.push_update(format!("{pusher} {n}"));
            }
        })
    });
    let closing = tokio::spawn({
        let (outbox, pushers) = (outbox.clone(), pushers.collect::<Vec<_>>());
        async move {
            for pusher in pushers {
                pusher.await.expect("pusher");
            }
            outbox.close();
        }
    });
    let mut out = String::new();
    within(theirs.read_to_string(&mut out)).await.expect("text");
    let mut next = [0; 4];
    for line in out.lines() {
        let (pusher, n) = line.split_once(' ').expect("two numbers");
        let expected = &mut next[pusher.parse::<usize>().expect("pusher")];
        assert_eq!(n.parse::<u32>().expect("n"), *expected);
        *expected += 1;
    }
    assert_eq!(next, [5000; 4]);
    closing.await.expect("task");
    writer.await.expect("task").expect("written");
}
