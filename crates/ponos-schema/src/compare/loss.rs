//! The losses between two schemas A and B, as sentences for the side that they concern.

use super::{Change, Side, types::Types};

/// Something that is valid under A and not under B, or can't be shown to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) pointer: String,
    pub(super) kind: LossKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LossKind {
    /// B requires a field, A does not.
    Required,
    /// A allows types that B does not.
    Types { a: Types, b: Types },
    /// A lists a value that B does not take.
    Value(String),
    /// B lists its values, A does not.
    Listed(String),
    /// A allows fields that nothing names, B does not.
    Closed,
    /// A names a field, B does not and has no room for others.
    Unnamed,
    /// A allows something, B nothing.
    Nothing,
    /// B's limit is tighter than A's.
    Limit { keyword: &'static str, a: Option<String>, b: String },
    /// B demands what A does not, or not in the same words.
    Rule { keyword: String, a: Option<String>, b: String },
    /// A form that all alternatives of B exclude.
    Form(String),
    /// No alternative of B is certain to accept what A allows.
    NoAlternative,
    /// Beyond what is compared.
    Unprovable(String),
    /// B names an optional field that A does not. No loss.
    NewField,
    /// A names a field that B does not, and B has room for it. No loss.
    OldField,
}

impl Loss {
    pub(super) fn new(pointer: impl Into<String>, kind: LossKind) -> Self {
        Self { pointer: pointer.into(), kind }
    }

    /// Whether something is really lost.
    pub(super) fn counts(&self) -> bool {
        !matches!(self.kind, LossKind::NewField | LossKind::OldField)
    }

    /// As a change from the old form to the new one. Remarks that are not losses are reported once.
    pub(super) fn into_change(self, side: Side) -> Option<Change> {
        let breaking = self.counts();
        let what = match side {
            Side::Queued => queued(&self.kind),
            Side::Readers if breaking => readers(&self.kind),
            Side::Readers => return None,
        };
        Some(Change { pointer: self.pointer, what, breaking, side })
    }
}

/// A is the old form, B the new one.
fn queued(kind: &LossKind) -> String {
    let refused =
        |what: String, which: &str| format!("{what}; messages already queued {which} would be refused");
    match kind {
        LossKind::Required => refused("became required".into(), "without it"),
        LossKind::Types { a, b } if a.meets(*b) => {
            refused(format!("type narrowed from {a} to {b}"), &format!("with {}", a.without(*b)))
        }
        LossKind::Types { a, b } => refused(format!("type changed from {a} to {b}"), &format!("with {a}")),
        LossKind::Value(value) => refused(format!("the value {value} was removed"), "with it"),
        LossKind::Listed(values) => refused(format!("only {values} is allowed now"), "with other values"),
        LossKind::Closed => {
            refused("fields that the schema doesn't name are no longer allowed".into(), "with such fields")
        }
        LossKind::Unnamed => {
            refused("was removed, and the schema allows no fields that it doesn't name".into(), "with it")
        }
        LossKind::Nothing => refused("nothing is allowed here any more".into(), "with a value here"),
        LossKind::Limit { keyword, a: None, b } => {
            refused(format!("{keyword} {b} was introduced"), "beyond it")
        }
        LossKind::Limit { keyword, a: Some(a), b } => {
            refused(format!("{keyword} was tightened from {a} to {b}"), "beyond it")
        }
        LossKind::Rule { keyword, a: None, b } => {
            refused(format!("{keyword} {b} was introduced"), "that don't satisfy it")
        }
        LossKind::Rule { keyword, a: Some(a), b } => format!(
            "{keyword} was changed from {a} to {b}; messages already queued can't be shown to satisfy it"
        ),
        LossKind::Form(form) => refused(format!("the form {form} was removed"), "in it"),
        LossKind::NoAlternative => {
            "can't be shown to be compatible: no alternative of the new schema is certain to \
                                accept what the old one allowed; messages already queued may be refused"
                .into()
        }
        LossKind::Unprovable(why) => {
            format!("can't be shown to be compatible: {why}; messages already queued may be refused")
        }
        LossKind::NewField => "was added, optional".into(),
        LossKind::OldField => "was removed; messages that have it are still accepted".into(),
    }
}

/// A is the new form, B the old one.
fn readers(kind: &LossKind) -> String {
    let refused = |what: String, which: &str| {
        format!("{what}; consumers that still have the old schema would refuse messages {which}")
    };
    match kind {
        LossKind::Required => refused("is no longer required".into(), "without it"),
        LossKind::Types { a, b } if a.meets(*b) => {
            refused(format!("type widened from {b} to {a}"), &format!("with {}", a.without(*b)))
        }
        LossKind::Types { a, b } => refused(format!("type changed from {b} to {a}"), &format!("with {a}")),
        LossKind::Value(value) => refused(format!("the value {value} was added"), "with it"),
        LossKind::Listed(values) => refused(format!("is no longer limited to {values}"), "with other values"),
        LossKind::Closed => {
            refused("fields that the schema doesn't name are allowed now".into(), "with such fields")
        }
        LossKind::Unnamed => {
            refused("was added, and the old schema allows no fields that it doesn't name".into(), "with it")
        }
        LossKind::Nothing => refused("nothing was allowed here before".into(), "with a value here"),
        LossKind::Limit { keyword, a: None, b } => refused(format!("{keyword} {b} was dropped"), "beyond it"),
        LossKind::Limit { keyword, a: Some(a), b } => {
            refused(format!("{keyword} was relaxed from {b} to {a}"), "beyond it")
        }
        LossKind::Rule { keyword, a: None, b } => {
            refused(format!("{keyword} {b} was dropped"), "that don't satisfy it")
        }
        LossKind::Rule { keyword, a: Some(a), b } => format!(
            "{keyword} was changed from {b} to {a}; consumers that still have the old schema \
             can't be shown to accept what satisfies the new one"
        ),
        LossKind::Form(form) => refused(format!("the form {form} was added"), "in it"),
        LossKind::NoAlternative => {
            "can't be shown to be compatible: no alternative of the old schema is certain to \
                                accept what the new one allows; consumers that still have the old one may refuse it"
                .into()
        }
        LossKind::Unprovable(why) => format!(
            "can't be shown to be compatible: {why}; consumers that still have the old schema may refuse messages"
        ),
        LossKind::NewField | LossKind::OldField => String::new(),
    }
}
