//! Where a clock gets at its stores on Postgres.

use super::{
    address::{Address, AddressError},
    idle::Idle,
    lease::Shard,
    led::Led,
    session::Session,
};
use crate::{clock::Heartbeat, store::StoreError};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};
use uuid::Uuid;

/// How a clock's tables are reached.
#[derive(Debug, Clone)]
pub struct DoorOptions {
    /// The schema of the tables (`khronos`), created if it is missing. It belongs to one clock, by its name.
    pub schema: String,
    /// Where other clocks of this name reach this one; shown to them while it leads.
    pub address: Option<Arc<str>>,
    /// What shows others that this address is that of a clock of this name; stands beside it.
    pub seal: Option<Arc<str>>,
    /// For how long a write keeps others from leading (1.2 s); the same for all clocks of a name.
    pub ttl: Duration,
    /// How long connecting may take, and each statement of an opening (5 s).
    pub connect_limit: Duration,
    /// How long one statement may take (5 s). What takes longer counts as lost: its connection is dropped, and it is found out
    /// whether it was kept.
    pub call_limit: Duration,
    /// Tells this process from all others; a made-up UUID.
    pub holder: Arc<str>,
}

impl Default for DoorOptions {
    fn default() -> Self {
        Self {
            schema: "khronos".into(),
            address: None,
            seal: None,
            ttl: Duration::from_millis(1_200),
            connect_limit: Duration::from_secs(5),
            call_limit: Duration::from_secs(5),
            holder: this_process(),
        }
    }
}

/// Where a clock gets at its stores on Postgres. Clones lead to the same [session](Session): what both stores write is one
/// sequence.
#[derive(Debug, Clone)]
pub struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Address,
    shard: Shard,
    options: DoorOptions,
    session: Mutex<Weak<Session>>,
    led: Option<Led>,
    /// Of all leaderships of this process.
    idle: Arc<Idle>,
}

impl Door {
    /// For the clock of this name, at `postgres://user:password@host:5432/database`; nothing is connected yet.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(url: &str, clock: &str, options: DoorOptions) -> Result<Self, AddressError> {
        let address = Address::parse(url, &options.schema, &format!("khronos {clock}"))?;
        let DoorOptions { address: reached, seal, ttl, holder, .. } = options.clone();
        let shard = Shard { clock: clock.into(), shard: 0, holder, address: reached, seal, ttl };
        let (session, idle) = (Mutex::default(), Arc::default());
        Ok(Self(Arc::new(Inner { address, shard, options, session, led: None, idle })))
    }

    /// The same for one leadership, whose lease another thread keeps.
    #[must_use]
    pub(crate) fn led(&self, led: Led) -> Self {
        let Inner { address, shard, options, idle, .. } = &*self.0;
        let (address, shard, options) = (address.clone(), shard.clone(), options.clone());
        let (session, idle) = (Mutex::default(), idle.clone());
        Self(Arc::new(Inner { address, shard, options, session, led: Some(led), idle }))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0.address
    }

    /// The connections that wait for whoever reads next.
    pub(super) fn idle(&self) -> &Idle {
        &self.0.idle
    }

    /// What a person should know of how it is reached, and do about it.
    pub(crate) fn risk(&self) -> Option<String> {
        self.0.address.risk()
    }

    /// The term of the one leadership that it is for.
    pub(super) fn term(&self) -> Option<u64> {
        self.0.led.as_ref().map(Led::term)
    }

    /// Told what is read of a leadership that begins.
    pub(super) fn heartbeat(&self) -> Option<Heartbeat> {
        self.0.led.as_ref().map(Led::heartbeat)
    }

    pub(crate) fn shard(&self) -> &Shard {
        &self.0.shard
    }

    /// How long connecting and a call may take.
    pub(crate) fn limits(&self) -> (Duration, Duration) {
        (self.0.options.connect_limit, self.0.options.call_limit)
    }

    /// The one writer: as it is, or a new one where there is none, or the last one failed. What a store knew before a new one
    /// does not hold any more.
    ///
    /// # Errors
    /// [`StoreError::Led`] while another process holds it; [`StoreError::Newer`]; [`StoreError::Io`].
    pub fn session(&self) -> Result<Arc<Session>, StoreError> {
        let mut last = self.0.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = last.upgrade()
            && !session.is_broken()
        {
            return Ok(session);
        }
        let (connect_limit, limit) = self.limits();
        let opened = match &self.0.led {
            Some(led) => Session::led(self.address(), self.shard(), led.clone(), limit)?,
            None => Session::open(self.address(), self.shard(), connect_limit, limit)?,
        };
        let session = Arc::new(opened);
        *last = Arc::downgrade(&session);
        Ok(session)
    }
}

/// This process, among all that ever led.
fn this_process() -> Arc<str> {
    static HOLDER: OnceLock<Arc<str>> = OnceLock::new();
    HOLDER.get_or_init(made_up_holder).clone()
}

/// A UUID that nobody else has.
pub(crate) fn made_up_holder() -> Arc<str> {
    let made_up = khronos_engine::store::made_up;
    Uuid::from_u64_pair(made_up(), made_up()).to_string().into()
}
