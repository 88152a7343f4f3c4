//! What a turn has used up of what it is allowed, and whether it only repeats itself. It is looked at before a model call is
//! made and before the tool calls of an answer start.
//!
//! Invariants: what is over a limit never leaves and never starts; what came before it in the same answer runs to its end.
//! A limit of 0 is none. Nobody asked for such a stop, so it is never called anybody's.

use super::toolcalls::Call;
use crate::config::Allowance;
use crate::protocol::cause::{BudgetUnit, Cause, LOOP_GUARD_SETTING, Repetition};
use crate::protocol::diagnostics::Usage;
use serde_json::Value;

/// The book of one turn.
pub(super) struct Spending {
    allowance: Allowance,
    model_calls: u64,
    tool_calls: u64,
    streak: Option<Streak>,
}

/// The tool calls at the end of the turn so far that are all the same.
struct Streak {
    tool: String,
    input: Value,
    calls: u64,
}

/// The limit at which the turn ends.
#[derive(Debug)]
pub(super) struct OverLimit {
    pub(super) cause: Cause,
    /// The hop that ended the work.
    pub(super) point: &'static str,
}

/// How many of the calls of an answer may start, and what becomes of the turn when they have ended.
pub(super) struct Admitted {
    pub(super) first: usize,
    pub(super) then: Result<(), OverLimit>,
}

impl Spending {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, model_calls: 0, tool_calls: 0, streak: None }
    }

    /// Books the model call that is about to be made; `used` is what those before it have used.
    pub(super) fn model_call(&mut self, used: &Usage) -> Result<(), OverLimit> {
        let Allowance { model_calls, output_tokens, .. } = self.allowance;
        if is_over(model_calls, self.model_calls + 1) {
            return Err(over_budget(BudgetUnit::ModelCalls, model_calls));
        }
        match used.output_tokens {
            Some(written) if is_over(output_tokens, written.saturating_add(1)) => {
                return Err(over_budget(BudgetUnit::OutputTokens, output_tokens));
            }
            Some(_) => {}
            None if output_tokens > 0 && self.model_calls == 1 => {
                tracing::warn!("the provider does not say how many tokens the model writes: budget.output_tokens cannot be enforced");
            }
            None => {}
        }
        self.model_calls += 1;
        Ok(())
    }

    /// Books the tool calls that an answer asks for, in its order.
    pub(super) fn tool_calls(&mut self, calls: &[Call]) -> Admitted {
        for (first, call) in calls.iter().enumerate() {
            if let Err(over) = self.tool_call(call, &calls[first + 1..]) {
                return Admitted { first, then: Err(over) };
            }
        }
        Admitted { first: calls.len(), then: Ok(()) }
    }

    fn tool_call(&mut self, call: &Call, behind: &[Call]) -> Result<(), OverLimit> {
        let Allowance { tool_calls, identical_calls, .. } = self.allowance;
        // Two objects with the same fields are equal, in whichever order they were written.
        let is_same = |streak: &Streak, call: &Call| streak.tool == call.tool && streak.input == call.input;
        let before = self.streak.take().filter(|streak| is_same(streak, call));
        let mut streak = before.unwrap_or_else(|| Streak { tool: call.tool.clone(), input: call.input.clone(), calls: 0 });
        streak.calls += 1;
        if is_over(identical_calls, streak.calls) {
            streak.calls += behind.iter().take_while(|call| is_same(&streak, call)).count() as u64;
            return Err(repeats_itself(streak, identical_calls));
        }
        self.streak = Some(streak);
        self.tool_calls += 1;
        if is_over(tool_calls, self.tool_calls) { Err(over_budget(BudgetUnit::ToolCalls, tool_calls)) } else { Ok(()) }
    }
}

fn is_over(limit: u64, count: u64) -> bool {
    limit > 0 && count > limit
}

fn over_budget(unit: BudgetUnit, limit: u64) -> OverLimit {
    OverLimit { cause: Cause::Budget { limit, unit, setting: unit.setting().to_owned() }, point: "budget.spent" }
}

fn repeats_itself(Streak { tool, input, calls }: Streak, limit: u64) -> OverLimit {
    let repetition = Repetition { limit, setting: LOOP_GUARD_SETTING.to_owned(), tool, calls, input };
    OverLimit { cause: Cause::LoopGuard(Box::new(repetition)), point: "loop_guard.fired" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NONE: Allowance = Allowance { model_calls: 0, tool_calls: 0, output_tokens: 0, identical_calls: 0 };

    fn calls(wanted: &[(&str, Value)]) -> Vec<Call> {
        wanted.iter().map(|(tool, input)| Call { call_id: "c".into(), tool: (*tool).into(), input: input.clone() }).collect()
    }

    fn read(path: &str) -> (&'static str, Value) {
        ("read_file", json!({ "path": path }))
    }

    fn written(tokens: Option<u64>) -> Usage {
        Usage { output_tokens: tokens, ..Usage::absent() }
    }

    /// How many calls of each answer start, and what ends the turn.
    fn answers(allowance: Allowance, answers: &[&[(&str, Value)]]) -> (Vec<usize>, Option<Cause>) {
        let mut spending = Spending::new(allowance);
        let mut started = Vec::new();
        for answer in answers {
            let Admitted { first, then } = spending.tool_calls(&calls(answer));
            started.push(first);
            if let Err(over) = then {
                return (started, Some(over.cause));
            }
        }
        (started, None)
    }

    fn repeated(limit: u64, calls: u64, (tool, input): (&str, Value)) -> Option<Cause> {
        let setting = "loop_guard.identical_calls".into();
        Some(Cause::LoopGuard(Box::new(Repetition { limit, setting, tool: tool.into(), calls, input })))
    }

    #[test]
    fn as_many_model_calls_are_made_as_are_allowed() {
        let mut spending = Spending::new(Allowance { model_calls: 2, ..NONE });
        let ends: Vec<_> = (0..3).map(|_| spending.model_call(&Usage::absent()).map_err(|over| over.cause)).collect();
        let spent = Cause::Budget { limit: 2, unit: BudgetUnit::ModelCalls, setting: "budget.model_calls".into() };
        assert_eq!(ends, [Ok(()), Ok(()), Err(spent)]);
    }

    #[test]
    fn no_model_call_is_made_when_the_tokens_are_used_up_and_what_nobody_counted_is_not_taken_for_nothing() {
        let mut spending = Spending::new(Allowance { output_tokens: 100, ..NONE });
        for tokens in [None, Some(0), None, Some(99)] {
            assert!(spending.model_call(&written(tokens)).is_ok(), "{tokens:?}");
        }
        let spent = Cause::Budget { limit: 100, unit: BudgetUnit::OutputTokens, setting: "budget.output_tokens".into() };
        for tokens in [100, u64::MAX] {
            assert_eq!(spending.model_call(&written(Some(tokens))).map_err(|over| over.cause), Err(spent.clone()));
        }
    }

    #[test]
    fn the_tool_calls_within_the_budget_start_and_the_rest_of_the_answer_does_not() {
        let allowance = Allowance { tool_calls: 3, ..NONE };
        let spent = Cause::Budget { limit: 3, unit: BudgetUnit::ToolCalls, setting: "budget.tool_calls".into() };
        assert_eq!(answers(allowance, &[&[read("a"), read("b")], &[read("c"), read("d"), read("e")]]), (vec![2, 1], Some(spent)));
        assert_eq!(answers(allowance, &[&[read("a")], &[read("b")], &[read("c")]]), (vec![1, 1, 1], None));
    }

    #[test]
    fn the_same_call_again_and_again_is_counted_over_all_answers() {
        let allowance = Allowance { identical_calls: 2, ..NONE };
        let reads: [&[_]; 3] = [&[read("a")], &[read("a")], &[read("a")]];
        assert_eq!(answers(allowance, &reads), (vec![1, 1, 0], repeated(2, 3, read("a"))));
        assert_eq!(answers(NONE, &reads), (vec![1, 1, 1], None));
        let at_once = [read("b"), read("a"), read("a"), read("a"), read("a"), read("c"), read("a")];
        assert_eq!(answers(allowance, &[&at_once]), (vec![3], repeated(2, 4, read("a"))));
    }

    #[test]
    fn any_other_call_in_between_begins_the_count_anew() {
        let allowance = Allowance { identical_calls: 2, ..NONE };
        let other_tool = ("list_directory", json!({ "path": "a" }));
        let alternating: [&[_]; 4] = [&[read("a"), read("a"), read("b")], &[read("a")], &[read("a"), other_tool], &[read("a"), read("a")]];
        assert_eq!(answers(allowance, &alternating), (vec![3, 1, 2, 2], None));
    }

    #[test]
    fn the_order_of_fields_makes_no_other_input() {
        let one = ("search", serde_json::from_str(r#"{"pattern":"x","in":{"path":"a","deep":true}}"#).expect("JSON"));
        let two = ("search", serde_json::from_str(r#"{ "in": {"deep": true, "path": "a"}, "pattern": "x" }"#).expect("JSON"));
        let end = answers(Allowance { identical_calls: 1, ..NONE }, &[std::slice::from_ref(&one), &[two]]);
        assert_eq!(end, (vec![1, 0], repeated(1, 2, one)));
    }

    #[test]
    fn a_call_that_is_over_both_limits_is_told_as_the_repetition_that_it_is() {
        let allowance = Allowance { tool_calls: 1, identical_calls: 1, ..NONE };
        assert_eq!(answers(allowance, &[&[read("a"), read("a")]]), (vec![1], repeated(1, 2, read("a"))));
    }
}
