//! The Neovim plugin, told by Neovim itself: the oldest that is supported and the one that most people have.
//!
//! Each story is a Lua script in `editors/nvim/tests`, run by `nvim -l`, that drives a child Neovim with the plugin.

use crate::support::{Story, installed};

/// Tells the story in the Neovim that `scripts/setup-nvim.sh` has put into this directory of the cache.
fn told_by(neovim: &str, story: &str) {
    let program = installed(&format!("{neovim}/bin/nvim"), "scripts/setup-nvim.sh");
    Story::new(program).with(["-l"]).with([format!("editors/nvim/tests/{story}.lua")]).run();
}

/// One test for each story and Neovim.
macro_rules! stories {
    ($($module:ident in $neovim:literal),* ; $stories:tt) => {
        $(stories! { @ $module $neovim $stories })*
    };
    (@ $module:ident $neovim:literal ($($name:ident: $story:literal),* $(,)?)) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    super::told_by($neovim, $story);
                }
            )*
        }
    };
}

stories! {
    in_0_10 in "nvim-0.10", in_0_11 in "nvim-0.11";
    (
        the_reducer_gives_what_is_expected_of_every_recording: "reducer",
        a_prompt_streams_into_the_chat: "prompt",
        stop_by_key_and_by_command_is_told_with_its_source: "stop",
        a_tool_asks_before_it_writes: "permission",
        selection_file_diagnostics_and_unsaved_text_go_along: "context",
        a_mode_and_the_trust_of_a_workspace_are_chosen: "choices",
        conversations_are_listed_and_taken_up_again: "sessions",
        a_conversation_is_exported_and_its_stops_explained: "export",
        what_is_wrong_with_the_program_is_told: "binary",
        every_end_is_told_and_leaves_nothing_running: "ends",
        the_documentation_is_complete: "docs",
    )
}
