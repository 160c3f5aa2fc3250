//! What an owner may change, by all of his tokens and users together.

use super::{Caller, Quota, Rate};
use std::{collections::HashMap, sync::Arc};

/// Changes a second of one owner, and at once after a rest: many more than people and scripts make.
const CHANGES: (u32, u32) = (20, 200);

/// All owners who are known, by their names. Clones share what they have left.
#[derive(Debug, Clone, Default)]
pub struct Owners(HashMap<String, Owner>);

#[derive(Debug, Clone)]
struct Owner {
    changes: Arc<Rate>,
    puts: Arc<Rate>,
    quota: Quota,
}

impl Owners {
    /// Of the quotas of their tokens and users, the smallest holds.
    pub fn new<'a>(quotas: impl IntoIterator<Item = (&'a str, Quota)>) -> Self {
        let mut least: HashMap<&str, Quota> = HashMap::new();
        for (owner, quota) in quotas {
            least.entry(owner).and_modify(|known| *known = known.and(quota)).or_insert(quota);
        }
        let owner = |(name, quota): (&str, Quota)| {
            let changes = Arc::new(Rate::new(CHANGES.0, CHANGES.1));
            let puts = Arc::new(Rate::new(quota.puts_a_second, quota.puts_a_second));
            (name.to_owned(), Owner { changes, puts, quota })
        };
        Self(least.into_iter().map(owner).collect())
    }

    /// The caller with what his owner has left, and with what is his own of this quota.
    #[must_use]
    pub fn limit(&self, caller: Caller, own: Quota) -> Caller {
        match self.0.get(&**caller.owner()) {
            None => caller.within(own),
            Some(Owner { changes, puts, quota }) => {
                let quota = Quota { least_interval: own.least_interval, ..*quota };
                caller.at_rate(changes.clone()).taking(puts.clone(), quota)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Domains, Role};
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn tokens_and_users_of_one_owner_share_what_he_may_take() {
        let second = Duration::from_secs(1);
        let few =
            Quota { schedules: Some(7), delayed_events: Some(9), puts_a_second: 2, least_interval: second };
        let owners = Owners::new([("billing", Quota::USUAL), ("billing", few), ("reports", Quota::USUAL)]);
        let token = |owner: &str| {
            Caller::holder("1f2e3d4c".parse().unwrap(), owner, Role::Write, Domains::everything())
        };
        let user = Caller::of_broker("service", "billing", Role::Write, Domains::everything());
        let by_token = owners.limit(token("billing"), Quota::USUAL);
        let (by_message, other) = (owners.limit(user, few), owners.limit(token("reports"), Quota::USUAL));
        assert_eq!((by_token.author().most, by_message.author().most), (Some(7), Some(7)));
        assert_eq!((by_token.most_delayed_events(), other.most_delayed_events()), (Some(9), None));
        // What a schedule may be is said of each token.
        assert_eq!((by_token.least_interval(), by_message.least_interval()), (Duration::ZERO, second));
        let now = Instant::now();
        assert!(by_token.take_puts(2, now).is_ok() && by_message.take_puts(1, now).is_err());
        assert!(other.take_puts(1_000, now).is_ok() && other.author().most.is_none());
        let taken = (0..1_000).take_while(|_| by_message.take_change(now).is_ok()).count();
        assert_eq!((taken, by_token.take_change(now).is_ok()), (200, false));
    }
}
