//! What waits for the store, and in which order it is written.

use super::*;
use crate::store::conformance::rows;

fn append(queue: &mut Queue, count: i64) {
    queue.append(rows(1..=count), Timestamp::EPOCH).unwrap();
}

fn flush(queue: &mut Queue) -> oneshot::Receiver<Result<(), StoreError>> {
    let (reply, answer) = oneshot::channel();
    queue.flush(reply);
    answer
}

/// The next job in short: how many rows are written, or how many flushes answered.
fn next(queue: &mut Queue, now: i64) -> Option<(&'static str, usize)> {
    queue.next(now).map(|job| match job {
        Job::Save(..) => ("save", 1),
        Job::Append(rows, _) => ("append", rows.len()),
        Job::Flushed(replies) => ("flushed", replies.len()),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_flush_waits_for_what_came_before_it_and_not_for_what_comes_later() {
    let shared = Shared::new(Tuning { batch: 4, ..Tuning::default() });
    shared.change(|queue| {
        (0..2).for_each(|_| append(queue, 3));
        queue.save(1, Commit::default()).unwrap();
        let _first = flush(queue);
        append(queue, 3);
        let _second = flush(queue);
        let jobs: Vec<_> = (0..6)
            .filter_map(|_| {
                // There is always more to write.
                append(queue, 3);
                next(queue, 0)
            })
            .collect();
        let (rows, flushed) = (("append", 4), ("flushed", 1));
        assert_eq!(jobs, [("save", 1), rows, rows, flushed, rows, flushed]);
        // A call without rows is waited for, too.
        for second in 1..20 {
            next(queue, second * 1_000);
        }
        append(queue, 0);
        let _third = flush(queue);
        assert_eq!([next(queue, 0), next(queue, 0)], [Some(("append", 0)), Some(flushed)]);
        let _fourth = flush(queue);
        queue.save(2, Commit::default()).unwrap();
        assert_eq!([next(queue, 0), next(queue, 0)], [Some(flushed), Some(("save", 1))]);
    });
}

#[test]
fn rows_given_before_a_step_back_are_complete_no_further_than_the_lower_reading() {
    let at = Timestamp::from_millis;
    let saved = |settled, set_backs| Commit { settled: at(settled), set_backs, ..Commit::default() };
    let complete = |set_backs| {
        let shared = Shared::new(Tuning::default());
        shared.change(|queue| {
            queue.save(1, saved(0, 1)).unwrap();
            queue.append(rows([1]), at(4)).unwrap();
            queue.append(rows([2]), at(50)).unwrap();
            queue.save(2, saved(10, set_backs)).unwrap();
            let _flush = flush(queue);
            let early = match [queue.next(0), queue.next(0), queue.next(0)] {
                [Some(Job::Save(..)), Some(Job::Save(..)), Some(Job::Append(_, complete))] => complete,
                other => panic!("{other:?}"),
            };
            queue.append(rows([3]), at(12)).unwrap();
            let _flush = flush(queue);
            match [queue.next(0), queue.next(0)] {
                [Some(Job::Flushed(_)), Some(Job::Append(_, late))] => (early.millis(), late.millis()),
                other => panic!("{other:?}"),
            }
        })
    };
    assert_eq!((complete(1), complete(2)), ((50, 12), (10, 12)));
}

#[test]
fn a_flush_breaks_the_pace_once_and_one_that_nobody_waits_for_not_at_all() {
    let shared = Shared::new(Tuning::default());
    shared.change(|queue| {
        append(queue, 1);
        assert_eq!(next(queue, 0), Some(("append", 1)));
        append(queue, 1);
        drop(flush(queue));
        assert_eq!(next(queue, 1), None);
        let _waiting = flush(queue);
        assert_eq!([next(queue, 1), next(queue, 1)], [Some(("append", 1)), Some(("flushed", 2))]);
        append(queue, 1);
        assert_eq!(next(queue, 2), None);
        for _ in 0..=QUESTIONS {
            drop(flush(queue));
            assert!(queue.has_room());
        }
    });
}
