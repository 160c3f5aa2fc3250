//! Whether everything valid under one schema is valid under another: the walk through both.
//!
//! A is a conjunction of parts; it is split by its alternatives, and by type where B has alternatives, so that each case can be laid
//! beside each demand of B. Sound, not complete: if no loss is reported there is none; a reported loss may be one that can't be
//! ruled out.

use super::{
    disjoint::{apart, form},
    document::{Document, address, place},
    loss::{Loss, LossKind},
    parts::{All, Part},
    same,
    types::Types,
};
use crate::text::{VALUE_CHARS, json_excerpt, listed as in_words};
use serde_json::Value;

/// Pairs compared before giving up.
const MOST_STEPS: u32 = 20_000;
/// Pairs within pairs.
const DEEPEST: usize = 100;
/// Losses kept.
const MOST_LOSSES: usize = 1_000;

pub(super) struct Comparison<'a> {
    pub(super) a: &'a Document<'a>,
    pub(super) b: &'a Document<'a>,
    pub(super) losses: Vec<Loss>,
    steps: u32,
    /// How deep in the data we are; what recurs there is met again by smaller data.
    pub(super) level: u32,
    under_way: Vec<(PairKey, u32)>,
    /// Whether an open object's extra fields may bear names that B names. Only a test assumes so.
    pub(super) names_may_be_taken: bool,
}

/// A pair: the parts of A with the types chosen, and the demand of B.
type PairKey = (Vec<usize>, Types, usize, usize);

impl<'a> Comparison<'a> {
    pub(super) fn new(a: &'a Document<'a>, b: &'a Document<'a>) -> Self {
        let (losses, under_way) = (Vec::new(), Vec::new());
        Self { a, b, losses, steps: 0, level: 0, under_way, names_may_be_taken: false }
    }

    /// Returns the losses, each once.
    pub(super) fn run(mut self) -> Vec<Loss> {
        let whole = All::of(self.a, [self.a.root]);
        self.include(&whole, self.b.root, "");
        let mut losses: Vec<Loss> = Vec::new();
        for loss in self.losses {
            if !losses.contains(&loss) {
                losses.push(loss);
            }
        }
        losses
    }

    pub(super) fn lose(&mut self, at: &str, kind: LossKind) {
        let loss = Loss::new(at, kind);
        // Remarks never take the room of losses.
        let most = if loss.counts() { MOST_LOSSES } else { MOST_LOSSES / 2 };
        if self.losses.len() < most {
            self.losses.push(loss);
        }
    }

    fn unprovable(&mut self, at: &str, why: &str) {
        self.lose(at, LossKind::Unprovable(why.into()));
    }

    /// Whether what fits the schemas of A fits the one of B; one level deeper in the data.
    pub(super) fn include_below(&mut self, a: Vec<&'a Value>, b: &'a Value, at: &str) {
        self.level += 1;
        let a = All::of(self.a, a);
        self.include(&a, b, at);
        self.level -= 1;
    }

    /// The same of the names of fields, which are texts.
    pub(super) fn include_names(&mut self, a: Vec<&'a Value>, b: &'a Value, at: &str) {
        self.level += 1;
        let a = All::of(self.a, a).limited(Types::STRING);
        self.include(&a, b, at);
        self.level -= 1;
    }

    /// Whether all that fits `a` fits `b`. What doesn't is lost at `at`.
    pub(super) fn include(&mut self, a: &All<'a>, b: &'a Value, at: &str) {
        let demand = All::of(self.b, [b]);
        if a.wide_types(self.a) == Types::NONE {
            return;
        }
        if demand.never {
            return self.lose(at, LossKind::Nothing);
        }
        let mut addresses = a.parts.iter().map(|part| address(part)).collect::<Vec<_>>();
        addresses.sort_unstable();
        let key = (addresses, a.chosen(), a.splits.len(), place(b));
        if let Some((_, level)) = self.under_way.iter().find(|(known, _)| *known == key) {
            if *level == self.level {
                self.unprovable(at, "it refers to itself without going deeper into the data");
            }
            return;
        }
        self.steps += 1;
        if self.steps > MOST_STEPS || self.under_way.len() >= DEEPEST {
            return self.unprovable(at, "it is too large or too deep to be compared");
        }
        self.under_way.push((key, self.level));
        self.cases(a, &demand, b, at);
        self.under_way.pop();
    }

    fn cases(&mut self, a: &All<'a>, demand: &All<'a>, b: &'a Value, at: &str) {
        let known = |part: &Part<'a>| a.parts.iter().any(|own| same::parts(self.a, own, self.b, part));
        let open = demand.parts.iter().copied().filter(|part| !known(part)).collect::<Vec<_>>();
        if open.is_empty() && demand.unknown.is_none() {
            return;
        }
        if let Some(reference) = &demand.unknown {
            self.unprovable(at, &format!("it refers to {reference:?}, which is not followed"));
        }
        if let Some(values) = a.values(self.a) {
            return self.values(&values, &open, at);
        }
        let (has, takes) = (a.wide_types(self.a), demand.wide_types(self.b));
        let mut a = a.clone();
        if has.without(takes) != Types::NONE {
            self.lose(at, LossKind::Types { a: has, b: takes });
            a = a.limited(takes);
            if a.types() == Types::NONE {
                return;
            }
        }
        if !a.splits.is_empty() {
            let alternatives = a.splits.remove(0);
            for alternative in alternatives {
                let mut case = a.clone();
                case.add(self.a, alternative);
                self.include(&case, b, at);
            }
            return;
        }
        let kinds = Types::KINDS.into_iter().filter(|kind| kind.meets(has.and(takes))).collect::<Vec<_>>();
        if !demand.splits.is_empty() && kinds.len() > 1 {
            for kind in kinds {
                let case = a.clone().limited(kind);
                self.include(&case, b, at);
            }
            return;
        }
        if demand.splits.is_empty() {
            self.fields_that_come_and_go(&a, demand, at);
        }
        for part in open {
            self.part(&a, part, at);
        }
    }

    /// Each demand that one part of B makes, of a case of A that has no alternatives left.
    fn part(&mut self, a: &All<'a>, part: Part<'a>, at: &str) {
        if let Some(values) = super::parts::listed(part) {
            let few = [Value::Null, Value::Bool(false), Value::Bool(true)];
            let few = few.iter().filter(|value| a.types().meets(Types::of_value(value))).collect::<Vec<_>>();
            if a.types().without(Types::NULL.or(Types::BOOLEAN)) == Types::NONE {
                self.values(&few, &[part], at);
            } else {
                let values = in_words(values.iter().map(|value| json_excerpt(value, 40)), 5);
                self.lose(at, LossKind::Listed(values));
            }
            return;
        }
        self.scalars(a, part, at);
        self.objects(a, part, at);
        self.arrays(a, part, at);
        for (keyword, single) in [("anyOf", false), ("oneOf", true)] {
            if let Some(alternatives) = part.get(keyword).and_then(Value::as_array) {
                self.alternatives(a, alternatives, single, at);
            }
        }
        self.opaque(a, part, at);
    }

    /// Listed values are tried, one by one.
    fn values(&mut self, values: &[&Value], open: &[Part<'a>], at: &str) {
        for value in values {
            let mut verdicts = open.iter().map(|part| self.b.fits(part, value));
            match verdicts.find(|verdict| *verdict != Some(true)) {
                None => {}
                Some(Some(_)) => self.lose(at, LossKind::Value(json_excerpt(value, VALUE_CHARS))),
                Some(None) => self.unprovable(at, "the meaning of its references is not known"),
            }
        }
    }

    /// One alternative of B must take all of A; where exactly one may fit, the others must be apart from it.
    fn alternatives(&mut self, a: &All<'a>, alternatives: &'a [Value], single: bool, at: &str) {
        let laid_open =
            alternatives.iter().map(|schema| (schema, All::of(self.b, [schema]))).collect::<Vec<_>>();
        let near = |(_, all): &&(&'a Value, All<'a>)| !apart((self.a, a), (self.b, all));
        let candidates = laid_open.iter().filter(near).collect::<Vec<_>>();
        let mut attempts = Vec::new();
        for (schema, _) in &candidates {
            let kept = std::mem::take(&mut self.losses);
            self.include(a, schema, at);
            attempts.push(std::mem::replace(&mut self.losses, kept));
        }
        let taken = attempts.iter().position(|losses| !losses.iter().any(Loss::counts));
        let Some(index) = taken else {
            return match attempts.pop() {
                // Only one can be meant: say what is wrong with it.
                Some(losses) if attempts.is_empty() => self.losses.extend(losses),
                None => self.lose(at, LossKind::Form(form(self.a, a))),
                _ => self.lose(at, LossKind::NoAlternative),
            };
        };
        let taken = &candidates[index].1;
        let beside = candidates.iter().enumerate().filter(|(other, _)| *other != index);
        if single && beside.into_iter().any(|(_, (_, all))| !apart((self.b, taken), (self.b, all))) {
            return self.unprovable(at, "more than one alternative of \"oneOf\" may match");
        }
        let notes = attempts.swap_remove(index);
        self.losses.extend(notes);
    }

    /// Checks keywords that are compared literally only.
    fn opaque(&mut self, a: &All<'a>, part: Part<'a>, at: &str) {
        const GROUPS: &[&[&str]] = &[
            &["not"],
            &["if", "then", "else"],
            &["contains", "minContains", "maxContains"],
            &["dependentSchemas"],
            &["dependencies"],
            &["$dynamicRef"],
            &["$recursiveRef"],
            &["contentEncoding"],
            &["contentMediaType"],
        ];
        for group in GROUPS.iter().filter(|group| part.contains_key(group[0])) {
            // Only the older drafts assert what a text encodes.
            let remark = group[0].starts_with("content") && !self.b.references_hide();
            let twin = a.parts.iter().any(|own| same::keywords((self.a, own), (self.b, part), group));
            let excluded = group[0] == "not"
                && part.get("not").is_some_and(|not| apart((self.a, a), (self.b, &All::of(self.b, [not]))));
            if !(remark || twin || excluded) {
                self.unprovable(at, &format!("{:?} was added or changed", group[0]));
            }
        }
        // These depend on everything that stands beside them.
        for keyword in ["unevaluatedProperties", "unevaluatedItems"] {
            if part.get(keyword).is_some_and(|schema| *schema != Value::Bool(true)) {
                self.unprovable(at, &format!("the keywords beside {keyword:?} were changed"));
            }
        }
    }
}
