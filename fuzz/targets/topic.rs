//! Topic patterns: which are accepted, and what they match, against the definition of a match. Input: a pattern, a cut, a key.
#![no_main]

use fuzz::pieces;
use ponos_event::{
    EventName,
    topology::{check_event_pattern, check_pattern, topic_matches},
};

/// Beyond that the naive matcher takes too long; ours is asked for the time it takes, with whatever stands there.
const FEW: usize = 10;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    let [pattern, key] = pieces::cut(text);
    let matched = topic_matches(pattern, key);
    let (pattern_words, key_words) = (words(pattern), words(key));
    if pattern_words.len() <= FEW && key_words.len() <= FEW {
        assert_eq!(matched, naive(&pattern_words, &key_words), "{pattern:?} and {key:?}");
    }
    let is_pattern = check_pattern(pattern);
    let is_for_events = check_event_pattern(pattern);
    assert!(is_pattern.is_ok() || is_for_events.is_err());
    for wrong in [&is_pattern, &is_for_events].into_iter().filter_map(|checked| checked.as_ref().err()) {
        let shown = wrong.to_string();
        assert!(!shown.contains(char::is_control) && shown.len() < 1_500, "{shown:?}");
    }
    if let Ok(name) = key.parse::<EventName>() {
        assert!(check_event_pattern(key).is_ok());
        // What matches a name is a pattern for names, if it is a pattern.
        assert!(!topic_matches(pattern, name.as_str()) || is_pattern.is_err() || is_for_events.is_ok());
    }
});

fn words(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('.').collect() }
}

/// `*` is one word, `#` any number of them.
fn naive(pattern: &[&str], key: &[&str]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((&"#", rest)) => (0..=key.len()).any(|skipped| naive(rest, &key[skipped..])),
        Some((&"*", rest)) => !key.is_empty() && naive(rest, &key[1..]),
        Some((word, rest)) => key.first() == Some(word) && naive(rest, &key[1..]),
    }
}
