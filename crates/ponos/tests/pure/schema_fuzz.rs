//! Random and hostile schemas and values: no panic, nothing runs away. A seeded loop: what it finds, it finds again.
#![cfg(feature = "worker")]
#![allow(clippy::disallowed_methods, reason = "that nothing runs away is measured")]

use fastrand::Rng;
use ponos::schema::{Contract, compare};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Far beyond what any input takes, far below an endless search; for a machine that does other things.
const RUN_AWAY: Duration = Duration::from_secs(5);

const WORDS: &[&str] = &[
    "type",
    "object",
    "string",
    "integer",
    "null",
    "properties",
    "required",
    "items",
    "prefixItems",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "#",
    "#/$defs/a",
    "$defs",
    "a",
    "b",
    "pattern",
    "(a+)+$",
    "(a|a)*b",
    "^(([a-z])+.)+$",
    "format",
    "date-time",
    "regex",
    "uuid",
    "minLength",
    "maximum",
    "multipleOf",
    "enum",
    "const",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "patternProperties",
    "propertyNames",
    "contains",
    "minContains",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "$dynamicRef",
    "$dynamicAnchor",
    "$anchor",
    "$id",
    "urn:a",
    "$schema",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "$recursiveRef",
    "$recursiveAnchor",
    "contentEncoding",
    "base64",
    "uniqueItems",
    "~",
    "/",
    "%",
    "",
];

fn any(rng: &mut Rng, depth: u32) -> Value {
    let word = |rng: &mut Rng| WORDS[rng.usize(..WORDS.len())].to_owned();
    match rng.u32(..if depth == 0 { 5 } else { 14 }) {
        0 => json!(rng.bool()),
        1 => json!(rng.i64(-3..5)),
        2 => {
            [json!(null), json!(1e300), json!(-0.5), json!(u64::MAX), json!(i64::MIN)][rng.usize(..5)].clone()
        }
        3 | 4 => json!(word(rng)),
        5..7 => (0..rng.usize(..4)).map(|_| any(rng, depth - 1)).collect(),
        _ => Value::Object((0..rng.usize(..5)).map(|_| (word(rng), any(rng, depth - 1))).collect()),
    }
}

fn rounds(base: u64) -> u64 {
    base * std::env::var("TEST_SCALE").ok().and_then(|scale| scale.parse::<u64>().ok()).unwrap_or(1)
}

fn within_time<T>(what: &str, work: impl Fn() -> T) -> T {
    let timed = || {
        let begin = Instant::now();
        let done = work();
        (begin.elapsed() < RUN_AWAY).then_some(done)
    };
    // Once more if the machine stood still meanwhile.
    timed().or_else(timed).unwrap_or_else(|| panic!("it takes too long: {what}"))
}

#[test]
fn nothing_panics_and_nothing_runs_away() {
    let mut accepted = 0;
    let mut last = json!(true);
    for seed in 0..rounds(30_000) {
        let mut rng = Rng::with_seed(seed);
        let schema = any(&mut rng, 6);
        let what = format!("seed {seed}: {schema}");
        let Ok(contract) = within_time(&what, || Contract::from_value(schema.clone())) else { continue };
        accepted += 1;
        for _ in 0..4 {
            let value = any(&mut rng, 5);
            within_time(&what, || contract.check(&value).map_err(|mismatch| mismatch.to_string()).err());
        }
        within_time(&what, || (compare(&last, &schema), compare(&schema, &last)));
        last = schema;
    }
    assert!(accepted > 1_000, "only {accepted} schemas were accepted");
}

#[test]
fn texts_that_are_almost_schemas_are_answered() {
    let corpus = r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["a"],
        "properties":{"a":{"$ref":"#/$defs/a"},"b":{"pattern":"^(a|b)+$"}},"$defs":{"a":{"enum":[1,"x",null]}}}"##;
    for seed in 0..rounds(20_000) {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = corpus.as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            match rng.u32(..3) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = rng.u8(32..127),
                _ => bytes.insert(at, b"{}[]\",:#/$\\0"[rng.usize(..12)]),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(fault) = within_time(&text, || Contract::parse(&text)) {
            assert!(fault.to_string().len() < 2_000, "{fault}");
        }
    }
}

#[test]
fn hostile_schemas_and_values_are_checked_in_time() {
    let nested = |levels: usize, leaf: Value| (0..levels).fold(leaf, |inner, _| json!({"a": inner}));
    for (schema, value) in [
        // Catastrophic for an engine that backtracks.
        (json!({"pattern": "^(a+)+$"}), json!(format!("{}!", "a".repeat(100_000)))),
        (json!({"pattern": "(a|a)*b"}), json!("a".repeat(100_000))),
        (json!({"patternProperties": {"^(a|aa)+$": false}}), json!({format!("{}!", "a".repeat(50_000)): 1})),
        // Two ways at each of 100 levels.
        (
            json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "not": {"const": 1}}),
            nested(100, json!(1)),
        ),
        (
            json!({"properties": {"a": {"oneOf": [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}]}}, "not": {"const": 1}}),
            nested(100, json!(1)),
        ),
        // Referring to itself without going deeper.
        (json!({"$ref": "#"}), json!(1)),
        (json!({"anyOf": [{"$ref": "#"}, {"type": "string"}]}), json!(1)),
        (json!({"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"not": {"$ref": "#"}}}}), json!(1)),
        (json!({"uniqueItems": true}), (0..50_000).map(|n| json!({"n": n})).collect()),
        (json!({"items": {"type": "string"}}), (0..500_000).collect()),
    ] {
        let what = format!("{schema}");
        if let Ok(contract) = within_time(&what, || Contract::from_value(schema.clone())) {
            let _ = within_time(&what, || contract.check(&value).map_err(|mismatch| mismatch.to_string()));
            let _ = within_time(&what, || compare(&json!({"type": ["object", "string"]}), &schema));
            let _ = within_time(&what, || compare(&schema, &json!({"type": ["object", "string"]})));
        }
    }
}
