//! `description` and `labels`: what people and filters know a schedule by. Nothing of what it sends, or when, depends on
//! them.

use super::Definition;
use crate::fault::{Fault, FaultCode, Flaw, shown};
use ponos_event::terminal;

/// Characters of a description, at most.
const DESCRIPTION: usize = 500;
/// Labels of one schedule, at most.
const MOST: usize = 16;
/// Bytes of a label's key, at most.
const KEY: usize = 63;
/// Characters of a label's value, at most.
const VALUE: usize = 100;

const LABELS: &str = "labels";

/// Whether a text can be the key of a label: `[a-z0-9][a-z0-9_-]{0,62}`.
pub fn is_label_key(text: &str) -> bool {
    let inner = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let begins = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    (1..=KEY).contains(&text.len())
        && text.bytes().next().is_some_and(begins)
        && text.as_bytes().iter().all(inner)
}

pub(crate) fn check(definition: &Definition, faults: &mut Vec<Fault>) {
    if let Some(flaw) = definition.description.as_deref().and_then(|text| flaw(text, DESCRIPTION)) {
        faults.push(flaw.of("description"));
    }
    let Some(labels) = &definition.labels else { return };
    if labels.len() > MOST {
        let flaw = Flaw::whole(format!("{} labels; {MOST} are allowed", labels.len()));
        return faults.push(flaw.code(FaultCode::OutOfRange).expected(format!("at most {MOST}")).of(LABELS));
    }
    for (key, value) in labels {
        if !is_label_key(key) {
            let rule = format!("keys are 1 to {KEY} of a-z, 0-9 and inner '_', '-'");
            let flaw = Flaw::whole(format!("'{}' is not the key of a label; {rule}", shown(key)));
            faults.push(flaw.expected(rule).of(LABELS));
        } else if let Some(flaw) = flaw(value, VALUE) {
            faults.push(flaw.of_entry(LABELS, key));
        } else if value.contains(',') {
            let flaw = Flaw::whole("',' is not allowed here: it stands between two labels in a filter");
            faults.push(flaw.of_entry(LABELS, key));
        }
    }
}

/// What is wrong with a line that people are shown.
fn flaw(text: &str, most: usize) -> Option<Flaw> {
    let (count, rule) = (text.chars().count(), format!("one line of 1 to {most} characters"));
    let flaw = match text {
        "" => Flaw::whole("it is empty").help("leave the key out"),
        _ if count > most => Flaw::whole(format!("{count} characters; {most} are allowed")),
        _ if terminal::line(text) != text => {
            Flaw::whole("it has characters that a terminal would not show as they are, or several lines")
                .help("write it on one line")
        }
        _ if text.trim() != text => Flaw::whole("it begins or ends with a blank"),
        _ => return None,
    };
    let flaw = if count > most { flaw.code(FaultCode::OutOfRange) } else { flaw };
    Some(flaw.expected(rule))
}
