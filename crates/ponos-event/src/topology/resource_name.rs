//! Names for the resources of documents, where fewer characters are allowed than in RabbitMQ.

use super::{Binding, definitions::destination};
use uuid::Uuid;

/// The most bytes of what is kept of a name; Kubernetes has 253 for all of it.
const MOST: usize = 200;

/// A name of words of a-z, 0-9 and inner hyphens, joined by dots, as Kubernetes has them: the name itself where it is one, else what
/// is left of it, and eight hexadecimal digits by which it differs from others.
pub(super) fn resource_name(name: &str) -> String {
    if name.len() <= MOST && name.split('.').all(is_word) {
        return name.to_owned();
    }
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    let kept = kept.to_ascii_lowercase();
    let words = kept.split('.').map(|word| word.trim_matches('-')).filter(|word| !word.is_empty());
    let mut kept = words.collect::<Vec<_>>().join(".");
    kept.truncate(MOST);
    let kept = kept.trim_end_matches(['.', '-']);
    let separator = if kept.is_empty() { "x-" } else { "-" };
    format!("{kept}{separator}{}", digest(name))
}

/// A name for a binding, which has none.
pub(super) fn binding_name(binding: &Binding) -> String {
    let (name, kind) = destination(&binding.destination);
    let all = format!("{}\n{kind}\n{name}\n{}", binding.source, binding.routing_key);
    format!("{}-{}", resource_name(name), digest(&all))
}

fn is_word(word: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !word.is_empty() && word.chars().all(inner) && !word.starts_with('-') && !word.ends_with('-')
}

fn digest(text: &str) -> String {
    let mut digits = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple().to_string();
    digits.truncate(8);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_name_that_is_allowed_stays_and_others_keep_apart() {
        assert_eq!(resource_name("shop.order.item-made.dlq"), "shop.order.item-made.dlq");
        let long = "a".repeat(255);
        let hostile = [
            "shop.order.#",
            "shop.order.*",
            "shop.order",
            "Shop.order",
            "shop..order",
            "#",
            "*",
            "",
            "-",
            ".",
            "é",
            &long,
        ];
        let found: HashSet<String> = hostile.iter().map(|name| resource_name(name)).collect();
        assert_eq!(found.len(), hostile.len(), "{found:?}");
        for name in &found {
            assert!(name.split('.').all(is_word) && name.len() <= 253, "{name}");
        }
    }

    #[test]
    fn bindings_of_one_queue_have_names_of_their_own() {
        let names = [("events", "a.#"), ("events", "a.*"), ("dlx", "a.#")]
            .map(|(source, key)| binding_name(&Binding::queue(source, "shop.orders", key)));
        assert!(names.iter().all(|name| name.starts_with("shop.orders-")), "{names:?}");
        assert_eq!(HashSet::from(names).len(), 3);
    }
}
