//! The world of the cluster: true time, which nobody knows, and what is on its way. What happens to whom is in `luck`.

use super::{
    super::{
        evidence::{Arrival, Evidence},
        operator::definition,
        random::Random,
    },
    clients::Clients,
    database::{Database, Job},
    faults::ClusterFault,
    later::{Read, Way},
    later_clients::LaterClients,
    node::{Mishap, Node, START},
    watch::Watch,
};
use crate::{
    ClockRules, Handover, RecordRow, Resends, Revision, Rules, Snapshot,
    delayed::{DelayedAction, DelayedEvent},
    lease::{LeaseCall, LeaseReply, LeaseTimes},
    warm::tests::Followed,
};
use khronos_schedule::Packed;
use std::collections::{BTreeMap, HashSet};

/// What happens at some instant. Of a process: which node, and which of its lives.
pub(super) enum Event {
    Starts(usize),
    Wakes(usize, u32),
    /// A call reaches the database.
    Arrives(Box<Sent>),
    /// An answer reaches its process.
    Replied {
        to: (usize, u32),
        line: u64,
        number: u64,
        reply: LeaseReply,
    },
    /// What a step of the engine handed over is given to the broker's connection.
    Performs {
        by: (usize, u32),
        term: u64,
        handovers: Vec<Handover>,
    },
    /// A frame reaches the broker; none: a probe.
    Frame {
        by: (usize, u32),
        link: u64,
        term: u64,
        handover: Option<Box<Handover>>,
    },
    Confirmed {
        to: (usize, u32),
        link: u64,
        term: u64,
        token: Option<u64>,
    },
    /// Of delayed events: a question reaches the database, an answer its process, a frame the broker, and what that says.
    Asks {
        way: Way,
        question: Box<DelayedAction>,
    },
    Answers {
        way: Way,
        read: Box<Read>,
    },
    LaterFrame {
        way: Way,
        link: u64,
        token: u64,
        event: Box<DelayedEvent>,
    },
    LaterConfirmed {
        way: Way,
        link: u64,
        token: u64,
    },
    /// The connection to the broker ends, or is tried to be made.
    Unlinks(usize, u32),
    Links(usize, u32),
    /// Something goes wrong; a client wants something; somebody looks.
    Luck,
    Client,
    Looks,
    /// A standby takes the database's place.
    Promotes,
    /// The broker, or a clock, is as it was.
    BrokerIsBack,
    DatabaseClockIsBack,
}

/// A call on its way.
pub(super) struct Sent {
    pub(super) by: (usize, u32),
    pub(super) line: (u64, u32),
    pub(super) number: u64,
    pub(super) call: LeaseCall,
    pub(super) job: Option<Job>,
    /// What the caller's clock showed, and the true time.
    pub(super) clock: i64,
    pub(super) at: i64,
    pub(super) mishap: Option<Mishap>,
}

pub(super) struct World {
    pub(super) random: Random,
    /// Milliseconds of true time.
    pub(super) now: i64,
    pub(super) queue: BTreeMap<(i64, u64), Event>,
    last: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) database: Database,
    pub(super) broker_is_up: bool,
    pub(super) last_link: u64,
    pub(super) arrivals: Vec<Arrival>,
    pub(super) clients: Clients,
    pub(super) later_clients: LaterClients,
    pub(super) watch: Watch,
    pub(super) files: Vec<Packed>,
    pub(super) fault: Option<ClusterFault>,
    pub(super) times: LeaseTimes,
    pub(super) rules: Rules,
    /// Whether a standby may lack commits.
    pub(super) is_lossy: bool,
    /// When the database's clock was set last.
    pub(super) clock_set_at: i64,
    /// Nothing else goes wrong until then.
    pub(super) quiet_until: i64,
    /// Nothing goes wrong any more.
    pub(super) calm: bool,
    /// A leader was there to end, and did.
    pub(super) ended_well: bool,
    pub(super) disk: Snapshot,
    /// As a leader found it last.
    pub(super) followed: Followed,
    pub(super) record: Vec<RecordRow>,
    pub(super) ever: Vec<Revision>,
    refused: HashSet<(std::sync::Arc<str>, ponos_event::Timestamp)>,
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<ClusterFault>) -> Self {
        let mut random = Random::new(seed ^ 0xC1C1_C1C1);
        let clock =
            ClockRules { settle: 60_000, max_forward: 60_000, max_backward: 5_000, resume_backward: true };
        let rules = Rules {
            clock,
            resends: Resends { count: 3, over: 10_000 },
            in_flight: *random.pick(&[2, 4, 20]),
            piece: *random.pick(&[1, 2, 100]),
            parked: 100,
            record_first: false,
            keep_finished: 86_400_000,
            demand: crate::core::UNBOUNDED,
        };
        let mut times = LeaseTimes::default();
        match fault {
            Some(ClusterFault::RelyOnTheHint) => times.poll = 60_000,
            Some(ClusterFault::AcquireWithAnotherTime) => times.skew = i64::MAX / 4,
            Some(ClusterFault::LeadInVain) => times.unproven = i64::MAX / 4,
            _ => {}
        }
        let count = 2 + random.below(4);
        let nodes = (0..count).map(|_| Node::new(random.below(300) - 150, random.below(1_000_000_000)));
        let nodes = nodes.collect();
        let is_lossy = random.chance(25);
        let mut database = Database::new(fault);
        database.is_pooled = random.chance(20);
        // Where the timeline can't be seen, what a promotion loses can't be seen either: people are warned.
        database.shows_timeline = is_lossy || random.chance(80);
        database.make();
        if !is_lossy && random.chance(10) {
            database.bring();
        }
        let mut world = Self {
            random,
            now: 0,
            queue: BTreeMap::new(),
            last: 0,
            nodes,
            database,
            broker_is_up: true,
            last_link: 0,
            arrivals: Vec::new(),
            clients: Clients::new(seed),
            later_clients: LaterClients::new(seed),
            watch: Watch::new(),
            files: Vec::new(),
            fault,
            times,
            rules,
            is_lossy,
            clock_set_at: i64::MIN / 2,
            quiet_until: 0,
            calm: false,
            ended_well: false,
            disk: Snapshot::default(),
            followed: Followed::default(),
            record: Vec::new(),
            ever: Vec::new(),
            refused: HashSet::new(),
        };
        for name in ["f", "g"] {
            let definition = definition(&mut world.random, START, name);
            world.files.extend(Packed::build(&definition).ok());
        }
        for node in 0..world.nodes.len() {
            let after = world.random.below(300);
            world.after(after, Event::Starts(node));
        }
        world.after(3_000, Event::Luck);
        world.after(2_000, Event::Client);
        world.after(100, Event::Looks);
        world
    }

    /// Has something happen so much later.
    pub(super) fn after(&mut self, millis: i64, event: Event) {
        self.last += 1;
        self.queue.insert((self.now + millis, self.last), event);
    }

    /// A life of luck, and then calm.
    pub(super) fn live(&mut self) -> Result<(), String> {
        let luck = 8_000 + self.random.below(12_000);
        self.run_until(luck)?;
        if let Some(leader) = self.led_by().filter(|_| self.random.chance(10)) {
            // Of the last faults one: whoever leads, and may be killed next, has another time.
            let node = &mut self.nodes[leader];
            (node.ahead, node.is_off, node.set_at) = (1_500, true, luck);
            self.run_until(luck + 500)?;
        }
        self.become_calm();
        let while_calm = 3_400 + self.random.below(2_000);
        self.run_until(self.now + while_calm)?;
        self.a_slow_call_changes_no_leader()?;
        self.run_until(self.now + 4_000)?;
        self.end()
    }

    pub(super) fn run_until(&mut self, end: i64) -> Result<(), String> {
        while let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= end) {
            let ((at, _), event) = first.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
            self.watch.broken.take().map_or(Ok(()), Err)?;
            self.database.broken.take().map_or(Ok(()), Err)?;
            self.clients.broken.take().map_or(Ok(()), Err)?;
            // Where commits are lost, their creation numbers are given again.
            let broken = self.later_clients.broken.take().filter(|_| !self.has_lost());
            broken.map_or(Ok(()), Err)?;
        }
        self.now = end;
        Ok(())
    }

    /// Who leads and is trusted.
    pub(super) fn led_by(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|at| self.nodes[*at].trusts(self.now))
    }

    /// One call of the leader takes too long, or its answer is lost: it leads on, under the same term.
    fn a_slow_call_changes_no_leader(&mut self) -> Result<(), String> {
        let Some(leader) = self.led_by() else { return Ok(()) };
        let before = self.nodes[leader].leads();
        let mishap = match self.random.below(6) {
            0 => Mishap::LostThere,
            1 => Mishap::LostBack,
            2 => Mishap::CutBack,
            3 => Mishap::Standby,
            4 => Mishap::SlowBack(350 + self.random.below(900)),
            _ => Mishap::SlowThere(350 + self.random.below(900)),
        };
        self.nodes[leader].mishaps.push_back(mishap);
        self.run_until(self.now + 3_000)?;
        let after = self.nodes[leader].leads();
        let was_wanted = self.now - self.watch.wanted_at < 4_000;
        if (before != after || self.led_by() != Some(leader)) && !was_wanted {
            return Err(format!("{mishap:?} made term {after:?} of {before:?}, led by {:?}", self.led_by()));
        }
        Ok(())
    }

    /// All processes are told to end, the leader last.
    fn end(&mut self) -> Result<(), String> {
        self.clients.is_closed = true;
        let leader = self.led_by();
        self.ended_well = leader.is_some();
        for at in (0..self.nodes.len()).filter(|at| Some(*at) != leader).chain(leader) {
            self.stop(at);
        }
        self.run_until(self.now + 6_000)?;
        if self.nodes.iter().any(|node| node.process.is_some()) {
            return Err("a process that was told to stop goes on".into());
        }
        if let Some(holder) = self.database.holder().filter(|_| self.ended_well) {
            return Err(format!("{holder:?} ended and did not resign"));
        }
        (self.disk, self.record, self.ever) = self.database.content();
        Ok(())
    }

    pub(super) fn evidence(&self) -> Evidence<'_> {
        let Self { arrivals, record, disk, ever, refused, .. } = self;
        Evidence { arrivals, record, disk, revisions: ever, refused, era: 0 }
    }

    /// Whether a promotion lost something that this world is held to have.
    pub(super) fn has_lost(&self) -> bool {
        self.database.lost > 0 && self.fault != Some(ClusterFault::PromoteWithoutTheLastCommit)
    }
}
