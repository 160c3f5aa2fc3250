//! What the process has of the thread that keeps its lease, and how that is started.

use super::{Role, Seen, Trust, calls::prepare, life::Life, role::Outs, thread::Thread};
use crate::{
    clock::Heartbeat,
    config::ClusterSecret,
    engine::lease::{LeaseInput, LeaseTimes},
    postgres::{Door, FreshGrant, Led, MemberShown, TurnAsked, hear},
    store::{StoreError, Warmth},
    telemetry::LeaseFigures,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::{Builder, Handle},
    sync::{Notify, mpsc, oneshot, watch},
};

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
    /// Whether it would take over at once.
    pub(crate) warmth: watch::Receiver<Warmth>,
    /// The times of the lease, the same for all members.
    pub(crate) times: LeaseTimes,
    /// Told what a follower sees.
    pub(crate) seen: watch::Sender<Seen>,
    /// Told what is shown of the lease in figures.
    pub(crate) figures: LeaseFigures,
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
    /// What is shown of the lease in figures.
    #[cfg(test)]
    pub(super) figures: LeaseFigures,
    /// Counts up when the broker is to be probed.
    pub(crate) probes: watch::Receiver<u64>,
    has_broker: Arc<AtomicBool>,
    heartbeat: Heartbeat,
    taken: FreshGrant,
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
        let told = (self.heartbeat.clone(), self.taken.clone());
        self.door.led(Led::new(turns, term, runtime, self.limit, told))
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
    let (heartbeat, taken) = (Heartbeat::default(), FreshGrant::default());
    let (begins, mut begun) = watch::channel(false);
    let limit = Duration::from_millis(parts.times.call.unsigned_abs());
    let keeper = Keeper {
        role,
        #[cfg(test)]
        seen: parts.seen.subscribe(),
        #[cfg(test)]
        figures: parts.figures.clone(),
        probes,
        has_broker: has_broker.clone(),
        heartbeat: heartbeat.clone(),
        taken: taken.clone(),
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
            let outs = Outs { role: role_in, seen: seen_in, probes: probes_in, taken };
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
