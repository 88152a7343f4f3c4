//! `glob`: the files of the workspace whose paths match a pattern.

use super::arguments::{Arguments, MAX_PATTERN_CHARS};
use super::walk::Walk;
use super::workspace::{Place, Workspace};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan, blocking};
use crate::policy::pattern;
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::ToolKind;
use crate::text::{cut, exact};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ignore::overrides::{Override, OverrideBuilder};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The most paths of one answer.
const MAX_PATHS: usize = 1000;
const MAX_TITLE_PATTERN_BYTES: usize = 60;

pub(super) struct Glob;

struct Request {
    place: Place,
    pattern: Override,
    title: String,
}

/// What a call may say; what is enforced of it.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "pattern": { "type": "string", "maxLength": MAX_PATTERN_CHARS, "description": "Such as **/*.rs or src/*.{ts,tsx}; without a / it fits at any depth." },
            "path": { "type": "string", "description": "The directory that the pattern begins in. Default: the workspace." },
        },
        "required": ["pattern"],
    })
}

impl Tool for Glob {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "glob",
            description: "Finds files of the workspace by their path, sorted. Files that a .gitignore hides are left out. At most 1000 \
                          paths.",
            input_schema: schema(),
        }
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn kind(&self) -> ToolKind {
        ToolKind::Search
    }

    fn plan<'a>(&'a self, input: &'a Value, context: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>> {
        async move {
            let request = Request::of(input, &context.workspace)?;
            Ok(ToolPlan::reading(request.title, &request.place, context))
        }
        .boxed()
    }

    fn run(&self, input: Value, approved: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        blocking(move || {
            let mut request = Request::of(&input, &context.workspace)?;
            request.place = approved.place(&request.place, &context)?;
            Ok(ToolOutput::text(found(&request, &context.workspace, &|| context.token.is_stopped())?))
        })
    }
}

impl Request {
    fn of(input: &Value, workspace: &Workspace) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input, &schema())?;
        let pattern = arguments.text("pattern");
        // Neither means what a model hopes for: `!` excludes, and a pattern without letters fits everything or nothing.
        if pattern.trim().is_empty() || pattern.starts_with('!') {
            return Err(arguments.wrong("pattern", "must be a glob of the files to find, such as **/*.rs"));
        }
        pattern::measure(pattern).map_err(|much| arguments.wrong("pattern", &format!("is no valid glob: {much}")))?;
        let place = arguments.optional_text("path").map_or_else(|| Ok(Place::root()), |path| workspace.place(path))?;
        let mut globs = OverrideBuilder::new(".");
        let built = globs.add(pattern).and_then(|globs| globs.build());
        let globs = built.map_err(|error| arguments.wrong("pattern", &format!("is no valid glob: {error}")))?;
        let title = format!("Find {} in {place}", cut(&exact(pattern), MAX_TITLE_PATTERN_BYTES));
        Ok(Self { place, pattern: globs, title })
    }

    fn wants(&self, place: &Place) -> bool {
        place.as_path().strip_prefix(self.place.as_path()).is_ok_and(|below| self.pattern.matched(below, false).is_whitelist())
    }
}

/// Goes through all files, or until `stopped` says so.
fn found(request: &Request, workspace: &Workspace, stopped: &dyn Fn() -> bool) -> Result<String, ToolError> {
    // A walk counts what it cannot read; what was asked for by name is told.
    workspace.directory(&request.place)?;
    let mut text = String::new();
    let (mut count, mut files) = (0, 0);
    let mut walk = Walk::new(workspace, &request.place, stopped);
    for place in walk.by_ref() {
        files += 1;
        if request.wants(&place) {
            count += 1;
            if count <= MAX_PATHS {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{place}");
            }
        }
    }
    if stopped() {
        return Err(ToolError("the walk was stopped before it ended".into()));
    }
    if count == 0 {
        let _ = writeln!(text, "[no match among {files} files]");
    }
    if count > MAX_PATHS {
        let _ = writeln!(text, "[{} more; narrow the pattern or the path]", count - MAX_PATHS);
    }
    if walk.skipped > 0 {
        let _ = writeln!(text, "[{} directories could not be read to their end]", walk.skipped);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Access;
    use crate::protocol::update::ToolLocation;
    use crate::tool::test_room::Room;
    use std::cell::Cell;

    async fn globbed(room: &Room, input: Value) -> String {
        room.text_of_call(&Glob, input).await
    }

    #[tokio::test]
    async fn files_are_found_by_their_path_and_sorted() {
        let room = Room::new();
        for path in ["b.rs", "a.md", "src/z.rs", "src/a/deep.rs", "src/a.ts", "hidden/c.rs", ".git/x.rs"] {
            room.file(path, "");
        }
        room.file(".gitignore", "hidden");
        for (pattern, path, told) in [
            ("**/*.rs", ".", "b.rs\nsrc/a/deep.rs\nsrc/z.rs\n"),
            ("*.rs", ".", "b.rs\nsrc/a/deep.rs\nsrc/z.rs\n"),
            ("src/*.rs", ".", "src/z.rs\n"),
            ("*.{md,ts}", ".", "a.md\nsrc/a.ts\n"),
            ("a/*.rs", "src", "src/a/deep.rs\n"),
            // Asked for by name.
            ("*.rs", "hidden", "hidden/c.rs\n"),
            ("*.py", ".", "[no match among 6 files]\n"),
        ] {
            assert_eq!(globbed(&room, json!({ "pattern": pattern, "path": path })).await, told, "{pattern} in {path}");
        }
    }

    #[tokio::test]
    async fn links_and_what_is_no_file_are_left_out() {
        let room = Room::new();
        let outside = room.directory.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("a"), "").unwrap();
        std::os::unix::fs::symlink(&outside, room.path("dir")).unwrap();
        std::os::unix::fs::symlink("../outside/a", room.path("file")).unwrap();
        room.fifo("pipe");
        room.file("new\nline", "");
        assert_eq!(globbed(&room, json!({ "pattern": "**" })).await, "new⟨U+000A⟩line\n");
        for path in ["dir", "file", "..", "pipe", "none", "new\nline"] {
            assert!(room.call(&Glob, json!({ "pattern": "**", "path": path })).await.is_err(), "{path}");
        }
    }

    #[tokio::test]
    async fn the_rest_of_many_is_counted() {
        let room = Room::new();
        for i in 0..MAX_PATHS + 2 {
            room.file(&format!("f{i:05}"), "");
        }
        let text = globbed(&room, json!({ "pattern": "f*" })).await;
        assert_eq!(text.lines().count(), MAX_PATHS + 1);
        assert!(text.ends_with("f00999\n[2 more; narrow the pattern or the path]\n"), "{text}");
    }

    #[tokio::test]
    async fn patterns_are_checked_and_titles_forge_nothing() {
        let room = Room::new();
        for pattern in ["", "!*.rs"] {
            let told = room.error_of_call(&Glob, json!({ "pattern": pattern })).await;
            assert_eq!(told, "the argument pattern must be a glob of the files to find, such as **/*.rs");
        }
        let deep = room.error_of_call(&Glob, json!({ "pattern": "{".repeat(11) })).await;
        assert_eq!(deep, "the argument pattern is no valid glob: its braces or brackets nest deeper than 10 levels");
        assert!(room.error_of_call(&Glob, json!({ "pattern": "[" })).await.starts_with("the argument pattern is no valid glob: "));
        let plan = Glob.plan(&json!({ "pattern": "a\u{202e}*" }), &room.context()).await.unwrap();
        let location = ToolLocation { path: room.context().workspace.absolute(&Place::root()), line: None };
        let (title, access) = ("Find a⟨U+202E⟩* in .".into(), Access::Read("".into()));
        assert_eq!(plan, ToolPlan { title, locations: vec![location], content: Vec::new(), access, seen: None });
    }

    #[test]
    fn a_stop_ends_it() {
        let room = Room::new();
        for i in 0..300 {
            room.file(&format!("d{}/f{i}", i % 20), "");
        }
        let request = Request::of(&json!({ "pattern": "*.none" }), &room.workspace).unwrap();
        let looks = Cell::new(0);
        let stopped = || {
            looks.set(looks.get() + 1);
            looks.get() > 9
        };
        assert_eq!(found(&request, &room.workspace, &stopped).unwrap_err().0, "the walk was stopped before it ended");
        assert!(looks.get() <= 12, "{} looks", looks.get());
    }
}
