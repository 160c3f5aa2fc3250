//! Finds handlers of a queue that are never reached, because those before them take all their events.

use crate::topology::topic_matches;

/// A word that occurs in no name or pattern, so that only a wildcard matches it.
const ANY: &str = "?";
/// The fewest words of a name.
const WORDS: usize = 3;
/// The most keys tried for one pattern; a pattern that needs more is not compared.
const KEYS: usize = 20_000;

/// Returns the patterns of `before` that together take everything that `pattern` takes; empty if something is left for it.
/// `None` if it has too many wildcards to find out.
pub(super) fn overshadowing<'a>(pattern: &str, before: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut takers: Vec<&str> = Vec::new();
    if before.is_empty() {
        return Some(takers);
    }
    // a `#` that took more words than a pattern has would be matched by a `#` there, and so by any number of words
    let most = before.iter().map(|wide| wide.split('.').count() + 1).fold(WORDS, usize::max);
    for key in keys(pattern, most)? {
        if takers.iter().any(|taker| topic_matches(taker, &key)) {
            continue;
        }
        match before.iter().find(|wide| topic_matches(wide, &key)) {
            Some(taker) => takers.push(taker),
            None => return Some(Vec::new()),
        }
    }
    Some(takers)
}

/// Keys that stand for all that the pattern matches, with up to `most` words for each `#`.
fn keys(pattern: &str, most: usize) -> Option<Vec<String>> {
    let mut keys: Vec<Vec<&str>> = vec![Vec::new()];
    let mut last = "";
    for word in pattern.split('.') {
        match word {
            // two of them are one
            "#" if last == "#" => {}
            "#" => {
                if keys.len().saturating_mul(most + 1) > KEYS {
                    return None;
                }
                keys = keys
                    .iter()
                    .flat_map(|key| (0..=most).map(|count| [&key[..], &vec![ANY; count]].concat()))
                    .collect();
            }
            "*" => keys.iter_mut().for_each(|key| key.push(ANY)),
            literal => keys.iter_mut().for_each(|key| key.push(literal)),
        }
        last = word;
    }
    Some(keys.into_iter().filter(|key| key.len() >= WORDS).map(|key| key.join(".")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_others_take_before_it_is_never_reached() {
        for (pattern, before, takers) in [
            ("order.item.shipped", &["order.#"][..], &["order.#"][..]),
            ("order.item.shipped", &["order.*.returned", "order.*.shipped"], &["order.*.shipped"]),
            ("order.*.shipped", &["#.shipped"], &["#.shipped"]),
            ("#.*", &["*.#"], &["*.#"]),
            ("#", &["*.*.#"], &["*.*.#"]),
            ("#.#", &["#"], &["#"]),
            ("#", &["*.*.*", "*.*.*.#"], &["*.*.*", "*.*.*.#"]),
            ("order.#.shipped", &["order.#"], &["order.#"]),
            ("order.#", &["order.item.shipped"], &[]),
            ("order.#", &["order.*.*"], &[]),
            ("order.*.shipped", &["order.item.*"], &[]),
            ("#", &["*.*.*.*.#"], &[]),
            ("order.item.shipped", &[], &[]),
        ] {
            assert_eq!(overshadowing(pattern, before).unwrap(), takers, "{pattern} after {before:?}");
        }
        let wild = vec!["#.a"; 40].join(".");
        assert_eq!(overshadowing(&wild, &["*.*.#"]), None, "too many to be tried");
        assert_eq!(overshadowing(&wild, &[]), Some(Vec::new()), "there is nothing to be compared with");
    }

    fn pattern() -> impl Strategy<Value = String> {
        let word = prop_oneof![Just("a"), Just("b"), Just("*"), Just("#")];
        prop::collection::vec(word, 1..5).prop_map(|words| words.join("."))
    }

    proptest! {
        #[test]
        fn it_agrees_with_all_short_names(narrow in pattern(), wide in prop::collection::vec(pattern(), 1..3)) {
            let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
            let mut names = vec![vec!["a"], vec!["b"], vec!["c"]];
            let mut all = Vec::new();
            for _ in 1..6 {
                names = names.iter().flat_map(|name| ["a", "b", "c"].map(|word| [&name[..], &[word]].concat())).collect();
                all.extend(names.iter().filter(|name| name.len() >= WORDS).map(|name| name.join(".")));
            }
            let left = all.iter().any(|name| {
                topic_matches(&narrow, name) && !wide.iter().any(|wide| topic_matches(wide, name))
            });
            let some = all.iter().any(|name| topic_matches(&narrow, name));
            prop_assert_eq!(!overshadowing(&narrow, &wide).unwrap().is_empty(), some && !left);
        }
    }
}
