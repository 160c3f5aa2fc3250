//! Inputs that are almost right.

use fastrand::Rng;

/// What breaks parsers: bounds of numbers, marks of the languages, ends, characters of more than one byte.
const PIECES: [&str; 32] = [
    "0",
    "59",
    "60",
    "99999",
    "18446744073709551616",
    "-1",
    "*",
    "*/",
    "/",
    ",",
    "-",
    "L",
    "W",
    "#",
    "?",
    "@",
    " ",
    "\t",
    "\n",
    "\"",
    "'",
    "\\",
    "T",
    "Z",
    ":",
    ".",
    "P",
    "é",
    "\u{0}",
    "\u{feff}",
    "１",
    "🕘",
];

/// Draws from a corpus and changes what it drew.
pub(crate) struct Mutator {
    random: Rng,
    corpus: Vec<String>,
}

impl Mutator {
    pub(crate) fn new(seed: u64, corpus: Vec<String>) -> Self {
        assert!(!corpus.is_empty());
        Self { random: Rng::with_seed(seed), corpus }
    }

    /// The next one: mostly a few changes to a right one, at times noise or something very long.
    pub(crate) fn next_input(&mut self) -> String {
        if self.random.u8(..) == 0 {
            return self.noise();
        }
        let mut text = self.random.choice(&self.corpus).cloned().unwrap_or_default();
        for _ in 0..self.random.usize(1..=4) {
            text = self.changed(&text);
        }
        if self.random.u16(..) < 64 {
            text = text.repeat(self.random.usize(2..50));
        }
        text
    }

    fn noise(&mut self) -> String {
        let bytes: Vec<u8> = (0..self.random.usize(..80)).map(|_| self.random.u8(..)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn changed(&mut self, text: &str) -> String {
        let (from, to) = (self.place(text), self.place(text));
        let (from, to) = (from.min(to), from.max(to));
        let piece = *self.random.choice(&PIECES).unwrap_or(&"");
        let (before, within, after) = (&text[..from], &text[from..to], &text[to..]);
        match self.random.u8(0..7) {
            0 => format!("{before}{piece}{within}{after}"),
            1 => format!("{before}{after}"),
            2 => format!("{before}{within}{within}{after}"),
            3 => format!("{before}{piece}{after}"),
            4 => {
                let other = self.random.choice(&self.corpus).cloned().unwrap_or_default();
                let at = self.place(&other);
                format!("{before}{}", &other[at..])
            }
            5 => text.chars().rev().collect(),
            _ => format!("{before}{}{after}", char::from(self.random.u8(32..127))),
        }
    }

    /// A boundary between characters.
    fn place(&mut self, text: &str) -> usize {
        let at = self.random.usize(0..=text.len());
        (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
    }
}
