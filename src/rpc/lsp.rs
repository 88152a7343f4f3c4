//! The LSP side: tower-lsp's service for the lifecycle and the document notifications.
//!
//! Invariant: no handler here waits for anything, so one poll finishes each; `guard` leans on that.

use super::editor::RpcEditor;
use super::outbox::Outbox;
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use std::task::{Context, Waker};
use tower_lsp::jsonrpc::{Request, Response, Result};
use tower_lsp::lsp_types::{
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams, InitializeParams,
    InitializeResult,
};
use tower_lsp::{Client, ExitedError, LanguageServer, LspService};
use tower_service::Service;

/// Where the texts of the editor's open documents go.
pub trait OpenDocuments: Send + Sync + 'static {
    fn open(&self, uri: &str, version: i32, text: String);
    fn change(&self, uri: &str, version: i32, text: String);
    fn close(&self, uri: &str);
}

/// The notifications that [`Lsp`] takes.
pub(super) const NOTIFICATIONS: [&str; 5] =
    ["initialized", "textDocument/didOpen", "textDocument/didChange", "textDocument/didSave", "textDocument/didClose"];

/// tower-lsp's service, called in arrival order.
pub struct Lsp(LspService<Backend>);

impl Lsp {
    /// The service, and the editor behind it as a session sees it.
    pub fn new(documents: Arc<dyn OpenDocuments>, outbox: Outbox) -> (Self, Arc<RpcEditor>) {
        let (service, socket) = LspService::new(|client| Backend { client, documents });
        let client = service.inner().client.clone();
        (Self(service), Arc::new(RpcEditor::new(client, socket, outbox)))
    }

    pub(super) fn call(&mut self, request: Request) -> BoxFuture<'static, std::result::Result<Option<Response>, ExitedError>> {
        // tower's contract; the service is never busy, since its only wait is for an `initialize` that is done at once.
        let _ = self.0.poll_ready(&mut Context::from_waker(Waker::noop()));
        self.0.call(request)
    }

    /// Calls and takes the answer that is there at once; nothing if there is none, or the handler had to wait.
    pub(super) fn call_now(&mut self, request: Request) -> Option<Response> {
        self.call(request).now_or_never()?.ok()?
    }
}

struct Backend {
    client: Client,
    documents: Arc<dyn OpenDocuments>,
}

#[tower_lsp::async_trait]
impl LanguageServer for Backend {
    /// `dialect` writes the answer that the client gets, from what it reads of the parameters itself.
    async fn initialize(&self, _: InitializeParams) -> Result<InitializeResult> {
        Ok(InitializeResult::default())
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }

    async fn did_open(&self, params: DidOpenTextDocumentParams) {
        let document = params.text_document;
        self.documents.open(document.uri.as_str(), document.version, document.text);
    }

    async fn did_change(&self, params: DidChangeTextDocumentParams) {
        let (uri, version) = (params.text_document.uri, params.text_document.version);
        match params.content_changes.into_iter().next_back() {
            Some(change) if change.range.is_none() => self.documents.change(uri.as_str(), version, change.text),
            // Only whole texts were offered. Of a text that is known in part, the file is the better truth.
            _ => self.documents.close(uri.as_str()),
        }
    }

    /// The open text stays the newer one until `didClose`.
    async fn did_save(&self, _: DidSaveTextDocumentParams) {}

    async fn did_close(&self, params: DidCloseTextDocumentParams) {
        self.documents.close(params.text_document.uri.as_str());
    }
}
