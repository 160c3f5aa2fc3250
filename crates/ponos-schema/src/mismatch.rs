//! Says what in a value does not fit a contract, for people and for dead letters.

use super::text::{VALUE_CHARS, json_excerpt, listed, shortened, step};
use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// One violation of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where in the value: a JSON pointer (RFC 6901), cut after 200 characters; empty for the whole value.
    pub pointer: String,
    /// What was expected and what was found: one sentence, without the pointer.
    pub message: String,
}

/// Why a value does not fit its contract: up to 10 violations, and the number of the others.
///
/// `Display` has one line per violation and at most [`Mismatch::MAX_BYTES`] bytes; values are shortened to 80 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    violations: Vec<Violation>,
    more: usize,
}

impl Mismatch {
    /// The longest text, in bytes: that of a dead letter's reason.
    pub const MAX_BYTES: usize = 4_000;
    const SHOWN: usize = 10;
    /// The most violations that are counted.
    const COUNTED: usize = 1_000;

    /// A mismatch without its place, where finding it would take too long.
    pub(super) fn without_place() -> Self {
        let message = "does not fit its schema; the value is too deep or too large to find out where";
        let violations = vec![Violation { pointer: String::new(), message: message.into() }];
        Self { violations, more: 0 }
    }

    /// The first violations, as data.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many other violations there are; at most 990 are counted.
    pub fn more(&self) -> usize {
        self.more
    }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Room for the last line.
        let mut room = Self::MAX_BYTES - 40;
        let mut shown = 0;
        for violation in &self.violations {
            let at = if violation.pointer.is_empty() { "the whole value" } else { &violation.pointer };
            let line = format!("{at}: {}", violation.message);
            if line.len() + 1 > room {
                break;
            }
            room -= line.len() + 1;
            if shown > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
            shown += 1;
        }
        match self.violations.len() - shown + self.more {
            0 => Ok(()),
            more if self.more >= Self::COUNTED - Self::SHOWN => write!(f, "\nand {more} or more others"),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Collects violations, within bounds.
pub(super) fn collect<'e>(errors: impl Iterator<Item = ValidationError<'e>>) -> Mismatch {
    let mut violations = Vec::new();
    let mut more = 0;
    for error in errors.take(Mismatch::COUNTED) {
        if violations.len() < Mismatch::SHOWN { violations.push(violation(&error)) } else { more += 1 }
    }
    Mismatch { violations, more }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    Violation { pointer: pointer(error), message: message(error) }
}

fn pointer(error: &ValidationError<'_>) -> String {
    let mut pointer = error.instance_path().as_str().to_owned();
    // a missing field is named by the place where it should be
    if let Kind::Required { property: Value::String(name) } = error.kind() {
        pointer = format!("{pointer}/{}", step(name));
    }
    shortened(&pointer, 200)
}

/// `expected an integer, found "seven"`.
pub(super) fn message(error: &ValidationError<'_>) -> String {
    let expected = match error.kind() {
        Kind::Required { .. } => return "is required and missing".into(),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names = listed(unexpected.iter().map(|name| format!("{:?}", shortened(name, 40))), 3);
            return format!("expected only the fields that the schema names, found {names}");
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => return no_alternative(error, context),
        Kind::OneOfMultipleValid { .. } => "to fit exactly one alternative, but several fit".into(),
        Kind::Type { kind: TypeKind::Single(kind) } => kind.to_string(),
        Kind::Type { kind: TypeKind::Multiple(kinds) } => {
            kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
        }
        Kind::Enum { options } => match options.as_array() {
            Some(options) => {
                format!("one of {}", listed(options.iter().map(|value| json_excerpt(value, 40)), 5))
            }
            None => "one of the values listed".into(),
        },
        Kind::Constant { expected_value } => json_excerpt(expected_value.as_ref(), VALUE_CHARS),
        Kind::Format { format } => format!("the format {}", shortened(format, 40)),
        Kind::Pattern { pattern } => format!("to match {}", shortened(pattern, VALUE_CHARS)),
        Kind::Minimum { limit } => format!("at least {limit}"),
        Kind::Maximum { limit } => format!("at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("at least {limit} characters"),
        Kind::MaxLength { limit } => format!("at most {limit} characters"),
        Kind::MinItems { limit } => format!("at least {limit} items"),
        Kind::MaxItems { limit } => format!("at most {limit} items"),
        Kind::AdditionalItems { limit } => format!("at most {limit} items"),
        Kind::MinProperties { limit } => format!("at least {limit} fields"),
        Kind::MaxProperties { limit } => format!("at most {limit} fields"),
        Kind::UniqueItems => "items that differ from one another".into(),
        Kind::Contains => "an item that satisfies the schema's \"contains\"".into(),
        Kind::FalseSchema => "nothing here".into(),
        Kind::PropertyNames { error } if matches!(error.kind(), Kind::PropertyNames { .. }) => {
            "other field names".into()
        }
        Kind::PropertyNames { error } => return format!("a field's name: {}", message(error)),
        other => format!("to fit the schema's {:?}", shortened(other.keyword(), 40)),
    };
    format!("expected {expected}, found {}", json_excerpt(error.instance().as_ref(), VALUE_CHARS))
}

/// Names the closest alternative, and what fails in it, however deep.
fn no_alternative(error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) -> String {
    let found = json_excerpt(error.instance().as_ref(), VALUE_CHARS);
    let expected = format!("one of {} alternatives, found {found}", context.len());
    let mut closest = None;
    let (mut at, mut context) = (error.instance_path().as_str().len(), context);
    // Down, never branching: each level is told once.
    while let Some(inner) = closest_in(context, at) {
        closest = Some(inner);
        let (Kind::AnyOf { context: deeper } | Kind::OneOfNotValid { context: deeper }) = inner.kind() else {
            break;
        };
        (at, context) = (inner.instance_path().as_str().len(), deeper);
    }
    match closest {
        Some(inner) if !matches!(inner.kind(), Kind::AnyOf { .. } | Kind::OneOfNotValid { .. }) => {
            let reason = shortened(&message(inner), 160);
            format!("expected {expected}; the closest fails at {}: {reason}", pointer(inner))
        }
        Some(inner) => format!("expected {expected}; the closest fails at {}", pointer(inner)),
        None => format!("expected {expected}"),
    }
}

/// Of the alternatives that fail below `at` only, the first fault of the one with fewest.
fn closest_in<'e>(
    context: &'e [Vec<ValidationError<'static>>],
    at: usize,
) -> Option<&'e ValidationError<'static>> {
    let below =
        |errors: &&Vec<ValidationError<'_>>| errors.iter().all(|inner| pointer(inner).len() > at.min(199));
    context.iter().filter(below).min_by_key(|errors| errors.len())?.first()
}
