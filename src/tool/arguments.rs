//! The arguments of a call, read one by one. Every error names the argument; arguments that nobody asks for are ignored.

use super::ToolError;
use crate::protocol::nesting::{MAX_NESTING, is_deeper_than};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// The arguments as the model sent them, or one object of a list among them.
pub(super) struct Arguments<'a> {
    fields: &'a Map<String, Value>,
    /// What stands before their names in an error, such as `edits[1].`.
    within: String,
}

impl<'a> Arguments<'a> {
    pub(super) fn of(input: &'a Value) -> Result<Self, ToolError> {
        match input {
            Value::Object(fields) => Ok(Self { fields, within: String::new() }),
            Value::String(text) if is_deeper_than(MAX_NESTING, text.as_bytes()) => {
                Err(ToolError(format!("the arguments nest arrays and objects deeper than {MAX_NESTING} levels; send them flatter")))
            }
            Value::String(_) => Err(ToolError("the arguments are no valid JSON object; send them again as one".into())),
            other => Err(ToolError(format!("the arguments must be a JSON object, not {}", kind(other)))),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, ToolError> {
        self.optional_text(name)?.ok_or_else(|| self.wrong(name, "is missing; it must be a string"))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, ToolError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &format!("must be a string, not {}", kind(other)))),
        }
    }

    /// A list of strings.
    pub(super) fn optional_texts(&self, name: &str) -> Result<Option<Vec<String>>, ToolError> {
        let Some(value) = self.fields.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let Value::Array(items) = value else {
            return Err(self.wrong(name, &format!("must be an array of strings, not {}", kind(value))));
        };
        let text = |(at, item): (usize, &Value)| match item {
            Value::String(text) => Ok(text.clone()),
            other => Err(self.wrong(&format!("{name}[{at}]"), &format!("must be a string, not {}", kind(other)))),
        };
        items.iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// One of these words.
    pub(super) fn optional_word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ToolError> {
        let Some(text) = self.optional_text(name)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meant)) => Ok(Some(*meant)),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(self.wrong(name, &format!("must be one of {}", words.join(", "))))
            }
        }
    }

    pub(super) fn optional_number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ToolError> {
        let Some(value) = self.fields.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        match value.as_u64().or_else(|| whole(value)) {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(self.wrong(name, &format!("must be a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// False when it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ToolError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(set)) => Ok(*set),
            Some(other) => Err(self.wrong(name, &format!("must be true or false, not {}", kind(other)))),
        }
    }

    /// A list of so many objects.
    pub(super) fn objects(&self, name: &str, count: RangeInclusive<usize>) -> Result<Vec<Self>, ToolError> {
        let Some(Value::Array(items)) = self.fields.get(name) else {
            let found = self.fields.get(name).map_or_else(|| "it is missing".to_owned(), |value| format!("it is {}", kind(value)));
            return Err(self.wrong(name, &format!("must be an array of objects; {found}")));
        };
        if !count.contains(&items.len()) {
            let found = items.len();
            return Err(self.wrong(name, &format!("must have {} to {} objects, not {found}", count.start(), count.end())));
        }
        let object = |(at, item): (usize, &'a Value)| match item {
            Value::Object(fields) => Ok(Self { fields, within: format!("{}{name}[{at}].", self.within) }),
            other => Err(self.wrong(&format!("{name}[{at}]"), &format!("must be an object, not {}", kind(other)))),
        };
        items.iter().enumerate().map(object).collect()
    }

    /// The argument `name` is wrong.
    pub(super) fn wrong(&self, name: &str, problem: &str) -> ToolError {
        ToolError(format!("the argument {}{name} {problem}", self.within))
    }
}

/// Models write `10.0` where they mean 10.
fn whole(value: &Value) -> Option<u64> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=1e15).contains(&number)).then_some(number as u64)
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
    use serde_json::json;

    #[test]
    fn errors_name_the_argument() {
        let input = json!({ "path": 3, "limit": -1, "flag": "yes", "big": 11 });
        let arguments = Arguments::of(&input).unwrap();
        let told = |error: ToolError| error.0;
        assert_eq!(arguments.text("path").map_err(told), Err("the argument path must be a string, not a number".into()));
        assert_eq!(arguments.text("none").map_err(told), Err("the argument none is missing; it must be a string".into()));
        assert_eq!(
            arguments.optional_number("limit", 1..=10).map_err(told),
            Err("the argument limit must be a whole number from 1 to 10".into())
        );
        assert!(arguments.optional_number("big", 1..=10).is_err());
        assert_eq!(arguments.flag("flag").map_err(told), Err("the argument flag must be true or false, not a string".into()));
    }

    #[test]
    fn absent_null_and_extra_arguments_are_no_errors() {
        let input = json!({ "limit": null, "ten": 10.0, "extra": [1] });
        let arguments = Arguments::of(&input).unwrap();
        assert_eq!(arguments.optional_number("limit", 1..=10), Ok(None));
        assert_eq!(arguments.optional_number("ten", 1..=10), Ok(Some(10)));
        assert_eq!(arguments.optional_text("path"), Ok(None));
        assert_eq!(arguments.flag("flag"), Ok(false));
    }

    #[test]
    fn what_is_wrong_in_a_list_is_named_with_its_place() {
        let input = json!({ "edits": [{ "old": "a" }, { "old": 1, "kind": "x" }], "mixed": [{}, 2], "none": [], "text": "[]" });
        let arguments = Arguments::of(&input).unwrap();
        let edits = arguments.objects("edits", 1..=2).unwrap();
        assert_eq!(edits[0].text("old"), Ok("a"));
        assert_eq!(edits[0].optional_word("kind", &[("a", 1)]), Ok(None));
        assert_eq!(edits[1].text("old").unwrap_err().0, "the argument edits[1].old must be a string, not a number");
        assert_eq!(edits[1].optional_word("kind", &[("a", 1), ("b", 2)]).unwrap_err().0, "the argument edits[1].kind must be one of a, b");
        for (name, told) in [
            ("mixed", "the argument mixed[1] must be an object, not a number"),
            ("none", "the argument none must have 1 to 2 objects, not 0"),
            ("text", "the argument text must be an array of objects; it is a string"),
            ("absent", "the argument absent must be an array of objects; it is missing"),
        ] {
            assert_eq!(arguments.objects(name, 1..=2).err().unwrap().0, told);
        }
    }

    #[test]
    fn raw_text_in_place_of_arguments_is_told() {
        let error = Arguments::of(&json!("{\"path\": \"a")).err().unwrap();
        assert_eq!(error.0, "the arguments are no valid JSON object; send them again as one");
    }
}
