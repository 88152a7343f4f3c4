//! The arguments of a call, as its tool's schema says that they must be.
//!
//! Models fill in what they could leave out, and write lists and numbers as text: what is meant without doubt is taken as it is
//! meant. Every error names the argument. Invariant: no limit is enforced that the schema does not say, since the schema is what is
//! enforced.

use super::ToolError;
use crate::protocol::nesting::{MAX_NESTING, is_deeper_than};
use serde_json::{Map, Value};

pub(super) use crate::policy::pattern::MAX_PATTERN_CHARS;

/// Arguments that fit their schema, or one object of a list among them.
#[derive(Debug)]
pub(super) struct Arguments {
    fields: Map<String, Value>,
    /// What stands before their names in an error, such as `edits[1].`.
    within: String,
}

impl Arguments {
    /// `schema` is a tool's, of type object; what it does not name is ignored.
    pub(super) fn of(input: &Value, schema: &Value) -> Result<Self, ToolError> {
        let read = input.as_str().and_then(unfenced).and_then(json);
        match read.as_ref().unwrap_or(input) {
            Value::Object(given) => Self::fitting(given, schema, String::new()),
            Value::String(text) if is_deeper_than(MAX_NESTING, text.as_bytes()) => {
                Err(ToolError(format!("the arguments nest arrays and objects deeper than {MAX_NESTING} levels; send them flatter")))
            }
            Value::String(_) => Err(ToolError("the arguments are no valid JSON object; send them again as one".into())),
            other => Err(ToolError(format!("the arguments must be a JSON object, not {}", kind(other)))),
        }
    }

    pub(super) fn optional_text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// One that the schema requires.
    pub(super) fn text(&self, name: &str) -> &str {
        self.optional_text(name).unwrap_or_default()
    }

    /// A list of strings.
    pub(super) fn optional_texts(&self, name: &str) -> Option<Vec<String>> {
        let items = self.fields.get(name)?.as_array()?;
        Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// What is meant by one of the schema's words.
    pub(super) fn optional_word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.optional_text(name)?;
        words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant)
    }

    pub(super) fn optional_number(&self, name: &str) -> Option<u64> {
        self.fields.get(name)?.as_u64()
    }

    /// False when it is absent.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.fields.get(name) == Some(&Value::Bool(true))
    }

    /// A list of objects.
    pub(super) fn objects(&self, name: &str) -> Vec<Self> {
        let items = self.fields.get(name).and_then(Value::as_array).into_iter().flatten();
        let object =
            |(at, item): (usize, &Value)| Some(Self { fields: item.as_object()?.clone(), within: format!("{}{name}[{at}].", self.within) });
        items.enumerate().filter_map(object).collect()
    }

    /// The argument `name` is wrong.
    pub(super) fn wrong(&self, name: &str, problem: &str) -> ToolError {
        wrong(&format!("{}{name}", self.within), problem)
    }

    fn fitting(given: &Map<String, Value>, schema: &Value, within: String) -> Result<Self, ToolError> {
        let mut fields = Map::new();
        let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let whole = format!("{within}{name}");
            match given.get(name) {
                Some(value) if !is_filler(value, schema, required(name)) => {
                    drop(fields.insert(name.clone(), fitted(value, schema, &whole)?))
                }
                _ if required(name) => return Err(missing(schema, &whole)),
                _ => {}
            }
        }
        Ok(Self { fields, within })
    }
}

/// Whether a model has written this where it could have written nothing.
fn is_filler(value: &Value, schema: &Value, is_required: bool) -> bool {
    match value {
        Value::Null => true,
        // An empty text or list may be what is required.
        _ if is_required => false,
        Value::String(text) if schema["type"] == "string" => text.is_empty(),
        Value::String(text) => matches!(text.trim(), "" | "null" | "None" | "undefined"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The value, as it is meant.
fn fitted(value: &Value, schema: &Value, name: &str) -> Result<Value, ToolError> {
    match schema["type"].as_str() {
        Some("string") => text(value, schema, name),
        Some("integer") => number(value, schema, name),
        Some("boolean") => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true.into()),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false.into()),
            other => Err(wrong(name, &format!("must be true or false, not {}", kind(other)))),
        },
        Some("array") => list(value, schema, name),
        _ => object(value, schema, name),
    }
}

fn text(value: &Value, schema: &Value, name: &str) -> Result<Value, ToolError> {
    let Value::String(text) = value else { return Err(wrong(name, &format!("must be a string, not {}", kind(value)))) };
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        return Err(wrong(name, &format!("must be one of {}", words.join(", "))));
    }
    let (least, most) = (schema["minLength"].as_u64().unwrap_or(0), schema["maxLength"].as_u64().unwrap_or(u64::MAX));
    let length = text.chars().count() as u64;
    if !(least..=most).contains(&length) {
        let count = if least == 0 { format!("at most {most}") } else { format!("{least} to {most}") };
        return Err(wrong(name, &format!("must have {count} characters, not {length}")));
    }
    Ok(value.clone())
}

fn number(value: &Value, schema: &Value, name: &str) -> Result<Value, ToolError> {
    let (least, most) = (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64().unwrap_or(u64::MAX));
    let read = value.as_str().and_then(|text| json(text.trim()));
    match whole(read.as_ref().unwrap_or(value)) {
        Some(number) if (least..=most).contains(&number) => Ok(number.into()),
        _ => Err(wrong(name, &format!("must be a whole number from {least} to {most}"))),
    }
}

fn list(value: &Value, schema: &Value, name: &str) -> Result<Value, ToolError> {
    let of_objects = schema["items"]["type"] == "object";
    let read = value.as_str().and_then(json);
    let items = match read.as_ref().unwrap_or(value) {
        Value::Array(items) => items.as_slice(),
        one @ Value::Object(_) if of_objects => std::slice::from_ref(one),
        _ if of_objects => return Err(wrong(name, &format!("must be an array of objects; it is {}", kind(value)))),
        _ => return Err(wrong(name, &format!("must be an array of strings, not {}", kind(value)))),
    };
    let (least, most) = (schema["minItems"].as_u64().unwrap_or(0), schema["maxItems"].as_u64().unwrap_or(u64::MAX));
    if !(least..=most).contains(&(items.len() as u64)) {
        let what = if of_objects { "objects" } else { "strings" };
        let count = if most == u64::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
        return Err(wrong(name, &format!("must have {count} {what}, not {}", items.len())));
    }
    let item = |(at, item): (usize, &Value)| fitted(item, &schema["items"], &format!("{name}[{at}]"));
    items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::Array)
}

fn object(value: &Value, schema: &Value, name: &str) -> Result<Value, ToolError> {
    let read = value.as_str().and_then(json);
    match read.as_ref().unwrap_or(value) {
        Value::Object(fields) => Ok(Value::Object(Arguments::fitting(fields, schema, format!("{name}."))?.fields)),
        _ => Err(wrong(name, &format!("must be an object, not {}", kind(value)))),
    }
}

fn missing(schema: &Value, name: &str) -> ToolError {
    match schema["type"].as_str() {
        Some("array") if schema["items"]["type"] == "object" => wrong(name, "must be an array of objects; it is missing"),
        Some("integer") => wrong(name, "is missing; it must be a whole number"),
        Some("boolean") => wrong(name, "is missing; it must be true or false"),
        Some(kind @ ("array" | "object")) => wrong(name, &format!("is missing; it must be an {kind}")),
        _ => wrong(name, "is missing; it must be a string"),
    }
}

fn wrong(name: &str, problem: &str) -> ToolError {
    ToolError(format!("the argument {name} {problem}"))
}

/// Models write `10.0` where they mean 10.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..=1e15).contains(&number)).then_some(number as u64)
    })
}

/// What is in a text that is JSON and nests no deeper than what is stored.
fn json(text: &str) -> Option<Value> {
    if is_deeper_than(MAX_NESTING, text.as_bytes()) { None } else { serde_json::from_str(text).ok() }
}

/// A text without the fence of a code block around it.
fn unfenced(text: &str) -> Option<&str> {
    let text = text.trim();
    let Some(inside) = text.strip_prefix("```") else { return Some(text) };
    inside.trim_start_matches(char::is_alphanumeric).strip_suffix("```")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn schema() -> Value {
        let edit = json!({
            "type": "object", "required": ["old"],
            "properties": { "old": { "type": "string" }, "kind": { "type": "string", "enum": ["a", "b"] } },
        });
        json!({
            "type": "object", "required": ["path"],
            "properties": {
                "path": { "type": "string" },
                "note": { "type": "string", "maxLength": 4 },
                "limit": { "type": "integer", "minimum": 1, "maximum": 10 },
                "flag": { "type": "boolean" },
                "words": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                "edits": { "type": "array", "items": edit, "minItems": 1, "maxItems": 2 },
            },
        })
    }

    /// What was understood of these arguments beside a path.
    fn meant(name: &str, value: &Value) -> Result<Option<Value>, String> {
        let mut fields = Arguments::of(&json!({ "path": "p", name: value }), &schema()).map_err(|error| error.0)?.fields;
        Ok(fields.remove(name))
    }

    #[test]
    fn what_models_write_is_taken_as_it_is_meant() {
        let edit = json!({ "old": "" });
        for (name, written, understood) in [
            ("limit", json!("10"), json!(10)),
            ("limit", json!(" 10.0 "), json!(10)),
            ("limit", json!(10.0), json!(10)),
            ("flag", json!("True"), json!(true)),
            ("flag", json!("false"), json!(false)),
            ("words", json!("[\"a\", \"\"]"), json!(["a", ""])),
            ("edits", json!([edit]), json!([edit])),
            ("edits", edit.clone(), json!([edit])),
            ("edits", json!(edit.to_string()), json!([edit])),
            ("edits", json!(json!([edit, edit]).to_string()), json!([edit, edit])),
            ("edits", json!([edit.to_string()]), json!([edit])),
            ("edits", json!([{ "old": "", "kind": "", "more": 1 }]), json!([edit])),
        ] {
            assert_eq!(meant(name, &written), Ok(Some(understood)), "{name}: {written}");
        }
        for name in ["note", "limit", "flag", "words", "edits"] {
            for filler in [json!(null), json!(""), json!([]), json!({})] {
                assert_eq!(meant(name, &filler), Ok(None), "{name}: {filler}");
            }
        }
        assert_eq!((meant("limit", &json!("null")), meant("note", &json!("null"))), (Ok(None), Ok(Some(json!("null")))));
    }

    #[test]
    fn errors_name_the_argument_and_its_limits() {
        for (name, value, told) in [
            ("path", json!(3), "path must be a string, not a number"),
            ("path", json!(null), "path is missing; it must be a string"),
            ("note", json!("é".repeat(5)), "note must have at most 4 characters, not 5"),
            ("limit", json!(-1), "limit must be a whole number from 1 to 10"),
            ("limit", json!(11), "limit must be a whole number from 1 to 10"),
            ("limit", json!("ten"), "limit must be a whole number from 1 to 10"),
            ("flag", json!("yes"), "flag must be true or false, not a string"),
            ("words", json!("a"), "words must be an array of strings, not a string"),
            ("words", json!(["a", 1]), "words[1] must be a string, not a number"),
            ("edits", json!("a"), "edits must be an array of objects; it is a string"),
            ("edits", json!([{}]), "edits[0].old is missing; it must be a string"),
            ("edits", json!([{ "old": "" }, { "old": 1 }]), "edits[1].old must be a string, not a number"),
            ("edits", json!([{ "old": "", "kind": "x" }]), "edits[0].kind must be one of a, b"),
            ("edits", json!([{ "old": "" }, 2]), "edits[1] must be an object, not a number"),
            ("edits", json!(vec![json!({ "old": "" }); 3]), "edits must have 1 to 2 objects, not 3"),
        ] {
            assert_eq!(meant(name, &value), Err(format!("the argument {told}")));
        }
    }

    #[test]
    fn arguments_that_are_no_object_are_told_or_read_from_their_text() {
        let of =
            |input: Value| Arguments::of(&input, &schema()).map(|arguments| arguments.text("path").to_owned()).map_err(|error| error.0);
        assert_eq!(of(json!("```json\n{\"path\": \"a\"}\n```")), Ok("a".into()));
        assert_eq!(of(json!(" {\"path\": \"a\"} ")), Ok("a".into()));
        assert_eq!(of(json!("{\"path\": \"a")), Err("the arguments are no valid JSON object; send them again as one".into()));
        assert_eq!(of(json!([])), Err("the arguments must be a JSON object, not an array".into()));
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        assert!(of(json!(deep)).is_err_and(|told| told.contains("deeper than 32 levels")));
    }

    /// Anything that a model could write.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[\\[\\]{}\",:a0. ]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("path|note|limit|flag|words|edits|old|kind", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_understood_fits_the_schema_and_is_understood_the_same_again(input in anything()) {
            if let Ok(arguments) = Arguments::of(&input, &schema()) {
                let again = Arguments::of(&Value::Object(arguments.fields.clone()), &schema()).expect("it fits");
                prop_assert_eq!(again.fields, arguments.fields);
            }
        }
    }
}
