//! Random schemas, edited at random; random values. Where the comparison says that nothing is lost, nothing may be lost.

use super::*;
use crate::Contract;
use fastrand::Rng;
use proptest::prelude::*;
use serde_json::{Map, json};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn scale() -> u32 {
    std::env::var("TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

fn pick<T: Clone>(rng: &mut Rng, among: &[T]) -> T {
    among[rng.usize(..among.len())].clone()
}

fn scalar(rng: &mut Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(3.0),
        json!(1.5),
        json!("a"),
        json!("bb"),
    ];
    pick(rng, &values)
}

fn value(rng: &mut Rng, depth: u32) -> Value {
    match rng.u32(..if depth == 0 { 6 } else { 10 }) {
        0..6 => scalar(rng),
        6 | 7 => (0..rng.usize(..4)).map(|_| value(rng, depth - 1)).collect(),
        _ => {
            let named = |rng: &mut Rng| (pick(rng, &["a", "b", "c", "z"]).to_owned(), value(rng, depth - 1));
            Value::Object((0..rng.usize(..4)).map(|_| named(rng)).collect())
        }
    }
}

fn schema(rng: &mut Rng, depth: u32) -> Value {
    if rng.u32(..12) == 0 {
        return Value::Bool(rng.u32(..4) > 0);
    }
    let mut part = Map::new();
    for _ in 0..rng.usize(1..4) {
        let (keyword, value) = keyword(rng, depth);
        part.insert(keyword.into(), value);
    }
    Value::Object(part)
}

fn keyword(rng: &mut Rng, depth: u32) -> (&'static str, Value) {
    let types = ["null", "boolean", "integer", "number", "string", "array", "object"];
    let count = |rng: &mut Rng| json!(rng.u32(..4));
    match rng.u32(..if depth == 0 { 17 } else { 29 }) {
        0..3 => ("type", json!(pick(rng, &types))),
        3 => ("type", json!(["null", pick(rng, &types[1..])])),
        4 => ("enum", (0..rng.usize(1..4)).map(|_| scalar(rng)).collect()),
        5 => ("const", scalar(rng)),
        6 => ("minimum", count(rng)),
        7 => ("maximum", count(rng)),
        8 => ("exclusiveMinimum", count(rng)),
        9 => ("exclusiveMaximum", count(rng)),
        10 => ("multipleOf", pick(rng, &[json!(1), json!(2), json!(0.5)])),
        11 => (pick(rng, &["minLength", "maxLength"]), count(rng)),
        12 => (pick(rng, &["minItems", "maxItems"]), count(rng)),
        13 => (pick(rng, &["minProperties", "maxProperties"]), count(rng)),
        14 => ("pattern", json!(pick(rng, &["^a", "b$"]))),
        15 => ("uniqueItems", json!(rng.bool())),
        16 => ("required", json!([pick(rng, &NAMES)])),
        17..21 => {
            let named = |rng: &mut Rng| (pick(rng, &NAMES).to_owned(), schema(rng, depth - 1));
            ("properties", Value::Object((0..rng.usize(1..4)).map(|_| named(rng)).collect()))
        }
        21 => ("additionalProperties", schema(rng, depth - 1)),
        22 => ("items", schema(rng, depth - 1)),
        23 => ("prefixItems", (0..rng.usize(1..3)).map(|_| schema(rng, depth - 1)).collect()),
        24 => (pick(rng, &["not", "contains"]), schema(rng, depth - 1)),
        25 => ("patternProperties", json!({pick(rng, &["^a", "z"]): schema(rng, depth - 1)})),
        26 => ("$ref", json!(pick(rng, &["#/$defs/r", "#/$defs/s"]))),
        27 => ("propertyNames", schema(rng, 0)),
        _ => {
            let keyword = pick(rng, &["anyOf", "oneOf", "allOf"]);
            (keyword, (0..rng.usize(1..3)).map(|_| schema(rng, depth - 1)).collect())
        }
    }
}

fn document(rng: &mut Rng) -> Value {
    let mut root = schema(rng, 3);
    if let Value::Object(root) = &mut root {
        root.insert("$defs".into(), json!({"r": schema(rng, 2), "s": schema(rng, 1)}));
    } else {
        root = json!({"allOf": [root], "$defs": {"r": schema(rng, 2), "s": schema(rng, 1)}});
    }
    root
}

/// Something small is changed, somewhere.
fn edit(rng: &mut Rng, schema: &mut Value, depth: u32) {
    match schema {
        Value::Object(part) if !part.is_empty() => {
            let at = rng.usize(..part.len());
            let name = part.keys().nth(at).cloned().unwrap();
            let inner = &mut part[&name];
            match rng.u32(..8) {
                0 if name != "$defs" => drop(part.remove(&name)),
                1 | 2 if name != "$defs" && !NAMES.contains(&name.as_str()) => {
                    let (keyword, value) = keyword(rng, depth.min(1));
                    part.insert(keyword.into(), value);
                }
                _ if inner.is_number() => *inner = json!(rng.u32(1..4)),
                _ => edit(rng, inner, depth.saturating_sub(1)),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = rng.usize(..items.len());
            if rng.bool() && items.len() > 1 {
                drop(items.remove(at))
            } else {
                edit(rng, &mut items[at], depth)
            }
        }
        Value::Bool(all) => *all = !*all,
        _ => {}
    }
}

/// What is valid under the old one and not under the new, among 60 random values; nothing if a schema is none.
fn counterexample(rng: &mut Rng, old: &Value, new: &Value) -> Option<Value> {
    let (old, new) = (Contract::from_value(old.clone()).ok()?, Contract::from_value(new.clone()).ok()?);
    (0..60).map(|_| value(rng, 3)).find(|value| old.check(value).is_ok() && new.check(value).is_err())
}

/// Whether the comparison finds nothing lost, extra fields of any name included.
fn nothing_lost(old: &Value, new: &Value) -> bool {
    let (Ok(old), Ok(new)) = (Document::of(old), Document::of(new)) else { return false };
    let mut comparison = Comparison::new(&old, &new);
    comparison.names_may_be_taken = true;
    same::documents(&old, &new) || !comparison.run().iter().any(Loss::counts)
}

fn edited(seed: u64) -> (Rng, Value, Value) {
    let mut rng = Rng::with_seed(seed);
    let old = document(&mut rng);
    let mut new = old.clone();
    for _ in 0..rng.u32(1..4) {
        edit(&mut rng, &mut new, 3);
    }
    (rng, old, new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000 * scale(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_called_compatible_takes_every_old_message(seed: u64) {
        let (mut rng, old, new) = edited(seed);
        if nothing_lost(&old, &new) {
            let lost = counterexample(&mut rng, &old, &new);
            prop_assert!(lost.is_none(), "\nold {}\nnew {}\nvalue {:?}", old, new, lost);
        }
    }
}

#[test]
fn the_property_is_not_empty() {
    let mut compatible = 0;
    for seed in 0..1_000 {
        let (_, old, new) = edited(seed);
        compatible += u32::from(old != new && Document::of(&new).is_ok() && nothing_lost(&old, &new));
    }
    assert!(compatible > 100, "only {compatible} of 1,000 edits are called compatible");
}

/// A comparison that overlooks a keyword of the new schema is one that sees it without: each must be caught.
#[test]
fn a_comparison_that_overlooks_a_keyword_is_caught() {
    for overlooked in [
        "type",
        "enum",
        "minimum",
        "maximum",
        "required",
        "properties",
        "additionalProperties",
        "items",
        "minLength",
        "maxItems",
        "anyOf",
        "oneOf",
        "not",
        "$ref",
        "patternProperties",
        "propertyNames",
        "contains",
        "prefixItems",
    ] {
        let caught = (0..30_000).any(|seed| {
            let (mut rng, old, new) = edited(seed);
            let mut seen = new.clone();
            strip(&mut seen, overlooked);
            seen != new && nothing_lost(&old, &seen) && counterexample(&mut rng, &old, &new).is_some()
        });
        assert!(caught, "{overlooked} can be overlooked");
    }
}

fn strip(schema: &mut Value, keyword: &str) {
    match schema {
        Value::Object(part) => {
            part.remove(keyword);
            part.values_mut().for_each(|inner| strip(inner, keyword));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| strip(inner, keyword)),
        _ => {}
    }
}
