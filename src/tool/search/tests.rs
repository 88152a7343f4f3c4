//! What a search finds, leaves out, and how it ends.

use super::*;
use crate::policy::Access;
use crate::tool::documents::uri_of;
use crate::tool::glob::Glob;
use crate::tool::list_directory::ListDirectory;
use crate::tool::read_file::ReadFile;
use crate::tool::test_room::Room;
use std::cell::Cell;

async fn found(room: &Room, input: Value) -> String {
    room.text_of_call(&Search, input).await
}

#[tokio::test]
async fn lines_are_given_with_path_and_number() {
    let room = Room::new();
    room.file("src/a.rs", "fn one() {}\r\nlet x = 1;\nfn two() {}\n");
    room.file("b.md", "fn in prose");
    room.file("hidden/c.rs", "fn three() {}");
    room.file(".gitignore", "hidden");
    assert_eq!(
        found(&room, json!({ "pattern": r"^fn \w+" })).await,
        "b.md:1: fn in prose\nsrc/a.rs:1: fn one() {}\nsrc/a.rs:3: fn two() {}\n"
    );
    assert_eq!(found(&room, json!({ "pattern": "FN one" })).await, "[no match in 3 files]\n");
    assert_eq!(found(&room, json!({ "pattern": "(?i)FN one" })).await, "src/a.rs:1: fn one() {}\n");
}

#[tokio::test]
async fn path_and_glob_narrow_it() {
    let room = Room::new();
    for path in ["a.rs", "src/b.rs", "src/c.ts", "src/deep/d.ts"] {
        room.file(path, "hit");
    }
    assert_eq!(found(&room, json!({ "pattern": "hit", "path": "src", "glob": "*.ts" })).await, "src/c.ts:1: hit\nsrc/deep/d.ts:1: hit\n");
    assert_eq!(found(&room, json!({ "pattern": "hit", "glob": "!src/**" })).await, "a.rs:1: hit\n");
    assert_eq!(found(&room, json!({ "pattern": "hit", "path": "src/b.rs" })).await, "src/b.rs:1: hit\n");
}

#[tokio::test]
async fn nothing_outside_is_searched() {
    let room = Room::new();
    let outside = room.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("a"), "hit").unwrap();
    std::os::unix::fs::symlink(&outside, room.path("dir")).unwrap();
    std::os::unix::fs::symlink("../outside/a", room.path("file")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, room.path("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
    room.file(".git/config", "hit");
    assert_eq!(found(&room, json!({ "pattern": "hit" })).await, "[no match in 0 files]\n");
    for path in ["dir", "file", "..", "pipe", "none"] {
        assert!(room.call(&Search, json!({ "pattern": "hit", "path": path })).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn unsaved_text_is_searched_in_place_of_the_disk() {
    let room = Room::new();
    room.file("a", "disk");
    room.documents.open(&uri_of(&room.path("a")), 2, "first\neditor".into());
    room.documents.open(&uri_of(&room.path("sub/new")), 1, "editor too".into());
    assert_eq!(found(&room, json!({ "pattern": "disk|editor" })).await, "a:2: editor\nsub/new:1: editor too\n");
    assert_eq!(found(&room, json!({ "pattern": "editor", "path": "sub/new" })).await, "sub/new:1: editor too\n");
    assert_eq!(found(&room, json!({ "pattern": "editor", "glob": "!new" })).await, "a:2: editor\n");
}

#[tokio::test]
async fn binary_broken_and_long_lines_do_no_harm() {
    let room = Room::new();
    room.file("binary", b"\0hit");
    room.file("latin", b"hit caf\xe9\n");
    room.file("long", format!("hit {}\n", "ä".repeat(MAX_LINE_BYTES)));
    room.file("new\nline", "hit");
    let text = found(&room, json!({ "pattern": "hit" })).await;
    let long = format!("long:1: hit {} [cut]", "ä".repeat((MAX_LINE_BYTES - 4) / 2));
    assert_eq!(text, format!("latin:1: hit caf\u{fffd}\n{long}\nnew⟨U+000A⟩line:1: hit\n"));
}

#[tokio::test]
async fn matches_are_bounded() {
    let room = Room::new();
    room.file("exactly", "hit\n".repeat(MAX_MATCHES));
    assert!(!found(&room, json!({ "pattern": "hit" })).await.contains('['));
    room.file("one-more", "hit\n");
    let text = found(&room, json!({ "pattern": "hit" })).await;
    assert_eq!(text.lines().count(), MAX_MATCHES + 1);
    assert!(text.ends_with("[there are more matches; narrow the pattern, the path or the glob]\n"));
    room.file("exactly", format!("hit{}\n", "x".repeat(MAX_LINE_BYTES)).repeat(MAX_MATCHES));
    assert!(found(&room, json!({ "pattern": "hit" })).await.len() < MAX_OUTPUT_BYTES + 2 * MAX_LINE_BYTES);
}

#[tokio::test]
async fn bad_patterns_and_globs_are_named() {
    let room = Room::new();
    let told = async |input| room.error_of_call(&Search, input).await;
    assert!(told(json!({ "pattern": "(" })).await.starts_with("invalid regular expression in `pattern` (it matches within one line): "));
    assert!(told(json!({ "pattern": "a\nb" })).await.starts_with("invalid regular expression in `pattern` (it matches within one line): "));
    assert!(told(json!({ "pattern": r"\w{1000}{1000}" })).await.starts_with("invalid regular expression in `pattern`"));
    assert!(told(json!({ "pattern": "a", "glob": "[" })).await.starts_with("invalid glob in `glob`: "));
    assert_eq!(told(json!({})).await, "the argument pattern is missing; it must be a string");
}

#[tokio::test]
async fn a_title_is_short_and_forges_nothing() {
    let room = Room::new();
    let plan = async |pattern: &str| Search.plan(&json!({ "pattern": pattern }), &room.context()).await.unwrap().title;
    assert_eq!(plan("a\u{202e}b").await, "Search . for a⟨U+202E⟩b");
    assert_eq!(plan(&"ä".repeat(99)).await, format!("Search . for {}", "ä".repeat(MAX_TITLE_PATTERN_BYTES / 2)));
}

/// Searches 20 directories of 15 files; the token is pulled at the tenth look at it.
fn stopped_search(input: Value) -> (Result<Found, ToolError>, u32) {
    let room = Room::new();
    for i in 0..300 {
        room.file(&format!("d{}/f{i}", i % 20), "nothing");
    }
    let request = Request::of(&input, &room.workspace).unwrap();
    let token = room.context().token;
    let asked = Cell::new(0);
    let stopped = || {
        asked.set(asked.get() + 1);
        if asked.get() == 10 {
            room.stop();
        }
        token.is_stopped()
    };
    let found = search(&request, &room.workspace, &WorkspaceDocuments::default(), &stopped);
    (found, asked.get())
}

#[test]
fn a_stop_ends_it_between_two_files() {
    let (found, looks) = stopped_search(json!({ "pattern": "hit" }));
    assert_eq!(found.unwrap_err(), told_stopped());
    assert!(looks <= 12, "{looks} looks");
}

#[test]
fn a_stop_ends_it_where_no_file_is_wanted() {
    let (found, looks) = stopped_search(json!({ "pattern": "hit", "glob": "*.none" }));
    assert_eq!(found.unwrap_err(), told_stopped());
    assert!(looks <= 12, "{looks} looks");
}

#[test]
fn a_stop_ends_it_inside_one_large_file() {
    let room = Room::new();
    room.file("large", "nothing here\n".repeat(1 << 20));
    let request = Request::of(&json!({ "pattern": "hit", "path": "large" }), &room.workspace).unwrap();
    let asked = Cell::new(0);
    let stopped = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let error = search(&request, &room.workspace, &WorkspaceDocuments::default(), &stopped).unwrap_err();
    assert_eq!(error, told_stopped());
    assert!(asked.get() <= 6, "{} looks", asked.get());
}

#[tokio::test]
async fn a_stopped_turn_searches_nothing() {
    let room = Room::new();
    room.file("a", "hit");
    room.stop();
    assert_eq!(room.error_of_call(&Search, json!({ "pattern": "hit" })).await, "the search was stopped before it ended");
}

#[tokio::test]
async fn what_rules_hide_is_not_searched_found_or_listed_saved_or_not() {
    let room = Room::new();
    for path in ["open.txt", "secret.txt", "keys/a", "asked.txt"] {
        room.file(path, "needle");
    }
    for path in ["keys/unsaved", "asked/unsaved", "free"] {
        room.documents.open(&uri_of(&room.path(path)), 1, "needle".into());
    }
    room.hide(&["read(secret.txt)", "read(keys/)"], &["read(asked*)"]);
    assert_eq!(
        found(&room, json!({ "pattern": "needle" })).await,
        "open.txt:1: needle\nfree:1: needle\n[1 more, which the user is asked about before they are read; search them by name]\n"
    );
    let told = async |tool: &dyn Tool, input| room.text_of_call(tool, input).await;
    assert_eq!(told(&Glob, json!({ "pattern": "*" })).await, "asked.txt\nopen.txt\n");
    assert_eq!(told(&ListDirectory, json!({})).await, "asked.txt\nopen.txt\n[2 more, which may not be read]\n");
    assert_eq!(told(&ListDirectory, json!({ "path": "keys" })).await, "[1 more, which may not be read]\n");
    for path in ["secret.txt", "keys/a", "keys/unsaved"] {
        let error = room.error_of_call(&ReadFile, json!({ "path": path })).await;
        assert!(error.starts_with(&format!("{path} may not be read (rule read(")), "{error}");
    }
}

#[tokio::test]
async fn a_rule_that_names_a_file_means_it_under_each_of_its_names() {
    let room = Room::new();
    for path in ["secret.txt", "keys/a", "asked.txt", "open.txt"] {
        room.file(path, "needle");
    }
    for (file, name) in [("secret.txt", "one"), ("keys/a", "deep/two"), ("asked.txt", "three"), ("open.txt", "four")] {
        std::fs::create_dir_all(room.path("deep")).unwrap();
        std::fs::hard_link(room.path(file), room.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("one", room.path("link")).unwrap();
    let read = |path: &'static str| room.call(&ReadFile, json!({ "path": path }));
    assert!(read("one").await.is_ok(), "no rule is about it");
    room.hide(&["read(secret.txt)", "read(keys/)"], &["read(asked*)"]);
    for (path, rule) in [("one", "secret.txt"), ("deep/two", "keys/"), ("link", "secret.txt")] {
        let told = read(path).await.unwrap_err().0;
        assert!(told.starts_with(&format!("{path} may not be read (rule read({rule}))")), "{told}");
        let searched = room.error_of_call(&Search, json!({ "pattern": "needle", "path": path })).await;
        assert!(searched.contains(&format!("may not be read (rule read({rule}))")), "{searched}");
    }
    let plan = ReadFile.plan(&json!({ "path": "three" }), &room.context()).await.unwrap();
    assert_eq!(plan.access, Access::Read("asked.txt".into()), "so that the rule about it is asked");
    assert!(read("three").await.is_ok() && read("four").await.is_ok());
    assert_eq!(
        found(&room, json!({ "pattern": "needle" })).await,
        "four:1: needle\nopen.txt:1: needle\n[2 files or directories could not be searched]\n[2 more, which the user is asked about before they are read; search them by name]\n"
    );
}

#[tokio::test]
async fn patterns_that_nest_too_deep_are_refused_and_the_limit_is_named() {
    let room = Room::new();
    room.file("a", "x");
    let groups = |depth: usize| format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(found(&room, json!({ "pattern": groups(40) })).await, "a:1: x\n");
    let told = room.error_of_call(&Search, json!({ "pattern": groups(60) })).await;
    assert!(told.contains("50"), "{told}");
    let told = room.error_of_call(&Search, json!({ "pattern": "x", "glob": "{".repeat(11) })).await;
    assert_eq!(told, "invalid glob in `glob`: its braces or brackets nest deeper than 10 levels");
}
