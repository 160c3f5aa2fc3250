//! How often a schema looks at one place of a value when it says what is wrong.
//!
//! Whether a value fits is decided with what was found before; *why not* is told for each alternative anew, so that alternatives
//! which lead back to themselves multiply with every level of the data. A message from anybody could keep a worker busy for years. So
//! it is counted beforehand, and beyond a limit a mismatch is told without its place.

use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// Levels of data that are counted.
const LEVELS: usize = 128;
/// Looks at places of a value that are still taken.
const LIMIT: u64 = 2_000_000;
/// Parts of schemas walked through while counting.
const MOST_STEPS: u32 = 500_000;

type Part<'d> = &'d Map<String, Value>;

/// For each level of the data, how often a place there is looked at, at most.
#[derive(Debug)]
pub(super) struct Cost(Vec<u64>);

impl Cost {
    pub(super) fn of(schema: &Value) -> Self {
        let mut walk = Walk { root: schema, ways: HashMap::new(), laid: HashMap::new(), steps: 0 };
        Self((0..LEVELS).map(|level| walk.ways(schema, level)).collect())
    }

    /// Whether it may be told what in this value is wrong.
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

struct Walk<'d> {
    root: &'d Value,
    ways: HashMap<(usize, usize), u64>,
    /// All that a part applies to the same place, and how often; absent while it is found out.
    laid: HashMap<usize, Option<Vec<(Part<'d>, u64)>>>,
    steps: u32,
}

impl<'d> Walk<'d> {
    /// How often a place `level` below is looked at, starting with this schema.
    fn ways(&mut self, schema: &'d Value, level: usize) -> u64 {
        let Value::Object(part) = schema else { return u64::from(level == 0) };
        let key = (std::ptr::from_ref(part) as usize, level);
        if let Some(known) = self.ways.get(&key) {
            return *known;
        }
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return u64::MAX;
        }
        let laid = self.laid(part);
        let ways = if level == 0 {
            laid.iter().fold(0, |sum: u64, (_, times)| sum.saturating_add(*times))
        } else {
            let below = self.below(&laid);
            below.into_iter().map(|schemas| self.sum(schemas, level - 1)).max().unwrap_or_default()
        };
        self.ways.insert(key, ways);
        ways
    }

    fn sum(&mut self, schemas: Vec<(&'d Value, u64)>, level: usize) -> u64 {
        let ways = schemas.into_iter().map(|(schema, times)| self.ways(schema, level).saturating_mul(times));
        ways.fold(0, u64::saturating_add)
    }

    /// For each kind of place below (a field by name, any other field, an item), what is applied to it and how often.
    fn below(&self, laid: &[(Part<'d>, u64)]) -> Vec<Vec<(&'d Value, u64)>> {
        let fields = |part: &Part<'d>| part.get("properties").and_then(Value::as_object);
        let names =
            laid.iter().filter_map(|(part, _)| fields(part)).flat_map(Map::keys).collect::<BTreeSet<_>>();
        let rest = |part: Part<'d>, keywords: &[&str]| {
            keywords.iter().filter_map(|keyword| part.get(*keyword)).flat_map(schemas).collect::<Vec<_>>()
        };
        let mut kinds = Vec::new();
        for name in names.into_iter().map(Some).chain([None]) {
            let mut applied = Vec::new();
            for (part, times) in laid {
                let named = name.and_then(|name| fields(part)?.get(name));
                let keywords: &[&str] =
                    if named.is_some() { &[] } else { &["additionalProperties", "unevaluatedProperties"] };
                let patterns = part.get("patternProperties").and_then(Value::as_object);
                let patterns = patterns.into_iter().flat_map(Map::values);
                applied.extend(
                    named
                        .into_iter()
                        .chain(patterns)
                        .chain(rest(part, keywords))
                        .map(|schema| (schema, *times)),
                );
            }
            kinds.push(applied);
        }
        let items: &[&str] = &["items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"];
        kinds.push(
            laid.iter()
                .flat_map(|(part, times)| rest(part, items).into_iter().map(|schema| (schema, *times)))
                .collect(),
        );
        kinds
    }

    /// Recursion in place ends where it begins: validation does too.
    fn laid(&mut self, part: Part<'d>) -> Vec<(Part<'d>, u64)> {
        let key = std::ptr::from_ref(part) as usize;
        if let Some(known) = self.laid.get(&key) {
            return known.clone().unwrap_or_default();
        }
        self.laid.insert(key, None);
        let mut all: HashMap<usize, (Part<'d>, u64)> = HashMap::from([(key, (part, 1))]);
        for schema in self.in_place(part) {
            let Value::Object(inner) = schema else { continue };
            for (part, times) in self.laid(inner) {
                let entry = all.entry(std::ptr::from_ref(part) as usize).or_insert((part, 0));
                entry.1 = entry.1.saturating_add(times);
            }
        }
        let all = all.into_values().collect::<Vec<_>>();
        self.laid.insert(key, Some(all.clone()));
        all
    }

    fn in_place(&self, part: Part<'d>) -> Vec<&'d Value> {
        let keywords = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
        let mut found = keywords
            .into_iter()
            .filter_map(|keyword| part.get(keyword))
            .flat_map(schemas)
            .collect::<Vec<_>>();
        let dependent =
            ["dependentSchemas", "dependencies"].into_iter().filter_map(|keyword| part.get(keyword));
        found.extend(dependent.filter_map(Value::as_object).flat_map(Map::values));
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(to) = part.get(keyword).and_then(Value::as_str) {
                // What leads to a name or an id may lead anywhere: to the root is the worst.
                let pointer = to.rsplit_once('#').map(|(_, pointer)| pointer);
                found.push(pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(self.root));
            }
        }
        found
    }
}

/// A schema, or a list of them.
fn schemas(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(list) => list.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}
