//! What is asked of a clock, and which answers are right, by what its schedules may be.

use super::doors::{Answer, Who};
use serde_json::{Value, json};

/// What has to be there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expect {
    Any,
    Absent,
    /// This creation, at this revision.
    Revision(u64, u64),
}

/// What is wrong with a definition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Flaw {
    /// Its event is of another domain than its owner's.
    OutsideDomains,
    /// Its event is the clock's own.
    Reserved,
    /// It can't be read.
    Invalid,
}

/// A schedule is to be there, whose definition no other command has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Put {
    pub(super) name: String,
    /// Stands in the definition.
    pub(super) number: u64,
    pub(super) expect: Expect,
    pub(super) flaw: Option<Flaw>,
}

/// Longer than a test: what is put is hardly ever due.
const LEAST: u64 = 1_000_000;

/// The number in a definition.
pub(super) fn number_of(definition: &Value) -> u64 {
    let every = definition["every"].as_str().unwrap_or_else(|| panic!("{definition}"));
    every.strip_suffix(" seconds").unwrap().parse::<u64>().unwrap() - LEAST
}

impl Put {
    pub(super) fn definition(&self) -> Value {
        let event = match self.flaw {
            Some(Flaw::OutsideDomains) => "payroll.run.due",
            Some(Flaw::Reserved) => "time.item.passed",
            _ => "billing.item.due",
        };
        let every = match self.flaw {
            Some(Flaw::Invalid) => "never".to_owned(),
            _ => format!("{} seconds", LEAST + self.number),
        };
        json!({ "name": self.name, "event": event, "every": every })
    }

    /// The statuses of which one is the answer, whatever is there of this name.
    fn refusals(&self, there: Option<&Version>, who: &Who) -> Vec<u64> {
        let mut refusals = Vec::new();
        match self.flaw {
            Some(Flaw::Invalid) => refusals.push(422),
            Some(Flaw::OutsideDomains | Flaw::Reserved) => refusals.push(403),
            None => {}
        }
        if there.is_some_and(|there| !who.is_admin && there.owner != who.owner) {
            refusals.push(403);
        }
        if !self.expect.is_met(there) {
            refusals.push(412);
        }
        refusals
    }
}

impl Expect {
    /// What nothing ever is.
    pub(super) const STALE: Self = Self::Revision(1_000_000, 1_000_000);

    /// A revision as conditions say it.
    pub(super) fn tag(creation: u64, revision: u64) -> String {
        format!("{creation}.{revision}")
    }

    fn is_met(self, there: Option<&Version>) -> bool {
        match (self, there) {
            (Self::Any, _) => true,
            (Self::Absent, there) => there.is_none(),
            (Self::Revision(..), None) => false,
            // Of what nothing is known any revision may be expected in vain alone.
            (Self::Revision(creation, revision), Some(there)) => {
                (there.creation, there.revision) == (Some(creation), Some(revision))
            }
        }
    }
}

/// A schedule as it may be there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) owner: &'static str,
    /// What its answer said; nothing where there was none.
    pub(super) creation: Option<u64>,
    pub(super) revision: Option<u64>,
}

impl Version {
    /// That it is there.
    pub(super) fn expected(&self) -> Expect {
        Expect::Revision(self.creation.unwrap(), self.revision.unwrap())
    }
}

/// A name that one client alone asks about, one command after the other: what it may be by the answers so far.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) present: Vec<Option<Version>>,
    /// The notes of its pause.
    pub(super) pause: Vec<Option<String>>,
}

impl Slot {
    pub(super) fn new(name: String) -> Self {
        Self { name, present: vec![None], pause: vec![None] }
    }

    /// What is there, where that is known for sure.
    pub(super) fn known(&self) -> Option<&Version> {
        match &*self.present {
            [Some(there)] if there.revision.is_some() => Some(there),
            _ => None,
        }
    }

    /// Whether this put may be refused.
    pub(super) fn may_refuse(&self, put: &Put, who: &Who) -> bool {
        self.present.iter().any(|there| !put.refusals(there.as_ref(), who).is_empty())
    }

    /// Of this put there was this answer, or none.
    pub(super) fn on_put(&mut self, put: &Put, who: &Who, answer: Option<&Answer>) {
        let after = |there: &Option<Version>, body: &Value| {
            let owner = there.as_ref().map_or(who.owner, |there| there.owner);
            let (creation, revision) = (body["creation"].as_u64(), body["revision"].as_u64());
            Some(Version { number: put.number, owner, creation, revision })
        };
        self.go_on(put, answer, |there| {
            let refusals = put.refusals(there.as_ref(), who);
            match answer {
                None if refusals.is_empty() => vec![there.clone(), after(there, &Value::Null)],
                None => vec![there.clone()],
                Some(answer) if answer.is_refusal() => {
                    let fits = refusals.iter().any(|status| answer.is(*status));
                    if fits { vec![there.clone()] } else { Vec::new() }
                }
                Some(_) if !refusals.is_empty() => Vec::new(),
                Some(answer) => {
                    let outcome = match there {
                        None => "created",
                        Some(there) if there.number == put.number => "unchanged",
                        Some(_) => "changed",
                    };
                    let is = |known: Option<u64>, key: &str, follows: fn(u64, u64) -> bool| {
                        known
                            .is_none_or(|known| follows(known, answer.body[key].as_u64().unwrap_or_default()))
                    };
                    let same = |before: u64, after: u64| before == after;
                    let follows = there.as_ref().is_none_or(|there| {
                        let revision =
                            if outcome == "unchanged" { same } else { |before, after| before < after };
                        is(there.creation, "creation", same) && is(there.revision, "revision", revision)
                    });
                    let fits = answer.body["outcome"] == outcome && follows;
                    if fits { vec![after(there, &answer.body)] } else { Vec::new() }
                }
            }
        });
    }

    /// It was asked to be deleted.
    pub(super) fn on_delete(&mut self, expect: Expect, who: &Who, answer: Option<&Answer>) {
        self.go_on(&("delete", expect), answer, |there| {
            let foreign = there.as_ref().is_some_and(|there| !who.is_admin && there.owner != who.owner);
            // What is gone already is gone, whatever is expected of it.
            let stale = there.is_some() && !expect.is_met(there.as_ref());
            match answer {
                None if foreign || stale => vec![there.clone()],
                None => vec![there.clone(), None],
                Some(answer) if answer.is_refusal() => {
                    let fits = (foreign && answer.is(403)) || (stale && answer.is(412));
                    if fits { vec![there.clone()] } else { Vec::new() }
                }
                Some(_) if foreign || stale => Vec::new(),
                Some(_) => vec![None],
            }
        });
        // Its pause may stay with the name.
        if self.present.contains(&None) && !self.pause.contains(&None) {
            self.pause.push(None);
        }
    }

    /// A pause with this note, or its end, was asked for while it was there.
    pub(super) fn on_pause(&mut self, note: Option<&str>, answer: Option<&Answer>) {
        let after = note.map(str::to_owned);
        match answer {
            None => {
                self.pause.push(after);
                self.pause.dedup();
            }
            Some(answer) => {
                assert!(answer.status == 200, "{}: {answer:?}", self.name);
                self.pause = vec![after];
            }
        }
    }

    fn go_on(
        &mut self,
        asked: &dyn std::fmt::Debug,
        answer: Option<&Answer>,
        after: impl Fn(&Option<Version>) -> Vec<Option<Version>>,
    ) {
        let mut present: Vec<Option<Version>> = Vec::new();
        for there in self.present.iter().flat_map(after) {
            if !present.contains(&there) {
                present.push(there);
            }
        }
        assert!(
            !present.is_empty(),
            "{asked:?} of '{}', which is one of {:?}, was answered {answer:?}",
            self.name,
            self.present
        );
        self.present = present;
    }
}
