//! Clients that strangers wrote, each the real one: prompt, order of the stream, cancel in both forms and by id, permission,
//! unknown method, clean end. What a client by its nature cannot do stands at the top of its file in `tests/clients`.

use crate::support::{Story, installed, on_path};

pub(crate) const SET_UP: &str = "scripts/setup-clients.sh";

/// The Node that the set-up script pins.
pub(crate) fn node() -> Story {
    Story::new(installed("node-24.21.0/bin/node", SET_UP))
}

#[test]
fn pytest_lsp() {
    Story::new(on_path("python3", SET_UP)).with(["tests/clients/pytest_lsp_story.py"]).run();
}

#[test]
fn vscode_jsonrpc() {
    node().with(["tests/clients/vscode_jsonrpc.mjs"]).run();
}

#[test]
fn emacs_jsonrpc() {
    Story::new(on_path("emacs", SET_UP)).with(["--batch", "-Q", "-l", "tests/clients/emacs.el"]).run();
}

#[test]
fn vim_channels() {
    // Without a terminal and without settings; -V1 sends what goes wrong before the story begins to stderr.
    Story::new(on_path("vim", SET_UP)).with(["-N", "-u", "NONE", "-i", "NONE", "-n", "-es", "-V1", "-S", "tests/clients/vim.vim"]).run();
}

#[test]
fn acp_typescript_sdk() {
    node().with(["tests/clients/acp_typescript.mjs"]).run();
}

#[test]
fn acp_python_sdk() {
    Story::new(on_path("python3", SET_UP)).with(["tests/clients/acp_python.py"]).run();
}

#[test]
fn acpx() {
    node().with(["tests/clients/acpx.mjs"]).run();
}
