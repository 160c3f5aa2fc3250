//! What services report, heard within the clock's process (`[reports]`, ADR 0042): who handled an event, and what came of it.
//!
//! The clock knows nothing but time, and nothing of it asks what stands here: whoever reads asks (`ops/why.rs`, `ops/coverage.rs`), and
//! `/readyz` and `/metrics` show it. It has a thread, a queue and connections of its own, so that neither an exchange that the broker's
//! user may not read, nor a flood of reports, nor a long answer holds up an event. Switched off, nothing of it runs.

use crate::{
    apart::yield_to_publishing,
    broker, clock,
    config::{BrokerUrl, Config},
};
use ponos::{
    broker::Transport,
    shutdown::{Shutdown, Stage, Trigger, shutdown},
    topology::worker::EVENTS,
};
use ponos_hearing::{Heard, Hearing, HearingEnd, Listening, Missing, ObserverMetrics, listen};
use ponos_observer::{Coverage, Limits, Miss, Why};
use prometheus_client::registry::Registry;
use std::time::Duration;
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{error, warn};

/// How long after the broker refused it, or it ended by a defect, it is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// How long what was missed may still take to be published at the end.
const LAST: Duration = Duration::from_secs(2);

/// What is observed. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    heard: Heard,
    metrics: ObserverMetrics,
    /// Why nothing is heard, where that is known.
    trouble: watch::Receiver<Option<String>>,
}

impl Observed {
    /// What is known of an event or a task by its id, or of a trace by its id.
    ///
    /// # Errors
    /// That nothing is, with since when it is observed.
    pub(crate) fn why(&self, id: &str) -> Result<Why, String> {
        self.heard.why(clock::now(), id)
    }

    /// Who handles what, and who is silent.
    pub(crate) fn coverage(&self) -> Coverage {
        self.heard.coverage(clock::now())
    }

    /// Why nothing is heard; none where it is.
    pub(crate) fn unheard(&self) -> Option<String> {
        if self.heard.is_listening() {
            return None;
        }
        let why = self.trouble.borrow().clone();
        let why = why.unwrap_or_else(|| "there is no connection to the broker".to_owned());
        Some(format!("reports: what services report is not heard: {why}"))
    }

    /// What was not handled in time in the last hour, in a sentence.
    pub(crate) fn missed(&self) -> Option<String> {
        let missed = self.heard.missed_lately(clock::now())?;
        Some(format!("reports: {missed}"))
    }

    /// Shows what was counted.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Of a test, which hears by itself.
    #[cfg(test)]
    pub(crate) fn played(heard: Heard) -> Self {
        Self { heard, metrics: ObserverMetrics::default(), trouble: watch::channel(None).1 }
    }
}

/// What observes, while it does.
#[derive(Debug)]
pub(crate) struct Observing {
    observed: Observed,
    end: Trigger,
    ended: oneshot::Receiver<()>,
}

impl Observing {
    /// Begins to listen, if that is wanted. What was missed is published while `leads` says so: of several clocks one does.
    pub(crate) fn begin(config: &Config, leads: impl Fn() -> bool + Send + 'static) -> Option<Self> {
        let BrokerUrl::Amqp(url) = &config.broker.url else { return None };
        if !config.reports.enabled {
            return None;
        }
        let name = format!("khronos {} reports", config.clock.name);
        let mut amqp = broker::amqp_config(&config.broker, url, &name);
        amqp.channels = 1;
        let limits = Limits {
            events: config.reports.most,
            bytes: config.reports.memory,
            age_ms: i64::try_from(config.reports.keep.as_millis()).unwrap_or(i64::MAX),
            ..Limits::default()
        };
        let (trouble_in, trouble) = watch::channel(None);
        let observed = Observed { heard: Heard::new(limits), metrics: ObserverMetrics::default(), trouble };
        let mut events = vec![config.broker.exchange.clone(), EVENTS.to_owned()];
        events.dedup();
        let observer = Observer {
            transport: Transport::amqp(amqp),
            listening: Listening { events, patterns: vec!["#".to_owned()] },
            observed: observed.clone(),
            trouble: trouble_in,
        };
        let ((end, ending), (done, ended)) = (shutdown(), oneshot::channel());
        // A clock without it keeps time all the same.
        if let Err(error) = apart(observer, leads, ending, done) {
            error!(%error, "what services report is not heard: its thread could not be started");
        }
        Some(Self { observed, end, ended })
    }

    /// What is observed.
    pub(crate) fn observed(&self) -> Observed {
        self.observed.clone()
    }

    /// Publishes what was missed, for two seconds at most, and ends.
    pub(crate) async fn end(mut self) {
        self.end.advance();
        // Gone without a word is ended too.
        let _ = timeout(LAST + LAST, &mut self.ended).await;
    }
}

impl Drop for Observing {
    /// A start that fails later on must not leave it behind.
    fn drop(&mut self) {
        self.end.advance();
    }
}

/// What it is made of.
struct Observer {
    transport: Transport,
    listening: Listening,
    observed: Observed,
    trouble: watch::Sender<Option<String>>,
}

fn apart(
    observer: Observer,
    leads: impl Fn() -> bool + Send + 'static,
    ending: Shutdown,
    done: oneshot::Sender<()>,
) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    let work = move || {
        yield_to_publishing();
        runtime.block_on(observer.run(leads, ending));
        runtime.shutdown_background();
        // Nobody may wait any more.
        let _ = done.send(());
    };
    std::thread::Builder::new().name("reports".into()).spawn(work).map(drop)
}

impl Observer {
    async fn run(self, leads: impl Fn() -> bool + Send + 'static, ending: Shutdown) {
        let (missing, told) = Missing::new(&self.transport, leads);
        let publishing = tokio::spawn(missing.run());
        tokio::select! {
            biased;
            () = ending.reached(Stage::Draining) => {}
            () = self.hear(told) => {}
        }
        // Nobody tells it of anything any more. All of it is in the log.
        let _ = timeout(LAST, publishing).await;
    }

    /// Hears until nobody wants it any more: what the broker refuses is tried again, for somebody may grant it.
    async fn hear(&self, told: mpsc::Sender<Miss>) {
        loop {
            let consumer = listen(&self.transport, &self.listening).await;
            let Observed { heard, metrics, .. } = self.observed.clone();
            let hearing = Hearing::new(consumer, heard, metrics, told.clone(), clock::now);
            // On a task of its own, which may panic, and ends with this.
            let mut task = JoinSet::new();
            task.spawn(hearing.run());
            let why = match task.join_next().await {
                Some(Ok(HearingEnd::Refused(error))) => error.to_string(),
                Some(Ok(HearingEnd::Gone)) => "its consumer is gone".to_owned(),
                Some(Err(_)) | None => "a defect, which the log describes; please report it".to_owned(),
            };
            self.observed.heard.interrupted(clock::now());
            self.observed.metrics.unheard();
            warn!("what services report is not heard; it is tried again within {} s: {why}", AGAIN.as_secs());
            self.trouble.send_replace(Some(why));
            sleep(AGAIN).await;
            self.trouble.send_replace(None);
        }
    }
}
