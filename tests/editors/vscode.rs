//! VS Code drives the real binary: its own extension host runs test suites, and a browser shows the workbench to stories
//! that click and type. `bash scripts/setup-vscode.sh` installs what they need.

use crate::support::{Story, installed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A workbench that starts on a busy machine takes its time, and a story may wait for more than one.
const PATIENCE: Duration = Duration::from_secs(240);

/// One browser at a time, also where no test runner sees to it.
static BROWSER: Mutex<()> = Mutex::new(());

#[test]
fn the_types_fit_and_what_needs_no_editor_works() {
    story("unit").run();
}

#[test]
fn the_extension_host_runs_the_commands_and_refuses_programs_that_do_not_fit() {
    in_a_browser("host");
}

#[test]
fn a_user_sets_a_key_prompts_allows_a_change_stops_and_exports() {
    in_a_browser("chat");
}

#[test]
fn a_window_that_goes_leaves_nothing_and_the_next_one_tells_what_happened() {
    in_a_browser("windows");
}

#[test]
fn nothing_starts_in_a_workspace_without_trust_and_the_folder_of_a_session_is_picked() {
    in_a_browser("trust");
}

fn in_a_browser(name: &str) {
    let _one = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    story(name).within(PATIENCE).run();
}

fn story(name: &str) -> Story {
    let node = installed("vscode-4.139.1/bin/node", "scripts/setup-vscode.sh");
    Story::new(node).with([format!("editors/vscode/test/stories/{name}.ts")])
}
