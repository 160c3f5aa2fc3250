//! The storm itself: a worker process that is killed and started again, a broker that is killed and restarted, until every
//! message has come to its end; then the fates are compared with the plan.

use super::{
    Came, NAME, QUEUE, SEEN,
    child::Child,
    plan::{Fate, Job, jobs},
    random, scale,
};
use crate::real::{Sender, support, verdict};
use ponos::{
    broker::Transport,
    event::Message,
    topology::{
        Binding, Queue,
        worker::{LADDER, PARKING, QueueIntake, dead_letters, shared, work_queue},
    },
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use testkit::{Node, block_until_or_tell};

/// Of each of the two inboxes.
const MESSAGES: usize = 5_000;
/// So often the process is killed at random moments, of each 5,000 messages.
const KILLS: usize = 10;
/// For everything, a broker's restart included.
const LIMIT: Duration = Duration::from_secs(300);

struct Storm {
    node: Node,
    jobs: Vec<Job>,
    child: Child,
    seen: Came,
    dead: Came,
}

impl Storm {
    /// A broker with all messages in it, and a worker that does not run yet.
    async fn new(inbox: impl FnOnce(&Child) -> String) -> Self {
        let node = Node::start();
        let url = node.url();
        let mut all = shared();
        all.join(work_queue(QUEUE, QueueIntake::Events(&[NAME]), false));
        all.queues.push(Queue::quorum("seen"));
        all.bindings.push(Binding::queue("events", "seen", SEEN));
        Transport::amqp(support::config(&url)).check(&all).await.unwrap();
        let jobs = jobs(MESSAGES * scale());
        Sender::new(&url).await.send(jobs.iter().map(Job::message).collect()).await;
        node.write_down();
        let (seen, dead) = (Came::watch(&url, "seen", true), Came::watch(&url, &dead_letters(QUEUE), false));
        let mut child = Child::new(&url, "");
        child.inbox(inbox);
        Self { node, jobs, child, seen, dead }
    }

    fn ended(&self) -> usize {
        self.seen.count() + self.dead.count()
    }

    /// Until so many have ended. A worker that died is started again.
    fn until(&mut self, ended: usize) {
        let Self { child, seen, dead, jobs, .. } = self;
        let child = std::cell::RefCell::new(child);
        block_until_or_tell(
            &format!("{ended} of {} to end", jobs.len()),
            LIMIT,
            || {
                let mut child = child.borrow_mut();
                if !child.runs() {
                    child.start();
                }
                (seen.count() + dead.count() >= ended).then_some(())
            },
            || format!("{} done, {} dead\n{}", seen.count(), dead.count(), child.borrow().log()),
        );
    }

    /// Runs it through kills until all have ended. `half` is what happens to the inbox half-way.
    fn rage(&mut self, half: impl FnOnce()) {
        let (total, mut random) = (self.jobs.len(), random());
        let mut half = Some(half);
        let step = total / (KILLS * scale());
        let mut broker_kills = [total / 4, total * 2 / 3].into_iter().peekable();
        loop {
            let next = self.ended() + random.usize(step / 2..step * 3 / 2);
            if next >= total {
                break;
            }
            self.until(next);
            let_pass(random.u64(0..30));
            self.child.kill();
            if random.u8(0..4) == 0 {
                // while it starts
                self.child.start();
                let_pass(random.u64(0..400));
                self.child.kill();
            }
            if broker_kills.next_if(|at| self.ended() >= *at).is_some() {
                // with the worker at work, or with none
                if random.bool() {
                    self.until((self.ended() + 1).min(total));
                }
                self.node.kill9();
                self.node.restart();
            }
            if self.ended() >= total / 2
                && let Some(half) = half.take()
            {
                self.until((self.ended() + 1).min(total));
                half();
            }
        }
        self.until(total);
        println!("{} processes for {total} messages", self.child.starts);
    }

    /// What was sent twice is gone too, with nothing left anywhere; then the worker stops as it should.
    /// `rows`: how many wait in the inbox's database.
    fn calm(&mut self, rows: impl Fn() -> u64) {
        let queues: Vec<&str> = LADDER.iter().map(|(rung, _)| *rung).chain([QUEUE, PARKING]).collect();
        let node = &self.node;
        let left = || {
            let mut left: Vec<String> = Vec::new();
            for queue in &queues {
                let held = *queue == QUEUE && unacked(node) > 0;
                if node.queue("/", queue).is_none_or(|(ready, _)| ready > 0) || held {
                    left.push((*queue).to_owned());
                }
            }
            if rows() > 0 {
                left.push("rows".to_owned());
            }
            left
        };
        block_until_or_tell(
            "all queues to be empty",
            LIMIT,
            || left().is_empty().then_some(()),
            || left().join(", "),
        );
        self.child.stop();
        assert_eq!(left(), Vec::<String>::new());
    }

    /// Every job has the fate that it must have; the numbers of those that are done.
    fn fates(&self) -> HashSet<u64> {
        let mut done: HashMap<u64, String> = HashMap::new();
        for message in self.seen.all() {
            let data: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
            let id = message.properties.message_id.unwrap();
            let before = done.insert(data["number"].as_u64().unwrap(), id.clone());
            assert!(before.is_none(), "{data} was published under two ids: {before:?}, {id}");
        }
        let dead: HashMap<String, Message> = self
            .dead
            .all()
            .into_iter()
            .map(|letter| (letter.properties.message_id.clone().unwrap(), letter))
            .collect();
        for job in &self.jobs {
            let (done, letter) = (done.contains_key(&job.number), dead.get(&Job::id(job.number)));
            match job.does.fate() {
                Fate::Done => {
                    assert!(done && letter.is_none(), "{job:?}: done {done}, {:?}", letter.map(verdict))
                }
                Fate::Dead(kind, words) => {
                    let (found, reason) = letter.map(verdict).unwrap_or_default();
                    assert!(found == kind && reason.contains(words), "{job:?}: {found}: {reason}");
                    assert!(!done, "{job:?} is dead, and its effect was published");
                }
            }
        }
        assert_eq!(done.len() + dead.len(), self.jobs.len());
        println!(
            "{} done, {} dead; {} effects and {} letters came twice",
            done.len(),
            dead.len(),
            self.seen.twice(),
            self.dead.twice()
        );
        done.into_keys().collect()
    }
}

/// What a consumer of the work queue holds, as the broker last counted (every few seconds).
fn unacked(node: &Node) -> u64 {
    let expression = format!(
        "case rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{QUEUE}\">>)) of \
         {{ok, Q}} -> [{{messages, N}}] = rabbit_amqqueue:info(Q, [messages]), N; _ -> 0 end"
    );
    node.eval(&expression).parse().expect("a number")
}

/// The random moment of a kill.
fn let_pass(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// One storm at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[cfg(feature = "inbox-sled")]
#[tokio::test(flavor = "multi_thread")]
async fn with_an_inbox_on_disk_every_message_ends_done_or_dead_with_its_reason() {
    let _turn = TURN.lock().await;
    let mut storm = Storm::new(|child| format!("sled:{}", child.folder("inbox").display())).await;
    storm.rage(|| {});
    storm.calm(|| 0);
    storm.fates();
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn with_an_inbox_in_postgres_each_effect_is_there_once() {
    let _turn = TURN.lock().await;
    let postgres = testkit::Postgres::start(true);
    let database = postgres.database("faults");
    postgres.sql("faults", "create table effects (number bigint not null)");
    let mut storm = Storm::new(|_| database).await;
    storm.rage(|| postgres.restart());
    storm.calm(|| postgres.sql("faults", "select count(*) from ponos.ponos_outbox").parse().unwrap());
    let done = storm.fates();
    let effects = postgres.sql("faults", "select number from effects");
    let effects: Vec<u64> = effects.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(effects.len(), done.len(), "each effect once");
    assert_eq!(effects.into_iter().collect::<HashSet<_>>(), done);
    assert_eq!(postgres.sql("faults", "select count(*) from ponos.ponos_outbox"), "0");
}
