//! What a sanitized export lets through: by class, by field, twice, and of hostile input.

use super::*;
use crate::export::Sanitize;
use crate::export::fixture::{CALM, Words, parsed};
use crate::protocol::diagnostics::Diagnostics;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

const CANARY: &str = "Zq7wXv3KpL9mNtR2yB5d";
/// Ids look like a token, texts hold it, so that each class has its own reason to hide it.
const PLANTED: Words = Words { id: "ghp_Zq7wXv3KpL9mNtR2yB5d", text: "the Zq7wXv3KpL9mNtR2yB5d word" };

const SHAPE: Shape = &[
    Field::Named("structure", Class::Structure),
    Field::Named("enum", Class::Enum),
    Field::Named("number", Class::Number),
    Field::Named("id", Class::Id),
    Field::Named("name", Class::Name),
    Field::Named("model", Class::Model),
    Field::Named("tool", Class::Tool),
    Field::Named("path", Class::Path),
    Field::Named("said", Class::Said),
    Field::Named("text", Class::Text),
    Field::Named("secret", Class::Secret),
    Field::Named("record", Class::Record(|| SHAPE)),
];

fn keys() -> Arc<KnownKeys> {
    Arc::new(KnownKeys::new(vec!["known-key-1234".into(), "9876543210".into()]))
}

fn value(projected: &Projected) -> Value {
    serde_json::to_value(projected).expect("JSON")
}

fn sanitized(record: Value) -> Value {
    value(&Redactor::new(Mode::Sanitized, keys()).project(record, SHAPE))
}

#[test]
fn each_class_shows_what_it_may() {
    let record = json!({
        "structure": "rpc.session/cancel", "enum": "client_cancel", "number": 7, "id": ["req-1", 7, null],
        "name": ["Visual Studio Code", "1.98.0+build.7", "req/17 (prompt)", "Éditeur 編集", 7, null],
        "model": ["openrouter:qwen/qwen3-coder", "scripted:turn.json", "local:/home/me/a.gguf", "local:/home/me/b.gguf"],
        "path": "/home/me/src/../main.rs", "text": "hé", "secret": {"a": [1]}, "record": [{"text": "hé"}, {"text": "other"}],
        "tool": "write_file", "said": [
            said::FELL_SILENT, "the tool write_file panicked", "the tool hunter2 panicked",
            said::with(said::CUT_OFF, &[&"http://10.0.0.7:8080"]), said::with(said::CUT_OFF_SAYING, &[&"http://10.0.0.7:8080", &"hunter2"]),
        ],
    });
    let expected = json!({
        "structure": "rpc.session/cancel", "enum": "client_cancel", "number": 7, "id": ["req-1", 7, null],
        "name": ["Visual Studio Code", "1.98.0+build.7", "req/17 (prompt)", "Éditeur 編集", 7, null],
        "model": ["openrouter:qwen/qwen3-coder", "scripted:turn.json", "local:/[path:1]/[path:2]/[path:3].gguf", "local:/[path:1]/[path:2]/[path:4].gguf"],
        "path": "/[path:1]/[path:2]/[path:5]/../[path:6].rs", "text": "[redacted:text:3 len=2]", "secret": "[redacted:json:1 len=9]",
        "record": [{"text": "[redacted:text:3 len=2]"}, {"text": "[redacted:text:4 len=5]"}],
        "tool": "write_file", "said": [
            said::FELL_SILENT, "the tool write_file panicked", "[redacted:text:1 len=25]",
            "http://[path:7] ended the stream before the model had finished",
            "http://[path:7] ended the stream before the model had finished; it said: [redacted:text:2 len=7]",
        ],
    });
    assert_eq!(sanitized(record), expected);
}

#[test]
fn what_does_not_look_like_its_class_is_hidden_and_counted_by_its_rule() {
    let cases = [
        ("id", json!("two words"), "id"),
        ("id", json!("a".repeat(81)), "id"),
        ("id", json!("glpat-0123456789abcdef0123"), "gitlab_token"),
        ("id", json!("x:known-key-1234"), "known_key"),
        ("id", json!(9_876_543_210_u64), "known_key"),
        ("id", json!(true), "json"),
        ("name", json!("two\nlines"), "name"),
        ("name", json!("turned \u{202e}around"), "name"),
        ("name", json!("a".repeat(81)), "name"),
        ("name", json!("Editor glpat-0123456789abcdef0123"), "gitlab_token"),
        ("name", json!("Editor ghp_ 01234567 89abcdef 01234567"), "github_token"),
        ("name", json!("Editor of known-key-1234"), "known_key"),
        ("name", json!("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "opaque_token"),
        ("name", json!(9_876_543_210_u64), "known_key"),
        ("tool", json!("send_the_prompt_home"), "tool"),
        ("structure", json!("line\nbreak"), "structure"),
        ("structure", json!("token=0123456789"), "assigned_secret"),
        ("structure", json!("a".repeat(201)), "structure"),
        ("enum", json!("No_Word"), "enum"),
        ("number", json!("12"), "json"),
        ("text", json!({"a": 1}), "json"),
        ("record", json!("a string"), "json"),
    ];
    for (field, content, rule) in cases {
        let mut redactor = Redactor::new(Mode::Sanitized, keys());
        let shown = value(&redactor.project(json!({ field: content }), SHAPE));
        assert!(placeholder::is_whole(shown[field].as_str().expect("a placeholder")), "{field}: {shown}");
        assert_eq!(redactor.report().rules, [RuleCount { rule: rule.into(), count: 1 }], "{field}");
    }
}

#[test]
fn fields_that_no_shape_names_are_left_out_and_counted() {
    let mut redactor = Redactor::new(Mode::Sanitized, keys());
    let shown = value(&redactor.project(json!({"number": 1, "new": "x", "record": {"newer": {"text": "x"}}}), SHAPE));
    assert_eq!(shown, json!({"number": 1, "record": {}}));
    assert_eq!(redactor.report().unknown_fields, 2);
}

#[test]
fn paths_keep_depth_and_extension_and_nothing_else() {
    let path = |path: &str| sanitized(json!({ "path": path }))["path"].as_str().expect("a path").to_owned();
    assert_eq!(path("/a/b/a.rs"), "/[path:1]/[path:2]/[path:1].rs");
    assert_eq!(path("C:\\Users\\me\\x.ipynb"), "[path:1]\\[path:2]\\[path:3]\\[path:4].ipynb");
    assert_eq!(path("file:///home/x"), "file:///[path:1]/[path:2]");
    assert_eq!(path("https://me:pw@host/a?token=x.rs#y"), "https://[path:1]/[path:2]");
    assert_eq!(path("secretscheme:/x"), "[path:1]/[path:2]");
    assert_eq!(path("./.env"), "./[path:1]");
    assert_eq!(path("a.secretextension"), "[path:1]");
    assert_eq!(path("a.12345"), "[path:1]");
    assert_eq!(path("[path:7].rs"), "[path:1].rs");
    assert_eq!(path(""), "");
}

#[test]
fn a_text_that_looks_like_a_placeholder_is_a_text() {
    let shown = sanitized(json!({"text": "[redacted:text:4111 len=1111]", "id": "[redacted:id:1 len=4]", "path": "[path:4111]/x"}));
    let expected = json!({"text": "[redacted:text:1 len=29]", "id": "[redacted:id:1 len=21]", "path": "[path:1]/[path:2]"});
    assert_eq!(shown, expected);
    for text in ["[redacted:text:1 len=2] and more", "[redacted:text:1 len=2]\n", "[redacted:text:x len=2]", "[redacted:text:01 len=2]"] {
        let shown = value(&Redactor::new(Mode::Again, keys()).project(json!({ "text": text }), SHAPE));
        assert_ne!(shown["text"], text, "even in a document that was sanitized before");
    }
}

/// What tells one shape from another: a shape has no address of its own.
fn identity(shape: Shape) -> String {
    let names = shape.iter().map(|field| match field {
        Field::Named(name, _) => *name,
        Field::Flattened(_) => "..",
    });
    names.collect::<Vec<_>>().join(",")
}

/// Every field below a shape, once, with the identity of the shape that declares it.
fn declared(shape: Shape, fields: &mut BTreeMap<(String, &'static str), Class>) {
    for field in shape {
        match field {
            Field::Flattened(inner) => declared(inner, fields),
            Field::Named(name, class) => {
                let new = fields.insert((identity(shape), name), *class).is_none();
                if let (true, Class::Record(inner)) = (new, class) {
                    declared(inner(), fields);
                }
            }
        }
    }
}

/// Every value that stands in a field below a record.
fn visit(record: &Value, shape: Shape, seen: &mut dyn FnMut(Shape, &'static str, Class, &Value)) {
    for field in shape {
        match field {
            Field::Flattened(inner) => visit(record, inner, seen),
            Field::Named(name, class) => {
                let Some(value) = record.get(name) else { continue };
                for item in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                    seen(shape, name, *class, item);
                    if let Class::Record(inner) = class {
                        visit(item, inner(), seen);
                    }
                }
            }
        }
    }
}

#[test]
fn the_fixture_fills_every_field_and_plants_the_canary_wherever_words_can_stand() {
    // The key makes the export count a rule, so that the report is filled too.
    let full = parsed(&PLANTED.memory().export(Sanitize::No, &["x86_64-unknown"]));
    let mut fields = BTreeMap::new();
    declared(SessionExport::SHAPE, &mut fields);
    assert!(fields.len() > 150, "{} fields", fields.len());
    visit(&full, SessionExport::SHAPE, &mut |shape, name, class, item| {
        let carries = matches!(class, Class::Id | Class::Name | Class::Path | Class::Said | Class::Text | Class::Secret);
        if !item.is_null() && (!carries || item.to_string().contains(CANARY)) {
            fields.remove(&(identity(shape), name));
        }
    });
    assert!(fields.is_empty(), "not filled: {fields:?}");
}

#[test]
fn nothing_planted_is_in_a_sanitized_export_in_any_spelling() {
    let json = PLANTED.memory().export(Sanitize::Yes, &[]);
    let spellings = KnownKeys::new(vec![CANARY.into(), CANARY[..10].into(), CANARY[10..].into(), CANARY.chars().rev().collect()]);
    assert_eq!(spellings.count(&json), 0);
    assert_eq!(spellings.count(&json.to_lowercase()), 0);
    assert!(spellings.count(&PLANTED.memory().export(Sanitize::No, &[])) > 100, "the same search finds them in the full export");
}

#[test]
fn a_secret_in_any_field_of_any_record_is_hidden_even_where_only_our_own_words_belong() {
    fn plant(record: &mut Value, shape: Shape) {
        for field in shape {
            match field {
                Field::Flattened(inner) => plant(record, inner),
                Field::Named(name, class) => match (class, record.get_mut(*name)) {
                    (_, None) | (_, Some(Value::Bool(_))) => {}
                    (Class::Record(inner), Some(Value::Array(records))) => records.iter_mut().for_each(|record| plant(record, inner())),
                    (Class::Record(inner), Some(record)) => plant(record, inner()),
                    (_, Some(value)) => *value = json!(format!("ghp_{CANARY}")),
                },
            }
        }
    }
    let diagnostics = parsed(&CALM.memory().export(Sanitize::No, &[]))["diagnostics"].clone();
    let bundle = json!({
        "abort": diagnostics["aborts"][2], "title_generation": diagnostics["title_generations"][0],
        "stream_traces": diagnostics["stream_traces"], "cancel_requests": diagnostics["cancel_requests"],
    });
    let export = parsed(&CALM.memory().export(Sanitize::No, &[]));
    for (mut document, shape) in [(export, SessionExport::SHAPE), (bundle, Diagnostics::SHAPE)] {
        plant(&mut document, shape);
        assert!(document.to_string().matches(CANARY).count() > 40);
        let shown = value(&Redactor::new(Mode::Sanitized, keys()).project(document, shape)).to_string();
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[test]
fn a_known_key_is_in_no_export_and_the_document_stays_readable() {
    // The second key is spelled like one of our own words: those stay.
    let keys = [CANARY, "cancelled"];
    for sanitize in [Sanitize::Yes, Sanitize::No] {
        let json = PLANTED.memory().export(sanitize, &keys);
        assert_eq!(KnownKeys::new(vec![CANARY.into()]).count(&json), 0);
        let export: SessionExport = serde_json::from_str(&json).expect("an export");
        assert!(export.redaction.rules.iter().any(|rule| rule.rule == "known_key"));
    }
    let full = PLANTED.memory().export(Sanitize::No, &keys);
    assert!(full.contains("the [redacted:known_key] word"), "only the key is missing");
}

#[test]
fn ids_that_are_equal_stay_equal_when_they_are_hidden() {
    let export = parsed(&PLANTED.memory().export(Sanitize::Yes, &[]));
    let root = &export["session"]["info"]["session_id"];
    assert!(placeholder::is_whole(root.as_str().expect("an id")));
    assert_eq!(export["diagnostics"]["aborts"][0]["session_id"], *root);
    assert_ne!(export["diagnostics"]["aborts"][0]["turn_id"], *root);
}

#[test]
fn a_sanitized_document_comes_back_as_it_was_and_a_full_one_as_if_written_sanitized() {
    for words in [CALM, PLANTED] {
        let written = words.memory().export(Sanitize::Yes, &[]);
        let again = sanitize_document(parsed(&written), keys()).expect("a document");
        assert_eq!(value(&again), parsed(&written));
        let full = sanitize_document(parsed(&words.memory().export(Sanitize::No, &[])), keys()).expect("a document");
        let mut shapes = BTreeSet::new();
        visit(&value(&full), SessionExport::SHAPE, &mut |_, name, class, shown| {
            if let (Class::Text, Some(text)) = (class, shown.as_str()) {
                assert!(placeholder::is_whole(text), "{name}: {text}");
                shapes.insert(name.to_owned());
            }
        });
        assert!(shapes.len() >= 5, "{shapes:?}");
        assert_eq!(value(&full)["session"], parsed(&written)["session"]);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z_]{1,12}".prop_map(Value::from),
        "(/?[a-zé .]{0,6}){0,5}(\\.[a-z0-9]{0,7})?".prop_map(Value::from),
        "\\[(redacted:)?(text|path|id|json):[0-9]{1,3}( len=[0-9]{1,3})?\\](/|\\.rs)?".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("structure"),
        Just("enum"),
        Just("number"),
        Just("id"),
        Just("name"),
        Just("path"),
        Just("said"),
        Just("text"),
        Just("secret"),
        Just("record")
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sanitized_stays_as_it_is_when_it_is_sanitized_again(record in any_json()) {
        let once = sanitized(record);
        let mut again = Redactor::new(Mode::Again, keys());
        prop_assert_eq!(value(&again.project(once.clone(), SHAPE)), once);
        prop_assert_eq!(again.report().unknown_fields, 0);
    }

    #[test]
    fn a_text_leaves_nothing_but_its_length_and_its_equality(text in any::<String>()) {
        let shown = sanitized(json!({"text": [text, "x", text]}));
        let length = text.chars().count();
        let first = format!("[redacted:text:1 len={length}]");
        let other = if text == "x" { first.clone() } else { "[redacted:text:2 len=1]".to_owned() };
        prop_assert_eq!(shown, json!({"text": [first, other, first]}));
    }
}

#[test]
fn time_grows_no_faster_than_the_text() {
    let time = |bytes: usize| {
        let hostile = "sk-ant-eyJ.-----BEGIN /known-key-123%6b[path:1].a\u{202e}".repeat(bytes / 48);
        let record = json!({"text": hostile, "path": hostile, "id": hostile, "structure": hostile, "enum": hostile, "secret": hostile});
        let start = std::time::Instant::now();
        sanitized(record.clone());
        value(&Redactor::new(Mode::Full, keys()).project(record, SHAPE));
        start.elapsed()
    };
    time(1 << 10);
    let (small, large) = (time(1 << 17), time(1 << 20));
    assert!(large < small * 8 * 5 + std::time::Duration::from_millis(500), "128 KiB took {small:?}, 1 MiB {large:?}");
}
