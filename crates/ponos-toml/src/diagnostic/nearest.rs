//! What was probably meant by a misspelt word. However long the word and however many the candidates, a search is
//! short: it never holds up who asks.

/// Longer words are not searched for.
const LONGEST: usize = 64;
/// Candidates of about the word's length that are compared with it.
const COMPARED: usize = 10_000;

/// The candidate nearest to `word` when it is near enough to be a slip of the hand (one edit for short words, up to
/// three for long ones); the first of equals. `None` also for a word of more than 64 letters. Of many candidates
/// only the first 10,000 that have about the word's length are compared.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = letters(word)?;
    let allowed = match letters {
        0..=3 => 1,
        4..=8 => 2,
        _ => 3,
    };
    let alike =
        |candidate: &&str| self::letters(candidate).is_some_and(|own| own.abs_diff(letters) <= allowed);
    candidates
        .into_iter()
        .filter(alike)
        .take(COMPARED)
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| (1..=allowed).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether one edit makes one word of the other.
pub fn is_one_edit(a: &str, b: &str) -> bool {
    let near = letters(a).zip(letters(b)).is_some_and(|(a, b)| a.abs_diff(b) <= 1);
    near && strsim::osa_distance(a, b) == 1
}

/// How many there are, if they are few enough to be compared.
fn letters(word: &str) -> Option<usize> {
    // Before they are counted: a letter has at most four bytes.
    let count = (word.len() <= LONGEST * 4).then(|| word.chars().count())?;
    (count <= LONGEST).then_some(count)
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
    use std::cell::Cell;

    #[test]
    fn a_slip_of_the_hand_is_recognised_and_another_word_is_not() {
        let keys = ["every", "event", "cron"];
        assert_eq!(nearest("evry", keys), Some("every"));
        assert_eq!(nearest("cronn", keys), Some("cron"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("every", ["every"]), None);
        assert_eq!(did_you_mean("colour", keys), "allowed are every, event, cron");
        assert!(is_one_edit("tmie", "time") && is_one_edit("tim", "time"));
        assert!(!is_one_edit("time", "time") && !is_one_edit("tm", "time"));
    }

    #[test]
    fn a_search_is_short_however_long_the_word_and_however_many_the_candidates() {
        let longest = "é".repeat(LONGEST);
        assert_eq!(nearest(&"é".repeat(LONGEST - 1), [&*longest]), Some(&*longest));
        for long in ["é".repeat(LONGEST + 1), "a".repeat(1 << 20)] {
            assert_eq!(nearest(&long, [&long[..long.len() - 2], &longest]), None);
            assert!(!is_one_edit(&long, &long[2..]) && !is_one_edit("a", &long));
        }
        let looked_at = Cell::new(0);
        let endless = std::iter::repeat("unlike").inspect(|_| looked_at.set(looked_at.get() + 1));
        assert_eq!(nearest("likely", endless), None);
        assert_eq!(looked_at.get(), COMPARED);
    }
}
