//! Tool calls whose input is still arriving: what is lost of them when the answer is cut off.

use crate::protocol::abort::ArrivingCall;
use crate::protocol::model::ModelEvent;

/// The calls of the attempt that is under way, until they are whole.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    calls: Vec<ArrivingCall>,
    /// The call that the next bytes belong to.
    current: usize,
}

impl Arriving {
    pub(super) fn observe(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::ToolBegins { call_id, tool } => {
                let named = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
                let (call_id, tool) = (named(call_id), named(tool));
                let is_it = |call: &ArrivingCall| call.call_id == call_id && (call_id.is_some() || call.tool == tool);
                match self.calls.iter().position(is_it) {
                    Some(known) => {
                        self.current = known;
                        self.calls[known].tool = tool.or_else(|| self.calls[known].tool.take());
                    }
                    None => self.current = self.begin(call_id, tool),
                }
            }
            ModelEvent::ToolInput { bytes } => {
                if self.current >= self.calls.len() {
                    self.current = self.begin(None, None);
                }
                self.calls[self.current].bytes += *bytes as u64;
            }
            // They are handed out in the order in which they began.
            ModelEvent::ToolCall { .. } if !self.calls.is_empty() => {
                self.calls.remove(0);
                self.current = self.current.saturating_sub(1);
            }
            _ => {}
        }
    }

    /// Another attempt begins.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is lost, if anything is.
    pub(super) fn lost(&self) -> Option<Vec<ArrivingCall>> {
        Some(self.calls.clone()).filter(|calls| !calls.is_empty())
    }

    fn begin(&mut self, call_id: Option<String>, tool: Option<String>) -> usize {
        self.calls.push(ArrivingCall { bytes: 0, tool, call_id });
        self.calls.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn begins(call_id: &str, tool: &str) -> ModelEvent {
        ModelEvent::ToolBegins { call_id: call_id.into(), tool: tool.into() }
    }

    fn call(call_id: &str, tool: &str, bytes: u64) -> ArrivingCall {
        ArrivingCall { bytes, tool: Some(tool.into()), call_id: Some(call_id.into()) }
    }

    #[test]
    fn a_call_is_lost_until_it_is_whole_and_each_has_its_own_bytes() {
        let mut arriving = Arriving::default();
        let input = |bytes| ModelEvent::ToolInput { bytes };
        for event in [begins("a", "write_file"), input(3), begins("b", "shell"), input(5), begins("a", "write_file"), input(4)] {
            arriving.observe(&event);
        }
        assert_eq!(arriving.lost(), Some(vec![call("a", "write_file", 7), call("b", "shell", 5)]));
        arriving.observe(&ModelEvent::ToolCall { call_id: "a".into(), tool: "write_file".into(), input: Value::Null });
        assert_eq!(arriving.lost(), Some(vec![call("b", "shell", 5)]));
        arriving.observe(&ModelEvent::ToolCall { call_id: "b".into(), tool: "shell".into(), input: Value::Null });
        assert_eq!(arriving.lost(), None);
    }

    #[test]
    fn a_call_that_nobody_has_named_yet_is_lost_without_a_name() {
        let mut arriving = Arriving::default();
        arriving.observe(&ModelEvent::ToolInput { bytes: 626 });
        assert_eq!(arriving.lost(), Some(vec![ArrivingCall { bytes: 626, tool: None, call_id: None }]));
        arriving.clear();
        assert_eq!(arriving.lost(), None);
    }
}
