//! Is there a second clock of the same name on this broker? Each clock says every ten seconds who it is, on a transient
//! fanout exchange; one that hears its own name with another store warns: both send every event.
//!
//! Nothing depends on it. It has connections of its own, so that it can't hold anything up; where the broker's user may
//! not declare the exchange or the queue, that is said once, and it is done without. What strangers send is bounded: the
//! queue takes few and small messages, what can't be read is passed over, and few stores are remembered.

use ponos::{
    broker::{Consume, Link, LinkError, LinkErrorClass, Publishing, Settle, Transport},
    event::{Message, Properties},
    shutdown::{Shutdown, Stage},
    topology::{Binding, Exchange, Queue, Topology},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

/// The exchange.
const EXCHANGE: &str = "khronos.presence";
/// How often a clock announces itself.
const EVERY: Duration = Duration::from_secs(10);
/// A clock that was not heard during this many of our own announcements is gone.
const SILENT: u8 = 4;
/// How many other stores are remembered at most.
const REMEMBERED: usize = 16;
/// Messages that wait for us, and their bytes; the oldest go.
const WAITING: i64 = 64;
const BYTES: i64 = 64 * 1024;
/// The longest body that is read.
const LONGEST: usize = 1024;
/// The largest frame of its connections, in bytes: what is said is short, and buffers are of many frames.
pub(crate) const FRAME: u32 = 16_384;
/// For saying goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Who a clock is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The clock's name.
    pub name: String,
    /// The id of its store.
    pub store: String,
    /// Its fencing term.
    pub term: u64,
    /// Whether it is the one that publishes.
    pub leads: bool,
    /// Where to.
    pub exchange: String,
}

/// Says who we are and listens until the shutdown; `warning` is what people should know.
pub async fn run(transport: Transport, me: Presence, warning: watch::Sender<Option<String>>, end: Shutdown) {
    let exchange = Topology {
        exchanges: vec![Exchange { durable: false, ..Exchange::fanout(EXCHANGE) }],
        ..Topology::default()
    };
    let mut heard_by = exchange.clone();
    heard_by.queues.push(Queue::temporary().with("x-max-length", WAITING).with("x-max-length-bytes", BYTES));
    heard_by.bindings.push(Binding::queue(EXCHANGE, "", ""));
    let (submit, mut settled, mut link) = transport.publisher(exchange).split();
    let mut consumer = transport.consumer(heard_by, Consume::default().prefetch(1));
    let mut hearing = consumer.link();
    let mut others = Others::default();
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = end.reached(Stage::Draining);
    tokio::pin!(ended);
    loop {
        for link in [&mut link, &mut hearing] {
            if let Some(error) = refused(&link.borrow_and_update()) {
                info!(%error, "a second clock of the same name would not be noticed: the exchange {EXCHANGE} can't be used");
                warning.send_replace(None);
                return;
            }
        }
        tokio::select! {
            () = &mut ended => break,
            _ = tick.tick() => {
                others.age();
                others.show(&me, &warning);
                if matches!(*link.borrow(), Link::Up { .. }) {
                    // Full only while nothing is confirmed: then nobody hears us anyway.
                    drop(submit.try_send(vec![me.said()]));
                }
            }
            settlements = settled.recv() => if settlements.is_none() { return },
            delivery = consumer.next() => {
                let Some(delivery) = delivery else { return };
                if consumer.settle(delivery.tag, Settle::Ack).await.is_err() {
                    return;
                }
                if others.hear(&me, &delivery.message.body) {
                    others.show(&me, &warning);
                }
            }
            changed = link.changed() => if changed.is_err() { return },
            changed = hearing.changed() => if changed.is_err() { return },
        }
    }
    drop((submit, consumer));
    // Whatever comes of it, the connections are cut next.
    drop(
        timeout(GOODBYE, async { tokio::join!(Link::closed(link, GOODBYE), Link::closed(hearing, GOODBYE)) })
            .await,
    );
}

/// Why the broker will not have it, today or tomorrow.
fn refused(link: &Link) -> Option<LinkError> {
    match link {
        Link::Down { error: Some(error), .. } => {
            let final_ = matches!(error.class, LinkErrorClass::Forbidden | LinkErrorClass::Inequivalent);
            final_.then(|| error.clone())
        }
        _ => None,
    }
}

impl Presence {
    fn said(&self) -> Publishing {
        let properties = Properties {
            content_type: Some("application/json".into()),
            message_id: Some(format!("{}-{}", self.name, self.store)),
            app_id: Some("khronos".into()),
            expiration: u64::try_from(EVERY.as_millis()).ok(),
            ..Properties::default()
        };
        let body = serde_json::to_vec(self).unwrap_or_default();
        let message = Message { properties, body, ..Message::default() };
        Publishing { token: 0, lane: 0, exchange: EXCHANGE.into(), message }
    }

    /// Whether this is another clock that sends what we send.
    fn rivals(&self, me: &Self) -> bool {
        self.leads && self.name == me.name && self.exchange == me.exchange && self.store != me.store
    }
}

/// Stores of other clocks of our name, and how many of our words ago they were heard.
#[derive(Debug, Default)]
struct Others(BTreeMap<String, u8>);

impl Others {
    /// Whether that is news.
    fn hear(&mut self, me: &Presence, body: &[u8]) -> bool {
        if body.len() > LONGEST {
            return false;
        }
        let Ok(other) = serde_json::from_slice::<Presence>(body) else { return false };
        let is_id = !other.store.is_empty() && other.store.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id || !me.leads || !other.rivals(me) {
            return false;
        }
        let known = self.0.contains_key(&other.store);
        if known || self.0.len() < REMEMBERED {
            self.0.insert(other.store, 0);
        }
        !known
    }

    fn age(&mut self) {
        self.0.retain(|_, age| {
            *age += 1;
            *age < SILENT
        });
    }

    fn show(&self, me: &Presence, warning: &watch::Sender<Option<String>>) {
        let said = (!self.0.is_empty()).then(|| {
            let stores: Vec<&str> = self.0.keys().map(|store| &store[..store.len().min(16)]).collect();
            format!(
                "clock: another clock called '{}' publishes to the exchange '{}' of this broker from a store of its own ({}; ours is {}): every event goes out twice; stop one of them, or give it another clock.name or another vhost",
                me.name,
                me.exchange,
                stores.join(", "),
                me.store
            )
        });
        warning.send_if_modified(|shown| {
            let is_news = *shown != said;
            match &said {
                Some(said) if is_news => warn!("{said}"),
                None if is_news => info!("the other clock called '{}' is no longer heard", me.name),
                _ => {}
            }
            shown.clone_from(&said);
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{broker::memory, shutdown::shutdown};

    fn clock(name: &str, store: &str) -> Presence {
        let (name, store) = (name.to_owned(), store.to_owned());
        Presence { name, store, term: 0, leads: true, exchange: "events".into() }
    }

    #[test]
    fn what_is_no_second_clock_is_passed_over_and_what_is_remembered_is_bounded() {
        let me = clock("khronos", "a1");
        let mut others = Others::default();
        let text = |clock: &Presence| serde_json::to_vec(clock).unwrap();
        for passed_over in [
            text(&me),
            text(&clock("another", "b2")),
            text(&Presence { leads: false, ..clock("khronos", "b2") }),
            text(&Presence { exchange: "elsewhere".into(), ..clock("khronos", "b2") }),
            text(&clock("khronos", "\u{1b}[31m")),
            text(&clock("khronos", "")),
            text(&clock("khronos", &"b".repeat(LONGEST))),
            b"{".to_vec(),
            vec![b'['; 1_000],
        ] {
            assert!(!others.hear(&me, &passed_over), "{}", String::from_utf8_lossy(&passed_over));
        }
        assert!(others.hear(&me, &text(&clock("khronos", "b2"))));
        assert!(!others.hear(&me, &text(&clock("khronos", "b2"))), "it is no news");
        for store in 0..1_000 {
            others.hear(&me, &text(&clock("khronos", &format!("{store:04x}"))));
        }
        assert_eq!(others.0.len(), REMEMBERED);
        (0..SILENT).for_each(|_| others.age());
        assert!(others.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn two_clocks_of_one_name_hear_each_other_and_the_warning_ends_with_the_other() {
        let broker = memory::Broker::new();
        let start = |clock: Presence| {
            let (warning_in, warning) = watch::channel(None);
            let (trigger, end) = shutdown();
            tokio::spawn(run(Transport::memory(broker.clone()), clock, warning_in, end));
            (warning, trigger)
        };
        let (mut first, _running) = start(clock("khronos", "a1"));
        let (stranger, _elsewhere) = start(clock("another", "c3"));
        let (mut second, stop) = start(clock("khronos", "b2"));
        let said = first.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert!(said.contains("another clock called 'khronos'") && said.contains("b2"), "{said}");
        assert!(second.wait_for(Option::is_some).await.unwrap().as_ref().unwrap().contains("a1"));
        assert_eq!(*stranger.borrow(), None);
        stop.advance();
        first.wait_for(Option::is_none).await.unwrap();
    }
}
