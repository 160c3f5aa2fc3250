//! Bounds how many times a schema checks one place of a value.
//!
//! Alternatives and references multiply: thirty definitions, each of which names the next twice, check one number a thousand
//! million times. So the checks are counted when a schema is built, and a schema beyond the limit is refused ([`check`]).
//! There are two counts. Whether a value fits is decided with remembered results (the compiled schema keeps them for recursive
//! parts). *Why* it does not fit is computed for each alternative anew, so that in a recursive schema the checks multiply with
//! every level of the data: [`Cost`] says whether that is affordable for a value; if not, a mismatch is reported without its
//! place.

mod parts;

use super::SchemaError;
use parts::{Edge, SchemaNode};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// How many times any schema may check one place, …
const LOOKS: u64 = 10_000;
/// … and how many times more for each of its parts, because long lists of alternatives need many checks.
const LOOKS_A_PART: u64 = 128;
/// The longest chain of parts that apply each other to one place: the validator keeps them on the stack, on each of up to 128
/// levels.
const LINKS: usize = 64;
/// The most levels of data that are counted.
const LEVELS: usize = 128;
/// The most checks that are made to say why a value does not fit.
const LIMIT: u64 = 2_000_000;
/// The most steps of the count itself.
const MOST_STEPS: u64 = 2_000_000;

/// Refuses a schema with which one message could keep a worker busy, whatever its size.
pub(super) fn check(schema: &Value) -> Result<(), SchemaError> {
    let parts = parts::schema_nodes(schema);
    let most = LOOKS.max(LOOKS_A_PART.saturating_mul(parts.len() as u64));
    let Err((excess, part)) = Walk::new(&parts, most).most_looks() else { return Ok(()) };
    let reason = match excess {
        Excess::Looks => format!(
            "its alternatives and references multiply: one place of a value could be checked more than {most} times; refer to \
             each definition once, and tell alternatives apart by one field"
        ),
        Excess::Links => format!(
            "more than {LINKS} parts apply to one place through each other (by references, allOf and such); merge some of them"
        ),
        Excess::Levels => {
            format!("it describes more than {LEVELS} levels of nested data; no payload may be nested deeper")
        }
        Excess::Steps => {
            "it has too many alternatives and references to count; split the schema, or simplify it".into()
        }
    };
    Err(SchemaError::new(parts[part].at.as_str(), reason))
}

/// For each level of the data, the most checks of a place there, to say why it does not fit.
#[derive(Debug)]
pub(super) struct Cost(Vec<u64>);

impl Cost {
    pub(super) fn of(schema: &Value) -> Self {
        let parts = parts::schema_nodes(schema);
        let mut walk = Walk::new(&parts, u64::MAX);
        let ways = |level| if parts.is_empty() { 1 } else { walk.ways(0, level).unwrap_or(u64::MAX) };
        Self((0..LEVELS).map(ways).collect())
    }

    /// Whether finding out what is wrong with this value is affordable.
    pub(super) fn affordable(&self, value: &Value) -> bool {
        let mut places = Vec::new();
        count(value, 0, &mut places);
        if places.len() > self.0.len() {
            return false;
        }
        let looks =
            places.iter().zip(&self.0).map(|(places, ways): (&u64, &u64)| places.saturating_mul(*ways));
        looks.fold(0, u64::saturating_add) <= LIMIT
    }
}

fn count(value: &Value, level: usize, places: &mut Vec<u64>) {
    if places.len() == level {
        places.push(0);
    }
    places[level] += 1;
    // One level beyond what is counted tells enough.
    if level > LEVELS {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|inner| count(inner, level + 1, places)),
        Value::Object(fields) => fields.values().for_each(|inner| count(inner, level + 1, places)),
        _ => {}
    }
}

/// Which limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excess {
    Looks,
    Links,
    Levels,
    Steps,
}

/// Parts, and how often each is applied to one place.
type Laid = Vec<(usize, u64)>;

struct Walk<'g> {
    parts: &'g [SchemaNode<'g>],
    most: u64,
    steps: u64,
    laid: HashMap<(usize, bool), Laid>,
    worst: HashMap<usize, u64>,
    ways: HashMap<(usize, usize), u64>,
}

impl<'g> Walk<'g> {
    fn new(parts: &'g [SchemaNode<'g>], most: u64) -> Self {
        let (laid, worst, ways) = Default::default();
        Self { parts, most, steps: 0, laid, worst, ways }
    }

    /// The most looks that whether a value fits takes at one place; or what is too much, and where that begins.
    fn most_looks(&mut self) -> Result<u64, (Excess, usize)> {
        let targets = self.parts.iter().flat_map(|part| &part.beside).filter(|edge| self.is_remembered(edge));
        let starts: BTreeSet<usize> = targets.map(|edge| edge.to).chain([0]).collect();
        let mut most = 0;
        for start in starts.into_iter().filter(|start| *start < self.parts.len()) {
            most = most.max(self.worst(start, 0).map_err(|excess| (excess, start))?);
        }
        Ok(most)
    }

    /// A recursive part is decided once for an object or list.
    fn is_remembered(&self, edge: &Edge) -> bool {
        edge.is_reference && self.parts[edge.to].is_cyclic
    }

    /// The most looks at a place of this part, or at one below it. Every way back passes what is remembered, and ends there.
    fn worst(&mut self, part: usize, depth: usize) -> Result<u64, Excess> {
        if let Some(known) = self.worst.get(&part) {
            return Ok(*known);
        }
        if depth > LEVELS {
            return Err(Excess::Levels);
        }
        let here = sum(self.laid(part, true)?.iter().map(|(_, times)| *times));
        let laid = self.laid(part, false)?;
        let worst = here.max(self.below(&laid, |walk, part| walk.worst(part, depth + 1))?);
        if worst > self.most {
            return Err(Excess::Looks);
        }
        self.worst.insert(part, worst);
        Ok(worst)
    }

    /// How often a place `level` below is looked at, starting with this part, when nothing is remembered.
    fn ways(&mut self, part: usize, level: usize) -> Result<u64, Excess> {
        if let Some(known) = self.ways.get(&(part, level)) {
            return Ok(*known);
        }
        self.step()?;
        let laid = self.laid(part, true)?;
        let ways = match level {
            0 => sum(laid.iter().map(|(_, times)| *times)),
            _ => self.below(&laid, |walk, part| walk.ways(part, level - 1))?,
        };
        self.ways.insert((part, level), ways);
        Ok(ways)
    }

    /// The most looks at a place below, be it a field, a field's name or an item, when `of` says those of one part.
    fn below(
        &mut self,
        laid: &[(usize, u64)],
        mut of: impl FnMut(&mut Self, usize) -> Result<u64, Excess>,
    ) -> Result<u64, Excess> {
        let parts = self.parts;
        let mut all = |walk: &mut Self, applied: &[usize], times: u64| -> Result<u64, Excess> {
            let mut looks = 0_u64;
            for part in applied {
                walk.step()?;
                looks = looks.saturating_add(of(walk, *part)?.saturating_mul(times));
            }
            Ok(looks)
        };
        let (mut any, mut items, mut names) = (0_u64, 0_u64, 0_u64);
        let mut others: Laid = Vec::new();
        let mut fields: HashMap<&str, u64> = HashMap::new();
        for (number, times) in laid {
            let part = &parts[*number];
            names = names.saturating_add(all(self, &part.names, *times)?);
            items = items.saturating_add(all(self, &part.items, *times)?);
            any = any.saturating_add(all(self, &part.patterns, *times)?);
            if !part.others.is_empty() {
                others.push((*number, all(self, &part.others, *times)?));
            }
            for (name, field) in &part.fields {
                let looks = fields.entry(name).or_default();
                *looks = looks.saturating_add(all(self, &[*field], *times)?);
            }
        }
        let unnamed = sum(others.iter().map(|(_, looks)| *looks));
        let mut most = names.max(items).max(any.saturating_add(unnamed));
        for (name, looks) in fields {
            let mut looks = looks.saturating_add(any);
            for (number, other) in &others {
                self.step()?;
                if !parts[*number].fields.contains_key(name) {
                    looks = looks.saturating_add(*other);
                }
            }
            most = most.max(looks);
        }
        Ok(most)
    }

    fn step(&mut self) -> Result<(), Excess> {
        self.steps += 1;
        if self.steps > MOST_STEPS { Err(Excess::Steps) } else { Ok(()) }
    }

    /// All that a part applies to its own place: everything (`whole`), or up to what is remembered.
    fn laid(&mut self, part: usize, whole: bool) -> Result<Laid, Excess> {
        if let Some(known) = self.laid.get(&(part, whole)) {
            return Ok(known.clone());
        }
        let mut laying = Laying { walk: self, whole, above: Vec::new(), looks: 0, counts: HashMap::new() };
        laying.checked(part)?;
        let laid: Laid = laying.counts.into_iter().collect();
        self.laid.insert((part, whole), laid.clone());
        Ok(laid)
    }
}

/// One part's place, walked through as the compiled schema does: each way on its own, and none around a circle.
struct Laying<'w, 'g> {
    walk: &'w mut Walk<'g>,
    whole: bool,
    above: Vec<usize>,
    looks: u64,
    counts: HashMap<usize, u64>,
}

impl<'g> Laying<'_, 'g> {
    /// A part is checked: it, what it applies, and, if it asks what was evaluated, those once more.
    fn checked(&mut self, part: usize) -> Result<(), Excess> {
        self.look(part)?;
        self.each(part, Self::checked)?;
        if self.walk.parts[part].asks_back { self.asked(part) } else { Ok(()) }
    }

    /// A part is asked what it has evaluated: that is what those it applies have, as far as they fit.
    fn asked(&mut self, part: usize) -> Result<(), Excess> {
        self.each(part, |laying, inner| {
            laying.checked(inner)?;
            laying.look(inner)?;
            laying.asked(inner)
        })
    }

    fn each(
        &mut self,
        part: usize,
        mut of: impl FnMut(&mut Self, usize) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        if self.above.contains(&part) {
            return Ok(());
        }
        if self.above.len() >= LINKS {
            return Err(Excess::Links);
        }
        self.above.push(part);
        let parts: &'g [SchemaNode<'g>] = self.walk.parts;
        for edge in &parts[part].beside {
            if self.whole || !self.walk.is_remembered(edge) {
                of(self, edge.to)?;
            }
        }
        self.above.pop();
        Ok(())
    }

    fn look(&mut self, part: usize) -> Result<(), Excess> {
        *self.counts.entry(part).or_insert(0) += 1;
        self.looks += 1;
        // how much more it is makes no difference
        if self.looks > self.walk.most {
            return Err(Excess::Looks);
        }
        self.walk.step()
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
