//! `list_directory`: the names in one directory, without those that `.gitignore` files or rules hide.

use super::arguments::Arguments;
use super::walk::Rules;
use super::workspace::{EntryKind, Place};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan, blocking};
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::ToolKind;
use crate::text::exact;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The most names of one answer.
const MAX_NAMES: usize = 1000;

pub(super) struct ListDirectory;

/// What a call may say; what is enforced of it.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The directory, relative or absolute. Default: the workspace." },
        },
    })
}

impl Tool for ListDirectory {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "list_directory",
            description: "Lists one directory of the workspace, sorted: directories end with /, symbolic links with @. Names that a \
                          .gitignore hides are counted, not shown. At most 1000 names.",
            input_schema: schema(),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Read
    }

    fn plan<'a>(&'a self, input: &'a Value, context: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>> {
        async move {
            let place = place(input, context)?;
            Ok(ToolPlan::reading(format!("List {place}"), &place, context))
        }
        .boxed()
    }

    fn run(&self, input: Value, approved: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        blocking(move || {
            let place = approved.place(&place(&input, &context)?, &context)?;
            Ok(ToolOutput::text(listed(&place, &context)?))
        })
    }
}

fn place(input: &Value, context: &ToolContext) -> Result<Place, ToolError> {
    match Arguments::of(input, &schema())?.optional_text("path") {
        Some(path) => Ok(context.workspace.place(path)?),
        None => Ok(Place::root()),
    }
}

fn listed(place: &Place, context: &ToolContext) -> Result<String, ToolError> {
    let mut listing = context.workspace.directory(place)?;
    let rules = Rules::within(&context.workspace, place);
    let all = listing.entries.len();
    listing.entries.retain(|entry| context.workspace.may_read(&place.join(&entry.name)).is_ok());
    let readable = listing.entries.len();
    let kept: Vec<_> = listing.entries.into_iter().filter(|entry| !rules.hide(&place.join(&entry.name), entry.kind)).collect();
    let mut text = String::new();
    for entry in kept.iter().take(MAX_NAMES) {
        let mark = match entry.kind {
            EntryKind::File => "",
            EntryKind::Directory => "/",
            EntryKind::Link => "@",
            EntryKind::Other => " (no regular file)",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{mark}", exact(&entry.name.to_string_lossy()));
    }
    if all == 0 {
        text.push_str("[the directory is empty]\n");
    }
    if kept.len() < readable {
        let _ = writeln!(text, "[{} more, hidden by .gitignore]", readable - kept.len());
    }
    if readable < all {
        let _ = writeln!(text, "[{} more, which may not be read]", all - readable);
    }
    if kept.len() > MAX_NAMES {
        let _ = writeln!(text, "[{} more; search with a glob finds them]", kept.len() - MAX_NAMES);
    }
    if listing.more {
        let _ = writeln!(text, "[the directory has more than {all} names; the rest was not looked at]");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::test_room::Room;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[tokio::test]
    async fn a_directory_is_listed_sorted_and_marked() {
        let room = Room::new();
        room.file("b.rs", "");
        room.file("a/x", "");
        room.file("node_modules/y", "");
        room.file(".gitignore", "node_modules\n");
        symlink("b.rs", room.path("link")).unwrap();
        let text = room.text_of_call(&ListDirectory, json!({})).await;
        assert_eq!(text, ".gitignore\na/\nb.rs\nlink@\n[1 more, hidden by .gitignore]\n");
        assert_eq!(room.text_of_call(&ListDirectory, json!({ "path": room.path("a") })).await, "x\n");
    }

    #[tokio::test]
    async fn long_and_empty_directories_say_so() {
        let room = Room::new();
        assert_eq!(room.text_of_call(&ListDirectory, json!({})).await, "[the directory is empty]\n");
        for i in 0..=MAX_NAMES {
            room.file(&format!("f{i:05}"), "");
        }
        let text = room.text_of_call(&ListDirectory, json!({ "path": "." })).await;
        assert_eq!(text.lines().count(), MAX_NAMES + 1);
        assert_eq!(text.lines().last(), Some("[1 more; search with a glob finds them]"));
    }

    #[tokio::test]
    async fn a_name_can_forge_no_line() {
        let room = Room::new();
        room.file("a\nb", "");
        std::fs::write(room.workspace.path().join(OsStr::from_bytes(b"bad\xff")), "").unwrap();
        assert_eq!(room.text_of_call(&ListDirectory, json!({})).await, "a⟨U+000A⟩b\nbad\u{fffd}\n");
    }

    #[tokio::test]
    async fn what_is_no_directory_inside_is_refused() {
        let room = Room::new();
        room.file("file", "");
        symlink("/etc", room.path("out")).unwrap();
        let told = async |path: &str| room.error_of_call(&ListDirectory, json!({ "path": path })).await;
        assert_eq!(told("file").await, "file is not a directory; give the path of a directory");
        assert!(told("out").await.starts_with("out goes through a symbolic link"));
        assert_eq!(told("..").await, ".. is outside the workspace; give a path inside it");
        assert_eq!(told("none").await, "none does not exist; list_directory shows what is there");
    }
}
