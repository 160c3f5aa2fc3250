//! How late the machine itself is: what a test holds against how late the clock was.

use super::{Clock, LIMIT};
use khronos::clock;
use std::{
    fs::File,
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use testkit::block_until;

/// How long it rests between two looks.
const REST: Duration = Duration::from_millis(50);

/// Milliseconds: however slow the machine is, it excuses no more.
const AT_MOST: i64 = 20_000;

/// Does what the clock does all the time, and nothing else: it waits for a moment, and has the disk keep something. How late it
/// is with that is not the clock's fault.
pub(crate) struct Pace(Arc<Seen>);

#[derive(Default)]
struct Seen {
    /// Milliseconds: how late it was, each time.
    looks: Mutex<Vec<i64>>,
    ends: AtomicBool,
}

impl Pace {
    /// Begins, on the clock's disk.
    pub(crate) fn begin(clock: &Clock) -> Self {
        let seen = Arc::new(Seen::default());
        let (noted, mut file) = (seen.clone(), File::create(clock.sandbox.path("pace")).unwrap());
        std::thread::spawn(move || {
            while !noted.ends.load(Ordering::Relaxed) {
                let begun = clock::now();
                std::thread::sleep(REST);
                // The test may have ended, and its folder with it.
                let _ = file.write_all(b".").and_then(|()| file.sync_data());
                let late = clock::now().since(begun) - REST.as_millis() as i64;
                noted.looks.lock().unwrap().push(late.max(0));
            }
        });
        Self(seen)
    }

    /// Milliseconds: how late may be what is on time, but for what the machine did in the meantime. Whatever waits meets several
    /// of its stalls, one after the other.
    pub(crate) fn allows(&self, late: i64) -> i64 {
        // What goes on now counts too.
        let looks = || self.0.looks.lock().unwrap().clone();
        let before = looks().len();
        block_until("the end of this look and another one", LIMIT, || {
            (self.0.looks.lock().unwrap().len() > before + 1).then_some(())
        });
        late + (3 * for_most_of_the_time(looks())).min(AT_MOST)
    }
}

/// How late it was at most, but for a hundredth of the time: one stall of a moment excuses nothing. A look stands for all that
/// fell due while it lasted.
fn for_most_of_the_time(mut looks: Vec<i64>) -> i64 {
    let lasted = |late: i64| late + REST.as_millis() as i64;
    let mut left = looks.iter().copied().map(lasted).sum::<i64>() / 100;
    looks.sort_unstable();
    let is_too_long = |late: &i64| {
        left -= lasted(*late);
        left < 0
    };
    looks.into_iter().rev().find(is_too_long).unwrap_or_default()
}

#[test]
fn a_stall_counts_where_it_lasts_for_more_than_a_hundredth_of_the_time() {
    let a_minute = || vec![0; 1_200];
    for (stalls, late) in [(vec![], 0), (vec![500], 0), (vec![10_000], 10_000), (vec![500, 300], 300)] {
        assert_eq!(for_most_of_the_time([a_minute(), stalls.clone()].concat()), late, "{stalls:?}");
    }
    assert_eq!(for_most_of_the_time(vec![]), 0);
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }
}
