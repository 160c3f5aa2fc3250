//! One input as several: texts between lines of their own, and choices that follow from the text, so that a seed is the text
//! as people write it.

/// Stands alone on a line between two texts of one input.
const CUT: &str = "\n----\n";

/// The text of an input; `None` where it is not UTF-8.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The first `N` texts of an input, the last one with all that follows; the absent ones are empty.
pub fn cut<const N: usize>(text: &str) -> [&str; N] {
    let mut parts = text.splitn(N, CUT);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// One of several, as the text's bytes say.
pub fn choose<T: Copy>(bytes: &[u8], among: &[T]) -> T {
    let sum = bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    among[sum % among.len()]
}
