//! Which labels schedules must have: `team:billing`, or `team:billing,stage` for several of them.

use crate::{
    ops::OpsError,
    schedule::{FaultCode, Packed, is_label_key},
};

/// Labels that are asked for at once, at most: as many as a schedule may have.
const MOST: usize = 16;

/// Labels that a schedule must have, all of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LabelFilter<'a>(Vec<(&'a str, Option<&'a str>)>);

impl<'a> LabelFilter<'a> {
    /// Reads `key:value` or, for any value, `key`; several with a comma between them.
    pub(super) fn read(text: &'a str) -> Result<Self, OpsError> {
        let refuse = |code, what: String| Err(OpsError::parameter("label", code, what));
        let wanted: Vec<(&str, Option<&str>)> = text
            .split(',')
            .take(MOST + 1)
            .map(|one| one.split_once(':').map_or((one, None), |(key, value)| (key, Some(value))))
            .map(|(key, value)| (key.trim(), value.map(str::trim)))
            .collect();
        if wanted.len() > MOST {
            return refuse(FaultCode::OutOfRange, format!("at most {MOST} labels"));
        }
        if wanted.iter().any(|(key, value)| !is_label_key(key) || value.is_some_and(str::is_empty)) {
            let what = "write key:value, or a key for any value of it, and a comma between several, as in \
                        team:billing,stage; keys are a-z, 0-9 and inner '_', '-'";
            return refuse(FaultCode::InvalidValue, what.to_owned());
        }
        Ok(Self(wanted))
    }

    /// Whether a definition has them all.
    pub(super) fn passes(&self, definition: &Packed) -> bool {
        self.0.iter().all(|(key, value)| {
            definition.label(key).is_some_and(|label| value.is_none_or(|wanted| wanted == label))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Definition;

    #[test]
    fn a_schedule_passes_that_has_all_labels_that_are_asked_for() {
        let labels = [("team", "billing"), ("stage", "a: b")].map(|(key, value)| (key.into(), value.into()));
        let every = Some("1h".to_owned());
        let definition = Definition { name: "a".into(), every, ..Definition::default() };
        let without = Packed::build(&definition).unwrap();
        let with = Packed::build(&Definition { labels: Some(labels.into()), ..definition }).unwrap();
        for (text, passes) in [
            ("team:billing", true),
            ("team", true),
            ("team:billing, stage:a: b", true),
            ("team:bill", false),
            ("team:Billing", false),
            ("owner", false),
            ("team,owner", false),
            ("team:billing,team:other", false),
        ] {
            let filter = LabelFilter::read(text).unwrap();
            assert_eq!((filter.passes(&with), filter.passes(&without)), (passes, false), "{text}");
        }
    }

    #[test]
    fn what_is_no_label_is_refused() {
        let many = ["a"; 17].join(",");
        for text in ["", ",", "team:", ":x", "Team:x", "team=billing", "team:a,", &many, &",".repeat(1 << 20)]
        {
            let refused = LabelFilter::read(text).unwrap_err();
            assert!(matches!(refused, OpsError::Parameter(fault) if fault.name == "label"), "{text:.40}");
        }
        assert!(LabelFilter::read(&["a"; 16].join(",")).is_ok());
    }
}
