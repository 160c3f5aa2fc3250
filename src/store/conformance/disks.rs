//! What plays the disk of each adapter.

use crate::{
    postgres::fixture::Tables,
    store::{Limits, Memory, PostgresOptions, PostgresStore, SledOptions, SledStore, Store, StoreError},
};

/// A disk that outlives the stores on it.
pub(super) trait Disk {
    fn open_limited(&self, clock: &str, limits: Limits) -> Result<Box<dyn Store>, StoreError>;
    fn open(&self) -> Box<dyn Store> {
        self.open_limited("khronos", Limits::default()).unwrap()
    }
}

impl Disk for Memory {
    fn open_limited(&self, clock: &str, limits: Limits) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Memory::open(self, clock, limits)?))
    }
}

impl Disk for tempfile::TempDir {
    fn open_limited(&self, clock: &str, limits: Limits) -> Result<Box<dyn Store>, StoreError> {
        let options = SledOptions { limits, ..SledOptions::default() };
        Ok(Box::new(SledStore::open(&self.path().join("store"), clock, &options)?))
    }
}

impl Disk for Tables {
    fn open_limited(&self, clock: &str, limits: Limits) -> Result<Box<dyn Store>, StoreError> {
        let options = PostgresOptions { limits, ..PostgresOptions::default() };
        Ok(Box::new(PostgresStore::open(&self.door(clock), &options)?))
    }
}
