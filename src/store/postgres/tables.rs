//! Which table a key lies in, and how keys are written: a few statements a table, however many there are.

use crate::{
    postgres::{Calls, Failed, PAGE, Shard, of, portions},
    store::{changes::Changes, encoding},
};
use std::collections::BTreeMap;

/// All of them, in the order in which they are read: what definitions refer to comes before these.
pub(super) const ALL: [&str; 7] = ["content", "revision", "span", "one_shot", "parked", "message", "entry"];

/// Keys that are to be removed, keys that are to be written, and their values.
#[derive(Default)]
struct Portion {
    gone: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
}

pub(super) async fn write(calls: &mut Calls<'_>, shard: &Shard, changes: Changes) -> Result<(), Failed> {
    let mut tables: BTreeMap<&str, Portion> = BTreeMap::new();
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
    for (table, Portion { gone, keys, values }) in tables {
        for gone in gone.chunks(PAGE) {
            let delete = format!(
                "delete from {{s}}.{table} where clock = $1 and shard = $2 and key = any ($3::bytea[])"
            );
            let delete = of(calls, shard, &delete).bind(gone);
            calls.execute(delete).await?;
        }
        for portion in portions(values.iter().map(Vec::len)) {
            let (keys, values) = (&keys[portion.clone()], &values[portion]);
            // What is there as it is to be (the rules of zones, mostly) is not written again.
            let insert = format!(
                "insert into {{s}}.{table} as kept (clock, shard, key, value)
                 select $1, $2, key, value from unnest($3::bytea[], $4::bytea[]) as added (key, value)
                 on conflict (clock, shard, key) do update set value = excluded.value where kept.value <> excluded.value"
            );
            let insert = of(calls, shard, &insert).bind(keys).bind(values);
            calls.execute(insert).await?;
        }
    }
    Ok(())
}
