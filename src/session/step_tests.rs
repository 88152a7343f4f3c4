//! The pure step, told as stories and fed with seeded random events.

use super::*;
use std::collections::HashMap;

fn turn(n: usize) -> TurnId {
    TurnId::new(format!("turn_{n}"))
}

fn prompt(n: usize) -> Event {
    Event::Prompt { turn: turn(n), when_busy: WhenBusy::Queue }
}

fn cancel() -> Event {
    Event::Cancel { scope: CancelScope::Session, mode: CancelMode::Hard, asking: Asking::No }
}

fn verdict(outcome: CancelOutcome, of: usize) -> Effect {
    Effect::Verdict { outcome, turn: turn(of) }
}

fn only(n: usize) -> Event {
    Event::Cancel { scope: CancelScope::Turn(turn(n)), mode: CancelMode::Hard, asking: Asking::No }
}

fn shell(n: usize) -> Event {
    Event::Shell { turn: turn(n) }
}

/// Feeds the events and returns the effects of the last one.
fn last_effects(events: &[Event]) -> (Machine, Vec<Effect>) {
    events.iter().cloned().fold((Machine::default(), Vec::new()), |(machine, _), event| machine.step(event))
}

#[test]
fn a_cancel_finds_nothing_to_stop_where_nothing_runs_or_what_it_names_does_not() {
    assert_eq!(last_effects(&[cancel()]).1, [Effect::NothingToStop]);
    let ended = [prompt(1), Event::WorkEnded { turn: turn(1) }, Event::Settled { turn: turn(1) }];
    assert_eq!(last_effects(&[&ended[..], &[cancel()]].concat()).1, [Effect::NothingToStop]);
    let (_, effects) = last_effects(&[&ended[..], &[prompt(2), only(1)]].concat());
    assert_eq!(effects, [Effect::NothingToStop]);
}

#[test]
fn a_session_cancel_ends_the_run_and_all_that_was_accepted_before_it() {
    let (machine, effects) = last_effects(&[prompt(1), prompt(2), prompt(3), cancel()]);
    let expected = [Effect::Stop(turn(1)), Effect::Withdraw(turn(2)), Effect::Withdraw(turn(3)), verdict(CancelOutcome::Cancelled, 1)];
    assert_eq!(effects, expected);
    // What comes after the cancel runs.
    let (machine, effects) = machine.step(prompt(4));
    assert_eq!(effects, [Effect::Accept(turn(4))]);
    let (machine, _) = machine.step(Event::WorkEnded { turn: turn(1) });
    assert_eq!(machine.step(Event::Settled { turn: turn(1) }).1, [Effect::Start(turn(4))]);
}

#[test]
fn the_second_cancel_is_late_and_a_hard_one_hardens_a_soft_one() {
    let soft = Event::Cancel { scope: CancelScope::Session, mode: CancelMode::Soft, asking: Asking::No };
    let (_, effects) = last_effects(&[prompt(1), soft, cancel()]);
    assert_eq!(effects, [Effect::Harden(turn(1)), verdict(CancelOutcome::AlreadyStopping, 1)]);
    let (_, effects) = last_effects(&[prompt(1), cancel(), cancel()]);
    assert_eq!(effects, [verdict(CancelOutcome::AlreadyStopping, 1)]);
}

#[test]
fn while_the_record_is_committed_a_stopped_turn_is_still_stopping_and_one_that_ended_well_has_settled() {
    let ended = Event::WorkEnded { turn: turn(1) };
    let (_, effects) = last_effects(&[prompt(1), cancel(), ended.clone(), cancel()]);
    assert_eq!(effects, [verdict(CancelOutcome::AlreadyStopping, 1)]);
    let (_, effects) = last_effects(&[prompt(1), ended, cancel()]);
    assert_eq!(effects, [verdict(CancelOutcome::AlreadySettled, 1)]);
}

#[test]
fn a_soft_cancel_does_not_take_a_question_away() {
    let soft = Event::Cancel { scope: CancelScope::Session, mode: CancelMode::Soft, asking: Asking::Yes };
    let (machine, effects) = last_effects(&[prompt(1), soft]);
    assert_eq!(effects, [verdict(CancelOutcome::IgnoredAwaitingAnswer, 1)]);
    assert_eq!(machine.state, State::Running { turn: turn(1) });
}

#[test]
fn supersede_stops_the_run_only_and_goes_first() {
    let supersede = Event::Prompt { turn: turn(3), when_busy: WhenBusy::Supersede };
    let (machine, effects) = last_effects(&[prompt(1), prompt(2), supersede]);
    assert_eq!(effects, [Effect::Accept(turn(3)), Effect::Supersede { running: turn(1), by: turn(3) }]);
    assert_eq!(machine.queue, [turn(3), turn(2)]);
}

#[test]
fn reject_is_refused_in_every_state_but_idle() {
    let reject = |n| Event::Prompt { turn: turn(n), when_busy: WhenBusy::Reject };
    assert_eq!(last_effects(&[reject(1)]).1, [Effect::Accept(turn(1)), Effect::Start(turn(1))]);
    for before in [vec![prompt(1)], vec![prompt(1), cancel()], vec![prompt(1), Event::WorkEnded { turn: turn(1) }]] {
        let events: Vec<_> = before.into_iter().chain([reject(2)]).collect();
        assert_eq!(last_effects(&events).1, [Effect::Refuse(turn(2), Refused::Busy)]);
    }
}

#[test]
fn the_grace_forces_a_run_that_does_not_stop_and_its_late_end_changes_nothing() {
    let over = Event::GraceOver { turn: turn(1) };
    let (machine, effects) = last_effects(&[prompt(1), cancel(), over]);
    assert_eq!(effects, [Effect::Force(turn(1)), Effect::Commit(turn(1))]);
    assert_eq!(machine.clone().step(Event::WorkEnded { turn: turn(1) }), (machine, vec![]));
}

#[test]
fn a_cancel_by_turn_takes_just_that_turn() {
    let (machine, effects) = last_effects(&[prompt(1), prompt(2), prompt(3), only(2)]);
    assert_eq!(effects, [Effect::Withdraw(turn(2)), verdict(CancelOutcome::Cancelled, 2)]);
    assert_eq!(machine.queue, [turn(3)]);
}

#[test]
fn a_command_runs_at_once_or_not_at_all() {
    assert_eq!(last_effects(&[shell(1)]).1, [Effect::Accept(turn(1)), Effect::Start(turn(1))]);
    let busy = [vec![prompt(1)], vec![shell(1)], vec![prompt(1), cancel()], vec![shell(1), Event::WorkEnded { turn: turn(1) }]];
    for before in busy {
        let events: Vec<_> = before.into_iter().chain([shell(2)]).collect();
        assert_eq!(last_effects(&events).1, [Effect::Refuse(turn(2), Refused::Busy)]);
    }
    assert_eq!(last_effects(&[Event::Shut, shell(1)]).1, [Effect::Refuse(turn(1), Refused::Shut)]);
}

#[test]
fn prompts_wait_behind_a_command_in_their_order_and_the_first_of_them_runs_when_it_has_ended() {
    let supersede = Event::Prompt { turn: turn(3), when_busy: WhenBusy::Supersede };
    let (machine, effects) = last_effects(&[shell(1), prompt(2), supersede]);
    assert_eq!((effects, machine.queue.clone()), (vec![Effect::Accept(turn(3))], [turn(2), turn(3)].into()));
    let (machine, effects) = machine.step(Event::WorkEnded { turn: turn(1) });
    assert_eq!(effects, [Effect::Commit(turn(1))]);
    let (machine, effects) = machine.step(Event::Settled { turn: turn(1) });
    assert_eq!((effects, machine.state), (vec![Effect::Start(turn(2))], State::Running { turn: turn(2) }));
    let reject = Event::Prompt { turn: turn(2), when_busy: WhenBusy::Reject };
    assert_eq!(last_effects(&[shell(1), reject]).1, [Effect::Refuse(turn(2), Refused::Busy)]);
}

#[test]
fn a_cancel_behind_a_command_ends_it_and_every_prompt_that_waited() {
    let (machine, effects) = last_effects(&[shell(1), prompt(2), prompt(3), cancel()]);
    let expected = [Effect::Stop(turn(1)), Effect::Withdraw(turn(2)), Effect::Withdraw(turn(3)), verdict(CancelOutcome::Cancelled, 1)];
    assert_eq!(effects, expected);
    let (machine, _) = machine.step(Event::WorkEnded { turn: turn(1) });
    assert_eq!(machine.step(Event::Settled { turn: turn(1) }).0.state, State::Idle);
}

/// Whatever happens in whatever order, each turn has one fate and nothing starts beside a running one.
#[test]
fn random_events_keep_the_invariants() {
    for seed in 1..2_000_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut pick = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % n).expect("small")
        };
        let mut machine = Machine::default();
        let mut fates: HashMap<TurnId, Vec<&'static str>> = HashMap::new();
        let mut prompts = 0;
        for _ in 0..200 {
            let some_turn = turn(1 + pick(prompts as u64 + 2));
            let event = match pick(13) {
                12 => {
                    prompts += 1;
                    Event::Shell { turn: turn(prompts) }
                }
                0..=3 => {
                    prompts += 1;
                    let when_busy = [WhenBusy::Queue, WhenBusy::Reject, WhenBusy::Supersede][pick(3)];
                    Event::Prompt { turn: turn(prompts), when_busy }
                }
                4..=5 => {
                    let scope = if pick(2) == 0 { CancelScope::Session } else { CancelScope::Turn(some_turn) };
                    let mode = [CancelMode::Soft, CancelMode::Hard][pick(2)];
                    Event::Cancel { scope, mode, asking: [Asking::Yes, Asking::No][pick(2)] }
                }
                6 => Event::GraceOver { turn: machine.current().cloned().unwrap_or(some_turn) },
                7..=8 => Event::WorkEnded { turn: machine.current().cloned().unwrap_or(some_turn) },
                9..=10 => Event::Settled { turn: machine.current().cloned().unwrap_or(some_turn) },
                _ => Event::Settled { turn: some_turn },
            };
            let cancelled = matches!(event, Event::Cancel { .. });
            let (next, effects) = machine.step(event);
            let verdicts = effects.iter().filter(|e| matches!(e, Effect::Verdict { .. } | Effect::NothingToStop)).count();
            assert_eq!(verdicts, usize::from(cancelled), "seed {seed}: one verdict a cancel");
            for effect in effects {
                let (turn, fate) = match effect {
                    Effect::Accept(turn) => (turn, "accepted"),
                    Effect::Start(turn) => (turn, "started"),
                    Effect::Withdraw(turn) => (turn, "withdrawn"),
                    Effect::Refuse(turn, _) => (turn, "refused"),
                    Effect::Stop(turn) | Effect::Supersede { running: turn, .. } => (turn, "stopped"),
                    Effect::Commit(turn) => (turn, "committed"),
                    Effect::Force(_) | Effect::Harden(_) | Effect::Verdict { .. } | Effect::NothingToStop => continue,
                };
                fates.entry(turn).or_default().push(fate);
            }
            machine = next;
        }
        for n in 1..=prompts {
            let fate = fates.get(&turn(n)).map_or(&[][..], Vec::as_slice);
            let waits = machine.queue.contains(&turn(n));
            let legal: [&[&str]; 7] = [
                &["refused"],
                &["accepted"],
                &["accepted", "withdrawn"],
                &["accepted", "started"],
                &["accepted", "started", "stopped"],
                &["accepted", "started", "committed"],
                &["accepted", "started", "stopped", "committed"],
            ];
            assert!(legal.contains(&fate) && waits == (fate == ["accepted"]), "seed {seed}: {n} had {fate:?}, waiting: {waits}");
        }
    }
}
