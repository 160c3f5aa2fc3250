//! What is wrong with an input is found within it, is said in a few words, and shows nothing that a terminal would obey.

use khronos_schedule::{
    Fault,
    diagnostic::{Diagnostic, Diagnostics},
};

/// The most characters of a message: what it repeats is shortened where it is read.
const LONGEST: usize = 2_001;

/// Every finding lies within the text, and its line is one of the text's.
pub fn placed(text: &str, found: &Diagnostics) {
    found.list().iter().for_each(|one| place(text, one));
    assert_eq!(found.list().is_empty(), found.errors() + found.warnings() == 0);
}

fn place(text: &str, one: &Diagnostic) {
    assert!(!one.message.is_empty() && one.message.chars().count() <= LONGEST, "{one:?}");
    assert!(
        one.help.as_ref().is_none_or(|help| !help.is_empty() && help.chars().count() <= LONGEST),
        "{one:?}"
    );
    assert_eq!(one.line.is_some(), one.column.is_some(), "{one:?}");
    let shown = one.source_line.as_deref().unwrap_or_default();
    assert!(shown.get(one.underline.clone()).is_some(), "{one:?}");
    let Some((line, column)) = one.line.zip(one.column) else { return };
    // The end of a text that ends a line is the begin of another.
    let of_text = text.split('\n').nth(line.wrapping_sub(1));
    let of_text = of_text.unwrap_or_else(|| panic!("there is no such line: {one:?}"));
    assert!((1..=of_text.chars().count() + 1).contains(&column), "{one:?}");
}

/// What is wrong with a definition is said in a few words, and at a place within the key's value, if that is known.
pub fn faults(found: &[Fault], value: impl Fn(&Fault) -> Option<String>) {
    assert!(!found.is_empty(), "refused without a reason");
    for fault in found {
        assert!(!fault.what.is_empty() && fault.what.chars().count() < 500, "{fault:?}");
        assert!(fault.help.as_ref().is_none_or(|help| help.chars().count() < 500), "{fault:?}");
        if let (Some(at), Some(text)) = (&fault.at, value(fault)) {
            assert!(text.get(at.clone()).is_some(), "{fault:?} in {text:?}");
        }
    }
}
