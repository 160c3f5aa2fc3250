//! Compares limits of numbers, texts and counts, and patterns and formats.

use super::{
    include::Comparison,
    loss::LossKind,
    parts::{All, Part},
    types::Types,
};
use crate::contract;
use crate::text::{VALUE_CHARS, shortened};
use serde_json::{Number, Value};
use std::cmp::Ordering;

impl<'a> Comparison<'a> {
    /// Checks B's demands on numbers and texts that fit A, and on counts.
    pub(super) fn scalars(&mut self, a: &All<'a>, part: Part<'a>, at: &str) {
        let types = a.types();
        if types.meets(Types::NUMBER) {
            self.bounds(a, part, at);
            self.multiple(a, part, at);
        }
        let counts = [
            (Types::STRING, "minLength", "maxLength"),
            (Types::ARRAY, "minItems", "maxItems"),
            (Types::OBJECT, "minProperties", "maxProperties"),
        ];
        for (kind, least, most) in counts {
            if types.meets(kind) {
                self.count(a, part, least, true, at);
                self.count(a, part, most, false, at);
            }
        }
        if types.meets(Types::STRING) {
            self.word_for_word(a, part, "pattern", at);
            let known = |format: &str| contract::options().is_known_format(self.b.draft, format);
            if part.get("format").and_then(Value::as_str).is_some_and(known) {
                self.word_for_word(a, part, "format", at);
            }
        }
    }

    fn bounds(&mut self, a: &All<'a>, part: Part<'a>, at: &str) {
        for (plain, exclusive, lower) in
            [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)]
        {
            let own = own_bound(a, plain, exclusive, lower);
            for (keyword, excludes) in [(plain, false), (exclusive, true)] {
                let Some(Value::Number(limit)) = part.get(keyword) else { continue };
                let within = own.is_some_and(|(own, own_excludes)| match order(own, limit) {
                    Some(Ordering::Equal) => own_excludes || !excludes,
                    Some(Ordering::Greater) => lower,
                    Some(Ordering::Less) => !lower,
                    None => false,
                });
                if !within {
                    let own = own
                        .map(|(own, excludes)| format!("{own}{}", if excludes { " (excluded)" } else { "" }));
                    self.lose(at, LossKind::Limit { keyword, a: own, b: limit.to_string() });
                }
            }
        }
    }

    fn multiple(&mut self, a: &All<'a>, part: Part<'a>, at: &str) {
        let Some(Value::Number(step)) = part.get("multipleOf") else { return };
        let own = a.each("multipleOf").filter_map(Value::as_number).collect::<Vec<_>>();
        let divides = |own: &Number| match (own.as_i128(), step.as_i128()) {
            (Some(own), Some(step)) => step != 0 && own % step == 0,
            _ => order(own, step) == Some(Ordering::Equal),
        };
        let whole = step.as_i128() == Some(1) && !a.types().meets(Types::FRACTION);
        if !whole && !own.iter().any(|own| divides(own)) {
            let own = own.first().map(|own| own.to_string());
            self.lose(at, LossKind::Rule { keyword: "multipleOf".into(), a: own, b: step.to_string() });
        }
    }

    fn count(&mut self, a: &All<'a>, part: Part<'a>, keyword: &'static str, lower: bool, at: &str) {
        let Some(limit) = part.get(keyword).and_then(as_whole_number) else { return };
        let own = count(a, keyword, lower);
        let within = if lower { own.unwrap_or(0) >= limit } else { own.is_some_and(|own| own <= limit) };
        if !within {
            let own = own.map(|own| own.to_string());
            self.lose(at, LossKind::Limit { keyword, a: own, b: limit.to_string() });
        }
    }

    /// Whether one text includes another is only known when they are the same.
    fn word_for_word(&mut self, a: &All<'a>, part: Part<'a>, keyword: &str, at: &str) {
        let Some(demand) = part.get(keyword) else { return };
        let own = a.each(keyword).collect::<Vec<_>>();
        if !own.contains(&demand) {
            let quoted = |value: &Value| shortened(value.as_str().unwrap_or_default(), VALUE_CHARS);
            let a = own.first().map(|own| quoted(own));
            self.lose(at, LossKind::Rule { keyword: keyword.into(), a, b: quoted(demand) });
        }
    }
}

/// The tightest count that the parts demand.
pub(super) fn count(a: &All<'_>, keyword: &str, lower: bool) -> Option<u64> {
    let counts = a.each(keyword).filter_map(as_whole_number);
    if lower { counts.max() } else { counts.min() }
}

/// The tightest bound that the parts demand, and whether it is itself excluded.
fn own_bound<'d>(a: &All<'d>, plain: &str, exclusive: &str, lower: bool) -> Option<(&'d Number, bool)> {
    let plain = a.each(plain).filter_map(Value::as_number).map(|number| (number, false));
    let exclusive = a.each(exclusive).filter_map(Value::as_number).map(|number| (number, true));
    let tighter = |one: (&'d Number, bool), other: (&'d Number, bool)| match order(one.0, other.0) {
        Some(Ordering::Equal) => {
            if one.1 {
                one
            } else {
                other
            }
        }
        Some(Ordering::Greater) => {
            if lower {
                one
            } else {
                other
            }
        }
        Some(Ordering::Less) => {
            if lower {
                other
            } else {
                one
            }
        }
        None => one,
    };
    plain.chain(exclusive).reduce(tighter)
}

/// 3 and 3.0 alike.
fn as_whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u64))
}

/// Unknown where a float can't tell large integers apart.
fn order(one: &Number, other: &Number) -> Option<Ordering> {
    const EXACT: i128 = 1 << 53;
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        (Some(large), None) | (None, Some(large)) if large.abs() > EXACT => None,
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Equal as JSON Schema has it: 1 and 1.0 are.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            // numbers that can't be told apart may be equal
            order(one, other).is_none_or(|order| order == Ordering::Equal)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| equal(one, other)))
        }
        _ => one == other,
    }
}
