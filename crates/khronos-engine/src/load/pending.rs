//! What is wanted and has not happened yet: what the files want, and what commands ask for.

use super::{
    super::{Author, Scope},
    Change, Load,
    admission::Admission,
};
use khronos_schedule::Packed;
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

/// So many changes are made in one step, unless one request has more: what is due must not wait.
const TAKEN: usize = 64;

/// Of what the next write has as much as it may.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Full {
    /// Changes.
    pub(in super::super) of_changes: bool,
    /// Pauses of names.
    pub(in super::super) of_pauses: bool,
}

impl Full {
    /// Whether there is room in it for this.
    fn takes(self, change: &Change) -> bool {
        match change {
            Change::By(_, change) => self.takes(change),
            Change::Pause(_, Scope::Named(_), _) | Change::Resume(_, Scope::Named(_), _) => !self.of_pauses,
            Change::Pause(..) | Change::Resume(..) => true,
            _ => !self.of_changes,
        }
    }
}

/// What is wanted and has not happened yet.
#[derive(Debug, Default)]
pub(in super::super) struct Changes {
    pub(super) admission: Admission,
    /// Commands, until the clock is believed, and until the next write has room; pauses apart.
    waiting: VecDeque<Change>,
    pauses: VecDeque<Change>,
    /// What the files want, until the clock is believed, and who had them read; `None`: what runs of theirs.
    pub(super) read: Option<(Option<Vec<Packed>>, Vec<Author>)>,
    /// They were read once at least.
    pub(super) were_read: bool,
    /// The load under way.
    pub(super) load: Option<Load>,
    /// The write with its latest piece: the next piece begins when it is durable.
    pub(in super::super) piece: u64,
    /// Names of the files that were created at run time.
    pub(super) taken: HashSet<Arc<str>>,
}

impl Changes {
    /// What an earlier reading wanted that has not begun is not wanted any more; who asked for it did so all the same. `by` is
    /// who asked for this one, where somebody did.
    pub(in super::super) fn load(&mut self, wanted: Option<Vec<Packed>>, by: Vec<Author>) {
        let mut all = self.read.take().map_or_else(Vec::new, |(_, before)| before);
        add_askers(&mut all, by);
        self.read = Some((wanted, all));
    }

    pub(super) fn wait(&mut self, change: Change) {
        match change.paused() {
            Some(_) => self.pauses.push_back(change),
            None => self.waiting.push_back(change),
        }
    }

    /// The next one, in a step that has made so many.
    pub(super) fn next(&mut self, made: usize, full: Full) -> Option<Change> {
        let fits = |size: usize| made == 0 || made + size <= TAKEN;
        let pause = self.pauses.pop_front_if(|pause| full.takes(pause) && fits(pause.size().count));
        pause.or_else(|| self.waiting.pop_front_if(|change| full.takes(change) && fits(change.size().count)))
    }

    /// Whether something waits for nothing but its turn.
    pub(in super::super) fn is_waiting(&self, full: Full) -> bool {
        let first = [self.pauses.front(), self.waiting.front()];
        self.read.is_some() || first.into_iter().flatten().any(|change| full.takes(change))
    }

    /// Whether what comes now is decided at once.
    #[cfg(test)]
    pub(in super::super) fn is_idle(&self) -> bool {
        self.read.is_none() && self.pauses.is_empty() && self.waiting.is_empty()
    }

    /// These commands are answered.
    pub(in super::super) fn answered<'a>(&mut self, commands: impl IntoIterator<Item = &'a u64>) {
        commands.into_iter().for_each(|command| self.admission.answered(*command));
    }

    /// Whether the files were read.
    pub(in super::super) fn were_read(&self) -> bool {
        self.were_read
    }

    /// Whether a name that does not run is the files' all the same: they have it, and it is not taken in yet, or was not
    /// free.
    pub(in super::super) fn is_of_files(&self, name: &str) -> bool {
        let to_come = self.load.as_ref().map_or(&[][..], |load| load.wanted.as_slice());
        let found = to_come.binary_search_by(|wanted| wanted.name_bytes().cmp(name.as_bytes()));
        found.is_ok() || self.taken.contains(name)
    }

    /// Whether the files want a name that was created.
    pub(in super::super) fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(name)
    }
}

/// Each of them once: so there are no more than owners and doors, however often they ask.
pub(super) fn add_askers(all: &mut Vec<Author>, more: Vec<Author>) {
    for one in more {
        if !all.iter().any(|other| (&other.owner, &other.door) == (&one.owner, &one.door)) {
            all.push(one);
        }
    }
}
