//! The examples do what they say, in the hands of a program that uses them, and the documents show them as they are.

use crate::clients::{SET_UP, node};
use crate::support::{Story, installed, on_path};
use std::fs;
use std::path::Path;

const RUNNER: &str = "tests/clients/examples.py";

#[test]
fn a_conversation_fits_into_one_pipe() {
    Story::new(on_path("python3", SET_UP)).with([RUNNER, "conversation"]).run();
}

#[test]
fn a_python_script_prompts_and_stops() {
    Story::new(on_path("python3", SET_UP)).with([RUNNER, "one_prompt", "prompt.py", "python3"]).run();
}

#[test]
fn a_node_script_prompts_and_stops() {
    let node = installed("node-24.21.0/bin/node", SET_UP);
    Story::new(on_path("python3", SET_UP)).with([RUNNER, "one_prompt", "prompt.mjs"]).with([node]).run();
}

#[test]
fn an_unattended_script_tells_what_stopped_it() {
    Story::new(on_path("python3", SET_UP)).with([RUNNER, "nightly"]).run();
}

#[test]
fn the_commands_of_the_scripting_page_work() {
    Story::new(on_path("python3", SET_UP)).with([RUNNER, "document"]).run();
}

#[test]
fn the_lua_client_and_its_test() {
    let neovim = installed("nvim-0.11/bin/nvim", "scripts/setup-nvim.sh");
    Story::new(neovim).with(["-l", "examples/client_test.lua"]).run();
}

#[test]
fn the_typescript_client_and_its_test() {
    node().with(["tests/clients/client_test.mjs"]).run();
}

#[test]
fn the_documents_show_the_examples_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut shown = 0;
    for document in ["docs/plugin-guide.md", "docs/scripting.md"] {
        let text = fs::read_to_string(root.join(document)).expect(document);
        for part in text.split("<!-- from ").skip(1) {
            let (example, rest) = part.split_once(" -->\n```").expect("the block follows the line that names its file");
            let (_, rest) = rest.split_once('\n').expect("a block");
            let (block, _) = rest.split_once("```\n").expect("the end of the block");
            let file = fs::read_to_string(root.join(example)).expect(example);
            assert!(file.contains(block), "{document} shows a part of {example} that is not in it; copy it anew:\n{block}");
            shown += 1;
        }
    }
    assert!(shown > 5, "the blocks were not found");
}
