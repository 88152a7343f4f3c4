//! Tool calls whose input is still arriving: what is lost of them when the answer is cut off.
//!
//! Invariant: as much is kept as fits into a record; what is not listed is counted.

use crate::protocol::abort::ArrivingCall;
use crate::protocol::model::ModelEvent;
use crate::text;

/// As many calls are listed.
const LISTED: usize = 32;
/// As much is kept of a name, in bytes.
const NAME: usize = 256;

/// The calls of the attempt that is under way, until they are whole.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// Each with its place in the answer.
    calls: Vec<(usize, ArrivingCall)>,
    /// How many have begun, and how many of them were made. They are made in the order in which they began.
    begun: usize,
    made: usize,
    /// The call that the next bytes belong to.
    current: usize,
}

impl Arriving {
    pub(super) fn observe(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::ToolBegins { nth, call_id, tool } => {
                let named = |name: &str| Some(text::cut(name, NAME).to_owned()).filter(|name| !name.is_empty());
                if let Some(call) = self.call(*nth) {
                    (call.call_id, call.tool) = (named(call_id), named(tool));
                }
            }
            ModelEvent::ToolInput { bytes } => {
                let nth = if self.begun == self.made { self.begun } else { self.current };
                if let Some(call) = self.call(nth) {
                    call.bytes += *bytes as u64;
                }
            }
            ModelEvent::ToolCall { .. } => {
                self.made += 1;
                self.begun = self.begun.max(self.made);
                self.calls.retain(|(nth, _)| *nth >= self.made);
            }
            _ => {}
        }
    }

    /// Another attempt begins.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is lost, if anything is, and how many calls more than are listed.
    pub(super) fn lost(&self) -> (Option<Vec<ArrivingCall>>, Option<u64>) {
        let listed: Vec<_> = self.calls.iter().map(|(_, call)| call.clone()).collect();
        let more = (self.begun - self.made).saturating_sub(listed.len()) as u64;
        (Some(listed).filter(|calls| !calls.is_empty()), Some(more).filter(|more| *more > 0))
    }

    /// The call at this place, which goes on; none, if there are too many to list it.
    fn call(&mut self, nth: usize) -> Option<&mut ArrivingCall> {
        self.current = nth;
        self.begun = self.begun.max(nth + 1);
        let at = match self.calls.iter().position(|(known, _)| *known == nth) {
            Some(at) => at,
            None if self.calls.len() == LISTED => return None,
            None => {
                self.calls.push((nth, ArrivingCall { bytes: 0, tool: None, call_id: None }));
                self.calls.len() - 1
            }
        };
        Some(&mut self.calls[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn begins(nth: usize, call_id: &str, tool: &str) -> ModelEvent {
        ModelEvent::ToolBegins { nth, call_id: call_id.into(), tool: tool.into() }
    }

    fn input(bytes: usize) -> ModelEvent {
        ModelEvent::ToolInput { bytes }
    }

    fn made(call_id: &str) -> ModelEvent {
        ModelEvent::ToolCall { call_id: call_id.into(), tool: "x".into(), input: Value::Null, state: None }
    }

    fn call(call_id: &str, tool: &str, bytes: u64) -> ArrivingCall {
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        ArrivingCall { bytes, tool: named(tool), call_id: named(call_id) }
    }

    fn after(events: impl IntoIterator<Item = ModelEvent>) -> Arriving {
        let mut arriving = Arriving::default();
        events.into_iter().for_each(|event| arriving.observe(&event));
        arriving
    }

    #[test]
    fn a_call_is_lost_until_it_is_made_and_each_has_its_own_bytes() {
        let events = [begins(0, "a", "write_file"), input(3), begins(1, "b", "shell"), input(5), begins(0, "a", "write_file"), input(4)];
        let mut arriving = after(events);
        assert_eq!(arriving.lost(), (Some(vec![call("a", "write_file", 7), call("b", "shell", 5)]), None));
        arriving.observe(&made("a"));
        assert_eq!(arriving.lost(), (Some(vec![call("b", "shell", 5)]), None));
        arriving.observe(&made("b"));
        assert_eq!(arriving.lost(), (None, None));
    }

    #[test]
    fn a_call_gets_its_name_and_its_id_when_they_come() {
        let events =
            [begins(0, "", "wri"), input(1), begins(1, "", ""), begins(0, "", "write_file"), input(2), begins(0, "a", "write_file")];
        assert_eq!(after(events).lost(), (Some(vec![call("a", "write_file", 3), call("", "", 0)]), None));
    }

    #[test]
    fn bytes_of_a_call_that_nobody_has_announced_are_lost_without_a_name() {
        let mut arriving = after([input(600), input(26)]);
        assert_eq!(arriving.lost(), (Some(vec![call("", "", 626)]), None));
        arriving.clear();
        assert_eq!(arriving.lost(), (None, None));
        assert_eq!(after([begins(0, "a", "x"), made("a"), input(2)]).lost(), (Some(vec![call("", "", 2)]), None));
    }

    #[test]
    fn a_crowd_of_calls_is_counted_and_the_first_are_listed() {
        let crowd = || (0..100).flat_map(|nth| [begins(nth, &format!("c{nth}"), &"x".repeat(1000)), input(1)]);
        let (listed, more) = after(crowd()).lost();
        assert_eq!((listed.as_ref().map(Vec::len), more), (Some(LISTED), Some(68)));
        assert_eq!(listed.unwrap()[31], call("c31", &"x".repeat(NAME), 1));
        assert_eq!(after(crowd().chain((0..40).map(|_| made("c")))).lost(), (None, Some(60)));
    }
}
