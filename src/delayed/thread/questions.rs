//! What waits to be read. What is due comes first, for it is to be on time; and looking up, which takes longest, is done in parts, with
//! the others in between.

use crate::{
    delayed::{DelayedKey, DueEvent, Found},
    engine::MessageKey,
};
use ponos::event::Timestamp;
use std::{collections::VecDeque, ops::Range, sync::Arc};

/// So much may be read before a part of what is to be looked up, so that it comes to its end under any load.
const BEFORE: usize = 16;

/// What is to be read.
#[derive(Debug)]
pub(super) enum Question {
    Find(Finding),
    Due { ticket: u64, range: Range<Timestamp>, after: Option<DelayedKey>, most: usize },
    Contents(Vec<(u64, DueEvent)>),
    FindParked { ticket: u64, creations: Vec<u64> },
    Parked { ticket: u64, after: u64, most: usize },
}

/// What is to be looked up, and how far that has come.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) ticket: u64,
    pub(super) names: Vec<Arc<str>>,
    pub(super) messages: Vec<MessageKey>,
    /// By the first names.
    pub(super) found: Vec<Found>,
    /// In which opening these were found.
    pub(super) opening: u64,
}

#[derive(Debug, Default)]
pub(super) struct Questions {
    contents: VecDeque<Question>,
    due: VecDeque<Question>,
    find: VecDeque<Question>,
    /// What was read since anything was looked up, while something is to be.
    before: usize,
}

impl Finding {
    pub(super) fn new(ticket: u64, names: Vec<Arc<str>>, messages: Vec<MessageKey>) -> Self {
        Self { ticket, names, messages, found: Vec::new(), opening: 0 }
    }
}

impl Questions {
    pub(super) fn len(&self) -> usize {
        self.contents.len() + self.due.len() + self.find.len()
    }

    pub(super) fn push(&mut self, question: Question) {
        match &question {
            Question::Contents(_) => self.contents.push_back(question),
            Question::Due { .. } => self.due.push_back(question),
            Question::Find(_) | Question::FindParked { .. } | Question::Parked { .. } => {
                self.find.push_back(question);
            }
        }
    }

    /// The rest of what was being looked up.
    pub(super) fn go_on(&mut self, rest: Finding) {
        self.find.push_front(Question::Find(rest));
    }

    /// What is read next.
    pub(super) fn next(&mut self) -> Option<Question> {
        if self.find.is_empty() {
            self.before = 0;
        }
        let due = if self.before < BEFORE { &mut self.contents } else { &mut self.find };
        let next = due.pop_front().or_else(|| self.due.pop_front()).or_else(|| self.find.pop_front());
        self.before = match &next {
            Some(Question::Due { .. } | Question::Contents(_)) => self.before + 1,
            Some(_) | None => 0,
        };
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(question: Option<Question>) -> &'static str {
        match question {
            Some(Question::Find(_)) => "find",
            Some(Question::Due { .. }) => "due",
            Some(Question::Contents(_)) => "contents",
            Some(Question::FindParked { .. }) => "find parked",
            Some(Question::Parked { .. }) => "parked",
            None => "nothing",
        }
    }

    fn find() -> Finding {
        Finding::new(1, Vec::new(), Vec::new())
    }

    fn due() -> Question {
        let range = Timestamp::EPOCH..Timestamp::EPOCH;
        Question::Due { ticket: 1, range, after: None, most: 1 }
    }

    #[test]
    fn what_is_due_is_read_before_anything_is_looked_up() {
        let mut questions = Questions::default();
        questions.push(Question::Parked { ticket: 1, after: 0, most: 1 });
        questions.push(Question::Find(find()));
        questions.push(Question::FindParked { ticket: 2, creations: Vec::new() });
        questions.push(due());
        questions.push(Question::Contents(Vec::new()));
        assert_eq!(questions.len(), 5);
        let next: Vec<_> = (0..6).map(|_| name(questions.next())).collect();
        assert_eq!(next, ["contents", "due", "parked", "find", "find parked", "nothing"]);
    }

    #[test]
    fn what_is_to_be_looked_up_has_its_turn_however_much_is_due() {
        let mut questions = Questions::default();
        questions.push(Question::Find(find()));
        for _ in 0..2 * BEFORE {
            questions.push(Question::Contents(Vec::new()));
        }
        let before = (0..).take_while(|_| name(questions.next()) == "contents").count();
        assert_eq!(before, BEFORE);
        questions.go_on(find());
        let before = (0..).take_while(|_| name(questions.next()) == "contents").count();
        assert_eq!(before, BEFORE, "each part waits as long");
    }
}
