//! Tables of what is numbered from 1 without gaps, oldest trimmed first: the records, and the logs of changes.

use super::{
    calls::{Calls, Statement, column, integer, integers, number},
    errors::Failed,
    lease::Shard,
    windows::{AT_ONCE_BYTES, portions},
};
use ponos::event::Timestamp;
use std::collections::VecDeque;

/// How many go with one write, beside as many as it adds; and how many are looked at for it at once.
const PORTION: u64 = 1_000;

/// One of these tables, and when the oldest of what it holds came to be.
#[derive(Debug)]
pub(crate) struct Numbered {
    table: &'static str,
    /// Each row says how many bytes it counts for.
    is_weighed: bool,
    oldest: VecDeque<Looked>,
}

/// One that lies there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looked {
    number: u64,
    at: Timestamp,
    bytes: u64,
}

/// What a write adds.
#[derive(Debug, Default)]
pub(crate) struct Added {
    pub(crate) at: Vec<Timestamp>,
    /// For how many bytes each counts, where the table says it.
    pub(crate) bytes: Vec<u64>,
    pub(crate) values: Vec<Vec<u8>>,
}

impl Added {
    fn len(&self) -> u64 {
        self.values.len() as u64
    }
}

/// The first one that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// What went before it counted for so many bytes, where the table says it.
    Stays { number: u64, gone: u64 },
    /// It is not known when this one came to be.
    LookFrom(u64),
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// The newest, this many …
    pub(crate) count: u64,
    /// … of those that came to be at this instant or later.
    pub(crate) since: Timestamp,
    /// By so many bytes there are too many of them, with what is added.
    pub(crate) over: u64,
}

impl Numbered {
    pub(crate) fn new(table: &'static str) -> Self {
        Self { table, is_weighed: false, oldest: VecDeque::new() }
    }

    /// One whose rows say how many bytes each counts for.
    pub(crate) fn weighed(table: &'static str) -> Self {
        Self { is_weighed: true, ..Self::new(table) }
    }

    /// The number of the first one that stays once those are added to the ones from `first` to `last`; as far as what was
    /// [looked at](Self::looked) tells it.
    pub(crate) fn first_kept(&mut self, (first, last): (u64, u64), added: &Added, kept: Kept) -> First {
        let end = first.saturating_add(added.len()).saturating_add(PORTION);
        let newest = last + added.len();
        let by_count = (newest + 1).saturating_sub(kept.count).clamp(first, end);
        // Where bytes count each one that goes is looked at.
        let mut number = if self.is_weighed { first } else { by_count };
        while self.oldest.front().is_some_and(|oldest| oldest.number < number) {
            self.oldest.pop_front();
        }
        let new = self.is_weighed.then(|| added.looked(last)).into_iter().flatten();
        let mut gone = 0;
        for one in self.oldest.iter().copied().chain(new) {
            if number >= end || one.number != number {
                break;
            }
            if number >= by_count && gone >= kept.over && one.at >= kept.since {
                return First::Stays { number, gone };
            }
            gone += one.bytes;
            number += 1;
        }
        let is_known = number >= end || number > last;
        if is_known { First::Stays { number, gone } } else { First::LookFrom(number) }
    }

    /// When those from this one on came to be: as many as are looked at at once.
    pub(crate) async fn look(
        &self,
        calls: &mut Calls<'_>,
        shard: &Shard,
        from: u64,
    ) -> Result<Vec<Looked>, Failed> {
        let bytes = if self.is_weighed { "bytes" } else { "0::bigint" };
        let look = format!(
            "select number, at, {bytes} from {{s}}.{} where clock = $1 and shard = $2 and number >= $3
             order by number limit $4",
            self.table
        );
        let look = of(calls, shard, &look).bind(integer(from)).bind(integer(PORTION));
        let looked = calls.all(look).await?;
        let one = |row| {
            let at = Timestamp::from_millis(column(row, 1)?);
            Ok(Looked { number: number(row, 0)?, at, bytes: number(row, 2)? })
        };
        let looked = looked.iter().map(one).collect::<Result<Vec<_>, Failed>>()?;
        match looked.first() {
            Some(one) if one.number == from => Ok(looked),
            _ => Err(Failed::Unreadable(format!("number {from} of its {} is missing", self.table))),
        }
    }

    /// Takes note of it.
    pub(crate) fn looked(&mut self, looked: Vec<Looked>) {
        let goes_on = self.oldest.back().map(|last| last.number + 1) == looked.first().map(|one| one.number);
        if !goes_on {
            self.oldest.clear();
        }
        self.oldest.extend(looked);
    }

    /// Writes those behind `last`, and removes those before `first`.
    pub(crate) async fn write(
        &self,
        calls: &mut Calls<'_>,
        shard: &Shard,
        last: u64,
        added: &Added,
        trimmed: Option<u64>,
    ) -> Result<(), Failed> {
        for portion in portions(added.values.iter().map(Vec::len)) {
            let numbers = integers(portion.clone().map(|place| last + 1 + place as u64));
            let (values, at) = (&added.values[portion.clone()], &added.at[portion.clone()]);
            let at: Vec<i64> = at.iter().map(|at| at.millis()).collect();
            let table = self.table;
            let insert = match self.is_weighed {
                true => format!(
                    "insert into {{s}}.{table} (clock, shard, number, at, value, bytes)
                     select $1, $2, number, at, value, bytes
                     from unnest($3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[]) as added (number, at, value, bytes)"
                ),
                false => format!(
                    "insert into {{s}}.{table} (clock, shard, number, at, value)
                     select $1, $2, number, at, value
                     from unnest($3::bigint[], $4::bigint[], $5::bytea[]) as added (number, at, value)"
                ),
            };
            let mut insert = of(calls, shard, &insert).bind(numbers).bind(at).bind(values);
            if self.is_weighed {
                insert = insert.bind(integers(added.bytes[portion].iter().copied()));
            }
            calls.execute(insert).await?;
        }
        if let Some(first) = trimmed {
            let delete =
                format!("delete from {{s}}.{} where clock = $1 and shard = $2 and number < $3", self.table);
            let delete = of(calls, shard, &delete).bind(integer(first));
            calls.execute(delete).await?;
        }
        Ok(())
    }

    /// Those with a number above `after`, as far as the last one, oldest first, at most `most`; `read` tells what each is, and of
    /// how many bytes: it ends behind the one with which they come to `full`.
    pub(crate) async fn read<T>(
        table: &str,
        calls: &mut Calls<'_>,
        shard: &Shard,
        (after, last): (u64, u64),
        (most, full): (usize, usize),
        read: impl Fn(u64, &[u8]) -> Result<(T, usize), Failed>,
    ) -> Result<Vec<T>, Failed> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut after = after;
        while after < last && found.len() < most && bytes < full {
            // No statement answers with much more than is wanted of large ones; those that are small come by the thousand.
            let page = format!(
                "select number, value from (
                     select number, value, sum(octet_length(value)) over (order by number) - octet_length(value) as before
                     from {{s}}.{table} where clock = $1 and shard = $2 and number > $3 order by number limit $4
                 ) as page where before < $5 order by number"
            );
            let wanted = (most - found.len()).min(PAGE);
            let page = of(calls, shard, &page)
                .bind(integer(after))
                .bind(integer(wanted as u64))
                .bind(integer(AT_ONCE_BYTES));
            let rows = calls.all(page).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                after = number(&row, 0)?;
                let (entry, length) = read(after, column(&row, 1)?)?;
                found.push(entry);
                bytes += length;
                if bytes >= full {
                    break;
                }
            }
        }
        Ok(found)
    }
}

impl Added {
    /// As they will lie there, behind `last`.
    fn looked(&self, last: u64) -> impl Iterator<Item = Looked> {
        let all = (last + 1..).zip(&self.at).zip(&self.bytes);
        all.map(|((number, at), bytes)| Looked { number, at: *at, bytes: *bytes })
    }
}

/// Rows of one statement: what is read must come within the time limit of a call.
pub(crate) const PAGE: usize = 5_000;

/// A statement whose first two parameters say which clock's shard it concerns.
pub(crate) fn of(calls: &Calls<'_>, shard: &Shard, sql: &str) -> Statement {
    calls.statement(sql).bind(&*shard.clock).bind(shard.shard)
}
