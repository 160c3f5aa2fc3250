//! Which keys each write touched, so that a clock that follows reads no more than these. One row a write, by the write's number; who
//! made it is in it, for a number is given anew where a server was promoted that lacks the last writes. The newest thousand are
//! kept: whoever is behind them reads all.

use crate::{
    postgres::{AT_ONCE_BYTES, Calls, Failed, Numbered, Shard, integer, of},
    store::encoding,
};

/// So many writes are kept at least: those of the minutes that reading everything takes where there are millions, of a clock that is
/// asked for changes all the time …
const KEPT: u64 = if cfg!(test) { 1_000 } else { 100_000 };
/// … and so many more, until some go.
const TRIMMED: u64 = KEPT / 10;
/// Keys of so many bytes in all are too many for a difference.
const MOST_BYTES: usize = 16 << 20;

/// One write.
#[derive(Debug)]
pub(super) struct Touched {
    /// Which opening of a store made it.
    pub(super) by: u64,
    pub(super) keys: Vec<Vec<u8>>,
}

/// Notes what the write of this number touches, in its transaction.
pub(super) async fn note(
    calls: &mut Calls<'_>,
    shard: &Shard,
    (number, by): (u64, u64),
    keys: &[Vec<u8>],
) -> Result<(), Failed> {
    let value = encoding::value(&(by, keys))?;
    // Those that follow miss it then, and read all.
    if value.len() as u64 <= AT_ONCE_BYTES {
        let insert = "insert into {s}.touched (clock, shard, number, value) values ($1, $2, $3, $4)
             on conflict (clock, shard, number) do update set value = excluded.value";
        calls.execute(of(calls, shard, insert).bind(integer(number)).bind(value)).await?;
    }
    if number > KEPT && number.is_multiple_of(TRIMMED) {
        let delete = "delete from {s}.touched where clock = $1 and shard = $2 and number <= $3";
        calls.execute(of(calls, shard, delete).bind(integer(number - KEPT))).await?;
    }
    Ok(())
}

/// Those from the first number through the last, if all of them are there and it is not too much.
pub(super) async fn read(
    calls: &mut Calls<'_>,
    shard: &Shard,
    (first, last): (u64, u64),
) -> Result<Option<Vec<Touched>>, Failed> {
    if last.saturating_sub(first) > KEPT + TRIMMED {
        return Ok(None);
    }
    let bounds = (first.saturating_sub(1), last);
    let found =
        Numbered::read("touched", calls, shard, bounds, (usize::MAX, MOST_BYTES), |number, value: &[u8]| {
            let (by, keys) = encoding::read(value)?;
            Ok(((number, Touched { by, keys }), value.len()))
        });
    let found = found.await?;
    let are_all = found.iter().map(|(number, _)| *number).eq(first..=last);
    Ok(are_all.then(|| found.into_iter().map(|(_, touched)| touched).collect()))
}
