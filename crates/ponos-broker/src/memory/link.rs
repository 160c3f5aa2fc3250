//! Connects publishers and consumers to the in-memory broker.

use super::{Broker, Door};
use crate::{Link, LinkError, LinkErrorClass};
use ponos_event::topology::Topology;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

/// An open connection.
pub(super) struct Connection {
    pub(super) id: u64,
    /// The door as it was when this was opened.
    cuts: u64,
    /// The queue that has no name in the topology.
    pub(super) made_up: Option<String>,
}

/// Connects one handle again and again, and shows that in its link.
pub(super) struct Connector {
    broker: Broker,
    topology: Topology,
    link: watch::Sender<Link>,
    pub(super) door: watch::Receiver<Door>,
    pub(super) generation: u64,
    failures: u32,
    /// When to try again after a failure.
    pub(super) retry_at: Option<Instant>,
}

impl Connector {
    pub(super) fn new(broker: Broker, topology: Topology, link: watch::Sender<Link>) -> Self {
        let door = broker.0.door.subscribe();
        Self { broker, topology, link, door, generation: 0, failures: 0, retry_at: None }
    }

    /// Connects and declares; on failure `retry_at` says when to try again.
    pub(super) fn connect(&mut self) -> Option<Connection> {
        self.open(|_, _, _| Ok(())).map(|(connection, ())| connection)
    }

    /// Connects, declares and does `more`, all or nothing.
    pub(super) fn open<T>(
        &mut self,
        more: impl FnOnce(&mut super::BrokerInner, u64, &Connection) -> Result<T, LinkError>,
    ) -> Option<(Connection, T)> {
        let topology = &self.topology;
        let door = &mut self.door;
        // in one step with the door: what is opened is either cut by a cut, or opened after it
        let opened = self.broker.with(|inner, now| {
            let (cuts, stopped) = {
                let door = door.borrow_and_update();
                (door.cuts, door.stopped)
            };
            if stopped {
                return Err(unreachable());
            }
            let id = inner.state.next_id();
            let opened = inner.state.declare(id, topology).and_then(|made_up| {
                let connection = Connection { id, cuts, made_up };
                let more = more(inner, now, &connection)?;
                Ok((connection, more))
            });
            match &opened {
                Ok(_) => {
                    inner.connections.insert(id);
                }
                Err(_) => inner.state.disconnect(now, id),
            }
            opened
        });
        match opened {
            Ok(opened) => {
                self.generation += 1;
                self.failures = 0;
                self.retry_at = None;
                self.show_up();
                Some(opened)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let wait = Duration::from_millis(100).saturating_mul(1 << self.failures.min(9));
                self.retry_at = Instant::now().checked_add(wait.min(Duration::from_secs(30)));
                self.link.send_replace(Link::Down { attempts: self.failures, error: Some(error) });
                None
            }
        }
    }

    /// Says that the connection is usable, or blocked for publishing.
    pub(super) fn show_up(&self) {
        let link = Link::Up {
            generation: self.generation,
            broker: concat!("in-memory twin ", env!("CARGO_PKG_VERSION")).into(),
            user: None,
        };
        self.link.send_replace(link);
    }

    pub(super) fn show_blocked(&self, reason: &str) {
        self.link.send_replace(Link::Blocked { reason: reason.to_owned() });
    }

    /// Says that one of its own exchanges is gone; it is declared again with the next connection.
    pub(super) fn show_missing(&mut self, exchange: &str) {
        self.show_error(LinkError::missing("exchange", exchange, self.topology.passive));
    }

    /// Says why it can't go on, for a moment.
    pub(super) fn show_error(&mut self, error: LinkError) {
        self.retry_at = Instant::now().checked_add(Duration::from_millis(100));
        self.link.send_replace(Link::Down { attempts: 0, error: Some(error) });
    }

    pub(super) fn show_down(&self, error: LinkError) {
        self.link.send_replace(Link::Down { attempts: 0, error: Some(error) });
    }

    /// Whether the connection was cut since it was opened.
    pub(super) fn is_cut(&mut self, connection: &Connection) -> bool {
        self.door.borrow_and_update().cuts != connection.cuts
    }

    /// Ends a connection for good.
    pub(super) fn close(&self, connection: &Connection) {
        self.broker.with(|inner, now| {
            inner.connections.remove(&connection.id);
            inner.state.disconnect(now, connection.id);
        });
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.link.send_replace(Link::Closed);
    }
}

/// Why a connection was lost.
pub(super) fn cut() -> LinkError {
    LinkError {
        class: LinkErrorClass::Unreachable,
        what: "the connection to the in-memory broker was cut".into(),
        remedy: "it reconnects by itself".into(),
    }
}

pub(super) fn unreachable() -> LinkError {
    LinkError {
        class: LinkErrorClass::Unreachable,
        what: "the in-memory broker is stopped".into(),
        remedy: "start it again".into(),
    }
}
