//! A proxy between pillion and the model's server, as the environment names it.

use crate::support::journey::{ONE_ATTEMPT, UNTITLED, configured};
use crate::support::model_server::ModelServer;
use crate::support::{Dialect, Editor, Framing, Home};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A SOCKS proxy that leads every connection to `port`, and tells which host was asked for.
async fn socks(port: u16) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let own = listener.local_addr().expect("an address").port();
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = [0; 2];
                client.read_exact(&mut head).await?;
                client.read_exact(&mut vec![0; usize::from(head[1])]).await?;
                client.write_all(&[5, 0]).await?;
                // Version, command, reserved, kind of address (a name), length.
                let mut request = [0; 5];
                client.read_exact(&mut request).await?;
                let mut name = vec![0; usize::from(request[4]) + 2];
                client.read_exact(&mut name).await?;
                let _ = tell.send(String::from_utf8_lossy(&name[..name.len() - 2]).into_owned());
                client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (own, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_reached_through_a_socks_proxy() {
    let home = Home::new();
    let mut server = ModelServer::start().await;
    let (port, mut asked) = socks(server.port()).await;
    let mut command = configured(&home, ONE_ATTEMPT);
    command.env("ALL_PROXY", format!("socks5h://127.0.0.1:{port}"));
    let args: Vec<_> = ["--model", "openai:m", "--base-url", "http://models.invalid/v1"].into_iter().chain(UNTITLED).collect();
    let mut editor = Editor::spawn(command, Framing::Headers, Dialect::Lsp, &args);
    editor.initialize().await;
    let session = editor.new_session(&home).await;
    let prompt = editor.prompt(&session, "go").await;
    assert_eq!(asked.recv().await.as_deref(), Some("models.invalid"));
    server.next_request().await.answer("through").await;
    assert_eq!(editor.result(&prompt).await["stopReason"], json!("end_turn"));
    editor.ignore_updates();
    editor.finish().await;
}
