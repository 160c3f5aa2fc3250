//! Where a value stands in a JSON text: kept as steps on the way down, and written as a pointer (RFC 6901) only where there is
//! something to say about it. A text of half a megabyte may have a hundred thousand values below a key as long.

use super::field_fault::SAID;

/// The way to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'p> {
    /// The whole text.
    Whole,
    /// Below that, under this key.
    Key(&'p Path<'p>, &'p str),
    /// Below that, the item of this number.
    Item(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(super) fn key(&'p self, key: &'p str) -> Self {
        Self::Key(self, key)
    }

    pub(super) fn item(&'p self, index: usize) -> Self {
        Self::Item(self, index)
    }

    /// Its JSON pointer. Where that would be too long, the pointer of the nearest one above that is not, and the key below
    /// it.
    pub(super) fn pointer(&self) -> (String, Option<&'p str>) {
        let mut pointer = String::new();
        let below = self.write(&mut pointer);
        (pointer, below)
    }

    /// The key that does not fit any more, if there is one.
    fn write(&self, pointer: &mut String) -> Option<&'p str> {
        match *self {
            Self::Whole => None,
            Self::Item(above, index) => above.write(pointer).or_else(|| {
                pointer.push_str(&format!("/{index}"));
                None
            }),
            Self::Key(above, key) => above.write(pointer).or_else(|| {
                let escaped = |c: char| if matches!(c, '~' | '/') { 2 } else { c.len_utf8() };
                if key.len() > SAID || pointer.len() + key.chars().map(escaped).sum::<usize>() > SAID {
                    return Some(key);
                }
                pointer.push('/');
                for c in key.chars() {
                    match c {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        c => pointer.push(c),
                    }
                }
                None
            }),
        }
    }

    /// The way to a known key, as other messages have it: `catch_up.grace`.
    pub(super) fn dotted(&self) -> String {
        let name = |above: &Self, name: &str| match above.dotted() {
            above if above.is_empty() => name.to_owned(),
            above => format!("{above}.{name}"),
        };
        match self {
            Self::Whole => String::new(),
            Self::Key(above, key) => name(above, key),
            Self::Item(above, index) => name(above, &index.to_string()),
        }
    }
}
