//! Rate ceilings in some worlds: that no more goes out below them than they let through, whoever sends it; and that what waits for
//! them is not all in memory.

use crate::{
    Ceiling, CeilingId, Ceilings,
    delayed::{DueEvent, Sending},
};

pub(super) struct Below {
    all: Vec<Ceiling>,
    pub(super) ceilings: Ceilings,
    /// Milliseconds since the boot, which never go back.
    boot: i64,
    /// Of each ceiling, when something was handed over since the process began.
    handed: Vec<Vec<i64>>,
    /// How many delayed events were handed over below one.
    pub(super) delayed: usize,
}

/// Of which event this one is, which says so: of some domains. A change may bring it to another one.
pub(super) fn event(says: u64) -> &'static str {
    match says % 4 {
        0 => "report.day.ended",
        1 => "order.reminder.due",
        _ => "order.payment.due",
    }
}

impl Below {
    pub(super) fn new(seed: u64) -> Self {
        let mut all = Vec::new();
        if seed % 3 == 1 {
            let mut random = fastrand::Rng::with_seed(seed ^ 0x6C6C);
            for pattern in ["order.#", "order.payment.*"] {
                let interval = [20, 60, 150][random.usize(0..3)] * 1_000_000;
                let burst = [1, 1, 3][random.usize(0..3)];
                all.push(Ceiling { domain: pattern.into(), pattern: pattern.into(), interval, burst });
            }
        }
        let mut this = Self {
            ceilings: Ceilings::new(all.clone()),
            handed: vec![Vec::new(); all.len()],
            all,
            boot: 0,
            delayed: 0,
        };
        this.pass(1_000);
        this
    }

    pub(super) fn pass(&mut self, millis: i64) {
        self.boot += millis;
        self.ceilings.see(self.boot);
    }

    /// The next process knows nothing of what went out.
    pub(super) fn restart(&mut self) {
        self.ceilings = Ceilings::new(self.all.clone());
        self.ceilings.see(self.boot);
        self.handed.iter_mut().for_each(Vec::clear);
    }

    /// What is of schedules waits now and then, and goes out when it may.
    pub(super) fn schedules(&mut self, random: &mut fastrand::Rng) {
        for id in self.ceilings.ids() {
            let waits = random.u8(0..4) == 0;
            self.ceilings.schedules_wait(id, waits);
            if waits && random.bool() && self.ceilings.may(id) {
                self.take(id);
            }
        }
    }

    pub(super) fn schedules_take_all(&mut self) {
        for id in self.ceilings.ids() {
            self.ceilings.schedules_wait(id, true);
            while self.ceilings.may(id) {
                self.take(id);
            }
        }
    }

    fn take(&mut self, id: CeilingId) {
        self.ceilings.take(id);
        self.handed[id.index()].push(self.boot);
    }

    /// A delayed event is handed over, and is of this event.
    pub(super) fn handed(&mut self, event: &DueEvent, of: &str) -> Result<(), String> {
        let of = match of {
            "order.payment.due" => 1,
            "order.reminder.due" => 0,
            _ => return Ok(()),
        };
        let (Some(ceiling), Some(handed)) = (self.all.get(of), self.handed.get_mut(of)) else {
            return Ok(());
        };
        handed.push(self.boot);
        self.delayed += 1;
        for (count, earlier) in handed.iter().rev().enumerate() {
            let millis = self.boot - earlier;
            let most = i64::from(ceiling.burst) + millis * 1_000_000 / ceiling.interval;
            if i64::try_from(count).is_ok_and(|count| count >= most) {
                let domain = &ceiling.domain;
                return Err(format!("{} of {domain} within {millis} ms, the last {event:?}", count + 1));
            }
        }
        Ok(())
    }

    /// Of each ceiling two are in memory.
    pub(super) fn check(&self, sending: &Sending) -> Result<(), String> {
        let lanes = self.ceilings.ids().filter_map(|id| sending.window.lane(id));
        match lanes.map(|lane| lane.count(ponos_event::Timestamp::HORIZON)).find(|count| *count > 2) {
            Some(count) => Err(format!("{count} wait for a ceiling in memory")),
            None => Ok(()),
        }
    }
}
