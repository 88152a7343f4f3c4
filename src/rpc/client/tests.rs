//! The typed client against a whole server, and against one that misbehaves.

use super::*;
use crate::config::Limits;
use crate::protocol::abort::{CancelOutcome, Transport};
use crate::protocol::content::ContentBlock;
use crate::protocol::ids::{RequestId, SessionId};
use crate::protocol::params::{CancelParams, ExportParams, ListSessionsParams, NewSessionParams, PromptParams, WhenBusy};
use crate::protocol::results::StopReason;
use crate::rpc::api::SessionApiClient;
use crate::rpc::guard::Door;
use crate::rpc::test_server::Server;
use futures_util::future::FutureExt;
use std::sync::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::oneshot;

fn me() -> ClientInfo {
    ClientInfo { name: "pillion-cli".into(), version: Some("1.2.3".into()) }
}

/// Answers every question with the same option.
struct Chooses(&'static str);

impl Answerer for Chooses {
    fn answer(&self, method: String, _: Box<RawValue>) -> BoxFuture<'static, Result<Value, Unanswered>> {
        let option = self.0;
        async move {
            match method.as_str() {
                "session/request_permission" => Ok(json!({"outcome": {"outcome": "selected", "optionId": option}})),
                _ => Err(Unanswered { code: -32601, message: "no such method".into() }),
            }
        }
        .boxed()
    }
}

/// Never answers; tells when its future is dropped.
struct Ponders(Mutex<Option<oneshot::Sender<()>>>);

impl Answerer for Ponders {
    fn answer(&self, _: String, _: Box<RawValue>) -> BoxFuture<'static, Result<Value, Unanswered>> {
        let dropped = self.0.lock().expect("once").take();
        async move {
            let _dropped = dropped;
            std::future::pending().await
        }
        .boxed()
    }
}

async fn connected(option: &'static str) -> (Connected, Server) {
    let (server, near) = Server::start(Limits::default(), Door::InProcess);
    let (read, write) = tokio::io::split(near);
    (connect(read, write, me(), Arc::new(Chooses(option))).await.expect("connected"), server)
}

fn prompt(text: &str) -> PromptParams {
    PromptParams { session_id: SessionId::new("s"), prompt: vec![ContentBlock::text(text)], when_busy: WhenBusy::Queue }
}

#[tokio::test]
async fn every_update_of_a_prompt_is_there_when_its_answer_is() {
    let (Connected { client, mut updates, server: hello }, server) = connected("allow_once").await;
    assert_eq!(hello["serverInfo"]["name"], "pillion");
    let made = client.new_session(NewSessionParams { cwd: "/".into(), ..Default::default() }).await.expect("a session");
    assert_eq!(made.session_id.as_str(), "ses_1");
    let origin = server.sessions.origins().remove(0);
    assert_eq!((origin.transport, origin.client, origin.id), (Transport::InProcess, Some(me()), RequestId::from_number(2)));
    for count in [0_u64, 1, 2, 5000] {
        let result = client.prompt(prompt(&format!("say {count}"))).await.expect("an answer");
        assert_eq!(result.stop_reason, StopReason::EndTurn);
        for seq in 1..=count {
            let update = updates.here().expect("it is there");
            let update: Value = serde_json::from_str(update.get()).expect("json");
            assert_eq!(update["_meta"]["pillion"]["seq"], seq);
        }
        assert!(updates.here().is_none(), "no more than {count}");
    }
}

#[tokio::test]
async fn questions_are_answered_and_prompts_are_cancelled() {
    let (Connected { client, .. }, server) = connected("allow_once").await;
    assert_eq!(client.prompt(prompt("ask")).await.expect("an answer").model.as_deref(), Some("Ok(Chosen(AllowOnce))"));
    let cancel = CancelParams {
        session_id: SessionId::new("s"),
        turn_id: None,
        source: Some("cli.ctrl-c".into()),
        initiator: Default::default(),
        reason: None,
        mode: Default::default(),
    };
    let (ended, cancelled) = tokio::join!(client.prompt(prompt("hang")), client.cancel(cancel));
    assert_eq!(ended.expect("a result").stop_reason, StopReason::Cancelled);
    assert_eq!(cancelled.expect("a result").outcome, CancelOutcome::Cancelled);
    assert_eq!(server.sessions.demands()[0].source.as_deref(), Some("cli.ctrl-c"));
}

#[tokio::test]
async fn results_of_every_kind_are_typed_and_errors_keep_their_code() {
    let (Connected { client, .. }, _server) = connected("reject_once").await;
    assert!(client.list(ListSessionsParams::default()).await.expect("a list").sessions.is_empty());
    let export = client.export(ExportParams { session_id: SessionId::new("100000"), sanitize: true, path: None }).await.expect("an export");
    assert_eq!(export.export.map(|document| document.get().len()), Some(100_000));
    match client.prompt(prompt("fail")).await {
        Err(ClientError::Call(error)) => assert_eq!(error.code(), -32803),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_and_not_a_wait() {
    let (Connected { client, .. }, server) = connected("allow_once").await;
    let (hanging, ()) = tokio::join!(client.prompt(prompt("hang")), async {
        server.ended.abort();
    });
    assert!(hanging.is_err(), "{hanging:?}");
}

/// The server's end of a connection, spoken by hand.
struct ByHand(BufReader<DuplexStream>);

impl ByHand {
    async fn read(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("a line");
        serde_json::from_str(&line).expect("json")
    }

    async fn write(&mut self, lines: &[&str]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.0.write_all(text.as_bytes()).await.expect("written");
    }

    async fn greet(&mut self) {
        let hello = self.read().await;
        assert_eq!((&hello["method"], &hello["params"]["capabilities"]), (&json!("initialize"), &json!({})));
        self.write(&[&json!({"jsonrpc": "2.0", "id": hello["id"], "result": {}}).to_string()]).await;
        assert_eq!(self.read().await["method"], "initialized");
    }
}

async fn by_hand(answerer: Arc<dyn Answerer>) -> (Connected, ByHand) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(near);
    let mut server = ByHand(BufReader::new(far));
    let (connected, ()) = tokio::join!(connect(read, write, me(), answerer), server.greet());
    (connected.expect("connected"), server)
}

#[tokio::test]
async fn nothing_that_a_server_can_send_kills_the_client() {
    let (Connected { client, mut updates, .. }, mut server) = by_hand(Arc::new(Chooses("allow_once"))).await;
    let (listed, ()) = tokio::join!(client.list(ListSessionsParams::default()), async {
        let id = server.read().await["id"].take();
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": {"sessions": []}}).to_string();
        server
            .write(&[
                "",
                "{broken",
                "[1,2]",
                "7",
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
                r#"{"jsonrpc":"2.0","id":4711,"result":1}"#,
                r#"{"jsonrpc":"2.0","id":"x","result":1}"#,
                r#"{"jsonrpc":"2.0","result":1}"#,
                r#"{"jsonrpc":"2.0","method":"no/such","params":{}}"#,
                r#"{"jsonrpc":"2.0","method":"session/update","params":{"a":1}}"#,
                &answer,
                &answer,
            ])
            .await;
    });
    assert!(listed.expect("a list").sessions.is_empty());
    assert_eq!(updates.next().await.expect("one").get(), r#"{"a":1}"#);
    server.write(&[r#"{"jsonrpc":"2.0","id":"q","method":"no/such"}"#]).await;
    assert_eq!(server.read().await, json!({"jsonrpc": "2.0", "id": "q", "error": {"code": -32601, "message": "no such method"}}));
    assert!(client.is_connected());
}

#[tokio::test]
async fn a_question_that_is_taken_back_is_dropped_and_answered_once() {
    for (method, key) in [("$/cancelRequest", "id"), ("$/cancel_request", "requestId")] {
        let (sender, dropped) = oneshot::channel();
        let (_connected, mut server) = by_hand(Arc::new(Ponders(Mutex::new(Some(sender))))).await;
        let question = json!({"jsonrpc": "2.0", "id": "ask-1", "method": "session/request_permission", "params": {}}).to_string();
        let withdrawal = json!({"jsonrpc": "2.0", "method": method, "params": {key: "ask-1"}}).to_string();
        server.write(&[&question, &withdrawal, &withdrawal]).await;
        assert_eq!(server.read().await["error"]["code"], -32800);
        assert!(dropped.await.is_err(), "the sender went with the future");
        server.write(&[&question.replace("ask-1", "ask-2"), &withdrawal.replace("ask-1", "ask-2")]).await;
        assert_eq!(server.read().await["id"], "ask-2", "nothing came between");
    }
}
