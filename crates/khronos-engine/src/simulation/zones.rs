//! Zone data that changes: the operator installs another release, and the files are read again.

use super::random::Random;
use crate::Engine;
use khronos_schedule::{CalendarStore, Calendars, Definition, Packed, ZoneData};
use ponos_event::Timestamp;
use std::collections::BTreeMap;

const NAME: &str = "Test/Zone";
/// Seconds ahead of UTC, and the letters. The first and the last have the same rules in other bytes; the one between moves
/// every second and every minute.
const RELEASES: [(i32, &str); 3] = [(3_600, "AAA"), (7_261, "AAA"), (3_600, "BBB")];

pub(super) struct Zones {
    /// Of its own, so that a seed without zones goes on as it did.
    random: Random,
    /// Whether anything happens here.
    active: bool,
    release: usize,
    store: CalendarStore,
    /// How often schedules were read with other rules than before.
    pub(super) changes: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Zones {
    pub(super) fn new(seed: u64) -> Self {
        let store = CalendarStore::default();
        store.zones().use_data(data(0));
        let random = Random::new(seed ^ 0x5A5A_5A5A);
        Self { random, active: seed % 5 == 4, release: 0, store, changes: 0, broken: None }
    }

    /// Gives some schedules the zone.
    pub(super) fn furnish(&mut self, definition: &mut Definition) {
        if self.active && self.random.chance(60) {
            definition.time_zone = Some(NAME.into());
        }
    }

    /// A schedule that is read now.
    pub(super) fn packed(&self, definition: &Definition) -> Packed {
        Packed::build_with(definition, &self.store).expect("it is valid")
    }

    /// What is read with the files.
    pub(super) fn calendars(&self) -> Calendars {
        Calendars::new(self.store.clone())
    }

    /// Whether there is another release now, with which the files are to be read.
    pub(super) fn turn(&mut self) -> bool {
        if !self.active || !self.random.chance(5) {
            return false;
        }
        self.release = (self.release + 1) % RELEASES.len();
        self.store.zones().use_data(data(self.release));
        self.changes += 1;
        true
    }

    /// What the files say, and what was put, runs with the rules of now, unless nothing of it is due any more.
    pub(super) fn check(
        &mut self,
        engine: &Engine,
        (files, put): (&BTreeMap<&'static str, Definition>, &BTreeMap<&'static str, Definition>),
        wall: i64,
    ) {
        let now = Timestamp::from_millis(wall);
        let files = files.iter().map(|one| (one, false));
        for ((name, definition), is_put) in files.chain(put.iter().map(|one| (one, true))) {
            let running = engine.running(name).filter(|running| !(is_put && running.finished));
            let Some(running) = running.map(|running| running.revision) else { continue };
            let definition = Definition { zones: None, ..definition.clone() };
            let (runs, read) = (running.timing(), self.packed(&definition).timing());
            if running.definition.is_created() == is_put && !read.zones_changed(&runs, now).is_empty() {
                self.broken = Some(format!("{name} runs with the rules of an older release"));
            }
        }
    }
}

pub(super) fn data(release: usize) -> ZoneData {
    let (offset, letters) = RELEASES[release];
    ZoneData::of_folder("/zones", None, [(NAME.to_owned(), tzif(offset, letters))])
}

/// A zone of one offset for ever.
fn tzif(offset: i32, letters: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        bytes.extend_from_slice(b"TZif2");
        bytes.extend_from_slice(&[0; 15]);
        [0_u32, 0, 0, 0, 1, 4].iter().for_each(|count| bytes.extend_from_slice(&count.to_be_bytes()));
        bytes.extend_from_slice(&offset.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(letters.as_bytes());
        bytes.push(0);
    }
    let (hours, minutes, seconds) = (offset / 3600, offset / 60 % 60, offset % 60);
    [bytes, format!("\n{letters}-{hours}:{minutes:02}:{seconds:02}\n").into_bytes()].concat()
}
