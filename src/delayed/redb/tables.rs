//! The tables of the database. Keys and values are bytes of [`encoding`](super::encoding).

use super::guard::Failed;
use ::redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, WriteTransaction};

/// A table.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// One that is written.
pub(super) type Written<'a> = Table<'a, &'static [u8], &'static [u8]>;
/// One that is read.
pub(super) type Read = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The entry of [`Meta`](super::meta::Meta), and how many bytes the log of changes takes.
pub(super) const META: Definition = TableDefinition::new("meta");
/// By send time and name: events that are pending, with their content, so that what is due together lies together.
pub(super) const PENDING: Definition = TableDefinition::new("pending");
/// By name, when each of them is to be sent.
pub(super) const NAMES: Definition = TableDefinition::new("names");
/// By creation.
pub(super) const PARKED: Definition = TableDefinition::new("parked");
/// By creation, which of them were released; before form 2 the row itself said it. Beside them, for a release must not write their
/// content anew: it takes no room that events which end are kept.
pub(super) const RELEASED: Definition = TableDefinition::new("released");
/// By name.
pub(super) const TOMBSTONES: Definition = TableDefinition::new("tombstones");
/// By time and name: which tombstone goes next.
pub(super) const TOMBSTONE_AGES: Definition = TableDefinition::new("tombstone-ages");
/// By owner and id, what each was answered.
pub(super) const MESSAGES: Definition = TableDefinition::new("messages");
/// By time, owner and id: which answer goes next.
pub(super) const MESSAGE_AGES: Definition = TableDefinition::new("message-ages");
/// By owner, what is his.
pub(super) const OWNERS: Definition = TableDefinition::new("owners");
/// By number, how events ended.
pub(super) const RECORD: Definition = TableDefinition::new("record");
/// By number, what somebody changed.
pub(super) const CHANGES: Definition = TableDefinition::new("changes");

/// All of them.
pub(super) const ALL: [Definition; 12] = [
    META,
    PENDING,
    NAMES,
    PARKED,
    RELEASED,
    TOMBSTONES,
    TOMBSTONE_AGES,
    MESSAGES,
    MESSAGE_AGES,
    OWNERS,
    RECORD,
    CHANGES,
];

/// Opens a table for reading.
pub(super) fn read(transaction: &ReadTransaction, table: Definition) -> Result<Read, Failed> {
    Ok(transaction.open_table(table)?)
}

/// Opens a table for writing.
pub(super) fn written(transaction: &WriteTransaction, table: Definition) -> Result<Written<'_>, Failed> {
    Ok(transaction.open_table(table)?)
}
