//! Schemas of strangers, values against them, and what an edit breaks. Input: the old schema, a cut, the new one, a cut, a value.
#![no_main]

use fuzz::pieces;
use ponos_schema::{Contract, Side, check, compare};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    let [old, new, value] = pieces::cut(text);
    let (old, new) = (contract(old), contract(new));
    let value: Option<Value> = serde_json::from_str(value).ok();
    let fits = |contract: &Option<Contract>| Some(verdict(contract.as_ref()?, value.as_ref()?));
    let (fits_old, fits_new) = (fits(&old), fits(&new));
    let (Some(old), Some(new)) = (old, new) else { return };
    let (old, new) = (old.schema(), new.schema());
    for schema in [old, new] {
        assert_eq!(compare(schema, schema), []);
        // As a document, it is a schema or says why not.
        let _ = check::documents(schema, schema).map(|report| assert!(!report.is_breaking()));
    }
    let changes = compare(old, new);
    assert!(changes.iter().all(|change| !change.what.is_empty()));
    // What is said to break nothing breaks nothing; fields that one form alone names are another question.
    let holds = |side: Side| !changes.iter().any(|change| change.breaking && change.side == side);
    let Some(value) = value.filter(|value| !has_fields(value)) else { return };
    if holds(Side::Queued) && fits_old == Some(true) && !changes.iter().any(|change| change.breaking) {
        assert_eq!(fits_new, Some(true), "{value} fits {old}, not {new}: {changes:?}");
    }
});

fn contract(text: &str) -> Option<Contract> {
    match Contract::parse(text) {
        Ok(contract) => {
            // What was accepted once is accepted as it is written again.
            let again = Contract::from_value(contract.schema().clone());
            assert!(again.is_ok_and(|again| again.schema() == contract.schema()));
            Some(contract)
        }
        Err(wrong) => {
            assert!(wrong.to_string().len() < 4_000, "{wrong}");
            None
        }
    }
}

fn verdict(contract: &Contract, value: &Value) -> bool {
    match contract.check(value) {
        Ok(()) => true,
        Err(mismatch) => {
            assert!(mismatch.to_string().len() < 8_000 && !mismatch.violations().is_empty());
            false
        }
    }
}

fn has_fields(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_fields),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    }
}
