//! Compares arrays: items by place, the other items, and their uniqueness.

use super::{
    include::Comparison,
    loss::LossKind,
    objects::accepts_all,
    parts::{All, Part},
    types::Types,
};
use crate::compare::document::Document;
use jsonschema::Draft;
use serde_json::Value;

impl<'a> Comparison<'a> {
    /// Checks B's demands on an array that fits A.
    pub(super) fn arrays(&mut self, a: &All<'a>, part: Part<'a>, at: &str) {
        if !a.types().meets(Types::ARRAY) {
            return;
        }
        let places = places(self.b, part).len();
        let own_places = a.parts.iter().map(|own| self::places(self.a, own).len()).max().unwrap_or_default();
        let most = super::scalars::count(a, "maxItems", false);
        for index in 0..places.max(own_places) {
            if most.is_some_and(|most| most <= index as u64) {
                return;
            }
            if let Some(demand) = item(self.b, part, index).filter(|demand| !accepts_all(demand)) {
                let own = a.parts.iter().filter_map(|own| item(self.a, own, index)).collect();
                self.include_below(own, demand, &format!("{at}/{index}"));
            }
        }
        let beyond = most.is_none_or(|most| most > places.max(own_places) as u64);
        if let Some(demand) = rest(self.b, part).filter(|demand| beyond && !accepts_all(demand)) {
            let own = a.parts.iter().filter_map(|own| rest(self.a, own)).collect();
            self.include_below(own, demand, &format!("{at}/*"));
        }
        let unique = a.each("uniqueItems").any(|unique| *unique == Value::Bool(true));
        if part.get("uniqueItems") == Some(&Value::Bool(true)) && !unique && most.is_none_or(|most| most > 1)
        {
            let (a, b) = (None, "true".into());
            self.lose(at, LossKind::Rule { keyword: "uniqueItems".into(), a, b });
        }
    }
}

/// Since 2020, places stand under `prefixItems`; before, `items` was a list.
fn places<'d>(document: &Document<'d>, part: Part<'d>) -> &'d [Value] {
    let keyword = if document.draft == Draft::Draft202012 { "prefixItems" } else { "items" };
    part.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The schemas that apply to the items after the places.
fn rest<'d>(document: &Document<'d>, part: Part<'d>) -> Option<&'d Value> {
    match part.get("items") {
        Some(Value::Array(_)) if document.draft != Draft::Draft202012 => part.get("additionalItems"),
        items => items,
    }
}

fn item<'d>(document: &Document<'d>, part: Part<'d>, index: usize) -> Option<&'d Value> {
    places(document, part).get(index).or_else(|| rest(document, part))
}
