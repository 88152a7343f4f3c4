//! What only shows from inside: what becomes of a question when its connection is over.

use super::*;
use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::permission::PermissionOption;
use crate::protocol::update::{ToolCall, ToolCallStatus, ToolKind};
use crate::rpc::lsp::Lsp;
use crate::rpc::test_server::FakeDocuments;
use crate::session::editor::{PermissionAnswer, PermissionQuestion};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

fn question(session: &str) -> (Outgoing, oneshot::Receiver<PermissionAnswer>) {
    let (reply, answer) = oneshot::channel();
    let call = ToolCall {
        tool_call_id: "call_1".into(),
        title: "Write a.txt".into(),
        kind: ToolKind::Edit,
        status: ToolCallStatus::Pending,
        raw_input: Value::Null,
        locations: Vec::new(),
    };
    let question = PermissionQuestion {
        turn_id: TurnId::new("turn_1"),
        message_id: MessageId::new("msg_1"),
        content: Vec::new(),
        options: &PermissionOption::ALL,
        answered: Default::default(),
    };
    let asked = Outgoing::AskPermission { session_id: SessionId::new(session), call: Box::new(call), question: Box::new(question), reply };
    (asked, answer)
}

#[tokio::test]
async fn the_end_of_the_connection_answers_no_question_and_leaves_none_behind() {
    let (_lsp, editor) = Lsp::new(Arc::new(FakeDocuments::default()), Outbox::new(1024));
    let (asked, mut answer) = question("s");
    editor.post(asked);
    assert!(Arc::strong_count(&editor.line) > 1, "the question is under way");
    editor.end();
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty), "nobody said no");
    }
    drop(answer);
    while Arc::strong_count(&editor.line) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_question_withdrawn_before_its_connection_ended_is_let_go_at_the_end() {
    let (_lsp, editor) = Lsp::new(Arc::new(FakeDocuments::default()), Outbox::new(1024));
    let (asked, answer) = question("s");
    editor.post(asked);
    drop(answer);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&editor.line), 2, "the editor's late answer still has somebody who takes it");
    }
    editor.end();
    while Arc::strong_count(&editor.line) > 1 {
        tokio::task::yield_now().await;
    }
}
