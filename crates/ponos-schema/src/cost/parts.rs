//! A schema as a graph: which part applies which other to the same place of a value, or to the places below it.
//!
//! Absent: what a part asserts. A reference that may lead to several parts (an anchor in several resources, a dynamic one) leads
//! to all of them, so that nothing is missed.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// A schema that is an object. Booleans apply nothing and are left out.
#[derive(Debug, Default)]
pub(super) struct SchemaNode<'d> {
    /// Where it stands, as JSON pointer.
    pub(super) at: String,
    /// The parts that it applies to the same place.
    pub(super) beside: Vec<Edge>,
    /// The parts that it applies to fields, by name.
    pub(super) fields: HashMap<&'d str, usize>,
    /// The parts that it may apply to any field, …
    pub(super) patterns: Vec<usize>,
    /// … and to those that `fields` has no entry for.
    pub(super) others: Vec<usize>,
    /// The parts that it applies to the names of fields.
    pub(super) names: Vec<usize>,
    /// The parts that it may apply to an item.
    pub(super) items: Vec<usize>,
    /// Whether it asks what the others have evaluated: they are looked through again for that.
    pub(super) asks_back: bool,
    /// Whether a reference can lead from it back to it.
    pub(super) is_cyclic: bool,
}

/// To a part that is applied to the same place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) to: usize,
    pub(super) is_reference: bool,
}

const BESIDE: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
const DEPENDENT: [&str; 2] = ["dependentSchemas", "dependencies"];
const OTHERS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
const ITEMS: [&str; 5] = ["items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// All parts of a schema; the first is the whole.
pub(super) fn schema_nodes(schema: &Value) -> Vec<SchemaNode<'_>> {
    let mut found = Found::default();
    found.walk(schema, &mut String::new());
    let mut parts: Vec<SchemaNode<'_>> =
        found.objects.iter().map(|(object, at)| found.part(object, at)).collect();
    mark_cycles(&mut parts);
    parts
}

/// All objects of a document, be they schemas or not: a reference may lead to any.
#[derive(Default)]
struct Found<'d> {
    objects: Vec<(&'d Map<String, Value>, String)>,
    index: HashMap<usize, usize>,
    root: Option<&'d Value>,
    /// With an `$id`, and so the beginning of what pointers count from.
    resources: Vec<&'d Value>,
    anchors: HashMap<&'d str, Vec<usize>>,
}

impl<'d> Found<'d> {
    /// As deep as a document is read: see [`Contract::MAX_DEPTH`](super::super::Contract::MAX_DEPTH).
    fn walk(&mut self, value: &'d Value, at: &mut String) {
        self.root.get_or_insert(value);
        let inner: Vec<(String, &'d Value)> = match value {
            Value::Object(object) => {
                self.object(value, object, at);
                object.iter().map(|(name, value)| (super::super::text::step(name), value)).collect()
            }
            Value::Array(items) => {
                items.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect()
            }
            _ => return,
        };
        for (step, value) in inner {
            let length = at.len();
            at.push('/');
            at.push_str(&step);
            self.walk(value, at);
            at.truncate(length);
        }
    }

    fn object(&mut self, value: &'d Value, object: &'d Map<String, Value>, at: &str) {
        let number = self.objects.len();
        self.index.insert(address(object), number);
        self.objects.push((object, at.to_owned()));
        let text = |keyword: &str| object.get(keyword).and_then(Value::as_str);
        for id in ["$id", "id"].into_iter().filter_map(text) {
            match id.strip_prefix('#') {
                Some(anchor) => self.anchors.entry(anchor).or_default().push(number),
                None => self.resources.push(value),
            }
        }
        for anchor in ["$anchor", "$dynamicAnchor"].into_iter().filter_map(text) {
            self.anchors.entry(anchor).or_default().push(number);
        }
        if object.get("$recursiveAnchor").is_some() {
            self.anchors.entry("").or_default().push(number);
        }
    }

    fn part(&self, object: &'d Map<String, Value>, at: &str) -> SchemaNode<'d> {
        let number = |value: &Value| Some(*self.index.get(&address(value.as_object()?))?);
        let listed = |keywords: &[&str]| -> Vec<usize> {
            let values = keywords.iter().filter_map(|keyword| object.get(*keyword));
            values.flat_map(schemas).filter_map(number).collect()
        };
        let table = |keyword: &str| object.get(keyword).and_then(Value::as_object).into_iter().flatten();
        let inline = listed(&BESIDE).into_iter();
        let inline =
            inline.chain(DEPENDENT.into_iter().flat_map(table).filter_map(|(_, value)| number(value)));
        let beside = inline.map(|to| Edge { to, is_reference: false });
        let references = REFERENCES.into_iter().filter_map(|keyword| object.get(keyword)?.as_str());
        let references = references.flat_map(|to| self.targets(to));
        SchemaNode {
            at: at.to_owned(),
            beside: beside.chain(references.map(|to| Edge { to, is_reference: true })).collect(),
            fields: table("properties").filter_map(|(name, value)| Some((&**name, number(value)?))).collect(),
            patterns: table("patternProperties").filter_map(|(_, value)| number(value)).collect(),
            others: listed(&OTHERS),
            names: listed(&["propertyNames"]),
            items: listed(&ITEMS),
            asks_back: object.contains_key("unevaluatedProperties")
                || object.contains_key("unevaluatedItems"),
            is_cyclic: false,
        }
    }

    /// Where a reference may lead. What leads nowhere is refused by who compiles the schema.
    fn targets(&self, to: &str) -> Vec<usize> {
        let (resource, fragment) = to.split_once('#').unwrap_or((to, ""));
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return self.anchors.get(fragment).cloned().unwrap_or_default();
        }
        let pointer = decoded(fragment);
        // Which resource a relative reference means depends on the resource it stands in: any may be meant.
        let resources = self.resources.iter().copied();
        let from = self.root.into_iter().filter(|_| resource.is_empty()).chain(resources);
        let targets = from.filter_map(|resource| resource.pointer(&pointer)?.as_object());
        let mut targets: Vec<usize> =
            targets.filter_map(|object| self.index.get(&address(object)).copied()).collect();
        if to == "#" {
            targets.extend(self.anchors.get("").into_iter().flatten());
        }
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

fn address(object: &Map<String, Value>) -> usize {
    std::ptr::from_ref(object) as usize
}

/// A schema, or a list of them.
fn schemas(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(list) => list.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

/// Decodes a fragment's percent-encoding; malformed escapes stay.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Marks the parts that a way leads from back to themselves (Kosaraju's two walks, without recursion).
fn mark_cycles(parts: &mut [SchemaNode<'_>]) {
    let ways: Vec<Vec<usize>> = parts.iter().map(SchemaNode::all).collect();
    let mut back: Vec<Vec<usize>> = vec![Vec::new(); parts.len()];
    for (from, to) in ways.iter().enumerate().flat_map(|(from, ways)| ways.iter().map(move |to| (from, *to)))
    {
        back[to].push(from);
    }
    let mut left = Vec::with_capacity(parts.len());
    let mut seen = vec![false; parts.len()];
    for start in 0..parts.len() {
        let mut stack = if std::mem::replace(&mut seen[start], true) { Vec::new() } else { vec![(start, 0)] };
        while let Some((part, next)) = stack.last_mut() {
            let Some(to) = ways[*part].get(*next).copied() else {
                left.extend(stack.pop().map(|(part, _)| part));
                continue;
            };
            *next += 1;
            if !std::mem::replace(&mut seen[to], true) {
                stack.push((to, 0));
            }
        }
    }
    for start in left.into_iter().rev() {
        let mut group = Vec::new();
        let mut stack = vec![start];
        while let Some(part) = stack.pop() {
            if std::mem::replace(&mut seen[part], false) {
                group.push(part);
                stack.extend(&back[part]);
            }
        }
        let is_cyclic = group.len() > 1 || group.iter().any(|part| ways[*part].contains(part));
        group.into_iter().for_each(|part| parts[part].is_cyclic = is_cyclic);
    }
}

impl SchemaNode<'_> {
    fn all(&self) -> Vec<usize> {
        let Self { beside, fields, patterns, others, names, items, .. } = self;
        let below = fields.values().chain(patterns).chain(others).chain(names).chain(items).copied();
        beside.iter().map(|edge| edge.to).chain(below).collect()
    }
}
