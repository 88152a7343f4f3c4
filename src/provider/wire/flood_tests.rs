//! What an attempt leaves to others while it reads: on a runtime of one thread, whatever it does by itself holds up everything.

use super::super::testing::{provider, request};
use super::super::{KeyHeader, Unread};
use super::*;
use crate::provider::Provider;
use crate::provider::model_server::ModelServer;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::Poll;

/// A protocol whose events say nothing; what is done with one is up to the test.
#[derive(Debug, Default)]
struct Tested<R>(R);

trait Reads: Default + Send + 'static {
    fn read(&mut self, data: &str);
}

impl<R: Reads> Protocol for Tested<R> {
    const PATH: &'static str = "/tested";
    const KEY: KeyHeader = KeyHeader::Bearer;
    const HEADERS: &'static [(&'static str, &'static str)] = &[];
    const REQUEST_ID: &'static str = "x-request-id";
    const UNFINISHED: &'static [&'static str] = &[];
    const LAST: &'static str = "[DONE]";
    const REFUSABLE: &'static [Refusal] = &[];

    fn body(_: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
        Ok(b"{}".to_vec())
    }

    fn read(&mut self, _: &str, data: &str, _: &mut Answer) -> Result<Reading, Unread> {
        self.0.read(data);
        Ok(Reading::GoesOn)
    }
}

/// A gate that an event waits at.
struct Gate {
    reached: AtomicBool,
    is_open: Mutex<bool>,
    opened: Condvar,
}

static GATE: Gate = Gate { reached: AtomicBool::new(false), is_open: Mutex::new(false), opened: Condvar::new() };

#[derive(Debug, Default)]
struct Waits;

impl Reads for Waits {
    fn read(&mut self, _: &str) {
        GATE.reached.store(true, Ordering::SeqCst);
        let is_open = GATE.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        // If the thread that opens the gate is this one, it never opens.
        let limit = Duration::from_secs(60);
        let waited = GATE.opened.wait_timeout_while(is_open, limit, |is_open| !*is_open).unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.1.timed_out(), "the event is read where everything else has to happen");
    }
}

#[tokio::test]
async fn a_large_event_is_let_go_of_before_it_is_read() {
    let mut server = ModelServer::start().await;
    let mut events = provider::<Tested<Waits>>(server.base_url()).stream(request(Vec::new()));
    let reading = tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut exchange = server.next_request().await;
    exchange.raw(format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(LARGE_EVENT)).as_bytes()).await;
    while !GATE.reached.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    reading.abort();
    assert!(reading.await.unwrap_err().is_cancelled());
    exchange.closed_by_client().await;
    *GATE.is_open.lock().unwrap() = true;
    GATE.opened.notify_all();
}

/// Lets every task that is ready have its turn.
async fn others() {
    let mut is_woken = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_woken, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

static READ: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Default)]
struct Counts;

impl Reads for Counts {
    fn read(&mut self, data: &str) {
        READ.fetch_add(data.len(), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn others_have_their_turn_between_events_however_many_lie_ready() {
    const EVENTS: usize = 2_000;
    let mut server = ModelServer::start().await;
    let mut events = provider::<Tested<Counts>>(server.base_url()).stream(request(Vec::new()));
    let reading = tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut exchange = server.next_request().await;
    let event = format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(16 << 10));
    let sending = tokio::spawn(async move {
        for _ in 0..EVENTS {
            exchange.raw(event.as_bytes()).await;
        }
        exchange.end_body().await;
    });
    // A task that is woken like any other, at the end of the queue: between two turns of it, the reading has had one.
    let other = tokio::spawn(async move {
        let (mut before, mut most) = (0, 0);
        while !reading.is_finished() {
            others().await;
            let read = READ.load(Ordering::SeqCst);
            most = most.max(read - before);
            before = read;
        }
        most
    });
    let most = other.await.unwrap();
    sending.await.unwrap();
    assert!(READ.load(Ordering::SeqCst) > EVENTS * (16 << 10), "all of it was read");
    assert!(most <= IN_A_ROW + (17 << 10), "{most} bytes were read in a row");
}
