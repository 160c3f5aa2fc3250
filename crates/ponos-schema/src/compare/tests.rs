//! The rules, each with its sentence. `pointer: sentence` of what breaks; what breaks nobody begins with `fine`.

use super::*;
use serde_json::json;

const QUEUED: &str = "; messages already queued";
const READERS: &str = "; consumers that still have the old schema would refuse messages";

fn told(old: Value, new: Value) -> Vec<String> {
    let tell = |change: Change| {
        let kind = if change.breaking { "" } else { "fine " };
        format!("{kind}{}: {}", change.pointer, change.what)
    };
    compare(&old, &new).into_iter().map(tell).collect()
}

/// `expected` are abbreviated: `Q` stands for the sentence about queued messages, `R` for that about readers.
fn rule(old: Value, new: Value, expected: &[&str]) {
    let expected = expected
        .iter()
        .map(|text| match text.split_once("; ") {
            Some((what, rest)) if rest.starts_with("Q ") => {
                format!("{what}{QUEUED} {} would be refused", &rest[2..])
            }
            Some((what, rest)) if rest.starts_with("R ") => format!("{what}{READERS} {}", &rest[2..]),
            _ => (*text).to_owned(),
        })
        .collect::<Vec<_>>();
    let mut got = told(old.clone(), new.clone());
    let mut wanted = expected;
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted, "\nold {old}\nnew {new}");
}

fn with(field: Value) -> Value {
    json!({"type": "object", "properties": {"f": field}})
}

#[test]
fn a_field_newly_required_breaks_what_is_queued() {
    let old = json!({"type": "object", "properties": {"older_than_days": {"type": "integer"}}});
    let mut new = old.clone();
    new["required"] = json!(["older_than_days"]);
    rule(old.clone(), new.clone(), &["/older_than_days: became required; Q without it"]);
    rule(new, old, &["/older_than_days: is no longer required; R without it"]);
}

#[test]
fn an_optional_field_comes_and_goes_and_annotations_mean_nothing() {
    let old = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let new = json!({"type": "object", "title": "T", "properties": {
        "a": {"type": "string", "description": "d", "format": "my-own", "x-note": 1}, "b": {"type": "integer"}}});
    rule(old.clone(), new.clone(), &["fine /b: was added, optional"]);
    rule(new, old, &["fine /b: was removed; messages that have it are still accepted"]);
}

#[test]
fn types() {
    let narrowed = |from: Value, to: Value, what: &str, back: &str| {
        rule(with(json!({"type": from})), with(json!({"type": to})), &[what, back]);
    };
    narrowed(
        json!("string"),
        json!("integer"),
        "/f: type changed from string to integer; Q with string",
        "/f: type changed from string to integer; R with integer",
    );
    rule(
        with(json!({"type": "number"})),
        with(json!({"type": "integer"})),
        &["/f: type narrowed from number to integer; Q with fraction"],
    );
    rule(
        with(json!({"type": "integer"})),
        with(json!({"type": "number"})),
        &["/f: type widened from integer to number; R with fraction"],
    );
    rule(
        with(json!({"type": ["string", "null"]})),
        with(json!({"type": "string"})),
        &["/f: type narrowed from null or string to string; Q with null"],
    );
    let nullable = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    rule(
        with(nullable.clone()),
        with(json!({"type": "string"})),
        &["/f: type narrowed from null or string to string; Q with null"],
    );
    rule(with(nullable), with(json!({"type": ["null", "string"]})), &[]);
}

#[test]
fn listed_values() {
    let list = |values: Value| with(json!({"enum": values}));
    rule(list(json!(["a", "b"])), list(json!(["a"])), &["/f: the value \"b\" was removed; Q with it"]);
    rule(list(json!(["a"])), list(json!(["b", "a"])), &["/f: the value \"b\" was added; R with it"]);
    rule(
        with(json!({"const": 1})),
        with(json!({"const": 2})),
        &["/f: the value 1 was removed; Q with it", "/f: the value 2 was added; R with it"],
    );
    rule(
        with(json!({"type": "string"})),
        list(json!(["a", "b"])),
        &["/f: only \"a\", \"b\" is allowed now; Q with other values"],
    );
    rule(
        list(json!(["a", "b"])),
        with(json!({"type": "string"})),
        &["/f: is no longer limited to \"a\", \"b\"; R with other values"],
    );
    // The same list in other words: as schemars writes an enum whose variants have docs.
    rule(
        list(json!(["a", "b"])),
        with(json!({"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]})),
        &[],
    );
    rule(with(json!({"enum": [true, false]})), with(json!({"type": "boolean"})), &[]);
}

#[test]
fn closed_objects() {
    let closed = |names: &[&str]| {
        let fields = names.iter().map(|name| (name.to_string(), json!({"type": "string"})));
        json!({"type": "object", "properties": fields.collect::<serde_json::Map<_, _>>(), "additionalProperties": false})
    };
    let mut open = closed(&["a"]);
    open["additionalProperties"] = json!(true);
    rule(
        closed(&["a", "b"]),
        closed(&["a"]),
        &["/b: was removed, and the schema allows no fields that it doesn't name; Q with it"],
    );
    rule(
        closed(&["a"]),
        closed(&["a", "b"]),
        &[
            "/b: was added, and the old schema allows no fields that it doesn't name; R with it",
            "fine /b: was added, optional",
        ],
    );
    rule(
        open.clone(),
        closed(&["a"]),
        &[": fields that the schema doesn't name are no longer allowed; Q with such fields"],
    );
    rule(
        closed(&["a"]),
        open,
        &[": fields that the schema doesn't name are allowed now; R with such fields"],
    );
    let map = |kind: &str| json!({"type": "object", "additionalProperties": {"type": kind}});
    rule(map("integer"), map("number"), &["/*: type widened from integer to number; R with fraction"]);
    let named = json!({"type": "object", "properties": {"n": {"type": "string"}}, "additionalProperties": {"type": "integer"}});
    rule(
        map("integer"),
        named,
        &[
            "/n: type changed from integer to string; Q with integer",
            "/n: type changed from integer to string; R with string",
            "fine /n: was added, optional",
        ],
    );
}

#[test]
fn limits_are_tightened_and_relaxed() {
    for (keyword, kind, loose, tight) in [
        ("maximum", "integer", 100, 10),
        ("minimum", "integer", 1, 5),
        ("exclusiveMaximum", "number", 100, 10),
        ("exclusiveMinimum", "number", 1, 5),
        ("maxLength", "string", 9, 3),
        ("minLength", "string", 1, 2),
        ("maxItems", "array", 9, 3),
        ("minItems", "array", 1, 2),
        ("maxProperties", "object", 9, 3),
        ("minProperties", "object", 1, 2),
    ] {
        let of = |limit: u64| with(json!({"type": kind, keyword: limit}));
        let bare = with(json!({"type": kind}));
        let own = |limit: u64| {
            if keyword.starts_with("exclusive") { format!("{limit} (excluded)") } else { limit.to_string() }
        };
        rule(of(loose), of(loose), &[]);
        rule(
            of(loose),
            of(tight),
            &[&format!("/f: {keyword} was tightened from {} to {tight}; Q beyond it", own(loose))],
        );
        rule(
            of(tight),
            of(loose),
            &[&format!("/f: {keyword} was relaxed from {loose} to {}; R beyond it", own(loose))]
                .map(|_| format!("/f: {keyword} was relaxed from {tight} to {}; R beyond it", own(loose)))
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        rule(bare.clone(), of(tight), &[&format!("/f: {keyword} {tight} was introduced; Q beyond it")]);
        rule(of(tight), bare, &[&format!("/f: {keyword} {tight} was dropped; R beyond it")]);
    }
    // A bound that excludes itself is tighter than one that doesn't.
    let exclusive = with(json!({"type": "number", "exclusiveMinimum": 5}));
    rule(
        exclusive,
        with(json!({"type": "number", "minimum": 5})),
        &["/f: exclusiveMinimum was relaxed from 5 to 5; R beyond it"],
    );
}

#[test]
fn rules_of_words() {
    for (keyword, kind, one, other) in [
        ("pattern", "string", json!("^a$"), json!("^b$")),
        ("format", "string", json!("date"), json!("date-time")),
        ("multipleOf", "integer", json!(4), json!(3)),
    ] {
        let of = |value: &Value| with(json!({"type": kind, keyword: value}));
        let bare = with(json!({"type": kind}));
        let words = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let (x, y) = (words(&one), words(&other));
        rule(
            bare.clone(),
            of(&one),
            &[&format!("/f: {keyword} {x} was introduced; Q that don't satisfy it")],
        );
        rule(of(&one), bare, &[&format!("/f: {keyword} {x} was dropped; R that don't satisfy it")]);
        let changed = format!("/f: {keyword} was changed from {x} to {y};");
        rule(
            of(&one),
            of(&other),
            &[
                &format!("{changed} messages already queued can't be shown to satisfy it"),
                &format!(
                    "{changed} consumers that still have the old schema can't be shown to accept what satisfies the new one"
                ),
            ],
        );
    }
    let steps = |n: u64| with(json!({"type": "integer", "multipleOf": n}));
    rule(
        steps(6),
        steps(3),
        &[
            "/f: multipleOf was changed from 6 to 3; consumers that still have the old schema can't be shown to accept what satisfies the new one",
        ],
    );
    let unique = with(json!({"type": "array", "uniqueItems": true}));
    rule(
        with(json!({"type": "array"})),
        unique,
        &["/f: uniqueItems true was introduced; Q that don't satisfy it"],
    );
}

#[test]
fn nested_fields_items_and_references() {
    let list = |kind: &str| {
        with(json!({"type": "array", "items": {"type": "object", "properties": {"x": {"type": kind}}}}))
    };
    rule(list("number"), list("integer"), &["/f/*/x: type narrowed from number to integer; Q with fraction"]);
    let tuple =
        |kind: &str| with(json!({"type": "array", "prefixItems": [{"type": kind}, {"type": "string"}]}));
    rule(tuple("number"), tuple("integer"), &["/f/0: type narrowed from number to integer; Q with fraction"]);
    let seven = |kind: &str| {
        let mut schema = with(json!({"type": "array", "items": [{"type": kind}], "additionalItems": false}));
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        schema
    };
    rule(seven("number"), seven("integer"), &["/f/0: type narrowed from number to integer; Q with fraction"]);
    let named =
        |kind: &str| json!({"properties": {"f": {"$ref": "#/$defs/t"}}, "$defs": {"t": {"type": kind}}});
    rule(named("number"), named("integer"), &["/f: type narrowed from number to integer; Q with fraction"]);
    rule(named("number"), json!({"properties": {"f": {"type": "number"}}}), &[]);
    let tree = |kind: &str| {
        json!({"$defs": {"node": {"type": "object", "properties": {
            "value": {"type": kind}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}},
            "$ref": "#/$defs/node"})
    };
    rule(
        tree("number"),
        tree("integer"),
        &[
            "/value: type narrowed from number to integer; Q with fraction",
            "/children/*/value: type narrowed from number to integer; Q with fraction",
        ],
    );
}

#[test]
fn alternatives_are_told_apart_by_type_or_tag() {
    let shape = |variants: &[(&str, &str)]| {
        let variant = |(tag, kind): &(&str, &str)| json!({"type": "object", "required": ["tag"], "properties": {"tag": {"const": tag}, "v": {"type": kind}}});
        json!({"oneOf": variants.iter().map(variant).collect::<Vec<_>>()})
    };
    let old = shape(&[("a", "number"), ("b", "string")]);
    rule(old.clone(), shape(&[("b", "string"), ("a", "number")]), &[]);
    rule(
        old.clone(),
        shape(&[("a", "integer"), ("b", "string")]),
        &["/v: type narrowed from number to integer; Q with fraction"],
    );
    let less = shape(&[("b", "string")]);
    rule(old.clone(), less.clone(), &[": the form with tag = \"a\" was removed; Q in it"]);
    rule(less, old.clone(), &[": the form with tag = \"a\" was added; R in it"]);
    // Two that look alike: which was meant can't be known.
    let vague =
        json!({"anyOf": [{"type": "object", "required": ["v"]}, {"type": "object", "required": ["w"]}]});
    let told = told(old, vague);
    assert!(
        told.iter()
            .any(|text| text.starts_with(": can't be shown to be compatible: no alternative of the new"))
    );
}

#[test]
fn what_cannot_be_shown_is_said() {
    let why = |keyword: &str, value: Value| {
        let told = told(with(json!({"type": "object"})), with(json!({"type": "object", keyword: value})));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("can't be shown to be compatible") && told[0].contains(keyword), "{told:?}");
    };
    why("not", json!({"required": ["x"]}));
    why("if", json!({"required": ["x"]}));
    why("unevaluatedProperties", json!(false));
    why("dependentSchemas", json!({"a": {"required": ["b"]}}));
    // The same words mean the same, wherever something else changes.
    let not = |limit: u64| json!({"not": {"required": ["x"]}, "maxProperties": limit});
    rule(not(3), not(3), &[]);
    rule(not(3), not(2), &[": maxProperties was tightened from 3 to 2; Q beyond it"]);
}

#[test]
fn intersections_are_laid_together() {
    let old = json!({"allOf": [{"type": "object", "required": ["a"]}, {"$ref": "#/$defs/b"}],
        "$defs": {"b": {"required": ["b"], "properties": {"a": {"type": "integer"}}}}});
    let new = json!({"type": "object", "required": ["b", "a"], "properties": {"a": {"type": "integer"}}});
    rule(old.clone(), new.clone(), &[]);
    rule(new, old, &[]);
}

#[test]
fn drafts_and_bad_schemas() {
    let seven = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"});
    assert!(
        told(seven.clone(), json!({"type": "object"}))[0]
            .contains("the draft of JSON Schema ($schema) changed")
    );
    // Before 2019 a reference hides what stands beside it.
    let hiding = json!({"$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"f": {"$ref": "#/definitions/t", "maxLength": 3}}, "definitions": {"t": {"type": "string"}}});
    let plain = json!({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"f": {"type": "string"}}});
    rule(hiding, plain, &[]);
    assert!(
        told(json!({"type": 3}), json!(true))[0]
            .starts_with(": the old schema: the schema is refused at /type")
    );
    rule(json!(true), json!(false), &[": nothing is allowed here any more; Q with a value here"]);
}

#[test]
fn time_is_bounded_where_references_branch() {
    // 2^40 ways through, were each walked.
    let ladder = |leaf: &str| {
        let mut defs = serde_json::Map::new();
        for n in 0..40 {
            let below = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs.insert(format!("d{n}"), json!({"properties": {"a": below, "b": below}}));
        }
        defs.insert("d40".into(), json!({"type": leaf}));
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    };
    assert!(compare(&ladder("string"), &ladder("string")).is_empty());
    assert!(!compare(&ladder("string"), &ladder("integer")).is_empty());
}
