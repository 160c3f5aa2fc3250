//! The thread that keeps the lease: it steps the member, makes its calls, and gives writers their turns.

use super::{
    KeeperParts, Role,
    calls::{Done, Waiting, call, turn},
    life::Life,
    notices,
    role::Outs,
};
use crate::{
    clock,
    engine::{
        Reading,
        lease::{LeaseAction, LeaseCall, LeaseInput, LeaseReply, Member, MemberId},
    },
    postgres::{Line, MemberShown, NEWEST, TurnAsked},
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
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tracing::warn;

/// A member shows itself to the others this often (milliseconds).
const SHOWN_EVERY: i64 = 1_000;

pub(super) struct Thread {
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
    /// The form of the tables, as they were looked at last.
    schema: u32,
    waiting: HashMap<u64, Waiting>,
    shown_at: i64,
    has_broker: Arc<AtomicBool>,
    life: Life,
    outs: Outs,
    limit: Duration,
}

impl Thread {
    pub(super) fn new(
        parts: KeeperParts,
        line: Line,
        (has_broker, life): (Arc<AtomicBool>, Life),
        outs: Outs,
    ) -> Self {
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
            schema: 0,
            waiting: HashMap::new(),
            shown_at: i64::MIN,
            has_broker,
            life,
            outs,
            limit,
        }
    }

    pub(super) async fn run(
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
            let follows = self.member.leads().is_none();
            MemberShown {
                ahead: self.ahead(reading),
                warmth: follows.then(|| self.parts.warmth.borrow().clone()),
                has_broker: self.has_broker.load(Ordering::Relaxed),
                ..self.parts.shown.clone()
            }
        })
    }

    /// By how many milliseconds its time is ahead of the database's.
    fn ahead(&self, reading: Reading) -> Option<i64> {
        self.member.skew(reading).map(|(least, most)| (least + most) / 2)
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
                self.note(&told.reply, told.gap);
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

    fn note(&mut self, reply: &LeaseReply, gap: Option<i64>) {
        let figures = &self.parts.figures;
        figures.is_ahead_by(self.ahead(clock::reading()));
        match *reply {
            LeaseReply::Looked(row) => {
                self.schema = row.schema;
                // That of a replica may be an older one.
                if !row.in_recovery {
                    figures.saw(row.term, gap);
                }
            }
            LeaseReply::Acquired { term, writes, .. } => {
                figures.saw(term, gap);
                self.outs.taken.note((self.schema == NEWEST).then_some((term, writes)));
            }
            _ => {}
        }
    }
}
