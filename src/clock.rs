//! The only file that reads the system's time, and the alarm that wakes the loop at an instant of the wall clock.

#![allow(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]

mod quality;

pub use quality::{Quality, quality, quality_warning};

use crate::engine::Reading;
use ponos::event::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// The wall clock, floored to the millisecond.
pub fn now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Timestamp::from_millis(millis)
}

/// The wall clock in nanoseconds since 1970, as traces have it.
pub fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The present, for measuring how long something takes.
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// Both clocks.
pub fn reading() -> Reading {
    Reading { wall: now(), boot: boot::millis() }
}

/// When a leadership last said that it lives. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat(Arc<Beats>);

#[derive(Debug, Default)]
struct Beats {
    last: AtomicI64,
    /// Its loop turns: what is read beside it says nothing of it any more.
    turns: AtomicBool,
}

impl Heartbeat {
    /// A new leadership, whose loop does not turn yet.
    pub fn begin(&self) {
        self.0.turns.store(false, Ordering::Relaxed);
        self.beat();
    }

    /// Something was read that the loop begins from.
    pub fn progress(&self) {
        if !self.0.turns.load(Ordering::Relaxed) {
            self.beat();
        }
    }

    /// The loop took a turn.
    pub fn turn(&self) {
        self.0.turns.store(true, Ordering::Relaxed);
        self.beat();
    }

    /// The instant of the boot-time clock, in milliseconds.
    pub fn last(&self) -> i64 {
        self.0.last.load(Ordering::Relaxed)
    }

    fn beat(&self) {
        self.0.last.store(reading().boot, Ordering::Relaxed);
    }
}

pub use alarm::Alarm;

#[cfg(target_os = "linux")]
mod boot {
    use rustix::time::{ClockId, clock_gettime};

    /// Milliseconds since boot, time asleep included.
    pub(super) fn millis() -> i64 {
        let now = clock_gettime(ClockId::Boottime);
        now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
    }
}

#[cfg(not(target_os = "linux"))]
mod boot {
    use std::{sync::OnceLock, time::Instant};

    /// Milliseconds since the first call. Elsewhere than on Linux time asleep may be missing from it: a suspend is then
    /// held like a leap of the wall clock.
    pub(super) fn millis() -> i64 {
        static START: OnceLock<Instant> = OnceLock::new();
        i64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(target_os = "linux")]
mod alarm {
    use ponos::event::Timestamp;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::{io, os::fd::OwnedFd};
    use tokio::io::unix::AsyncFd;

    /// One absolute timer of the wall clock, which also wakes when that clock is set.
    #[derive(Debug)]
    pub struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        /// A timer that is not set.
        ///
        /// # Errors
        /// The system's, when it has no timer or file descriptor left.
        #[allow(
            deprecated,
            reason = "sound for an OwnedFd, which stays open and itself; its successor is unsafe to call"
        )]
        pub fn new() -> io::Result<Self> {
            let timer =
                timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Ok(Self(AsyncFd::new(timer)?))
        }

        /// Waits until the wall clock shows `until`, or is set. Cancel safe.
        ///
        /// # Errors
        /// The system's.
        pub async fn wait(&self, until: Timestamp) -> io::Result<()> {
            let millis = until.millis().max(1);
            let it_value = Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once)?;
            let mut ready = self.0.readable().await?;
            let mut expirations = [0; 8];
            match rustix::io::read(&self.0, &mut expirations) {
                // Cancelled: the clock was set.
                Ok(_) | Err(rustix::io::Errno::CANCELED | rustix::io::Errno::AGAIN) => {}
                Err(other) => return Err(other.into()),
            }
            ready.clear_ready();
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    use ponos::event::Timestamp;
    use std::{io, time::Duration};

    /// No more than this at once: the wall clock may be set meanwhile, and nothing would tell.
    const BOUND: Duration = Duration::from_millis(500);

    /// Waits in short pieces.
    #[derive(Debug)]
    pub struct Alarm;

    impl Alarm {
        /// The alarm.
        ///
        /// # Errors
        /// None here.
        pub fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits until the wall clock shows `until`, at most half a second. Cancel safe.
        ///
        /// # Errors
        /// None here.
        pub async fn wait(&self, until: Timestamp) -> io::Result<()> {
            let wait = u64::try_from(until.since(super::now())).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait).min(BOUND)).await;
            Ok(())
        }
    }
}
