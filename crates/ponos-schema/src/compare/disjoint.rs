//! Decides whether no value can fit two schemas at once, which tells alternatives apart.

use super::{document::Document, parts::All, scalars::equal, types::Types};
use crate::text::{json_excerpt, listed, shortened};
use serde_json::Value;

/// How deep fields are looked into; a tag stands at the top or one below.
const DEPTH: u32 = 3;

/// A conjunction with the document it is from.
pub(super) type Of<'c, 'd> = (&'c Document<'d>, &'c All<'d>);

/// True if no value fits both; false if that is not known.
pub(super) fn apart<'d>(x: Of<'_, 'd>, y: Of<'_, 'd>) -> bool {
    apart_within(x, y, DEPTH)
}

fn apart_within<'d>(x: Of<'_, 'd>, y: Of<'_, 'd>, depth: u32) -> bool {
    let common = x.1.wide_types(x.0).and(y.1.wide_types(y.0));
    if common == Types::NONE {
        return true;
    }
    match (x.1.values(x.0), y.1.values(y.0)) {
        (Some(xs), Some(ys)) => return !xs.iter().any(|x| ys.iter().any(|y| equal(x, y))),
        (Some(values), None) => return values.iter().all(|value| misses(y, value)),
        (None, Some(values)) => return values.iter().all(|value| misses(x, value)),
        (None, None) => {}
    }
    common == Types::OBJECT && depth > 0 && fields_apart(x, y, depth)
}

fn misses((document, all): Of<'_, '_>, value: &Value) -> bool {
    all.parts.iter().any(|part| document.fits(part, value) == Some(false))
}

/// A field that one of them requires keeps them apart when its schemas are apart, or when the other has no room for it.
fn fields_apart<'d>(x: Of<'_, 'd>, y: Of<'_, 'd>, depth: u32) -> bool {
    let required = x.1.each("required").chain(y.1.each("required"));
    let mut names = required.filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    names.any(|name| {
        let of_x = All::of(x.0, x.1.field(name));
        let of_y = All::of(y.0, y.1.field(name));
        of_x.never || of_y.never || apart_within((x.0, &of_x), (y.0, &of_y), depth - 1)
    })
}

/// What distinguishes one form, for people: its tags, else its required fields, else its type.
pub(super) fn form<'d>(document: &Document<'d>, all: &All<'d>) -> String {
    let required = all.each("required").filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let required = required.collect::<Vec<_>>();
    let tag = |name: &&str| {
        let values = All::of(document, all.field(name)).values(document)?;
        let [value] = values.as_slice() else { return None };
        Some(format!("{name} = {}", json_excerpt(value, 40)))
    };
    let tags = required.iter().filter_map(tag).collect::<Vec<_>>();
    if !tags.is_empty() {
        return format!("with {}", listed(tags.into_iter(), 3));
    }
    if !required.is_empty() {
        return format!("with {}", listed(required.iter().map(|name| shortened(name, 40)), 3));
    }
    format!("of {}", all.types())
}
