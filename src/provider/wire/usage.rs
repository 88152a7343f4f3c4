//! What an answer has used, as its provider counts it.
//!
//! Invariant: what nobody counted is absent. Gateways that do not count write zeros: an input of no tokens cannot be, and a
//! count that is all zeros is none.

use crate::protocol::diagnostics::{Usage, UsageSource};
use serde_json::Value;
use serde_json::value::RawValue;

/// Counts in a vendor's object.
pub(in crate::provider) struct Counts(Value);

impl Counts {
    /// Reads the object; whatever else stands there counts nothing.
    pub(in crate::provider) fn read(json: &RawValue) -> Self {
        Self(serde_json::from_str(json.get()).unwrap_or_default())
    }

    /// The count at the first of these places that has one. A number in quotes or with a fraction of zero is one.
    pub(in crate::provider) fn at(&self, pointers: &[&str]) -> Option<u64> {
        pointers.iter().find_map(|pointer| count(self.0.pointer(pointer)?))
    }

    /// The same, where zero cannot be.
    pub(in crate::provider) fn some_at(&self, pointers: &[&str]) -> Option<u64> {
        self.at(pointers).filter(|count| *count > 0)
    }
}

fn count(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), |count| count.to_string()),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let whole = text.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0')).map_or(&*text, |(whole, _)| whole);
    whole.parse().ok()
}

/// Usage, if anything was counted.
pub(in crate::provider) fn counted(usage: Usage) -> Option<Usage> {
    let counts =
        [usage.input_tokens, usage.output_tokens, usage.reasoning_tokens, usage.cached_input_tokens, usage.cache_write_input_tokens];
    let is_counted = counts.iter().flatten().any(|count| *count > 0);
    is_counted.then_some(Usage { source: UsageSource::Provider, input_tokens: usage.input_tokens.filter(|count| *count > 0), ..usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_however_it_is_written() {
        let json = RawValue::from_string(r#"{"a":7,"b":"8","c":9.0,"d":-1,"e":1.5,"f":null,"g":{"h":"10.00"},"z":0}"#.into()).unwrap();
        let counts = Counts::read(&json);
        let read = ["/a", "/b", "/c", "/d", "/e", "/f", "/g/h", "/z", "/none"].map(|at| counts.at(&[at]));
        assert_eq!(read, [Some(7), Some(8), Some(9), None, None, None, Some(10), Some(0), None]);
        assert_eq!((counts.at(&["/none", "/b"]), counts.some_at(&["/z"])), (Some(8), None));
        assert_eq!(Counts::read(&RawValue::from_string("7".into()).unwrap()).at(&["/a"]), None);
    }

    #[test]
    fn what_nobody_counted_is_absent() {
        let usage = |input, output| Usage { input_tokens: input, output_tokens: output, ..Usage::absent() };
        let counted = |input, output| counted(usage(input, output)).map(|usage| (usage.source, usage.input_tokens, usage.output_tokens));
        let provider = UsageSource::Provider;
        assert_eq!(counted(Some(0), Some(0)), None);
        assert_eq!(counted(None, None), None);
        assert_eq!(counted(Some(0), Some(3)), Some((provider, None, Some(3))));
        assert_eq!(counted(Some(4), Some(0)), Some((provider, Some(4), Some(0))));
    }
}
