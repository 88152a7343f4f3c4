//! Making, changing, listing and deleting sessions.

use super::*;

#[tokio::test]
async fn a_session_is_read_back_as_it_was_made() {
    let rig = Rig::new();
    let full = SessionInfo {
        title: Some("Fix the parser".into()),
        title_source: Some(TitleSource::User),
        model: Some("openai:gpt-x".into()),
        closed_at: Some(9),
        ..session("s")
    };
    rig.store.create_session(full.clone()).await.expect("created");
    let stored = rig.store.session(&session_id("s")).await.expect("read").expect("there");
    assert_eq!(stored, StoredSession { info: full, last_update: 0, last_turn: None, prompts: 0 });
    assert_eq!(rig.store.session(&session_id("nobody")).await, Ok(None));
}

#[tokio::test]
async fn a_taken_id_is_refused_and_a_missing_parent_too() {
    let rig = Rig::with_session().await;
    let other = SessionInfo { cwd: "/elsewhere".into(), ..session("s") };
    assert_eq!(rig.store.create_session(other).await, Err(StoreError::SessionTaken));
    let orphan = SessionInfo { parent_session_id: Some(session_id("nobody")), ..session("orphan") };
    assert_eq!(rig.store.create_session(orphan).await, Err(StoreError::UnknownSession));
    assert_eq!(rig.store.session(&session_id("s")).await.expect("read").expect("there").info.cwd, "/work");
}

#[tokio::test]
async fn a_users_title_wins_over_every_other() {
    let rig = Rig::with_session().await;
    let id = session_id("s");
    let set = |title: &str, source| rig.store.change_session(&id, SessionChange::Title { title: title.into(), source });
    for (title, source, applied) in [
        ("from the prompt", TitleSource::Heuristic, true),
        ("from the model", TitleSource::Model, true),
        ("mine", TitleSource::User, true),
        ("from the model, late", TitleSource::Model, false),
        ("from the prompt, late", TitleSource::Heuristic, false),
        ("mine, again", TitleSource::User, true),
    ] {
        assert_eq!(set(title, source).await, Ok(applied), "{title}");
    }
    let info = rig.store.session(&id).await.expect("read").expect("there").info;
    assert_eq!((info.title.as_deref(), info.title_source), (Some("mine, again"), Some(TitleSource::User)));
}

#[tokio::test]
async fn the_other_changes_and_an_unknown_session() {
    let rig = Rig::with_session().await;
    let id = session_id("s");
    for change in
        [SessionChange::Model("ollama:m".into()), SessionChange::Closed(Some(50)), SessionChange::Touched(70), SessionChange::Touched(60)]
    {
        assert_eq!(rig.store.change_session(&id, change.clone()).await, Ok(true));
        assert_eq!(rig.store.change_session(&session_id("nobody"), change).await, Ok(false));
    }
    let info = rig.store.session(&id).await.expect("read").expect("there").info;
    assert_eq!(info, SessionInfo { model: Some("ollama:m".into()), closed_at: Some(50), updated_at: 70, ..session("s") });
    rig.store.change_session(&id, SessionChange::Closed(None)).await.expect("changed");
    assert_eq!(rig.store.session(&id).await.expect("read").expect("there").info.closed_at, None);
}

#[tokio::test]
async fn pages_go_from_the_newest_to_the_oldest_and_hold_each_session_once() {
    let rig = Rig::new();
    // Three of the same instant, so that the time alone does not order them.
    for (name, updated_at) in [("a", 5), ("b", 7), ("c", 7), ("d", 7), ("e", 9)] {
        let cwd = if name == "c" { "/c" } else { "/work" };
        drop(rig.store.create_session(SessionInfo { updated_at, cwd: cwd.into(), ..session(name) }));
    }
    let all = pages(&rig.store, None, 2).await;
    assert_eq!(all, [vec!["e", "d"], vec!["c", "b"], vec!["a"]]);
    assert_eq!(pages(&rig.store, Some("/work"), 4).await, [vec!["e", "d", "b", "a"]], "a full last page has no cursor");
    assert_eq!(pages(&rig.store, Some("/nowhere"), 4).await, [Vec::<String>::new()]);
    assert_eq!(pages(&rig.store, None, 0).await.len(), 5);
}

async fn pages(store: &Store, cwd: Option<&str>, limit: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.list_sessions(ListQuery { cwd: cwd.map(Into::into), cursor, limit }).await.expect("listed");
        pages.push(page.sessions.iter().map(|session| session.session_id.to_string()).collect());
        cursor = page.next_cursor;
        if cursor.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    let rig = Rig::with_session().await;
    for cursor in ["", "7", "x.y", "7.", "7.1.1"] {
        let query = ListQuery { cwd: None, cursor: Some(cursor.into()), limit: 1 };
        assert_eq!(rig.store.list_sessions(query).await, Err(StoreError::BadCursor), "{cursor:?}");
    }
}

#[tokio::test]
async fn a_deleted_session_leaves_nothing_and_takes_its_children_along() {
    let rig = Rig::with_session().await;
    let child = |name: &str, parent: &str| SessionInfo { parent_session_id: Some(session_id(parent)), ..session(name) };
    for new in [child("child", "s"), child("grandchild", "child"), session("other")] {
        drop(rig.store.create_session(new));
    }
    for name in ["s", "grandchild", "other"] {
        drop(rig.store.begin_turn(turn(name, &format!("{name}-turn"))));
        drop(rig.store.add_part(&answer_of(&format!("{name}-turn")), 0, Part::text("a")));
        drop(rig.store.extend_part(&answer_of(&format!("{name}-turn")), 0, "b".into()));
        rig.store.end_turn(aborted(name, &format!("{name}-turn"))).await.expect("ended");
    }
    assert_eq!(rig.store.delete_session(&session_id("s")).await, Ok(true));
    assert_eq!(rig.store.delete_session(&session_id("s")).await, Ok(false));
    rig.store.close().await.expect("closed");

    let conn = rusqlite::Connection::open(rig.file()).expect("opened");
    for (table, left) in [("session", 1), ("turn", 1), ("message", 2), ("part", 3), ("part_text", 1), ("diagnostic", 2)] {
        let count: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("counted");
        assert_eq!(count, left, "{table}");
    }
}
