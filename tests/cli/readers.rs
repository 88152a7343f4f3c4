//! Commands that only read: `sessions`, `export`, `explain`, `doctor`.

use super::*;

#[test]
fn an_export_is_whole_in_a_file_and_through_a_pipe_and_can_be_explained() {
    let user = User::with(ENDLESS);
    user.run_prompt(&["--timeout", "1", "a secret plan"]);
    let id = user.sessions()[0]["sessionId"].as_str().expect("an id").to_owned();
    let file = user.path("export.json");
    let to_file = ["export", &id, "-o", file.to_str().expect("text")];
    assert_eq!(user.run(&to_file).all(), (0, "", ""));
    let (in_file, through_pipe) = (std::fs::read_to_string(&file).expect("a file"), user.run(&["export", &id]).stdout);
    let parsed = |text: &str| {
        let mut export: Value = serde_json::from_str(text).expect("an export");
        export["exported_at"] = Value::Null;
        export
    };
    assert_eq!(parsed(&in_file), parsed(&through_pipe));
    assert!(!in_file.contains("secret plan"), "sanitized by default");

    let again = user.run(&to_file);
    assert_eq!((again.code, again.stderr.contains("is there already; choose another name, or replace it with --force")), (1, true));
    assert_eq!(user.run(&[&to_file[..], &["--force"]].concat()).code, 0);
    let missing = user.path("not there");
    let told = format!("pillion: the directory {} does not exist; make it, or choose another place\n", missing.display());
    assert_eq!(user.run(&["export", &id, "-o", missing.join("x.json").to_str().expect("text")]).all(), (1, "", told.as_str()));

    let story = user.run(&["explain", &id]);
    assert!(story.stdout.contains("The turn was cancelled by a program (cli.timeout)."), "{story:?}");
    let told = user.run(&["explain", file.to_str().expect("text")]);
    assert!(told.stdout.contains("The turn was cancelled by a program (cli.timeout)."), "{told:?}");
    let no_export = user.run(&["explain", user.path("script.json").to_str().expect("text")]);
    assert_eq!((no_export.code, no_export.stderr.contains("give it the output of `pillion export`")), (1, true), "{no_export:?}");
}

#[test]
fn wherever_an_id_is_given_its_beginning_or_last_is_enough() {
    let user = User::with(HELLO);
    for arguments in [&["export", "last"][..], &["explain"], &["explain", "last"]] {
        assert_eq!(user.run(arguments).all(), (1, "", "pillion: there is no session yet; `pillion prompt` begins one\n"), "{arguments:?}");
    }
    user.run_prompt(&["one"]);
    user.run_prompt(&["two"]);
    let ids: Vec<_> = user.sessions().iter().map(|session| session["sessionId"].as_str().expect("an id").to_owned()).collect();
    let [newest, oldest] = &ids[..] else { panic!("two sessions: {ids:?}") };
    let alike = newest.bytes().zip(oldest.bytes()).take_while(|(a, b)| a == b).count();
    let begins = |id: &str| id[..=alike].to_owned();

    // Each command, with every way to name the older one.
    for id in [oldest.clone(), begins(oldest)] {
        assert!(user.run(&["export", &id]).stdout.contains(&format!("\"session_id\":\"{oldest}\"")));
        assert!(user.run(&["explain", &id]).stdout.contains(&format!("\nSession {oldest}\n")));
        assert_eq!(user.run_prompt(&["--session", &id, "more"]).code, 0);
    }
    // It is the last one now.
    for arguments in [&["explain"][..], &["explain", "last"]] {
        assert!(user.run(arguments).stdout.contains(&format!("\nSession {oldest}\n")), "{arguments:?}");
    }
    assert!(user.run(&["export", "last"]).stdout.contains(oldest.as_str()));
    assert_eq!(user.run_prompt(&["--session", "last", "still more"]).code, 0);
    let turns = |id: &str| user.run(&["export", id]).stdout.matches("\"started_at\"").count();
    assert_eq!((turns(oldest) > turns(newest), user.sessions().len()), (true, 2));

    // What several ids begin with is told with all of them, and what none does is told as that.
    let listed = user.run(&["sessions"]).stdout;
    let lines: String = listed.lines().map(|line| format!("  {line}\n")).collect();
    let both = format!("pillion: {} is the beginning of 2 ids; write more of the one that you mean:\n{lines}", &oldest[..alike]);
    for arguments in [&["export"][..], &["explain"], &["prompt", "hi", "--session"]] {
        let said = |id: &str| user.run(&[arguments, &[id]].concat());
        assert_eq!(said(&oldest[..alike]).all(), (1, "", both.as_str()), "{arguments:?}");
        let unknown = said("ses_nobody");
        assert_eq!((unknown.code, unknown.stderr.starts_with("pillion: there is no session ses_nobody")), (1, true), "{unknown:?}");
    }
}

#[test]
fn explain_begins_with_three_lines_for_a_person_and_fits_the_paper() {
    let user = User::with(ENDLESS);
    user.run_prompt(&["--timeout", "1", "a plan"]);
    let told = |columns: Option<&str>, what: &str| {
        let mut command = user.command(&["explain", what]);
        command.envs(columns.map(|columns| ("COLUMNS", columns)));
        Ran::of(command.output().expect("pillion runs")).stdout
    };
    let story = told(Some("1000"), "last");
    let lines: Vec<_> = story.lines().take(3).collect();
    assert_eq!(lines[0], "What happened:  The turn was cancelled by a program (cli.timeout). The model was writing text.");
    let who = "Who did it:     A program (cli.timeout), through pillion-prompt ";
    assert!(lines[1].starts_with(who) && lines[1].contains(", with session/cancel, its request "), "{story}");
    assert_eq!(lines[2], "What to do now: Send the prompt again if you like: nothing was changed, and what had been shown is shown again.");

    // What is told twice differs in the time at which it was exported.
    let words = |story: &str| story.split_whitespace().filter(|word| !word.starts_with("20")).map(str::to_owned).collect::<Vec<_>>();
    // A turn and a stop have ids of their own.
    for kind in ["turn_", "abort_"] {
        let id = story.split([' ', ',', '\n']).find(|word| word.starts_with(kind)).expect("an id");
        assert_eq!(words(&told(Some("1000"), id)), words(&story));
    }
    for (columns, width) in [(None, 100), (Some("60"), 60), (Some("30"), 30), (Some("wide"), 100), (Some("0"), 100)] {
        let narrow = told(columns, "last");
        // Nothing is cut: what has no blank may be longer than the line.
        let fits = |line: &str| line.chars().count() <= width || line.trim_start().split(' ').count() == 1;
        assert!(narrow.lines().all(fits), "{columns:?}: {narrow}");
        assert_eq!(words(&narrow), words(&story));
    }
}

#[test]
fn help_doctor_and_export_end_quietly_when_nobody_reads() {
    let user = User::with(HELLO);
    user.run_prompt(&["hi"]);
    let id = user.sessions()[0]["sessionId"].as_str().expect("an id").to_owned();
    for arguments in [&["--help"][..], &["doctor"], &["sessions"], &["export", &id]] {
        let mut child = user.command(arguments).spawn().expect("pillion runs");
        drop(child.stdout.take());
        let code = child.wait().expect("it ends").code();
        assert!(matches!(code, Some(0 | 141)), "{arguments:?}: {code:?}");
        assert_eq!(stderr(&mut child), "", "{arguments:?}");
    }
}

#[test]
fn version_initialize_and_export_say_the_same() {
    let user = User::with(HELLO);
    user.run_prompt(&["hi"]);
    let runtime = user.export()["runtime"].clone();
    let runtime = |field: &str| runtime[field].as_str().map(str::to_owned);
    let version = user.run(&["--version"]).stdout;
    let parts: Vec<String> = ["channel", "commit", "target"].into_iter().filter_map(runtime).collect();
    let expected = format!("pillion {} ({})\n", runtime("app_version").expect("a version"), parts.join(", "));
    assert_eq!(version, expected);

    let mut server = user.command(&[]).stdin(Stdio::piped()).spawn().expect("pillion runs");
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1}}"#;
    writeln!(server.stdin.take().expect("a pipe"), "{hello}").expect("written");
    let ran = Ran::of(server.wait_with_output().expect("it ends"));
    let answer: Value = serde_json::from_str(&ran.stdout).expect("one answer");
    assert_eq!((ran.code, answer["result"]["agentInfo"]["version"].as_str()), (0, runtime("app_version").as_deref()));
}

#[test]
fn doctor_names_the_places_and_the_last_stop() {
    let user = User::with(ENDLESS);
    user.run_prompt(&["--timeout", "1", "hi"]);
    let ran = user.run(&["doctor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let home = user.home.path().display();
    for line in [
        &format!("settings    {home}/.config/pillion/config.toml (does not exist)"),
        &format!("data        {home}/.local/share/pillion\n"),
        "turns       none chosen",
        "sandbox\n  writes      only to the workspace",
        "\n  network     none; not stopped: services",
        "1 sessions, 1 turns, 0 of them open",
        "The turn was cancelled by a program (cli.timeout).",
    ] {
        assert!(ran.stdout.contains(line), "{line} is not in\n{}", ran.stdout);
    }
}

#[test]
fn who_only_reads_makes_no_store() {
    let user = User::with(HELLO);
    let work = user.path("work").canonicalize().expect("a workspace");
    let no_session_here = format!("pillion: there is no session in {} yet; leave out --continue to begin one\n", work.display());
    let none_yet = "pillion: there is no session yet; `pillion prompt` begins one\n";
    for (arguments, code, stderr) in [
        (&["sessions"][..], 0, ""),
        (&["doctor"], 0, ""),
        (&["explain"], 1, none_yet),
        (&["export", "last"], 1, none_yet),
        (&["export", "ses_1"], 1, "pillion: there is no session ses_1; `pillion sessions` lists them\n"),
        (&["prompt", "--session", "ses_1", "hi"], 1, "pillion: there is no session ses_1; `pillion sessions` lists them\n"),
        (&["prompt", "--continue", "hi"], 1, &no_session_here),
    ] {
        let ran = user.run(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (code, stderr), "{arguments:?}");
        assert!(!user.path(".local").exists(), "{arguments:?}");
    }
    assert!(user.run(&["doctor"]).stdout.contains("store\n  file        none yet; the first session creates it\n"));
}
