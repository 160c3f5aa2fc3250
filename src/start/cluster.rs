//! Several clocks on one Postgres: the process leads and follows by turns. Each leadership is a life of the loop of its own, begun
//! from what the tables hold; when it ends, all that it knew is dropped.

use super::{
    FAREWELL, RunError, Running,
    files::Files,
    http_state,
    leading::{end_with, prove, show_link},
    life::{self, Around, First, Life, Opened, Stores},
    place, replication, show_presence,
    stores::{Place, counts},
    take_commands,
    told::Told,
    unless_stopped, watch_files,
};
use crate::{
    broker, clock,
    clock_loop::{Failure, Lead, NamedCalendars, Proof, Report},
    cluster::{Keeper, KeeperParts, Role, Seen, Standby, Trust, keep},
    config::Config,
    engine::{Snapshot, lease::LeaseTimes},
    http,
    ops::{cluster::ClusterReader, self_audit},
    postgres::{Door, MemberShown},
    reading::{Beside, Ends, FilesReader},
    reports::{Observed, Observing},
    schedule::{CalendarStore, Demand},
    sources::FileLines,
    store::{StoreError, WarmStore},
    telemetry::{Counts, Tracing},
};
use ponos::{
    broker::{Link, Transport},
    shutdown::{Shutdown, Stage, shutdown},
    topology::Topology,
};
use std::time::Duration;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// How long what is in flight is waited for when a leadership ends: others wait to lead.
const GRACE: Duration = Duration::from_secs(1);
/// Between two attempts to read the tables.
const PAUSE: Duration = Duration::from_millis(200);
/// A leadership that shows no progress for so long (milliseconds) leads in vain.
const SILENT: i64 = 10_000;
/// So many attempts to begin in a row may fail before a leadership counts as one in vain.
const ATTEMPTS: u32 = 2;
/// How long the last farewell to the database may take.
const LEAVING: Duration = Duration::from_secs(6);

/// What a clock shows that was never answered by its database.
const UNASKED: &str = "the database has not answered yet";

/// What the process has, whether it leads or follows.
pub(super) struct Process<'a> {
    pub(super) config: &'a Config,
    pub(super) tls: Option<http::Tls>,
    pub(super) listener: Option<TcpListener>,
    pub(super) door: Door,
    pub(super) strict: bool,
    pub(super) tracing: Tracing,
}

struct Cluster<'a> {
    config: &'a Config,
    tls: Option<http::Tls>,
    strict: bool,
    transport: Transport,
    keeper: Keeper,
    /// What the leader keeps, held while this clock follows.
    warm: WarmStore,
    half: Option<Half>,
    trust: Trust,
    topology: watch::Sender<Topology>,
    front: watch::Sender<http::Serves>,
    following: http::Serves,
    counts: Counts,
    limits: http::Limits,
    /// What a failover of the database may lose.
    replication: watch::Receiver<Option<String>>,
    /// All of them, as the tables say.
    members: ClusterReader,
    /// What services report, where that is heard: also while this clock follows.
    observed: Option<Observed>,
    /// What its files say, among those of the others.
    files: Files,
    /// Counts up when they have changed.
    changed: watch::Receiver<u64>,
    ends: Shutdown,
}

/// What was opened under a term, where not all of it could be.
struct Half {
    term: u64,
    place: Place,
    opened: Opened,
}

/// Leads and follows until the shutdown.
pub(super) async fn run(
    process: Process<'_>,
    ends: Shutdown,
    announce: impl FnOnce(&Config, &Running),
) -> Result<Report, RunError> {
    let Process { config, tls, listener, door, strict, tracing } = process;
    let trust = Trust::default();
    let zones = CalendarStore::default().zones().data().to_string();
    let shown = MemberShown {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time_zones: zones,
        ..MemberShown::default()
    };
    let files = Files::new(door.clone(), &place::of(config, door.shard().member()));
    place::warn_of(config);
    let limits = http::Limits::for_this_process();
    let counts = counts(config).with_tracing(tracing);
    let owners = config.owners();
    let (link_in, link) = watch::channel(Link::Down { attempts: 0, error: None });
    let (replicated, replication) = watch::channel(None);
    let warm = WarmStore::new(&door, counts.clone()).map_err(RunError::Store)?;
    let (reader, own) = own_reader(config);
    let told = Told::new(config, &door, &warm, own, (&counts, limits)).map_err(RunError::Store)?;
    let trusted = trust.clone();
    let observing = Observing::begin(config, move || trusted.holds());
    let observed = observing.as_ref().map(Observing::observed);
    let clock = told.clock.replicated(replication.clone()).observing(observed.clone());
    let members = ClusterReader::new(door.clone(), replication.clone());
    let state = http_state(config, &owners, clock, limits, tls.clone()).among(members.clone());
    let failing = Some(UNASKED.to_owned());
    let (seen, shown_seen) = watch::channel(Seen { failing, ..Seen::default() });
    let ca_file = config.cluster.ca_file.clone();
    let telling = Some(told.telling);
    let following = http::following(state.clone(), shown_seen, link, warm.warmth(), ca_file, telling);
    let (front, served) = watch::channel(following.clone());
    // From now on it says how it is, however long the database is waited for.
    let serving = http::start_front(listener, state, served, ends.clone()).map_err(RunError::Http)?;
    let (times, silent) = (LeaseTimes::default(), SILENT);
    let secret = config.cluster.secret.clone();
    let warmth = warm.warmth();
    let (trusted, figures) = (trust.clone(), counts.lease().clone());
    let parts = KeeperParts { door, trust: trusted, secret, shown, warmth, times, seen, figures, silent };
    let (watching, lease) = (parts.door.clone(), counts.lease().clone());
    let beginning = async {
        let keeper = keep(parts).await?;
        // Whatever ends here has never led: the keeper leads nothing before it is told to begin.
        replication::watched(&watching, &ends, (replicated, lease)).await;
        Ok::<_, StoreError>(keeper)
    };
    let Some(begun) = unless_stopped(&ends, beginning).await else {
        drop(timeout(FAREWELL, serving.ended()).await);
        return Ok(Report::default());
    };
    let keeper = begun.map_err(RunError::Store)?;
    let risk = replication.borrow().clone().filter(|_| strict);
    if let Some(risk) = risk {
        return Err(RunError::Replication(risk));
    }
    let name = format!("khronos {}", config.clock.name);
    let transport = broker::fenced_transport(&config.broker, &name, trust.fence());
    let (topology, _) = watch::channel(broker::topology(&config.broker, []));
    let running = Running { schedules: 0, source: "those of the clock that leads".to_owned() };
    announce(config, &running);
    let stopping = {
        let (keeper, draining) = (keeper.clone(), ends.reached(Stage::Draining));
        tokio::spawn(async move {
            draining.await;
            keeper.stop();
        })
    };
    let (said, changed) = watch::channel(0);
    let following_files = tokio::spawn(files.clone().follow(reader, watch_files(config), said));
    let mut cluster = Cluster {
        config,
        tls,
        strict,
        transport,
        keeper,
        warm,
        half: None,
        trust,
        topology,
        front,
        following,
        counts,
        limits,
        replication,
        members,
        observed,
        files,
        changed,
        ends,
    };
    cluster.keeper.begin();
    let ended = Box::pin(cluster.take_turns(&link_in)).await;
    cluster.leave().await;
    stopping.abort();
    following_files.abort();
    drop(timeout(FAREWELL, serving.ended()).await);
    if let Some(observing) = observing {
        observing.end().await;
    }
    ended
}

impl Cluster<'_> {
    async fn take_turns(&mut self, link: &watch::Sender<Link>) -> Result<Report, RunError> {
        let mut role = self.keeper.role.clone();
        let mut report = Report::default();
        let mut standby: Option<Standby> = None;
        let mut failed = (0, 0);
        loop {
            let now = *role.borrow_and_update();
            match now {
                Role::Ended => return Ok(report),
                Role::Following => {
                    self.warm.follow();
                    // With a million schedules it takes a while to let go of it.
                    if let Some(half) = self.half.take() {
                        drop(tokio::task::spawn_blocking(move || drop(half)));
                    }
                    let standby = standby.get_or_insert_with(|| {
                        let topology = self.topology.subscribe();
                        Standby::new(self.transport.publisher_following(topology))
                    });
                    let seen = show_link(standby.link(), link);
                    let goes_on = tokio::select! {
                        goes_on = standby.follow(&self.keeper, &mut role) => goes_on,
                        () = seen => true,
                    };
                    if !goes_on {
                        return Err(RunError::Loop(Failure::PublisherGone));
                    }
                }
                Role::Leading { term } | Role::Draining { term } => {
                    // With `fanout` what is declared depends on the schedules.
                    let ready = standby.take().filter(|_| !self.config.broker.fanout);
                    let led = Box::pin(self.lead(term, ready)).await;
                    drop(self.front.send_replace(self.following.clone()));
                    self.keeper.drained();
                    let is_ours = role.borrow().term() == Some(term);
                    match led {
                        Ok(of_this) => {
                            report.confirmed += of_this.confirmed;
                            (report.unanswered, report.outstanding) =
                                (of_this.unanswered, of_this.outstanding);
                        }
                        // All is dropped: whoever leads now sends what this one had not settled.
                        Err(error) if !is_ours => info!(%error, "this clock leads no more"),
                        // The lease is its own, as far as is known: it was not begun, or a writer was outrun by a renewal. To wait
                        // for another role would be to hold the lease and do nothing.
                        Err(error) if life::begins_again(&error) => {
                            warn!(%error, "this clock leads, and can't use its tables; it begins again");
                            let attempts = if failed.0 == term { failed.1 + 1 } else { 1 };
                            failed = (term, attempts);
                            if attempts >= ATTEMPTS {
                                self.keeper.work(true);
                            }
                            sleep(PAUSE).await;
                            role.mark_changed();
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                    if role.wait_for(|role| role.term() != Some(term)).await.is_err() {
                        return Ok(report);
                    }
                    role.mark_changed();
                }
            }
        }
    }

    /// Gives the lease back, if it has it.
    async fn leave(&self) {
        self.keeper.stop();
        self.keeper.drained();
        let mut role = self.keeper.role.clone();
        let ended = role.wait_for(|role| *role == Role::Ended);
        drop(timeout(LEAVING, ended).await);
    }

    /// One leadership.
    async fn lead(&mut self, term: u64, ready: Option<Standby>) -> Result<Report, RunError> {
        let (trigger, ends) = shutdown();
        let ending = end_with(self.keeper.role.clone(), term, trigger, self.ends.clone());
        let ending = tokio::spawn(ending);
        let led = Box::pin(self.live(term, ready, &ends)).await;
        ending.abort();
        led
    }

    async fn live(&mut self, term: u64, ready: Option<Standby>, ends: &Shutdown) -> Result<Report, RunError> {
        let begun = clock::reading().boot;
        let heartbeat = self.keeper.heartbeat();
        heartbeat.begin();
        let (place, mut opened) = match self.half.take().filter(|half| half.term == term) {
            Some(Half { place, opened, .. }) => (place, Some(opened)),
            None => (Place::Postgres(self.keeper.door(term)), None),
        };
        let (warm, counts) = (Some(&self.warm), self.counts.clone());
        let opening = Stores::open(self.config, &place, warm, counts, ends, &mut opened).await;
        self.half = opened.map(|opened| Half { term, place, opened });
        let Some(stores) = opening? else { return Ok(Report::default()) };
        let store_id = stores.store.id();
        let first = match is_new(&stores.snapshot) {
            true => First::Files { patience: None, strict: self.strict },
            false => First::Stored(self.files.clone()),
        };
        let (proof_in, proof) = watch::channel(Proof::default());
        let (reload_in, reload) = mpsc::channel(1);
        let around = Around {
            reload,
            topology: self.topology.clone(),
            publisher: ready.map(Standby::into_publisher),
            lead: Some(Lead { term, trust: self.trust.follow(), heartbeat, proof: proof_in }),
            files: Some(self.files.clone()),
            grace: GRACE.min(self.config.shutdown.grace),
        };
        let shut = (ends, self.limits.answer);
        let beginning = life::begin(self.config, &self.transport, stores, first, around, shut);
        let Some(life) = Box::pin(beginning).await? else { return Ok(Report::default()) };
        let Life { clock_loop, clock, running, warning, rival } = life;
        let Running { schedules, source } = running;
        info!(term, schedules, source, within_ms = clock::reading().boot - begun, "leading");
        let clock = clock.leading(self.trust.clone()).replicated(self.replication.clone());
        let clock = clock.observing(self.observed.clone());
        let owners = self.config.owners();
        let taking = take_commands(self.config, &owners, &clock, warning, ends)?;
        // What is due goes before all that people see of it.
        let mut running = tokio::spawn(clock_loop.run_apart(ends.clone()));
        let state = http_state(self.config, &owners, clock.clone(), self.limits, self.tls.clone());
        let state = state.among(self.members.clone());
        drop(self.front.send_replace(http::serves(state, ends.clone())));
        let present = show_presence(self.config, (store_id, term), rival, ends.clone());
        let audits = tokio::spawn(self_audit::run(clock.clone(), ends.clone()));
        // What failed before has not.
        self.keeper.work(false);
        let proving = tokio::spawn(prove(self.keeper.clone(), proof, clock));
        let others = tokio::spawn(self.files.clone().follow_others(reload_in.clone()));
        let mut changed = self.changed.clone();
        // What changed before was noted, and counts or not.
        changed.mark_unchanged();
        let ended = loop {
            tokio::select! {
                ended = &mut running => break ended.unwrap_or(Err(Failure::Panicked)),
                Ok(()) = changed.changed() => drop(reload_in.try_send(())),
            }
        };
        // Whoever is to lead next waits for this alone.
        self.keeper.drained();
        drop(self.front.send_replace(self.following.clone()));
        proving.abort();
        audits.abort();
        others.abort();
        let farewell = async {
            if let Some(taking) = taking {
                taking.ended().await;
            }
            if let Some(present) = present {
                drop(present.await);
            }
        };
        drop(timeout(FAREWELL, farewell).await);
        ended.map_err(RunError::Loop)
    }
}

/// Reads the files for themselves, beside no stored ones; into which store, and where their schedules are written.
fn own_reader(config: &Config) -> (FilesReader, (CalendarStore, watch::Receiver<FileLines>)) {
    let beside = Beside {
        had_folder: false,
        demand: watch::channel(Demand::default()).1,
        calendars: watch::channel(NamedCalendars::default()).1,
    };
    let (store, ends) = (CalendarStore::default(), Ends::default());
    let (lines_in, lines) = watch::channel(FileLines::default());
    let reader = FilesReader::new(config, beside, &store, &ends, watch::channel(None).0, lines_in);
    (reader, (store, lines))
}

/// Nothing was ever stored.
fn is_new(snapshot: &Snapshot) -> bool {
    snapshot.settled.is_none() && snapshot.revisions.is_empty()
}
