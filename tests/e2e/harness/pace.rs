//! How late the machine itself is: what a test holds against how late the clock was.

use super::{Clock, LIMIT};
use khronos::clock;
use std::{
    fs::File,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use testkit::block_until;

/// How long it rests between two looks.
const REST: Duration = Duration::from_millis(50);

/// Does what the clock does all the time, and nothing else: it waits for a moment, and has the disk keep something. How late it
/// is with that is not the clock's fault.
pub(crate) struct Pace(Arc<Seen>);

#[derive(Default)]
struct Seen {
    /// Milliseconds: the most that it was late.
    latest: AtomicI64,
    looks: AtomicI64,
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
                noted.latest.fetch_max(late, Ordering::Relaxed);
                noted.looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self(seen)
    }

    /// Milliseconds: how late may be what is on time, but for what the machine did in the meantime. Whatever waits meets several
    /// of its stalls, one after the other.
    pub(crate) fn allows(&self, late: i64) -> i64 {
        // What goes on now counts too.
        let before = self.0.looks.load(Ordering::Relaxed);
        block_until("the end of this look and another one", LIMIT, || {
            (self.0.looks.load(Ordering::Relaxed) > before + 1).then_some(())
        });
        late + 3 * self.0.latest.load(Ordering::Relaxed)
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }
}
