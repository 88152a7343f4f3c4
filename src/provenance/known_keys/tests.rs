//! What must not get through, and what must.

use super::*;
use crate::protocol::abort::{CancelOutcome, CancelRequest};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::protocol::ids::{CancelId, RequestId, SessionId};

const KEY: &str = "sk-proj/é\"9 +\\Zz~\u{1F600}7?>";

fn keys() -> KnownKeys {
    KnownKeys::new(vec![KEY.into(), "short".into(), String::new()])
}

/// RFC 4648, so that the pattern is not tested with its own code.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    bytes
        .chunks(3)
        .flat_map(|group| {
            let word = group.iter().enumerate().fold(0u32, |word, (i, byte)| word | u32::from(*byte) << (16 - 8 * i));
            (0..=group.len()).map(move |i| char::from(alphabet[(word >> (18 - 6 * i) & 63) as usize]))
        })
        .collect()
}

#[test]
fn a_key_is_found_in_every_spelling() {
    let bytes = KEY.as_bytes();
    let json = serde_json::to_string(KEY).expect("json");
    let units: String = KEY.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    let percent = |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    let spellings = [
        KEY.to_owned(),
        json[1..json.len() - 1].to_owned(),
        json[1..json.len() - 1].replace('/', "\\/"),
        units.clone(),
        units.to_lowercase(),
        bytes.iter().map(percent).collect(),
        bytes.iter().map(percent).collect::<String>().replace("%20", "+"),
        bytes.iter().map(|byte| format!("%{byte:02x}")).collect(),
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
    ];
    for spelling in spellings {
        let clean = keys().scrub(&format!("before {spelling} after")).into_owned();
        assert_eq!(clean, format!("before {PLACEHOLDER} after"), "{spelling}");
        assert_eq!(keys().count(&format!("{spelling}, {spelling}")), 2);
    }
}

#[test]
fn a_key_is_found_inside_base64_whatever_stands_around_it() {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for alphabet in [STANDARD, URL_SAFE] {
        for before in ["", "u", "us", "user:", "Basic"] {
            for after in ["", "x", "xy", "\n\n\n"] {
                let text = base64(format!("{before}{KEY}{after}").as_bytes(), alphabet);
                let clean = keys().scrub(&text).into_owned();
                assert!(clean.contains(PLACEHOLDER), "{text}");
                // Of the key at most the digits that it shares with its neighbours are left.
                assert!(clean.len() <= PLACEHOLDER.len() + (before.len() + after.len()) * 4 / 3 + 6, "{clean}");
            }
        }
    }
}

#[test]
fn a_long_key_is_found_piece_by_piece_and_many_keys_at_once() {
    let long: String = (0..4000u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)).collect();
    let mut all: Vec<String> = (0..60).map(|i| format!("{i}-environment-secret-value-{}", i * 7919)).collect();
    all.push(long.clone());
    let keys = KnownKeys::new(all.clone());
    assert!(matches!(keys.search(), Search::Keys(_)));
    let clean = keys.scrub(&long).into_owned();
    assert!(clean.replace(PLACEHOLDER, "").is_empty(), "{clean}");
    for key in all {
        assert!(!keys.scrub(&format!("x{key}x")).contains(&key));
    }
}

#[test]
fn a_part_of_a_long_key_is_found_in_every_spelling() {
    let long: String = (0..3000u32).map(|i| char::from(b'!' + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 90)).collect();
    let keys = KnownKeys::new(vec![long.clone()]);
    let json = serde_json::to_string(&long).expect("json");
    let in_json = serde_json::to_string(&json).expect("json in json");
    let url: String = long.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let hex: String = long.bytes().map(|byte| format!("{byte:02x}")).collect();
    for spelling in [&long, &json[1..json.len() - 1], &in_json, &url, &hex] {
        let clean = keys.scrub(spelling).into_owned();
        assert!(clean.len() < PLACEHOLDER.len() + 8, "{clean}");
        let part = &spelling[spelling.len() / 3..spelling.len() / 3 * 2];
        let clean = keys.scrub(part).into_owned();
        // At either end less than a window, in the longest spelling of its bytes.
        assert!(clean.contains(PLACEHOLDER) && clean.len() < PLACEHOLDER.len() + 2 * 64 * 4, "{} of {}", clean.len(), part.len());
    }
}

#[test]
fn what_an_escape_leaves_in_doubt_is_found_either_way() {
    for key in ["a%41b%42c%43", r#"say "%41" twice"#, r"C:\\share\u0041\dir", "caf\u{e9}-\u{1F600}-secret"] {
        let keys = KnownKeys::new(vec![key.into()]);
        let json = serde_json::to_string(key).expect("json");
        for text in [key.to_owned(), json.clone(), serde_json::to_string(&json).expect("json in json")] {
            assert_eq!(keys.count(&text), 1, "{key} in {text}");
        }
    }
}

#[test]
fn other_text_is_left_alone_without_a_copy() {
    assert!(matches!(keys().scrub("a short text without one"), Cow::Borrowed(_)));
    assert!(KnownKeys::new(vec!["short".into(), "redacted".into(), "known_key".into()]).is_empty());
    assert!(matches!(KnownKeys::default().scrub(KEY), Cow::Borrowed(_)));
}

#[test]
fn bytes_that_are_no_text_stay_and_the_keys_between_them_go() {
    let bytes = [b"\xff", KEY.as_bytes(), b"\xe2\x82", KEY.as_bytes(), b"\0caf\xe9"].concat();
    let clean = [b"\xff", PLACEHOLDER.as_bytes(), b"\xe2\x82", PLACEHOLDER.as_bytes(), b"\0caf\xe9"].concat();
    assert_eq!(keys().scrub_bytes(&bytes), clean);
    assert!(matches!(KnownKeys::default().scrub_bytes(&bytes), Cow::Borrowed(kept) if kept == bytes));
}

#[test]
fn more_keys_than_can_be_looked_for_hide_everything() {
    let keys = KnownKeys::new((0..4_000).map(|i| format!("{i:0>30}")).collect());
    assert_eq!(keys.scrub("anything"), PLACEHOLDER);
    assert_eq!(keys.count("anything"), 1);
}

#[test]
fn variables_are_chosen_by_the_words_of_their_names() {
    let variables = [
        ("OPENAI_API_KEY", "openai-value-1"),
        ("GITHUB_TOKEN", "github-value-1"),
        ("db_password", "password-value"),
        ("AWS_SECRET_ACCESS_KEY", "aws-value-123"),
        ("DBPASSWORD", "other-password"),
        ("SSH_KEY_PATH", "/home/somebody/key"),
        ("KEYBOARD", "keyboard-layout"),
        ("HOME", "/home/somebody"),
    ];
    let keys =
        KnownKeys::from_environment(Some("configured-key"), variables.map(|(name, value)| (name.into(), value.into())), names_a_secret);
    assert_eq!(format!("{keys:?}"), "KnownKeys(6)");
    for gone in ["configured-key", "openai-value-1", "github-value-1", "password-value", "aws-value-123", "other-password"] {
        assert_eq!(keys.scrub(gone), PLACEHOLDER);
    }
    for kept in ["keyboard-layout", "/home/somebody", "/home/somebody/key"] {
        assert_eq!(keys.scrub(kept), kept);
    }
}

#[test]
fn the_names_of_secrets_are_known() {
    for name in [
        "GITHUB_PAT",
        "AZURE_DEVOPS_EXT_PAT",
        "gh_pat",
        "PGPASSWORD",
        "PGPASSFILE",
        "NPM_AUTH",
        "DOCKER_AUTH_CONFIG",
        "npm_config__auth",
        "npm_config_//registry.npmjs.org/:_authToken",
        "PROXY_AUTHORIZATION",
        "HTTP_BASIC_AUTH",
        "X_AUTH",
        "DATABASE_URL",
        "database_url",
        "HEROKU_POSTGRESQL_URL",
        "REDIS_URL",
        "MONGODB_URI",
        "SENTRY_DSN",
        "AZURE_STORAGE_CONNECTION_STRING",
        "MY_DB_URL",
        "API_KEY",
    ] {
        assert!(names_a_secret(name), "{name}");
    }
    for name in [
        "SSH_AUTH_SOCK",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "XAUTHORITY",
        "POSTGRES_HOST_AUTH_METHOD",
        "AUTH_URL",
        "AUTH_TYPE",
        "AWS_ACCESS_KEY_ID",
        "SSH_KEY_PATH",
        "PAT",
        "PATH",
        "PATTERN",
        "COMPAT",
        "XPAT_H",
        "PGHOST",
        "PGDATABASE",
        "BASE_URL",
        "DATABASE",
        "HOMEPAGE_URL",
        "CONNECTION",
        "STRING",
        "KEYBOARD",
        "",
        "_",
    ] {
        assert!(!names_a_secret(name), "{name}");
    }
}

#[test]
fn free_form_data_loses_keys_in_values_names_and_numbers() {
    let keys = KnownKeys::new(vec!["hunter2hunter2".into(), "1234567890".into()]);
    let value = serde_json::json!({"hunter2hunter2": [{"a": "is hunter2hunter2"}, 1_234_567_890, 7, true, null]});
    assert_eq!(
        keys.scrub_record(value),
        serde_json::json!({PLACEHOLDER: [{"a": format!("is {PLACEHOLDER}")}, PLACEHOLDER, 7, true, null]})
    );
}

#[test]
fn a_record_loses_keys_but_not_its_own_words() {
    let record = CancelRequest {
        cause: Cause::ClientCancel,
        cancel_id: CancelId::new("cancel_1"),
        session_id: SessionId::new("ses_1"),
        initiator: Some(Initiator::Unknown),
        mode: Some(CancelMode::Hard),
        outcome: CancelOutcome::Cancelled,
        at: 1,
        missing: vec![],
        turn_id: None,
        asked_turn_id: None,
        request: None,
        source: Some("cancelled.by.me".into()),
        reason: Some("it is cancelled".into()),
        abort_id: None,
        seq: None,
    };
    let clean = KnownKeys::new(vec!["cancelled".into()]).scrub_record(record.clone());
    let source = Some(format!("{PLACEHOLDER}.by.me"));
    assert_eq!(clean, CancelRequest { source, reason: Some(format!("it is {PLACEHOLDER}")), ..record });
}

#[test]
fn a_request_id_that_is_a_key_is_replaced() {
    let keys = KnownKeys::new(vec!["1234567890".into()]);
    for (id, clean) in [
        (RequestId::from_number(1_234_567_890), PLACEHOLDER.to_owned()),
        (RequestId::from_text("1234567890"), PLACEHOLDER.to_owned()),
        (RequestId::from_text("stop 1234567890"), format!("stop {PLACEHOLDER}")),
    ] {
        assert_eq!(keys.scrub_record(id), RequestId::from_text(&clean));
    }
    for kept in ["7", "null", "18446744073709551616", "\"stop-7\""] {
        let id = RequestId::parse(kept).expect("an id");
        assert_eq!(keys.scrub_record(id.clone()), id);
    }
}

#[test]
fn time_grows_no_faster_than_the_text() {
    // Prefixes of the key without an end: the worst that a text can do to the matcher.
    let keys = KnownKeys::new(vec!["a".repeat(63) + "b", "%25%25%25%25%25%25".into(), "\\\\\\\\\\\\\\\\u0041".into()]);
    let time = |bytes: usize| {
        let hostile = ["a", "%25%2", "\\\\\\u00", "YWFh", "61"].map(|part| part.repeat(bytes / 5 / part.len())).concat();
        let start = std::time::Instant::now();
        let found = keys.count(&hostile);
        (start.elapsed(), found)
    };
    time(1 << 10);
    let (small, _) = time(1 << 17);
    let (large, _) = time(1 << 20);
    let bound = small * 8 * 5 + std::time::Duration::from_millis(200);
    assert!(large < bound, "128 KiB took {small:?}, 1 MiB {large:?}");
}
