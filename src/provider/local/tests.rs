//! The `local` provider with the real default model; `scripts/model.sh` fetches it once.

use super::engine::Engine;
use super::*;
use crate::protocol::diagnostics::Usage;
use crate::protocol::ids::{AttemptId, MessageId};
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::model::{FinishReason, Purpose};
use futures_util::{Stream, StreamExt};

/// A whole answer.
#[derive(Debug)]
struct Answer {
    pieces: usize,
    text: String,
    usage: Usage,
    reason: FinishReason,
    raw: String,
}

fn model() -> Local {
    Local::open(None).expect("the default model")
}

fn says(role: Role, text: &str) -> Message {
    let parts = vec![Part::text(text)];
    Message { message_id: MessageId::new("msg_1"), role, created_at: 0, parts, turn_id: None, model: None }
}

fn request(messages: Vec<Message>) -> ModelRequest {
    let system = "This prompt is for models that know tools.".into();
    let messages = messages.into_iter().map(Arc::new).collect();
    ModelRequest { attempt_id: AttemptId::new("att_1"), purpose: Purpose::Turn, system, messages, tools: Arc::default() }
}

async fn whole(mut stream: impl Stream<Item = Result<ModelEvent, StreamFailure>> + Unpin) -> Result<Answer, StreamFailure> {
    assert_eq!(stream.next().await, Some(Ok(ModelEvent::RequestSent)));
    let mut answer = Answer { pieces: 0, text: String::new(), usage: Usage::absent(), reason: FinishReason::Refusal, raw: String::new() };
    while let Some(event) = stream.next().await {
        match event? {
            ModelEvent::Text(text) => {
                answer.pieces += 1;
                answer.text.push_str(&text);
            }
            ModelEvent::Usage(usage) => answer.usage = usage,
            ModelEvent::Finish { reason, raw } => {
                (answer.reason, answer.raw) = (reason, raw);
                assert_eq!(stream.next().await, None, "nothing follows the finish");
                return Ok(answer);
            }
            other => panic!("not from this model: {other:?}"),
        }
    }
    panic!("the stream ended without saying why")
}

#[tokio::test]
async fn it_answers_in_real_tokens_counts_them_and_remembers_what_it_read() {
    let question = says(Role::User, "What is the capital of France?");
    // A file of its own is an engine of its own, so that no other test's conversation is in the context.
    let home = tempfile::tempdir().expect("directory");
    let copy = home.path().join("copy.gguf");
    std::fs::copy(default_model().expect("home"), &copy).expect("copy");
    let model = Local::open(Some(copy)).expect("model");
    let first = whole(model.stream(request(vec![question.clone()]))).await.expect("answer");
    assert!(first.text.contains("Paris"), "{first:?}");
    assert_eq!((first.reason, first.raw.as_str()), (FinishReason::EndTurn, "end_of_generation"));
    assert_eq!(first.usage.output_tokens, Some(first.pieces as u64), "{first:?}");

    let history = vec![question, says(Role::Assistant, &first.text), says(Role::User, "And of Spain?")];
    let second = whole(model.stream(request(history))).await.expect("answer");
    assert!(second.usage.cached_input_tokens >= first.usage.input_tokens.map(|tokens| tokens - 1), "{second:?}");
    assert!(second.usage.input_tokens > second.usage.cached_input_tokens, "{second:?}");
}

#[tokio::test]
async fn a_window_that_fills_up_ends_the_answer_and_a_prompt_that_does_not_fit_is_refused() {
    let model = Engine::start(default_model().expect("home"), 256).expect("engine");
    let story = says(Role::User, "Write a long story about the keeper of a lighthouse.");
    let answer = whole(model.answer(&[Arc::new(story)])).await.expect("answer");
    assert_eq!((answer.reason, answer.raw.as_str()), (FinishReason::MaxTokens, "context_window"), "{answer:?}");
    // The last token needs no place: nothing is drawn after it.
    assert_eq!(answer.usage.input_tokens.zip(answer.usage.output_tokens).map(|(read, wrote)| read + wrote), Some(257));

    for length in [300, 100_000] {
        let refused = whole(model.answer(&[Arc::new(says(Role::User, &"word ".repeat(length)))])).await.expect_err("too long");
        assert_eq!(refused.kind, "context_window");
        assert!(refused.message.contains("window holds 256") && refused.message.contains("new session"), "{}", refused.message);
    }
}

#[test]
fn one_file_is_one_model_under_its_own_name() {
    let by_path = Local::open(Some(default_model().expect("home"))).expect("model");
    assert!(Arc::ptr_eq(&by_path.engine, &model().engine));
    assert_eq!((by_path.name(), by_path.model()), ("local", "SmolLM2-135M-Instruct.Q4_1.gguf"));
}

#[test]
fn a_file_that_is_no_model_is_refused_with_the_way_to_name_one() {
    let home = tempfile::tempdir().expect("directory");
    let text = home.path().join("notes.txt");
    std::fs::write(&text, "not a model").expect("file");
    let empty = home.path().join("empty.gguf");
    std::fs::write(&empty, "").expect("file");
    for path in [text, empty, home.path().join("absent.gguf"), home.path().to_owned()] {
        let error = Local::open(Some(path.clone())).err().expect("refused").to_string();
        assert!(error.contains("local:FILE.gguf") && error.contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_model_fails_each_request_with_a_sentence() {
    let home = tempfile::tempdir().expect("directory");
    let path = home.path().join("damaged.gguf");
    std::fs::write(&path, b"GGUF\x03\0\0\0").expect("file");
    let model = Local::open(Some(path)).expect("it begins like one");
    for _ in 0..2 {
        let mut answer = model.stream(request(vec![says(Role::User, "hello")]));
        let failure = answer.next().await.expect("an event").expect_err("a failure");
        assert_eq!(failure.kind, "model_load");
        assert!(failure.message.contains("damaged.gguf"), "{}", failure.message);
        assert!(answer.next().await.is_none());
    }
}
