//! What was probably meant by a misspelt word.

/// The candidate nearest to `word` when it is near enough to be a slip of the hand (one edit for short words, up to
/// three for long ones); the first of equals.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match word.chars().count() {
        0..=3 => 1,
        4..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| (1..=allowed).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean 'x'?`, or else the `allowed` ones.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(word, candidates.clone()) {
        return format!("did you mean '{candidate}'?");
    }
    let all: Vec<_> = candidates.into_iter().collect();
    format!("allowed are {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_recognised_and_another_word_is_not() {
        let keys = ["every", "event", "cron"];
        assert_eq!(nearest("evry", keys), Some("every"));
        assert_eq!(nearest("cronn", keys), Some("cron"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("every", ["every"]), None);
        assert_eq!(did_you_mean("colour", keys), "allowed are every, event, cron");
    }
}
