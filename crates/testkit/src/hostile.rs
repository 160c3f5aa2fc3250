//! Text that a terminal would obey, and a look at whether any of it got through.

/// Colours and titles by C0, the same by C1, DEL, writing turned round, and a line that passes for another one.
pub const HOSTILE: &str =
    "\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200f}\r\u{2028}\nforged: all is well";

/// Where `what` was printed: something of [`HOSTILE`] is there, and nothing that a terminal would obey.
///
/// # Panics
/// If not.
#[track_caller]
pub fn assert_harmless(what: &str, printed: &str) {
    assert!(printed.contains("[31m"), "{what} does not show it at all: {printed:?}");
    let obeyed = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found: Vec<char> = printed.chars().filter(|&c| obeyed(c)).collect();
    assert!(found.is_empty(), "{what} prints {found:?}: {printed:?}");
    assert!(!printed.lines().any(|line| line.starts_with("forged")), "{what}: {printed:?}");
}
