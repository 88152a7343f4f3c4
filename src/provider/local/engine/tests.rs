//! The model's thread with the real default model: what it does when its listener leaves.

use super::*;
use crate::protocol::ids::MessageId;
use crate::protocol::message::{Part, Role};
use crate::provider::local::default_model;

fn job(text: &str) -> (Job, mpsc::Receiver<Result<ModelEvent, StreamFailure>>) {
    let parts = vec![Part::text(text)];
    let message = Message { message_id: MessageId::new("msg_1"), role: Role::User, created_at: 0, parts, turn_id: None, model: None };
    let (listener, events) = mpsc::channel(EVENTS);
    (Job { conversation: conversation(&[message]), listener }, events)
}

fn loaded() -> LlamaModel {
    let (job, _events) = job("");
    load(&default_model().expect("home"), &job.listener).ok().expect("the default model; scripts/model.sh fetches it")
}

#[test]
fn a_listener_that_leaves_stops_the_writing() {
    let model = loaded();
    let mut reader = Reader::new(&model, 512).expect("reader");
    let story = "Write a long story about the keeper of a lighthouse.";

    let (whole, mut events) = job(story);
    let listener = std::thread::spawn(move || while events.blocking_recv().is_some() {});
    assert!(reader.answer(&whole).is_ok());
    drop(whole);
    listener.join().expect("listener");
    let all = reader.held.len();

    let (left, mut events) = job(story);
    let listener = std::thread::spawn(move || {
        for _ in 0..20 {
            events.blocking_recv().expect("an event").expect("no failure");
        }
    });
    assert!(matches!(reader.answer(&left), Err(Halt::Unheard)));
    listener.join().expect("listener");
    assert!(reader.held.len() + EVENTS < all, "{} tokens after twenty events, {all} in all", reader.held.len());
}

#[test]
fn a_listener_that_leaves_stops_the_reading() {
    let model = loaded();
    let mut reader = Reader::new(&model, 512).expect("reader");
    let (job, events) = job(&"word ".repeat(300));
    let prompt = reader.prompt(&job.conversation).expect("prompt");
    assert!(prompt.len() > 2 * BATCH);
    drop(events);
    assert!(matches!(reader.read(&prompt, &job), Err(Halt::Unheard)));
    assert_eq!(reader.held.len(), 0);
}

#[test]
fn a_listener_that_leaves_stops_the_loading() {
    let (job, events) = job("");
    drop(events);
    assert!(matches!(load(&default_model().expect("home"), &job.listener), Err(Halt::Unheard)));
}
