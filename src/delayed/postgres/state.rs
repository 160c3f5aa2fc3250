//! What the store says about itself: written with every write, in the same transaction, as a row of its own. It is not in the row
//! of the shard, for it follows from what the transaction reads.

use crate::{
    delayed::{
        encoding::{self, Unreadable},
        meta::{FORM, Meta},
    },
    postgres::{Calls, Door, Failed, Shard, column, of},
    store::{StoreError, UNFINISHED, copying::not_understood},
};

/// What the store says about itself.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) meta: Meta,
    /// How many tombstones there are: to count them would take a walk over all.
    pub(super) tombstones: u64,
    /// For how many bytes the entries of the log of changes count.
    pub(super) changes_bytes: u64,
}

/// What lies there.
pub(super) enum Found {
    Nothing,
    Kept(Box<State>),
    /// A newer version wrote it, in this form.
    Newer(u32),
    /// A copy into it has not ended.
    Unfinished(Box<State>),
    /// The schema is that of another clock, of this name.
    OtherClock(String),
}

impl Found {
    /// What a clock goes on from.
    pub(super) fn understood(self, door: &Door) -> Result<Option<State>, StoreError> {
        let path = door.address().shown();
        match self {
            Self::Nothing => Ok(None),
            Self::Kept(state) => Ok(Some(*state)),
            Self::Newer(form) => Err(not_understood(path, form, FORM)),
            Self::Unfinished(_) => Err(not_understood(path, UNFINISHED, FORM)),
            Self::OtherClock(kept) => {
                let configured = door.shard().clock.to_string();
                Err(StoreError::OtherClock { path: path.to_owned(), kept, configured })
            }
        }
    }
}

impl State {
    /// A store in creation.
    pub(super) fn new(clock: &str) -> Self {
        Self { meta: Meta::new(clock), tombstones: 0, changes_bytes: 0 }
    }

    /// One of today's form.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (meta, tombstones, changes_bytes) = encoding::read(bytes)?;
        Ok(Self { meta, tombstones, changes_bytes })
    }

    pub(super) async fn write(&self, calls: &mut Calls<'_>, shard: &Shard) -> Result<(), Failed> {
        let write = "insert into {s}.delayed_state (clock, shard, value) values ($1, $2, $3)
             on conflict (clock, shard) do update set value = excluded.value";
        let value = encoding::value(&(&self.meta, self.tombstones, self.changes_bytes))?;
        calls.execute(of(calls, shard, write).bind(value)).await.map(drop)
    }
}

/// Reads it, and whether the schema is another clock's.
pub(super) async fn read(calls: &mut Calls<'_>, shard: &Shard) -> Result<Found, Failed> {
    let mut found = Found::Nothing;
    let all = calls.statement("select clock, shard, value from {s}.delayed_state");
    for row in calls.all(all).await? {
        let (clock, number): (String, i16) = (column(&row, 0)?, column(&row, 1)?);
        let value: &[u8] = column(&row, 2)?;
        let form = encoding::read_form(value)?;
        if form > FORM && form != UNFINISHED {
            return Ok(Found::Newer(form));
        }
        let state = State::read(value)?;
        if form == UNFINISHED {
            return Ok(Found::Unfinished(Box::new(state)));
        }
        let is_ours = *clock == *shard.clock;
        if !is_ours && state.meta.generation > 0 {
            return Ok(Found::OtherClock(clock));
        }
        if is_ours && number == shard.shard {
            if !state.meta.balance.is_right() {
                return Err(Failed::Unreadable("its balance is wrong".into()));
            }
            found = Found::Kept(Box::new(state));
        }
    }
    Ok(found)
}
