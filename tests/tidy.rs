//! Holds the house in order: floors, who may use which crate, file lengths, first lines, words that must not appear.
//!
//! Invariant: each rule names the place and what to do there, and the tests at the end show each rule failing.

use regex::Regex;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

/// The rooms of the house. A room may use lower floors; [`NEIGHBOURS`] are the only doors on one floor.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["protocol", "text"]),
    (1, &["provenance", "policy", "config", "net", "process", "build_info"]),
    (2, &["store", "provider", "tool"]),
    (3, &["session", "export"]),
    (4, &["rpc"]),
    (TOP, &["host", "serve", "cli", "lib", "main"]),
];

/// Here the parts are put together: the rooms of this floor may know each other.
const TOP: u8 = 5;

/// Rooms that may use another one on their own floor: (who, whom).
const NEIGHBOURS: &[(&str, &str)] = &[("config", "provenance"), ("config", "policy")];

/// May be called from every floor; itself it uses nothing above floor 1.
const CALLABLE_FROM_ALL: (&str, u8) = ("telemetry", 1);

/// Crates that belong to someone: (crate, where it may be named, what the others do instead).
const OWNERS: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["src/store/"], "ask the store for what you need"),
    ("rusqlite_migration", &["src/store/"], "migrations belong to the store"),
    ("tower_lsp", &["src/rpc/"], "let src/rpc translate; other rooms know no LSP"),
    ("jsonrpsee", &["src/rpc/"], "let src/rpc translate; the command line goes through rpc::client"),
    ("reqwest", &["src/net.rs", "src/provider/"], "take the one HTTP client of src/net.rs"),
    ("landlock", &["src/process/"], "say what a command is held to with a Confinement"),
    ("seccompiler", &["src/process/"], "say what a command is held to with a Confinement"),
    ("llama_cpp_2", &["src/provider/local/"], "talk to the model through the Provider trait"),
    ("minijinja", &["src/provider/local/"], "chat templates are rendered in src/provider/local"),
];

/// Plain values of such crates: naming them borrows nothing.
const VALUES: &[&str] = &["reqwest::Url"];

/// Words that do not appear: (pattern, what to do instead).
const FORBIDDEN: &[(&str, &str)] = &[
    (r"#!?\[ignore\b", "make the test run, or delete it"),
    (r"\btodo!", "build it, or leave it out"),
    (r"\bunimplemented!", "build it, or leave it out"),
    (r"#!?\[allow\(", "mend it, or use #[expect(.., reason = \"..\")]"),
];

/// What is done in one place: (pattern, where, what the others do instead).
const AT_HOME: &[(&str, &str, &str)] = &[
    (r"char_boundary\(|char_indices\(\)\.nth\(|\.chars\(\)\.take\(", "src/text.rs", "cut with crate::text::cut or crate::text::first"),
    (r"\benv::vars?(_os)?\(", "src/process/own.rs", "ask crate::process::variable: secrets are wiped from the environment itself"),
];

const LONGEST_FILE: usize = 500;

/// One Rust file.
struct Source {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Its lines without comments, numbered from 1. Imports in comments are links, not imports.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(at, line)| {
            (at + 1, if line.trim_start().starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() })
        })
    }

    /// The room that the file belongs to: its directory below `src`, or its own name.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
    }

    /// How many modules lie between the file and the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.trim_start_matches("src/").trim_end_matches(".rs").split('/');
        parts.filter(|part| *part != "mod").count()
    }
}

/// Lower floors only; rooms on the same floor do not know each other.
fn floors(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some(floor) = floor_of(room) else {
        return vec![format!("{}: the room `{room}` has no floor; give it one in FLOORS (tests/tidy.rs)", source.path)];
    };
    let mut complaints = Vec::new();
    for (line, used) in rooms_used(source) {
        let place = format!("{}:{line}", source.path);
        if used == room || used == CALLABLE_FROM_ALL.0 || NEIGHBOURS.contains(&(room, used.as_str())) {
            continue;
        }
        match floor_of(&used) {
            None => complaints.push(format!("{place}: `crate::{used}` has no floor; give it one in FLOORS (tests/tidy.rs)")),
            Some(above) if above > floor => complaints.push(format!(
                "{place}: `{room}` (floor {floor}) uses `{used}` (floor {above}); move what both need down, or hand it in from above"
            )),
            Some(same) if same == floor && floor != TOP && room != CALLABLE_FROM_ALL.0 => complaints
                .push(format!("{place}: `{room}` and `{used}` are on one floor and do not know each other; move what both need down")),
            Some(_) => {}
        }
    }
    complaints
}

fn floor_of(room: &str) -> Option<u8> {
    if room == CALLABLE_FROM_ALL.0 {
        return Some(CALLABLE_FROM_ALL.1);
    }
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The rooms that a file names, as `crate::room`, in a group `crate::{room, ..}`, or by climbing out with `super`.
fn rooms_used(source: &Source) -> Vec<(usize, String)> {
    let whole: String = source.code().flat_map(|(_, line)| [line, "\n"]).collect();
    let line_of = |at: usize| whole[..at].matches('\n').count() + 1;
    let mut used = Vec::new();
    let direct = pattern(r"\bcrate::(\w+)");
    for found in direct.captures_iter(&whole) {
        used.push((line_of(found.get(1).expect("group").start()), room_named(&found[1])));
    }
    for group in pattern(r"\bcrate::\{").find_iter(&whole) {
        let mut depth = 0;
        let mut expects_name = true;
        for (at, letter) in whole[group.end()..].char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                _ if expects_name && (letter.is_alphanumeric() || letter == '_') => {
                    let rest = &whole[group.end() + at..];
                    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                    used.push((line_of(group.end() + at), room_named(name)));
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    let climbs = pattern(r"\b((?:super::)+)(\w+)");
    for found in climbs.captures_iter(&whole) {
        let leaves = found[1].matches("super").count() >= source.depth();
        // A test module inside the file climbs once more without leaving, so only names of rooms count.
        if leaves && floor_of(&found[2]).is_some() {
            used.push((line_of(found.get(2).expect("group").start()), found[2].to_owned()));
        }
    }
    used
}

/// What stands behind `crate::`: a module, or an item of the crate's root.
fn room_named(name: &str) -> String {
    if name.starts_with(char::is_uppercase) { "lib".into() } else { name.into() }
}

/// The command line speaks to the server as any client does.
fn client_door(source: &Source) -> Vec<String> {
    if source.room() != Some("cli") {
        return Vec::new();
    }
    let inside = pattern(r"\brpc::(\w+|\{)");
    let uses = source.code().flat_map(|(line, code)| inside.captures_iter(code).map(move |found| (line, found[1].to_owned())));
    let others = uses.filter(|(_, module)| module != "client");
    others.map(|(line, _)| format!("{}:{line}: the command line uses rpc::client only; offer there what it needs", source.path)).collect()
}

/// A crate is named only by its owners.
fn owners(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, homes, instead) in OWNERS {
        if homes.iter().any(|home| source.path.starts_with(home)) {
            continue;
        }
        let named = pattern(&format!(r#"(^|[^\w"]){name}(::|;| as )"#));
        let borrows = |code: &str| named.is_match(&VALUES.iter().fold(code.to_owned(), |code, value| code.replace(value, "")));
        for (line, _) in source.code().filter(|(_, code)| code.contains(name) && borrows(code)) {
            complaints.push(format!("{}:{line}: `{name}` belongs to {}; {instead}", source.path, homes.join(" and ")));
        }
    }
    complaints
}

fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= LONGEST_FILE {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, and {LONGEST_FILE} is the most; split it by what each part owns", source.path)]
}

fn first_line(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![format!("{}: begin with a `//! ` line that says what the file owns and what is always true of it", source.path)]
}

fn forbidden(source: &Source) -> Vec<String> {
    let elsewhere = AT_HOME.iter().filter(|(_, home, _)| source.path.starts_with("src/") && source.path != *home);
    let mut complaints = Vec::new();
    for (word, instead) in FORBIDDEN.iter().copied().chain(elsewhere.map(|(word, _, instead)| (*word, *instead))) {
        let word = pattern(word);
        for (line, code) in source.code() {
            if let Some(found) = word.find(code) {
                complaints.push(format!("{}:{line}: `{}`: {instead}", source.path, found.as_str()));
            }
        }
    }
    complaints
}

/// A compiled pattern; each is compiled once.
fn pattern(text: &str) -> Regex {
    static PATTERNS: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut patterns = PATTERNS.lock().expect("lock");
    patterns.entry(text.to_owned()).or_insert_with(|| Regex::new(text).expect("pattern")).clone()
}

/// Every Rust file below these directories, this one excepted: it quotes what it forbids.
fn sources(directories: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting: Vec<_> = directories.iter().map(|directory| Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).collect();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.expect("entry").path();
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below the root").to_string_lossy().replace('\\', "/");
            if path.is_dir() {
                waiting.push(path);
            } else if name.ends_with(".rs") && name != "tests/tidy.rs" {
                found.push(Source { path: name, text: fs::read_to_string(&path).expect("source") });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with everything that a rule finds in the tree.
fn hold(rule: fn(&Source) -> Vec<String>, directories: &[&str]) {
    let sources = sources(directories);
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
    let complaints: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn imports_go_down() {
    hold(floors, &["src"]);
}

#[test]
fn the_command_line_is_a_client() {
    hold(client_door, &["src"]);
}

#[test]
fn crates_stay_with_their_owners() {
    hold(owners, &["src"]);
}

#[test]
fn files_are_short() {
    hold(length, &["src", "tests", "benches"]);
}

#[test]
fn files_say_what_they_own() {
    hold(first_line, &["src", "tests", "benches"]);
}

#[test]
fn nothing_is_left_undone_or_waved_through() {
    hold(forbidden, &["src", "tests", "benches"]);
}

/// What a rule says about a file with this content.
fn complaints(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&Source { path: path.into(), text: text.into() })
}

#[test]
fn a_room_that_looks_up_is_found() {
    for text in [
        "use crate::session::runner;",
        "//! Doc.\n\nuse crate::{\n    protocol::ids::{SessionId, TurnId},\n    session::runner,\n};",
        "fn f() { crate::session::run() }",
        "use super::super::session::runner;",
    ] {
        let found = complaints(floors, "src/store/rows.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains("`store` (floor 2) uses `session` (floor 3)") && found[0].contains("hand it in from above"), "{found:?}");
    }
    assert!(complaints(floors, "src/store/rows.rs", "\n\nuse crate::{\n  session};")[0].starts_with("src/store/rows.rs:4: "));
    assert_eq!(complaints(floors, "src/store/mod.rs", "use super::session::x;").len(), 1);
    assert_eq!(complaints(floors, "src/session/turn.rs", "use crate::VERSION;").len(), 1, "an item of the crate's root");
    assert_eq!(complaints(floors, "src/telemetry.rs", "use crate::store::Store;").len(), 1);
}

#[test]
fn a_room_that_knows_its_neighbour_is_found() {
    let found = complaints(floors, "src/provider/openai.rs", "use crate::tool::Tool;");
    assert!(found[0].contains("on one floor"), "{found:?}");
    assert_eq!(complaints(floors, "src/provenance/clock.rs", "use crate::config::Settings;").len(), 1);
    assert_eq!(complaints(floors, "src/net.rs", "use crate::config::Settings;").len(), 1);
}

#[test]
fn a_room_without_a_floor_is_found() {
    assert!(complaints(floors, "src/helpers/mod.rs", "")[0].contains("has no floor"));
    assert!(complaints(floors, "src/rpc/api.rs", "use crate::helpers::x;")[0].contains("has no floor"));
}

#[test]
fn ways_down_and_at_home_are_open() {
    for (path, text) in [
        ("src/store/rows.rs", "use crate::protocol::ids::SessionId;\nuse crate::{config, provenance::Clock, telemetry};"),
        ("src/store/rows.rs", "//! See [`crate::session`].\n/// And `crate::rpc`.\nuse super::open; // not crate::rpc"),
        ("src/config.rs", "use crate::provenance::Grace;\nmod tests { use super::super::provenance::Grace; }"),
        ("src/session/title.rs", "use super::export_of;\nuse crate::session::runner;\nuse crate::telemetry;"),
        ("src/cli/prompt.rs", "use crate::rpc::client;\nuse crate::serve;"),
        ("src/telemetry.rs", "use crate::config::Settings;"),
        ("tests/journey.rs", "use crate::support::TestServer;"),
    ] {
        assert_eq!(complaints(floors, path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_borrowed_crate_is_found() {
    for (path, text) in [
        ("src/session/turn.rs", "use rusqlite::Connection;"),
        ("src/export/json.rs", "fn f(c: &rusqlite::Connection) {}"),
        ("src/session/turn.rs", "use tower_lsp::lsp_types::Url;"),
        ("src/cli/prompt.rs", "use jsonrpsee::core::ClientError;"),
        ("src/tool/search.rs", "use reqwest;"),
        ("src/session/title.rs", "use minijinja as templates;"),
    ] {
        let found = complaints(owners, path, text);
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
        assert!(found[0].contains("belongs to src/"), "{found:?}");
    }
    for (path, text) in [
        ("src/store/open.rs", "use rusqlite::Connection;"),
        ("src/net.rs", "use reqwest::Client;"),
        ("src/provider/openai.rs", "use reqwest::Response;"),
        ("src/config/table.rs", "let url = reqwest::Url::parse(text)?;"),
        ("src/telemetry.rs", "// reqwest::connect logs too much\nlet quiet = \"reqwest::connect=off\";"),
    ] {
        assert_eq!(complaints(owners, path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_command_that_reaches_into_the_server_is_found() {
    for text in ["use crate::rpc::guard::Guard;", "use crate::rpc::{client, guard};"] {
        assert!(complaints(client_door, "src/cli/prompt.rs", text)[0].contains("rpc::client only"));
    }
    assert_eq!(complaints(client_door, "src/cli/prompt.rs", "use crate::rpc::client::connect;"), Vec::<String>::new());
    assert_eq!(complaints(client_door, "src/serve.rs", "use crate::rpc::guard::Guard;"), Vec::<String>::new());
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(complaints(length, "src/rpc/wire.rs", &"x\n".repeat(LONGEST_FILE)), Vec::<String>::new());
    assert!(complaints(length, "src/rpc/wire.rs", &"x\n".repeat(LONGEST_FILE + 1))[0].contains("src/rpc/wire.rs: 501 lines"));
}

#[test]
fn a_file_that_does_not_introduce_itself_is_found() {
    for text in ["", "use std::fs;\n//! Late.", "// No doc.", "//!\n"] {
        assert_eq!(complaints(first_line, "src/net.rs", text).len(), 1, "{text}");
    }
}

#[test]
fn undone_and_waved_through_are_found() {
    for text in ["#[ignore]", "#[ignore = \"slow\"]", "todo!()", "unimplemented!(\"x\")", "    #[allow(dead_code)]", "#![allow(dead_code)]"]
    {
        assert_eq!(complaints(forbidden, "src/net.rs", text).len(), 1, "{text}");
    }
    let cuts = ["&text[..text.floor_char_boundary(9)]", "text.chars().take(9)", "text.char_indices().nth(9)"];
    for text in cuts {
        assert_eq!(complaints(forbidden, "src/net.rs", text).len(), 1, "{text}");
        assert_eq!(complaints(forbidden, "src/text.rs", text), Vec::<String>::new(), "{text}");
    }
    for text in ["std::env::var(\"A\")", "env::vars_os()", "std::env::var_os(name)"] {
        assert_eq!(complaints(forbidden, "src/host.rs", text).len(), 1, "{text}");
    }
    for text in ["#[expect(dead_code, reason = \"x\")]", "// todo!() was here once", "fn ignore() {}"] {
        assert_eq!(complaints(forbidden, "src/net.rs", text), Vec::<String>::new(), "{text}");
    }
}
