//! What is counted, in looks. Nothing is timed.

use super::*;
use crate::Contract;
use serde_json::{Map, json};

/// Definitions d0, d1, … of which each is made of references to the next.
fn chain(links: usize, link: impl Fn(Value) -> Value, last: Value) -> Value {
    let mut definitions = Map::new();
    for number in 0..links {
        let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
        definitions.insert(format!("d{number}"), link(next));
    }
    definitions.insert(format!("d{links}"), last);
    json!({"$ref": "#/$defs/d0", "$defs": definitions})
}

fn looks(schema: &Value) -> u64 {
    let parts = parts::schema_nodes(schema);
    Walk::new(&parts, u64::MAX).most_looks().unwrap()
}

fn refusal(schema: Value) -> String {
    Contract::from_value(schema).unwrap_err().to_string()
}

type Link = fn(Value) -> Value;

/// All that applies a schema to a place, twice.
const TWICE: [(&str, Link); 17] = [
    ("anyOf", |next| json!({"anyOf": [next, next]})),
    ("oneOf", |next| json!({"oneOf": [next, next]})),
    ("allOf", |next| json!({"allOf": [next, {"not": next}]})),
    ("if", |next| json!({"if": next, "then": next})),
    ("if and else", |next| json!({"if": next, "else": next})),
    ("not", |next| json!({"not": next, "anyOf": [next]})),
    ("dependentSchemas", |next| json!({"dependentSchemas": {"a": next, "b": next}})),
    ("dependencies", |next| json!({"dependencies": {"a": next, "b": next}})),
    ("a reference beside", |next| json!({"$ref": next["$ref"], "anyOf": [next]})),
    ("properties", |next| json!({"anyOf": [{"properties": {"a": next}}, {"properties": {"a": next}}]})),
    ("patternProperties", |next| json!({"patternProperties": {"a": next, "^a": next}})),
    ("properties and patterns", |next| json!({"properties": {"a": next}, "patternProperties": {"a": next}})),
    ("additionalProperties", |next| json!({"additionalProperties": next, "patternProperties": {"": next}})),
    ("items and contains", |next| json!({"items": next, "contains": next})),
    ("prefixItems", |next| json!({"prefixItems": [next], "contains": next})),
    ("unevaluatedProperties", |next| json!({"anyOf": [next], "unevaluatedProperties": false})),
    ("unevaluatedItems", |next| json!({"allOf": [next], "unevaluatedItems": false})),
];

#[test]
fn a_chain_that_doubles_is_refused_when_it_is_built_with_the_reason() {
    for (name, link) in TWICE {
        for last in [json!({"type": "integer"}), json!(true), json!({})] {
            let refusal = refusal(chain(20, link, last));
            assert!(refusal.contains("multiply: one place of a value could be checked"), "{name}: {refusal}");
        }
    }
    let names = chain(30, |next| json!({"anyOf": [next, next]}), json!({}));
    let refusal =
        refusal(json!({"propertyNames": names["$ref"], "properties": {"a": names}, "$defs": names["$defs"]}));
    assert!(refusal.contains("multiply"), "{refusal}");
}

#[test]
fn the_looks_double_with_each_link_as_they_do_in_the_compiled_schema() {
    for (name, link) in TWICE {
        let count = |links| looks(&chain(links, link, json!({})));
        assert!(count(5) >= 2 * count(4) - 4, "{name}: {} after {}", count(5), count(4));
        assert!(count(4) < 1_000, "{name}: {}", count(4));
    }
}

#[test]
fn a_short_chain_and_a_long_list_are_taken() {
    for (name, link) in TWICE {
        Contract::from_value(chain(5, link, json!({}))).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let single =
        chain(20, |next| json!({"allOf": [next], "properties": {"a": {"type": "integer"}}}), json!({}));
    assert!(looks(&single) < 100, "{}", looks(&single));
    Contract::from_value(single).unwrap();
    let list: Vec<Value> = (0..10_000).map(|code| json!({"const": code, "title": "one"})).collect();
    assert_eq!(looks(&json!({"oneOf": list})), 10_001);
    Contract::from_value(json!({"items": {"oneOf": list}})).unwrap();
}

#[test]
fn what_leads_back_to_itself_is_taken_where_it_goes_down() {
    // an expression: each form names the whole twice, and no two forms can be told apart before they are looked into
    let form =
        |name: &str| json!({"properties": {name: true, "left": {"$ref": "#"}, "right": {"$ref": "#"}}});
    let forms: Vec<Value> = (0..200).map(|number| form(&format!("f{number}"))).collect();
    let expression = json!({"anyOf": forms});
    Contract::from_value(expression).unwrap();
    let by_anchor = json!({"$dynamicAnchor": "node", "anyOf": [
        {"properties": {"a": {"$dynamicRef": "#node"}}}, {"properties": {"a": {"$dynamicRef": "#node"}}}]});
    Contract::from_value(by_anchor).unwrap();
    let meta: Value = json!({"$ref": "https://json-schema.org/draft/2020-12/schema"});
    assert!(looks(&meta) < 10);
}

#[test]
fn a_circle_at_one_place_is_walked_each_way() {
    // all of ten definitions apply all others to the same place: that many ways are ten factorial
    let names: Vec<String> = (0..10).map(|number| format!("d{number}")).collect();
    let all: Vec<Value> = names.iter().map(|name| json!({"$ref": format!("#/$defs/{name}")})).collect();
    let definitions: Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!({"anyOf": all}))).collect();
    assert!(refusal(json!({"$ref": "#/$defs/d0", "$defs": definitions})).contains("multiply"));
    Contract::from_value(json!({"anyOf": [{"$ref": "#"}, {"type": "string"}]})).unwrap();
}

#[test]
fn doubling_within_a_circle_is_seen_though_the_circle_is_remembered() {
    // between two parts that lead back to themselves lies one that does not
    let mut schema = chain(30, |next| json!({"anyOf": [next, next]}), json!({"$ref": "#/$defs/tail"}));
    schema["$defs"]["tail"] = json!({"properties": {"next": {"$ref": "#/$defs/tail"}}});
    schema["$defs"]["head"] =
        json!({"properties": {"next": {"$ref": "#/$defs/head"}, "value": {"$ref": "#/$defs/d0"}}});
    schema["$ref"] = "#/$defs/head".into();
    assert!(refusal(schema).contains("multiply"));
}

#[test]
fn references_of_all_kinds_are_followed() {
    let twice = |to: &str, extra: Value| {
        let mut schema = chain(30, |next| json!({"anyOf": [next, next]}), json!({}));
        schema["$ref"] = to.into();
        schema["$defs"]["d0"].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        refusal(schema)
    };
    for (to, extra) in [
        ("#/%24defs/d0", json!({})),
        ("#first", json!({"$anchor": "first"})),
        ("#first", json!({"$dynamicAnchor": "first"})),
    ] {
        assert!(twice(to, extra).contains("multiply"), "{to}");
    }
    let inner = chain(30, |next| json!({"anyOf": [next, next]}), json!({}));
    let mut bundled = json!({"$ref": "urn:inner", "$defs": {"inner": inner}});
    bundled["$defs"]["inner"]["$id"] = "urn:inner".into();
    assert!(refusal(bundled).contains("multiply"));
}

#[test]
fn what_would_fill_the_stack_is_refused() {
    let long = chain(5_000, |next| json!({"allOf": [next]}), json!({}));
    assert!(refusal(long).contains("more than 64 parts apply to one place"));
    let deep = chain(5_000, |next| json!({"properties": {"a": next}}), json!({}));
    assert!(refusal(deep).contains("more than 128 levels of nested data"));
}

#[test]
fn counting_is_bounded_too() {
    // every name beside every pattern, and each of many parts
    let names: Map<String, Value> = (0..8_000).map(|number| (format!("n{number}"), json!({}))).collect();
    let parts: Vec<Value> = (0..8_000).map(|_| json!({"additionalProperties": {}})).collect();
    assert!(
        refusal(json!({"properties": names, "allOf": parts}))
            .contains("too many alternatives and references to count")
    );
    let patterns: Map<String, Value> = (0..8_000).map(|number| (format!("p{number}"), json!({}))).collect();
    assert_eq!(looks(&json!({"properties": names, "patternProperties": patterns})), 8_001);
}
