//! The arguments of a call, read one by one. Every error names the argument; arguments that nobody asks for are ignored.

use super::ToolError;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// The arguments as the model sent them.
pub(super) struct Arguments<'a>(&'a Map<String, Value>);

impl<'a> Arguments<'a> {
    pub(super) fn of(input: &'a Value) -> Result<Self, ToolError> {
        match input {
            Value::Object(map) => Ok(Self(map)),
            Value::String(_) => Err(ToolError("the arguments are no valid JSON object; send them again as one".into())),
            other => Err(ToolError(format!("the arguments must be a JSON object, not {}", kind(other)))),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, ToolError> {
        self.optional_text(name)?.ok_or_else(|| ToolError(format!("the argument {name} is missing; it must be a string")))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, ToolError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(ToolError(format!("the argument {name} must be a string, not {}", kind(other)))),
        }
    }

    pub(super) fn optional_number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ToolError> {
        let Some(value) = self.0.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        match value.as_u64().or_else(|| whole(value)) {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ToolError(format!("the argument {name} must be a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// False when it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ToolError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(set)) => Ok(*set),
            Some(other) => Err(ToolError(format!("the argument {name} must be true or false, not {}", kind(other)))),
        }
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
    fn raw_text_in_place_of_arguments_is_told() {
        let error = Arguments::of(&json!("{\"path\": \"a")).err().unwrap();
        assert_eq!(error.0, "the arguments are no valid JSON object; send them again as one");
    }
}
