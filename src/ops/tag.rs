//! Which revision somebody has seen of a schedule: what he expects to be there when he changes it.

use crate::engine::Expect;
use std::{fmt, str::FromStr};

/// A revision of a creation: `17.3` is revision 3 of creation 17. Of a file's schedule the creation is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// The number of the creation.
    pub creation: u64,
    /// That of the revision.
    pub revision: u32,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.creation, self.revision)
    }
}

/// It is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give creation and revision as the ETag of a schedule has them, as in 17.3")]
pub struct NoTag;

impl FromStr for Tag {
    type Err = NoTag;

    fn from_str(text: &str) -> Result<Self, NoTag> {
        let (creation, revision) = text.split_once('.').ok_or(NoTag)?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(creation) || !is_number(revision) {
            return Err(NoTag);
        }
        let (creation, revision) = (creation.parse().ok(), revision.parse().ok());
        creation.zip(revision).map(|(creation, revision)| Self { creation, revision }).ok_or(NoTag)
    }
}

impl From<Tag> for Expect {
    fn from(Tag { creation, revision }: Tag) -> Self {
        Self::Revision { creation, number: revision }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_creation_and_a_revision_and_nothing_else() {
        for tag in [Tag { creation: 0, revision: 1 }, Tag { creation: u64::MAX, revision: u32::MAX }] {
            assert_eq!(tag.to_string().parse(), Ok(tag));
        }
        for wrong in ["", "7", ".", "7.", ".7", "+1.2", "1.-2", "1.2.3", " 1.2", "x.2", "1.4294967296"] {
            assert_eq!(wrong.parse::<Tag>(), Err(NoTag), "{wrong}");
        }
    }
}
