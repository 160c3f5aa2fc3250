//! Events that were rendered before they are due, until they are handed over.

use ponos::broker::Publishing;
use std::collections::VecDeque;

/// Rendered ahead, by the number under which the engine foresaw them. As many as the engine makes ready.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    rendered: VecDeque<Publishing>,
    /// The number of the first.
    first: u64,
}

impl Ahead {
    /// Numbers count up; where one is left out the engine has forgotten those before.
    pub(super) fn put(&mut self, number: u64, publishing: Publishing) {
        if number != self.first + self.rendered.len() as u64 {
            self.rendered.clear();
            self.first = number;
        }
        self.rendered.push_back(publishing);
    }

    /// The message rendered under this number. Earlier ones are dropped: they are never asked for again.
    pub(super) fn take(&mut self, number: u64) -> Option<Publishing> {
        while self.first < number && self.rendered.pop_front().is_some() {
            self.first += 1;
        }
        let publishing = self.rendered.pop_front_if(|_| self.first == number)?;
        self.first += 1;
        Some(publishing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::event::Message;

    fn numbered(token: u64) -> Publishing {
        Publishing { token, lane: 0, exchange: "".into(), message: Message::default() }
    }

    #[test]
    fn what_was_left_out_or_forgotten_is_dropped() {
        let mut ahead = Ahead::default();
        let take = |ahead: &mut Ahead, number| ahead.take(number).map(|publishing| publishing.token);
        (3..8).for_each(|number| ahead.put(number, numbered(number)));
        assert_eq!(take(&mut ahead, 2), None);
        assert_eq!(take(&mut ahead, 5), Some(5));
        assert_eq!(take(&mut ahead, 5), None);
        assert_eq!(ahead.rendered.len(), 2);
        ahead.put(9, numbered(9));
        assert_eq!((take(&mut ahead, 6), ahead.rendered.len()), (None, 1));
        assert_eq!((take(&mut ahead, 9), take(&mut ahead, 10)), (Some(9), None));
        ahead.put(11, numbered(11));
        assert_eq!(take(&mut ahead, 11), Some(11));
    }
}
