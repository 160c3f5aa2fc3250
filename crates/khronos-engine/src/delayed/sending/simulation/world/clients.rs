//! Clients that put, move, delete and repeat themselves, and persons who look after what is parked.

use super::{super::below, World};
use crate::{
    Author, Expect, Message,
    delayed::{
        DelayedChange, DelayedContent, DelayedEvent, DelayedHead, DelayedInput, DelayedKey, DelayedRequest,
        PastDue, UnparkRequest, Unparking,
    },
};
use ponos_event::Timestamp;
use std::sync::Arc;

/// What a client wants.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    name: Arc<str>,
    /// When, and what it says; nothing: it is not wanted any more.
    put: Option<(Timestamp, u64)>,
}

impl World {
    /// A client asks for something, or for the same once more.
    pub(super) fn ask(&mut self) -> Result<(), String> {
        self.commands += 1;
        let again = self.random.u8(0..5) == 0 && !self.messages.is_empty();
        let (id, wanted, atomic) = match again {
            true => {
                // Of the last ones, so that its first copy may still wait.
                let last = self.messages.len().min(4);
                self.messages[self.messages.len() - 1 - self.random.usize(0..last)].clone()
            }
            false => {
                let wanted = (0..self.random.usize(1..4)).map(|_| self.wanted()).collect();
                (format!("message {}", self.commands), wanted, self.random.u8(0..4) == 0)
            }
        };
        let is_message = again || self.random.bool();
        if is_message && !again {
            self.messages.push((id.clone(), wanted.clone(), atomic));
        }
        let message = is_message.then(|| Message { id: id.as_str().into(), digest: [7; 32] });
        let says: Vec<u64> = wanted.iter().filter_map(|one| Some(one.put?.1)).collect();
        self.promises.asked(self.commands, is_message.then_some(id), atomic, &says);
        let changes = wanted.iter().map(change).collect();
        let by = Author::owner("billing", "a test");
        let request = DelayedRequest { command: self.commands, by, message, atomic, changes };
        self.step(DelayedInput::Change(Box::new(request)))
    }

    /// A person releases some parked events, or drops some, and names one that may not be parked.
    pub(super) fn ask_about_parked(&mut self) -> Result<(), String> {
        self.commands += 1;
        let parked = self.reader().parked(0, 8).map_err(|error| error.to_string())?;
        let mut creations: Vec<u64> = parked.iter().map(|parked| parked.event.head.creation).collect();
        creations.retain(|_| self.random.bool());
        creations.push(self.random.u64(0..50));
        let what = if self.random.u8(0..4) > 0 { Unparking::Release } else { Unparking::Drop };
        self.promises.asked_about_parked(self.commands, what, &creations);
        let by = Author::owner("billing", "a test");
        let request = UnparkRequest { command: self.commands, by, what, creations };
        self.step(DelayedInput::Unpark(Box::new(request)))
    }

    fn wanted(&mut self) -> Wanted {
        let name = format!("n{}", self.random.u8(0..60)).as_str().into();
        let most = [400, 4_000][self.random.usize(0..2)];
        let soon = self.random.i64(-100..most);
        // Some at one instant.
        let send = self.now.millis() + soon;
        let send = Timestamp::from_millis(if self.random.bool() { send } else { send - send % 500 });
        let put = (self.random.u8(0..4) > 0).then(|| (send, self.random.u64(..)));
        // Now and then something else in the place of what was put lately.
        let lately = self.messages.iter().rev().take(4).flat_map(|(_, wanted, _)| wanted);
        let lately = lately.filter_map(|one| Some((one.name.clone(), one.put?.0))).next();
        if let (Some((name, send)), Some((_, says))) = (lately.filter(|_| self.random.u8(0..4) == 0), put) {
            return Wanted { name, put: Some((send, says)) };
        }
        Wanted { name, put }
    }
}

fn change(Wanted { name, put }: &Wanted) -> DelayedChange {
    let Some((send, says)) = *put else {
        return DelayedChange::Delete { name: name.clone(), expect: Expect::Any };
    };
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&says.to_le_bytes());
    let head = DelayedHead {
        key: DelayedKey { send, name: name.clone() },
        due: send,
        creation: 0,
        revision: 0,
        owner: "billing".into(),
        event: below::event(says).into(),
        queue: None,
        is_named: true,
        refused: 0,
        at: send,
        digest,
    };
    let content = DelayedContent { data: says.to_le_bytes().into(), ..DelayedContent::default() };
    let event = Box::new(DelayedEvent { head, content });
    DelayedChange::Put { event, expect: Expect::Any, past: PastDue::Send }
}
