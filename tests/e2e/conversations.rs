//! Long conversations with models that think: what each vendor gave with a step goes back with it, and to nobody else. A request
//! that breaks the vendor's rule is refused, as the vendor does it.

mod vendors;

use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured, export, full_export};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::{Value, json};
use vendors::{Given, MARK, VENDORS, Vendor};

/// A vendor's server, and all that it has given.
struct Served {
    vendor: Vendor,
    server: ModelServer,
    given: Vec<Given>,
}

impl Served {
    /// Answers the next request by the rule. What breaks it is refused, and told.
    async fn step(&mut self, words: &str, reads: &[&'static str], turn_calls: bool) {
        let mut exchange = self.server.next_request().await;
        if let Err(broken) = self.vendor.check(&exchange.body, &self.given) {
            exchange.error(400, &[], &json!({ "error": { "message": broken, "type": "invalid_request_error" } }).to_string()).await;
            panic!("{:?}, step {}: {broken}", self.vendor, self.given.len());
        }
        let (n, words) = (self.given.len(), words.to_owned());
        let given = Given { n, turn_calls, words, reads: reads.to_vec(), is_cut: false };
        for event in self.vendor.stream(&given) {
            exchange.raw(event.as_bytes()).await;
        }
        exchange.end_body().await;
        self.given.push(given);
    }

    /// A turn of so many steps; all but the last read two files at once.
    async fn turn(&mut self, steps: usize) {
        for n in 1..steps {
            self.step(if n % 2 == 0 { "I look." } else { "" }, &["a.txt", "b.txt"], true).await;
        }
        self.step("Done.", &[], steps > 1).await;
    }
}

async fn opened(vendor: Vendor, home: &Home, server: &ModelServer) -> Editor {
    let url = server.base_url();
    let args: Vec<&str> = ["--model", vendor.model(), "--base-url", &url].into_iter().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(configured(home, ONE_ATTEMPT), Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    editor
}

async fn asked(editor: &mut Editor, session: &str, served: &mut Served, steps: usize) {
    let prompt = editor.prompt(session, "go on").await;
    served.turn(steps).await;
    let answer = editor.result(&prompt).await;
    assert_eq!(answer["stopReason"], "end_turn", "{:?}", served.vendor);
    editor.ignore_updates();
}

/// Twenty steps that think and read in parallel, in two processes; then another model, which is given nothing of it.
async fn goes_on(vendor: Vendor) {
    let home = Home::new();
    home.file("a.txt", "alpha\n");
    home.file("b.txt", "beta\n");
    let mut served = Served { vendor, server: ModelServer::start().await, given: Vec::new() };
    let mut editor = opened(vendor, &home, &served.server).await;
    let session = editor.new_session(&home).await;
    asked(&mut editor, &session, &mut served, 1).await;
    asked(&mut editor, &session, &mut served, 9).await;
    editor.finish().await;

    let mut editor = opened(vendor, &home, &served.server).await;
    editor.call("session/load", json!({ "sessionId": session, "cwd": home.workspace() })).await;
    editor.ignore_updates();
    asked(&mut editor, &session, &mut served, 9).await;
    asked(&mut editor, &session, &mut served, 1).await;
    assert_eq!(served.given.len(), 20);

    let kept = |export: &Value| export["session"]["messages"].to_string().matches(MARK).count();
    assert!(kept(&full_export(&mut editor, &session).await) >= 16, "{vendor:?}: it is on record");
    assert_eq!(kept(&export(&mut editor, &session).await), 0, "{vendor:?}: and nobody is shown it");

    let other = json!({ "sessionId": session, "configId": "model", "value": vendor.other_model() });
    editor.call("session/set_config_option", other).await;
    let prompt = editor.prompt(&session, "and you?").await;
    let exchange = served.server.next_request().await;
    assert!(!exchange.body.to_string().contains(MARK), "{vendor:?}: another model is given nothing of it");
    exchange.hang_up();
    editor.error(&prompt).await;
    editor.ignore_updates();
    editor.finish().await;
}

/// A step that was stopped in the middle of its words: the next request is one that the vendor takes.
async fn is_cut(vendor: Vendor) {
    let home = Home::new();
    home.file("a.txt", "alpha\n");
    home.file("b.txt", "beta\n");
    let mut served = Served { vendor, server: ModelServer::start().await, given: Vec::new() };
    let mut editor = opened(vendor, &home, &served.server).await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    served.step("", &["a.txt", "b.txt"], true).await;
    let mut exchange = served.server.next_request().await;
    let given = Given { n: 1, turn_calls: true, words: "Half a wo".to_owned(), reads: vec!["a.txt"], is_cut: true };
    for event in vendor.stream(&given) {
        exchange.raw(event.as_bytes()).await;
    }
    while editor.next_update("agent_message_chunk").await["params"]["update"]["content"]["text"] != "Half a wo" {}
    editor.notify("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(editor.result(&prompt).await["stopReason"], "cancelled");
    editor.ignore_updates();
    served.given.push(Given { reads: Vec::new(), ..given });
    asked(&mut editor, &session, &mut served, 2).await;
    editor.finish().await;
}

macro_rules! conversations {
    ($($name:ident: $vendor:ident,)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn twenty_steps_and_another_process() {
                goes_on(Vendor::$vendor).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_step_that_is_cut() {
                is_cut(Vendor::$vendor).await;
            }
        }
    )*};
}

conversations! {
    deepseek: DeepSeek,
    gemini: Gemini,
    openrouter: OpenRouter,
    anthropic: Anthropic,
    openai: OpenAi,
}

/// Whoever leaves out or changes what was given is refused: the rules are none that everything passes.
#[test]
fn a_request_that_breaks_a_rule_is_noticed() {
    for vendor in VENDORS {
        let given = Given { n: 0, turn_calls: true, words: "x".into(), reads: vec!["a.txt"], is_cut: false };
        let bare = match vendor {
            Vendor::OpenAi => {
                json!({ "store": false, "include": ["reasoning.encrypted_content"], "input": [{ "type": "message", "role": "assistant", "content": "x" }] })
            }
            Vendor::Anthropic => json!({ "messages": [{ "role": "assistant", "content": [{ "type": "text", "text": "x" }] }] }),
            _ => json!({ "messages": [{ "role": "assistant", "content": "x", "tool_calls": [{ "id": "call_0_0" }] }] }),
        };
        let broken = vendor.check(&bare, &[given]);
        assert!(broken.is_err_and(|broken| broken.contains("came back as")), "{vendor:?}");
    }
}
