use super::*;
use crate::delayed::DelayedMemory;

fn queue() -> Queue {
    let tuning = DelayedTuning { writes: 2, ..DelayedTuning::default() };
    Shared::new(tuning).queue.into_inner().unwrap()
}

fn opened() -> Queue {
    let mut queue = queue();
    queue.opened(Arc::new(DelayedMemory::default()));
    queue
}

#[test]
fn what_waited_long_enough_is_flushed_before_the_next_write_and_not_sooner() {
    let mut queue = queue();
    queue.write(1, DelayedBatch::default()).unwrap();
    assert!(matches!(queue.next(1_000, Some(1_000)), Some(Job::Flush)));
    assert!(matches!(queue.next(999, Some(1_000)), Some(Job::Write(1, _))));
    assert!(queue.next(999, Some(1_000)).is_none());
    assert!(queue.next(i64::MAX, None).is_none());
}

#[test]
fn it_closes_once_all_is_written() {
    let mut queue = queue();
    queue.write(1, DelayedBatch::default()).unwrap();
    queue.write(2, DelayedBatch::default()).unwrap();
    queue.closing = true;
    assert!(queue.write(3, DelayedBatch::default()).is_err());
    assert!(matches!(queue.next(0, None), Some(Job::Write(1, _))));
    assert!(matches!(queue.next(0, None), Some(Job::Write(2, _))));
    assert!(matches!(queue.next(0, None), Some(Job::Close)));
}

#[test]
fn only_a_failure_of_the_present_opening_has_it_opened_again() {
    let mut queue = opened();
    let (first, _) = queue.reader().unwrap();
    queue.failed(first, &failure("a"));
    assert!(queue.reader().is_err(), "nothing more is read of it");
    assert!(matches!(queue.next(0, None), Some(Job::Failed(_))));
    queue.opened(Arc::new(DelayedMemory::default()));
    queue.failed(first, &failure("late"));
    assert!(queue.reader().is_ok() && queue.next(0, None).is_none());
    let (second, _) = queue.reader().unwrap();
    queue.failed(second, &failure("b"));
    // It was opened again for another reason.
    queue.closed(&failure("c"));
    queue.opened(Arc::new(DelayedMemory::default()));
    assert!(queue.next(0, None).is_none());
}

#[test]
fn after_reading_failed_it_works_again_once_something_was_read() {
    let mut queue = queue();
    queue.works();
    assert!(queue.next(0, None).is_none(), "nothing is open");
    queue.opened(Arc::new(DelayedMemory::default()));
    assert!(queue.next(0, None).is_none());
    queue.works();
    assert!(matches!(queue.next(0, None), Some(Job::Works)));
    queue.recovered();
    assert!(queue.next(0, None).is_none());
}
