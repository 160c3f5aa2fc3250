//! Delayed events below rate ceilings.

use super::{
    run::{Run, delete, event, may_have_been_sent},
    *,
};
use crate::Ceiling;
use ponos_event::Timestamp;

const SECOND: i64 = 1_000;

fn rules() -> DelayedRules {
    DelayedRules { most: 200, at_ceiling: 64, page: 100, ..DelayedRules::default() }
}

fn below(all: &[(&str, u32)]) -> Ceilings {
    let all = all
        .iter()
        .map(|(pattern, rate)| Ceiling::of_a_second((*pattern).to_owned(), (*pattern).to_owned(), *rate));
    Ceilings::new(all.collect())
}

/// What was sent of the names that begin so.
fn sent<'a>(run: &'a Run, prefix: &str) -> Vec<(i64, &'a str)> {
    let all = run.sent.iter().map(|(at, name)| (*at, &**name));
    all.filter(|(_, name)| name.starts_with(prefix)).collect()
}

#[test]
fn thousands_at_one_instant_go_out_in_order_below_their_ceiling_and_others_on_time() {
    let due = 10 * SECOND;
    let orders = (0..3_000).map(|number| event(&format!("o{number:04}"), "order.payment.due", due));
    let others = (0..50).map(|number| event(&format!("z{number:02}"), "report.day.ended", due));
    let later = (0..50).map(|number| event(&format!("y{number:02}"), "report.day.ended", due + 5 * SECOND));
    let all = orders.chain(others).chain(later).collect();
    let ceilings = below(&[("order.#", 100)]);
    let mut run = Run::kept(rules(), ceilings, all);
    run.look = |sending| {
        let held = sending.window.firsts().filter_map(|(id, _)| sending.window.lane(id));
        assert!(held.map(|lane| lane.count(Timestamp::HORIZON)).sum::<usize>() <= 64);
    };
    run.pass(due + 2 * SECOND);
    let id = run.ceilings.ids().next().unwrap();
    let (waiting, since) = run.sending.waiting(run.marks, id).unwrap();
    assert!((32..=64).contains(&waiting), "{waiting}");
    assert_eq!(since, run::START.plus(due));
    run.pass(35 * SECOND);
    let orders = sent(&run, "o");
    assert_eq!(orders.len(), 3_000);
    for (number, (at, name)) in orders.iter().enumerate() {
        let earliest = due + 10 * (number as i64 - 9).max(0);
        assert_eq!(*name, format!("o{number:04}"));
        assert!((earliest..=earliest + 1).contains(at), "{name} at {at}, and not at {earliest}");
    }
    for (prefix, due) in [("z", due), ("y", due + 5 * SECOND)] {
        let others = sent(&run, prefix);
        assert!(others.len() == 50 && others.iter().all(|(at, _)| *at == due), "{others:?}");
    }
    assert!(run.steps < 20_000, "{} steps", run.steps);
}

#[test]
fn a_domain_whose_events_lie_between_those_of_another_one_has_its_own_rate() {
    let due = 2 * SECOND;
    let all = (0..2_000).map(|number| {
        let topic = if number % 10 == 3 { "mail.letter.due" } else { "order.payment.due" };
        event(&format!("{}{number:04}", &topic[..1]), topic, due + number / 20)
    });
    let mut run = Run::kept(rules(), below(&[("order.#", 50), ("mail.#", 100)]), all.collect());
    run.pass(due + 3 * SECOND);
    let mails = sent(&run, "m");
    assert_eq!(mails.len(), 200);
    assert!(mails.is_sorted() && mails.iter().all(|(at, _)| *at <= due + 2 * SECOND), "{mails:?}");
    run.pass(40 * SECOND);
    let orders = sent(&run, "o");
    let names: Vec<_> = orders.iter().map(|(_, name)| *name).collect();
    assert!(orders.len() == 1_800 && names.is_sorted());
}

#[test]
fn schedules_and_delayed_events_have_half_of_a_ceiling_each_where_both_wait() {
    let all = (0..2_000).map(|number| event(&format!("o{number:04}"), "order.payment.due", SECOND));
    let mut run = Run::kept(rules(), below(&[("order.#", 100)]), all.collect());
    run.pass(SECOND);
    run.schedules = Some(0);
    let before = run.sent.len();
    run.pass(10 * SECOND);
    let (delayed, schedules) = (run.sent.len() - before, run.schedules.unwrap());
    assert!((499..=501).contains(&delayed) && (499..=501).contains(&schedules), "{delayed}, {schedules}");
}

#[test]
fn what_waits_for_its_ceiling_may_have_been_sent_and_what_is_due_later_can_be_taken_back() {
    let all = (0..30).map(|number| event(&format!("o{number:02}"), "order.payment.due", SECOND));
    let later = event("later", "order.payment.due", 20 * SECOND);
    let mut run = Run::kept(rules(), below(&[("order.#", 10)]), all.chain([later]).collect());
    run.pass(2 * SECOND);
    assert_eq!(run.sent.len(), 11);
    assert!(may_have_been_sent(&run.change(delete("o20"))));
    assert!(matches!(run.change(delete("later")), Verdict::Deleted { .. }));
    run.pass(30 * SECOND);
    assert_eq!(run.sent.len(), 30);
}

#[test]
fn a_task_is_a_matter_of_its_queue_and_counts_for_no_ceiling() {
    let tasks = (0..30).map(|number| {
        let mut task = event(&format!("t{number:02}"), "order.payment.due", SECOND);
        task.head.queue = Some("payments".into());
        task
    });
    let mut run = Run::kept(rules(), below(&[("#", 1)]), tasks.collect());
    run.pass(SECOND);
    assert_eq!(run.sent.len(), 30);
}

#[test]
fn what_waits_at_a_full_ceiling_is_put_found_and_sent_in_its_place() {
    let all = (0..500).map(|number| event(&format!("o{number:03}"), "order.payment.due", SECOND));
    let mut run = Run::kept(rules(), below(&[("order.#", 100)]), all.collect());
    run.pass(2 * SECOND);
    // One that is due at once, and lies behind all that is in memory; and one that lies before it.
    for (name, after) in [("p", SECOND), ("a", SECOND)] {
        let put = DelayedChange::Put {
            event: Box::new(event(name, "order.payment.due", after)),
            expect: Expect::Any,
            past: PastDue::Send,
        };
        assert!(matches!(run.change(put), Verdict::Created { .. }));
    }
    let before = run.sent.len();
    run.pass(10 * SECOND);
    let names: Vec<_> = run.sent.iter().map(|(_, name)| &**name).collect();
    assert_eq!((names.len(), names[before], *names.last().unwrap()), (502, "a", "p"));
}

/// It was parked, and a person has it sent again.
fn release(run: &mut Run, name: &str, topic: &str, after: i64) {
    let head = event(name, topic, after).head;
    run.sending.parked.again(DueEvent { is_parked: true, ..DueEvent::from(&head) }, &run.ceilings);
}

#[test]
fn what_was_released_waits_at_its_ceiling_by_its_send_time_and_is_counted_there() {
    let all = (0..500).map(|number| event(&format!("o{number:03}"), "order.payment.due", SECOND));
    let mut run = Run::kept(rules(), below(&[("order.#", 10)]), all.collect());
    run.pass(2 * SECOND);
    let id = run.ceilings.ids().next().unwrap();
    let (waiting, since) = run.sending.waiting(run.marks, id).unwrap();
    assert_eq!(since, run::START.plus(SECOND));
    release(&mut run, "r", "order.payment.due", 500);
    release(&mut run, "later", "order.payment.due", 60 * SECOND);
    let with_it = run.sending.waiting(run.marks, id);
    assert_eq!(with_it, Some((waiting + 1, run::START.plus(500))));
    let before = run.sent.len();
    run.pass(SECOND);
    let names: Vec<_> = run.sent[before..].iter().map(|(_, name)| &**name).collect();
    assert_eq!((names.len(), names[0]), (10, "r"));
}

#[test]
fn what_was_released_alone_is_counted_at_its_ceiling() {
    let mut run = Run::new(rules(), below(&[("order.#", 10)]));
    let id = run.ceilings.ids().next().unwrap();
    assert_eq!(run.sending.waiting(run.marks, id), None);
    release(&mut run, "r", "order.payment.due", 500);
    assert_eq!(run.sending.waiting(run.marks, id), None);
    run.marks.now = run::START.plus(500);
    assert_eq!(run.sending.waiting(run.marks, id), Some((1, run::START.plus(500))));
}

#[test]
fn what_was_released_and_is_pending_goes_out_in_the_order_of_send_times() {
    let all = (0..9).map(|number| event(&format!("p{number}"), "report.day.ended", 100 * number));
    let mut run = Run::kept(DelayedRules { window: SECOND, ..rules() }, below(&[]), all.collect());
    run.step(DelayedInput::Link(false));
    for (name, after) in [("after 4", 450), ("at 7", 700), ("first", -100)] {
        release(&mut run, name, "report.day.ended", after);
    }
    run.pass(SECOND);
    let before = run.sent.len();
    run.step(DelayedInput::Link(true));
    let names: Vec<_> = run.sent[before..].iter().map(|(_, name)| &**name).collect();
    let all = ["first", "p1", "p2", "p3", "p4", "after 4", "p5", "p6", "at 7", "p7", "p8"];
    assert_eq!(names, all);
}
