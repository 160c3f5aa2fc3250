//! A flood of commands: what others are left, and what one write has of it.

use super::*;
use crate::{
    Asker, Author, ChangeRequest, Commit, Expect, PauseRequest, ScheduleChange, Scope, load, unwritten::BYTES,
};

/// Of a payload: as many bytes as it may have, about.
const LARGE: usize = 65_000;

/// An engine whose disk has not answered yet.
struct Slow {
    engine: Engine,
    saving: Option<(u64, Box<Commit>)>,
    refused: Vec<u64>,
    answered: usize,
}

impl Slow {
    fn of(piece: usize) -> Self {
        Self { engine: Seen::engine(piece, false), saving: None, refused: Vec::new(), answered: 0 }
    }

    fn step(&mut self, input: Input) {
        let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        for action in self.engine.step(reading, input) {
            match action {
                Action::Save { ticket, commit } => self.saving = Some((ticket, commit)),
                Action::TooMany(commands) => self.refused.extend(commands),
                Action::Decided(all) => self.answered += all.len(),
                Action::Durable(all) => self.answered += all.len(),
                _ => {}
            }
        }
    }

    /// Steps as often as it wants to go on at once.
    fn go_on(&mut self) {
        for _ in 0..10_000 {
            if self.engine.next_wakeup() != Some(Timestamp::from_millis(START)) {
                return;
            }
            self.step(Input::Tick);
        }
        panic!("it wants to go on for ever");
    }

    fn put(&mut self, command: u64, owner: &str, data: usize) {
        let name = format!("{owner}-{command}");
        let definition = Definition { data: Some("x".repeat(data).into()), ..every(&name, "1m") };
        let definition = Packed::build(&definition).unwrap();
        let changes = vec![ScheduleChange::Put { definition, expect: Expect::Any }];
        let by = Author::owner(owner, "a test");
        let request = ChangeRequest { command, by, message: None, atomic: false, changes };
        self.step(Input::Change(Box::new(request)));
    }

    fn pause(&mut self, command: u64) {
        self.pause_as(command, "ops", Scope::All);
    }

    fn pause_as(&mut self, command: u64, owner: &str, scope: Scope) {
        let request = PauseRequest { by: "ops".into(), note: "".into(), until: None };
        let input = Input::Pause { command, scope, request };
        let asker = Asker::new(Author::admin(owner, "a test"));
        self.step(Input::By(Box::new(asker), Box::new(input)));
    }
}

#[test]
fn who_floods_the_clock_keeps_nobody_from_pausing_it_and_leaves_room_to_others() {
    let mut slow = Slow::of(10);
    let flood = (1..).find(|command| {
        slow.put(*command, "flood", 0);
        !slow.refused.is_empty()
    });
    assert_eq!(flood, Some(load::COMMANDS as u64 / 2 + 1));
    assert!(slow.engine.len() <= 2 * 20, "{} were taken in while the disk is slow", slow.engine.len());
    slow.refused.clear();
    slow.put(20_001, "billing", 0);
    slow.pause(20_002);
    assert!(slow.refused.is_empty() && slow.engine.paused().is_some(), "{:?}", slow.refused);
    // Pauses are bounded by themselves.
    let most = load::PAUSES_OF_ALL as u64 / 2;
    (20_003..20_003 + most).for_each(|command| slow.pause(command));
    assert_eq!(slow.refused, [20_002 + most]);
    slow.refused.clear();
    while let Some((ticket, _)) = slow.saving.take() {
        slow.step(Input::Saved(ticket));
        slow.go_on();
    }
    assert_eq!(slow.answered, load::COMMANDS / 2 + 1 + load::PAUSES_OF_ALL / 2);
    assert_eq!(slow.engine.len(), load::COMMANDS / 2 + 1);
    // All of it was answered: there is room again.
    slow.put(30_001, "flood", 0);
    slow.pause(30_002);
    assert_eq!(slow.refused, [0; 0]);
}

#[test]
fn who_floods_the_clock_with_pauses_keeps_nobody_from_pausing_all_of_it() {
    let mut slow = Slow::of(10);
    slow.put(1, "billing", 0);
    while let Some((ticket, _)) = slow.saving.take() {
        slow.step(Input::Saved(ticket));
        slow.go_on();
    }
    let named = || Scope::Named(["billing-1".into()].into());
    let taken = (2..).find(|command| {
        slow.pause_as(*command, "billing", named());
        !slow.refused.is_empty()
    });
    assert_eq!(taken, Some(load::PAUSES as u64 / 2 + 2));
    slow.refused.clear();
    slow.pause_as(200, "shipping", named());
    slow.pause_as(201, "billing", Scope::All);
    slow.pause_as(202, "ops", Scope::All);
    assert_eq!(slow.refused, [0; 0]);
}

#[test]
fn no_write_has_more_of_what_is_asked_for_than_of_a_load() {
    for (piece, data, count) in [(10, 0, 120), (100_000, LARGE, 250)] {
        let mut slow = Slow::of(piece);
        (1..=count).for_each(|command| slow.put(command, "ann", data));
        assert_eq!(slow.refused, [0; 0]);
        slow.go_on();
        let (mut writes, mut written) = (0, 0);
        while let Some((ticket, commit)) = slow.saving.take() {
            let bytes: usize = commit.revisions.iter().map(|one| one.definition.bytes()).sum();
            assert!(commit.revisions.len() <= 2 * piece && bytes <= BYTES + 2 * LARGE, "{bytes}");
            written += commit.revisions.len();
            writes += 1;
            slow.step(Input::Saved(ticket));
            slow.go_on();
        }
        assert_eq!((written, slow.answered), (count as usize, count as usize));
        assert!((4..=9).contains(&writes), "{writes} writes");
    }
}

#[test]
fn definitions_that_wait_for_the_disk_are_bounded_in_bytes() {
    let mut slow = Slow::of(100_000);
    let taken = (1..1_000).take_while(|command| {
        slow.put(*command, "ann", LARGE);
        slow.refused.is_empty()
    });
    // Half of 32 MiB.
    assert!((256..=257).contains(&taken.count()));
}
