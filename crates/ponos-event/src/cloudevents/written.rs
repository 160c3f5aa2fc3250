//! The times of an event as its message wrote them.

use super::Event;
use crate::Timestamp;

/// The texts of an event's times, where they say more than whole milliseconds in UTC (microseconds, an offset, a leap second):
/// [`Event::time_text`] and what is written of the event have them as they came. Empty for events of ours. A time that was changed
/// since is written as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written(Option<Box<[Option<String>; 3]>>);

/// Which time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Time,
    Expiry,
    Recorded,
}

impl Written {
    /// Keeps the text, if it says more than the instant.
    pub(super) fn keep(&mut self, which: Which, text: &str, instant: Timestamp) {
        if !instant.is_written_as(text) {
            self.0.get_or_insert_default()[which as usize] = Some(text.to_owned());
        }
    }

    fn text(&self, which: Which, instant: Option<Timestamp>) -> Option<String> {
        let instant = instant?;
        let kept = self.0.as_deref().and_then(|texts| texts[which as usize].as_ref());
        let kept = kept.filter(|text| Timestamp::floored(text) == Ok(instant));
        Some(kept.cloned().unwrap_or_else(|| instant.to_string()))
    }
}

impl Event {
    /// [`Event::time`] as the message had it, in RFC 3339; what was published here has three digits of the second's fraction.
    pub fn time_text(&self) -> Option<String> {
        self.written.text(Which::Time, self.time)
    }

    /// [`Event::expiry_time`], likewise.
    pub fn expiry_time_text(&self) -> Option<String> {
        self.written.text(Which::Expiry, self.expiry_time)
    }

    /// [`Event::recorded_time`], likewise.
    pub fn recorded_time_text(&self) -> Option<String> {
        self.written.text(Which::Recorded, self.recorded_time)
    }
}
