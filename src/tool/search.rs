//! `search`: the lines of the workspace that match a regular expression, with the machinery of ripgrep.

#[cfg(test)]
mod tests;

use super::arguments::{Arguments, MAX_PATTERN_CHARS};
use super::documents::WorkspaceDocuments;
use super::stoppable::Stoppable;
use super::walk::Walk;
use super::workspace::{OpenFile, Place, Workspace, WorkspaceError};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput, ToolPlan, blocking};
use crate::policy::pattern;
use crate::protocol::abort::Effect;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::ToolKind;
use crate::text::{cut, exact};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, sinks};
use ignore::overrides::{Override, OverrideBuilder};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Read;

/// The most matching lines of one answer.
const MAX_MATCHES: usize = 200;
/// The most text of one answer, in bytes.
const MAX_OUTPUT_BYTES: usize = 64 << 10;
/// A longer line is cut, in bytes.
const MAX_LINE_BYTES: usize = 400;

/// The longest line that is held, in bytes: a file with a longer one is left out and counted.
const MAX_HELD_BYTES: usize = 16 << 20;
/// What a compiled pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 10 << 20;
/// How deep the groups of a pattern may stand in each other.
const MAX_REGEX_NESTING: u32 = 50;
const MAX_TITLE_PATTERN_BYTES: usize = 60;

pub(super) struct Search;

struct Request {
    place: Place,
    matcher: RegexMatcher,
    /// Which files are searched.
    glob: Override,
    title: String,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    text: String,
    matches: usize,
    files: usize,
    /// Files and directories that could not be read.
    skipped: usize,
    /// Files that a rule wants asked about by name.
    asked: usize,
}

/// What a call may say; what is enforced of it.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "pattern": { "type": "string", "maxLength": MAX_PATTERN_CHARS, "description": "A regular expression (Rust syntax); (?i) at its start ignores case." },
            "path": { "type": "string", "description": "The file or directory, relative or absolute. Default: the workspace." },
            "glob": { "type": "string", "maxLength": MAX_PATTERN_CHARS, "description": "Only such files: *.rs, src/**/*.ts; or all but such: !*.md." },
        },
        "required": ["pattern"],
    })
}

impl Tool for Search {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "search",
            description: "Searches the text files of the workspace for a regular expression, line by line, and gives path:line: text. \
                          Files that a .gitignore hides and binary files are left out. Unsaved changes are searched too where the \
                          editor tells of them; read_file always has them. At most 200 matching lines.",
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
            let documents = context.documents.within(&context.workspace);
            let found = search(&request, &context.workspace, &documents, &|| context.token.is_stopped())?;
            Ok(ToolOutput::text(found.told()))
        })
    }
}

impl Request {
    fn of(input: &Value, workspace: &Workspace) -> Result<Self, ToolError> {
        let arguments = Arguments::of(input, &schema())?;
        let pattern = arguments.text("pattern");
        let matcher = RegexMatcherBuilder::new()
            .line_terminator(Some(b'\n'))
            .size_limit(MAX_PATTERN_BYTES)
            .nest_limit(MAX_REGEX_NESTING)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .build(pattern)
            .map_err(|error| ToolError(format!("invalid regular expression in `pattern` (it matches within one line): {error}")))?;
        let mut globs = OverrideBuilder::new(".");
        if let Some(glob) = arguments.optional_text("glob") {
            pattern::measure(glob).map_err(|much| ToolError(format!("invalid glob in `glob`: {much}")))?;
            globs.add(glob).map_err(|error| ToolError(format!("invalid glob in `glob`: {error}")))?;
        }
        let glob = globs.build().map_err(|error| ToolError(format!("invalid glob in `glob`: {error}")))?;
        let place = arguments.optional_text("path").map_or_else(|| Ok(Place::root()), |path| workspace.place(path))?;
        let title = format!("Search {place} for {}", cut(&exact(pattern), MAX_TITLE_PATTERN_BYTES));
        Ok(Self { place, matcher, glob, title })
    }

    fn wants(&self, place: &Place) -> bool {
        !self.glob.matched(place.as_path(), false).is_ignore()
    }
}

/// Goes through the files until all are searched, there is enough, or `stopped` says so.
fn search(
    request: &Request,
    workspace: &Workspace,
    documents: &WorkspaceDocuments,
    stopped: &dyn Fn() -> bool,
) -> Result<Found, ToolError> {
    let mut found = Found::default();
    // Who was asked about the whole was asked about what lies beneath it.
    let agreed = workspace.is_asked_about(&request.place);
    let mut searcher =
        SearcherBuilder::new().line_number(true).binary_detection(BinaryDetection::quit(0)).heap_limit(Some(MAX_HELD_BYTES)).build();
    let mut one = |place: &Place, file: OpenFile, found: &mut Found| match documents.of(&file) {
        Some(document) => found.add(&mut searcher, request, place, document.text.as_bytes(), stopped),
        None => found.add(&mut searcher, request, place, file.into_reader(), stopped),
    };
    match workspace.file(&request.place) {
        Ok(file) => one(&request.place, file, &mut found)?,
        Err(WorkspaceError::IsDirectory(_)) => {
            let mut walk = Walk::new(workspace, &request.place, stopped);
            while !found.enough() {
                let Some(place) = walk.next() else { break };
                if !request.wants(&place) {
                    continue;
                }
                if !agreed && workspace.is_asked_about(&workspace.ruled(&place)) {
                    found.asked += 1;
                    continue;
                }
                match workspace.file(&place) {
                    Ok(file) => one(&place, file, &mut found)?,
                    // Gone or exchanged since its name was read.
                    Err(_) => found.skipped += 1,
                }
            }
            found.skipped += walk.skipped;
            if stopped() {
                return Err(told_stopped());
            }
        }
        Err(error @ WorkspaceError::NotFound(_)) if !documents.unborn.contains_key(&request.place) => return Err(error.into()),
        Err(WorkspaceError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for (place, document) in &documents.unborn {
        // No file is opened here, so the rules are asked.
        let may_be_searched = workspace.may_read(place).is_ok() && (agreed || !workspace.is_asked_about(place));
        if may_be_searched && place.as_path().starts_with(request.place.as_path()) && request.wants(place) && !found.enough() {
            found.add(&mut searcher, request, place, document.text.as_bytes(), stopped)?;
        }
    }
    Ok(found)
}

impl Found {
    fn enough(&self) -> bool {
        self.matches > MAX_MATCHES || self.text.len() > MAX_OUTPUT_BYTES
    }

    /// Searches one text. Fails only when stopped: a text that cannot be searched is counted.
    fn add(
        &mut self,
        searcher: &mut Searcher,
        request: &Request,
        place: &Place,
        text: impl Read,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), ToolError> {
        self.files += 1;
        let sink = sinks::Bytes(|number, line| {
            self.matches += 1;
            if self.enough() {
                return Ok(false);
            }
            let line = String::from_utf8_lossy(line);
            let line = line.trim_end_matches(['\n', '\r']);
            let kept = cut(line, MAX_LINE_BYTES);
            let more = if kept.len() < line.len() { " [cut]" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "{place}:{number}: {kept}{more}");
            Ok(true)
        });
        let searched = searcher.search_reader(&request.matcher, Stoppable { text, stopped }, sink);
        if stopped() {
            return Err(told_stopped());
        }
        self.skipped += usize::from(searched.is_err());
        Ok(())
    }

    fn told(self) -> String {
        let mut text = self.text;
        if self.matches == 0 {
            let _ = writeln!(text, "[no match in {} files]", self.files);
        }
        if self.matches > MAX_MATCHES || text.len() > MAX_OUTPUT_BYTES {
            text.push_str("[there are more matches; narrow the pattern, the path or the glob]\n");
        }
        if self.skipped > 0 {
            let _ = writeln!(text, "[{} files or directories could not be searched]", self.skipped);
        }
        if self.asked > 0 {
            let _ = writeln!(text, "[{} more, which the user is asked about before they are read; search them by name]", self.asked);
        }
        text
    }
}

fn told_stopped() -> ToolError {
    ToolError("the search was stopped before it ended".into())
}
