//! The tables whose rows may be large, as they are read.

use crate::postgres::Keyed;

/// Events that are pending, by name.
pub(super) const PENDING: Keyed =
    Keyed { table: "delayed_pending", key: "name", columns: "name, send, head, content", large: "content" };

/// Those that are parked, by creation.
pub(super) const PARKED: Keyed =
    Keyed { table: "delayed_parked", key: "key", columns: "key, value, released", large: "value" };

/// Answers to messages.
pub(super) const ANSWERS: Keyed =
    Keyed { table: "delayed_answer", key: "key", columns: "key, value", large: "value" };

/// Names of events that are settled.
pub(super) const TOMBSTONES: Keyed =
    Keyed { table: "delayed_tombstone", key: "name", columns: "name, value", large: "value" };

/// What is each owner's.
pub(super) const OWNERS: Keyed =
    Keyed { table: "delayed_owner", key: "owner", columns: "owner, value", large: "value" };
