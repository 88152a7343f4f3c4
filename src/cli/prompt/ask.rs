//! Permission questions: answered by `--allow`, by `--deny`, or by the person at the terminal. Nobody there is a no.

use crate::rpc::client::{Answerer, Unanswered};
use crate::text::plain;
use crate::tool::hunks::changes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// Who answers permission questions.
pub(super) enum Policy {
    Allow,
    Deny,
    Ask(Person),
}

/// The person at the terminal, who is asked one question at a time.
#[derive(Clone)]
pub(super) struct Person {
    lines: Arc<Mutex<mpsc::UnboundedReceiver<String>>>,
    say: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The part of a `session/request_permission` that is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    tool_call: Call,
}

#[derive(Deserialize)]
struct Call {
    title: String,
    #[serde(default)]
    content: Vec<Piece>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Piece {
    Diff {
        path: String,
        #[serde(default)]
        old_text: Option<String>,
        new_text: String,
    },
    Content {
        content: Block,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    #[serde(other)]
    Other,
}

impl Person {
    /// Starts to read lines from stdin. The thread ends with the process: a read of a terminal cannot be called off.
    pub(super) fn at_the_terminal() -> io::Result<Self> {
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("pillion-answers".into()).spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        })?;
        // A terminal that is gone gives no answer either.
        let say = |text: &str| drop(io::stderr().write_all(text.as_bytes()));
        Ok(Self { lines: Arc::new(Mutex::new(lines)), say: Arc::new(say) })
    }

    async fn allows(self, question: Question) -> bool {
        let mut lines = self.lines.lock().await;
        // What was typed before the question does not answer it.
        while lines.try_recv().is_ok() {}
        (self.say)(&question.text());
        lines.recv().await.is_some_and(|line| matches!(line.trim(), "y" | "Y" | "yes"))
    }
}

impl Answerer for Policy {
    fn answer(&self, method: String, params: Box<RawValue>) -> BoxFuture<'static, Result<Value, Unanswered>> {
        if method != "session/request_permission" {
            let message = format!("{method} is not something that a command line can do");
            return std::future::ready(Err(Unanswered { code: -32601, message })).boxed();
        }
        match self {
            Self::Allow => std::future::ready(Ok(chosen("allow_once"))).boxed(),
            Self::Deny => std::future::ready(Ok(chosen("reject_once"))).boxed(),
            Self::Ask(person) => {
                let person = person.clone();
                let question = serde_json::from_str::<Question>(params.get());
                async move {
                    // A question that cannot be shown cannot be agreed to.
                    let Ok(question) = question else { return Ok(chosen("reject_once")) };
                    Ok(chosen(if person.allows(question).await { "allow_once" } else { "reject_once" }))
                }
                .boxed()
            }
        }
    }
}

impl Question {
    fn text(&self) -> String {
        let mut text = format!("\nThe model asks to run a tool: {}\n", plain(&self.tool_call.title));
        for content in &self.tool_call.content {
            match content {
                Piece::Diff { path, old_text, new_text } => {
                    text.push_str(&format!("  {}\n", plain(path)));
                    text.extend(changes(old_text.as_deref().unwrap_or_default(), new_text).iter().map(|line| format!("  {line}\n")));
                }
                // What would run: nothing of it is left out.
                Piece::Content { content: Block::Text { text: told } } => {
                    text.extend(told.split('\n').map(|line| format!("  {}\n", plain(line))));
                }
                Piece::Content { content: Block::Other } | Piece::Other => {}
            }
        }
        text + "Allow it this once? [y/N] "
    }
}

fn chosen(option: &str) -> Value {
    json!({ "outcome": { "outcome": "selected", "optionId": option } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::to_raw_value;

    fn question() -> Value {
        json!({
            "sessionId": "s",
            "toolCall": {
                "toolCallId": "1", "title": "Write a\u{1b}.rs", "kind": "edit", "status": "pending", "rawInput": {},
                "content": [{ "type": "diff", "path": "/w/a.rs", "oldText": "one\ntwo\nthree", "newText": "one\n2\nand\nthree" }],
            },
            "options": [],
        })
    }

    async fn answer(policy: &Policy, params: &Value) -> Value {
        policy.answer("session/request_permission".into(), to_raw_value(params).expect("json")).await.expect("an answer")
    }

    fn asking(lines: mpsc::UnboundedReceiver<String>) -> Policy {
        Policy::Ask(Person { lines: Arc::new(Mutex::new(lines)), say: Arc::new(|text| assert!(text.ends_with("[y/N] "))) })
    }

    #[tokio::test]
    async fn a_flag_answers_every_question() {
        assert_eq!(answer(&Policy::Allow, &question()).await, chosen("allow_once"));
        assert_eq!(answer(&Policy::Deny, &question()).await, chosen("reject_once"));
        let other = Policy::Allow.answer("fs/read_text_file".into(), RawValue::NULL.to_owned()).await;
        assert_eq!(other.expect_err("not offered").code, -32601);
    }

    #[tokio::test]
    async fn a_person_answers_after_the_question_and_only_yes_is_a_yes() {
        for (typed, chose) in
            [("y", "allow_once"), (" yes ", "allow_once"), ("", "reject_once"), ("n", "reject_once"), ("sure", "reject_once")]
        {
            let (sender, lines) = mpsc::unbounded_channel();
            sender.send("y".to_owned()).expect("typed too early");
            let policy = asking(lines);
            let question = question();
            let mut asked = std::pin::pin!(answer(&policy, &question));
            assert!(asked.as_mut().now_or_never().is_none(), "what was typed before does not count");
            sender.send(typed.to_owned()).expect("typed");
            assert_eq!(asked.await, chosen(chose), "{typed}");
        }
        let (_, lines) = mpsc::unbounded_channel();
        let gone = asking(lines);
        assert_eq!(answer(&gone, &question()).await, chosen("reject_once"), "a terminal that is gone");
        assert_eq!(answer(&gone, &json!({})).await, chosen("reject_once"), "a question that cannot be shown");
    }

    #[test]
    fn the_question_shows_what_would_change() {
        let question: Question = serde_json::from_value(question()).expect("a question");
        assert_eq!(
            question.text(),
            "\nThe model asks to run a tool: Write a\\u{1b}.rs\n  /w/a.rs\n  @ line 2\n  - two\n  + 2\n  + and\nAllow it this once? [y/N] "
        );
        let command = json!({ "toolCall": { "title": "Run a", "content": [
            { "type": "content", "content": { "type": "text", "text": "A script for /bin/sh:\n  a\u{1b}\n  b" } },
            { "type": "content", "content": { "type": "image" } },
        ] } });
        let command: Question = serde_json::from_value(command).expect("a question");
        let shown = "\nThe model asks to run a tool: Run a\n  A script for /bin/sh:\n    a\\u{1b}\n    b\nAllow it this once? [y/N] ";
        assert_eq!(command.text(), shown);
    }
}
