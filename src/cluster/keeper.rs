//! The thread that keeps the lease: it steps the member, makes its calls, and gives writers their turns.

use super::{
    Role, Seen, Trust,
    calls::{Done, Waiting, call, prepare, turn},
    life::Life,
    notices,
    role::Outs,
};
use crate::{
    clock::{self, Heartbeat},
    config::ClusterSecret,
    engine::lease::{LeaseAction, LeaseCall, LeaseInput, LeaseReply, LeaseTimes, Member, MemberId},
    postgres::{Door, Led, Line, MemberShown, NEWEST, TurnAsked, hear},
    store::StoreError,
};
use futures_util::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::{Builder, Handle},
    sync::{Notify, mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tracing::warn;

/// A member shows itself to the others this often (milliseconds).
const SHOWN_EVERY: i64 = 1_000;

/// What the lease is kept with.
#[derive(Debug)]
pub(crate) struct KeeperParts {
    /// Where the tables are.
    pub(crate) door: Door,
    /// Told until when the process may hand over.
    pub(crate) trust: Trust,
    /// By which the leader's address is known for one.
    pub(crate) secret: Option<ClusterSecret>,
    /// What others see of this member.
    pub(crate) shown: MemberShown,
    /// The times of the lease, the same for all members.
    pub(crate) times: LeaseTimes,
    /// Told what a follower sees.
    pub(crate) seen: watch::Sender<Seen>,
    /// A leadership that says for so long (milliseconds) that it neither begins nor lives leads in vain.
    pub(crate) silent: i64,
}

/// What the process has of the thread that keeps its lease. Clones lead to the same one; it ends after [`Keeper::stop`].
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    /// What the process is to do.
    pub(crate) role: watch::Receiver<Role>,
    /// What a follower sees.
    #[cfg(test)]
    pub(super) seen: watch::Receiver<Seen>,
    /// Counts up when the broker is to be probed.
    pub(crate) probes: watch::Receiver<u64>,
    has_broker: Arc<AtomicBool>,
    heartbeat: Heartbeat,
    /// Nothing is led before.
    begins: watch::Sender<bool>,
    inputs: mpsc::UnboundedSender<LeaseInput>,
    turns: mpsc::UnboundedSender<TurnAsked>,
    runtime: Handle,
    door: Door,
    limit: Duration,
}

impl Keeper {
    /// From now on it may lead.
    pub(crate) fn begin(&self) {
        self.begins.send_replace(true);
    }

    /// Told that a leadership lives.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Where the stores of the leadership under this term are opened.
    pub(crate) fn door(&self, term: u64) -> Door {
        let (turns, runtime) = (self.turns.clone(), self.runtime.clone());
        self.door.led(Led::new(turns, term, runtime, self.limit, self.heartbeat.clone()))
    }

    /// The process is to end.
    pub(crate) fn stop(&self) {
        self.tell(LeaseInput::Stop);
        self.begin();
    }

    /// What [`Role::Draining`] asks for is done.
    pub(crate) fn drained(&self) {
        self.tell(LeaseInput::Drained);
    }

    /// The broker confirmed something of this process.
    pub(crate) fn confirmed(&self) {
        self.tell(LeaseInput::Confirmed);
    }

    /// Whether the leader has something due that is not confirmed.
    pub(crate) fn work(&self, due: bool) {
        self.tell(LeaseInput::Work { due });
    }

    /// Whether this process is connected to its broker, for others to see.
    pub(crate) fn note_broker(&self, is_up: bool) {
        self.has_broker.store(is_up, Ordering::Relaxed);
    }

    fn tell(&self, input: LeaseInput) {
        // It ends by itself once it was told to stop.
        drop(self.inputs.send(input));
    }
}

/// Makes the tables where they are missing, and keeps the lease from [`Keeper::begin`] on. While the database is not there it is waited for.
///
/// # Errors
/// [`StoreError`] where it can't be used for a reason that stays.
pub(crate) async fn keep(parts: KeeperParts) -> Result<Keeper, StoreError> {
    let door = parts.door.clone();
    let failed =
        |error: std::io::Error| door.address().io(format!("its thread could not be started: {error}"));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let handle = runtime.handle().clone();
    let (role_in, role) = watch::channel(Role::Following);
    let seen_in = parts.seen.clone();
    let (probes_in, probes) = watch::channel(0);
    // Bounded by those that tell: writers one at a time each, one confirm a second, one change of the work a step of the loop.
    let (inputs_in, inputs) = mpsc::unbounded_channel();
    let (turns_in, turns) = mpsc::unbounded_channel();
    let (ready, prepared) = oneshot::channel();
    let has_broker = Arc::new(AtomicBool::new(false));
    let heartbeat = Heartbeat::default();
    let (begins, mut begun) = watch::channel(false);
    let limit = Duration::from_millis(parts.times.call.unsigned_abs());
    let keeper = Keeper {
        role,
        #[cfg(test)]
        seen: parts.seen.subscribe(),
        probes,
        has_broker: has_broker.clone(),
        heartbeat: heartbeat.clone(),
        begins,
        inputs: inputs_in,
        turns: turns_in,
        runtime: handle,
        door: door.clone(),
        limit,
    };
    let work = move || {
        runtime.block_on(async {
            let waits = |why: &StoreError| {
                seen_in.send_modify(|seen| seen.failing = Some(format!("{why}; the database is waited for")));
            };
            let line = match prepare(&parts.door, || !ready.is_closed(), waits).await {
                Ok(line) => line,
                Err(error) => return drop(ready.send(Err(error))),
            };
            if ready.send(Ok(())).is_err() {
                return;
            }
            // An error: whoever started it has given up.
            drop(begun.wait_for(|begun| *begun).await);
            let outs = Outs { role: role_in, seen: seen_in, probes: probes_in };
            let life = Life::new(heartbeat);
            let (hinted, door) = (Notify::new(), parts.door.clone());
            let thread = Thread::new(parts, line, (has_broker, life), outs);
            tokio::select! {
                () = thread.run(inputs, turns, &hinted) => {}
                never = hear(&door, || hinted.notify_one()) => match never {},
            }
        });
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("lease".into()).spawn(work).map_err(failed)?;
    match prepared.await {
        Ok(prepared) => prepared.map(|()| keeper),
        Err(_) => Err(door.address().io("the thread of its lease ended unexpectedly")),
    }
}

struct Thread {
    parts: KeeperParts,
    member: Member,
    /// While no call has it.
    line: Option<Line>,
    calls: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    /// The number of the last call.
    last_call: u64,
    last_job: u64,
    /// Of the database on which the lease was taken last.
    timeline: u32,
    waiting: HashMap<u64, Waiting>,
    shown_at: i64,
    has_broker: Arc<AtomicBool>,
    life: Life,
    outs: Outs,
    limit: Duration,
}

impl Thread {
    fn new(parts: KeeperParts, line: Line, (has_broker, life): (Arc<AtomicBool>, Life), outs: Outs) -> Self {
        let reading = clock::reading();
        let me = MemberId(parts.door.shard().member());
        let limit = Duration::from_millis(parts.times.call.unsigned_abs());
        Self {
            member: Member::new(me, NEWEST, parts.times, reading),
            parts,
            line: Some(line),
            calls: FuturesUnordered::new(),
            last_call: 0,
            last_job: 0,
            timeline: 0,
            waiting: HashMap::new(),
            shown_at: i64::MIN,
            has_broker,
            life,
            outs,
            limit,
        }
    }

    async fn run(
        mut self,
        mut inputs: mpsc::UnboundedReceiver<LeaseInput>,
        mut turns: mpsc::UnboundedReceiver<TurnAsked>,
        hinted: &Notify,
    ) {
        let mut is_abandoned = false;
        while let Some(wake) = self.member.next_wakeup() {
            if let Some(due) = self.life.changed(self.member.leads(), self.parts.silent) {
                self.step(LeaseInput::Work { due });
                continue;
            }
            let wait = wake.saturating_sub(clock::reading().boot);
            let wait = Duration::from_millis(u64::try_from(wait).unwrap_or_default());
            let input = tokio::select! {
                biased;
                Some(done) = self.calls.next(), if !self.calls.is_empty() => self.done(done),
                input = inputs.recv(), if !is_abandoned => match input {
                    Some(LeaseInput::Work { due }) => {
                        self.life.is_due = due;
                        continue;
                    }
                    Some(input) => input,
                    None => {
                        is_abandoned = true;
                        LeaseInput::Stop
                    }
                },
                Some(asked) = turns.recv() => match self.admit(asked) {
                    Some(input) => input,
                    None => continue,
                },
                () = hinted.notified() => LeaseInput::Hint,
                () = sleep(wait) => LeaseInput::Tick,
            };
            self.step(input);
        }
        self.waiting.clear();
        // A writer may still be at work on this runtime.
        let rest = async { while self.calls.next().await.is_some() {} };
        drop(timeout(self.limit, rest).await);
        self.outs.role.send_replace(Role::Ended);
    }

    fn step(&mut self, input: LeaseInput) {
        for action in self.member.step(clock::reading(), input) {
            self.perform(action);
        }
    }

    /// A writer asks for its turn.
    fn admit(&mut self, asked: TurnAsked) -> Option<LeaseInput> {
        // Else it is dropped, which tells.
        (self.member.leads() == Some(asked.term)).then(|| {
            self.last_job += 1;
            self.waiting.insert(self.last_job, asked.turn);
            LeaseInput::Write { job: self.last_job }
        })
    }

    fn perform(&mut self, action: LeaseAction) {
        match action {
            LeaseAction::Call { number, fresh, call } => self.make(number, fresh, call),
            LeaseAction::Lead { term, timeline } => {
                self.timeline = timeline;
                self.become_(Role::Leading { term });
            }
            LeaseAction::Trust { until } => self.parts.trust.set(until),
            // Whoever wrote it knows already, or has given it up and found it out.
            LeaseAction::Written { .. } => {}
            LeaseAction::Full { job } => {
                if let Some(waiting) = self.waiting.remove(&job) {
                    let error = self.parts.door.address().io("too many others wait to write");
                    drop(waiting.send(Err(error)));
                }
            }
            LeaseAction::Drain => {
                if let Some(term) = self.member.leads() {
                    self.become_(Role::Draining { term });
                }
            }
            LeaseAction::Follow => {
                self.waiting.clear();
                self.become_(Role::Following);
            }
            LeaseAction::Probe => self.outs.probes.send_modify(|probes| *probes += 1),
            // What is waited for at the end comes first.
            LeaseAction::End => {}
            LeaseAction::Notice(notice) => self.outs.see(|seen| notices::tell(notice, seen)),
        }
    }

    fn become_(&mut self, role: Role) {
        self.outs.role.send_if_modified(|now| std::mem::replace(now, role) != role);
    }

    fn make(&mut self, number: u64, fresh: bool, asked: LeaseCall) {
        self.last_call = number;
        let line = self.line.take().filter(|_| !fresh);
        let door = self.parts.door.clone();
        let made = match asked {
            LeaseCall::Save { term, writes, job: Some(job) } => match self.waiting.remove(&job) {
                Some(waiting) => {
                    turn(door, (number, (term, writes, self.timeline)), line, waiting, self.limit)
                }
                // Its writer has given it up, finds out what became of it, and asks again: what is due is the renewal.
                None => {
                    let save = LeaseCall::Save { term, writes, job: None };
                    call(door, (number, save), line, None, self.limit)
                }
            },
            asked => {
                let is_shown = matches!(asked, LeaseCall::Look | LeaseCall::Save { .. });
                let shown = if is_shown { self.shown() } else { None };
                call(door, (number, asked), line, shown, self.limit)
            }
        };
        self.calls.push(made);
    }

    /// What others see of this member, once a second.
    fn shown(&self) -> Option<MemberShown> {
        let reading = clock::reading();
        (reading.boot >= self.shown_at.saturating_add(SHOWN_EVERY)).then(|| {
            let ahead = self.member.skew(reading).map(|(least, most)| (least + most) / 2);
            MemberShown {
                ahead,
                has_broker: self.has_broker.load(Ordering::Relaxed),
                ..self.parts.shown.clone()
            }
        })
    }

    fn done(&mut self, done: Done) -> LeaseInput {
        let Done { number, told, line, has_shown } = done;
        if has_shown {
            self.shown_at = clock::reading().boot;
        }
        // Another one may have been made meanwhile.
        if number == self.last_call {
            self.line = line;
        }
        let reply = match told {
            Ok(told) => {
                let looked = matches!(told.reply, LeaseReply::Looked(_));
                let (secret, clock) = (self.parts.secret.as_ref(), &*self.parts.door.shard().clock);
                self.outs.see(|seen| {
                    if told.reply != LeaseReply::Failed {
                        seen.failing = None;
                    }
                    if looked {
                        seen.show(told.leader, secret, clock);
                    }
                });
                told.reply
            }
            Err(failed) => {
                let why = self.parts.door.address().explain(failed, 0).to_string();
                if self.outs.seen.borrow().failing.is_none() {
                    warn!("{why}; it is asked again");
                }
                self.outs.see(|seen| seen.failing = Some(why));
                LeaseReply::Failed
            }
        };
        LeaseInput::Replied { number, reply }
    }
}
