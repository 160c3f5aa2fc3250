//! Which table a key lies in, and how keys are written: a few statements a table, however many there are.

use crate::{
    postgres::{Calls, Failed, Keyed, PAGE, Shard, column, integer, number, of, portions},
    store::{changes::Changes, encoding},
};
use std::collections::BTreeMap;

/// All of them, in the order in which they are read: what definitions refer to comes before these.
pub(super) const ALL: [&str; 7] = ["content", "revision", "span", "one_shot", "parked", "message", "entry"];

/// One of them, as it is read.
pub(super) fn keyed(table: &'static str) -> Keyed {
    Keyed { table, key: "key", columns: "key, value", large: "value" }
}

/// Keys that are to be removed, keys that are to be written, and their values.
#[derive(Default)]
struct Portion {
    gone: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
}

pub(super) async fn write(calls: &mut Calls<'_>, shard: &Shard, changes: Changes) -> Result<(), Failed> {
    let mut tables: BTreeMap<&'static str, Portion> = BTreeMap::new();
    for (key, value) in changes.all {
        let table = tables.entry(encoding::table(&key)).or_default();
        match value {
            Some(value) => {
                table.keys.push(key);
                table.values.push(value);
            }
            None => table.gone.push(key),
        }
    }
    let mut counts = (Vec::new(), Vec::new());
    for (table, Portion { gone, keys, values }) in tables {
        let mut more = 0;
        for gone in gone.chunks(PAGE) {
            let delete = format!(
                "delete from {{s}}.{table} where clock = $1 and shard = $2 and key = any ($3::bytea[])"
            );
            let delete = of(calls, shard, &delete).bind(gone);
            more -= integer(calls.execute(delete).await?);
        }
        for portion in portions(values.iter().map(Vec::len)) {
            let (keys, values) = (&keys[portion.clone()], &values[portion]);
            // What is there as it is to be (the rules of zones, mostly) is not written again.
            let insert = format!(
                "with written as (
                     insert into {{s}}.{table} as kept (clock, shard, key, value)
                     select $1, $2, key, value from unnest($3::bytea[], $4::bytea[]) as added (key, value)
                     on conflict (clock, shard, key) do update set value = excluded.value where kept.value <> excluded.value
                     returning (xmax = 0) as is_new)
                 select count(*) from written where is_new"
            );
            let insert = of(calls, shard, &insert).bind(keys).bind(values);
            if let Some(row) = calls.one(insert).await? {
                more += integer(number(&row, 0)?);
            }
        }
        if more != 0 {
            counts.0.push(table);
            counts.1.push(more);
        }
    }
    match counts.0.is_empty() {
        true => Ok(()),
        false => count(calls, shard, counts).await,
    }
}

/// Keeps how many rows there are of each table: one that is lost, or restored by itself, shows when it is read.
async fn count(
    calls: &mut Calls<'_>,
    shard: &Shard,
    (tables, more): (Vec<&'static str>, Vec<i64>),
) -> Result<(), Failed> {
    let count = "insert into {s}.kept as kept (clock, shard, kind, rows)
         select $1, $2, kind, more from unnest($3::text[], $4::bigint[]) as counted (kind, more)
         on conflict (clock, shard, kind) do update set rows = kept.rows + excluded.rows";
    calls.execute(of(calls, shard, count).bind(tables).bind(more)).await.map(drop)
}

/// How many rows of each table there are to be.
pub(super) async fn counts(calls: &mut Calls<'_>, shard: &Shard) -> Result<BTreeMap<String, u64>, Failed> {
    let look = of(calls, shard, "select kind, rows from {s}.kept where clock = $1 and shard = $2");
    let rows = calls.all(look).await?;
    rows.iter().map(|row| Ok((column(row, 0)?, number(row, 1)?))).collect()
}
