//! What the stores of delayed events call what they hold where one is copied into another, and what they say of themselves.

use super::meta::Meta;
use crate::{
    engine::store::made_up,
    store::copying::{Mark, Marked, apart, span},
};

/// By send time and name, with their content.
pub(super) const PENDING: &str = "delayed events";
/// By creation.
pub(super) const PARKED: &str = "parked delayed events";
/// By creation, which of them were released.
pub(super) const RELEASED: &str = "released delayed events";
/// By name.
pub(super) const TOMBSTONES: &str = "settled names";
/// By owner and id.
pub(super) const ANSWERS: &str = "answers about delayed events";
/// By owner.
pub(super) const OWNERS: &str = "owners of delayed events";
/// By number.
pub(super) const RECORD: &str = "record of delayed events";
/// By number.
pub(super) const CHANGES: &str = "changes of delayed events";

impl Meta {
    /// What a copy says of itself once it was accepted: it is a store of its own.
    pub(super) fn accepted(self) -> Self {
        Self { store: made_up(), created: apart(self.created), ..self }
    }
}

impl Marked for Meta {
    fn marks(&self) -> Vec<Mark> {
        let balance = &self.balance;
        vec![
            Mark::new("store of delayed events", format!("{:016x}", self.store)),
            Mark::new("creations of delayed events", self.created.to_string()),
            Mark::new(
                "delayed events in all",
                format!(
                    "{} accepted, {} settled, {} cancelled, {} pending",
                    balance.accepted, balance.settled, balance.cancelled, balance.pending
                ),
            ),
            Mark::new("rows of their record", span(self.first_row, self.last_row)),
            Mark::new("numbers of their changes", span(self.first_change, self.last_change)),
        ]
    }
}
