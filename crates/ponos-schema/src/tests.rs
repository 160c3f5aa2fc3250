//! Contracts, mismatches, registries, reports.

use super::{check::documents, *};
use schemars::JsonSchema;
use serde_json::{Value, json};

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Cleanup {
    older_than_days: u32,
    #[serde(default)]
    keep: Vec<String>,
    label: Option<String>,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Closed {
    item: i64,
}

fn said(contract: &Contract, value: Value) -> String {
    contract.check(&value).unwrap_err().to_string()
}

#[test]
fn a_derived_contract_takes_what_the_type_takes() {
    let contract = Contract::of::<Cleanup>().unwrap();
    assert!(contract.check(&json!({"older_than_days": 7})).is_ok());
    assert!(contract.check(&json!({"older_than_days": 7, "label": null, "unknown": {"field": 1}})).is_ok());
    assert_eq!(said(&contract, json!({})), "/older_than_days: is required and missing");
    assert_eq!(
        said(&contract, json!({"older_than_days": "seven", "keep": [1]})),
        "/older_than_days: expected integer, found \"seven\"\n/keep/0: expected string, found 1"
    );
    assert_eq!(
        said(&contract, json!({"older_than_days": 4_294_967_296_u64})),
        "/older_than_days: expected at most 4294967295, found 4294967296"
    );
    assert_eq!(said(&contract, json!([])), "the whole value: expected object, found []");
}

#[test]
fn unknown_fields_are_refused_only_where_the_type_says_so() {
    let contract = Contract::of::<Closed>().unwrap();
    assert_eq!(
        said(&contract, json!({"item": 1, "x": 1, "y": 2})),
        "the whole value: expected only the fields that the schema names, found \"x\", \"y\""
    );
    assert!(contract.check(&json!({"item": i64::MIN})).is_ok());
}

#[test]
fn formats_and_alternatives() {
    let contract = Contract::parse(
        r#"{"properties": {"at": {"format": "date-time"}, "by": {"anyOf": [
            {"type": "null"}, {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}]}}}"#,
    )
    .unwrap();
    assert_eq!(
        said(&contract, json!({"at": "today"})),
        "/at: expected the format date-time, found \"today\""
    );
    assert_eq!(
        said(&contract, json!({"by": {"name": 3}})),
        "/by: expected one of 2 alternatives, found {\"name\":3}; the closest fails at /by/name: expected string, found 3"
    );
    assert!(contract.check(&json!({"at": "2026-12-01T09:00:00.000Z", "by": null})).is_ok());
}

#[test]
fn a_mismatch_is_bounded_whatever_came() {
    let contract =
        Contract::parse(r#"{"additionalProperties": {"type": "integer"}, "maxProperties": 5000}"#).unwrap();
    let long = "ü".repeat(100_000);
    let value: Value = (0..4_000)
        .map(|n| (format!("{n}{long}").chars().take(3_000).collect::<String>(), json!(long)))
        .collect();
    let mismatch = contract.check(&value).unwrap_err();
    assert_eq!(mismatch.violations().len(), 10);
    assert_eq!(mismatch.more(), 990);
    let text = mismatch.to_string();
    assert!(text.len() <= Mismatch::MAX_BYTES, "{}", text.len());
    assert!(text.ends_with("or more others"), "{text}");
    assert!(text.lines().next().unwrap().ends_with('…'));
    let few = contract.check(&json!({"a": "x", "b": []})).unwrap_err();
    assert_eq!((few.violations().len(), few.more()), (2, 0));
    assert_eq!(
        few.violations()[1],
        Violation { pointer: "/b".into(), message: "expected integer, found []".into() }
    );
    let twelve = (0..12).map(|n| (format!("f{n}"), json!(null))).collect::<Value>();
    assert!(said(&contract, twelve).ends_with("\nand 2 more"));
}

#[test]
fn a_bad_schema_is_refused_at_its_place() {
    for (schema, pointer, reason) in [
        ("{", "", "it is not valid JSON"),
        (r#"{"properties": {"a": {"type": "text"}}}"#, "/properties/a/type", "found \"text\""),
        (r#"{"minLength": -1}"#, "/minLength", "expected at least 0, found -1"),
        (r#"{"items": {"$ref": "https://example.com/s.json"}}"#, "/items/$ref", "schemas are never fetched"),
        (r#"{"items": {"$ref": "file:///etc/passwd"}}"#, "/items/$ref", "schemas are never fetched"),
        (r##"{"items": {"$ref": "#/$defs/none"}}"##, "/items/$ref", "can't be resolved"),
        (r#"{"$schema": "https://example.com/own"}"#, "/$schema", "can't be resolved"),
        (r#"{"properties": {"a": {"pattern": "(?=x)"}}}"#, "/properties/a/pattern", "no look-around"),
        (r#"{"properties": {"a": {"pattern": "("}}}"#, "/properties/a/pattern", "is not a valid pattern"),
        (r#"{"pattern": "(a{1000}){1000}"}"#, "/pattern", "bounded size"),
        ("3", "", "found 3"),
    ] {
        let fault = Contract::parse(schema).unwrap_err();
        assert_eq!(fault.pointer, pointer, "{schema}: {fault}");
        assert!(fault.reason.contains(reason), "{schema}: {fault}");
        assert!(fault.to_string().starts_with("the schema is refused"), "{fault}");
    }
    let deep = (0..200).fold(json!({}), |inner, _| json!({"not": inner}));
    assert!(Contract::from_value(deep).unwrap_err().reason.contains("nested more than 127 levels deep"));
}

#[test]
fn other_drafts_and_own_ids_are_understood() {
    let seven = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/t",
        "definitions": {"t": {"type": "string"}}}"##;
    assert!(Contract::parse(seven).unwrap().check(&json!(1)).is_err());
    let own = r##"{"$id": "urn:x:y", "properties": {"a": {"$ref": "urn:x:y#/$defs/t"}}, "$defs": {"t": {"type": "string"}}}"##;
    assert!(Contract::parse(own).unwrap().check(&json!({"a": 1})).is_err());
}

#[test]
fn what_is_not_declared_is_not_published() {
    let name = |text: &str| text.parse().unwrap();
    let free = Contract::parse("true").unwrap();
    let registry = Registry::new().event::<Closed>("order.item.shipped").unwrap();
    let registry = registry
        .task::<Cleanup>("docker.images.cleanup")
        .unwrap()
        .contract("a.b.happened", free.clone())
        .unwrap();
    assert!(registry.check(&name("order.item.shipped"), &json!({"item": 1})).is_ok());
    assert_eq!(
        registry.check(&name("order.item.shiped"), &json!({"item": 1})).unwrap_err().to_string(),
        "this service does not declare that it publishes order.item.shiped; did you mean order.item.shipped?"
    );
    assert_eq!(
        registry.check(&name("order.basket.emptied"), &json!({})).unwrap_err().to_string(),
        "this service does not declare that it publishes order.basket.emptied; declare it with its schema"
    );
    assert_eq!(
        registry.check(&name("order.item.shipped"), &json!({})).unwrap_err().to_string(),
        "the data of order.item.shipped does not fit its schema:\n/item: is required and missing"
    );
    let twice = registry.clone().contract("a.b.happened", free.clone()).unwrap_err();
    assert_eq!(twice.to_string(), "a.b.happened is declared twice; a name has one contract");
    assert!(matches!(Registry::new().contract("short", free), Err(RegistryError::Name { .. })));
    let again = Registry::from_json(&registry.to_json()).unwrap();
    assert_eq!(again.to_json(), registry.to_json());
    assert_eq!(again.names().len(), 3);
}

#[test]
fn a_report_is_for_people_and_programs() {
    let old = json!({"a.b.done": {"properties": {"n": {"type": "number"}}}, "a.b.gone": true});
    let new = json!({"a.b.done": {"properties": {"n": {"type": "integer"}}}, "a.b.new": true});
    let report = documents(&old, &new).unwrap();
    assert!(
        report.is_breaking() && report.is_breaking_for(Side::Queued) && report.is_breaking_for(Side::Readers)
    );
    assert_eq!(
        report.to_string(),
        "breaking: a.b.done /n: type narrowed from number to integer; messages already queued with fraction would be refused\n\
         breaking: a.b.gone the whole schema: is no longer published; its consumers receive nothing more\n\
         fine: a.b.new the whole schema: is new\n\
         refused: publish the new schema under a new name, or keep accepting the old form"
    );
    let data = serde_json::to_value(&report).unwrap();
    assert_eq!(data["breaking"], true);
    assert_eq!(data["changes"][0]["name"], "a.b.done");
    assert_eq!(data["changes"][0]["side"], "queued");
    let widened = documents(&new["a.b.done"], &old["a.b.done"]).unwrap();
    assert!(widened.is_breaking() && !widened.is_breaking_for(Side::Queued));
    assert!(widened.to_string().ends_with("update consumers first, then the publisher"));
    assert_eq!(documents(&old, &old).unwrap().to_string(), "no relevant change");
}

#[test]
fn documents_that_are_none_are_refused() {
    let said = |old: Value, new: Value| documents(&old, &new).unwrap_err().to_string();
    assert!(said(json!({"a.b.c": true}), json!(true)).starts_with("the two sides are of different kinds"));
    assert!(said(json!({"type": 1}), json!(true)).starts_with("OLD: the schema is refused at /type: "));
    assert!(
        said(json!({"a.b.c": true}), json!({"a.b.c": {"type": 1}}))
            .starts_with("NEW: the schema is refused at /a.b.c/type")
    );
    assert!(
        said(json!({"a.b": true}), json!({"a.b.c": true})).starts_with("OLD: \"a.b\" can't be declared: ")
    );
}

#[test]
fn alternatives_that_lead_back_to_themselves_are_told_without_place_once_they_multiply() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
    let twice = Contract::parse(
        r##"{"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"type": "null"}]}}}"##,
    )
    .unwrap();
    assert!(said(&twice, nested(5)).contains("the closest fails at /a"));
    assert!(
        said(&twice, nested(100))
            .starts_with("the whole value: does not fit its schema; the value is too deep")
    );
    // A tree whose forms are told apart by a field is walked once, however deep.
    let tree = Contract::parse(
        r##"{"oneOf": [
            {"type": "object", "required": ["not"], "properties": {"not": {"$ref": "#"}}, "additionalProperties": false},
            {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}, "additionalProperties": false},
            {"type": "string"}]}"##,
    )
    .unwrap();
    assert!(said(&tree, nested(100)).contains("the closest fails at /a"));
}
