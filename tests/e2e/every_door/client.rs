//! One of the clients that ask at once, by all doors: one command after the other, each answer held against what its own schedules
//! may be by then.

use super::{
    ask::{Expect, Flaw, Put, Slot},
    doors::{
        Answer, BY_HTTP, BY_MESSAGE, BY_SOCKET, Http, Messages, Program, Sent, Who, condition,
        delete_message, put_message,
    },
    log::{Asked, Fate},
};
use fastrand::Rng;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Schedules of each client alone.
const OWN: usize = 8;
/// Schedules about which all clients ask.
pub(super) const SHARED: usize = 20;
/// Schedules of another owner.
pub(super) const FOREIGN: usize = 5;
/// Commands by message that may be sent again.
const KEPT: usize = 30;

/// By which door.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Door {
    Http,
    Socket,
    Messages,
    Program,
}

/// What all of them share.
pub(super) struct Scene {
    pub(super) http: Http,
    pub(super) socket: Http,
    pub(super) program: Program,
    pub(super) broker: String,
    /// Commands that were asked so far, and how many are to be.
    pub(super) asked: AtomicU64,
    pub(super) total: u64,
}

/// What a client has to tell at the end.
pub(super) struct Told {
    pub(super) slots: Vec<Slot>,
    pub(super) asked: Vec<Asked>,
    /// The ids of the events that it triggered, by its keys.
    pub(super) triggered: Vec<(String, String)>,
    /// Commands that can't be, by message.
    pub(super) dead: usize,
    /// Commands that were sent again, and answers that came again.
    pub(super) again: (usize, usize),
}

pub(super) struct Client {
    scene: Arc<Scene>,
    random: Rng,
    messages: Messages,
    sent: Vec<Sent>,
    told: Told,
}

impl Client {
    pub(super) async fn new(scene: Arc<Scene>, number: usize, random: Rng) -> Self {
        let messages = Messages::connect(&scene.broker, format!("client-{number}")).await;
        let slots = (0..OWN).map(|slot| Slot::new(format!("own-{number:02}-{slot}"))).collect();
        let told = Told { slots, asked: Vec::new(), triggered: Vec::new(), dead: 0, again: (0, 0) };
        Self { scene, random, messages, sent: Vec::new(), told }
    }

    /// Asks until all is asked.
    pub(super) async fn run(mut self) -> Told {
        loop {
            let number = self.scene.asked.fetch_add(1, Ordering::Relaxed);
            if number >= self.scene.total {
                self.told.again.1 = self.messages.doubled;
                return self.told;
            }
            self.one(number).await;
        }
    }

    async fn one(&mut self, number: u64) {
        match self.random.u8(0..100) {
            0..50 => self.put_own(number).await,
            50..62 => self.delete_own().await,
            62..74 => self.ask_shared(number).await,
            74..82 => self.pause_or_trigger(number).await,
            82..86 => self.batch(number).await,
            86..93 => self.ask_in_vain(number).await,
            _ => self.again(number).await,
        }
    }

    fn door(&mut self) -> Door {
        match self.random.u16(0..1_000) {
            0..3 => Door::Program,
            3..400 => Door::Http,
            400..600 => Door::Socket,
            _ => Door::Messages,
        }
    }

    async fn put_own(&mut self, number: u64) {
        let (mut door, slot) = (self.door(), self.random.usize(0..OWN));
        if who(door).is_admin && self.told.slots[slot].present.contains(&None) && self.random.u8(0..8) > 0 {
            // What an operator creates the others can't change.
            door = Door::Http;
        }
        let known = self.told.slots[slot].known().cloned();
        let mut put =
            Put { name: self.told.slots[slot].name.clone(), number, expect: Expect::Any, flaw: None };
        let mut is_new = true;
        match (self.random.u8(0..20), known) {
            (0..4, Some(known)) => put.expect = known.expected(),
            (4..6, _) => put.expect = Expect::STALE,
            (6..8, _) => put.expect = Expect::Absent,
            (8..10, Some(known)) => (put.number, is_new) = (known.number, false),
            (10, _) => put.flaw = Some(Flaw::Invalid),
            (11, _) => put.flaw = Some(Flaw::Reserved),
            (12, _) if !who(door).is_admin => put.flaw = Some(Flaw::OutsideDomains),
            _ => {}
        }
        let answer = self.put(door, &put).await;
        self.told.slots[slot].on_put(&put, who(door), answer.as_ref());
        if is_new {
            self.told.asked.push(Asked::put(&put, who(door), Fate::of_put(answer.as_ref())));
        }
    }

    async fn delete_own(&mut self) {
        let (door, slot) = (self.door(), self.random.usize(0..OWN));
        let (name, known) = (self.told.slots[slot].name.clone(), self.told.slots[slot].known().cloned());
        let expect = match (self.random.u8(0..6), &known) {
            (0, _) => Expect::STALE,
            (1..3, Some(known)) => known.expected(),
            _ => Expect::Any,
        };
        let answer = self.delete(door, &name, expect).await;
        self.told.slots[slot].on_delete(expect, who(door), answer.as_ref());
        let known = known.and_then(|known| Some((known.creation?, known.revision?)));
        self.told.asked.push(Asked::delete(&name, who(door), Fate::of_delete(answer.as_ref(), known)));
    }

    /// What others change meanwhile, too: whatever the answer is, it is what became of it.
    async fn ask_shared(&mut self, number: u64) {
        let door = self.door();
        let name = format!("shared-{:02}", self.random.usize(0..SHARED));
        let expect = match self.random.u8(0..8) {
            0 => Expect::Absent,
            1 => Expect::Revision(self.random.u64(1..1_000), self.random.u64(1..20)),
            _ => Expect::Any,
        };
        let deletes = if who(door).is_admin { 3 } else { 1 };
        let answer = match self.random.u8(0..4) < deletes {
            true => {
                let expect = if expect == Expect::Absent { Expect::Any } else { expect };
                let answer = self.delete(door, &name, expect).await;
                self.told.asked.push(Asked::delete(&name, who(door), Fate::of_delete(answer.as_ref(), None)));
                answer
            }
            false => {
                let put = Put { name, number, expect, flaw: None };
                let answer = self.put(door, &put).await;
                self.told.asked.push(Asked::put(&put, who(door), Fate::of_put(answer.as_ref())));
                answer
            }
        };
        if let Some(answer) = answer {
            let is_usual = matches!(answer.status, 0 | 200 | 201 | 204 | 403 | 412);
            assert!(is_usual, "{answer:?}");
        }
    }

    async fn pause_or_trigger(&mut self, number: u64) {
        let there = |slot: &&mut Slot| slot.present.iter().all(Option::is_some);
        let Some(slot) = self.told.slots.iter_mut().filter(there).nth(self.random.usize(0..OWN)) else {
            return;
        };
        let name = slot.name.clone();
        let path = format!("/v1/schedules/{name}");
        let http = if self.random.bool() { &self.scene.http } else { &self.scene.socket };
        let by_message = self.random.u8(0..3) > 0;
        let answer = match (self.random.u8(0..3), by_message) {
            (0, false) => {
                let headers = format!("Idempotency-Key: key-{number}\r\n");
                Some(http.ask_until_answered("POST", &format!("{path}/trigger"), &headers).await)
            }
            (0, true) => {
                let sent = self.messages.ask("schedule.trigger", json!({ "name": name })).await;
                Some(sent.answer().clone())
            }
            (kind, by_message) => {
                let (verb, mut body, note) = match kind {
                    1 => {
                        let note = format!("note {number}");
                        ("pause", json!({ "note": note }), Some(note))
                    }
                    _ => ("resume", json!({ "on_resume": "catch-up" }), None),
                };
                let answer = if by_message {
                    let kind = if kind == 1 { "schedule.pause" } else { "schedule.resume" };
                    body["name"] = name.into();
                    Some(self.messages.ask(kind, body).await.answer().clone())
                } else {
                    http.ask("POST", &format!("{path}/{verb}"), "", &body.to_string()).await
                };
                return slot.on_pause(note.as_deref(), answer.as_ref());
            }
        };
        let answer = answer.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        let text = |key: &str| answer.body[key].as_str().unwrap().to_owned();
        self.told.triggered.push((text("command"), text("event_id")));
    }

    /// Several of its own at once.
    async fn batch(&mut self, number: u64) {
        let (socket, atomic) = (self.random.u8(0..8) == 0, self.random.bool());
        let (http, who) =
            if socket { (&self.scene.socket, &BY_SOCKET) } else { (&self.scene.http, &BY_HTTP) };
        let mut puts = Vec::new();
        for slot in 0..self.random.usize(2..OWN) {
            // Each has a number that no other command has.
            let number = if slot == 0 { number } else { self.scene.asked.fetch_add(1, Ordering::Relaxed) };
            let flaw = (self.random.u8(0..8) == 0).then_some(Flaw::Invalid);
            puts.push(Put { name: self.told.slots[slot].name.clone(), number, expect: Expect::Any, flaw });
        }
        let body = Value::from(puts.iter().map(Put::definition).collect::<Vec<_>>()).to_string();
        let path = format!("/v1/schedules:batch?atomic={atomic}");
        let answer = http.ask("POST", &path, "", &body).await;
        let Some(answer) = answer else {
            // What can be done of it is, or nothing: it is one write.
            let together = self.random.u64(1..);
            let is_refused = atomic && puts.iter().any(|put| put.flaw.is_some());
            for (slot, put) in puts.iter().enumerate() {
                let slot = &mut self.told.slots[slot];
                let fate = match is_refused || put.flaw.is_some() {
                    true => Fate::Refused,
                    // Another one may own it: then that one alone is refused.
                    false => Fate::Unknown((atomic || !slot.may_refuse(put, who)).then_some(together)),
                };
                if fate != Fate::Refused {
                    slot.on_put(put, who, None);
                }
                self.told.asked.push(Asked::put(put, who, fate));
            }
            return;
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        let items: Vec<Answer> = answer.body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| Answer {
                status: item["problem"]["status"].as_u64().unwrap_or(200),
                body: item.clone(),
            })
            .collect();
        assert_eq!(items.len(), puts.len(), "{answer:?}");
        let refused = items.iter().filter(|item| item.is_refusal()).count();
        assert!(!atomic || refused == 0 || refused == items.len(), "all or nothing: {answer:?}");
        for (slot, (put, item)) in puts.iter().zip(&items).enumerate() {
            // That another of them is refused: what is there stays.
            if !(atomic && item.status == 409) {
                self.told.slots[slot].on_put(put, who, Some(item));
            }
            self.told.asked.push(Asked::put(put, who, Fate::of_put(Some(item))));
        }
        assert!(
            refused == 0 || items.iter().any(|item| item.is_refusal() && item.status != 409),
            "{answer:?}"
        );
    }

    /// What is never done: of another owner's schedule, and of a file's.
    async fn ask_in_vain(&mut self, number: u64) {
        let door = self.door();
        let foreign = self.random.bool() && !who(door).is_admin;
        let (name, status) = match foreign {
            true => (format!("foreign-{}", self.random.usize(0..FOREIGN)), 403),
            false => ("often".to_owned(), 409),
        };
        let answer = match self.random.bool() {
            true => self.delete(door, &name, Expect::Any).await,
            false => {
                let put = Put { name: name.clone(), number, expect: Expect::Any, flaw: None };
                let answer = self.put(door, &put).await;
                self.told.asked.push(Asked::put(&put, who(door), Fate::Refused));
                answer
            }
        };
        assert!(answer.as_ref().is_none_or(|answer| answer.is(status)), "{name}: {answer:?}");
    }

    /// A command by message once more, or another one under its id.
    async fn again(&mut self, number: u64) {
        if self.sent.is_empty() {
            return;
        }
        let sent = self.sent[self.random.usize(0..self.sent.len())].clone();
        if self.random.u8(0..4) > 0 {
            self.told.again.0 += 1;
            return self.messages.ask_again(&sent).await;
        }
        let name = self.told.slots[self.random.usize(0..OWN)].name.clone();
        let put = Put { name, number, expect: Expect::Any, flaw: None };
        self.messages.ask_under_the_id_of(&sent, "schedule.put", put_message(&put)).await;
        self.told.dead += 1;
        self.told.asked.push(Asked::put(&put, &BY_MESSAGE, Fate::Refused));
    }

    async fn put(&mut self, door: Door, put: &Put) -> Option<Answer> {
        let path = format!("/v1/schedules/{}", put.name);
        let (headers, body) = (condition(put.expect), put.definition().to_string());
        match door {
            Door::Http => self.scene.http.ask("PUT", &path, &headers, &body).await,
            Door::Socket => self.scene.socket.ask("PUT", &path, &headers, &body).await,
            Door::Messages => Some(self.by_message("schedule.put", put_message(put)).await),
            Door::Program => self.scene.program.put(put).await,
        }
    }

    async fn delete(&mut self, door: Door, name: &str, expect: Expect) -> Option<Answer> {
        let (path, headers) = (format!("/v1/schedules/{name}"), condition(expect));
        match door {
            Door::Http => self.scene.http.ask("DELETE", &path, &headers, "").await,
            Door::Socket => self.scene.socket.ask("DELETE", &path, &headers, "").await,
            Door::Messages => Some(self.by_message("schedule.delete", delete_message(name, expect)).await),
            Door::Program => self.scene.program.delete(name, expect).await,
        }
    }

    async fn by_message(&mut self, kind: &'static str, body: Value) -> Answer {
        let sent = self.messages.ask(kind, body).await;
        let answer = sent.answer().clone();
        self.told.dead += usize::from(answer.status == 422);
        if self.sent.len() == KEPT {
            self.sent.swap_remove(self.random.usize(0..KEPT));
        }
        self.sent.push(sent);
        answer
    }
}

fn who(door: Door) -> &'static Who {
    match door {
        Door::Http => &BY_HTTP,
        Door::Socket | Door::Program => &BY_SOCKET,
        Door::Messages => &BY_MESSAGE,
    }
}
