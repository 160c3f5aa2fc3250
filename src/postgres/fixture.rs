//! What tests on Postgres share: a schema of one's own, on the one server of the test binary or on another.

use super::{Door, DoorOptions, door::made_up_holder, proxy::Proxy};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use testkit::Postgres;

/// Far beyond what a call takes, on whichever machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A schema that outlives the stores in it, as a disk does.
pub(crate) struct Tables {
    url: String,
    schema: String,
    holder: Arc<str>,
}

impl Tables {
    /// On the shared server.
    pub(crate) fn new() -> Self {
        static DATABASE: OnceLock<String> = OnceLock::new();
        let url = DATABASE.get_or_init(|| Postgres::shared().database("stores"));
        Self::at(url)
    }

    /// At this address.
    pub(crate) fn at(url: &str) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let schema = format!("tables_{}", SCHEMAS.fetch_add(1, Ordering::SeqCst));
        Self { url: url.to_owned(), schema, holder: made_up_holder() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The same tables, as another process sees them.
    pub(crate) fn of_another_process(&self) -> Self {
        Self { url: self.url.clone(), schema: self.schema.clone(), holder: made_up_holder() }
    }

    /// The same tables by another address.
    pub(crate) fn by(&self, url: &str) -> Self {
        Self { url: url.to_owned(), schema: self.schema.clone(), holder: self.holder.clone() }
    }

    /// The same tables, by way of a proxy.
    pub(crate) fn through(&self, proxy: &Proxy) -> Self {
        self.by(&proxy.url(&self.url))
    }

    pub(crate) fn options(&self) -> DoorOptions {
        DoorOptions {
            schema: self.schema.clone(),
            connect_limit: PATIENCE,
            call_limit: PATIENCE,
            holder: self.holder.clone(),
            ..DoorOptions::default()
        }
    }

    pub(crate) fn door(&self, clock: &str) -> Door {
        self.door_with(clock, self.options())
    }

    pub(crate) fn door_with(&self, clock: &str, options: DoorOptions) -> Door {
        Door::new(&self.url, clock, options).unwrap()
    }
}
