//! How a clock is, as `/healthz` and `/readyz` show it.

use super::PauseView;
use crate::{clock_loop::Status, schedule::ZoneData, store::Warmth};
use ponos::{broker::Link, event::Timestamp, redact::redact};
use serde::{Deserialize, Serialize};

/// That a clock's loop turns.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alive {
    /// `alive`.
    pub status: String,
    /// The clock's name.
    pub clock: String,
    /// The instant of this status.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
}

/// Whether events can go out.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Readiness {
    /// There is no reason why not.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// What needs a person's attention all the same.
    pub warnings: Vec<String>,
    /// Somebody has all schedules rest: the clock is ready and sends nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseView>,
    /// How many schedules are paused by their names.
    #[serde(default)]
    pub paused_by_name: usize,
    /// The clock's name.
    pub clock: String,
    /// The instant of this status.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// W: everything with a send time up to this is settled, or kept as outstanding.
    #[schema(value_type = String, format = DateTime)]
    pub settled: Timestamp,
    /// The connection to the broker.
    pub broker: BrokerLink,
    /// Events confirmed since the start.
    pub confirmed: u64,
    /// Of these, how many reached nobody.
    pub returned: u64,
    /// Parked events.
    pub parked: u64,
    /// Schedules with something outstanding.
    pub outstanding: u64,
    /// The release of the time zone data, and where it is from: `2026f (bundled)`.
    #[serde(default)]
    pub time_zones: String,
    /// What it is among several clocks on one database; left out where it is alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleShown>,
    /// Of a follower: where the leader is reached, if there is one that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Of a follower: it holds what the leader kept within the last five seconds, and would take over at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<bool>,
    /// Of a follower that is warm: when what it holds was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub warm_at: Option<Timestamp>,
    /// Of a follower that is not: why it would read everything first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<String>,
}

/// What a clock is among several on one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleShown {
    /// It sends what is due.
    Leader,
    /// It takes over when the leader is gone.
    Follower,
    /// It leads, and hands nothing over until the database confirms that again.
    Lapsed,
}

impl Readiness {
    /// Of this status; without secrets.
    pub fn new(status: Status, zones: &ZoneData) -> Self {
        let shown = |all: &[String]| all.iter().map(|one| redact(one).into_owned()).collect();
        Self {
            ready: status.reasons.is_empty(),
            reasons: shown(&status.reasons),
            warnings: shown(&status.warnings),
            paused: status.paused.as_ref().map(Into::into),
            paused_by_name: status.paused_by_name,
            clock: status.clock,
            now: status.now,
            settled: status.settled,
            broker: BrokerLink::new(&status.link),
            confirmed: status.confirmed,
            returned: status.returned,
            parked: status.parked,
            outstanding: status.outstanding,
            time_zones: zones.to_string(),
            role: None,
            leader: None,
            warm: None,
            warm_at: None,
            cold: None,
        }
    }

    /// The same of a follower that is as warm as this; `boot`: the present, in milliseconds since boot.
    #[must_use]
    pub fn with_warmth(self, warmth: &Warmth, boot: i64) -> Self {
        let (warm_at, cold) = match warmth {
            Warmth::Warm(as_of) => (Some(as_of.wall), None),
            Warmth::Cold(why) => (None, Some(redact(why).into_owned())),
        };
        Self { warm: Some(warmth.is_warm(boot)), warm_at, cold, ..self }
    }
}

/// The connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "link", rename_all = "kebab-case")]
pub enum BrokerLink {
    /// It is up.
    Up {
        /// The broker.
        broker: String,
    },
    /// The broker takes no messages.
    Blocked {
        /// Its reason.
        reason: String,
    },
    /// It is down.
    Down {
        /// Attempts since it went.
        attempts: u32,
        /// Why the last one failed.
        error: Option<String>,
    },
    /// It was closed.
    Closed,
}

impl BrokerLink {
    fn new(link: &Link) -> Self {
        match link {
            Link::Up { broker, .. } => Self::Up { broker: broker.clone() },
            Link::Blocked { reason } => Self::Blocked { reason: reason.clone() },
            Link::Down { attempts, error } => {
                Self::Down { attempts: *attempts, error: error.as_ref().map(ToString::to_string) }
            }
            Link::Closed => Self::Closed,
        }
    }
}
