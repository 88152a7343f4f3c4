//! The death of a process that ran a turn. Nobody saw it: it is told by its bounds.

use super::abort::NO_WORDS;
use super::story::{Story, wall};
use super::turns::Turns;
use super::view::View;
use crate::protocol::abort::SignOfLife;

/// When the turn was stopped, of one whose process died.
pub(super) fn when(abort: View<'_>) -> String {
    let crash = abort.at("crash");
    let asked = match (abort.text("cause"), abort.number("requested_at")) {
        (Some("crash_recovered"), _) | (_, None) => String::new(),
        (_, asked) => {
            format!("asked {}, mode {}, and accepted; before the turn had ended, its process died: ", wall(asked), abort.said("mode"))
        }
    };
    let sign = match crash.word("last_sign") {
        Some(SignOfLife::PromptAccepted) => "its prompt was taken, and waited",
        Some(SignOfLife::TurnStarted) => "it began",
        Some(SignOfLife::ModelCalled) => "a model call was recorded",
        Some(SignOfLife::ToolCallRecorded) => "a tool call was recorded",
        Some(SignOfLife::TitleRecorded) => "its title was recorded",
        Some(SignOfLife::OutputKept) => "a piece of the answer was kept",
        Some(SignOfLife::StopAccepted) => "the stop was recorded",
        None => NO_WORDS,
    };
    let number = |name| crash.number(name).map_or_else(|| "(not recorded)".to_owned(), |number| number.to_string());
    let boot = if crash.text("boot_id") == abort.text("boot_id") { "" } else { ", in another boot or on another machine" };
    format!(
        "{asked}last sign of life of process {} {} ({sign}), found dead {} by process {}{boot}; when it died is not known",
        number("pid"),
        wall(crash.number("last_sign_at")),
        wall(crash.number("found_at")),
        number("found_by"),
    )
}

/// A record that is told and not stored.
pub(super) fn tell_unstored(abort: View<'_>, story: &mut Story) {
    if abort.texts("missing").contains(&"not_durable") {
        let why = "not yet: the store could not be written. This is told from what is there; who can write it records it, under another id";
        story.fact("recorded", why);
    }
}

/// The turns that had no end when this was written.
pub(super) fn tell_running(turns: &Turns<'_>, story: &mut Story) {
    for turn in turns.all().filter(|turn| turn.at("stop").is_absent() && turn.at("ended_at").is_absent()) {
        story.head(&format!("Turn {} has no end yet", turn.said("turn_id")));
        let since = wall(turn.number("started_at"));
        let process = turn.at("running_in");
        let whereabouts = match process.number("pid") {
            Some(pid) => format!("it runs in process {pid} since {since} (boot {})", process.said("boot_id")),
            None => format!("it began {since}; where it runs, or whether, is not recorded"),
        };
        story.fact("where", &whereabouts);
    }
}
