//! Ids that a person wrote down, whole or in part.

use super::*;

/// Two sessions whose ids begin alike, the second used last; the first has a turn that was stopped.
async fn rig() -> Rig {
    let rig = Rig::new();
    for (name, updated_at) in [("ses_ab1", 1), ("ses_ab2", 300)] {
        rig.store.create_session(SessionInfo { updated_at, ..session(name) }).await.expect("created");
    }
    rig.store.begin_turn(turn("ses_ab1", "work")).await.expect("begun");
    rig.store.end_turn(aborted("ses_ab1", "work")).await.expect("ended");
    rig
}

/// What each thing that was found is, and where.
async fn found(rig: &Rig, beginning: &str) -> Vec<(NamedKind, String, String, Option<String>)> {
    let named = rig.store.named(beginning).await.expect("read");
    let tell = |named: Named| (named.kind, named.id, named.session.session_id.to_string(), named.turn_id.map(|turn| turn.to_string()));
    named.into_iter().map(tell).collect()
}

#[tokio::test]
async fn an_id_names_a_session_a_turn_or_a_stop() {
    let rig = rig().await;
    let of_session = |id: &str| (NamedKind::Session, id.to_owned(), id.to_owned(), None);
    let of_turn = |kind, id: &str| (kind, id.to_owned(), "ses_ab1".to_owned(), Some("work".to_owned()));
    assert_eq!(found(&rig, "ses_ab1").await, [of_session("ses_ab1")]);
    assert_eq!(found(&rig, "ses_a").await, [of_session("ses_ab2"), of_session("ses_ab1")], "the one that was used last comes first");
    assert_eq!(found(&rig, "work").await, [of_turn(NamedKind::Turn, "work")]);
    assert_eq!(found(&rig, "work.a").await, [of_turn(NamedKind::Abort, "work.abort")]);
    assert_eq!(found(&rig, "wo").await, [of_turn(NamedKind::Abort, "work.abort"), of_turn(NamedKind::Turn, "work")]);
    for nothing in ["ses_ab1x", "SES_AB1", "es_ab1", "ses%", "ses__b1"] {
        assert_eq!(found(&rig, nothing).await, [], "{nothing}");
    }
}

#[tokio::test]
async fn an_id_that_is_the_beginning_of_another_one_names_itself() {
    let rig = rig().await;
    rig.store.create_session(SessionInfo { updated_at: 3, ..session("ses_ab12") }).await.expect("created");
    assert_eq!(found(&rig, "ses_ab1").await, [(NamedKind::Session, "ses_ab1".to_owned(), "ses_ab1".to_owned(), None)]);
}
