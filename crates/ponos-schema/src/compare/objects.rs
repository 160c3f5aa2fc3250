//! Compares objects: named, required and other fields, and their number.

use super::{
    include::Comparison,
    loss::LossKind,
    parts::{All, Part, named},
    types::Types,
};
use crate::text::{json_excerpt, step};
use serde_json::Value;

impl<'a> Comparison<'a> {
    /// Checks B's demands on an object that fits A.
    pub(super) fn objects(&mut self, a: &All<'a>, part: Part<'a>, at: &str) {
        if !a.types().meets(Types::OBJECT) {
            return;
        }
        for name in
            part.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !a.requires(name) {
                self.lose(&format!("{at}/{}", step(name)), LossKind::Required);
            }
        }
        for (name, schema) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.named_field(a, name, schema, &format!("{at}/{}", step(name)));
        }
        if let Some(rest) = part.get("additionalProperties") {
            self.other_fields(a, part, rest, at);
        }
        for (pattern, schema) in
            part.get("patternProperties").and_then(Value::as_object).into_iter().flatten()
        {
            self.pattern(a, pattern, schema, at);
        }
        if let Some(names) = part.get("propertyNames") {
            let own = a.each("propertyNames").collect();
            self.include_names(own, names, &format!("{at}/*"));
        }
        let dependent = part.get("dependentRequired").and_then(Value::as_object);
        for (name, others) in dependent.into_iter().flatten() {
            let known = a.each("dependentRequired").any(|own| own.get(name) == Some(others));
            let others = others.as_array().into_iter().flatten().filter_map(Value::as_str);
            for other in others.filter(|other| !known && !a.requires(other)) {
                let b = json_excerpt(&serde_json::json!({ name: [other] }), 80);
                self.lose(at, LossKind::Rule { keyword: "dependentRequired".into(), a: None, b });
            }
        }
    }

    fn named_field(&mut self, a: &All<'a>, name: &str, schema: &'a Value, at: &str) {
        let own = a.field(name);
        let patterned = a.each("patternProperties").next().is_some();
        let named = a.knows(name);
        // What A's open object holds under a name that it doesn't know: see the module's doc.
        let open = own.iter().all(|schema| accepts_all(schema));
        if !named && open && !patterned && !self.names_may_be_taken {
            return;
        }
        self.include_below(own, schema, at);
    }

    /// The fields that a part of B doesn't name.
    fn other_fields(&mut self, a: &All<'a>, part: Part<'a>, rest: &'a Value, at: &str) {
        if accepts_all(rest) {
            return;
        }
        for name in a.names().into_iter().filter(|name| named(part, name).is_none()) {
            let at = format!("{at}/{}", step(name));
            let own = a.field(name);
            if *rest != Value::Bool(false) {
                self.include_below(own, rest, &at);
            } else if !All::of(self.a, own).never {
                self.lose(&at, LossKind::Unnamed);
            }
        }
        let own = a.other_fields();
        if *rest != Value::Bool(false) {
            self.include_below(own, rest, &format!("{at}/*"));
        } else if !All::of(self.a, own).never {
            self.lose(at, LossKind::Closed);
        }
        let patterns = |part: &Part<'a>| part.get("patternProperties").and_then(Value::as_object);
        let known = |pattern: &str| patterns(&part).is_some_and(|own| own.contains_key(pattern));
        for (pattern, schema) in a.parts.iter().filter_map(patterns).flatten() {
            if !known(pattern) && *schema != Value::Bool(false) {
                self.include_below(vec![schema], rest, &format!("{at}/*"));
            }
        }
    }

    /// Fields by pattern: only one that A has too, in the same words, can be compared.
    fn pattern(&mut self, a: &All<'a>, pattern: &str, schema: &'a Value, at: &str) {
        let own = a.each("patternProperties").filter_map(|own| own.get(pattern)).collect::<Vec<_>>();
        if own.is_empty() && !accepts_all(schema) {
            let (a, b) = (None, pattern.to_owned());
            return self.lose(at, LossKind::Rule { keyword: "patternProperties".into(), a, b });
        }
        self.include_below(own, schema, &format!("{at}/*"));
    }

    /// Says which fields are new and which are gone, where that breaks nothing.
    pub(super) fn fields_that_come_and_go(&mut self, a: &All<'a>, b: &All<'a>, at: &str) {
        if !a.types().meets(Types::OBJECT) {
            return;
        }
        for name in b.names() {
            if !a.knows(name) && !b.requires(name) {
                self.lose(&format!("{at}/{}", step(name)), LossKind::NewField);
            }
        }
        let open = b.other_fields().iter().all(|schema| **schema != Value::Bool(false));
        for name in a.names() {
            if open && !b.knows(name) {
                self.lose(&format!("{at}/{}", step(name)), LossKind::OldField);
            }
        }
    }
}

/// `true`, or nothing demanded.
pub(super) fn accepts_all(schema: &Value) -> bool {
    match schema {
        Value::Bool(accepts) => *accepts,
        Value::Object(part) => part.is_empty(),
        _ => false,
    }
}
