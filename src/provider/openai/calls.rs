//! Tool calls put together from their deltas.

use super::chunk::{CallDelta, FunctionDelta};
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use crate::provider::wire::calls::{CallIds, WholeCall};
use std::collections::VecDeque;

/// The calls of one answer, in the order in which they began.
#[derive(Debug)]
pub(super) struct Calls {
    open: Vec<Call>,
    ids: CallIds,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Calls {
    pub(super) fn new(request: &ModelRequest) -> Self {
        Self { open: Vec::new(), ids: CallIds::new(request) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds a delta. Returns how many bytes of arguments it brought.
    pub(super) fn add(&mut self, delta: CallDelta<'_>) -> usize {
        let id = delta.id.said().unwrap_or_default();
        let FunctionDelta { name, arguments } = delta.function.unwrap_or_default();
        let name = name.said().unwrap_or_default();
        let arguments = FunctionDelta { arguments, ..FunctionDelta::default() };
        let arguments = arguments.arguments();

        let call = self.find_or_begin(delta.index, &id, &name);
        if call.id.is_empty() {
            call.id.push_str(&id);
        }
        // A name comes whole; a server that sends it with every delta does not mean it twice.
        if call.name != name {
            call.name.push_str(&name);
        }
        call.arguments.push_str(&arguments);
        arguments.len()
    }

    /// The delta's call: by index, else by id, else the last one; another id at the same index, or another name where no
    /// index tells, is another call.
    fn find_or_begin(&mut self, index: Option<u64>, id: &str, name: &str) -> &mut Call {
        let same = |call: &Call| id.is_empty() || call.id.is_empty() || call.id == id;
        let found = match index {
            Some(index) => {
                self.open.iter().rposition(|call| call.index == Some(index)).filter(|&at| same(&self.open[at]) || name.is_empty())
            }
            None if !id.is_empty() => self.open.iter().rposition(|call| call.id == id),
            None => self.open.len().checked_sub(1).filter(|&last| name.is_empty() || self.open[last].name.is_empty()),
        };
        let at = found.unwrap_or_else(|| {
            self.open.push(Call { index, ..Call::default() });
            self.open.len() - 1
        });
        &mut self.open[at]
    }

    /// Hands out the calls, complete.
    pub(super) fn finish(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Box<StreamFailure>> {
        let calls = self.open.drain(..).map(|call| WholeCall { id: call.id, name: call.name, arguments: call.arguments });
        self.ids.hand_out(calls, out)
    }
}
