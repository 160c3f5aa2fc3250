//! What holds of every timing, whatever it was written as: questions forwards, backwards, by number and by count agree.

use khronos_schedule::{Timing, difference};
use ponos_event::Timestamp;

const DAY: i64 = 86_400_000;
/// How many occurrences are asked for, from each place where something could be special.
const STEPS: u64 = 4;
/// 1970; around changes of the clocks in 2026; two days before the horizon; what is beyond either end.
const STARTS: [i64; 8] = [
    -1,
    946_684_799_999,
    1_774_742_400_000,
    1_790_000_000_123,
    1_792_886_400_000,
    4_102_444_800_000 - 2 * DAY,
    4_102_444_799_999,
    i64::MIN,
];

/// Asks a timing all that can be asked, and compares the answers.
pub fn ask(timing: &Timing) {
    for start in STARTS {
        steps(timing, Timestamp::from_millis(start));
    }
    let start = Timestamp::from_millis(STARTS[3]);
    let week = start.plus(7 * DAY);
    let explained: Vec<_> = timing.explain(start, week).take(40).collect();
    for one in &explained {
        let Some(due) = one.due else { continue };
        assert_eq!(timing.before(due.plus(1)), Some(due), "explained and not due: {one:?}");
        assert!(due > start && due <= week, "{one:?}");
    }
    if explained.len() < 40 {
        let mut due: Vec<_> = explained.iter().filter_map(|one| one.due).collect();
        due.sort();
        due.dedup();
        assert_eq!(due.len() as u64, timing.count(start, week), "{explained:?}");
    }
    timing.gaps(start, start.plus(400 * DAY), 2);
    timing.calendar_ends();
    let shown = timing.describe();
    assert!(!shown.is_empty() && !shown.contains(char::is_control), "{shown:?}");
    let same = difference(Some(timing), Some(timing), (start, week), 1_000, 2);
    assert_eq!((same.added, same.removed, same.moved), (0, 0, 0));
}

fn steps(timing: &Timing, start: Timestamp) {
    let mut dues = Vec::new();
    let mut at = start;
    for step in 1..=STEPS {
        let Some(next) = timing.after(at) else {
            assert_eq!(timing.nth(start, step), None, "after {at} there is none");
            assert_eq!(timing.count(at, Timestamp::HORIZON), 0, "after {at} there is none");
            break;
        };
        assert!(next > at && next >= Timestamp::EPOCH && next < Timestamp::HORIZON, "{next} after {at}");
        assert_eq!(timing.count(start, next), step, "from {start} to {next}");
        assert_eq!(timing.nth(start, step), Some(next), "number {step} from {start}");
        assert_eq!(timing.before(next.plus(1)), Some(next));
        let before = timing.before(next);
        assert!(before.is_none_or(|before| before <= at), "{before:?} between {at} and {next}");
        if let Some(&last) = dues.last() {
            assert_eq!(before, Some(last), "before {next}");
        }
        assert!(timing.local(next).is_some());
        dues.push(next);
        at = next;
    }
    sent(timing, &dues);
    frequency(timing, &dues);
}

/// Send times have the order of due times, and go back to them.
fn sent(timing: &Timing, dues: &[Timestamp]) {
    let sends: Vec<_> = dues.iter().map(|&due| timing.send_time(due)).collect();
    for (index, (&due, &send)) in dues.iter().zip(&sends).enumerate() {
        assert!(send >= due && send.since(due) <= timing.jitter(), "{due} is sent at {send}");
        assert!(dues.get(index + 1).is_none_or(|next| send < *next), "{due} is sent at {send}");
        assert!(timing.due_by(send) >= due && timing.due_by(send.plus(-1)) < due, "{due} is sent at {send}");
    }
}

/// Where no clock is ever changed, what is said of the frequency is exact or a bound.
fn frequency(timing: &Timing, dues: &[Timestamp]) {
    let is_single = !timing.describe().contains("; ");
    if timing.zone().rules().is_some() || !is_single {
        return;
    }
    for pair in dues.windows(2) {
        let shortest = timing.shortest_interval();
        assert!(shortest.is_some_and(|least| pair[1].since(pair[0]) >= least), "{shortest:?} of {pair:?}");
        assert_eq!(timing.interval_below(100), None);
    }
    if let Some(first) = dues.first().filter(|_| !timing.describe().contains(", else on")) {
        let midnight = Timestamp::from_millis(first.millis().div_euclid(DAY) * DAY).plus(-1);
        let count = timing.count(midnight, midnight.plus(DAY));
        assert!(
            count <= timing.most_a_day(),
            "{count} on the day of {first}, {} at most",
            timing.most_a_day()
        );
    }
}
