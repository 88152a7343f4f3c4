//! Turns: their beginning, their parts, their one end, who owns them and what is left of a dead process.

use super::*;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_turn_is_its_prompt_its_answer_and_one_end() {
    let rig = Rig::with_session().await;
    rig.store.begin_turn(turn("s", "t")).await.expect("begun");
    let answer = answer_of("t");
    drop(rig.store.add_part(&answer, 0, Part::reasoning("hm")));
    drop(rig.store.extend_part(&answer, 0, ", yes".into()));
    drop(rig.store.add_part(&answer, 1, Part::tool_call("c1", "read_file", serde_json::json!({"path": "a"}))));
    drop(rig.store.add_part(&answer, 2, Part::text("replaced")));
    drop(rig.store.extend_part(&answer, 2, " with all that was added".into()));
    drop(rig.store.add_part(&answer, 2, Part::text("Hel")));
    let parts = vec![
        PartWrite::Extend { ordinal: 2, text: "lo".into() },
        PartWrite::Put { ordinal: 3, part: Part::text("") },
        PartWrite::Extend { ordinal: 3, text: "more".into() },
    ];
    rig.store.end_turn(EndTurn { parts, ..end("s", "t") }).await.expect("ended");

    let history = rig.store.history(&session_id("s")).await.expect("read").messages;
    let expected = [
        turn("s", "t").prompt,
        Message {
            message_id: answer,
            role: Role::Assistant,
            created_at: 100,
            parts: vec![
                Part::reasoning("hm, yes"),
                Part::tool_call("c1", "read_file", serde_json::json!({"path": "a"})),
                Part::text("Hello"),
                Part::text("more"),
            ],
            turn_id: Some(TurnId::new("t")),
            model: Some("scripted:y".into()),
        },
    ];
    assert_eq!(history, expected);
    let stored = rig.store.session(&session_id("s")).await.expect("read").expect("there");
    let last_turn = LastTurn { turn_id: TurnId::new("t"), stop: Some(TurnStop::EndTurn), abort_id: None };
    assert_eq!((stored.info.updated_at, stored.last_update, stored.prompts), (200, 7, 1));
    assert_eq!(stored.last_turn, Some(last_turn));
}

#[tokio::test]
async fn the_history_of_a_running_turn_can_be_read() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    drop(rig.store.add_part(&answer_of("t"), 0, Part::text("so far")));
    let history = rig.store.history(&session_id("s")).await.expect("read").messages;
    assert_eq!(history[1].parts, [Part::text("so far")]);
    assert_eq!(rig.store.session(&session_id("s")).await.expect("read").expect("there").last_turn.expect("a turn").stop, None);
}

#[tokio::test]
async fn a_terminal_record_never_changes() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    drop(rig.store.add_part(&answer_of("t"), 0, Part::text("kept")));
    rig.store.end_turn(aborted("s", "t")).await.expect("ended");
    let before = rig.store.recent_aborts(9).await.expect("read");

    let mut second = aborted("s", "t");
    second.abort = Some(Abort { cause: Cause::ClientEof, abort_id: AbortId::new("late"), ..abort("s", "t") });
    second.traces = vec![trace("s", "t", "a", StreamState::Completed)];
    second.parts = vec![PartWrite::Put { ordinal: 0, part: Part::text("changed") }];
    assert_eq!(rig.store.end_turn(second).await, Err(StoreError::TurnEnded));
    assert_eq!(rig.store.end_turn(end("s", "t")).await, Err(StoreError::TurnEnded));
    // A step that finishes late finds the message closed.
    assert_eq!(rig.store.add_part(&answer_of("t"), 1, Part::text("late")).await, Err(StoreError::TurnEnded));
    assert_eq!(rig.store.extend_part(&answer_of("t"), 0, "late".into()).await, Err(StoreError::TurnEnded));

    assert_eq!(rig.store.recent_aborts(9).await.expect("read"), before);
    assert_eq!(before, [abort("s", "t")]);
    assert_eq!(rig.store.history(&session_id("s")).await.expect("read").messages[1].parts, [Part::text("kept")]);
    rig.store.close().await.expect("closed");

    // Not even by hand: the table refuses.
    let conn = rusqlite::Connection::open(rig.file()).expect("opened");
    for change in ["UPDATE turn SET stop = 'end_turn'", "UPDATE diagnostic SET body = '{}'"] {
        assert!(conn.execute(change, []).expect_err(change).to_string().contains("never changes"));
    }
}

#[tokio::test]
async fn an_end_that_fails_leaves_nothing_behind() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    // The last part names one that is not there; the trace and the first part were written before it failed.
    let parts = vec![PartWrite::Put { ordinal: 0, part: Part::text("x") }, PartWrite::Extend { ordinal: 5, text: "y".into() }];
    let broken = EndTurn { parts, traces: vec![trace("s", "t", "a", StreamState::Completed)], ..aborted("s", "t") };
    assert_eq!(rig.store.end_turn(broken).await, Err(StoreError::UnknownPart(5)));
    assert_eq!(rig.store.history(&session_id("s")).await.expect("read").messages[1].parts, []);
    assert_eq!(rig.store.recent_aborts(9).await, Ok(Vec::new()));
    rig.store.end_turn(aborted("s", "t")).await.expect("the turn can still be ended");
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let rig = Rig::with_session().await;
    assert_eq!(rig.store.begin_turn(turn("nobody", "t")).await, Err(StoreError::UnknownSession));
    assert_eq!(rig.store.end_turn(end("s", "t")).await, Err(StoreError::UnknownTurn));
    assert_eq!(rig.store.add_part(&answer_of("t"), 0, Part::text("x")).await, Err(StoreError::UnknownMessage));
    rig.store.begin_turn(turn("s", "t")).await.expect("begun");
    assert!(matches!(rig.store.begin_turn(turn("s", "t")).await, Err(StoreError::IdTaken(_))));
    assert_eq!(rig.store.extend_part(&answer_of("t"), 0, "x".into()).await, Err(StoreError::UnknownPart(0)));
}

#[tokio::test]
async fn a_session_belongs_to_one_live_process() {
    let rig = Rig::with_session().await;
    let elsewhere = other_live_process();
    drop(rig.store.begin_turn_as(elsewhere.clone(), turn("s", "theirs")));
    assert_eq!(rig.store.owner(&session_id("s")).await, Ok(Some(elsewhere.clone())));
    assert_eq!(rig.store.begin_turn(turn("s", "ours")).await, Err(StoreError::OwnedElsewhere(elsewhere)));
    assert_eq!(rig.store.history(&session_id("s")).await.expect("read").messages.len(), 2, "the refused turn left nothing");

    rig.store.end_turn(end("s", "theirs")).await.expect("ended");
    assert_eq!(rig.store.owner(&session_id("s")).await, Ok(None));
    rig.store.begin_turn(turn("s", "ours")).await.expect("free now");
    assert_eq!(rig.store.owner(&session_id("s")).await, Ok(None), "this process is no other");
}

#[tokio::test]
async fn a_session_is_kept_until_its_last_turn_ends() {
    let rig = Rig::with_session().await;
    let elsewhere = other_live_process();
    // The second one waits behind the first and is withdrawn: while the first still runs, and when it has just ended.
    for (run, ends) in [("1", ["1.second", "1.first"]), ("2", ["2.first", "2.second"])] {
        for name in ["first", "second"] {
            rig.store.begin_turn_as(elsewhere.clone(), turn("s", &format!("{run}.{name}"))).await.expect("begun");
        }
        rig.store.end_turn(end("s", ends[0])).await.expect("ended");
        assert_eq!(rig.store.owner(&session_id("s")).await, Ok(Some(elsewhere.clone())));
        rig.store.end_turn(end("s", ends[1])).await.expect("ended");
        assert_eq!(rig.store.owner(&session_id("s")).await, Ok(None));
    }
}

#[tokio::test]
async fn a_turn_is_told_which_one_was_before_it() {
    let rig = Rig::with_session().await;
    assert_eq!(rig.store.begin_turn(turn("s", "one")).await, Ok(None));
    rig.store.end_turn(end("s", "one")).await.expect("ended");
    assert_eq!(rig.open_again().begin_turn(turn("s", "two")).await, Ok(Some(TurnId::new("one"))));
}

#[tokio::test]
async fn a_dead_process_loses_its_session_and_its_turn_is_found() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn_as(dead_process(), BeginTurn { titles_off: true, ..turn("s", "lost") }));
    drop(rig.store.add_part(&answer_of("lost"), 0, Part::text("half a ")));
    drop(rig.store.extend_part(&answer_of("lost"), 0, "word".into()));
    drop(rig.store.add_part(&answer_of("lost"), 4, Part::text("gap")));
    for (attempt, state) in [("a1", StreamState::Open), ("a1", StreamState::Failed), ("a2", StreamState::Open)] {
        drop(rig.store.record(Diagnostic::Trace(trace("s", "lost", attempt, state))));
    }
    for (call, outcome) in [("c1", None), ("c1", Some(ResultStatus::Completed)), ("c2", None)] {
        drop(rig.store.record(Diagnostic::ToolRun(tool_run("s", "lost", call, outcome))));
    }
    drop(rig.store.record(Diagnostic::Title(title("s", "lost", "run", false))));
    let next = rig.open_again();
    rig.store.close().await.expect("closed");

    assert_eq!(next.owner(&session_id("s")).await, Ok(None));
    next.begin_turn(turn("s", "next")).await.expect("taken over");
    let BeginTurn { turn: lost, prompt_request, .. } = turn("s", "lost");
    let mut found = next.abandoned().await.expect("read").turns;
    assert_eq!(found[0].last_sign.0, SignOfLife::OutputKept, "of these rows only the parts are of today");
    let expected = AbandonedTurn {
        turn: TurnInfo { prompt_request: Some(prompt_request), ..lost },
        parts: vec![Part::text("half a word"), Part::text("gap")],
        next_part: 5,
        owner: dead_process(),
        waiting: None,
        accepted: None,
        last_sign: found[0].last_sign,
        open_traces: vec![trace("s", "lost", "a2", StreamState::Open)],
        is_first: true,
        titles_off: true,
        backs_off: false,
        tool_runs: vec![tool_run("s", "lost", "c1", Some(ResultStatus::Completed)), tool_run("s", "lost", "c2", None)],
        title: Some(title("s", "lost", "run", false)),
    };
    assert_eq!((found.pop(), found), (Some(expected), Vec::new()), "and the live turn is not among them");
    let open = next.open_turns().await.expect("read").into_iter().map(|turn| (turn.turn_id, turn.is_alive));
    assert_eq!(open.collect::<Vec<_>>(), [(TurnId::new("lost"), false), (TurnId::new("next"), true)]);

    let closing = Closing {
        session_id: session_id("s"),
        begin: None,
        end: Some(aborted("s", "lost")),
        title: Some(title("s", "lost", "run", true)),
        title_states: Vec::new(),
    };
    let (first, second) = (next.close_abandoned(closing.clone()), next.close_abandoned(closing));
    assert_eq!((first.await, second.await), (Ok(()), Err(StoreError::TurnEnded)), "once");
    assert_eq!(next.abandoned().await, Ok(Abandoned::default()));
    let held: Option<u32> = rusqlite::Connection::open(rig.file())
        .and_then(|conn| conn.query_row("SELECT owner_pid FROM session", [], |row| row.get(0)))
        .expect("read");
    assert_eq!(held, Some(std::process::id()), "the end of the dead process's turn does not release the live one's hold");
}

#[tokio::test]
async fn only_the_end_of_a_turn_waits_for_the_disk() {
    let rig = Rig::with_session().await;
    let level = |conn: &Connection| Ok(conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?);
    let (normal, full) = (1, 2);
    for _ in 0..2 {
        assert_eq!(rig.store.write(level).await, Ok(normal));
        assert_eq!(rig.store.write_with(Durability::Power, level).await, Ok(full));
    }
}

#[tokio::test]
async fn what_begins_the_log_waits_for_no_disk_and_all_that_comes_after_does() {
    let rig = Rig::new();
    let level = |conn: &Connection| Ok(conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?);
    let (off, normal) = (0, 1);
    assert_eq!(rig.store.write(level).await, Ok(off));
    assert_eq!(rig.store.read(level).await, Ok(normal), "nothing but the transaction goes without");
    rig.store.create_session(session("s")).await.expect("created");
    assert_eq!(rig.store.write(level).await, Ok(normal));
    let again = rig.open_again();
    assert_eq!(again.write(level).await, Ok(normal), "another process's log is not new");
}

#[tokio::test]
async fn who_wants_to_be_told_of_an_end_is_told_once_by_a_closed_store_too() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let end_it = |tell: &tokio::sync::mpsc::UnboundedSender<_>| {
        let tell = tell.clone();
        rig.store.end_turn_then(end("s", "t"), move |stored| drop(tell.send(stored)));
    };
    end_it(&tell);
    end_it(&tell);
    assert_eq!(told.recv().await, Some(Ok(1)));
    assert_eq!(told.recv().await, Some(Err(StoreError::TurnEnded)));
    let closed = rig.store.close();
    end_it(&tell);
    closed.await.expect("closed");
    end_it(&tell);
    drop(tell);
    assert_eq!(told.recv().await, Some(Err(StoreError::Closed)), "it stood behind the close");
    assert_eq!(told.recv().await, Some(Err(StoreError::Closed)));
    assert_eq!(told.recv().await, None);
}

#[tokio::test]
async fn ten_thousand_parts_and_pieces_are_cheap() {
    let rig = Rig::with_session().await;
    drop(rig.store.begin_turn(turn("s", "t")));
    // The costs are those of the piece, not of what it is added to: the second half is not dearer than the first.
    let mut added = Vec::new();
    for half in [0..5_000, 5_000..10_000] {
        let began = Instant::now();
        for ordinal in half {
            drop(rig.store.add_part(&answer_of("t"), ordinal, Part::text("a part of some forty characters of text.")));
        }
        rig.store.ready().await.expect("stored");
        added.push(began.elapsed());
    }
    let mut halves = Vec::new();
    for _ in 0..2 {
        let began = Instant::now();
        for _ in 0..5_000 {
            drop(rig.store.extend_part(&answer_of("t"), 0, "x".repeat(200)));
        }
        rig.store.ready().await.expect("stored");
        halves.push(began.elapsed());
    }
    rig.store.end_turn(end("s", "t")).await.expect("ended");
    let history = rig.store.history(&session_id("s")).await.expect("read").messages;
    assert_eq!(history[1].parts.len(), 10_000);
    assert_eq!(history[1].parts[0].text.as_ref().map(String::len), Some(40 + 10_000 * 200));
    // Wide enough for an unoptimized build on a busy machine; a rewrite of the text each time would be a hundred times this.
    for halves in [added, halves] {
        assert!(halves[1] < halves[0] * 4 + Duration::from_millis(200), "{halves:?}");
    }
}

#[tokio::test]
async fn a_prompt_that_waits_is_kept_until_its_turn_begins_or_its_process_is_dead() {
    let rig = Rig::with_session().await;
    for name in ["begins", "is forgotten", "is lost"] {
        rig.store.keep_waiting(turn("s", name)).await.expect("kept");
    }
    rig.store.begin_turn(turn("s", "begins")).await.expect("begun");
    rig.store.forget_waiting(&TurnId::new("is forgotten")).await.expect("forgotten");
    let next = rig.open_again();
    assert_eq!(next.abandoned().await, Ok(Abandoned::default()), "its process lives");
    rig.store.end_turn(end("s", "begins")).await.expect("ended");
    let Rig { dir, store } = rig;
    store.close().await.expect("closed");
    drop(store);
    // The lock is given back by the thread, which may still be on its way out.
    let lost = loop {
        if let Some(lost) = next.abandoned().await.expect("read").turns.pop() {
            break lost;
        }
    };
    assert_eq!((&lost.turn.turn_id, lost.last_sign), (&TurnId::new("is lost"), (SignOfLife::PromptAccepted, 99)));
    let begin = lost.waiting.map(|begin| (lost.owner, begin));
    let closing = Closing { session_id: session_id("s"), begin, end: Some(aborted("s", "is lost")), title: None, title_states: Vec::new() };
    next.close_abandoned(closing.clone()).await.expect("closed");
    assert_eq!(next.close_abandoned(closing).await, Err(StoreError::TurnEnded));
    let history = next.history(&session_id("s")).await.expect("read");
    assert_eq!(
        history.messages.iter().map(|message| message.message_id.as_str()).collect::<Vec<_>>(),
        ["begins.user", "begins.answer", "is lost.user", "is lost.answer"]
    );
    drop(dir);
}
